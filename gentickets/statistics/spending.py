"""Spending: how alpha is shared among the interim analyses of a claim, at n, 2 n, 4 n, ... seeds.

By linear spending (Lan and DeMets, 1983) a test of size ``a`` may err at ``a / 2`` in the first of two analyses and at
``a`` in both; "late" spends as O'Brien and Fleming's (1979) bounds do, little at first. As later analyses hold the
earlier ones' seeds, the second may test at more than what is left: how much more is calibrated for t tests
(`spending_table`), for which the normal theory's sizes are too large. Where the table has no row, or test images count
as a sample, each analysis tests at what it may spend itself (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from gentickets.errors import TicketError
from gentickets.statistics.spending_table import SIZES, TABLE

Array = NDArray[np.float64]

LINEAR, LATE = "linear", "late"
KINDS = (LINEAR, LATE)


@dataclass(frozen=True)
class Spending:
    """The interim analyses of a claim: how many, from how many seeds on, and how they share alpha.

    Example:
        >>> Spending(5, 2).nominal(0.05).round(4)
        array([0.025 , 0.0327])

    Raises:
        TicketError: no seeds, no analyses, or an unknown kind.
    """

    seeds: int
    """At the first analysis."""
    analyses: int = 2
    kind: str = LINEAR
    calibrated: bool = True
    """Whether the table is used; where not, Bonferroni's shares."""

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.analyses < 1:
            raise TicketError(
                f"a claim has 1 interim analysis or more of 1 seed or more, not {self.analyses} of {self.seeds}"
            )
        if self.kind not in KINDS:
            raise TicketError(f'spending is "linear" or "late", not {self.kind!r}')

    def sizes(self) -> tuple[int, ...]:
        """The numbers of seeds of all analyses."""
        return tuple(self.seeds * 2**number for number in range(self.analyses))

    def taken(self, present: int) -> tuple[int, ...]:
        """The numbers of seeds of the analyses that so many seeds fill."""
        return tuple(size for size in self.sizes() if size <= present)

    def nominal(self, alpha: ArrayLike) -> Array:
        """The sizes (..., analyses) of the single tests at each analysis of a test of size ``alpha`` (...)."""
        logs, grid = self._grid()
        wanted = np.log(np.clip(np.asarray(alpha, dtype=float), SIZES[0], SIZES[-1]))
        found = [np.exp(np.interp(wanted, logs, one)) for one in grid]
        short = np.minimum(np.asarray(alpha, dtype=float) / SIZES[0], 1.0)  # below the table: smaller still
        nominal: Array = np.stack(found, -1) * short[..., None] ** 2
        return nominal

    def repeated(self, p: ArrayLike) -> Array:
        """The repeated p-values (...) of p-values (..., analyses so far): the smallest size at which one rejects.

        What an analysis has shown stays shown (Jennison and Turnbull, 1989). Without any analysis 1.
        """
        values = np.asarray(p, dtype=float)
        logs, grid = self._grid()
        found = np.ones(values.shape[:-1])
        for place in range(values.shape[-1]):
            one = values[..., place]
            with np.errstate(divide="ignore"):
                size = np.exp(np.interp(np.log(one), grid[place], logs))
            found = np.minimum(found, np.where(one <= np.exp(grid[place][-1]), size, 1.0))
        return found

    def _grid(self) -> tuple[Array, list[Array]]:
        return _grid(self.seeds, self.analyses, self.kind, self.calibrated)


def spent(alpha: ArrayLike, time: float, kind: str = LINEAR) -> Array:
    """How much of ``alpha`` may have been spent when a part ``time`` (0 to 1) of all seeds is in."""
    size = np.asarray(alpha, dtype=float)
    if kind == LINEAR:
        return size * time
    found: Array = 2 * special.ndtr(special.ndtri(size / 2) / np.sqrt(time))
    return found


def shares(alpha: ArrayLike, analyses: int, kind: str = LINEAR) -> Array:
    """What each of the analyses at n, 2 n, 4 n, ... seeds may spend (..., analyses): its size by Bonferroni."""
    times = [2.0 ** (number - analyses + 1) for number in range(analyses)]
    total = np.stack([spent(alpha, time, kind) for time in times], -1)
    return np.diff(total, axis=-1, prepend=0.0)


@lru_cache(maxsize=64)
def _grid(seeds: int, analyses: int, kind: str, calibrated: bool) -> tuple[Array, list[Array]]:
    """Logarithms of test sizes, and of each analysis' nominal sizes at those; both rise."""
    sizes = np.array(SIZES)
    nominal = shares(sizes, analyses, kind)
    rows = TABLE.get((kind, analyses), {}) if calibrated else {}
    if known := [n for n in rows if n <= seeds]:
        # what a row says of fewer seeds is smaller than what more would allow
        nominal[:, 1:] = np.array(rows[max(known)]) * sizes[:, None]
    return np.log(sizes), [np.maximum.accumulate(np.log(nominal[:, place])) for place in range(analyses)]
