"""Compares two arms over paired seeds by a t test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gentickets.analysis.text.format import Spread
from gentickets.statistics import LEAST_SEEDS, bootstrap_interval, less, p_below, upper_bound

ALPHA = 0.05
"""The size of a single test, where nothing else is declared."""
BOOTSTRAP_SEEDS = 10
"""With fewer, a bootstrap interval is too narrow to be told."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A paired contrast over seeds, and its test: by how much the first is worse; below zero it is better."""

    mean: float
    se: float
    """Standard error of the mean; infinite for a single seed."""
    n: int
    p: float
    """One-sided: the chance of a mean this low if the true one were zero."""
    size: float = ALPHA
    """At which it is tested."""
    bound: float
    """The one-sided t bound of the mean, from above, at 1 - size; infinite for a single seed."""
    low: float
    """Ends of the two-sided 95 % t interval; infinite for a single seed."""
    high: float
    losses: tuple[float, ...] = ()
    """What it is of: one number a seed, by seed."""

    @staticmethod
    def of(losses: NDArray[np.float64], size: float = ALPHA) -> Contrast | None:
        """The contrast of losses (seeds); None without any (Student, 1908).

        The bound is mean + t(1 - size, n - 1) se, and the mean itself where every seed gives the same.
        """
        n = losses.size
        if not n:
            return None
        return Contrast(
            mean=math.fsum(losses) / n,
            se=float(losses.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf,
            n=n,
            p=float(p_below(losses)),
            size=size,
            bound=float(upper_bound(losses, size)),
            low=-float(upper_bound(-losses, ALPHA / 2)),
            high=float(upper_bound(losses, ALPHA / 2)),
            losses=tuple(losses.tolist()),
        )

    @cached_property
    def bootstrap(self) -> tuple[float, float] | None:
        """Ends of the bias-corrected bootstrap interval; None under `BOOTSTRAP_SEEDS` seeds."""
        return bootstrap_interval(self.losses) if self.n >= BOOTSTRAP_SEEDS else None

    @property
    def outcome(self) -> str:
        """``better``, ``worse``, or ``no clear difference``, by the 95 % interval."""
        if self.n < LEAST_SEEDS or self.low <= 0 <= self.high:
            return "no clear difference"
        return "better" if self.high < 0 else "worse"


def paired(
    first: Mapping[int, float], second: Mapping[int, float], *, higher: bool = False, alpha: float = ALPHA
) -> Contrast | None:
    """Compare two arms (seed -> value) over the seeds that both have; None without one.

    The loss of a seed is first minus second, and second minus first where `higher` is better.
    """
    return Contrast.of(losses_of(first, second, higher), alpha)


def losses_of(first: Mapping[int, float], second: Mapping[int, float], higher: bool) -> NDArray[np.float64]:
    """The losses of seeds that both have, by seed: first minus second, and the other way where ``higher`` is better."""
    seeds = sorted(first.keys() & second.keys())
    losses = less([first[seed] for seed in seeds], [second[seed] for seed in seeds])
    return -losses if higher else losses


def relative(loss: Contrast | None, reference: Spread | None) -> float | None:
    """A loss in percent of its reference; None where one of them is missing, or that mean is 0."""
    if loss is None or reference is None or reference.mean == 0:
        return None
    return 100 * loss.mean / abs(reference.mean)
