"""Fitting: how many channels each tied group of a source must have for a target, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import nn

from gentickets.channels import groups_of
from gentickets.channels.group import Group, Groups, Member
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import PRUNABLE, component_of, prunable_layers
from gentickets.tasks import Batch, Task
from gentickets.transfer.pairing import Pairing

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """What a target asks of a source's tied groups."""

    groups: Groups = field(default_factory=dict)
    """The source's, of the components in which something differs."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Group -> channels, for every group that a paired layer tells about."""
    problems: tuple[str, ...] = ()
    """Sentences on what cannot be fitted."""


@dataclass(frozen=True)
class _Meeting:
    """A tensor of the source, and the one of the target that takes from it."""

    source: str
    target: str
    ours: _Shape
    theirs: _Shape

    def said(self, reason: str) -> str:
        return f"'{self.source}' {self.ours} cannot become '{self.target}' {self.theirs}: {reason}"


def fit(source: Task, target: Task, pairing: Pairing, batch: Batch | None = None) -> Fit:
    """The sizes that the source's groups must have, so that paired layers have the same shapes.

    Both tasks are untouched. The source is traced (`channels.groups_of`, on ``batch`` or on blank images) only where
    shapes differ. Raises TicketError: pairs of layers that do not exist, and what `groups_of` raises.
    """
    paths = [(pair.source, pair.target) for pair in pairing.pairs]
    meetings = {(path, other): list(_meetings(source, target, path, other)) for path, other in paths}
    differ = {m.source for several in meetings.values() for m in several if m.ours != m.theirs}
    if not differ:
        return Fit()
    components = dict.fromkeys(component_of(name) for name in differ)
    groups = groups_of(source, source.blank(2) if batch is None else batch, components=components, counted=False)
    stands: dict[tuple[str, int], list[tuple[Group, Member]]] = {}
    for group in groups.values():
        for member in group.members:
            stands.setdefault((member.tensor, member.dim), []).append((group, member))
    asked: dict[str, dict[int, str]] = {}
    problems: list[str] = []
    for (path, other), several in meetings.items():
        if any(m.ours != m.theirs for m in several) and (said := _other_kind(source, target, path, other)):
            problems.append(said)
            continue
        layer = source.get_submodule(path)
        told = [said for m in several for said in _ask(m, layer, stands, asked)]
        problems += told[:1]  # a layer's bias says what its weight has said
    problems += [_torn(name, sizes) for name, sizes in asked.items() if len(sizes) > 1]
    sizes = {name: next(iter(sizes)) for name, sizes in asked.items() if len(sizes) == 1}
    return Fit(groups, sizes, tuple(problems))


def _meetings(source: Task, target: Task, path: str, other: str) -> Iterator[_Meeting]:
    """The tensors that both layers of a pair have."""
    theirs = _tensors(target, other, "target")
    for part, (name, shape) in _tensors(source, path, "source").items():
        if part in theirs:
            yield _Meeting(name, theirs[part][0], shape, theirs[part][1])


def _tensors(task: Task, path: str, which: str) -> dict[str, tuple[str, _Shape]]:
    """A layer's tensors: ``weight`` (the raw one), ``bias``, ... -> name in the task, shape."""
    layers = prunable_layers(task)
    modules = dict(task.named_modules())
    if path not in modules:
        message = f"the {which} has no layer '{path}', which a pair names. {nearest(path, modules)}"
        raise TicketError(message, Status.TICKET)
    found = {part: (f"{path}.{part}", tuple(value.shape)) for part, value in modules[path].named_parameters()}
    found |= {part: (f"{path}.{part}", tuple(value.shape)) for part, value in modules[path].named_buffers()}
    if path not in layers:
        return found
    name, weight = layers[path]
    return {"weight": (name, tuple(weight.shape))} | {part: found[part] for part in ("bias",) if part in found}


def _other_kind(source: Task, target: Task, path: str, other: str) -> str | None:
    """A sentence on layers of different kinds, whose dimensions are not each other's."""
    ours, theirs = (_kind(task.get_submodule(one)) for task, one in ((source, path), (target, other)))
    if ours is theirs:
        return None
    return f"'{path}' cannot become '{other}': one is a {ours.__name__}, the other a {theirs.__name__}"


def _kind(layer: nn.Module) -> type[nn.Module]:
    kinds = (*PRUNABLE, nn.modules.batchnorm._BatchNorm)
    return next((kind for kind in kinds if isinstance(layer, kind)), type(layer))


def _ask(
    meeting: _Meeting,
    layer: nn.Module,
    stands: Mapping[tuple[str, int], list[tuple[Group, Member]]],
    asked: dict[str, dict[int, str]],
) -> Iterator[str]:
    """Note the sizes that a tensor's groups must have, and yield sentences on the dimensions that cannot follow."""
    if len(meeting.ours) != len(meeting.theirs):
        yield meeting.said("they have different numbers of dimensions")
        return
    for dim, (ours, theirs) in enumerate(zip(meeting.ours, meeting.theirs, strict=True)):
        here = stands.get((meeting.source, dim), [])
        if ours != theirs and not here:
            yield meeting.said(f"dimension {dim} {_wall(layer, dim)}")
        elif ours != theirs and (len(here) > 1 or here[0][1].index.numel() != ours):
            yield meeting.said(f"dimension {dim} holds more than one group of tied channels")
        elif len(here) == 1:
            group, member = here[0]
            each = member.index.shape[1]
            if theirs % each:
                yield meeting.said(
                    f"each channel has {each} entries along dimension {dim}, and {theirs} is no multiple"
                )
            else:
                size = group.size if ours == theirs else theirs // each
                asked.setdefault(group.name, {}).setdefault(size, meeting.target)


def _wall(layer: nn.Module, dim: int) -> str:
    """Why a dimension holds no channels that can change in number."""
    if getattr(layer, "groups", 1) > 1:
        return "is of a grouped convolution, whose channels cannot be stretched or shrunk"
    if dim > 1:
        return "is the kernel's"
    return "holds no channels that can be copied: images, latents, codes and logits stay as they are"


def _torn(name: str, sizes: Mapping[int, str]) -> str:
    wanted = " and ".join(f"{size} for '{tensor}'" for size, tensor in sorted(sizes.items()))
    return f"the tied channels of '{name}' would have to be {wanted}"
