"""Untouched: look at a module without changing anything in it or around it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.preserving import ModuleState, Numbers, Surroundings, once
from gentickets.storage import LAZY, lazy_in

_M = TypeVar("_M", bound=nn.Module)
_P = ParamSpec("_P")
_R = TypeVar("_R")


@contextmanager
def untouched(module: nn.Module, seed: int) -> Iterator[None]:
    """Evaluation mode without gradients; on leaving, everything is as it was (see `preserved`).

    The global random state is forked and seeded here for modules that draw for themselves.
    """
    with preserved(module), torch.no_grad(), seeded(_device(module), seed):
        module.eval()
        yield


def looking_only(look: Callable[Concatenate[_M, _P], _R]) -> Callable[Concatenate[_M, _P], _R]:
    """A function that looks at its first argument, a module, and leaves it and all around it as it was.

    In the mode that the module has, so that copies have it too; random numbers are drawn from a seed of 0.
    """

    @wraps(look)
    def looks(module: _M, /, *arguments: _P.args, **keywords: _P.kwargs) -> _R:
        with preserved(module), seeded(_device(module), 0):
            return look(module, *arguments, **keywords)

    return looks


@contextmanager
def preserved(module: nn.Module) -> Iterator[Callable[[], None]]:
    """On leaving, by whatever way, a module is what it was, and so is what surrounds it.

    Put back by construction, whoever changed it: the objects that stand in it (parameters, buffers, submodules, hooks
    and their order, the classes of its parts, the tensors, lists and mappings that they hold), the numbers, memory and
    kind of every tensor, gradients, ``requires_grad``, each part's mode; the random states of PyTorch, NumPy and Python
    and of generators that a part holds; the default kind of number, the number of threads, whether gradients are
    recorded. It takes the memory of one copy of the module's tensors. Yields the function that puts the module back at
    once, but for modes.

    Raises TicketError for a lazy layer that has seen no batch: looking would make it.
    """
    if (lazy := lazy_in(module)) is not None:
        raise TicketError(f"'{lazy}' {LAZY}", Status.FAILED)
    parts = [ModuleState(part) for part in module.modules()]
    tensors = [Numbers(tensor) for tensor in once(one for part in parts for one in part.tensors)]
    around = Surroundings(_device(module))

    def put_back(modes: bool = False) -> None:
        for part in parts:
            part.put_back(modes)
        for tensor in tensors:
            tensor.put_back()

    try:
        yield put_back
    finally:
        put_back(modes=True)
        around.put_back()


@contextmanager
def substituted(module: nn.Module, tensors: Mapping[int, Tensor]) -> Iterator[None]:
    """Inside, other tensors stand in place of a module's parameters and buffers, by identity, under all their names."""
    parts = [ModuleState(part) for part in module.modules()]
    try:
        for part in parts:
            part.substitute(tensors)
        yield
    finally:
        for part in parts:
            part.put_back(modes=True)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[Callable[[int], None]]:
    """The global random state of the CPU and of one device, of NumPy and Python, seeded, and put back afterwards.

    Yields the function that seeds it anew.
    """
    cuda = device.type == "cuda"

    def reseed(seed: int) -> None:
        # torch.manual_seed would also reseed the devices that are not forked here
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    around = Surroundings(device)
    try:
        reseed(seed)
        yield reseed
    finally:
        around.put_back_random()


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Each module's own mode, put back afterwards (a frozen part of a training network stays frozen)."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def eager(task: nn.Module) -> Iterator[None]:
    """Inside, every module runs as it is written, also where somebody has compiled it, in place or as a wrapper.

    Compiled code has no second derivative, and FLOP counters and hooks do not see into it.
    """
    compiled = [(part, part._compiled_call_impl) for part in task.modules() if part._compiled_call_impl is not None]
    wrapped = any("_orig_mod" in part._modules for part in task.modules())
    try:
        for part, _ in compiled:
            part._compiled_call_impl = None
        with torch.compiler.set_stance("force_eager") if wrapped else nullcontext():
            yield
    finally:
        for part, code in compiled:
            part._compiled_call_impl = code


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside, as many as before afterwards: sums come in one order on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in whatever a module returns: in tuples, lists, mappings, dataclasses and their like, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from tensors_in(one)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))


def has_float64(device: torch.device) -> bool:
    """Whether a device has float64 (Trap 37: MPS has not)."""
    return device.type != "mps"


def _device(module: nn.Module) -> torch.device:
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
