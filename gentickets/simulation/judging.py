"""Verdicts of simulated runs: how often is a ticket called winning that is not?

Runs are drawn from a world by the thousand and judged by the very code that judges a real one. Beside it stand the
habits of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gentickets.seeds import derive
from gentickets.simulation.arms import Flags, Runs, Words, World, draw_runs
from gentickets.statistics import UNDECIDED, Values, look_sizes

Numbers = NDArray[np.int64]

MOST_SEEDS = 4
"""How many times the first look's seeds a rule of simulated runs asks for at most."""
_CHUNK = 1000
"""Runs drawn at a time."""


@dataclass(frozen=True)
class Verdicts:
    """What runs were called."""

    words: Words
    """(looks, runs, levels): after each look; a look that was not taken repeats the one before."""
    seeds: Numbers
    """(runs): how many seeds each had in the end."""


Rule = Callable[[Runs, float, float], Numbers]
"""(undecided runs, margin, alpha of a look) -> how many seeds each wants, at least one more."""


def doubled(runs: Runs, margin: float, alpha: float) -> Numbers:
    """Twice as many seeds."""
    count, seeds = runs.levels[0].dense.shape
    return np.full(count, 2 * seeds)


def as_needed(runs: Runs, margin: float, alpha: float) -> Numbers:
    """As many as the declared level's weakest part needs to be shown at 80 %, by the normal formula.

    That is (z(1 - alpha) + z(0.8))^2 over the squared effect, plus 1; four times as many at most. A cheap stand-in for
    `statistics.seeds_needed`.
    """
    one = runs.levels[runs.declared]
    seeds = one.dense.shape[-1]
    losses = [one.ticket - one.dense - margin * np.abs(one.dense)]
    losses += [one.ticket - arm for arm in one.controls.values()]
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.maximum.reduce([loss.mean(-1) / loss.std(-1, ddof=1) for loss in losses])
        needed = ((special.ndtri(1 - alpha) + special.ndtri(0.8)) / effect) ** 2 + 1
    needed = np.where(effect < 0, needed, np.inf)
    wanted: Numbers = np.ceil(np.clip(needed, seeds + 1, MOST_SEEDS * seeds)).astype(np.int64)
    return wanted


def run_verdicts(
    world: World,
    seeds: int,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
    looks: int = 2,
    rule: Rule = as_needed,
    scheduled: bool = True,
    runs: int = 10_000,
    seed: int = 0,
) -> Verdicts:
    """Judge runs of a world: at ``seeds`` seeds and, while the declared level is undecided, again with more.

    Each look tests at ``alpha / looks``, as a claim that declares so many looks does. ``rule`` says how many seeds an
    undecided run wants next; it gets the first of the `look_sizes` that is as many, or the last. ``scheduled=False``
    gives it what it wants, 4 ``seeds`` at most, to show what that does.
    """
    sizes = np.array(look_sizes(seeds, looks)) if scheduled else np.arange(seeds, MOST_SEEDS * seeds + 1)
    words, ends = [], []
    for start in range(0, runs, _CHUNK):
        drawn = draw_runs(world, min(_CHUNK, runs - start), int(sizes[-1]), derive(seed, "runs", start))
        found = [drawn.some(slice(None), seeds).words(margin, alpha / looks)]
        number = np.full(len(found[0]), seeds)
        for _ in range(looks - 1):
            going = (found[-1][:, world.declared] == UNDECIDED) & (number < sizes[-1])
            number = _asked(drawn, going, number, sizes, lambda some: rule(some, margin, alpha / looks))
            again = found[-1].copy()
            for now in np.unique(number[going]):
                rows = going & (number == now)
                again[rows] = drawn.some(rows, now).words(margin, alpha / looks)
            found.append(again)
        words.append(np.stack(found))
        ends.append(number)
    return Verdicts(np.concatenate(words, 1), np.concatenate(ends))


def _asked(drawn: Runs, going: Flags, number: Numbers, sizes: Numbers, rule: Callable[[Runs], Numbers]) -> Numbers:
    """The numbers of seeds after those that go on have been asked for more: one of ``sizes``."""
    asked = number.copy()
    for before in np.unique(number[going]):
        rows = going & (number == before)
        wanted = np.maximum(rule(drawn.some(rows, before)), before + 1)
        asked[rows] = sizes[np.minimum(np.searchsorted(sizes, wanted), len(sizes) - 1)]
    return asked


def within_one_deviation(values: Values) -> Flags:
    """The field's habit: winning is a mean of at most the dense mean plus one standard deviation of dense."""
    found: Flags = values.ticket.mean(-1) <= values.dense.mean(-1) + values.dense.std(-1, ddof=1)
    return found


def best_of_levels(levels: Sequence[Values]) -> Flags:
    """The field's other habit: some level is within one standard deviation of dense, and that one is shown."""
    found: Flags = np.logical_or.reduce([within_one_deviation(one) for one in levels])
    return found
