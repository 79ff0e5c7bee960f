"""Judges over paired seeds whether a ticket that was transferred from another model helps its new one.

A level TRANSFERS when the transferred ticket is within the claim's margin (the one-sided 95 % t bound of its paired
loss against dense is under it) and it is better than every sparse random ticket beside it, each by a one-sided paired
t test at 5 % (an intersection-union test; Berger, 1982). It HURTS when it is shown to be worse than one of them:
these hypotheses are joined by *or*, so that each test is made at 5 % over the number of random arms (Bonferroni; scaled
variants count, as the better one was picked). Else it is NEUTRAL: neither is shown. UNDECIDED: fewer than three seeds,
something failed or not finished, nothing random to compare with, collapsed samples where the metric is computed from
samples, or values that were measured in another way.

Random tickets are the transferred mask or signs, shuffled, and the target's own controls: its mask on new weights, its
mask shuffled, random masks. Of variants with and without scaled survivors the better on validation counts. The native
ticket, the same weights without the mask and the mask alone decide nothing: they say what a transfer rests on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gentickets.analysis.claim import claim_round
from gentickets.analysis.comparison import compare_with_control
from gentickets.analysis.contrast import ALPHA, paired
from gentickets.analysis.results import RunResults
from gentickets.analysis.terms import margin_of
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.cautions import collapsed_seeds, collapses, of_arm
from gentickets.analysis.text.format import Spread, higher_is_better
from gentickets.analysis.text.transfer import TICKET, sentence
from gentickets.analysis.transfer_levels import HURTS, NEUTRAL, TRANSFERS, UNDECIDED, TransferLevel, TransferVerdict
from gentickets.analysis.trial import Comparison, Trial, trial_of
from gentickets.arms import DENSE, MASK_ALONE, TRANSFER, UNMASKED, ArmName, kind_of, variants
from gentickets.metrics import of_samples, says_nothing
from gentickets.recipe import Recipe, Transfer
from gentickets.results import Result
from gentickets.sparsity import share_to_say
from gentickets.statistics import (
    LEAST_SEEDS,
    Margin,
)

MARGIN = 0.02
"""Of the dense mean, where the recipe declares no claim."""
SOURCE = ("source", "family", "data", "seed", "round", "sparsity")
"""What a result tells of the ticket that was carried over."""


def judge_transfer(results: Sequence[Result], recipe: Recipe) -> TransferVerdict | None:
    """Judge every level of a transfer; None of a run without one, and never an error where results are missing.

    Metric and margin are the claim's; without a claim the first figure that says
    something of quality, and 2 % of the dense mean.
    """
    run = RunResults(results, recipe)
    rounds = run.transfer_rounds
    if not rounds:
        return None
    claim, level = recipe.claim, claim_round(results, recipe)
    metric = run.metric if run.metric is not None and not says_nothing(run.metric) else None
    told = _told(run, level if level in rounds else rounds[-1])
    asked = recipe.transfer or Transfer()
    whole = TransferVerdict(
        metric,
        MARGIN if claim is None else claim.margin,
        claim is not None,
        str(told.get("moves") or asked.moves),
        told.get("match") or asked.match,
        bool(told.get("partial")),
        _source(told),
        dict(told.get("routes") or asked.routes),
        layers=tuple(told.get("entries") or ()),
        left=tuple(told.get("left") or ()),
        covered=told.get("covered"),
        notes=tuple(told.get("notes") or ()),
    )
    native = recipe.control_rounds
    return replace(whole, levels=tuple(_level(run, whole, round, native) for round in rounds))


def _told(results: RunResults, round: int) -> Mapping[str, Any]:
    """What the first seed that has one tells of its transfer, at a round or else at any."""
    places = [round, *(place for place in results.rounds(TRANSFER) if place != round)]
    found = (cell.transfer for place in places for cell in results.done(TRANSFER, place) if cell.transfer)
    return next(found, {})


def _source(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in SOURCE if name in told}


def _level(results: RunResults, whole: TransferVerdict, round: int, native: Sequence[int]) -> TransferLevel:
    """One level: what stands beside the transferred ticket, the word, and the sentence."""
    done, told, metric = results.done(TRANSFER, round), _told(results, round), whole.metric
    sparsity = math.fsum(cell.sparsity for cell in done) / len(done) if done else None
    level = TransferLevel(round, UNDECIDED, "", results.sparsity(round), sparsity, told.get("covered"), _source(told))
    level = replace(level, native_share=_share(results.done("ticket", round)), share=_share(done))
    level = replace(level, tickets=len({cell.transfer.get("seed") for cell in done if cell.transfer}) or None)
    wanted = _random_controls(results, whole.moves, round, native)
    if metric is not None:
        level = _compared(results, level, metric, wanted)
    word, reasons = _word(results, level, metric, len(wanted))
    samples = of_samples(metric)
    said = list(dict.fromkeys([*reasons, *(collapses(results, round, TRANSFER, TICKET) if samples else ())]))
    beside = dict.fromkeys([*wanted, *results.transfer_controls])
    notes = [note for name in beside for arm in variants(name) for note in of_arm(results, arm, round)]
    if results.goes_on:
        notes.append(say.more_steps(results.goes_on))
    level = replace(level, word=word, notes=tuple(dict.fromkeys([*said, *notes])))
    return replace(level, sentence=sentence(whole, level, said, results.search.longer))


def _share(done: Sequence[Result]) -> float | None:
    """The removed share of all parameters, of the first seed, where it stands beside a sparsity."""
    return share_to_say(done[0].weights) if done else None


def _random_controls(results: RunResults, moves: str, round: int, native: Sequence[int]) -> list[str]:
    """The sparse random tickets that stand beside a transferred one at a round, as asked for or as they ran.

    The mask alone is one of them only where signs are carried: where weights are, it says what they are worth.
    """
    own = [
        name for name in results.transfer_controls if kind_of(name).random or (name == MASK_ALONE and moves == "signs")
    ]
    asked = results.search.controls
    there = [
        name
        for name in results.controls
        if kind_of(name).random
        and ((name in asked and round in native) or any(results.of(arm, round) for arm in variants(name)))
    ]
    return [*own, *there]


def _compared(results: RunResults, level: TransferLevel, metric: str, wanted: Iterable[str]) -> TransferLevel:
    """The level with everything that stands beside its transferred ticket."""
    round = level.round
    own, native, dense = (
        results.values(arm, place, metric, "test")
        for arm, place in ((TRANSFER, round), ("ticket", round), ("ticket", 0))
    )
    outcomes = {
        name: compare_with_control(results, name, round, metric, own) for name in (*wanted, UNMASKED, MASK_ALONE)
    }
    there = {name: other for name, other in outcomes.items() if isinstance(other, Comparison)}
    trial = trial_of(own, dense, _room(results, dense, metric), higher=higher_is_better(metric))
    if trial is not None:
        missing = {name: why for name in wanted if isinstance(why := outcomes[name], str)}
        trial = replace(trial, controls=tuple(there[name] for name in wanted if name in there), unfinished=missing)
    arms = {arm: Spread.of(results.values(arm, round, metric, "test")) for arm in results.arms()}
    spreads = {"dense": Spread.of(dense), **arms}
    long, dense_long = (str(ArmName(arm, longer=True)) for arm in (TRANSFER, DENSE))
    dense_values = results.values(dense_long, results.round_of(dense_long, round), metric, "test")
    return replace(
        level,
        trial=trial,
        native=paired(own, native, higher=higher_is_better(metric)),
        unmasked=there.get(UNMASKED),
        mask=there.get(MASK_ALONE),
        longer=trial_of(
            results.values(long, round, metric, "test"),
            dense_values,
            _room(results, dense_values, metric),
            higher=higher_is_better(metric),
        ),
        best=_best(results, trial, round, metric),
        hurt_by=tuple(_hurt_by(results, trial, round, metric)),
        spreads={arm: spread for arm, spread in spreads.items() if spread is not None},
    )


def _room(results: RunResults, dense: Mapping[int, float], metric: str) -> dict[int, float]:
    """The margin in the metric's unit, seed by seed: the claim's, or without one the report's choice."""
    claim = results.recipe.claim
    margin = Margin(MARGIN, None) if claim is None else margin_of(results, claim, "test")
    sign = -1.0 if higher_is_better(metric) else 1.0
    return {seed: float(margin.room_of(sign * value)) for seed, value in dense.items()}


def _best(results: RunResults, trial: Trial | None, round: int, metric: str) -> str | None:
    """The random ticket's arm that is best on validation, where all of them are complete by construction."""
    means = {}
    for other in trial.controls if trial else ():
        if (valid := Spread.of(results.values(other.arm, round, metric, "valid"))) is not None:
            means[other.arm] = valid.mean
    choose = max if higher_is_better(metric) else min
    return choose(means, key=lambda arm: means[arm]) if means else None


def _hurt_by(results: RunResults, trial: Trial | None, round: int, metric: str) -> Iterable[str]:
    """Arms of random tickets that are shown to be better; not by samples that collapsed, which can score well."""
    if trial is None:
        return
    names = (*(other.control for other in trial.controls), *trial.unfinished)
    tests = sum(max(1, sum(bool(results.of(arm, round)) for arm in variants(name))) for name in names)
    for other in trial.controls:
        flattered = of_samples(metric) and results.collapsed(other.arm, round)
        ahead = paired(other.spread.values, trial.ticket.values, higher=higher_is_better(metric))
        if ahead is not None and ahead.n >= LEAST_SEEDS and ahead.p < ALPHA / tests and not flattered:
            yield other.arm


def _word(results: RunResults, level: TransferLevel, metric: str | None, opponents: int) -> tuple[str, list[str]]:
    """The word, and why it is undecided."""
    if reason := _undecided(results, level, metric, opponents):
        return UNDECIDED, [reason]
    trial = level.trial
    if level.hurt_by or trial is None:
        return HURTS, []
    if trial.unfinished:
        return UNDECIDED, say.not_compared(trial.unfinished)
    return (TRANSFERS if trial.holds and all(other.beaten for other in trial.controls) else NEUTRAL), []


def _undecided(results: RunResults, level: TransferLevel, metric: str | None, opponents: int) -> str:
    """Why nothing can be said of a level, whatever the values are; empty where something can."""
    round, seeds = level.round, len(results.seeds)
    both = (("ticket", 0), (TRANSFER, round))
    if broken := [cell for place in both for cell in results.of(*place) if cell.status != "done"]:
        return f"{say.broken(broken)}."
    if metric is None:
        return "There is no metric of quality."
    if apart := sorted({seed for place in both for seed in results.not_comparable(*place, metric)}):
        return say.measured_differently(metric, apart)
    waiting = [seed for seed in results.seeds if any(results.get(*place, seed) is None for place in both)]
    if waiting or seeds < results.required_seeds or level.seeds < seeds:
        return say.seeds_missing(waiting, seeds, results.required_seeds)
    if seeds < LEAST_SEEDS:
        return say.few_seeds(seeds, LEAST_SEEDS)
    alone, both_collapsed = collapsed_seeds(results, round, arm=TRANSFER) if of_samples(metric) else ([], [])
    if alone or both_collapsed:
        # A collapsed generator can score better than a healthy one, so that the figure alone proves nothing.
        return say.collapsed(TICKET, alone) if alone else say.both_collapsed(both_collapsed, name=TICKET)
    return "" if opponents else "No sparse random ticket was trained, so there is nothing to compare it with."
