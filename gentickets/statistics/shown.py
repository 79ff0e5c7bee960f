"""Shown: what the seeds of one level show of a ticket, against the dense model and against each control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gentickets.statistics.paired import p_below

Array = NDArray[np.float64]


AS_WELL = 0.25
"""The part of the margin by which a control that does as well may be behind the ticket.

The margin is what a ticket may cost. A lead of its whole size over a control would be called none, and a claim that a
few seeds more would win would be over.
"""


ROUNDING = 1e-12
"""Relative differences up to this come from the order of sums, not from networks."""


@dataclass(frozen=True)
class Values:
    """What the arms of one level reached: arrays (..., seeds) with the seeds in one order, less being better."""

    ticket: Array
    dense: Array
    controls: Mapping[str, Array]
    """Control -> its values; None of them: nothing to win against."""


@dataclass(frozen=True)
class Shown:
    """One-sided p-values (...) of one level, before any correction; a small one shows what its name says."""

    holds: Array
    """The ticket is worse than dense by less than the margin."""
    worse: Array
    """It is worse by more than the margin."""
    beats: Mapping[str, Array]
    """Control -> the ticket is better."""
    as_well: Mapping[str, Array]
    """Control -> the control is worse than the ticket by less than a part of the margin: it does as well."""

    @property
    def wins(self) -> Array:
        """That the ticket holds and beats every control: the largest p of them all (Berger, 1982); 1 without any."""
        if not self.beats:
            return np.ones_like(self.holds)
        found: Array = np.maximum.reduce([self.holds, *self.beats.values()])
        return found

    def unbeaten(self, alpha: float) -> dict[str, NDArray[np.bool_]]:
        """Control -> whether it is shown to do as well, and not shown to be beaten."""
        return {name: (p > alpha) & (self.as_well[name] <= alpha) for name, p in self.beats.items()}


def shown(values: Values, margin: float) -> Shown:
    """Test one level; ``margin`` is a fraction of the dense model's value.

    The margin is taken seed by seed, ``ticket - dense - margin |dense|``, so that the scatter of the dense mean, of
    which it is a fraction, is in the test and not beside it. A value that is not finite shows nothing.
    """
    with np.errstate(invalid="ignore"):  # infinite less infinite
        room = margin * np.abs(values.dense)
        loss = less(values.ticket, values.dense)
        ahead = {name: less(values.ticket, own) for name, own in values.controls.items()}
        return Shown(
            holds=p_below(loss - room),
            worse=p_below(room - loss),
            beats={name: p_below(own) for name, own in ahead.items()},
            as_well={name: p_below(-own - AS_WELL * room) for name, own in ahead.items()},
        )


def less(first: ArrayLike, second: ArrayLike) -> Array:
    """First less second, and 0 where they differ by no more than rounding: a lead of one bit is none."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    with np.errstate(invalid="ignore"):
        difference: Array = one - other
        scale = np.maximum(np.abs(one), np.abs(other))
        rounding = np.isfinite(scale) & (np.abs(difference) <= ROUNDING * scale)
    return np.where(rounding, 0.0, difference)


def not_known(controls: Mapping[str, object], shape: tuple[int, ...] = ()) -> Shown:
    """A level that is unfinished, failed or has too few seeds: it shows nothing."""
    nothing = np.ones(shape)
    every = dict.fromkeys(controls, nothing)
    return Shown(nothing, nothing, every, every)
