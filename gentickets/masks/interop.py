"""Masks from torch.nn.utils.prune, and plain masked state dicts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest

from .mask import PRUNABLE, Mask, plain_name, prunable


def from_torch_prune(module: nn.Module) -> Mask:
    """Quick version."""
    found = {}
    for name, weight in prunable(module).items():
        plain = name.removesuffix("_orig")
        layer = module.get_submodule(plain.rpartition(".")[0])
        kept = getattr(layer, "weight_mask", None)
        found[plain] = torch.ones_like(weight, dtype=torch.bool) if kept is None else kept.bool()
    return Mask(found)


def masked_state_dict(module: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """Quick version."""
    out = {}
    for name, value in module.state_dict().items():
        if name.endswith("weight_mask"):
            continue
        plain = plain_name(name)
        if plain.endswith("weight_orig") and plain.removesuffix("_orig") in mask:
            plain = plain.removesuffix("_orig")
        out[plain] = value if plain not in mask else torch.where(mask[plain].to(value.device), value, 0.0)
    return out
