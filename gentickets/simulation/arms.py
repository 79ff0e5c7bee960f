"""Arms of known distributions: worlds that say what is true of a ticket, and runs drawn from them.

A world says how good every arm truly is, as a multiple of the dense model, how far seeds scatter and how much of that
the arms of a seed share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError, nearest
from gentickets.seeds import derive
from gentickets.statistics import EQUAL_STEPS, FASTER, WINS, Values, decide, shown

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]

DISTRIBUTIONS = ("normal", "log-normal", "t")


@dataclass(frozen=True)
class Level:
    """How good the arms of one level truly are: means as multiples of the dense model's, less being better."""

    ticket: float
    controls: Mapping[str, float]
    dense: float = 1.0
    """Another one only where all arms are trained longer."""
    scatter: Mapping[str, float] = field(default_factory=dict)
    """Arm ("ticket" or a control) -> its scatter as a multiple of the world's; 1 where not given."""

    def wins(self, margin: float) -> bool:
        """Whether the ticket truly is worse than dense by less than the margin and better than every control."""
        others = [self.dense * (1 + margin), *self.controls.values()]
        return bool(self.controls) and self.ticket < min(others) * (1 - 1e-12)


@dataclass(frozen=True)
class World:
    """All levels of a claim, how seeds scatter, and what the arms of a seed have in common.

    Raises:
        TicketError: an unknown distribution, or a number out of its range.
    """

    levels: tuple[Level, ...]
    longer: Level | None = None
    """The declared level with all arms trained longer; None: not tried."""
    declared: int = 0
    cv: float = 0.03
    """Standard deviation over seeds, as a fraction of an arm's mean."""
    correlation: float = 0.5
    """Of any two arms over seeds: data order and initialization that they share."""
    distribution: str = "normal"
    """One of `DISTRIBUTIONS`: normal, skewed ("log-normal") or with heavy tails ("t": bad seeds are bad for all)."""
    freedom: float = 3.0
    """Degrees of freedom of "t"."""

    def __post_init__(self) -> None:
        if self.distribution not in DISTRIBUTIONS:
            hint = nearest(self.distribution, DISTRIBUTIONS)
            raise TicketError(f"there is no distribution '{self.distribution}' of arms. {hint}")
        if not 0 <= self.declared < len(self.levels):
            raise TicketError(f"the declared level is number {self.declared}, of {len(self.levels)} counted from 0")
        if self.cv < 0 or not 0 <= self.correlation <= 1 or self.freedom <= 2:
            raise TicketError("arms need cv >= 0, a correlation between 0 and 1 and more than 2 degrees of freedom")

    def false_wins(self, words: Words, margin: float) -> Flags:
        """Whether any level is called winning and is not: words (..., levels) -> (...).

        FASTER counts as well, for it says that the ticket wins at equal steps; WINS where the declared level was
        trained longer is also false when that win is gone.
        """
        found = np.zeros(words.shape[:-1], dtype=bool)
        for place, level in enumerate(self.levels):
            own = words[..., place]
            if not level.wins(margin):
                found |= np.isin(own, (WINS, EQUAL_STEPS, FASTER))
            elif place == self.declared and self.longer is not None and not self.longer.wins(margin):
                found |= own == WINS
        return found

    def _table(self) -> tuple[Array, Array]:
        """Means and scatter of all arms: the dense model, each level's ticket and controls, the longer ones."""
        means, scatter = [1.0], [1.0]
        extra = [({"dense": self.longer.dense}, self.longer)] if self.longer else []
        for dense, level in [*(({}, level) for level in self.levels), *extra]:
            for name, mean in {**dense, "ticket": level.ticket, **level.controls}.items():
                means.append(mean)
                scatter.append(level.scatter.get(name, 1.0))
        return np.array(means), self.cv * np.array(scatter)


@dataclass(frozen=True)
class Runs:
    """Runs drawn from a world: arrays (runs, seeds)."""

    levels: tuple[Values, ...]
    longer: Values | None
    declared: int

    def some(self, rows: Flags | slice, seeds: int) -> Runs:
        """The first seeds of some of them."""

        def cut(one: Values) -> Values:
            controls = {name: arm[rows, :seeds] for name, arm in one.controls.items()}
            return Values(one.ticket[rows, :seeds], one.dense[rows, :seeds], controls)

        return Runs(tuple(map(cut, self.levels)), cut(self.longer) if self.longer else None, self.declared)

    def words(self, margin: float, alpha: float) -> Words:
        """The verdict's words, (runs, levels)."""
        levels = [shown(one, margin) for one in self.levels]
        longer = shown(self.longer, margin) if self.longer else None
        return decide(levels, alpha, longer=longer, declared=self.declared).words


def draw_runs(world: World, runs: int, seeds: int, seed: int = 0) -> Runs:
    """Draw so many runs of a world; equal arguments give equal runs.

    An arm's value is its mean times 1 + cv e, or the log-normal of the same mean and standard deviation; e has
    variance 1, and shares the part of it with the seed's other arms which makes their correlation (of the logarithms).
    """
    means, cv = world._table()
    rng = np.random.default_rng(derive(seed, "arms"))
    shared = rng.standard_normal((1, runs, seeds))
    scores = rng.standard_normal((len(means), runs, seeds))
    scores = np.sqrt(world.correlation) * shared + np.sqrt(1 - world.correlation) * scores
    return _arranged(world, _spread(world, scores, cv, rng) * means[:, None, None])


def typical(world: World, seeds: int, seed: int = 0) -> Runs:
    """One run whose means and covariances over seeds are exactly those of the world, in arrays (seeds).

    Only of normal arms, and only with more seeds than the world has arms.
    """
    means, cv = world._table()
    if world.distribution != "normal" or seeds <= len(means):
        raise TicketError(f"a typical run needs normal arms and more than {len(means)} seeds, the number of arms")
    scores = np.random.default_rng(derive(seed, "typical arms")).standard_normal((len(means), seeds))
    scores -= scores.mean(-1, keepdims=True)
    scores = np.linalg.solve(np.linalg.cholesky(np.cov(scores)), scores)
    size = len(means)
    wanted = world.correlation * np.ones((size, size)) + (1 - world.correlation) * np.eye(size)
    scores = np.linalg.cholesky(wanted + 1e-12 * np.eye(size)) @ scores
    return _arranged(world, means[:, None] * (1 + cv[:, None] * scores))


def _spread(world: World, scores: Array, cv: Array, rng: np.random.Generator) -> Array:
    """Multiples of the means (arms, ...) from standard normal scores; ``cv`` (arms)."""
    wide = cv.reshape(-1, *[1] * (scores.ndim - 1))
    if world.distribution == "log-normal":
        variance = np.log1p(wide**2)
        return np.exp(np.sqrt(variance) * scores - variance / 2)
    if world.distribution == "t":
        tails = rng.chisquare(world.freedom, (1, *scores.shape[1:]))
        scores = scores * np.sqrt((world.freedom - 2) / tails)
    return 1 + wide * scores


def _arranged(world: World, arms: Array) -> Runs:
    """The arms (arms, ...), in the order of the world's own list, as levels."""
    place = 1

    def taken(level: Level, dense: Array) -> Values:
        nonlocal place
        names = ["ticket", *level.controls]
        own = dict(zip(names, arms[place : place + len(names)], strict=True))
        place += len(names)
        return Values(own.pop("ticket"), dense, own)

    levels = tuple(taken(level, arms[0]) for level in world.levels)
    if world.longer is None:
        return Runs(levels, None, world.declared)
    place += 1
    return Runs(levels, taken(world.longer, arms[place - 1]), world.declared)
