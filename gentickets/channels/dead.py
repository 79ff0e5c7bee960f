"""Dead channels: what an unstructured mask has cut off without saying so, and constants moved into biases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gentickets.channels.group import Group, Groups, Member, full_channels, twin
from gentickets.channels.slicing import silenced
from gentickets.masks import Channels, Mask
from gentickets.tasks import Task
from gentickets.tickets import load_weights, state_of, zeroed
from gentickets.untouched import eager, looking_only, untouched


@looking_only
def dead_channels(task: Task, mask: Mask, groups: Groups) -> Channels:
    """What a mask over single weights leaves of each group, as the task's weights are: removing the rest is exact.

    Removed is a channel that nothing hears (all weights that read it are pruned, or belong to channels that are
    removed), and one that nothing feeds (all weights that make it are) and whose output is zero: its bias, norm and
    activation are looked at by running the masked network once, in evaluation mode. Both until nothing more changes.
    A weight of zero is not a pruned one (Trap 5).

    Not removed: a unit that nothing feeds but that says a constant (see `fold_constants`; into a padded convolution a
    constant cannot be folded, as the border would see it too), a channel with any live weight in a layer under spectral
    norm, whose norm it takes part in, and the last channel of each group. Exact for these weights in evaluation mode:
    trained on, a silent unit's bias might have come back to life.
    """
    live = _live(task, mask, groups)
    return _Cut(live, groups, _Seen.by(task, zeroed(state_of(task), mask), groups)).kept


@looking_only
def fold_constants(task: Task, mask: Mask, groups: Groups) -> tuple[Mask, dict[str, Tensor]]:
    """A mask and a state that compute the same, with the constants that only dense layers read moved into their biases.

    Such a constant comes from a unit that nothing feeds; the weights that read it are then pruned too, so that
    `dead_channels` removes it. Only where all layers that read it are dense, with a bias, under the mask and without
    spectral norm. Exact up to rounding, in evaluation mode.
    """
    weights, masks = zeroed(state_of(task), mask), dict(mask)
    while True:
        seen = _Seen.by(task, weights, groups)
        cut = _Cut(_live(task, masks, groups), groups, seen)
        folded = False
        for name, group in groups.items():
            readers = list(group.of("weight", makes=False))
            heard = [_any_live([member], cut.live, group.size) for member in readers]
            movable = cut.constant(name)
            for member, hears in zip(readers, heard, strict=True):
                movable &= ~hears | _foldable(member, masks, weights, seen)
            for member, hears in zip(readers, heard, strict=True):
                if (chosen := movable & hears).any():
                    _fold(member, member.index[chosen].flatten(), masks, weights, seen)
                    folded = True
        if not folded:
            return Mask(masks), weights


@dataclass
class _Seen:
    """What layers are given by a network in evaluation mode."""

    nonzero: dict[str, Tensor] = field(default_factory=dict)
    """Layer, or norm that counts -> whether each of its input channels ever differs from zero."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """Dense layer -> its inputs where they are the same for all samples, NaN elsewhere."""

    @classmethod
    def by(cls, task: Task, weights: Mapping[str, Tensor], groups: Groups) -> _Seen:
        """Run a task once with these weights, which it does not keep."""
        seen, copy = cls(), twin(task)
        load_weights(copy, weights)
        readers = {member.layer for group in groups.values() for member in group.of("weight", makes=False)}
        for path in sorted(readers | {member.layer for group in groups.values() for member in group.of("count")}):
            copy.get_submodule(path).register_forward_pre_hook(
                lambda layer, given, path=path: seen.note(path, layer, given[0])
            )
        with eager(copy), untouched(copy, 0):
            inputs = copy.inputs(task.blank(2))
            for component in task.components:
                copy.get_submodule(component)(*inputs[component])
        return seen

    def note(self, path: str, layer: nn.Module, x: Tensor) -> None:
        """Remember an input; a layer that is used again hears both."""
        dim = 1 if isinstance(layer, nn.modules.conv._ConvNd | nn.GroupNorm) else x.ndim - 1
        nonzero = (x != 0).movedim(dim, 0).flatten(1).any(1).cpu()
        self.nonzero[path] = self.nonzero.get(path, torch.zeros_like(nonzero)) | nonzero
        if isinstance(layer, nn.Linear) and x.ndim == 2 and not x.is_complex():
            value = torch.where((x == x[:1]).all(0), x[0], torch.nan).double().cpu()
            before = self.constants.get(path, value)
            self.constants[path] = torch.where(before == value, value, torch.nan)

    def speak(self, member: Member) -> Tensor:
        """Which channels are not zero where a layer takes them; all of them where the layer was never called."""
        nonzero = self.nonzero.get(member.layer)
        return torch.ones(len(member.index), dtype=torch.bool) if nonzero is None else nonzero[member.index].any(1)


class _Cut:
    """What is left of each group under the live weights, found until nothing more changes."""

    def __init__(self, live: Mapping[str, Tensor], groups: Groups, seen: _Seen) -> None:
        self.groups, self.seen = groups, seen
        self.bound = {name: _bound(group, live, seen) for name, group in groups.items()}
        self.kept = full_channels(groups)
        while True:
            self.live = silenced(live, groups, self.kept)
            left = {name: self._left(name) for name in groups}
            if all(torch.equal(left[name], kept) for name, kept in self.kept.items()):
                return
            self.kept = Channels(left)

    def _left(self, name: str) -> Tensor:
        speaks = self._fed(name) | ~self._silent(name)
        left = self.kept[name] & (self._heard(name) & speaks | self.bound[name])
        if not left.any():
            left[self.kept.indices(name)[0]] = True
        return left

    def constant(self, name: str) -> Tensor:
        """Which channels say something that nothing feeds, to weights that hear it."""
        return self.kept[name] & self._heard(name) & ~self._fed(name) & ~self._silent(name) & ~self.bound[name]

    def _fed(self, name: str) -> Tensor:
        return _any_live(self.groups[name].of("weight"), self.live, self.groups[name].size)

    def _heard(self, name: str) -> Tensor:
        return _any_live(self.groups[name].of("weight", makes=False), self.live, self.groups[name].size)

    def _silent(self, name: str) -> Tensor:
        group = self.groups[name]
        silent = torch.ones(group.size, dtype=torch.bool)
        for member in group.of("weight", makes=False):
            silent &= ~self.seen.speak(member)
        return silent


def _live(task: Task, mask: Mapping[str, Tensor], groups: Groups) -> dict[str, Tensor]:
    """The weights of the groups as bool tensors, True where they are not pruned."""
    state = state_of(task)
    names = {m.tensor for group in groups.values() for m in group.members if m.part == "weight"}
    ones = {name: torch.ones(state[name].shape, dtype=torch.bool) for name in names}
    return {name: mask[name].cpu() if name in mask else one for name, one in ones.items()}


def _any_live(members: Iterable[Member], live: Mapping[str, Tensor], size: int) -> Tensor:
    """Whether each channel has a live weight in any of the members."""
    found = torch.zeros(size, dtype=torch.bool)
    for member in members:
        found |= live[member.tensor].movedim(member.dim, 0).flatten(1).any(1)[member.index].any(1)
    return found


def _bound(group: Group, live: Mapping[str, Tensor], seen: _Seen) -> Tensor:
    """Which channels take part in a norm over several: they cannot go without moving the others.

    Live weights in a spectral norm, and what is not zero where a norm's statistics are taken.
    """
    normalized = {member.layer for member in group.members if member.part == "estimate"}
    bound = _any_live((m for m in group.members if m.part == "weight" and m.layer in normalized), live, group.size)
    for member in group.of("count"):
        bound |= seen.speak(member)
    return bound


def _foldable(member: Member, masks: Mapping[str, Tensor], weights: Mapping[str, Tensor], seen: _Seen) -> Tensor:
    """Which channels' constants may move into a reader's bias."""
    values = seen.constants.get(member.layer)
    if values is None or member.tensor not in masks or f"{member.layer}.bias" not in weights:
        return torch.zeros(len(member.index), dtype=torch.bool)
    return values[member.index].isfinite().all(1)


def _fold(member: Member, columns: Tensor, masks: dict[str, Tensor], weights: dict[str, Tensor], seen: _Seen) -> None:
    bias, weight = weights[f"{member.layer}.bias"], weights[member.tensor]
    said = seen.constants[member.layer][columns].to(weight.device)
    moved = weight.detach()[:, columns].to(said) @ said
    weights[f"{member.layer}.bias"] = (bias.detach().to(said) + moved).to(bias)
    weights[member.tensor] = weight.detach().index_fill(1, columns.to(weight.device), 0.0)
    masks[member.tensor] = masks[member.tensor].index_fill(1, columns.to(masks[member.tensor].device), False)
