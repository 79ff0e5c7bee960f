"""Finds at which numbers of seeds a run's claim may be judged, and which number comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gentickets.analysis.results import RunResults
from gentickets.analysis.run_verdict import InterimAnalysis
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.format import listed, numbered
from gentickets.errors import TicketError
from gentickets.recipe import Recipe
from gentickets.recipe.asked import require_claim


def interim_analysis_of(recipe: Recipe, record: Mapping[str, Any]) -> InterimAnalysis:
    """Which of the declared analyses a run's seeds allow; ``record`` is what `run.json` holds. Needs a claim."""
    claim, asked = require_claim(recipe), recipe.search.seeds
    declared = ((record.get("claim") or {}).get("declared") or {}).get("seeds")
    sizes = tuple(int(declared or asked) * 2**number for number in range(claim.looks))
    number = sum(size <= asked for size in sizes)
    return InterimAnalysis(number=number, of=claim.looks, alpha=claim.alpha, seeds=sizes)


def judged_results(whole: RunResults, declared: int | None) -> tuple[RunResults, tuple[str, ...]]:
    """The results of the seeds that the claim is judged by, and a sentence where there are others.

    Sizes of interim analyses are declared beforehand: seeds that are added until a test passes would find false wins.
    """
    recipe = whole.recipe
    claim, asked = recipe.claim, recipe.search.seeds
    if claim is None or not declared or asked <= declared:
        return whole, ()
    sizes = tuple(declared * 2**number for number in range(claim.looks))
    judged = max((size for size in sizes if size <= asked), default=declared)
    if judged == asked:
        return whole, ()
    first = set(whole.seeds[:judged])
    fewer = recipe.model_copy(update={"search": recipe.search.model_copy(update={"seeds": judged})})
    told = say.seeds_not_tested(sizes, judged, asked)
    return RunResults([result for result in whole.all if result.seed in first], fewer, whole.path), (told,)


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
