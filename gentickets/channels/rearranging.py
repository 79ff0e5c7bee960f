"""Rearranged: states whose channels come from elsewhere. In another order, several times over, or some of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.channels.group import Group, Groups, Member
from gentickets.channels.slicing import strided_like
from gentickets.errors import Status, TicketError, nearest

READERS = "weight"
"""The part whose readers are divided by how often a channel was copied."""


def rearranged(tensors: Mapping[str, Tensor], groups: Groups, sources: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state, averages or a mask in which channel j of a group is channel ``sources[group][j]`` of the old one.

    ``sources``: group -> int64 (new size,). A permutation reorders the channels of every tensor of the tied group, so
    that the network computes what it did. A list with repeats widens: weights that read a channel are divided by how
    often it stands there, so that the wider network computes the same (Chen et al., 2016, Net2Net). A list without some
    channels cuts them off. Bool tensors are copied, never divided; groups that are not named stay as they are, and so
    do tensors that no group names: optimizer state does not follow. Strides keep their order.

    Raises TicketError (status 3) for unknown groups, lists that are no numbers of channels, tensors of other shapes,
    channels that stand more than once where a spectral norm makes or reads them (see `unstretchable`), and channels
    whose entries do not stand side by side, where the size of the group changes.
    """
    found = dict(tensors)
    factors = {}
    for name, source in sources.items():
        group, source = _known(groups, name, source)
        counts = torch.bincount(source, minlength=group.size)[source]
        if copied := bool((counts > 1).any()):
            factors[name] = counts
        if (copied or len(source) != group.size) and (reason := unstretchable(group, count=len(source), copied=copied)):
            raise TicketError(reason, Status.TICKET)
        for member in group.members:
            if member.tensor in found:
                found[member.tensor] = _moved(found[member.tensor], member, source)
    return _weighed(found, groups, factors, divide=True)


def reread(tensors: Mapping[str, Tensor], groups: Groups, factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with the weights that read a channel multiplied by the channel's factor; bool ones stay.

    ``factors``: group -> (size,), the size that the tensors have, which need not be the group's (`rearranged`).
    """
    return _weighed(dict(tensors), groups, factors, divide=False)


def unstretchable(group: Group, *, count: int, copied: bool = True) -> str | None:
    """Why a group cannot have ``count`` channels, or some of them several times (``copied``), in a sentence; or None.

    A spectral norm divides by a norm that copies change, and undoes every factor on its weights.
    """
    normed = next((member for member in group.members if member.part == "estimate"), None)
    if copied and normed is not None:
        message = (
            f"the channels of '{group.name}' cannot be stretched or shrunk, as '{normed.layer}' is under spectral norm"
        )
        return f"{message}: it would divide by another norm, and the function could not stay"
    for member in group.members:
        if count != group.size and not _side_by_side(member):
            message = f"the channels of '{group.name}' do not stand side by side in '{member.tensor}'"
            return f"{message}, so that their number cannot change"
    return None


def _known(groups: Groups, name: str, source: Tensor) -> tuple[Group, Tensor]:
    if name not in groups:
        message = f"the networks have no group of channels '{name}'. {nearest(name, groups)}"
        raise TicketError(message, Status.TICKET)
    group = groups[name]
    whole = source.ndim == 1 and not (source.is_floating_point() or source.is_complex() or source.dtype == torch.bool)
    if not whole or not len(source) or int(source.min()) < 0 or int(source.max()) >= group.size:
        message = f"channels of '{name}' are numbered 0 to {group.size - 1}, and at least one must be named, in one row"
        raise TicketError(message, Status.TICKET)
    return group, source.cpu().long()


def _side_by_side(member: Member) -> bool:
    """Whether the dimension holds the group's channels and nothing else, one behind the other."""
    return torch.equal(member.index.flatten(), torch.arange(member.extent))


def _moved(value: Tensor, member: Member, source: Tensor) -> Tensor:
    """The tensor with the entries of each channel taken from those of its source."""
    if value.ndim <= member.dim or value.shape[member.dim] != member.extent:
        message = f"'{member.tensor}' has shape {tuple(value.shape)}, but its channels stand along {member.extent}"
        raise TicketError(f"{message} entries of dimension {member.dim}", Status.TICKET)
    if len(source) == len(member.index):
        order = torch.arange(member.extent)
        order[member.index.flatten()] = member.index[source].flatten()
    else:
        order = member.index[source].flatten()
    moved = value.detach().index_select(member.dim, order.to(value.device))
    like = torch.empty_strided(moved.shape, value.stride(), dtype=value.dtype, device=value.device)
    return strided_like(moved, like)


def _weighed(
    found: dict[str, Tensor], groups: Groups, factors: Mapping[str, Tensor], *, divide: bool
) -> dict[str, Tensor]:
    """The tensors, with the weights that read channels multiplied by their factors, or divided by them."""
    for name, each in factors.items():
        for member in groups[name].of(READERS, makes=False):
            value = found.get(member.tensor)
            if value is None or value.dtype == torch.bool:
                continue
            along = torch.ones(value.shape[member.dim], dtype=each.dtype)
            entries = member.index if len(each) == len(member.index) else torch.arange(len(along)).view(len(each), -1)
            along[entries] = each.cpu()[:, None].expand(entries.shape)
            along = (
                along.to(value.dtype)
                .to(value.device)
                .view([-1 if place == member.dim else 1 for place in range(value.ndim)])
            )
            found[member.tensor] = value / along if divide else value * along
    return found
