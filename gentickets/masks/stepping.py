"""Optimizers' steps: hooks on all of them while something is held, and which of them treat every entry by itself."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as of_all
from torch.utils.hooks import RemovableHandle

from gentickets.errors import Status, TicketError

ELEMENTWISE = (
    "ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam",
)  # fmt: skip
"""Optimizers of PyTorch in which no weight's step depends on another weight's gradient."""
_ELEMENTWISE = {getattr(torch.optim, name) for name in ELEMENTWISE if hasattr(torch.optim, name)}
_INSIDE = ("optimizer", "_optimizer", "base_optimizer")
"""Where wrappers keep the optimizer that they step (accelerate, Lightning, Lookahead, SAM)."""


class StepListener(Protocol):
    """What is told of steps."""

    own: WeakSet[Optimizer]
    """Optimizers that tell it of their steps by themselves."""

    def before(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""

    def after(self, optimizer: Optimizer) -> None:
        """An optimizer has stepped."""


_LIVE: WeakSet[StepListener] = WeakSet()
_HOOKS: list[RemovableHandle] = []
MANY = 32
"""Listeners from which on it is worth finding out which of them nobody needs."""
_LIMIT = [MANY]


def elementwise(optimizer: Optimizer) -> bool:
    """Whether masking the weights after a step is the same as masking gradients before it, for what is kept.

    True for PyTorch's own classes in which it is. Others factor, orthogonalize, look ahead or measure a whole tensor,
    or nobody knows: they are given no gradient of pruned weights, which is right for all.
    """
    return type(optimizer) in _ELEMENTWISE


def enter(listener: StepListener) -> None:
    """Tell a listener of every optimizer's steps, as long as it lives.

    A held network that is dropped stays alive in cycles of references, and every step asks it in vain; Python collects
    them rarely beside PyTorch's many objects. So they are collected here, whenever twice as many listen as were in use.
    """
    if len(_LIVE) >= _LIMIT[0]:
        gc.collect()
        _LIMIT[0] = max(MANY, 2 * len(_LIVE))
    _LIVE.add(listener)
    if not _HOOKS:
        _HOOKS.append(of_all.register_optimizer_step_pre_hook(_before))
        _HOOKS.append(of_all.register_optimizer_step_post_hook(_after))


def leave(listener: StepListener) -> None:
    """Tell it no more."""
    _LIVE.discard(listener)
    while _HOOKS and not _LIVE:
        _HOOKS.pop().remove()


def wrapped(optimizer: Any) -> list[Optimizer]:
    """The optimizers whose steps are told of: the one given, if it is of PyTorch's kind, and those inside it.

    Raises TicketError (status 3) where there is none.
    """
    found = [one for one in _inside(optimizer) if "_optimizer_step_post_hooks" in vars(one)]
    if not found:
        message = f"hold needs an optimizer of torch.optim's kind, not {type(optimizer).__name__}"
        raise TicketError(f"{message}, which tells nobody of its steps: give it the optimizer inside", Status.TICKET)
    return found


def _inside(optimizer: Any) -> Iterator[Optimizer]:
    seen: set[int] = set()
    while optimizer is not None and id(optimizer) not in seen:
        seen.add(id(optimizer))
        if isinstance(optimizer, Optimizer):
            yield optimizer
        attributes = getattr(optimizer, "__dict__", {})
        optimizer = next((attributes[name] for name in _INSIDE if attributes.get(name) is not None), None)


def _before(optimizer: Optimizer, *_: object) -> None:
    for listener in list(_LIVE):
        listener.before(optimizer)


def _after(optimizer: Optimizer, *_: object) -> None:
    for listener in list(_LIVE):
        if optimizer not in listener.own:
            listener.after(optimizer)
