"""Finds the trained networks that no other one beats in both quality and cost (the Pareto front)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gentickets.analysis.costs import ArmCost
from gentickets.analysis.rows import Row
from gentickets.analysis.text.format import Spread, higher_is_better
from gentickets.metrics import of_samples

UNITS = ("flops", "seconds")


@dataclass(frozen=True)
class ParetoPoint:
    """One arm at one round: what it costs as a whole, and how good it is on test."""

    arm: str
    round: int
    name: str
    sparsity: float
    cost: Mapping[str, float | None]
    """``flops`` and ``seconds`` of the training, and of the search where the arm rests on one."""
    quality: Spread
    sound: bool
    """Whether every seed of it finished and none collapsed where that could flatter the figure."""
    front: tuple[str, ...] = ()
    """The units in which no other sound choice is both cheaper and better."""


def pareto_points(rows: Sequence[Row], costs: Sequence[ArmCost], metric: str | None) -> tuple[ParetoPoint, ...]:
    """Every arm whose cost and metric are known, with the Pareto fronts that it is on."""
    spent = {(cost.arm, cost.round): cost for cost in costs}
    found = []
    for row in rows:
        cost, quality = spent.get((row.arm, row.round)), row.test.get(metric or "")
        if cost is None or quality is None:
            continue
        whole = row.failed + row.diverged + row.not_run == 0
        sound = whole and not (row.collapsed and of_samples(metric))
        found.append(ParetoPoint(row.arm, row.round, row.name, row.sparsity, cost.whole, quality, sound))
    fronts = {unit: pareto_front(found, unit, higher_is_better(metric)) for unit in UNITS}
    return tuple(_placed(choice, fronts) for choice in found)


def pareto_front(found: Sequence[ParetoPoint], unit: str, higher: bool) -> list[ParetoPoint]:
    """The sound choices that no other one beats in cost and quality together, from the cheapest on."""
    sign = -1.0 if higher else 1.0
    known = [(choice.cost.get(unit), sign * choice.quality.mean, choice) for choice in found if choice.sound]
    priced = [(cost, loss, choice) for cost, loss, choice in known if cost is not None]
    best: list[ParetoPoint] = []
    least = float("inf")
    for _, loss, choice in sorted(priced, key=lambda one: one[:2]):
        if loss < least:
            best.append(choice)
            least = loss
    return best


def _placed(choice: ParetoPoint, fronts: Mapping[str, Sequence[ParetoPoint]]) -> ParetoPoint:
    units = tuple(unit for unit, best in fronts.items() if any(choice is other for other in best))
    return ParetoPoint(
        choice.arm, choice.round, choice.name, choice.sparsity, choice.cost, choice.quality, choice.sound, units
    )
