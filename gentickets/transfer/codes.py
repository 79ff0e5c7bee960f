"""Codes: the channels between an encoder and a decoder, which are hidden ones too where two networks are compared."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gentickets.channels import rearranged
from gentickets.channels.group import Group, Member, twin
from gentickets.masks import component_of
from gentickets.shapes import Axis, axes_of
from gentickets.tasks import Batch, Task
from gentickets.tickets import load_weights, state_of
from gentickets.untouched import looking_only, tensors_in, untouched

MAKER, READER = "encoder", "decoder"
TOLERANCE = 1e-4
"""How far outputs may move when codes change places, relative to the largest: rounding alone."""


@looking_only
def code_group(task: Task, batch: Batch) -> dict[str, Group]:
    """The group of a task's codes (latents), as `groups_of` would name it, or nothing where there is none.

    `groups_of` leaves codes alone, since a component keeps its interfaces. But an autoencoder's codes have no order,
    and neither have a VAE's, whose prior is the same in all directions: a mask that moves to another initialization
    needs them permuted as well. A code owns its row of the encoder's last layer, in a VAE those of its mean and of its
    log-variance, and its column of the decoder's first. That is checked by turning them round in a copy: where it does
    not compute the same then, codes have their places (and a code that is a map is not looked at). Without an encoder
    and a decoder there are none: a GAN's latents are the same for all.
    """
    if {MAKER, READER} - set(task.components):
        return {}
    made, read = _edge(task, MAKER, "out"), _edge(task, READER, "in")
    if made is None or read is None:
        return {}
    (maker, rows, given), (reader, columns, size) = made, read
    if not size or given not in (size, 2 * size):
        return {}
    code = torch.arange(size)[:, None]
    both = torch.cat([code + size * part for part in range(given // size)], 1)
    members = [*_members(task, maker, rows, both, True), *_members(task, reader, columns, code, False)]
    group = Group(maker, size, tuple(members))
    return {maker: group} if _is_free(task, group, batch[:4]) else {}


def is_code(group: Group) -> bool:
    """Whether a group is one of codes: made in one component and read in another."""
    return len({component_of(member.tensor) for member in group.members}) > 1


def _edge(task: Task, component: str, side: str) -> tuple[str, list[Axis], int] | None:
    """The last layer of a component that makes channels, or the first that reads them: path, axes there, channels."""
    layers = [(path, layer) for path, layer in task.named_modules() if path and component_of(path) == component]
    for path, layer in reversed(layers) if side == "out" else layers:
        axes = axes_of(layer) or ()
        if any(axis.part == "weight" and axis.side == "in" for axis in axes):
            found = [axis for axis in axes if axis.side == side]
            return path, found, layer.state_dict()[found[0].tensor].shape[found[0].dim]
    return None


def _members(task: Task, path: str, axes: Iterable[Axis], index: Tensor, makes: bool) -> Iterable[Member]:
    tensors = task.get_submodule(path).state_dict()
    for axis in axes:
        owned = (index[:, :, None] * axis.each + torch.arange(axis.each)).flatten(1)
        extent = tensors[axis.tensor].shape[axis.dim]
        yield Member(f"{path}.{axis.tensor}", path, axis.dim, owned, extent, axis.part, makes)


def _is_free(task: Task, group: Group, batch: Batch) -> bool:
    """Whether codes may change places: the decoder says the same to them, and they are the same in another order."""
    turned = twin(task)
    order = torch.arange(group.size).roll(1)
    load_weights(turned, rearranged(state_of(task), {group.name: group}, {group.name: order}))
    said, codes = [], []
    for one in (task, turned):
        with untouched(one, 0):
            given = one.inputs(batch.to(one.device))[READER]
            said.append(list(tensors_in(one.get_submodule(READER)(*given))))
            codes.append(given[0])
    if codes[0].ndim != 2 or codes[0].shape[1] != group.size or not _near(codes[0][:, order], codes[1]):
        return False
    return all(_near(a, b) for a, b in zip(*said, strict=True))


def _near(one: Tensor, other: Tensor) -> bool:
    scale = max(1.0, float(one.abs().max()))
    return one.shape == other.shape and torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * scale)
