"""Group: channels that can only go together, and where they stand in a task's tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels, require_initialized, unhold
from gentickets.preserving import held_tensors, once
from gentickets.storage import tie_copies

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
    """``weight``, ``bias``, ``scale``, ``shift``, ``statistic``, ``slope`` or ``estimate``: see `shapes.Axis`; ``own``:
    a module's own parameter; ``count``: a norm over several channels, with the name of the count that it would have."""
    makes: bool
    """Whether the layer makes (or passes on) the channel, or reads it."""
    runs: tuple[int, ...] = ()
    """Of a ``count``: how many channels, side by side, each of the norm's statistics is over."""


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


class Found(dict[str, Group]):
    """Groups by name, in the order of their layers, and what stays.

    ``stays``: layer -> how many of its channels stay, and why; without those of a network's inputs and outputs.
    """

    def __init__(self, groups: Groups | None = None, stays: Mapping[str, tuple[int, str]] | None = None) -> None:
        super().__init__(groups or {})
        self.stays = dict(stays or {})

    @property
    def sentence(self) -> str:
        """``1,088 of 1,100 units can go; the others: ...``"""
        free = sum(group.size for group in self.values())
        total = free + sum(count for count, _ in self.stays.values())
        said = f"{free:,} of {total:,} units can go"
        if not self.stays:
            return said
        return f"{said}; the others: " + "; ".join(
            f"'{layer}' keeps {n:,}: {why}" for layer, (n, why) in self.stays.items()
        )


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
            if member.part == "count":
                continue
            dims = found.setdefault(member.tensor, {})
            whole = torch.ones(member.extent, dtype=torch.bool), frozenset[str]()
            left, parts = dims.get(member.dim, whole)
            left[member.index[gone].flatten()] = False
            dims[member.dim] = left, parts | {member.part}
    return found


def counts(groups: Groups, channels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``<norm>.left`` -> how many channels are left of each group of every norm that loses some, int64.

    A narrow state has these beside its `sliced` tensors (see `counted`).
    """
    left: dict[str, tuple[tuple[int, ...], Tensor]] = {}
    for name, kept in channels.items():
        for member in groups[name].of("count"):
            whole = member.runs, torch.ones(member.extent, dtype=torch.bool)
            left.setdefault(member.tensor, whole)[1][member.index[(~kept).cpu()].flatten()] = False
    lost = {tensor: found for tensor, found in left.items() if not bool(found[1].all())}
    return {
        tensor: torch.stack([part.sum() for part in torch.split(entries, list(runs))])
        for tensor, (runs, entries) in lost.items()
    }


def twin(module: _M) -> _M:
    """A copy that shares nothing, without gradients; tied tensors, transposes too, are tied in it as well.

    Computed tensors, which PyTorch refuses to copy (the old form of spectral norm leaves one on its layer), are copied
    by value. Raises TicketError (FAILED) naming what else a module holds that cannot be copied: a lock, a generator.
    """
    require_initialized(module)
    held = once(tensor for part in module.modules() for tensor in held_tensors(part))
    memo = _computed(held)
    for tensor in held:
        if tensor.is_leaf and tensor.grad is not None:
            memo[id(tensor.grad)] = None
    try:
        copy = deepcopy(module, memo)
    except (TypeError, RuntimeError, AttributeError, NotImplementedError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        message = f"{_uncopied(module)} cannot be copied ({said}), and this works on a copy of the networks"
        raise TicketError(
            f"{message}: keep it outside of them, or give its class __deepcopy__", Status.FAILED
        ) from error
    copied = [tensor for tensor in held if id(tensor) in memo]  # a class may have its own way to copy
    tie_copies(copied, [memo[id(tensor)] for tensor in copied])
    unhold(copy)
    for parameter in copy.parameters():
        parameter.grad = None
    return copy


def _computed(tensors: Iterable[Tensor]) -> dict[int, Any]:
    """Copies of those that gradients flow through, by identity."""
    computed = (tensor for tensor in tensors if tensor.grad_fn is not None)
    return {id(one): one.detach().clone(memory_format=torch.preserve_format) for one in computed}


def _uncopied(module: nn.Module) -> str:
    """The first attribute of a module that cannot be copied, with its kind."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name in ("_modules", "_parameters", "_buffers"):
                continue
            try:
                deepcopy(value, _computed(held_tensors(part)))
            except (TypeError, RuntimeError, AttributeError, NotImplementedError):
                return f"'{f'{path}.{name}'.lstrip('.')}' ({type(value).__name__})"
    return f"'{type(module).__name__}'"
