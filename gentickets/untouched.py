"""Untouched: look at a module without changing anything in it or around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def untouched(module: nn.Module, seed: int) -> Iterator[None]:
    """Evaluation mode without gradients; on leaving, everything is as it was.

    Put back exactly: each module's own mode (a frozen part of a training network stays frozen), every
    buffer, and the global random state, which is forked and seeded here for modules that draw for themselves.
    """
    with buffers_kept(module), modes_kept(module), torch.no_grad(), seeded(_device(module), seed):
        module.eval()
        yield


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[Callable[[], None]]:
    """Every buffer of a module, put back afterwards; yields the function that puts them back at once.

    So are plain tensors that a forward pass leaves on a module (the weight of the old spectral norm).
    """
    buffers = [
        (part, name, buffer, buffer.detach().clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
    ]
    plain = [(vars(part), name, value) for part in module.modules() for name, value in vars(part).items()]
    plain = [entry for entry in plain if isinstance(entry[2], Tensor)]

    def put_back() -> None:
        _put_back(buffers)
        for attributes, name, value in plain:
            attributes[name] = value

    try:
        yield put_back
    finally:
        put_back()


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[Callable[[int], None]]:
    """The global random state of the CPU and of one device, forked, seeded, and put back afterwards.

    Yields the function that seeds it anew.
    """
    cuda = device.type == "cuda"

    def reseed(seed: int) -> None:
        # torch.manual_seed would also reseed the devices that are not forked here
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    with torch.random.fork_rng(devices=[device] if cuda else []):
        reseed(seed)
        yield reseed


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
def one_thread() -> Iterator[None]:
    """One thread inside, as many as before afterwards: sums come in one order on any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def has_float64(device: torch.device) -> bool:
    """Whether a device has float64 (Trap 37: MPS has not)."""
    return device.type != "mps"


def _device(module: nn.Module) -> torch.device:
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _put_back(buffers: list[tuple[nn.Module, str, Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for part, name, buffer, value in buffers:
            part._buffers[name] = buffer
            if not torch.equal(buffer, value):
                buffer.copy_(value)
