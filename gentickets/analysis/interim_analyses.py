"""Finds at which numbers of seeds a run's claim may be judged, and which number comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gentickets.analysis.results import RunResults
from gentickets.analysis.run_verdict import InterimAnalysis
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.format import listed, numbered
from gentickets.arms import kind_of
from gentickets.errors import TicketError
from gentickets.recipe import Recipe
from gentickets.recipe.asked import require_claim


def interim_analysis_of(recipe: Recipe, record: Mapping[str, Any], judged: int | None = None) -> InterimAnalysis:
    """Which of the declared analyses a run is at; ``record`` is what `run.json` holds. Needs a claim.

    ``judged``: the number of seeds that it is judged by (`judged_results`); without it, as many as it was asked for.
    """
    claim, asked = require_claim(recipe), recipe.search.seeds
    declared = ((record.get("claim") or {}).get("declared") or {}).get("seeds")
    sizes = _planned(int(declared or asked), claim.looks)
    number = sum(size <= (asked if judged is None else judged) for size in sizes)
    return InterimAnalysis(number=number, of=claim.looks, alpha=claim.alpha, seeds=sizes)


def judged_results(whole: RunResults, declared: int | None) -> tuple[RunResults, tuple[str, ...]]:
    """The results of the seeds that the claim is judged by, and a sentence where there are others.

    They are those of the largest declared analysis that is complete. Sizes of analyses are declared beforehand: seeds
    that are added until a test passes would find false wins. So of an analysis that is under way nothing is looked at.
    """
    recipe = whole.recipe
    claim, asked = recipe.claim, recipe.search.seeds
    if claim is None or not declared or asked <= declared:
        return whole, ()
    sizes = _planned(declared, claim.looks)
    reached = [size for size in sizes if size <= asked]
    done = {size: complete_seeds(whole, declared, size) for size in reached}
    judged = max((size for size in reached if done[size] == size), default=declared)
    if judged == asked:
        return whole, ()
    told = [say.under_way(judged, size, done[size]) for size in reached if size > judged][-1:]
    if asked > reached[-1]:
        told.append(say.seeds_not_tested(sizes, judged, asked))
    first = set(whole.seeds[:judged])
    fewer = recipe.model_copy(update={"search": recipe.search.model_copy(update={"seeds": judged})})
    return RunResults([result for result in whole.all if result.seed in first], fewer, whole.path), tuple(told)


def under_way(whole: RunResults, judged: RunResults, declared: int | None) -> str:
    """``the next has 7 of 10 seeds``, where a later analysis than the one that is judged has begun; else empty."""
    asked, there = whole.recipe.search.seeds, judged.recipe.search.seeds
    claim = whole.recipe.claim
    if claim is None or declared is None:
        return ""
    following = next((size for size in _planned(declared, claim.looks) if there < size <= asked), None)
    if following is None:
        return ""
    return f"the next has {complete_seeds(whole, declared, following)} of {following} seeds"


def complete_seeds(whole: RunResults, declared: int, size: int) -> int:
    """Of the first ``size`` seeds, how many have everything that each of the first analysis' ``declared`` seeds has.

    Whether a result is there counts, and not what it says: one that failed is one.
    """
    places: dict[int, set[tuple[str, int]]] = {seed: set() for seed in whole.seeds[:size]}
    for result in whole.all:
        if result.seed in places and kind_of(result.arm).in_tables:
            places[result.seed].add((result.arm, result.round))
    due = set.intersection(*(places[seed] for seed in whole.seeds[:declared])) if places else set()
    return sum(due <= there for there in places.values())


def _planned(declared: int, analyses: int) -> tuple[int, ...]:
    """The numbers of seeds of all declared analyses."""
    return tuple(declared * 2**number for number in range(analyses))


def with_seeds_for(
    recipe: Recipe, analysis: InterimAnalysis, have: int, *, more: bool = False, seeds: int | None = None
) -> Recipe:
    """The recipe of a continued run, with the seeds of the next analysis (``more``), or of the one that has ``seeds``.

    ``have``: the seeds that the run was asked for so far. Raises TicketError where no such analysis was declared.
    """
    count = f"{analysis.of} interim analys{'is' if analysis.of == 1 else 'es'}"
    declared = f"the claim declares {count}, at {_sizes(analysis)} seeds"
    wanted = seeds
    if more:
        wanted = next((size for size in analysis.seeds if size > have), None)
        if wanted is None:
            there = f"{numbered(have, 'seed')} {'is' if have == 1 else 'are'} there"
            raise TicketError(f"{declared}, and {there}: no further one was declared, so that none is made")
    if wanted is None:
        return recipe
    if wanted != have and wanted not in analysis.seeds:
        raise TicketError(f"{declared}; --seeds {wanted} is none of them")
    if wanted < have:
        raise TicketError(f"--seeds {wanted}: the run has {have} seeds already")
    return recipe.model_copy(update={"search": recipe.search.model_copy(update={"seeds": wanted})})


def _sizes(analysis: InterimAnalysis) -> str:
    return listed([str(size) for size in analysis.seeds])
