"""Tracing: a network run once, in which every number carries the label of its channel, moved by the operators.

No dimension is taken for that of channels: a convolution says where its own are, a permutation moves them as it moves
the numbers. Layers tie what they read and make to the axes of their weights; operators on numbers tie what they bring
together. What meets an operator that has no rule stays, and the operator is named with its module.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from gentickets.channels.labels import NOBODY, OUTSIDE, Labels, compressed
from gentickets.counted import full_runs, is_counted, runs_of
from gentickets.untouched import tensors_in

Made = list[Tensor | None]
"""The labels of an operator's results; None for those that are of no channel."""


@dataclass(frozen=True)
class Weight:
    """A stored tensor as it is, perhaps with its dimensions in another order."""

    name: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One operator at work."""

    op: str
    """Its name, without its namespace, its overload and the underscore of working in place."""
    function: Any
    args: tuple[Any, ...]
    keywords: Mapping[str, Any]
    given: list[Tensor]
    """The tensors among the arguments."""
    made: list[Tensor]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if len(self.args) > place else self.keywords.get(name, default)


Rule = Callable[["Tracer", Call], Made | None]
"""Ties what an operator ties, and gives its results' labels; None where it cannot tell."""


@dataclass
class Trace:
    """What a run has shown of a component. Tensors are named as in the component."""

    labels: Labels = field(default_factory=Labels)
    axes: dict[tuple[str, int], Tensor] = field(default_factory=dict)
    """(tensor that a layer multiplies by, dimension) -> label of each entry."""
    read: set[tuple[str, int]] = field(default_factory=set)
    """Those of them along which channels are read; along the others they are made."""
    entries: dict[str, Tensor] = field(default_factory=dict)
    """Tensor that is used number by number -> label of every number."""
    norms: dict[str, tuple[tuple[int, ...], Tensor]] = field(default_factory=dict)
    """Path of a norm whose statistics are over several channels -> how many in each, and the channels' labels."""


def trace(module: nn.Module, inputs: tuple[Tensor, ...], rules: Mapping[str, Rule]) -> Trace:
    """Run a module, which may be spoilt (it keeps hooks and evaluation mode), on these inputs."""
    tracer = Tracer(module, inputs, rules)
    with torch.no_grad(), warnings.catch_warnings(), _plain_attention():
        warnings.simplefilter("ignore")
        with tracer:
            result = module.eval()(*inputs)
    found = False
    for tensor in tensors_in(result):
        found = True
        tracer.trace.labels.tie(tracer.of(tensor), torch.tensor(OUTSIDE))
    if not found:
        raise RuntimeError(f"it returns {type(result).__name__}, in which no tensors are found")
    return tracer.trace


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the encoder layers' fused operator, in which nothing can be followed."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The mode in which labels move."""

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor], rules: Mapping[str, Rule]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rules = rules
        self.trace = Trace()
        self.labels = self.trace.labels
        self.known: Any = WeakTensorKeyDictionary()
        self.stored: dict[str, Tensor] = {}
        self.unstored: set[str] = set()
        self.path = [""]
        self.inside: list[str] = []
        """Norms that are run as one operator: what they do inside is not followed."""
        kept = module.state_dict(keep_vars=True)
        for name, tensor in chain(module.named_parameters(), module.named_buffers()):
            if tensor.is_floating_point():
                self.stored[name] = tensor
                self.known[tensor] = Weight(name, tuple(range(tensor.ndim)))
                self.unstored |= set() if name in kept else {name}
        for tensor in tensors_in(inputs):
            self.known[tensor] = torch.full((1,) * tensor.ndim, OUTSIDE)
        for path, part in module.named_modules():
            part.register_forward_pre_hook(lambda part, given, path=path: self._enter(path, part), prepend=True)
            part.register_forward_hook(lambda part, given, made, path=path: self._leave(path, part, given, made))

    def _enter(self, path: str, part: nn.Module) -> None:
        self.path.append(path)
        if _is_operator(part):
            self.inside.append(path)

    def _leave(self, path: str, part: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        if _is_operator(part):
            self.inside.pop()
            self._normed(part, given[0], made)
        self.path.pop()

    def _normed(self, norm: nn.Module, x: Tensor, made: Tensor) -> None:
        labels = self.of(x)
        channels = self.along(labels, 1 if isinstance(norm, nn.GroupNorm) else labels.ndim - 1, x)
        for own in norm.parameters(recurse=False):
            self.labels.tie(self.of(own), channels)
        self.trace.norms[self.path[-1]] = (runs_of(norm) or (), channels)
        self.known[made] = labels

    def of(self, tensor: Tensor) -> Tensor:
        """The labels of a tensor, with one entry where they are equal along a dimension."""
        known = self.known.get(tensor)
        if known is None:
            return torch.zeros((1,) * tensor.ndim, dtype=torch.long)
        return self._entries(known).permute(known.dims) if isinstance(known, Weight) else known

    def is_labelled(self, tensor: Tensor) -> bool:
        """Whether anything is known of a tensor."""
        return self.known.get(tensor) is not None

    def weight(self, tensor: Tensor) -> Weight | None:
        """The stored tensor that this one is, if it is one."""
        known = self.known.get(tensor)
        return known if isinstance(known, Weight) and known.name not in self.unstored else None

    def side(self, weight: Weight, dim: int, *, reads: bool = False) -> Tensor:
        """The labels along a dimension of a weight that a layer multiplies by."""
        key = weight.name, weight.dims[dim]
        if reads:
            self.trace.read.add(key)
        if key not in self.trace.axes:
            self.trace.axes[key] = self.labels.fresh((self.stored[weight.name].shape[key[1]],))
        return self.trace.axes[key]

    def _entries(self, weight: Weight) -> Tensor:
        if weight.name not in self.trace.entries:
            labels = self.labels.fresh(tuple(self.stored[weight.name].shape))
            self.trace.entries[weight.name] = labels
            if weight.name in self.unstored:
                self.labels.wall(labels, f"they meet the buffer '{weight.name}', which is not stored")
        return self.trace.entries[weight.name]

    def along(self, labels: Tensor, dim: int, tensor: Tensor) -> Tensor:
        """The label of each place along a dimension of a tensor; all that stands at one place is tied."""
        size = tensor.shape[dim]
        rows = labels.movedim(dim, 0).reshape(labels.shape[dim], -1)
        return self.labels.gather(rows, self.meeting("one place")).expand(size)

    def meeting(self, where: str) -> str:
        """Why channels that meet somewhere go only together."""
        return f"they meet in {where} of {self.module}, and could only go together"

    @property
    def module(self) -> str:
        """The module at work, in words."""
        return f"'{self.path[-1]}'" if self.path[-1] else "the component itself"

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and label what it makes."""
        keywords = kwargs or {}
        result = function(*args, **keywords)
        if not self.inside:
            self._follow(function, args, keywords, result)
        return result

    def _follow(self, function: Any, args: Any, keywords: Mapping[str, Any], result: Any) -> None:
        given = list(tensors_in((args, tuple(keywords.values()))))
        made = list(tensors_in(result))
        if not made or not any(self.is_labelled(tensor) for tensor in given):
            return
        name = function._schema.name.partition("::")[2]
        in_place = name.endswith("_") and made[0] is given[0]
        call = Call(name.rstrip("_") if in_place else name, function, args, keywords, given, made)
        rule = self.rules.get(call.op)
        try:
            labels = rule(self, call) if rule is not None else None
        except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
            labels = None  # a form of the operator that its rule does not know
        if labels is None:
            labels = self._unknown(call)
        if in_place and made[0]._base is not None:
            self._write(made[0]._base, labels[0])
        for tensor, label in zip(made, labels, strict=False):
            if label is not None:
                self.known[tensor] = label

    def _unknown(self, call: Call) -> Made:
        """All that meets an operator without a rule stays."""
        why = f"'{call.op}' in {self.module} is not understood"
        for tensor in call.given:
            if self.is_labelled(tensor):
                self.labels.wall(self.of(tensor), why)
        return [torch.full((1,) * tensor.ndim, OUTSIDE) for tensor in call.made]

    def _write(self, base: Tensor, labels: Tensor | None) -> None:
        """What is written into a part of a tensor stays, and the tensor with it: other views would not know."""
        why = f"a part of a tensor is overwritten in {self.module}"
        for part in (labels, self.of(base)):
            if part is not None:
                self.labels.wall(part, why)
        self.known[base] = torch.full((1,) * base.ndim, OUTSIDE)


def _is_operator(part: nn.Module) -> bool:
    """Whether a module is followed as one operator: norms that PyTorch, or we, put together of several."""
    return is_counted(part) or (type(part) is nn.RMSNorm and full_runs(part) is not None)


def whole(labels: Tensor, tensor: Tensor) -> Tensor:
    """Labels of every number of a tensor, as a view."""
    return labels.expand(tensor.shape)


def one_each(results: Sequence[Tensor]) -> Made:
    """Labels as an operator has moved them, each with one entry where they are equal."""
    return [compressed(labels) for labels in results]


def nobody(labels: Tensor) -> bool:
    """Whether labels are of no channel."""
    return not bool((labels != NOBODY).any())
