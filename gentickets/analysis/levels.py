"""Gives each sparsity its verdict, by what its seeds show.

What is tested and how it is corrected stands in `statistics`. Here are the reasons for which values are not tested at
all: seeds that failed or are missing, samples that collapsed, metrics that were measured in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gentickets.analysis.comparison import values_or_why
from gentickets.analysis.gathered import Gathered, gathered
from gentickets.analysis.nodes import contradicting, nodes_of
from gentickets.analysis.parts import PartMaker
from gentickets.analysis.results import RunResults
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.text import claim as say
from gentickets.analysis.text import reasons as why
from gentickets.analysis.text.cautions import collapsed_seeds
from gentickets.analysis.text.format import Spread
from gentickets.analysis.verdict import LevelVerdict
from gentickets.arms import DENSE, MATCHED, TICKET, ArmName
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    LEAST_SEEDS,
    MATCHES,
    UNDECIDED,
    Evidence,
    Judgement,
    decide_tree,
    nothing,
    seeds_without_disaster,
)
from gentickets.statistics.evidence import evidence


@dataclass(frozen=True)
class _Level:
    """One level before its verdict."""

    verdict: LevelVerdict
    found: Gathered
    seen: Evidence
    longer: Gathered | None = None
    longer_seen: Evidence | None = None


@dataclass(frozen=True)
class Judged:
    """All levels with their verdicts."""

    levels: tuple[LevelVerdict, ...]
    judgement: Judgement


def judge_levels(
    results: RunResults, rounds: Sequence[int], claimed: int | None, terms: ClaimTerms, chosen: bool
) -> Judged:
    """The level of each round; ``claimed`` is the one that the claim is about, ``chosen`` whether by validation."""
    taken = terms.terms.plan.taken(len(results.seeds))
    levels = [_seen(results, round, terms, taken, chosen and round == claimed) for round in rounds]
    place = None if claimed is None else list(rounds).index(claimed)
    if terms.longer and place is not None:
        levels[place] = _with_longer(results, levels[place], terms, taken)
    judgement = decide_tree(
        [level.seen for level in levels],
        terms.terms,
        max(taken, default=0),
        longer=levels[place].longer_seen if place is not None else None,
        declared=None if chosen or place is None else place,
    )
    told = [_decided(results, level, judgement, here, terms, taken) for here, level in enumerate(levels)]
    return Judged(tuple(told), judgement)


def _seen(results: RunResults, round: int, terms: ClaimTerms, taken: Sequence[int], chosen: bool) -> _Level:
    """A level with what its seeds show; where they cannot be tested, its verdict and why."""
    found = gathered(results, round, terms)
    level = LevelVerdict(
        round=round, sparsity=results.sparsity(round), word=UNDECIDED, share=results.removed_fraction(round)
    )
    word, reason = _untested(results, round, terms, found, chosen)
    if reason:
        blank = nothing(terms.opponents, len(taken))
        return _Level(replace(level, word=word, reasons=(reason,)), found, blank)
    return _Level(replace(level, tested=True), found, evidence(found.arms(terms), terms.margin, taken))


def _untested(results: RunResults, round: int, terms: ClaimTerms, found: Gathered, chosen: bool) -> tuple[str, str]:
    """Why nothing is tested at a level, and its verdict then; two empty strings where something is."""
    dense = {seed for seed in results.seeds if _broke(results, TICKET, 0, seed)}
    failed, waiting = results.ticket_troubles(round)
    broken = results.first_broken(results.rounds_to(round))
    if alone := [cell for cell in broken if cell.seed in set(failed) - dense]:
        return FAILED, say.failed(alone)
    if dense:
        return UNDECIDED, why.dense_broke([cell for cell in broken if cell.seed in dense])
    if chosen:
        # A sparser round that is still running may be within the margin, so that the level itself is open.
        later = [place for place in results.levels if place >= round]
        waiting = sorted({seed for place in later for seed in results.ticket_troubles(place)[1]})
    apart = {seed for place in (0, round) for seed in results.not_comparable(TICKET, place, terms.metric)}
    if apart:
        return UNDECIDED, say.measured_differently(terms.metric, sorted(apart))
    seeds = len(results.seeds)
    if waiting or seeds < results.required_seeds or len(found.seeds) < seeds:
        return UNDECIDED, say.seeds_missing(waiting, seeds, results.required_seeds)
    if seeds < LEAST_SEEDS:
        return UNDECIDED, say.few_seeds(seeds, LEAST_SEEDS)
    return _flattered(results, round) or _without_share(found, terms) or _without_images(found, terms) or ("", "")


def _broke(results: RunResults, arm: str, round: int, seed: int) -> bool:
    cell = results.get(arm, round, seed)
    return cell is not None and cell.status != "done"


def _flattered(results: RunResults, round: int) -> tuple[str, str] | None:
    """A collapsed generator can score better than a healthy one, so that the metric alone proves nothing."""
    alone, both = collapsed_seeds(results, round) if results.claims_samples else ([], [])
    if alone:
        return FAILED, say.collapsed("the ticket", alone)
    return (UNDECIDED, say.both_collapsed(both)) if both else None


def _without_share(found: Gathered, terms: ClaimTerms) -> tuple[str, str] | None:
    refused = terms.margin.refused(found.arms(terms).dense)
    return None if refused is None else (UNDECIDED, why.no_share(refused))


def _without_images(found: Gathered, terms: ClaimTerms) -> tuple[str, str] | None:
    """Where test images count as a sample, every arm that is compared needs the metric of single ones."""
    lacking = found.without_images if terms.terms.images == "sample" else []
    return (UNDECIDED, why.no_images(lacking)) if lacking else None


def _with_longer(results: RunResults, level: _Level, terms: ClaimTerms, taken: Sequence[int]) -> _Level:
    """The declared level with what its longer trained arms show, and with what is wrong with them."""
    found = gathered(results, level.verdict.round, terms, longer=True)
    reason = _longer_untested(results, level.verdict.round, terms, found)
    tested = not reason and level.verdict.tested
    seen = evidence(found.arms(terms), terms.margin, taken) if tested else nothing(found.declared, len(taken))
    verdict = replace(level.verdict, longer_reasons=(reason,) if reason else (), longer_tested=tested)
    return replace(level, verdict=verdict, longer=found, longer_seen=seen)


def _longer_untested(results: RunResults, round: int, terms: ClaimTerms, found: Gathered) -> str:
    """Why longer training is not tested; empty where it is."""
    arms = [str(ArmName(arm, longer=True)) for arm in (TICKET, DENSE)]
    there = [cell for arm in arms for place in results.rounds(arm) for cell in results.of(arm, place)]
    if not there:
        return why.NOT_LONGER
    if broken := [cell for cell in there if cell.status != "done"]:
        return why.longer_broke(broken)
    alone, both = collapsed_seeds(results, round, longer=True) if results.claims_samples else ([], [])
    if alone:
        return why.longer_collapsed(alone)
    if both:
        return say.both_collapsed(both, longer=True)
    if len(found.seeds) < len(results.seeds):
        return "The longer arms are not finished."
    refused = terms.margin.refused(found.arms(terms).dense)
    if refused is not None:
        return why.no_share(refused, longer=True)
    lacking = _without_images(found, terms)
    return "" if lacking is None else lacking[1]


def _decided(
    results: RunResults, level: _Level, judgement: Judgement, place: int, terms: ClaimTerms, taken: Sequence[int]
) -> LevelVerdict:
    """The level with its verdict, and everything in it at the size at which it was tested."""
    verdict = level.verdict
    praise, blame = float(judgement.praise[place]), float(judgement.blame[place])
    maker = PartMaker(level.found, terms, praise, blame, longer=False)
    short = maker.part(level.seen if verdict.tested else None, taken)
    longer = None
    if level.longer is not None:
        more = PartMaker(level.longer, terms, praise, blame, longer=True)
        longer = more.part(level.longer_seen if verdict.longer_tested else None, taken)
    if short is not None:
        short = replace(short, matched=_matched(results, verdict.round, terms))
    word = str(judgement.verdicts[place]) if verdict.tested else verdict.word
    seeds = max(taken, default=0)
    share = terms.terms.disasters
    enough = share is None or seeds >= seeds_without_disaster(share)
    part_of_claim = level.longer_seen is not None
    nodes = nodes_of(word, verdict.tested, judgement.nodes[place], praise, blame, part_of_claim, enough)
    told = replace(
        verdict, word=word, short=short, longer=longer, weight=float(judgement.weights[place]), size=praise,
        blame=blame, nodes=nodes, unsteady=verdict.tested and bool(level.seen.unsteady),
    )  # fmt: skip
    late = [why.disasters(share, seeds)] if share is not None and not enough else []
    return replace(told, reasons=(*verdict.reasons, *_reasons(told, level, terms, results.path, late)))


def _reasons(told: LevelVerdict, level: _Level, terms: ClaimTerms, path: str, late: Sequence[str]) -> list[str]:
    """Why a tested level has no deeper verdict, as far as more seeds alone would not help."""
    if not told.tested:
        return []
    found = [why.UNSTEADY] if told.unsteady else []
    found += [why.contradiction(good, bad) for good, bad in contradicting(told.nodes)]
    shown = {node.verdict for node in told.nodes if node.shown}
    if MATCHES in shown:
        found.append(why.missing(level.found.unfinished, level.found.declared, path))
        found.append(why.not_beaten_yet(level.found.unfinished, level.found.declared))
    if EQUAL_STEPS in shown:
        found += [*told.longer_reasons, *late]
        if level.longer is not None and not told.longer_reasons:
            found.append(why.missing(level.longer.unfinished, level.longer.declared, path, longer=True))
    return [*filter(None, found)]


def _matched(results: RunResults, round: int, terms: ClaimTerms) -> Spread | None:
    """What the narrow network reaches with the FLOPs of search and ticket, which takes more steps than the ticket."""
    found = values_or_why(results, MATCHED, round, terms.metric)
    return None if isinstance(found, str) else Spread.of(found)


def level_on_validation(results: RunResults, terms: ClaimTerms) -> int | None:
    """The sparsest round whose mean on validation is within the margin of the dense model's: a choice, not a test."""
    dense = results.values(TICKET, 0, terms.metric, "valid")
    for round in sorted(results.levels, key=results.sparsity, reverse=True):
        ticket = results.values(TICKET, round, terms.metric, "valid")
        if not results.seeds or not len(ticket) == len(dense) == len(results.seeds):
            continue
        own, base = (terms.losses([of[seed] for seed in results.seeds]) for of in (ticket, dense))
        if float((own - base - terms.valid.room_of(base)).mean()) <= 0:
            return round
    return None
