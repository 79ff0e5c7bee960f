"""Rearranged: states whose channels come from elsewhere. In another order, several times over, or some of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.channels.group import Group, Groups, Member
from gentickets.errors import Status, TicketError, nearest

READERS = "weight"
"""The part whose readers are divided by how often a channel was copied."""


def rearranged(tensors: Mapping[str, Tensor], groups: Groups, sources: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state, averages or a mask in which channel j of a group is channel ``sources[group][j]`` of the old one.

    ``sources``: group -> int64 (new size,). A permutation reorders the channels of every tensor of the tied group, so
    that the network computes what it did. A list with repeats widens: weights that read a channel are divided by how
    often it stands there, so that the wider network computes the same (Chen et al., 2016, Net2Net). A list without some
    channels cuts them off. Bool tensors are copied, never divided; groups that are not named stay as they are.

    Raises TicketError (status 3) for unknown groups, indices beyond a group, tensors of other shapes, and for
    channels whose entries do not stand side by side, where the size of the group changes.
    """
    found = dict(tensors)
    for name, source in sources.items():
        group = _known(groups, name, source)
        counts = torch.bincount(source, minlength=group.size)[source]
        for member in group.members:
            if member.tensor not in found:
                continue
            value = _moved(found[member.tensor], member, source)
            if member.part == READERS and not member.makes and value.dtype != torch.bool and int(counts.max()) > 1:
                value = value / _along(counts.repeat_interleave(member.index.shape[1]), value, member.dim)
            found[member.tensor] = value
    return found


def _known(groups: Groups, name: str, source: Tensor) -> Group:
    if name not in groups:
        message = f"the networks have no group of channels '{name}'. {nearest(name, groups)}"
        raise TicketError(message, Status.TICKET)
    group = groups[name]
    if not len(source) or int(source.min()) < 0 or int(source.max()) >= group.size:
        message = f"channels of '{name}' are numbered 0 to {group.size - 1}, and at least one must be named"
        raise TicketError(message, Status.TICKET)
    return group


def _moved(value: Tensor, member: Member, source: Tensor) -> Tensor:
    """The tensor with the entries of each channel taken from those of its source."""
    if value.ndim <= member.dim or value.shape[member.dim] != member.extent:
        message = f"'{member.tensor}' has shape {tuple(value.shape)}, but its channels stand along {member.extent}"
        raise TicketError(f"{message} entries of dimension {member.dim}", Status.TICKET)
    size, each = member.index.shape
    if len(source) == size:
        order = torch.arange(member.extent)
        order[member.index.flatten()] = member.index[source].flatten()
    elif member.extent == size * each and torch.equal(member.index.flatten(), torch.arange(member.extent)):
        order = member.index[source].flatten()
    else:
        message = f"the channels of '{member.tensor}' do not stand side by side, so that their number cannot change"
        raise TicketError(message, Status.TICKET)
    return value.detach().index_select(member.dim, order.to(value.device))


def _along(factors: Tensor, value: Tensor, dim: int) -> Tensor:
    shape = [len(factors) if place == dim else 1 for place in range(value.ndim)]
    return factors.to(value).view(shape)
