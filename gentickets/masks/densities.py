"""What random masks are made of: shuffled positions, and uniform or Erdos-Renyi-Kernel densities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.seeds import derive

from .mask import Mask

Shapes = Mapping[str, Tensor] | Mapping[str, torch.Size] | Mapping[str, tuple[int, ...]]
"""A mask, weights, or plain shapes, by tensor name."""


def shuffled(mask: Mask, seed: int) -> Mask:
    """The mask with the kept positions permuted inside each tensor, so that every density stays as it is.

    Each tensor that can differ does: a permutation that changes nothing is drawn again, for the control would
    be the ticket itself. Raises TicketError when no tensor can differ. The same on every device.
    """
    movable = [name for name, kept in mask.items() if 0 < mask.kept_in(name) < kept.numel()]
    if not movable:
        raise TicketError("shuffling cannot change this mask: each of its tensors is full or empty", Status.FAILED)
    return Mask({name: _permuted(name, kept, seed) if name in movable else kept for name, kept in mask.items()})


def _permuted(name: str, kept: Tensor, seed: int) -> Tensor:
    """The entries of one tensor, in another order that shows; strides are kept."""
    rng = torch.Generator().manual_seed(derive(seed, "shuffle", name))
    out = torch.empty_like(kept)
    while True:
        order = torch.randperm(kept.numel(), generator=rng).to(kept.device)
        out.copy_(kept.reshape(-1)[order].view(kept.shape))
        if not torch.equal(out, kept):
            return out


def uniform(mask_or_shapes: Shapes, density: float) -> dict[str, float]:
    """The same density for every tensor. Raises TicketError unless it is in (0, 1]."""
    _check(density)
    return dict.fromkeys(mask_or_shapes, density)


def erk(mask_or_shapes: Shapes, density: float) -> dict[str, float]:
    """Erdos-Renyi-Kernel densities: proportional to (sum of a tensor's dimensions) / (product), at most 1.

    A tensor that would pass 1 is kept whole and the rest is shared out anew, so the densities weighted by
    size add up to ``density`` of all weights: small tensors keep more than large ones. Raises TicketError
    unless the density is in (0, 1]. (Evci et al., 2020)
    """
    _check(density)
    shapes = {
        name: tuple(value.shape) if isinstance(value, Tensor) else tuple(value)
        for name, value in mask_or_shapes.items()
    }
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    whole: set[str] = set()
    while True:
        rest = [name for name in shapes if name not in whole and sizes[name]]
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in whole)
        scale = wanted / sum(sum(shapes[name]) for name in rest) if rest else 0.0
        found = {name: scale * sum(shapes[name]) / sizes[name] for name in rest}
        if not (over := {name for name in rest if found[name] > 1}):
            return {name: found.get(name, 1.0) for name in shapes}
        whole |= over


def erk_like(mask: Mask, *, by_component: bool) -> dict[str, float]:
    """ERK densities at which a mask keeps exactly as many weights as this one: in each component, or in all together.

    Components that keep unlike fractions, or differ in their layers, would trade weights if they shared one pot.
    """
    parts = [mask.of(component) for component in mask.components] if by_component else [mask]
    return {name: density for part in parts for name, density in _whole_counts(part).items()}


def _whole_counts(mask: Mask) -> dict[str, float]:
    """The ERK densities of a mask's size, each of a whole number of weights; together as many as the mask keeps.

    What rounding down leaves over goes to tensors that have none yet, then to the largest remainders.
    """
    wanted = {name: density * mask[name].numel() for name, density in erk(mask, mask.density).items()}
    counts = {name: math.floor(number) for name, number in wanted.items()}
    first = sorted(wanted, key=lambda name: (counts[name] > 0, counts[name] - wanted[name], name))
    for name in first[: mask.kept - sum(counts.values())]:
        counts[name] += 1
    # 0.4 of a weight rounds to none, which is refused by the tensor's name; a density of 0 would be a wrong request
    return {name: (counts[name] or 0.4) / max(1, mask[name].numel()) for name in mask}


def _check(density: float) -> None:
    if not 0 < density <= 1:
        raise TicketError(f"density is {density}, but must be above 0 and at most 1")
