"""Averages of a task's own figures over a split: reconstruction error, negative ELBO and its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gentickets.data import Images
from gentickets.errors import Status, TicketError
from gentickets.metrics import declare
from gentickets.seeds import derive
from gentickets.tasks.base import Task
from gentickets.untouched import untouched

BLOCK = 256
"""Images that share one draw. Fixed, so that an image's noise does not depend on the chunk size."""


def averages(task: Task, images: Images, *, seed: int, chunk: int = BLOCK) -> dict[str, float]:
    """Mean of each of the task's per-image figures over a split, summed in float64.

    Evaluation mode; the task and the global random state are put back exactly. Draws follow from ``seed`` and
    the block of 256 images alone, so every arm sees the same noise. ``chunk`` is how many images go through
    the networks at once (at most 256) and changes a figure by rounding only. Raises TicketError: status
    DIVERGED naming the figure that is not finite, and a sentence where a figure is not one number per image.
    """
    values = of_single_images(task, images, seed=seed, chunk=chunk)
    return {name: mean_of(parts) for name, parts in values.items()}


def mean_of(parts: Sequence[Tensor]) -> float:
    """The mean over all images, which come in parts (n), summed in float64 part by part."""
    total = 0.0
    for part in parts:  # not by sum(), whose rounding depends on Python's version
        total += float(part.double().sum())
    return total / sum(len(part) for part in parts)


def of_single_images(task: Task, images: Images, *, seed: int, chunk: int = BLOCK) -> dict[str, list[Tensor]]:
    """The values that `averages` takes the mean of: figure -> tensors on the CPU, which together hold one number per
    image, in the order of the split. Everything else is as there.
    """
    if chunk < 1:
        raise TicketError(f"chunk is the number of images that go through the networks at once, not {chunk}")
    if images.n == 0:
        raise TicketError("the split has no images to average over")
    found: dict[str, list[Tensor]] = {}
    with untouched(task, derive(seed, "figures", "global")):
        for block, batch in enumerate(images.chunks(BLOCK)):
            rng = torch.Generator(task.device).manual_seed(derive(seed, "figures", block))
            draw = task.draw(len(batch), rng)
            for start in range(0, len(batch), chunk):
                part = batch[start : start + chunk].to(task.device)
                for name, values in task.figures(part, draw.part(start, chunk)).items():
                    found.setdefault(name, []).append(_checked(name, values, len(part)))
    declare(found, task.better)
    return found


def _checked(name: str, values: Tensor, n: int) -> Tensor:
    if values.shape != (n,):
        message = f"figure '{name}' has shape {tuple(values.shape)}; it must be one number per image, ({n},)"
        raise TicketError(message)
    own = values.detach().cpu()  # not every device has float64, in which sums are taken (Trap 37)
    if not math.isfinite(float(own.double().sum())):
        raise TicketError(f"the figure '{name}' is not finite: the network has diverged", Status.DIVERGED)
    return own
