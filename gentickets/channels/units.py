"""Units: from the labels of a run to groups of channels, each with the places that it has in a task's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from gentickets.channels.group import Found, Group, Member
from gentickets.channels.labels import NOBODY, OUTSIDE, Ids, Labels
from gentickets.channels.tracing import Trace
from gentickets.counted import LEFT
from gentickets.shapes import Axis, axes_of

_OUTER = "they are read from what is of no channel"
_BOTH = "a layer multiplies by '{}', which is also used in another way"
_APART = "the entries of '{}' do not stand along one dimension"


@dataclass(frozen=True)
class _Stand:
    """A dimension of a tensor along which the channels of a slot stand."""

    tensor: str
    dim: int
    extent: int
    part: str
    each: int = 1
    runs: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Slot:
    """A side of a layer, or a dimension of a module's own parameter."""

    rank: tuple[int, int, int]
    layer: str
    makes: bool
    stands: tuple[_Stand, ...]
    labels: Tensor

    @property
    def weighs(self) -> bool:
        """Whether a weight makes the channels here."""
        return self.makes and any(stand.part == "weight" for stand in self.stands)


def grouped(trace: Trace, component: str, task: nn.Module) -> Found:
    """The groups of one component, those of the same layers together, and what of it stays."""
    slots = sorted(_Slots(trace, component, task), key=lambda slot: slot.rank)
    number = trace.labels.classes()
    bad = _staying(trace, number)
    places: dict[int, dict[int, list[int]]] = {}
    for at, slot in enumerate(slots):
        for place, channel in enumerate(number[slot.labels.numpy()].tolist()):
            places.setdefault(channel, {}).setdefault(at, []).append(place)
    alike: dict[tuple[tuple[int, int], ...], list[tuple[int, dict[int, list[int]]]]] = {}
    for channel, where in places.items():
        if channel not in bad and any(slots[at].weighs for at in where):
            alike.setdefault(tuple((at, len(each)) for at, each in sorted(where.items())), []).append((channel, where))
    together = {int(number[label]): why for label, why in trace.labels.together.items()}
    made: list[Group] = []
    for units in alike.values():
        if len(units) == 1 and units[0][0] in together:
            bad[units[0][0]] = together[units[0][0]]
            continue
        made.append(_group(slots, sorted((where for _, where in units), key=_first)))
    named = _named(made, {slot.layer: slot.rank[0] for slot in slots})
    return Found({group.name: group for group in named}, _kept(slots, number, bad))


def _first(where: Mapping[int, list[int]]) -> tuple[int, int]:
    at = min(where)
    return at, where[at][0]


def _staying(trace: Trace, number: Ids) -> dict[int, str]:
    """Channel -> why it stays."""
    bad: dict[int, str] = {}
    for label, why in trace.labels.walls.items():
        bad.setdefault(int(number[label]), why)
    bad.setdefault(int(number[NOBODY]), _OUTER)
    return bad


def _kept(slots: list[_Slot], number: Ids, bad: Mapping[int, str]) -> dict[str, tuple[int, str]]:
    """Layer -> how many of the channels that it makes stay, and why; what leads in or out is not mentioned."""
    stays: dict[str, tuple[int, str]] = {}
    outside = int(number[OUTSIDE])
    for slot in slots:
        channels = [
            channel for channel in number[slot.labels.numpy()].tolist() if channel in bad and channel != outside
        ]
        if slot.weighs and channels:
            stays[slot.layer] = len(channels), bad[channels[0]]
    return stays


def _group(slots: list[_Slot], units: list[dict[int, list[int]]]) -> Group:
    members = []
    for at in sorted(units[0]):
        index = torch.tensor([where[at] for where in units])
        slot = slots[at]
        for stand in slot.stands:
            owned = (index[:, :, None] * stand.each + torch.arange(stand.each)).flatten(1)
            members.append(
                Member(stand.tensor, slot.layer, stand.dim, owned, stand.extent, stand.part, slot.makes, stand.runs)
            )
    name = next(slots[at].layer for at in sorted(units[0]) if slots[at].weighs)
    return Group(name, len(units), tuple(members))


def _named(made: list[Group], order: Mapping[str, int]) -> list[Group]:
    """In the order of their layers; a layer whose channels go separate ways names several groups."""
    named: list[Group] = []
    for group in sorted(made, key=lambda group: order[group.name]):
        number = sum(other.name.split("#")[0] == group.name for other in named)
        name = group.name if not number else f"{group.name}#{number + 1}"
        named.append(Group(name, group.size, group.members))
    return named


class _Slots:
    """Every slot of a component that a run has shown."""

    def __init__(self, trace: Trace, component: str, task: nn.Module) -> None:
        self.trace, self.component = trace, component
        self.modules = {
            path: (number, module)
            for number, (path, module) in enumerate(task.named_modules())
            if path == component or path.startswith(f"{component}.")
        }
        self.seen: set[str] = set()

    def __iter__(self) -> Iterator[_Slot]:
        for path, (number, module) in self.modules.items():
            axes = axes_of(module)
            if axes is not None:
                yield from self._layer(path, number, module, axes)
        for name, dim in self.trace.axes:
            if name not in self.seen and name not in self.trace.entries:
                yield self._own(name, dim, self.trace.axes[name, dim], "weight", (name, dim) not in self.trace.read)
        for name, labels in self.trace.entries.items():
            if name not in self.seen and self._is_mixed(name) is False:
                yield from self._entries(name, labels)

    def _inside(self, path: str) -> str:
        return path[len(self.component) + 1 :]

    def _layer(self, path: str, number: int, module: nn.Module, axes: tuple[Axis, ...]) -> Iterator[_Slot]:
        inside = self._inside(path)
        norm = self.trace.norms.get(inside)
        state = module.state_dict()
        for place, side in enumerate(("out", "in")):
            own = [axis for axis in axes if axis.side == side]
            extents = [state[axis.tensor].shape[axis.dim] for axis in own]
            stands = [
                _Stand(f"{path}.{axis.tensor}", axis.dim, extent, axis.part, axis.each)
                for axis, extent in zip(own, extents, strict=True)
            ]
            labels = self._labels(inside, own)
            if side == "out" and norm is not None:
                labels = norm[1]
                stands.append(_Stand(f"{path}.{LEFT}", 0, len(labels), "count", runs=norm[0]))
            if labels is not None:
                yield _Slot((number, place, 0), path, side == "out", tuple(stands), labels)

    def _labels(self, inside: str, axes: list[Axis]) -> Tensor | None:
        """The labels of a layer's side. A spectral norm has been taken off, which leaves its layer a plain weight."""
        found = None
        for axis in axes:
            name = f"{inside}.{'weight' if axis.part == 'weight' else axis.tensor}".lstrip(".")
            self.seen.add(name)
            if axis.part == "weight":
                found = self.trace.axes.get((name, axis.dim), found)
                self._is_mixed(name)
            elif found is None and name in self.trace.entries:
                found = self.trace.entries[name].flatten()
        return found

    def _is_mixed(self, name: str) -> bool:
        """Whether a tensor is both multiplied by and used number by number; then its channels stay."""
        sides = [labels for (tensor, _), labels in self.trace.axes.items() if tensor == name]
        if not sides or name not in self.trace.entries:
            return False
        for labels in (*sides, self.trace.entries[name]):
            self.trace.labels.wall(labels, _BOTH.format(f"{self.component}.{name}"))
        return True

    def _own(self, name: str, dim: int, labels: Tensor, part: str, makes: bool) -> _Slot:
        tensor = f"{self.component}.{name}"
        layer = tensor.rpartition(".")[0]
        owner = self.modules[layer][1]
        if type(owner).__module__.startswith("torch.nn"):
            self.trace.labels.wall(labels, f"'{tensor}' is a tensor of a {type(owner).__name__}, which keeps its width")
        extent = labels.numel()
        stand = _Stand(tensor, dim, extent, part)
        return _Slot((self.modules[layer][0], int(not makes), 1 + dim), layer, makes, (stand,), labels)

    def _entries(self, name: str, labels: Tensor) -> Iterator[_Slot]:
        """A parameter that is used number by number, along the one dimension that tells its channels apart."""
        along = _dimension(self.trace.labels, labels)
        if along is None:
            self.trace.labels.wall(labels, _APART.format(f"{self.component}.{name}"))
            return
        dim, each = along
        part = "bias" if "bias" in name.rpartition(".")[2] else "own"
        yield self._own(name, dim, each, part, True)


def _dimension(labels: Labels, entries: Tensor) -> tuple[int, Tensor] | None:
    """The dimension along which a tensor's entries are of different channels, and the channel of each place there."""
    if entries.ndim == 0:
        return None
    known = labels.canonical(entries)
    for dim in sorted(range(entries.ndim), key=lambda dim: -entries.shape[dim]):
        rows = known.movedim(dim, 0).reshape(entries.shape[dim], -1)
        if bool((rows == rows[:, :1]).all()) and (rows.shape[0] > 1 or prod(entries.shape) == 1):
            return dim, rows[:, 0]
    return None
