"""Preserving: what a module and its surroundings are, and the way back to it, whatever has happened to them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_GENERATORS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_DEEP = 3
"""How far into lists and mappings of a module its tensors are looked for."""


def held_tensors(part: nn.Module) -> Iterator[Tensor]:
    """The tensors that a module itself holds, not its submodules: registered, as attributes, in lists and mappings."""
    for value in _held(vars(part), _DEEP):
        if isinstance(value, Tensor):
            yield value


class ModuleState:
    """A module without its submodules, as it was: its class, its attributes, and what its lists and mappings held."""

    def __init__(self, part: nn.Module) -> None:
        self.part, self.kind, self.attributes = part, part.__class__, dict(vars(part))
        self.mode = part.training
        held = list(_held(vars(part), _DEEP))
        self.containers = [
            (one, list(one.items()) if isinstance(one, dict) else list(one)) for one in held if _holds(one)
        ]
        self.tensors = [one for one in held if isinstance(one, Tensor)]
        self.generators = [(one, _drawn(one)) for one in held if isinstance(one, _GENERATORS)]

    def substitute(self, tensors: Mapping[int, Tensor]) -> None:
        """Put other tensors in the place of those with some identities."""
        for container, items in self.containers:
            if isinstance(container, dict):
                for key, value in items:
                    container[key] = tensors.get(id(value), value)
            elif isinstance(container, list):
                container[:] = [tensors.get(id(value), value) for value in items]
        for name, value in self.attributes.items():
            if id(value) in tensors:
                vars(self.part)[name] = tensors[id(value)]

    def put_back(self, modes: bool) -> None:
        """Put back what has changed."""
        if self.part.__class__ is not self.kind:
            self.part.__class__ = self.kind
        now = vars(self.part)
        for name in [name for name in now if name not in self.attributes]:
            del now[name]
        if modes and self.part.training != self.mode:  # of a scripted module it is no attribute
            self.part.training = self.mode
        for name, value in self.attributes.items():
            if now.get(name, now) is not value and (modes or name != "training"):
                now[name] = value
        for container, items in self.containers:
            if not _same_items(container, items):
                _refill(container, items)
        for generator, state in self.generators:
            _draw_from(generator, state)


class Numbers:
    """A tensor as it was: its memory, numbers, gradient, and whether it asks for one."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.view = tensor, tensor.detach()
        self.leaf, self.asks = tensor.is_leaf, tensor.requires_grad
        self.numbers = _copy(tensor)
        self.grad = tensor.grad if tensor.is_leaf else None
        self.grad_numbers = None if self.grad is None else _copy(self.grad)
        self.hooks = dict(tensor._backward_hooks or {})

    def put_back(self) -> None:
        """Put back what has changed; what has not is not written to, so that pending gradients stay valid."""
        tensor = self.tensor
        if self.leaf and not tensor.is_leaf:
            tensor.detach_()
        if not _same_place(tensor, self.view):
            tensor.data = self.view
        _put_back(self.view, self.numbers)
        if self.leaf and tensor.requires_grad != self.asks:
            tensor.requires_grad_(self.asks)
        if self.leaf and tensor.grad is not self.grad:
            tensor.grad = self.grad
        if self.grad is not None:
            _put_back(self.grad, self.grad_numbers)
        if tensor._backward_hooks is not None and not _same_items(tensor._backward_hooks, list(self.hooks.items())):
            _refill(tensor._backward_hooks, list(self.hooks.items()))


class Surroundings:
    """What lies around a module: random states, and settings of the whole process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu, self.python, self.numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.kind, self.threads = torch.get_default_dtype(), torch.get_num_threads()
        self.recording = torch.is_grad_enabled()

    def put_back_random(self) -> None:
        """Put the random states back."""
        torch.set_rng_state(self.cpu)
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)

    def put_back(self) -> None:
        """Put random states and settings back."""
        self.put_back_random()
        if torch.get_default_dtype() != self.kind:
            torch.set_default_dtype(self.kind)
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        torch.set_grad_enabled(self.recording)


def _drawn(generator: Any) -> Any:
    """The state of a generator of random numbers."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _draw_from(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _held(values: Any, deep: int) -> Iterator[Any]:
    """Everything in a list or mapping, and in the lists and mappings in it."""
    for value in list(values.values()) if isinstance(values, dict) else list(values):
        yield value
        if deep and (_holds(value) or type(value) is tuple):
            yield from _held(value, deep - 1)


def _holds(value: object) -> bool:
    return isinstance(value, dict | list | set | deque)


def _items(container: Any) -> list[Any]:
    return list(container.items() if isinstance(container, dict) else container)


def _refill(container: Any, items: list[Any]) -> None:
    container.clear()
    if isinstance(container, dict):
        for key, value in items:
            container[key] = value
    else:
        (container.update if isinstance(container, set) else container.extend)(items)


def _same_items(container: Any, items: list[Any]) -> bool:
    now = _items(container)
    if len(now) != len(items):
        return False
    if isinstance(container, dict):
        return all((a is b or a == b) and one is other for (a, one), (b, other) in zip(now, items, strict=True))
    return all(one is other for one, other in zip(now, items, strict=True))


def once(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _copy(tensor: Tensor) -> Tensor | None:
    """The numbers; None where there are none, or where they are not laid out as in an array."""
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        return None
    return tensor.detach().clone(memory_format=torch.preserve_format)


def _same_place(one: Tensor, other: Tensor) -> bool:
    same = one.dtype == other.dtype and one.device == other.device and one.shape == other.shape
    if not same or one.layout != torch.strided:
        return same
    return one.stride() == other.stride() and one.data_ptr() == other.data_ptr()


def _put_back(tensor: Tensor, numbers: Tensor | None) -> None:
    if numbers is not None and not same_bits(tensor, numbers):
        with torch.no_grad():
            tensor.detach().copy_(numbers)


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape and kind hold the same bits: NaN is NaN here, and -0.0 is not 0.0."""
    if one.is_complex():
        one, other = torch.view_as_real(one.resolve_conj()), torch.view_as_real(other.resolve_conj())
    if one.is_floating_point():
        one, other = (x.detach().view(_INTEGERS[x.element_size()]) for x in (one, other))
    return torch.equal(one, other)
