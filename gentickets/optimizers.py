"""Optimizers by name, their state as flat tensors, and learning rates as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.tasks import Optim
from gentickets.tickets import Tensors

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SLOTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"),
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.RMSprop: ("step", "square_avg", "momentum_buffer"),
}
"""What each optimizer remembers of a parameter; without momentum, no momentum buffer."""
FOLLOWING = ("step", "exp_avg")
"""Slots that are never infinite alone: what is too large for Adam's first moment is so for its second."""
SCHEDULES = ("constant", "cosine", "linear")


@dataclass(frozen=True)
class Schedule:
    """The learning rate's factor as a function of the step: a linear warm-up, then a shape down to zero."""

    name: str = "constant"
    steps: int = 1
    warmup: int = 0
    frozen_at: int | None = None
    """A step whose factor is used throughout (fine-tuning at the last learning rate)."""

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise TicketError(f"unknown schedule '{self.name}'. {nearest(self.name, SCHEDULES)}")

    def factor(self, step: int) -> float:
        """The factor on every learning rate in the step with that number."""
        step = step if self.frozen_at is None else self.frozen_at
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        if self.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return 1.0 if self.name == "constant" else max(0.0, 1 - done)


def build(optim: Optim, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer with these settings; fused where PyTorch has it.

    Fused Adam matters on CPU beyond its speed: the plain one takes square roots of zeros, 9.4 times slower than
    others, wherever gradients are masked.
    """
    lr, decay = optim.lr, optim.weight_decay
    fused = not any(parameter.is_complex() for parameter in parameters)
    if optim.name == "adam":
        return torch.optim.Adam(parameters, lr, optim.betas, optim.eps, decay, fused=fused)
    if optim.name == "adamw":
        return torch.optim.AdamW(parameters, lr, optim.betas, optim.eps, decay, fused=fused)
    if optim.name == "sgd":
        return torch.optim.SGD(parameters, lr, optim.momentum, weight_decay=decay, fused=fused)
    if optim.name == "rmsprop":
        smoothing, momentum = optim.alpha, optim.momentum
        return torch.optim.RMSprop(parameters, lr, smoothing, optim.eps, decay, momentum, foreach=True)
    raise TicketError(f"unknown optimizer '{optim.name}'. {nearest(optim.name, OPTIMIZERS)}")


def read_state(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """A copy of an optimizer's state: ``parameter/slot`` -> tensor, strides kept."""
    return {
        f"{name}/{slot}": value.detach().clone(memory_format=torch.preserve_format)
        for name, parameter in parameters.items()
        for slot, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def check_state(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], state: Tensors) -> None:
    """Raise TicketError (status 3) unless this is whole state of this optimizer, each slot of its parameter's shape.

    A moment of another shape would make a fused kernel write outside of its memory.
    """
    found: dict[str, set[str]] = {}
    for key, value in state.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters or slot not in SLOTS[type(optimizer)]:
            raise TicketError(f"optimizer state '{key}' is of nothing that is trained here", Status.TICKET)
        wanted = torch.Size() if slot == "step" else parameters[name].shape
        complex = slot != "step" and parameters[name].is_complex()
        if value.shape != wanted or not (value.is_complex() if complex else value.is_floating_point()):
            theirs, ours = tuple(value.shape), tuple(wanted)
            raise TicketError(f"optimizer state '{key}' is {value.dtype} {theirs}, not float {ours}", Status.TICKET)
        found.setdefault(name, set()).add(slot)
    momentum = bool(optimizer.param_groups[0].get("momentum", 0))
    needed = {slot for slot in SLOTS[type(optimizer)] if momentum or slot != "momentum_buffer"}
    for name, slots in found.items():
        if slots != needed:
            raise TicketError(f"optimizer state of '{name}' has {sorted(slots)}, not {sorted(needed)}", Status.TICKET)


def write_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    state: Tensors,
    mask: Tensors | None = None,
) -> None:
    """Set an optimizer's state from `read_state`'s; moments take their parameter's strides, pruned moments are zero.

    Fused kernels read memory in raw order, so that a moment of other strides than its parameter's would update the
    wrong weights without a word (Trap 34). Raises as `check_state` does, before anything changes.
    """
    check_state(optimizer, parameters, state)
    slots: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, slot = key.rsplit("/", 1)
        slots.setdefault(name, {})[slot] = value
    optimizer.state.clear()
    for name, values in slots.items():
        parameter = parameters[name]
        kept = None if mask is None else mask.get(name)
        optimizer.state[parameter] = {
            slot: value.to(parameter.device, copy=True) if slot == "step" else _placed(value, parameter, kept)
            for slot, value in values.items()
        }


def _placed(value: Tensor, parameter: nn.Parameter, kept: Tensor | None) -> Tensor:
    placed = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    return placed if kept is None else placed.mul_(kept.to(placed.device))


def like_parameter(gradient: Tensor, parameter: nn.Parameter) -> Tensor:
    """The gradient in its parameter's strides (Trap 34); most have them already."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter, requires_grad=False).copy_(gradient)
