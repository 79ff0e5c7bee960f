"""The cells of the grid: every value of every axis at a base point, all pairs of values, and the worst corners.

Truths stand on the edges of hypotheses, where false verdicts are most frequent; those of the last four are off them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import combinations, product

import numpy as np

from gentickets.simulation import Level, World
from gentickets.statistics import (
    Terms,
)

FAR = 5.0
"""Margins that a ticket is ahead of controls which play no part."""


def _far(count: int) -> tuple[float, ...]:
    return (FAR,) * count


def _one(loss: float, leads: Callable[[int], tuple[float, ...]]) -> Callable[[int, int], World]:
    return lambda levels, controls: World((Level(loss, leads(controls)),) * levels)


def _both(loss: float, lead: float, longer: tuple[float, float], others: Level | None = None) -> Callable[..., World]:
    def made(levels: int, controls: int) -> World:
        own, more = Level(loss, (lead,) * controls), Level(longer[0], (longer[1],) * controls)
        return World((own, *(others or own,) * (levels - 1)), longer=more)

    return made


def _alternating(levels: int, controls: int) -> World:
    two = (Level(0.0, _far(controls)), Level(-1.0, (0.0, *_far(controls - 1))))
    return World(tuple(two[place % 2] for place in range(levels)))


WORSE_ONES = Level(0.0, (FAR,))
TRUTHS: dict[str, tuple[str, Callable[[int, int], World]]] = {
    "margin": ("worse by exactly the margin, controls far behind", _one(0.0, _far)),
    "one lead": ("ahead of one control by exactly the lead", _one(-1.0, lambda k: (0.0, *_far(k - 1)))),
    "leads": ("ahead of every control by exactly the lead", _one(-1.0, lambda k: (0.0,) * k)),
    "alternating": ("levels in turn on the margin and on one lead", _alternating),
    "corner": (
        "on the margin and on every lead, the ticket scatters 2.5 times as far",
        lambda levels, k: replace(_one(0.0, lambda n: (0.0,) * n)(levels, k), scatter=2.5),
    ),
    "vanishing": (
        "wins at equal steps; trained longer on every lead; other levels on the margin",
        _both(-1.0, FAR, (-1.0, 0.0), WORSE_ONES),
    ),
    "fading": (
        "wins at equal steps; trained longer on the margin; other levels on the margin",
        _both(-1.0, FAR, (0.0, FAR), WORSE_ONES),
    ),
    "triple": (
        "on margin and leads, trained longer too; the ticket scatters 2.5 times as far",
        lambda levels, k: replace(_both(0.0, 0.0, (0.0, 0.0))(levels, k), scatter=2.5),
    ),
    "winner": ("as good as dense, ahead by three leads, also longer", _both(-1.0, 0.5, (-1.0, 0.5))),
    "head start": ("the same at equal steps; trained longer as its controls", _both(-1.0, 0.5, (-1.0, -0.25))),
    "tie": ("as good as dense and as all controls", _both(-1.0, -0.25, (-1.0, -0.25))),
    "loser": ("worse by 1.25 margins", _both(0.25, -0.25, (0.25, -0.25))),
}
"""Name -> what is true, and the world with so many levels and controls."""
EDGES = tuple(TRUTHS)[:8]
POWER = tuple(TRUTHS)[8:]


@dataclass(frozen=True)
class Cell:
    """One row of the tables."""

    truth: str = "alternating"
    seeds: int = 5
    controls: int = 4
    levels: int = 2
    analyses: int = 2
    correlation: float = 0.5
    distribution: str = "normal"
    spending: str = "linear"
    validation: bool = False
    """The level is left to validation: all levels weigh the same."""
    extreme: bool = False
    """The ticket log-normal by 100 %, the other arms scatter by a hundredth of that: what the guard is for."""

    @property
    def name(self) -> str:
        return " ".join(str(value) for value in asdict(self).values())

    @property
    def world(self) -> World:
        world = TRUTHS[self.truth][1](self.levels, self.controls)
        world = replace(world, correlation=self.correlation, distribution=self.distribution)
        if self.validation:
            world = replace(world, declared=None, longer=None)
        if self.extreme:
            world = replace(world, distribution="log-normal", skew=0.83, scatter=100.0, deviation=0.1)
        return world

    @property
    def terms(self) -> Terms:
        return Terms(self.world.margin, self.seeds, analyses=self.analyses, spending=self.spending)

    @property
    def unheld(self) -> str:
        """Why nothing is promised here; empty where it is."""
        if self.distribution == "disasters":
            return "rare disasters"
        if self.distribution == "log-normal" and self.world.scatter > 1 and not self.extreme:
            return "a skewed ticket that scatters 2.5 times as far as the others, under the guard's threshold"
        return ""


AXES: dict[str, tuple[object, ...]] = {
    "truth": tuple(TRUTHS),
    "seeds": (3, 5, 10, 20),
    "controls": (1, 4, 7),
    "levels": (1, 2, 5, 10),
    "analyses": (2, 1, 3),
    "correlation": (0.5, 0.0, 0.9),
    "distribution": ("normal", "log-normal", "coarse", "disasters"),
    "spending": ("linear", "late"),
}


def cells() -> list[Cell]:
    """All of them, each once."""
    found = [Cell(truth=name) for name in TRUTHS]
    for axis, values in AXES.items():
        found += [replace(Cell(truth=truth), **{axis: value}) for value in values for truth in ("margin", "leads")]
    found += [
        Cell(truth=truth, seeds=seeds, controls=controls, levels=levels)
        for truth, seeds, (controls, levels) in product(EDGES, (3, 20), ((1, 1), (7, 1), (7, 10)))
    ]
    found += [Cell(truth="one lead", seeds=seeds, levels=1, extreme=True) for seeds in (3, 5, 10)]
    found += [Cell(truth=truth, levels=levels, validation=True) for truth in ("margin", "leads") for levels in (2, 10)]
    found += [Cell(truth="one lead", seeds=seeds, levels=1, distribution="disasters") for seeds in (3, 5, 10, 20)]
    return list(dict.fromkeys([*found, *pairs()]))


def pairs(tries: int = 40) -> list[Cell]:
    """Cells in which every two values of two axes meet, by a greedy choice among random ones (seed 0)."""
    rng, names = np.random.default_rng(0), list(AXES)
    left = {((a, x), (b, y)) for a, b in combinations(names, 2) for x in AXES[a] for y in AXES[b]}
    found: list[Cell] = []
    while left:
        first = dict(min(left, key=str))
        tried = []
        for _ in range(tries):
            drawn = {name: values[rng.integers(len(values))] for name, values in AXES.items()} | first
            met = set(combinations([(name, drawn[name]) for name in names], 2)) & left
            tried.append((len(met), drawn, met))
        _, drawn, met = max(tried, key=lambda one: one[0])
        left -= met
        found.append(Cell(**drawn))  # type: ignore[arg-type]
    return found
