"""Conversions of whole uint8 tensors, done once when data is loaded, and the stratified choice of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gentickets.seeds import derive

SPLIT_SEED = 1998
"""Seeds every split of every data set; a run's seed never does."""
AT_ONCE = 4096
"""Images converted at once, so that the wider types on the way take little memory."""


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """uint8 (n, 1 or 3, h, w) as grey or RGB; grey is ITU-R 601 luma, in integers, equal to Pillow's."""
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(-1, 3, -1, -1).contiguous()
    parts = []
    for part in torch.split(pixels, AT_ONCE):
        red, green, blue = part.to(torch.int32).unbind(1)
        luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
        parts.append(luma.to(torch.uint8).unsqueeze(1))
    return torch.cat(parts)


def with_size(pixels: Tensor, size: int) -> Tensor:
    """uint8 (n, c, h, w), square, as (n, c, size, size): bilinear with antialias, rounded to uint8."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    parts = []
    for part in torch.split(pixels, AT_ONCE):
        floats = interpolate(part.to(torch.float32), (size, size), mode="bilinear", antialias=True)
        parts.append(floats.round_().clamp_(0, 255).to(torch.uint8))
    return torch.cat(parts)


def stratified(labels: Tensor, among: Tensor, count: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Split the positions ``among`` into ``count`` chosen ones and the rest, each label in its share.

    Shares are exact to one image (largest remainders). Who is chosen follows from a hash of purpose and
    position, not from a library's random numbers, so that no version changes it. Both results are sorted.
    """
    present, sizes = torch.unique(labels[among], return_counts=True)
    exact = [int(size) * count for size in sizes]
    quota = [share // len(among) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda k: (-(exact[k] % len(among)), k))
    for k in by_remainder[: count - sum(quota)]:
        quota[k] += 1
    chosen: list[int] = []
    for label, wanted in zip(present, quota, strict=True):
        members: list[int] = among[labels[among] == label].tolist()
        members.sort(key=lambda position: derive(SPLIT_SEED, purpose, position))
        chosen += members[:wanted]
    picked = torch.zeros(len(labels), dtype=torch.bool)
    picked[chosen] = True
    return among[picked[among]], among[~picked[among]]
