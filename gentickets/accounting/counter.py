"""Counting the FLOPs of whatever runs, forward, backward and backward again.

What is counted, and how, stands in `gentickets.accounting.formulas`; what counts nothing, in
`gentickets.accounting.free`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Self

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from gentickets.accounting.formulas import COMPLEX, CONVOLUTION, KINDS, LINEAR, Formula, formula_of
from gentickets.accounting.free import is_free
from gentickets.shared import billed
from gentickets.storage import memory_of

HIGHER_ORDER = "higher_order::"
"""Before the names of operators that take functions (`torch.cond`): what they run is not looked into."""


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, every FLOP is counted, by kind. 1 multiply-add = 2 FLOPs.

        with Counter() as counter:
            loss(batch).backward()
        counter.total, counter.kinds["norm"]
        counter.uncounted  # empty, or the total is a lower bound

    It sees operations below autograd, where a gradient inside a loss (a gradient penalty) runs as any other code,
    whereas PyTorch's own `FlopCounterMode` follows modules and cannot take one. It counts what is computed: a
    gradient that nobody asks for costs nothing, and neither does what is on no bill (`gentickets.shared`).

    An operator that has no formula and does not stand in the table of those that count nothing is in `uncounted`, and
    the total is "at least" what it says. A formula registered with `torch.utils.flop_counter.register_flop_formula`
    is taken for an operator that has none here, as linear.

    While it counts, layers go the way that they go in training: the fused evaluation of `nn.TransformerEncoder` is off,
    and functions given to `torch.compile` run as written. What does not pass through PyTorch's operators is not seen:
    numpy, kernels that are started by hand (Triton, CUDA graphs), the backward pass of compiled code that ran before.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kinds: dict[str, int] = dict.fromkeys(KINDS, 0)
        """Kind -> FLOPs until now."""
        self.uncounted: set[str] = set()
        """Names of the operators met until now whose FLOPs are not known."""
        self._settings: list[ExitStack] = []

    @property
    def total(self) -> int:
        """FLOPs until now; at least so many, where `uncounted` has names."""
        return sum(self.kinds.values())

    def __enter__(self) -> Self:
        stack = ExitStack()
        if not self._settings:
            stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
            torch.backends.mha.set_fastpath_enabled(False)
            if "torch._dynamo" in sys.modules:  # without it nothing is compiled
                stack.enter_context(torch.compiler.set_stance("force_eager"))
        self._settings.append(stack)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._settings.pop().close()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and book what it costs."""
        kwargs = kwargs or {}
        if not billed():
            return func(*args, **kwargs)
        if any(kind.__name__ == "DTensor" for kind in types):
            # the first call of its kind is run on shapes alone, too, which would count twice: so it is only named
            self.uncounted.add(f"{_name(func)} of a DTensor")
            return func(*args, **kwargs)
        if any(hasattr(kind, "__tensor_flatten__") for kind in types):
            return NotImplemented  # made of other tensors (nested ones): it comes back as operations on those
        if is_free(name := _name(func)):
            out = func(*args, **kwargs)
            self.note(func, (args, kwargs), out)
            return out
        known, nested = formula_of(name), _is_nested((args, kwargs))
        if known is None and not nested and (parts := _composite(func)) is not None:
            with self:  # in inference mode layers arrive whole
                return parts(*args, **kwargs)
        out = func(*args, **kwargs)
        kind, formula = known or (LINEAR, _registered(func, args, kwargs))
        given = _named(func, args, kwargs)
        flops = None if formula is None or nested else formula(given, out)
        if flops is None:
            self.uncounted.add(name)
            self.note(func, (args, kwargs), out)
        else:
            self.book(func, given, out, kind, flops * (COMPLEX if _is_complex(out) else 1))
        return out

    def book(self, func: Any, given: Mapping[str, Any], out: Any, kind: str, flops: int) -> None:
        """Called with every operation that costs something, its arguments by name."""
        self.kinds[kind] += flops

    def note(self, func: Any, given: Any, out: Any) -> None:
        """Called with every operation that costs nothing, or nobody knows what."""


@dataclass
class CountedWork:
    """What one operation cost, and the parameter that it is done for; None where it is done for none."""

    kind: str
    flops: int
    owner: str | None


class LayerCounter(Counter):  # type: ignore[no-untyped-call]
    """A counter that also says for which parameter each operation is done.

    A layer's work forward and for its input's gradient multiplies its weight. Its weight's gradient does not: it is
    known by where it ends up (`claim`). So this follows tensors: what is made of parameters and buffers alone (a
    weight divided by its norm, transposed, rounded) stands for the largest of them, and what is made of products
    without a weight keeps in mind which. A product of two weights stands for neither: it is dense where they are not.
    All tensors are kept until the counter goes.
    """

    def __init__(self, parameters: Mapping[str, Tensor], buffers: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.works: list[CountedWork] = []
        buffers = list(buffers)
        self._memory = _Memories([*buffers, *parameters.values()])
        self._owners: dict[Hashable, str | None] = {self._memory(buffer): None for buffer in buffers}
        self._owners |= {self._memory(parameter): name for name, parameter in parameters.items()}
        self._given = frozenset(self._owners)
        self._products: dict[Hashable, frozenset[int]] = {}
        self._kept: list[Any] = []  # memory that is free would be given to other tensors

    def claim(self, parameter: Tensor, gradient: Tensor) -> None:
        """Say of which parameter this is the gradient; work that went into it and has no owner is the parameter's.

        Biases and scales have sums for gradients, which no product is made for.
        """
        if parameter.ndim < 2:
            return
        for number in self._products.get(self._memory(gradient), ()):
            if self.works[number].owner is None:
                self.works[number].owner = self._owners[self._memory(parameter)]

    def book(self, func: Any, given: Mapping[str, Any], out: Any, kind: str, flops: int) -> None:
        """Book an operation to the parameter that it multiplies."""
        super().book(func, given, out, kind, flops)
        factors = _tensors(_factors(given, kind))
        owners = [owner for _, owner in self._owned(factors)]
        # a layer with several weights (recurrent ones) is none's alone, and so stays dense under a mask
        several = len({o for f, o in self._owned(factors) if f.ndim > 1}) > 1 and kind == LINEAR and len(factors) > 2
        self.works.append(CountedWork(kind, flops, owners[-1] if owners and not several else None))
        new = frozenset() if owners else frozenset([len(self.works) - 1])
        self._follow(_tensors(given), out, new, steady=True, multiplied=True)

    def _owned(self, factors: Sequence[Tensor]) -> list[tuple[Tensor, str]]:
        """The factors that stand for a parameter, with its name."""
        found = [(factor, self._owners.get(self._memory(factor))) for factor in factors]
        return [(factor, owner) for factor, owner in found if owner is not None]

    def note(self, func: Any, given: Any, out: Any) -> None:
        """Follow tensors through an operation that costs nothing."""
        came = _tensors(given)
        steady = isinstance(func, OpOverload) and torch.Tag.nondeterministic_seeded not in func.tags
        through = frozenset[int]().union(*(self._products.get(self._memory(tensor), ()) for tensor in came))
        self._follow(came, out, through, steady)

    def _follow(
        self, came: Sequence[Tensor], out: Any, products: frozenset[int], steady: bool, multiplied: bool = False
    ) -> None:
        """``steady``: whether the same comes of the same, and nothing is drawn; ``multiplied``: by a product."""
        fixed = steady and all(self._memory(tensor) in self._owners for tensor in came)
        owned = [tensor for tensor in came if self._owners.get(self._memory(tensor)) is not None]
        owner = self._owners[self._memory(max(owned, key=Tensor.numel))] if owned else None
        for tensor in _tensors(out):
            memory = self._memory(tensor)
            if memory not in self._given:
                self._owners.pop(memory, None)
                if fixed:
                    a_matrix = multiplied and tensor.ndim > 1 and min(tensor.shape[-2:]) > 1
                    self._owners[memory] = None if a_matrix else owner
            if products:
                self._products[memory] = self._products.get(memory, frozenset()) | products
        self._kept.append(out)


def _factors(given: Mapping[str, Any], kind: str) -> list[Any]:
    """The arguments that are multiplied: not a bias, nor what a product is added to."""
    if kind == CONVOLUTION or "weight" in given:
        return [given.get("input"), given["weight"]]
    added = "self" if {"mat1", "mat", "batch1"} & set(given) else ""
    return [value for name, value in given.items() if name != added]


def _name(func: Any) -> str:
    """With its namespace, ``aten::mm``."""
    return func._schema.name if isinstance(func, OpOverload) else f"{HIGHER_ORDER}{func}"


@cache
def _composite(func: Any) -> Callable[..., Any] | None:
    """How PyTorch itself takes an operator apart; None where it does not."""
    key = DispatchKey.CompositeImplicitAutograd
    if not isinstance(func, OpOverload):
        return None
    name: str = func.name()  # type: ignore[no-untyped-call]
    return partial(func._op_dk, key) if torch._C._dispatch_has_kernel_for_dispatch_key(name, key) else None


def _registered(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Formula | None:
    """The formula that others have registered with PyTorch, for these arguments."""
    found = flop_registry.get(getattr(func, "_overloadpacket", func))
    return None if found is None else lambda given, out: int(found(*args, **kwargs, out_val=out))


def _is_complex(out: Any) -> bool:
    return any(tensor.is_complex() for tensor in _tensors(out))


def _is_nested(given: Any) -> bool:
    """Whether a tensor has rows of several lengths, whose shapes no formula can take."""
    return any(tensor.is_nested for tensor in _tensors(given))


def _named(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of an operation's schema, defaults included."""
    if not isinstance(func, OpOverload):
        return {**{str(place): value for place, value in enumerate(args)}, **kwargs}
    named = {argument.name: argument.default_value for argument in func._schema.arguments}
    named.update(zip(named, args, strict=False))
    return {**named, **kwargs}


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class _Memories:
    """What views of one tensor have in common: its storage; where several of the given ones lie in one, its numbers."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        inside: dict[int, set[Hashable]] = {}
        for tensor in given:
            if tensor.layout == torch.strided:
                inside.setdefault(_storage(tensor), set()).add(memory_of(tensor))
        self._packed = {storage for storage, memories in inside.items() if len(memories) > 1}

    def __call__(self, tensor: Tensor) -> Hashable:
        storage = _storage(tensor)
        return (storage, memory_of(tensor)) if storage in self._packed else storage


def _storage(tensor: Tensor) -> int:
    """The identity of a tensor's storage; sparse tensors and oneDNN's have no storage to be asked for."""
    return int(tensor.untyped_storage()._cdata) if tensor.layout == torch.strided else id(tensor)
