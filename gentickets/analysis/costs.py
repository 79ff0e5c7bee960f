"""Adds up what each arm took in FLOPs, seconds, memory and energy, and what the search cost in dense trainings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gentickets.analysis.results import RunResults
from gentickets.analysis.text.format import arm_name
from gentickets.arms import FORK, SEARCH, WIDTH, kind_of, reported_as
from gentickets.ledger import ASIDE, LevelCost, levels_of
from gentickets.results import Result


@dataclass(frozen=True)
class ArmCost:
    """What one arm took at one round: means over its finished seeds, and the largest memory."""

    arm: str
    """``dense``, or the arm's name in the run folder; ``search`` too."""
    round: int
    name: str
    n: int
    steps: float
    """Optimizer steps taken."""
    selection: str
    weights: Mapping[str, float]
    """``kept`` and ``total`` prunable weights, ``all`` parameters of the dense networks."""
    channels: tuple[float, float] | None
    """Kept, and of how many, over all groups; None where none were removed."""
    flops: Mapping[str, float]
    """Forward per image, ``dense``, ``masked`` (theoretical) and ``own``; and a training ``step``."""
    seconds: Mapping[str, float]
    """By phase."""
    spent: Mapping[str, float]
    """FLOPs executed, by phase; empty where a run does not tell."""
    memory: int | None = None
    energy: float | None = None
    whole: Mapping[str, float | None] = field(default_factory=dict)
    """``flops`` and ``seconds`` of the trained network: its training, and the search where it rests on one. None where
    they are not known, or FLOPs are only a lower bound."""
    uncounted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Phase of ``spent``, or ``forward`` and ``step`` of ``flops`` -> operators of which no count is known."""


def costs_of(results: RunResults, levels: Iterable[LevelCost]) -> tuple[ArmCost, ...]:
    """What every arm took, the search first. Arms without a finished result are left out."""
    search = {level.round: _needed(level) for level in levels}
    arms = [SEARCH, *results.arms()] if any(cell.arm == SEARCH for cell in results.all) else results.arms()
    places = [(arm, round) for arm in arms for round in results.rounds(arm)]
    return tuple(
        _cost(results, arm, round, done, search) for arm, round in places if (done := results.done(arm, round))
    )


def ticket_costs(results: RunResults) -> list[LevelCost]:
    """What a ticket of each finished round costs, by the ledger; none of a run without tickets."""
    return levels_of(results.all, results.recipe)


def totals(results: RunResults, kind: str) -> dict[str, dict[str, float]]:
    """Arm -> phase -> ``seconds`` or FLOPs (``spent``), over all rounds and seeds, in the order of `order`.

    The dense run is separate from the ticket's rounds; a sweep is listed by width.
    """
    total: dict[str, dict[str, float]] = {}
    swept = {place: swept_name(results, width) for width, place in results.widths}
    for cell in results.all:
        arm = swept[cell.round] if cell.arm == WIDTH else _told_name(cell.arm, cell.round)
        phases = total.setdefault(arm, {})
        for phase, value in getattr(cell, kind).items():
            phases[phase] = phases.get(phase, 0.0) + value
    return total


def swept_name(results: RunResults, width: int | None) -> str:
    """A sweep's arm: the keyword that is varied, and its value."""
    return f"{results.search.widen} {width}"


def _told_name(arm: str, round: int) -> str:
    return FORK if kind_of(arm).name == FORK else reported_as(arm, round)


def _cost(
    results: RunResults, arm: str, round: int, done: Sequence[Result], search: Mapping[int, Mapping[str, Any]]
) -> ArmCost:
    told = _told_name(arm, round)
    width = {place: wide for wide, place in results.widths}.get(round) if arm == WIDTH else None
    seconds, spent = (_means([getattr(cell, kind) for cell in done]) for kind in ("seconds", "spent"))
    uncounted = uncounted_in(done)
    channels = [_sums(cell.channels) for cell in done if cell.channels]
    memory = [cell.memory for cell in done if cell.memory is not None]
    energy = [cell.energy for cell in done if cell.energy is not None]
    return ArmCost(
        told,
        round,
        swept_name(results, width) if arm == WIDTH else arm_name(told),
        len(done),
        _mean([cell.trained for cell in done]),
        done[0].selection,
        _means([cell.weights for cell in done]),
        (_mean([kept for kept, _ in channels]), _mean([of for _, of in channels])) if channels else None,
        _means([cell.flops for cell in done]),
        seconds,
        spent,
        max(memory, default=None),
        _mean(energy) if energy else None,
        _whole(told, seconds, spent, uncounted, search.get(round)),
        uncounted,
    )


def uncounted_in(results: Iterable[Result]) -> dict[str, tuple[str, ...]]:
    """Phase -> operators in it of which no count is known, over results."""
    found: dict[str, set[str]] = {}
    for result in results:
        for phase, names in result.uncounted.items():
            found.setdefault(phase, set()).update(names)
    return {phase: tuple(sorted(names)) for phase, names in found.items()}


def _whole(
    arm: str, seconds: Mapping[str, float], spent: Mapping[str, float], uncounted: Mapping[str, Any],
    search: Mapping[str, Any] | None,
) -> dict[str, float | None]:  # fmt: skip
    """The training's seconds and FLOPs, with those of the search where the arm rests on it; None where unknown."""
    if kind_of(arm).of_transfer:  # it rests on the search of another run, of which nothing is known here
        return {"seconds": None, "flops": None}
    found: dict[str, float | None] = {}
    rests = kind_of(arm).rests_on_search
    for unit, phases in (("seconds", seconds), ("flops", spent)):
        # What prepares a ticket in its own round is search, and counted there.
        needed = [phase for phase in phases if phase not in ASIDE and (arm != "ticket" or phase == "train")]
        before = (search[unit] if search else None) if rests else 0.0
        known = needed and before is not None and not (unit == "flops" and any(map(uncounted.get, needed)))
        found[unit] = math.fsum([*map(phases.__getitem__, needed), before or 0.0]) if known else None
    return found


def _needed(level: LevelCost) -> dict[str, float | None]:
    """Seconds and FLOPs of a level's search, without evaluating and storing."""
    phases = [cost for phase, cost in level.phases.items() if phase not in ASIDE]
    flops = [cost.exact for cost in phases if cost.exact is not None]
    return {
        "seconds": math.fsum(cost.seconds for cost in phases),
        "flops": math.fsum(flops) if len(flops) == len(phases) else None,
    }


def _sums(channels: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    return sum(kept for kept, _ in channels.values()), sum(of for _, of in channels.values())


def _means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in found for name in one)
    return {name: _mean([one[name] for one in found if name in one]) for name in names}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
