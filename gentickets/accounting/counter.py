"""Counting the FLOPs of whatever runs, forward, backward and backward again.

What is counted, and how, stands in `gentickets.accounting.formulas`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gentickets.accounting.formulas import CONVOLUTION, FORMULAS, KINDS, LINEAR


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, every FLOP is counted, by kind. 1 multiply-add = 2 FLOPs.

        with Counter() as counter:
            loss(batch).backward()
        counter.total, counter.kinds["norm"]

    It sees operations below autograd, where a gradient inside a loss (a gradient penalty) runs as any other code,
    whereas PyTorch's own `FlopCounterMode` follows modules and cannot take one. It counts what is computed: a
    gradient that nobody asks for costs nothing. Compiled code is not looked into. Fused attention, which has no
    formula here, counts by PyTorch's, as linear.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kinds: dict[str, int] = dict.fromkeys(KINDS, 0)
        """Kind -> FLOPs until now."""

    @property
    def total(self) -> int:
        """FLOPs until now."""
        return sum(self.kinds.values())

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and book what it costs."""
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        known = packet in FORMULAS or packet in flop_registry
        if not known and isinstance(func, OpOverload):
            with self:  # in inference mode layers arrive whole
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if packet in FORMULAS:
            kind, formula = FORMULAS[packet]
            given = _named(func, args, kwargs)
            self.book(func, given, out, kind, formula(given, out))
        elif known:
            flops = int(flop_registry[packet](*args, **kwargs, out_val=out))
            self.book(func, _named(func, args, kwargs), out, LINEAR, flops)
        else:
            self.note(func, (args, kwargs), out)
        return out

    def book(self, func: Any, given: Mapping[str, Any], out: Any, kind: str, flops: int) -> None:
        """Called with every operation that costs something, its arguments by name."""
        self.kinds[kind] += flops

    def note(self, func: Any, given: Any, out: Any) -> None:
        """Called with every operation that costs nothing."""


@dataclass
class Work:
    """What one operation cost, and the parameter that it is done for; None where it is done for none."""

    kind: str
    flops: int
    owner: str | None


class LayerCounter(Counter):  # type: ignore[no-untyped-call]
    """A counter that also says for which parameter each operation is done.

    A layer's work forward and for its input's gradient multiplies its weight. Its weight's gradient does not: it is
    known by where it ends up (`claim`). So this follows tensors: what is made of parameters and buffers alone (a
    weight divided by its norm, transposed, rounded) stands for the largest of them, and what is made of products
    without a weight keeps in mind which. All tensors are kept until the counter goes.
    """

    def __init__(self, parameters: Mapping[str, Tensor], buffers: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.works: list[Work] = []
        self._owners: dict[int, str | None] = {_memory(buffer): None for buffer in buffers}
        self._owners |= {_memory(parameter): name for name, parameter in parameters.items()}
        self._given = frozenset(self._owners)
        self._products: dict[int, frozenset[int]] = {}
        self._kept: list[Any] = []  # memory that is free would be given to other tensors

    def claim(self, parameter: Tensor, gradient: Tensor) -> None:
        """Say of which parameter this is the gradient; work that went into it and has no owner is the parameter's.

        Biases and scales have sums for gradients, which no product is made for.
        """
        if parameter.ndim < 2:
            return
        for number in self._products.get(_memory(gradient), ()):
            if self.works[number].owner is None:
                self.works[number].owner = self._owners[_memory(parameter)]

    def book(self, func: Any, given: Mapping[str, Any], out: Any, kind: str, flops: int) -> None:
        """Book an operation to the parameter that it multiplies."""
        super().book(func, given, out, kind, flops)
        factors = _tensors(_factors(given, kind))
        owners = [owner for factor in factors if (owner := self._owners.get(_memory(factor))) is not None]
        self.works.append(Work(kind, flops, owners[-1] if owners else None))
        new = frozenset() if owners else frozenset([len(self.works) - 1])
        self._follow(_tensors(given), out, new, steady=True)

    def note(self, func: Any, given: Any, out: Any) -> None:
        """Follow tensors through an operation that costs nothing."""
        came = _tensors(given)
        steady = isinstance(func, OpOverload) and torch.Tag.nondeterministic_seeded not in func.tags
        through = frozenset[int]().union(*(self._products.get(_memory(tensor), ()) for tensor in came))
        self._follow(came, out, through, steady)

    def _follow(self, came: Sequence[Tensor], out: Any, products: frozenset[int], steady: bool) -> None:
        """``steady``: whether the same comes of the same, and nothing is drawn."""
        fixed = steady and all(_memory(tensor) in self._owners for tensor in came)
        owned = [tensor for tensor in came if self._owners.get(_memory(tensor)) is not None]
        owner = self._owners[_memory(max(owned, key=Tensor.numel))] if owned else None
        for tensor in _tensors(out):
            memory = _memory(tensor)
            if memory not in self._given:
                self._owners.pop(memory, None)
                if fixed:
                    self._owners[memory] = owner
            if products:
                self._products[memory] = self._products.get(memory, frozenset()) | products
        self._kept.append(out)


def _factors(given: Mapping[str, Any], kind: str) -> list[Any]:
    """The arguments that are multiplied: not a bias, nor what a product is added to."""
    if kind == CONVOLUTION or "weight" in given:
        return [given.get("input"), given["weight"]]
    added = "self" if {"mat1", "mat", "batch1"} & set(given) else ""
    return [value for name, value in given.items() if name != added]


def _named(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of an operation's schema, defaults included."""
    named = {argument.name: argument.default_value for argument in func._schema.arguments}
    named.update(zip(named, args, strict=False))
    return {**named, **kwargs}


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    """What views of one tensor have in common."""
    return int(tensor.untyped_storage()._cdata)
