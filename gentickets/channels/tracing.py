"""Tracing: which channels are tied, read from torch-pruning's dependency graph. Nothing of it leaves this module.

Nodes and edges are torch-pruning's (Fang et al., 2023). Its ways through reshaping, splitting and concatenation are
not: it takes a dense layer in front of a map for one of as many channels as it has rows, which leaves the largest layer
of many generators whole (Trap 14), and it numbers the parts of a split in the order in which it meets them. Here both
follow from the shapes of what was computed. What meets an operation that is not understood stays.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor, nn

from gentickets.untouched import tensors_in

Ids = np.ndarray[Any, np.dtype[np.int64]]
Shape = tuple[int, ...]
Sizes = Mapping[str, Mapping[str, int]]
"""Path of a layer that may lose channels -> side -> channels. A layer without ``in`` passes channels on."""
PLACE = 32
"""The bits of an id that hold a channel's place on its slot; those above hold the slot's number."""
_OP = tp.ops.OPTYPE


@dataclass
class Ties:
    """Pairs of tied channels. A channel's id is its slot's number << PLACE, plus its place there."""

    slots: list[tuple[str | None, str]] = field(default_factory=list)
    """(path of a layer, None for operations; ``in`` or ``out``)."""
    pairs: list[tuple[Ids, Ids]] = field(default_factory=list)
    walls: set[int] = field(default_factory=set)
    """Slots whose channels stay: inputs, outputs, and what is not understood."""


def trace(module: nn.Module, inputs: tuple[Tensor, ...], sizes: Sizes) -> Ties:
    """The ties in one component, run once on these inputs.

    The module is one that may be spoilt: it is put into evaluation mode, and its parameters are made to ask for
    gradients, since the graph is autograd's.
    """
    entries: list[object] = []

    def forward(part: nn.Module, given: tuple[Tensor, ...]) -> list[Tensor]:
        watched = [x.detach().requires_grad_().clone() if x.is_floating_point() else x for x in given]
        entries.extend(x.grad_fn for x in watched)
        # an operation of its own at the end, so that the last layer is seen to lead out
        return [y * 1 for y in tensors_in(part(*watched)) if y.requires_grad]

    for parameter in module.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = tp.DependencyGraph()
        try:
            graph.build_dependency(module, inputs, forward_fn=forward, verbose=False)
        except Exception:
            if not hasattr(graph, "module2node"):
                raise  # else the graph is whole: it failed on sizes of its own, which nobody asks it for
        return _Reading(module, list(graph.module2node.values()), entries, sizes).ties


class _Reading:
    """A dependency graph, read edge by edge in the direction of the data."""

    def __init__(self, module: nn.Module, nodes: list[Any], entries: list[object], sizes: Sizes) -> None:
        self.paths = {part: path for path, part in module.named_modules()}
        self.sizes = sizes
        self.ties = Ties()
        self.numbers: dict[tuple[int, str], int] = {}
        sources = [node for node in nodes if any(node.grad_fn is entry for entry in entries)]
        fed = _downstream(sources)
        strange = {node for node in nodes if self._is_strange(node)}
        for node in sources:
            self._stop(node, node)
        for node, target in [(one, other) for one in nodes for other in one.outputs]:
            if node not in fed and self._path(target) is not None:
                continue  # a layer's own weight, on its way there
            if node not in fed or node in strange or target in strange:
                self._stop(node, target)
            else:
                self._tie(node, target)

    def _path(self, node: Any) -> str | None:
        """The path of a node's layer; None for operations."""
        return self.paths.get(node.module) if isinstance(node.module, nn.Module) else None

    def _known(self, node: Any) -> Mapping[str, int]:
        """The sizes of a node's layer; none for operations, and for layers that hold nothing to lose."""
        path = self._path(node)
        return {} if path is None else self.sizes.get(path, {})

    def _slot(self, node: Any, side: str) -> int:
        """The number of a node's side; what passes channels on has one side."""
        key = id(node), side if "in" in self._known(node) else "out"
        if key not in self.numbers:
            self.numbers[key] = len(self.ties.slots)
            self.ties.slots.append((self._path(node) if self._known(node) else None, key[1]))
        return self.numbers[key]

    def _stop(self, node: Any, target: Any) -> None:
        """What a node gives stays, and what the other takes."""
        self.ties.walls |= {self._slot(node, "out"), self._slot(target, "in")}

    def _is_strange(self, node: Any) -> bool:
        """Whether a node leads out, is no known layer, or is an operation that changes channels in an unknown way."""
        if (path := self._path(node)) is not None:
            return path not in self.sizes
        if node.type not in (_OP.ELEMENTWISE, _OP.EXPAND, _OP.SLICE, _OP.SPLIT, _OP.RESHAPE, _OP.CONCAT):
            return True  # an output, a bare parameter
        given, made = _shapes(node)
        if any(len(shape) < 2 for shape in (*given, made)):
            return True
        if node.type == _OP.RESHAPE:
            return len(given) != 1 or not _in_runs(given[0], made)
        if node.type == _OP.CONCAT:
            return len(given) != len(node.grad_fn.next_functions)  # something constant is among the parts
        return node.type != _OP.SPLIT and any(shape[1] != made[1] for shape in given)

    def _tie(self, node: Any, target: Any) -> None:
        """Tie what a node gives to what the next one takes, channel by channel."""
        before = target.grad_fn.next_functions
        passages = [(number, part) for number, (one, part) in enumerate(before) if one is node.grad_fn]
        if not passages:  # a layer that is used twice has the node of one of its uses
            if node.type == _OP.SPLIT or target.type in (_OP.CONCAT, _OP.RESHAPE):
                return self._stop(node, target)
            passages = [(0, 0)]
        for number, part in passages:
            places = np.arange(self._given(node, part))
            reached = self._taken(target, number, places)
            if reached is None:
                return self._stop(node, target)
            places = places[reached[0]] + _offset(node, part)
            left, right = self._slot(node, "out") << PLACE, self._slot(target, "in") << PLACE
            self.ties.pairs.append((left + places, right + reached[1]))
        return None

    def _given(self, node: Any, part: int) -> int:
        """How many channels a node gives, in one of its results."""
        made: int = node.grad_fn._input_metadata[part].shape[1]
        return self._known(node).get("out", made)

    def _taken(self, target: Any, number: int, places: Ids) -> tuple[Ids, Ids] | None:
        """Which of these channels reach which of a node's; None where they cannot be the same ones."""
        given, made = _shapes(target)
        if target.type == _OP.RESHAPE:
            return _reshaped(given[0][1], made[1])
        if target.type == _OP.CONCAT and sum(shape[1] for shape in given) == made[1]:
            return places, places + sum(shape[1] for shape in given[:number])
        known = self._known(target)
        wanted = known.get("in", known.get("out", given[0][1] if target.type == _OP.SPLIT else made[1]))
        return (places, places) if wanted == len(places) else None


def _downstream(nodes: list[Any]) -> set[Any]:
    """These nodes and all that follow from them."""
    found, open_ends = set(nodes), list(nodes)
    while open_ends:
        new = [node for node in open_ends.pop().outputs if node not in found]
        found.update(new)
        open_ends += new
    return found


def _shapes(node: Any) -> tuple[list[Shape], Shape]:
    """The shapes of what an operation is given, parameters aside, and of what it makes (its first result)."""
    before = [(one, part) for one, part in node.grad_fn.next_functions if one is not None]
    given = [tuple(one._input_metadata[part].shape) for one, part in before if "AccumulateGrad" not in one.name()]
    return given, tuple(node.grad_fn._input_metadata[0].shape)


def _offset(node: Any, part: int) -> int:
    """Where one of a split's results starts among the channels that were split."""
    if node.type != _OP.SPLIT:
        return 0
    sizes = [one.shape[1] for one in node.grad_fn._input_metadata]
    whole = _shapes(node)[0][0][1]
    starts = list(accumulate(sizes, initial=0))
    return starts[part] if starts[-1] == whole else 0  # else it was split along another dimension


def _in_runs(given: Shape, made: Shape) -> bool:
    """Whether a reshaping keeps samples apart, and makes each channel of one side of a run of the other's."""
    if given[0] != made[0] or 0 in (*given, *made):
        return False
    return max(given[1], made[1]) % min(given[1], made[1]) == 0


def _reshaped(before: int, after: int) -> tuple[Ids, Ids]:
    """Places before and after a reshaping to fewer or more channels."""
    if before >= after:
        return np.arange(before), np.arange(before) // (before // after)
    return np.arange(after) // (after // before), np.arange(after)
