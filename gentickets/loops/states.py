"""Copies of everything that a training loop changes, and random states, to go back to."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gentickets.errors import TicketError
from gentickets.masks import Mask, plain_name
from gentickets.tickets import Tensors, copied, load_weights, state_of, zeroed

FORMAT = 1
"""Version of what `Search.state_dict` gives."""


class Stateful(Protocol):
    """Whatever can be stored and loaded: a scheduler, a scaler, an average, a sampler."""

    def state_dict(self) -> dict[str, Any]:
        """Its state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state on."""


class Parts:
    """The networks, optimizers and further objects that a training step changes, captured and restored as one.

    ``root`` holds the networks: the one module that was given, or a ModuleDict of several by name. Raises TicketError
    for what could not be rewound: a sharded network, an optimizer that trains parameters of no network given here, an
    object without ``state_dict`` and ``load_state_dict``.
    """

    def __init__(
        self,
        models: nn.Module | Mapping[str, nn.Module],
        optimizers: Sequence[Any],
        averages: Sequence[nn.Module] | Mapping[str, nn.Module],
        others: Sequence[Any],
    ) -> None:
        self.models = {"": plain(models)} if isinstance(models, nn.Module) else _by_name(models)
        self.root: nn.Module = self.models[""] if "" in self.models else nn.ModuleDict(self.models)
        named = averages.items() if isinstance(averages, Mapping) else (("", one) for one in averages)
        self._average_of = [(name, average) for name, average in named]
        self.averages = [average for _, average in self._average_of]
        self.optimizers, self.others = list(optimizers), list(others)
        self._check()

    def masked(self, mask: Mask) -> Iterator[tuple[nn.Module, Mask, list[nn.Module]]]:
        """Each network that has prunable weights, its part of the mask under its own names, and its averages."""
        for name, model in self.models.items():
            part = self._part(mask, name)
            if part:
                yield model, part, [average for of, average in self._average_of if of == name]

    def _part(self, mask: Mapping[str, Tensor], name: str) -> Mask:
        start = f"{name}." if name else ""
        return Mask({key.removeprefix(start): kept for key, kept in mask.items() if key.startswith(start)})

    def capture(self) -> dict[str, Any]:
        """Copies of all states; later training does not change them."""
        return {
            "weights": copied(state_of(self.root)),
            "buffers": copied(dict(_unstored_buffers(self.root))),
            "averages": [copied(state_of(average)) for average in self.averages],
            "optimizers": [cloned(optimizer.state_dict()) for optimizer in self.optimizers],
            "others": [_state_of_other(other) for other in self.others],
        }

    def restore(self, state: Mapping[str, Any], mask: Mask | None = None) -> None:
        """Go back to captured states, in place; with a mask, pruned weights and their moments become zero."""
        pruned: Mapping[str, Tensor] = mask or {}
        load_weights(self.root, zeroed(state["weights"], pruned))
        buffers = dict(_unstored_buffers(self.root))
        with torch.no_grad():
            for name, value in state["buffers"].items():
                buffers[name].copy_(value)
        for (name, average), weights in zip(self._average_of, state["averages"], strict=True):
            load_weights(average, _zeroed_average(weights, self._part(pruned, name)))
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(cloned(kept))  # PyTorch would go on with the very tensors that it is given
            optimizer.zero_grad(set_to_none=True)
            if mask is not None:
                self._zero_moments(optimizer, mask)
        self.root.zero_grad(set_to_none=True)
        for other, kept in zip(self.others, state["others"], strict=True):
            _load_other(other, cloned(kept))

    def flat_optimizer_state(self, state: Mapping[str, Any]) -> dict[str, Tensor]:
        """The captured states of all optimizers as tickets hold them: ``optimizer/parameter/slot`` -> tensor."""
        names = {id(parameter): plain_name(name) for name, parameter in self.root.named_parameters()}
        found: dict[str, Tensor] = {}
        for number, (optimizer, kept) in enumerate(zip(self.optimizers, state["optimizers"], strict=True)):
            label = "optimizer" if len(self.optimizers) == 1 else f"optimizer-{number}"
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for place, slots in kept["state"].items():
                name = names[id(trained[place])]
                found |= {f"{label}/{name}/{slot}": v for slot, v in slots.items() if isinstance(v, Tensor)}
        return found

    def devices(self) -> list[torch.device]:
        """The CUDA devices that parameters lie on: each has random numbers of its own."""
        found = {parameter.device for parameter in self.root.parameters() if parameter.is_cuda}
        return sorted(found, key=str)

    def _zero_moments(self, optimizer: Optimizer, mask: Mask) -> None:
        named = {id(parameter): plain_name(name) for name, parameter in self.root.named_parameters()}
        with torch.no_grad():
            for parameter, slots in optimizer.state.items():
                name = named.get(id(parameter), "")
                if name not in mask or not isinstance(slots, dict):
                    continue
                for value in slots.values():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        value.mul_(mask[name].to(value.device))

    def _check(self) -> None:
        if sharded := next((name for name, weight in self.root.named_parameters() if _is_sharded(weight)), None):
            raise TicketError(f"'{sharded}' is sharded over processes (FSDP): Search needs whole weights, as DDP has")
        if unknown := next((name for name, _ in self._average_of if name and name not in self.models), None):
            raise TicketError(f"averages has '{unknown}', which is none of the models {list(self.models)}")
        if len(self.models) > 1 and any(not name for name, _ in self._average_of):
            raise TicketError("with several models, averages is a dict: the model's name -> its moving average")
        own = {id(parameter) for parameter in self.root.parameters()}
        for optimizer in self.optimizers:
            strange = sum(id(one) not in own for group in optimizer.param_groups for one in group["params"])
            if strange:
                what = f"{type(optimizer).__name__} trains {strange} parameters that are in no network given to Search"
                raise TicketError(f"{what}, so they would not be rewound: Search({{'a': network, 'b': other}}, ...)")
        for other in self.others:
            if not _is_generator(other) and not (hasattr(other, "state_dict") and hasattr(other, "load_state_dict")):
                what = f"Search cannot rewind a {type(other).__name__}: it has no state_dict and load_state_dict"
                raise TicketError(f"{what}; wrap it in a class that has both")


def _by_name(models: Any) -> dict[str, nn.Module]:
    if not isinstance(models, Mapping) or not models:
        raise TicketError(f"Search needs a torch.nn.Module, or a dict of them by name, not a {type(models).__name__}")
    return {name: plain(model) for name, model in models.items()}


def plain(model: Any) -> nn.Module:
    """The network itself, out of the wrappers of torch.compile, DataParallel and DDP."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, wrappers) or hasattr(model, "_orig_mod"):
        model = model.module if isinstance(model, wrappers) else model._orig_mod
    if not isinstance(model, nn.Module):
        raise TicketError(f"Search needs a torch.nn.Module, or a dict of them by name, not a {type(model).__name__}")
    return model


def cloned(value: Any) -> Any:
    """A deep copy in which tensors have memory of their own, strides kept."""
    if isinstance(value, Tensor):
        return value.detach().clone(memory_format=torch.preserve_format)
    if isinstance(value, dict):
        return {key: cloned(one) for key, one in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(cloned(one) for one in value)
    return copy.deepcopy(value)


def random_state(devices: Sequence[torch.device]) -> dict[str, Any]:
    """The random states of Python, NumPy, PyTorch and these CUDA devices, as tensors and plain values."""
    kind, keys, *rest = np.random.get_state()
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": {str(device): torch.cuda.get_rng_state(device) for device in devices},
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": [version, list(numbers), gauss],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    for device, value in state["cuda"].items():
        torch.cuda.set_rng_state(value, device)
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def _unstored_buffers(root: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers that no state dict holds (``persistent=False``)."""
    stored = root.state_dict().keys()
    yield from ((name, buffer) for name, buffer in root.named_buffers() if name not in stored)


def _zeroed_average(weights: Tensors, mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {name: mask[plain_name(name)] for name in weights if plain_name(name) in mask}
    return zeroed(weights, named)


def _is_sharded(weight: Tensor) -> bool:
    return type(weight.data).__name__ == "DTensor" or type(weight).__name__ in ("DTensor", "FlatParameter")


def _is_generator(other: Any) -> bool:
    return isinstance(other, torch.Generator | np.random.Generator)


def _state_of_other(other: Any) -> Any:
    if isinstance(other, torch.Generator):
        return other.get_state()
    return cloned(other.bit_generator.state if isinstance(other, np.random.Generator) else other.state_dict())


def _load_other(other: Any, state: Any) -> None:
    if isinstance(other, torch.Generator):
        other.set_state(state)
    elif isinstance(other, np.random.Generator):
        other.bit_generator.state = state
    else:
        other.load_state_dict(state)
