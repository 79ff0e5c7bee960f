"""Forecasts how likely more seeds are to decide an undecided claim, and what they would cost by the ledger."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gentickets.analysis.levels import ClaimTerms
from gentickets.analysis.run_verdict import InterimAnalysis, PowerForecast
from gentickets.analysis.verdict import Trial, Verdict, values_of
from gentickets.results import Result
from gentickets.statistics import EQUAL_STEPS, LEAST_SEEDS, UNDECIDED, Values, power_curve, seeds_needed

STEPS = (1, 2, 3, 5, 8, 12, 20)
"""For how many more seeds the forecast is made."""


def power_forecast(
    verdict: Verdict,
    results: Sequence[Result],
    record: Mapping[str, Any],
    terms: ClaimTerms,
    analysis: InterimAnalysis,
    path: Path,
) -> PowerForecast | None:
    """How likely more seeds are to decide the declared level; None under 3 seeds, or where nothing is tested.

    The chances are those of an analysis with so many seeds, if means and covariances over seeds are what the seeds so
    far say. ``seeds`` is None where the claim is decided, too, and 0 never: an undecided claim needs one more at least.
    """
    own = next((place for place, level in enumerate(verdict.levels) if level.round == verdict.round), None)
    if own is None or not verdict.levels[own].tested:
        return None
    levels = [_known(level.short, terms.higher, verdict.seeds) for level in verdict.levels]
    longer = _known(verdict.levels[own].longer, terms.higher, verdict.seeds)
    if levels[own] is None or verdict.seeds < LEAST_SEEDS:
        return None
    have = verdict.seeds
    open_still = verdict.word == UNDECIDED or (longer is not None and verdict.word == EQUAL_STEPS)
    total = seeds_needed(levels, terms.margin, terms.alpha, longer=longer, declared=own) if open_still else None
    following = next((size for size in analysis.seeds if size > have), None) if open_still else None
    counts = sorted({have, *(have + more for more in STEPS), *filter(None, (total, following))})
    curve = power_curve(levels, terms.margin, terms.alpha, counts, longer=longer, declared=own)
    bought = following or total
    return PowerForecast(
        seeds=total - have if total else None,
        minutes=minutes_for(results, record, bought - have) if bought else None,
        curve=tuple((one.seeds, one.words.get("WINS", 0.0)) for one in curve),
        decided=tuple((one.seeds, one.decided) for one in curve),
        command=shlex.join(["gentickets", "verdict", str(path), "--more"]) if following else "",
        next=following,
    )


def _known(trial: Trial | None, higher: bool, seeds: int) -> Values | None:
    """A trial's values where every arm has so many seeds, enough to test; None where it shows nothing yet."""
    if trial is None or trial.unfinished or trial.loss.n < max(seeds, LEAST_SEEDS):
        return None
    found = values_of(trial, higher)
    return found if len(found.ticket) == seeds else None


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
