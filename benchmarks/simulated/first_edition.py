"""The verdict's rule of the first edition, for comparison: words that overlap, unions of tests without correction.

WINS needs a lead above 0, where "does as well" is a lead below a quarter of the margin; each word has its own Holm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gentickets.simulation import Level, Runs, World
from gentickets.statistics import (
    Arms,
    Terms,
    p_below,
)

Array = NDArray[np.float64]

WORDS = ("UNDECIDED", "LOSES", "HOLDS", "MATCHES", "WINS AT EQUAL STEPS", "FASTER", "WINS")
"""Places 2 to 6 say that the ticket holds, 4 to 6 that it leads; 1, 3 and 5 are blame."""
LEAD = 0.25


@dataclass(frozen=True)
class Shown:
    """p-values (runs)."""

    holds: Array
    worse: Array
    wins: Array
    as_well: Array
    """The least over controls that are not beaten, each with its own p of being beaten."""


def shown(arms: Arms, margin: float, alpha: float) -> Shown:
    room, loss = margin * np.abs(arms.dense), arms.ticket - arms.dense
    holds, worse = p_below(loss - room), p_below(room - loss)
    beaten = [p_below(arms.ticket - own) for own in arms.controls.values()]
    well = [p_below(own - arms.ticket - LEAD * room) for own in arms.controls.values()]
    open_still = [np.where(p > alpha, q, 1.0) for p, q in zip(beaten, well, strict=True)]
    return Shown(holds, worse, np.maximum.reduce([holds, *beaten]), np.minimum.reduce(open_still))


def codes(runs: Runs, terms: Terms) -> NDArray[np.int8]:
    """Words (runs, levels), as places in `WORDS`, at the share of alpha that one analysis has."""
    alpha, declared = terms.alpha / terms.analyses, runs.declared or 0
    found = [shown(one, terms.margin.size, alpha) for one in runs.levels]
    longer = None if runs.longer is None else shown(runs.longer, terms.margin.size, alpha)
    equal, holds = (holm(np.stack([getattr(one, name) for one in found], -1)) for name in ("wins", "holds"))
    whole = [one.wins for one in found]
    if longer is not None:
        whole[declared] = np.maximum(whole[declared], longer.wins)
    wins = holm(np.stack(whole, -1))
    words = []
    for place, one in enumerate(found):
        own = longer is not None and place == declared
        level = np.where(one.worse <= alpha, 1, 0)
        level = np.where(holds[:, place] <= alpha, np.where(one.as_well <= alpha, 3, 0), level)
        level = np.where((equal if longer is None or own else wins)[:, place] <= alpha, 4, level)
        if own and longer is not None:
            gone = (longer.worse <= alpha) | (longer.as_well <= alpha)
            level = np.where((level == 4) & gone, 5, level)
            level = np.where(wins[:, place] <= alpha, 6, level)
        words.append(level)
    return np.stack(words, -1).astype(np.int8)


def wrong(world: World, place: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which words of a level say more good, and which more bad than is true, in the words' own terms."""
    level, longer = world.levels[place], world.longer if place == world.declared else None
    holds, behind = level.loss >= 0, not _leads(level)
    lost = longer is not None and (longer.loss >= 0 or not _leads(longer))
    good = [False, False, holds, holds, holds or behind, holds or behind, holds or behind or lost]
    none_as_well = min(level.leads) >= 0
    kept = longer is None or (longer.loss <= 0 and min(longer.leads) >= 0)
    return np.array(good), np.array([False, level.loss <= 0, False, none_as_well, False, kept, False])


def _leads(level: Level) -> bool:
    """Whether the ticket is ahead of every control at all."""
    return min(level.leads) + LEAD > 0


def holm(p: ArrayLike) -> Array:
    """Adjusted p-values over the last axis (Holm, 1979): at most alpha of them are, if any false one is, below alpha.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection at most alpha, however
    the tests depend on each other.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, axis=-1, kind="stable")
    factors = np.arange(values.shape[-1], 0, -1)
    steps = np.maximum.accumulate(np.take_along_axis(values, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(steps, 1.0), -1)
    return adjusted
