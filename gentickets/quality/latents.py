"""Latents: how many of them a model with a posterior uses."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from gentickets.data import Images
from gentickets.errors import Status, TicketError
from gentickets.quality.figures import BLOCK
from gentickets.tasks.base import Batch, Task
from gentickets.untouched import untouched

ACTIVE = 0.01
"""A latent is active when the variance of its posterior mean over the images is above this (Burda et al., 2016)."""


@runtime_checkable
class HasPosterior(Protocol):
    """What a family offers whose encoder gives a Gaussian posterior."""

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of each image's latents, (n, latent) each."""


class Latents(NamedTuple):
    """Latents that are active, of how many."""

    active: int
    of: int


def active_latents(task: Task, images: Images) -> Latents | None:
    """How many latents carry something of the images; None for a family without a posterior.

    One is active when the mean of its posterior varies over the images by more than 0.01 (Burda et al., 2016); one
    whose posterior stays at the prior has a mean that does not vary. Evaluation mode, without noise; the task is left
    as it was. Raises TicketError, status DIVERGED, for means that are not finite, and for fewer than two images.
    """
    if not isinstance(task, HasPosterior):
        return None
    if images.n < 2:
        raise TicketError(f"a variance over images needs at least 2 of them, not {images.n}")
    with untouched(task, 0):
        # by way of the CPU: not every device has float64 (Trap 37)
        parts = [task.posterior(batch.to(task.device))[0].flatten(1).cpu().double() for batch in images.chunks(BLOCK)]
    means = torch.cat(parts)
    if not torch.isfinite(means).all():
        raise TicketError("posterior means are not finite: the network has diverged", Status.DIVERGED)
    varying = means.var(dim=0) > ACTIVE
    return Latents(int(varying.sum()), means.shape[1])
