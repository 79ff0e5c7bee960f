"""Masks that would not prune: a zero of theirs is no zero of a layer's weight, or leaves no number there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gentickets.effective import effective_weight, raw_weight
from gentickets.errors import Status, TicketError

from .mask import PRUNABLE, Mask, left_out, plain_name


def require_prunable(module: nn.Module, mask: Mask, weights: Mapping[str, Tensor] | None = None) -> None:
    """Raise TicketError unless every zero of a mask is a zero of the network's weights, and all else stays a number.

    ``weights`` are those that the mask will meet, by name; the network's own if there are none. Refused are names that
    `left_out` lists (status 3), and masks under which a layer's weight is no number (status 1): somebody's own norm
    divides by that of a row of which nothing is left. PyTorch's weight norm is made to stand that (`steady`).
    """
    met = weights or {}
    for name, why in left_out(module).items():
        if name in mask:
            raise TicketError(f"'{name}' cannot be pruned: {why}. Leave it out of the mask", Status.TICKET)
    for path, layer in module.named_modules():
        if isinstance(layer, PRUNABLE) and (raw := raw_weight(layer)).name not in (None, "weight"):
            name = plain_name(f"{path}.{raw.name}".lstrip("."))
            if name in mask:
                values = {own: value.detach() for own, value in layer.named_parameters()}
                values |= {own: met[f"{path}.{own}"] for own in values if f"{path}.{own}" in met}
                _require_numbers(layer, str(raw.name), name, mask[name], values)


def _require_numbers(layer: nn.Module, raw: str, name: str, kept: Tensor, values: dict[str, Tensor]) -> None:
    values = {own: value.to(layer.get_parameter(own).device) for own, value in values.items()}
    if values[raw].shape != kept.shape or not all(bool(torch.isfinite(value).all()) for value in values.values()):
        return  # others say so
    masked = torch.where(kept.to(values[raw].device), values[raw], 0.0)
    if not bool(torch.isfinite(effective_weight(layer, {**values, raw: masked})).all()):
        message = f"with this mask the weight that is made of '{name}' is no number: a norm there divides by zero"
        raise TicketError(
            f"{message}, since a whole row is pruned; prune less, exempt it, or take the norm off", Status.FAILED
        )
