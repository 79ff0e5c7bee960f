"""Finds the early-stopping step by the recipe's declared rule, as in Figure 2 of Kalibhat et al. (2021). Torch-free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gentickets.analysis.results import RunResults
from gentickets.analysis.text.format import Spread, higher_is_better
from gentickets.metrics import better
from gentickets.results import Result

Curve = Sequence[tuple[int, float]]
"""(step, value) of each evaluation on validation, in order."""


@dataclass(frozen=True)
class StoppingSteps:
    """When an arm's trainings would have stopped, over its seeds."""

    steps: Spread
    """A training that the rule never stopped counts with its last evaluation's step."""
    never: int
    """How many of them the rule never stopped."""
    figure: str

    @property
    def text(self) -> str:
        """``320 ± 40``, with a sign before it where some never stopped, so that the mean is at least so much."""
        least = "\N{GREATER-THAN OR EQUAL TO} " if self.never else ""
        spread = f" ± {self.steps.sd:,.0f}" if self.steps.sd is not None else ""
        return f"{least}{self.steps.mean:,.0f}{spread}"


def early_stop(curve: Curve, *, patience: int, tolerance: float = 0.0, higher: bool = False) -> int | None:
    """The step of the best evaluation before `patience` in a row brought no improvement on it.

    An improvement is more than `tolerance` (a fraction) of the best value's size. None where the rule never fires.
    """
    best: tuple[int, float] | None = None
    waited = 0
    for step, value in curve:
        if math.isfinite(value) and (best is None or _improves(best[1], value, tolerance, higher)):
            best, waited = (step, value), 0
        elif best is not None:
            waited += 1
            if waited == patience:
                return best[0]
    return None


def _improves(best: float, value: float, tolerance: float, higher: bool) -> bool:
    gain = value - best if higher else best - value
    return gain > tolerance * abs(best)


def stopping_steps(results: RunResults, arm: str, round: int) -> StoppingSteps | None:
    """When an arm's trainings at a round would have stopped; None where no curve was taken."""
    quality = results.recipe.quality
    done = [cell for cell in results.done(arm, round) if cell.curve]
    figure = _figure(done, results.metric)
    if figure is None:
        return None
    found: dict[int, float] = {}
    never = 0
    for cell in done:
        curve = curve_of(cell, figure)
        step = early_stop(
            curve, patience=quality.patience, tolerance=quality.tolerance, higher=higher_is_better(figure)
        )
        if curve:
            found[cell.seed] = float(curve[-1][0] if step is None else step)
            never += step is None
    steps = Spread.of(found)
    return StoppingSteps(steps, never, figure) if steps is not None else None


def curve_of(cell: Result, metric: str) -> list[tuple[int, float]]:
    """A result's evaluations of one metric on validation along its training; empty where there are none."""
    found = ((point.get("step"), (point.get("valid") or {}).get(metric)) for point in cell.curve)
    return [(int(step), float(value)) for step, value in found if step is not None and value is not None]


def _figure(results: Iterable[Result], metric: str | None) -> str | None:
    """The claim's figure where the curves have it, else the first that says something of quality."""
    known = list(dict.fromkeys(name for cell in results for point in cell.curve for name in point.get("valid") or {}))
    return metric if metric in known else next((name for name in known if better(name)), None)
