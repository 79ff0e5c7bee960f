"""Pictures: samples and reconstructions as PNG grids."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gentickets.errors import TicketError
from gentickets.seeds import derive
from gentickets.tasks.base import Task
from gentickets.untouched import untouched

SAMPLES = 64
RECONSTRUCTIONS = 32
_TILE = 48
_GAP = 1
_PAPER = 255
COMPRESSION: dict[str, Any] = {"optimize": True}
"""What Pillow is told of how hard to compress."""


def grid_png(images: Tensor, columns: int = 8, scale: int | None = None) -> bytes:
    """A PNG of images (n, c, h, w) in [-1, 1], c = 1 or 3, row by row, on white, one pixel apart.

    ``scale`` repeats each pixel; by default small images grow to about 48 pixels. Values outside the range
    are clipped, and what is not finite is black.
    """
    if images.dim() != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise TicketError(f"pictures need images of shape (n, 1 or 3, h, w), not {tuple(images.shape)}")
    if columns < 1 or (scale is not None and scale < 1):
        raise TicketError(f"a grid needs columns and scale of at least 1, not {columns} and {scale}")
    n, channels, height, width = images.shape
    scale = scale or max(1, _TILE // max(height, width))
    pixels = _bytes(images).repeat_interleave(scale, 2).repeat_interleave(scale, 3).numpy()
    rows, high, wide = math.ceil(n / columns), height * scale + _GAP, width * scale + _GAP
    sheet = np.full((rows * high + _GAP, columns * wide + _GAP, channels), _PAPER, dtype=np.uint8)
    for index, tile in enumerate(pixels):
        top, left = (index // columns) * high + _GAP, (index % columns) * wide + _GAP
        sheet[top : top + high - _GAP, left : left + wide - _GAP] = tile.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet).save(file, format="PNG", **COMPRESSION)
    return file.getvalue()


def required(images: object, what: str, shape: tuple[int, ...]) -> Tensor:
    """The images, where a task has given as many as it was asked for, and of the right shape."""
    if not isinstance(images, Tensor):
        raise TicketError(f"{what} are of type {type(images).__name__}, not a tensor of shape {shape}")
    if tuple(images.shape) != shape:
        raise TicketError(f"{what} have shape {tuple(images.shape)}, and must have {shape}")
    return images


def sample_grid(task: Task, seed: int) -> bytes | None:
    """A PNG of 64 samples from the task's prior, None if it has none; a seed fixes the latents."""
    if not task.can("sample"):
        return None
    rng = torch.Generator(task.device).manual_seed(derive(seed, "pictures"))
    with untouched(task, derive(seed, "pictures", "global")):
        return grid_png(required(task.sample(SAMPLES, rng), "samples", (SAMPLES, *task.image)))


def reconstruction_grid(task: Task, images: Tensor) -> bytes | None:
    """A PNG of the first 32 images and their reconstructions, None if the task has none.

    ``images`` is (n, c, h, w) in [-1, 1]. Originals are in the even rows, counted from 0, and each one's
    reconstruction stands below it.
    """
    if not task.can("reconstruct"):
        return None
    columns = max(1, min(8, len(images)))
    count = min(RECONSTRUCTIONS, len(images) // columns * columns)
    originals = images[:count].to(task.device)
    with untouched(task, 0):
        rebuilt = required(task.reconstruct(originals), "reconstructions", tuple(originals.shape))
    by_row = [side.reshape(-1, columns, *originals.shape[1:]) for side in (originals, rebuilt)]
    return grid_png(torch.stack(by_row, dim=1).flatten(0, 2), columns)


def _bytes(images: Tensor) -> Tensor:
    finite = torch.nan_to_num(images.detach().cpu().float(), nan=-1.0)
    return ((finite.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
