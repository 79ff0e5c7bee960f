"""The paired difference of an arm from the dense model, with its interval: for every run, whatever it claims."""

from __future__ import annotations

from dataclasses import dataclass

from gentickets.analysis.contrast import Contrast, losses_of
from gentickets.analysis.results import RunResults
from gentickets.arms import DENSE, TICKET, ArmName
from gentickets.metrics import way


@dataclass(frozen=True)
class Difference:
    """An arm less the dense model of its length of training, in the metric on test, paired over seeds. Not tested."""

    mean: float
    low: float
    """Ends of the two-sided 95 % t interval; not finite for a single seed."""
    high: float
    n: int
    """Seeds that both have."""
    ahead: int
    """Seeds in which the arm is better."""
    bootstrap: tuple[float, float] | None = None
    """Ends of the bias-corrected 95 % bootstrap interval; null with fewer than 10 seeds, where it is too narrow."""


def difference_from_dense(results: RunResults, arm: str, round: int) -> Difference | None:
    """The difference of an arm at a round; None where there is no dense model to compare it with.

    That is so for the dense model itself, in a sweep of widths, where rounds go on from trained weights, so that the
    steps are not equal, and for a metric that says nothing of quality.
    """
    metric, name = results.metric, ArmName.of(arm)
    if metric is None or way(metric) is None or results.goes_on or not results.recipe.prunes:
        return None
    longer = str(ArmName(DENSE, longer=True))
    other, place = (longer, results.round_of(longer, round)) if name.longer and results.rounds(longer) else (TICKET, 0)
    if (arm, round) == (other, place):
        return None
    own, dense = results.values(arm, round, metric, "test"), results.values(other, place, metric, "test")
    found = Contrast.of(losses_of(own, dense, higher=False))
    if found is None:
        return None
    sign = -1 if way(metric) == "higher" else 1
    ahead = sum(sign * value < 0 for value in found.losses)
    return Difference(found.mean, found.low, found.high, found.n, ahead, found.bootstrap)
