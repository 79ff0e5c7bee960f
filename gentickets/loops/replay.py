"""A loader's batches from a place on, the same again and again; and whether they were the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from gentickets.errors import TicketError
from gentickets.loops.states import cloned, random_state, set_random_state
from gentickets.untouched import tensors_in

CHECKED = 256
"""Batches after the rewinding step whose content is compared with the dense round's."""
_NUMBERS = 1024
"""Numbers of each tensor that are compared."""


class Stream:
    """The batches of a loader, one pass after the other, from any place on.

    A loader is a DataLoader or any other iterable that starts again, or a function of the batch's number. A pass is
    replayed by the random states with which it began: those of PyTorch, NumPy, Python and of the loader's own
    generators. A sampler with ``set_epoch`` is given the number of each pass.
    """

    def __init__(self, loader: Any, devices: Sequence[torch.device]) -> None:
        self.loader, self._devices = loader, devices
        self.taken, self.passes = 0, -1
        """Batches taken in this pass, and its number."""
        self._batches: Iterator[Any] | None = None
        self._began: dict[str, Any] = {}
        if not callable(getattr(loader, "__iter__", None)) and not callable(loader):
            what = f"round.steps needs a DataLoader, another iterable, or a function of the step, not {type(loader)}"
            raise TicketError(what)

    def __next__(self) -> Any:
        """The next batch; TicketError where a new pass has none."""
        if self._function is not None:
            self.taken += 1
            return self._function(self.taken - 1)
        for _ in range(2):
            if self._batches is None:
                self._start()
            assert self._batches is not None
            for batch in self._batches:
                self.taken += 1
                return batch
            self._batches = None
        one = "it can be iterated only once" if iter(self.loader) is self.loader else "it is empty"
        raise TicketError(f"the loader has no more batches: {one}. Give round.steps a DataLoader or a list")

    def place(self) -> dict[str, Any]:
        """Where the next batch stands: for `go_to`."""
        return {"pass": self.passes, "taken": self.taken, "began": cloned(self._began)}

    def go_to(self, place: Mapping[str, Any]) -> None:
        """Go on from a place, by taking the batches of its pass that come before once more."""
        self.passes, self.taken, self._batches = int(place["pass"]), 0, None
        if self._function is not None or self.passes < 0:
            self.taken = int(place["taken"])
            return
        self.passes -= 1
        self._restore(place["began"])
        self._start()
        while self.taken < place["taken"]:
            next(self)

    @property
    def _function(self) -> Callable[[int], Any] | None:
        return None if hasattr(self.loader, "__iter__") else self.loader

    def _start(self) -> None:
        self.passes, self.taken = self.passes + 1, 0
        for sampler in _samplers(self.loader):
            if callable(getattr(sampler, "set_epoch", None)):
                sampler.set_epoch(self.passes)
        own = [generator.get_state() for generator in _generators(self.loader)]
        self._began = {"random": random_state(self._devices), "own": own}
        self._batches = iter(self.loader)

    def _restore(self, began: Mapping[str, Any]) -> None:
        set_random_state(began["random"])
        for generator, state in zip(_generators(self.loader), began["own"], strict=False):
            generator.set_state(state)


def _samplers(loader: Any) -> list[Any]:
    found = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    found.append(getattr(found[2], "sampler", None))
    return list({id(one): one for one in found if one is not None}.values())


def _generators(loader: Any) -> list[torch.Generator]:
    """The generators of a DataLoader and its samplers, each once."""
    found = [getattr(one, "generator", None) for one in _samplers(loader)]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


def fingerprint(batch: Any) -> str:
    """A hash of what a batch holds: shapes, and up to 1,024 numbers of each tensor, spread over it."""
    digest = hashlib.blake2b(digest_size=8)
    for tensor in tensors_in(batch):
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, flat.numel() // _NUMBERS)][:_NUMBERS].cpu().contiguous()
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(some.view(torch.uint8).numpy().tobytes() if some.numel() else b"")
    return digest.hexdigest()
