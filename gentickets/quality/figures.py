"""Averages of a task's own figures over a split: reconstruction error, negative ELBO and its parts."""

from __future__ import annotations

import math

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
    if chunk < 1:
        raise TicketError(f"chunk is the number of images that go through the networks at once, not {chunk}")
    if images.n == 0:
        raise TicketError("the split has no images to average over")
    sums: dict[str, float] = {}
    with untouched(task, derive(seed, "figures", "global")):
        for block, batch in enumerate(images.chunks(BLOCK)):
            rng = torch.Generator(task.device).manual_seed(derive(seed, "figures", block))
            draw = task.draw(len(batch), rng)
            for start in range(0, len(batch), chunk):
                part = batch[start : start + chunk].to(task.device)
                for name, values in task.figures(part, draw.part(start, chunk)).items():
                    sums[name] = sums.get(name, 0.0) + _sum(name, values, len(part))
    declare(sums, task.better)
    return {name: total / images.n for name, total in sums.items()}


def _sum(name: str, values: Tensor, n: int) -> float:
    if values.shape != (n,):
        message = f"figure '{name}' has shape {tuple(values.shape)}; it must be one number per image, ({n},)"
        raise TicketError(message)
    # by way of the CPU: not every device has float64 (Trap 37)
    total = float(values.detach().cpu().double().sum())
    if not math.isfinite(total):
        raise TicketError(f"the figure '{name}' is not finite: the network has diverged", Status.DIVERGED)
    return total
