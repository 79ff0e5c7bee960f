"""Group: channels that can only go together, and where they stand in a task's tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels

_M = TypeVar("_M", bound=nn.Module)
INSTEAD = 'search single weights instead ([search] by = "weights")'
"""What to do about networks whose channels cannot be removed."""


@dataclass(frozen=True)
class Member:
    """A dimension of one tensor, and the entries along it that each channel of a group owns."""

    tensor: str
    """Named as in `tickets.state_of`."""
    layer: str
    """The path of the layer that the tensor belongs to."""
    dim: int
    index: Tensor
    """(size, entries of each channel), int64: a dense layer in front of a map has many rows for each channel."""
    extent: int
    """The length of the dimension."""
    part: str
    """``weight``, ``bias``, ``scale``, ``shift``, ``statistic``, ``slope`` or ``estimate``: see `shapes.Axis`."""
    makes: bool
    """Whether the layer makes (or passes on) the channel, or reads it."""


@dataclass(frozen=True)
class Group:
    """A tied group: ``size`` channels, named after the first layer that makes them."""

    name: str
    size: int
    members: tuple[Member, ...]

    def of(self, *parts: str, makes: bool = True) -> Iterator[Member]:
        """The members of these parts that make the channels, or those that read them."""
        return (member for member in self.members if member.part in parts and member.makes is makes)


Groups = Mapping[str, Group]
"""Name -> group; `groups_of` makes them."""


def full_channels(groups: Groups) -> Channels:
    """All channels of all groups."""
    return Channels({name: torch.ones(group.size, dtype=torch.bool) for name, group in groups.items()})


def require_fit(channels: Mapping[str, Tensor], groups: Groups) -> None:
    """Raise TicketError (status 3) unless the channels are of these groups and leave something of each they name."""
    for name, kept in channels.items():
        if name not in groups:
            message = f"the networks have no group of channels '{name}'. {nearest(name, groups)}"
            raise TicketError(message, Status.TICKET)
        if tuple(kept.shape) != (groups[name].size,):
            theirs, ours = tuple(kept.shape), groups[name].size
            raise TicketError(f"the channels of '{name}' have shape {theirs}, the group is of {ours}", Status.TICKET)
        if not kept.any():
            message = f"no channel of '{name}' is kept, which would remove the whole layer: keep at least one"
            raise TicketError(message, Status.TICKET)


def kept_entries(groups: Groups, channels: Mapping[str, Tensor]) -> dict[str, dict[int, tuple[Tensor, frozenset[str]]]]:
    """Tensor -> dimension -> (which of its entries are left, bool; the parts that they are of).

    Dimensions that lose nothing are left out, and so are groups that the channels do not name.
    """
    found: dict[str, dict[int, tuple[Tensor, frozenset[str]]]] = {}
    for name, kept in channels.items():
        if bool(kept.all()):
            continue
        gone = (~kept).nonzero().flatten().cpu()
        for member in groups[name].members:
            dims = found.setdefault(member.tensor, {})
            whole = torch.ones(member.extent, dtype=torch.bool), frozenset[str]()
            left, parts = dims.get(member.dim, whole)
            left[member.index[gone].flatten()] = False
            dims[member.dim] = left, parts | {member.part}
    return found


def twin(module: _M) -> _M:
    """A copy that shares nothing, without gradients.

    The old form of spectral norm leaves a computed weight on its layer, which PyTorch refuses to copy as it is.
    """
    memo: dict[int, object] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and value.grad_fn is not None:
                memo[id(value)] = value.detach().clone(memory_format=torch.preserve_format)
    for parameter in module.parameters():
        if parameter.grad is not None:
            memo[id(parameter.grad)] = None
    copy = deepcopy(module, memo)
    for parameter in copy.parameters():
        parameter.grad = None
    return copy


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in whatever a component returns."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Iterable):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(one)
