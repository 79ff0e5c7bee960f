"""groups_of: the tied groups of channels of a task's networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm
from torch.nn.utils.spectral_norm import SpectralNorm

from gentickets.channels.group import INSTEAD, Group, Member, twin
from gentickets.channels.tracing import PLACE, Ids, Ties, trace
from gentickets.errors import Status, TicketError
from gentickets.masks import component_of, prunable
from gentickets.shapes import Axis, axes_of
from gentickets.spectral import bare
from gentickets.tasks import Task
from gentickets.tasks.base import Batch
from gentickets.tickets import state_of
from gentickets.untouched import looking_only, seeded, untouched


@dataclass(frozen=True)
class _Layer:
    """A layer that may lose channels: its axes, and how many channels stand on each side."""

    axes: tuple[Axis, ...]
    sizes: Mapping[str, int]
    shapes: Mapping[str, torch.Size]


@looking_only
def groups_of(
    task: Task, batch: Batch, *, exempt: Iterable[str] = (), components: Iterable[str] | None = None
) -> dict[str, Group]:
    """The tied groups of channels that a task's networks can lose, in the order of their layers.

    Each component is run once, by itself, on its part of ``task.inputs(batch)``, on a copy; the task is untouched.
    Channels that lead in or out of a component stay: images, latents, codes, means and log-variances, logits (Trap 16).
    So do those that meet a layer or an operation which is not understood (see `shapes.axes_of`), or that are made or
    read by weights outside the prunable set of ``exempt`` and ``components`` (see `masks.prunable`): an exempt weight
    loses nothing. A component without any channel to
    lose has no groups. A dense layer in front of a map loses all rows of a channel (Trap 14), spectral norm its
    vectors' entries. (Fang et al., 2023)

    Raises TicketError: tied weights, or a network that cannot be traced.
    """
    allowed = prunable(task, exempt=exempt, components=components)
    wanted = dict.fromkeys(component_of(name) for name in allowed)
    _require_untied(task)
    with untouched(task, 0):
        inputs = {name: tuple(x.clone() for x in given) for name, given in task.inputs(batch[:2]).items()}
    layers = _layers(task)
    copy = twin(task)
    _strip(copy)
    groups: dict[str, Group] = {}
    for component in (name for name in task.components if name in wanted):
        inside = {
            path[len(component) + 1 :]: layer.sizes for path, layer in layers.items() if component_of(path) == component
        }
        try:
            with seeded(task.device, 0):
                ties = trace(copy.get_submodule(component), inputs[component], inside)
        except Exception as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            message = f"'{component}' cannot be traced, so its tied channels are not known ({said}): {INSTEAD}"
            raise TicketError(message, Status.FAILED) from error
        for group in _grouped(ties, component, layers):
            weights = (*group.of("weight"), *group.of("weight", makes=False))
            if all(member.tensor in allowed for member in weights):
                groups[group.name] = group
    return groups


def _require_untied(task: Task) -> None:
    state = state_of(task)
    if tied := [name for name in task.state_dict() if name not in state]:
        message = f"'{tied[0]}' shares its numbers with another weight, so its channels cannot be removed: {INSTEAD}"
        raise TicketError(message, Status.FAILED)


def _layers(task: Task) -> dict[str, _Layer]:
    found = {}
    for path, layer in task.named_modules():
        if (axes := axes_of(layer)) is None:
            continue
        tensors = layer.state_dict()
        sizes = {axis.side: tensors[axis.tensor].shape[axis.dim] // axis.each for axis in reversed(axes)}
        found[path] = _Layer(axes, sizes, {axis.tensor: tensors[axis.tensor].shape for axis in axes})
    return found


def _strip(module: nn.Module) -> None:
    """Plain weights in place of spectrally normalized ones, on which torch-pruning fails."""
    for layer in module.modules():
        if axes_of(layer) is None:
            continue
        if parametrize.is_parametrized(layer, "weight"):
            layer.register_parameter("weight", bare(layer)["weight"].original)
        elif any(isinstance(hook, SpectralNorm) for hook in layer._forward_pre_hooks.values()):
            remove_spectral_norm(layer)


def _grouped(ties: Ties, component: str, layers: Mapping[str, _Layer]) -> list[Group]:
    """The classes of tied channels, those with the same layers together."""
    if not ties.pairs:
        return []
    alike: dict[tuple[tuple[int, int], ...], list[dict[int, list[int]]]] = {}
    for places in _classes(ties):
        signature = tuple((slot, len(places[slot])) for slot in sorted(places))
        alike.setdefault(signature, []).append(places)
    order = {path: number for number, path in enumerate(layers)}
    made: list[tuple[int, Group]] = []
    for channels in alike.values():
        slots = {slot: (f"{component}.{ties.slots[slot][0]}".rstrip("."), ties.slots[slot][1]) for slot in channels[0]}
        makers = [path for path, side in slots.values() if side == "out" and layers[path].axes[0].part == "weight"]
        if makers:
            first = min(makers, key=order.__getitem__)
            members = tuple(_members(slots, channels, layers, order))
            made.append((order[first], Group(first, len(channels), members)))
    return _named(made)


def _classes(ties: Ties) -> list[dict[int, list[int]]]:
    """Each class of tied channels that may go: slot of a layer -> places there, in order."""
    from scipy.sparse import coo_array  # it takes as long to import as all of this package
    from scipy.sparse.csgraph import connected_components

    left = np.concatenate([pair[0] for pair in ties.pairs])
    right = np.concatenate([pair[1] for pair in ties.pairs])
    ids, numbers = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, other = numbers[: len(left)], numbers[len(left) :]
    edges = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(len(ids), len(ids)))
    label = connected_components(edges, directed=False)[1].astype(np.int64)
    walls = np.isin(ids >> PLACE, np.asarray(sorted(ties.walls), dtype=np.int64))
    layered = np.asarray([path is not None for path, _ in ties.slots])
    free = ~np.isin(label, label[walls]) & layered[ids >> PLACE]
    return _by_class(ids[free], label[free])


def _by_class(ids: Ids, label: Ids) -> list[dict[int, list[int]]]:
    classes: dict[int, dict[int, list[int]]] = {}
    for one, number in zip(ids.tolist(), label.tolist(), strict=True):  # ids are sorted, and so are places
        classes.setdefault(number, {}).setdefault(one >> PLACE, []).append(one & ((1 << PLACE) - 1))
    return list(classes.values())


def _members(
    slots: Mapping[int, tuple[str, str]],
    channels: list[dict[int, list[int]]],
    layers: Mapping[str, _Layer],
    order: Mapping[str, int],
) -> list[Member]:
    members = []
    for slot, (path, side) in sorted(slots.items(), key=lambda item: (order[item[1][0]], item[1][1] == "in")):
        index = torch.tensor([places[slot] for places in channels])
        layer = layers[path]
        for axis in layer.axes:
            if axis.side == side:
                owned = (index[:, :, None] * axis.each + torch.arange(axis.each)).flatten(1)
                extent = layer.shapes[axis.tensor][axis.dim]
                name = f"{path}.{axis.tensor}"
                members.append(Member(name, path, axis.dim, owned, extent, axis.part, side == "out"))
    return members


def _named(made: list[tuple[int, Group]]) -> list[Group]:
    """In the order of their layers; a layer whose channels go separate ways names several groups."""
    named: list[Group] = []
    for _, group in sorted(made, key=lambda item: item[0]):
        number = sum(other.name.split("#")[0] == group.name for other in named)
        name = group.name if not number else f"{group.name}#{number + 1}"
        named.append(Group(name, group.size, group.members))
    return named
