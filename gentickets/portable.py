"""Portable: what of a ticket is worth carrying into another initialization: its mask, and one sign bit per weight."""

from __future__ import annotations

import torch
from torch import Tensor


def signed(fresh: Tensor, kept: Tensor, positive: Tensor) -> Tensor:
    """Fresh weights with given signs where they are kept, scaled by (kept fraction)^-1/2; +0.0 elsewhere.

    ``kept`` and ``positive`` are bool tensors of the weights' shape. A layer of which nothing is kept is all zeros.
    (Zhou et al., 2019, on signs; the scale keeps the variance of the layer's output)
    """
    density = float(kept.float().mean()) if kept.numel() else 0.0
    if not density:
        return torch.zeros_like(fresh)
    size = fresh.abs() * density**-0.5
    return torch.where(kept, torch.where(positive, size, -size), 0.0)
