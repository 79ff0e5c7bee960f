"""Pairs: sets of features, checked, and taken a block of rows at a time where all pairs are looked at."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.metrics import metric

CELLS = 1 << 23
"""Pairs that are held at once: 64 MiB in float64."""
SPREAD = (2, 2)
"""How many samples and real images it takes to see their ``spread``, which shows a collapse and is no metric."""


def require(figure: str, samples: int, real: int) -> None:
    """Raise TicketError, naming figure and number, where there are too few samples or real images for it."""
    least = SPREAD if figure == "spread" else metric(figure).least
    for found, wanted, what in zip((samples, real), least, ("samples", "real images"), strict=True):
        if found < wanted:
            raise TicketError(f"{figure} needs at least {wanted} {what}, not {found}")


def checked_features(features: Tensor, what: str) -> Tensor:
    """The features as float64 on the CPU; TicketError unless they are (n, d) and finite.

    Every figure passes here before any linear algebra sees a value (Trap 30a).
    """
    if features.dim() != 2:
        raise TicketError(f"{what} have features of shape {tuple(features.shape)}, not (n, d)")
    if not torch.isfinite(features).all():
        raise TicketError(f"{what} have features that are not finite: the network has diverged", Status.DIVERGED)
    return features.detach().cpu().double()


def checked_pair(fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """`checked_features` of samples and of real images, which must have as many features."""
    fakes, reals = checked_features(fake, "samples"), checked_features(real, "real images")
    if fakes.shape[1] != reals.shape[1]:
        raise TicketError(f"{fakes.shape[1]} features cannot be compared with {reals.shape[1]}")
    return fakes, reals


def rows(features: Tensor, against: int) -> Iterator[slice]:
    """Blocks of rows of (n, d), so that each, paired with ``against`` others, makes at most `CELLS` pairs."""
    size = max(1, CELLS // max(1, against))
    return (slice(start, min(start + size, len(features))) for start in range(0, len(features), size))
