"""Stages: a level's trials with an interval and a bootstrap interval beside every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gentickets.report.verdict import Trial, interval, losses_of, paired, values_of
from gentickets.statistics import LEAST_SEEDS, Values, bootstrap_interval, shown
from gentickets.verdict.judged import Against, Estimate, Stage

Seeds = Mapping[int, float]
"""Seed -> value."""


def stage_of(trial: Trial | None, higher: bool, margin: float) -> Stage | None:
    """A trial as the page tells it; None where there is none."""
    if trial is None:
        return None
    controls = tuple(
        Against(
            other.control,
            other.arm,
            other.spread,
            estimate(trial.ticket.values, other.spread.values, higher),
            other.beaten,
            other.as_well,
        )
        for other in trial.controls
    )
    loss = estimate(trial.ticket.values, trial.dense.values, higher)
    if loss.n >= LEAST_SEEDS:  # its test is against the margin, not against 0
        loss = replace(loss, p=float(shown(values_of(trial, higher), margin).holds))
    return Stage(trial.ticket, trial.dense, loss, trial.limit, controls, trial.unfinished)


def estimate(first: Seeds, second: Seeds, higher: bool) -> Estimate:
    """By how much the first is worse than the second over the seeds that both have, of which there is one at least."""
    loss, around = paired(first, second, higher=higher), interval(first, second, higher=higher)
    if loss is None or around is None:
        raise ValueError("the two have no seed in common")
    resampled = bootstrap_interval(losses_of(first, second, higher))
    return Estimate(loss.mean, around.low, around.high, loss.p, loss.n, resampled)


def known(trial: Trial | None, higher: bool, seeds: int) -> Values | None:
    """A trial's values where every arm has so many seeds, enough to test; None where it shows nothing yet."""
    if trial is None or trial.unfinished or trial.loss.n < max(seeds, LEAST_SEEDS):
        return None
    found = values_of(trial, higher)
    return found if len(found.ticket) == seeds else None
