"""What the next interim analysis of a claim will say, by chances conditional on the seeds that are there."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gentickets.analysis.gathered import gathered
from gentickets.analysis.interim_analyses import complete_seeds, judged_results
from gentickets.analysis.results import RunResults
from gentickets.analysis.run import Run
from gentickets.analysis.run_verdict import InterimAnalysis, Outlook
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.verdict import LevelVerdict
from gentickets.errors import TicketError
from gentickets.results import Result
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    LEAVES,
    Arms,
)
from gentickets.statistics.outlook import outlook

AGAIN = (10, 20, 40)
"""Of a claim whose analyses are spent: the numbers of new seeds for which chances of a new one are worked out."""
LIKELY = 0.5
"""The first of them that gives one of the deepest verdicts with such a chance is said."""


def outlook_of(run: Run, terms: ClaimTerms, analysis: InterimAnalysis) -> Outlook | None:
    """The outlook of a run's declared level; None where nothing is tested there."""
    verdict = run.summary.verdict
    level = next((one for one in verdict.levels if one.declared), None)
    if level is None or not (level.tested or verdict.word == FAILED):
        return None
    if verdict.word in (*LEAVES, FAILED) or (verdict.word == EQUAL_STEPS and not terms.longer):
        return Outlook(decided=True)
    following = analysis.following
    if following is None:
        return Outlook(decided=False, chances=_of_a_new_claim(run, terms, analysis))
    chances = _chances(run, terms, analysis, following)
    there = complete_seeds(RunResults(run.results, run.recipe), analysis.seeds[0], following)
    return Outlook(
        decided=False,
        next=following,
        minutes=minutes_for(run.results, run.record, following - max(there, verdict.seeds)),
        command=shlex.join(["gentickets", "verdict", str(run.path), "--more"]),
        chances=((following, chances),) if chances else (),
    )


def _of_a_new_claim(run: Run, terms: ClaimTerms, analysis: InterimAnalysis) -> tuple[tuple[int, dict[str, float]], ...]:
    """What new seeds alone would say, in one analysis; up to the number that makes a deepest verdict likely."""
    found = []
    for seeds in AGAIN:
        chances = _chances(run, terms, analysis, seeds, anew=True)
        if not chances:
            return ()
        found.append((seeds, chances))
        if max(chance for verdict, chance in chances.items() if verdict in LEAVES) >= LIKELY:
            break
    return tuple(found)


def _chances(
    run: Run, terms: ClaimTerms, analysis: InterimAnalysis, seeds: int, *, anew: bool = False
) -> dict[str, float]:
    """The chance of each verdict; empty where arms are missing, so that it hangs on them."""
    verdict = run.summary.verdict
    results, _ = judged_results(RunResults(run.results, run.recipe), analysis.seeds[0])
    place = next(place for place, level in enumerate(verdict.levels) if level.declared)
    own = verdict.levels[place]
    if own.short is None or own.short.unfinished or (own.longer is not None and own.longer.unfinished):
        return {}
    levels = [_arms(results, level, terms) for level in verdict.levels]
    longer = gathered(results, own.round, terms, longer=True).arms(terms) if own.longer_tested else None
    told = replace(terms.terms, seeds=seeds, analyses=1) if anew else terms.terms
    chosen = verdict.chosen
    try:
        return outlook(levels, told, seeds, longer=longer, declared=place, keep=not anew) if not chosen else {}
    except TicketError:
        return {}


def _arms(results: RunResults, level: LevelVerdict, terms: ClaimTerms) -> Arms | None:
    """A level's arms; None where it is not tested, or lacks some."""
    if not level.tested or level.short is None or level.short.unfinished:
        return None
    return gathered(results, level.round, terms).arms(terms)


def minutes_for(results: Sequence[Result], record: Mapping[str, Any], seeds: int) -> float | None:
    """What so many more seeds take by the ledger, in minutes: those so far, over as many workers as the run has cores.

    None where no seed has reported its seconds.
    """
    told = [result for result in results if result.seconds]
    known_seeds = {result.seed for result in told}
    if not known_seeds:
        return None
    each = math.fsum(math.fsum(result.seconds.values()) for result in told) / len(known_seeds)
    machine, threads = record.get("machine") or {}, int(record.get("threads") or 1)
    workers = max(1, int(machine.get("cores") or 1) // threads) if record.get("device") == "cpu" else 1
    return each * seeds / workers / 60
