"""Sides: what a transfer sees of a network: its prunable layers in order, their kinds and shapes, and their norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from gentickets.errors import TicketError, nearest
from gentickets.masks import PRUNABLE, prunable_layers
from gentickets.portable import NORMS
from gentickets.tasks import Task

_GEOMETRY = ("stride", "padding", "output_padding", "dilation", "groups", "padding_mode")


@dataclass(frozen=True)
class Norm:
    """A norm, or another layer with a number or two per channel."""

    path: str
    kind: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    """Its parameters and buffers."""
    groups: int | None = None
    """Of a group norm."""

    def like(self, other: Norm, *, widths: bool = False) -> bool:
        """Whether the one's tensors can take the other's; with ``widths`` whatever their number of channels."""
        ours, theirs = (tuple(n for n, _ in s.shapes) if widths else s.shapes for s in (self, other))
        return self.kind == other.kind and self.groups == other.groups and ours == theirs


@dataclass(frozen=True)
class Layer:
    """A prunable layer of a network."""

    path: str
    inner: str
    """Its path below the routed module, empty for the module itself."""
    weight: str
    """Its weight's name in the prunable set: tied layers have one name."""
    kind: str
    geometry: tuple[Any, ...]
    """Of a convolution: kernel, stride, padding and what else it does not share with a linear layer."""
    shape: tuple[int, ...]
    bias: bool
    behind: tuple[Norm, ...]
    """Norms that stand right behind it in its module."""
    before: tuple[Norm, ...]
    """Norms that open its module, or follow a sum, and stand right before it: those of pre-norm residual blocks."""

    @property
    def norms(self) -> tuple[Norm, ...]:
        """Those before it and those behind."""
        return self.before + self.behind

    def fits(self, other: Layer, *, widths: bool = False) -> bool:
        """Whether the one's weight does in the other's place what it did: same kind, geometry and shape.

        With ``widths`` numbers of channels may differ.
        """
        same = self.kind == other.kind and self.geometry == other.geometry
        return same and (self.shape == other.shape or (widths and len(self.shape) == len(other.shape)))

    def __str__(self) -> str:
        text = f"'{self.path}' ({self.kind} {self.shape}"
        if self.geometry:
            _, stride, padding, *_, groups, _ = self.geometry
            text += f", stride {_short(stride)}, padding {_short(padding)}" + (f", {groups} groups" * (groups > 1))
        return text + ")"


def located(task: Task, path: str, side: str) -> str:
    """The one name of the module at a path (a module that is used twice has several: the first).

    Raises TicketError for a path that leads nowhere; ``side`` is ``source`` or ``target``.
    """
    modules = dict(task.named_modules(remove_duplicate=False))
    if not path or path not in modules:
        paths = [name for name in modules if name]
        known = f"Its components: {', '.join(task.components)}."
        raise TicketError(f"the {side} has nothing called '{path}'. {nearest(path, paths)} {known}")
    first: str = next(name for name, module in task.named_modules() if module is modules[path])
    return first


def layers_below(task: Task, path: str) -> list[Layer]:
    """The prunable layers at a path and below it, in the network's order."""
    behind, before = _beside(task)
    found = []
    for name, (weight_name, weight) in prunable_layers(task).items():
        if not within(name, path):
            continue
        layer = task.get_submodule(name)
        found.append(
            Layer(
                name, name.removeprefix(path).lstrip("."), weight_name, _kind(layer), _geometry(layer),
                tuple(weight.shape), getattr(layer, "bias", None) is not None,
                tuple(_norm(task, norm) for norm in behind.get(name, ())),
                tuple(_norm(task, norm) for norm in before.get(name, ())),
            )
        )  # fmt: skip
    return found


def within(name: str, path: str) -> bool:
    """Whether a module's name is a path, or lies below it."""
    return name == path or name.startswith(f"{path}.")


def _kind(layer: nn.Module) -> str:
    """The class among the prunable ones that a layer belongs to, whatever stands on top of it."""
    return next(kind.__name__ for kind in PRUNABLE if isinstance(layer, kind))


def _geometry(layer: nn.Module) -> tuple[Any, ...]:
    if isinstance(layer, nn.Linear):
        return ()
    return (layer.kernel_size, *(getattr(layer, name) for name in _GEOMETRY))


def _norm(task: Task, path: str) -> Norm:
    module = task.get_submodule(path)
    shapes = tuple((name, tuple(value.shape)) for name, value in module.state_dict().items())
    return Norm(path, type(module).__name__, shapes, getattr(module, "num_groups", None))


def _beside(task: Task) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Prunable layer -> norms right behind it, and right before it; each norm stands with one layer.

    Behind a layer means after it among the children of one module, with no weights in between but norms. A norm with no
    such layer (it opens a block, or follows one: what it sees is a sum) goes with the next layer, which reads it.
    """
    names = {module: name for name, module in task.named_modules()}
    behind: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    waiting: list[str] = []
    seen: set[nn.Module] = set()

    def walk(parent: nn.Module) -> None:
        last: str | None = None
        for child in parent.children():
            if child in seen:
                continue
            seen.add(child)
            if isinstance(child, PRUNABLE):
                last = names[child]
                before[last] = waiting.copy()
                waiting.clear()
            elif isinstance(child, NORMS):
                (waiting if last is None else behind.setdefault(last, [])).append(names[child])
            elif child.state_dict():  # a block, or weights of another kind
                last = None
                walk(child)

    walk(task)
    return behind, before


def _short(value: Any) -> Any:
    """One number for a side that is the same in all directions."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
