"""Random masks' densities and positions: shuffled, uniform and Erdos-Renyi-Kernel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.errors import TicketError
from gentickets.seeds import derive

from .mask import Mask

Shapes = Mapping[str, Tensor] | Mapping[str, torch.Size] | Mapping[str, tuple[int, ...]]


def shuffled(mask: Mask, seed: int) -> Mask:
    """The mask with the kept positions permuted inside each tensor, so that every density stays as it is.

    Random numbers come from the CPU, so the result does not depend on the device. A tensor that is full or
    empty cannot differ and stays; if no tensor can differ, or all permutations happen to be the identity,
    the control would be the ticket itself: that is a TicketError.
    """
    out: dict[str, Tensor] = {}
    for name, kept in mask.items():
        if 0 < mask.kept_in(name) < kept.numel():
            rng = torch.Generator().manual_seed(derive(seed, "shuffle", name))
            order = torch.randperm(kept.numel(), generator=rng).to(kept.device)
            out[name] = torch.empty_like(kept).copy_(kept.reshape(-1)[order].view(kept.shape))
        else:
            out[name] = kept
    changed = Mask(out)
    if mask.distance(changed) == 0:
        raise TicketError("shuffling changes nothing: every tensor of the mask is either full or empty")
    return changed


def uniform(mask_or_shapes: Shapes, density: float) -> dict[str, float]:
    """The same density for every tensor."""
    _check(density)
    return dict.fromkeys(mask_or_shapes, density)


def erk(mask_or_shapes: Shapes, density: float) -> dict[str, float]:
    """Erdos-Renyi-Kernel densities: proportional to (sum of a tensor's dimensions) / (product), at most 1.

    A tensor that would pass 1 is kept whole and the rest is shared out anew, so the densities weighted by
    size add up to ``density`` of all weights. Narrow tensors keep more than wide ones. (Evci et al., 2020)
    """
    _check(density)
    shapes = {
        name: tuple(value.shape) if isinstance(value, Tensor) else tuple(value)
        for name, value in mask_or_shapes.items()
    }
    sizes = {name: _product(shape) for name, shape in shapes.items()}
    whole: set[str] = set()
    while True:
        rest = [name for name in shapes if name not in whole and sizes[name]]
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in whole)
        scale = wanted / sum(sum(shapes[name]) for name in rest) if rest else 0.0
        found = {name: scale * sum(shapes[name]) / sizes[name] for name in rest}
        if not (over := {name for name in rest if found[name] > 1}):
            return {name: found.get(name, 1.0) for name in shapes}
        whole |= over


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _check(density: float) -> None:
    if not 0 < density <= 1:
        raise TicketError(f"density is {density}, but must be above 0 and at most 1")
