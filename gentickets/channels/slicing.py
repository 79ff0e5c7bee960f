"""Silenced and sliced: channels at zero in networks as wide as before, and tensors without them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.channels.group import Groups, counts, kept_entries, require_fit
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels

_SILENT = {"weight", "bias", "scale", "shift", "own"}
"""What is set to zero; statistics and spectral norm's vectors stay as they are."""


def silenced(tensors: Mapping[str, Tensor], groups: Groups, channels: Channels) -> dict[str, Tensor]:
    """A state with the channels that are not kept at +0.0, of the same shapes; bool tensors get False.

    A channel is its whole tied group: the weights and biases that make it, norms' scales and shifts, and the weights
    that read it (Trap 12). Masking weights alone leaves biases and norms to speak. Other tensors are passed on as they
    are. Raises TicketError (status 3) where channels, groups and tensors do not fit each other.
    """
    require_fit(channels, groups)
    found = dict(tensors)
    for name, dims in kept_entries(groups, channels).items():
        if name not in tensors:
            continue
        value = tensors[name]
        for dim, (left, parts) in dims.items():
            if parts <= _SILENT:
                _require_length(name, value, dim, left)
                shape = [len(left) if place == dim else 1 for place in range(value.ndim)]
                value = torch.where(left.to(value.device).view(shape), value, value.new_zeros(()))
        found[name] = strided_like(value, tensors[name])
    return found


def sliced(tensors: Mapping[str, Tensor], groups: Groups, channels: Channels) -> dict[str, Tensor]:
    """The tensors cut to the channels that are kept: a state, averages, a mask, or optimizer state.

    Optimizer state is named ``objective/parameter/slot`` (or ``parameter/slot``), and numbers of steps pass. Spectral
    norm's u and v are cut and not normalized again, which leaves the norm exactly as it was in the silenced network
    (Trap 40). Strides keep their order, so that channels-last tensors stay so. Raises TicketError (status 3) where
    channels, groups and tensors do not fit each other.
    """
    require_fit(channels, groups)
    entries = kept_entries(groups, channels)
    found = {}
    for key, value in tensors.items():
        name = _tensor_of(key, entries)
        narrow = value
        for dim, (left, _) in entries[name].items() if name and value.ndim else ():
            _require_length(key, narrow, dim, left)
            narrow = narrow.index_select(dim, left.nonzero().flatten().to(value.device))
        found[key] = narrow if narrow is value else strided_like(narrow, value)
    return found


def narrowed(state: Mapping[str, Tensor], groups: Groups, channels: Channels) -> dict[str, Tensor]:
    """A whole state without the channels that are not kept: `sliced`, and what norms count (see `counted`)."""
    return {**sliced(state, groups, channels), **counts(groups, channels)}


def _tensor_of(key: str, known: Mapping[str, object]) -> str | None:
    """The tensor that a key is about: itself, or the parameter of an optimizer's slot."""
    parameter = key.rpartition("/")[0]
    return next((name for name in (key, parameter, parameter.partition("/")[2]) if name in known), None)


def strided_like(value: Tensor, like: Tensor) -> Tensor:
    """The values with their strides in the order of another tensor's."""
    corner = like[tuple(slice(0, size) for size in value.shape)]
    return torch.empty_like(corner, memory_format=torch.preserve_format, requires_grad=False).copy_(value.detach())


def _require_length(name: str, value: Tensor, dim: int, left: Tensor) -> None:
    if value.ndim <= dim or value.shape[dim] != len(left):
        message = f"'{name}' has shape {tuple(value.shape)}, but its channels stand along {len(left)} entries"
        raise TicketError(f"{message} of dimension {dim}; is it of a narrower network?", Status.TICKET)
