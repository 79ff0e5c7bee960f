"""Margins: how much worse a ticket may be than dense, and how far ahead of a control it must be, seed by seed.

Both are linear in the dense model's value, so that a test on the mean of ``ticket - dense - room(dense)`` is exactly a
test on the means that the documents speak of. All values are in coordinates in which less is better: where more of a
metric is better, values and floor come negated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gentickets.errors import TicketError

Array = NDArray[np.float64]

ABSOLUTE, SHARE = "absolute", "share"
UNITS = (ABSOLUTE, SHARE, None)
LEAD = 0.25
"""What counts as a lead over a control unless the claim says otherwise, as a part of the margin."""
NEAR_FLOOR = 0.25
"""A share is refused where the dense model's distance to the floor scatters by more than this part of its mean."""


@dataclass(frozen=True)
class Margin:
    """The margin of a claim and the lead that counts, in one unit.

    ``absolute``: in the metric's unit. ``share``: of the dense model's distance to ``floor``, seed by seed. None: of
    the dense model's size, ``size |d|``, as claims without a unit declare it.

    Example:
        >>> Margin(0.05, "share", floor=80.0).room_of([100.0, 120.0])
        array([1., 2.])

    Raises:
        TicketError: an unknown unit, a share without a floor, a size that is not above 0, a lead below 0.
    """

    size: float = 0.05
    unit: str | None = SHARE
    floor: float | None = None
    """The best value that the metric can have, less being better; only for a share."""
    lead: float | None = None
    """What counts as a lead over a control, in the margin's unit; None: a quarter of the margin."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise TicketError(f'a margin\'s unit is "absolute" or "share", not {self.unit!r}')
        if self.unit == SHARE and self.floor is None:
            raise TicketError('a margin in shares needs the metric\'s floor; give it in its unit (unit = "absolute")')
        if not self.size > 0 or not (self.lead is None or self.lead >= 0):
            raise TicketError("a margin must be above 0, and a lead 0 or more")

    def room_of(self, dense: ArrayLike) -> Array:
        """The margin in the metric's unit, for every value of ``dense`` (...)."""
        return self.size * self._scale(dense)

    def lead_of(self, dense: ArrayLike) -> Array:
        """The lead that counts, in the metric's unit, for every value of ``dense`` (...)."""
        return (LEAD * self.size if self.lead is None else self.lead) * self._scale(dense)

    def refused(self, dense: ArrayLike) -> str | None:
        """Why these seeds' dense values (seeds) allow no share; None where they do."""
        if self.unit != SHARE or self.floor is None:
            return None
        distance = np.asarray(dense, dtype=float) - self.floor
        if not (distance > 0).all():
            return "a seed's dense model is at the metric's floor, or beyond it"
        if distance.size > 1 and distance.std(ddof=1) > NEAR_FLOOR * distance.mean():
            return "the dense model is so near to the metric's floor that a share of that distance says little"
        return None

    def _scale(self, dense: ArrayLike) -> Array:
        values = np.asarray(dense, dtype=float)
        if self.unit == ABSOLUTE:
            return np.ones_like(values)
        return values - self.floor if self.unit == SHARE and self.floor is not None else np.abs(values)
