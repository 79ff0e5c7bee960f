"""Comparisons of a transferred ticket: against dense, and against each random ticket beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gentickets.analysis.contrast import ALPHA, Contrast, losses_of
from gentickets.analysis.text.format import Spread
from gentickets.statistics import LEAST_SEEDS


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The ticket against one control."""

    control: str
    arm: str
    """The arm that is compared: the control, or its scaled variant (see `analysis.comparison`)."""
    spread: Spread
    loss: Contrast
    """By how much the ticket is worse than the control."""

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough to say."""
        return self.loss.n >= LEAST_SEEDS

    @property
    def beaten(self) -> bool:
        """Whether the ticket is shown to be better."""
        return self.tested and self.loss.bound < 0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Ticket, dense and controls after equal steps."""

    ticket: Spread
    dense: Spread
    loss: Contrast
    """By how much the ticket is worse than the dense model."""
    beyond: Contrast
    """The same less the margin, seed by seed, so that the scatter of the dense mean is in it: what is tested."""
    limit: float
    """The margin in the metric's unit."""
    controls: tuple[Comparison, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Control -> why it is not compared."""

    @property
    def bound(self) -> float:
        """The one-sided bound of the loss by that test: the claim holds where it is under the limit."""
        return self.limit + self.beyond.bound

    @property
    def holds(self) -> bool:
        """Whether the bound of the paired loss is under the margin."""
        return self.bound < self.limit


def trial_of(
    ticket: Mapping[int, float], dense: Mapping[int, float], room: Mapping[int, float], *, higher: bool,
    alpha: float = ALPHA,
) -> Trial | None:  # fmt: skip
    """Compare a ticket with the dense model over the seeds that both have; None without one.

    ``room``: the margin in the metric's unit, for each of the dense model's seeds.
    """
    losses, of_ticket, of_dense = losses_of(ticket, dense, higher), Spread.of(ticket), Spread.of(dense)
    own = [room[seed] for seed in sorted(dense) if seed in ticket]
    loss, beyond = Contrast.of(losses, alpha), Contrast.of(losses - np.array(own), alpha)
    if loss is None or beyond is None or of_ticket is None or of_dense is None:
        return None
    return Trial(ticket=of_ticket, dense=of_dense, loss=loss, beyond=beyond, limit=math.fsum(own) / len(own))
