"""Arms of known distributions: worlds that say what is true of a ticket, and runs drawn from them.

A world says where each level truly is: by how much of the margin the ticket is worse than it may be, and ahead of each
control by more than it must be. Which verdicts are false follows from that, on an edge those of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError, nearest
from gentickets.seeds import derive
from gentickets.statistics import (
    EQUAL_STEPS,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    VERDICTS,
    WINS,
    WORSE,
    Arms,
    Margin,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

DISTRIBUTIONS = ("normal", "log-normal", "coarse", "disasters")
DENSE, LONGER_DENSE = 100.0, 98.0
"""The dense model's mean, and that of its longer training."""
DISASTER_RATE, DISASTER = 0.05, 200.0
"""Of the ticket's seeds, and by how much such a seed is worse."""


@dataclass(frozen=True)
class Level:
    """What is true of one level, in margins."""

    loss: float
    """L: how much worse than the margin allows the ticket is; 0 on the edge, -1 as good as dense."""
    leads: tuple[float, ...] = ()
    """G of each control: how much further ahead of it than the lead the ticket is; 0 on the edge."""


@dataclass(frozen=True)
class World:
    """All levels of a claim, how seeds scatter, and what the arms of a seed have in common.

    Raises:
        TicketError: an unknown distribution, or a number out of its range.
    """

    levels: tuple[Level, ...]
    longer: Level | None = None
    """The declared level with all arms trained longer; None: no part of the claim."""
    declared: int | None = 0
    margin: Margin = field(default_factory=lambda: Margin(0.01, "share", floor=0.0))
    deviation: float = 0.35
    """Standard deviation of an arm over seeds, in the metric; the margin is 1."""
    correlation: float = 0.5
    """Of any two arms over seeds: data order and initialization that they share."""
    distribution: str = "normal"
    """One of `DISTRIBUTIONS`. Coarse values are multiples of the standard deviation. Of disasters 5 % of the ticket's
    seeds are three times as bad, with the others so much better that the mean is the same."""
    skew: float = 0.5
    """Standard deviation of a log-normal arm's logarithm."""
    scatter: float = 1.0
    """The ticket's standard deviation as a multiple of the other arms'."""

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            hint = nearest(self.distribution, DISTRIBUTIONS)
            raise TicketError(f"there is no distribution '{self.distribution}' of arms. {hint}")
        if self.declared is not None and not 0 <= self.declared < len(self.levels):
            raise TicketError(f"the declared level is number {self.declared}, of {len(self.levels)} counted from 0")
        if self.deviation < 0 or not 0 <= self.correlation <= 1:
            raise TicketError("arms need a deviation of 0 or more, and a correlation between 0 and 1")

    def wrong(self, place: int) -> tuple[Flags, Flags]:
        """Which verdicts of a level say more good, and which more bad of the ticket than is true (verdicts).

        On an edge both sides are false, so that the rates there bound those beside it.
        """
        level, longer = self.levels[place], self.longer if place == self.declared else None
        ahead = bool(level.leads) and min(level.leads) > 0
        good = {UNDECIDED: False, WORSE: False} | dict.fromkeys(VERDICTS[2:], level.loss >= 0)
        good |= {one: good[one] or not ahead for one in (EQUAL_STEPS, HEAD_START, WINS)}
        bad = dict.fromkeys(VERDICTS, False) | {WORSE: level.loss <= 0}
        bad[NO_BETTER] = not level.leads or min(level.leads) >= 0
        if longer is not None:
            good[WINS] |= longer.loss >= 0 or min(longer.leads) <= 0
            bad[HEAD_START] = longer.loss <= 0 and min(longer.leads) >= 0
        return np.array([good[one] for one in VERDICTS]), np.array([bad[one] for one in VERDICTS])

    def truth(self, place: int) -> int:
        """The verdict that is true of a level, as its place in `VERDICTS`; off the edges there is exactly one."""
        level, longer = self.levels[place], self.longer if place == self.declared else None
        if level.loss > 0:
            return VERDICTS.index(WORSE)
        if not level.leads:
            return VERDICTS.index(MATCHES)
        if min(level.leads) <= 0:
            return VERDICTS.index(NO_BETTER)
        if longer is None:
            return VERDICTS.index(EQUAL_STEPS)
        return VERDICTS.index(WINS if longer.loss <= 0 and min(longer.leads) > 0 else HEAD_START)


@dataclass(frozen=True)
class Runs:
    """Runs drawn from a world: arms in arrays (runs, seeds)."""

    levels: tuple[Arms, ...]
    longer: Arms | None
    declared: int | None

    def first(self, seeds: int) -> Runs:
        """The first seeds of all of them."""

        def cut(one: Arms) -> Arms:
            controls = {name: arm[:, :seeds] for name, arm in one.controls.items()}
            return Arms(one.ticket[:, :seeds], one.dense[:, :seeds], controls)

        return Runs(tuple(map(cut, self.levels)), cut(self.longer) if self.longer else None, self.declared)


def draw_runs(world: World, runs: int, seeds: int, seed: int = 0) -> Runs:
    """Draw so many runs of a world; equal arguments give equal runs."""
    rng = np.random.default_rng(derive(seed, "arms"))
    shared = np.sqrt(world.correlation) * rng.standard_normal((runs, seeds))

    def noise() -> Array:
        scores: Array = shared + np.sqrt(1 - world.correlation) * rng.standard_normal((runs, seeds))
        if world.distribution != "log-normal":
            return scores * world.deviation
        variance = world.skew**2
        found: Array = (np.exp(world.skew * scores - variance / 2) - 1) / np.sqrt(np.expm1(variance))
        return found * world.deviation

    def drawn(level: Level, mean: float, dense: Array) -> Arms:
        room, lead = float(world.margin.room_of(mean)), float(world.margin.lead_of(mean))
        of_ticket = mean + room * (1 + level.loss)
        ticket = of_ticket + world.scatter * noise()
        if world.distribution == "disasters":
            ticket = ticket + DISASTER * ((rng.random((runs, seeds)) < DISASTER_RATE) - DISASTER_RATE)
        controls = [of_ticket + lead + room * one + noise() for one in level.leads]
        return Arms(coarse(ticket), coarse(dense), {f"control {n}": coarse(one) for n, one in enumerate(controls)})

    def coarse(values: Array) -> Array:
        step = world.deviation
        found: Array = np.round(values / step) * step if world.distribution == "coarse" else values
        return found

    dense = DENSE + noise()
    levels = tuple(drawn(level, DENSE, dense) for level in world.levels)
    longer = drawn(world.longer, LONGER_DENSE, LONGER_DENSE + noise()) if world.longer else None
    return Runs(levels, longer, world.declared)
