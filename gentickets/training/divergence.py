"""Divergence: the first step after which something in a training was not finite, and what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.finite import all_finite, are_finite, counts, infinite
from gentickets.optimizers import FOLLOWING
from gentickets.tasks import Task
from gentickets.tickets import Tensors
from gentickets.training.turn import Turn

_NEVER = -1
Place = tuple[dict[str, Tensor | None], str]
"""The buffers of a layer, and the name of one: steps may put another tensor there."""


class Divergence:
    """Watches losses, weights, buffers, optimizer states and averages of a training for what is not finite.

    `note` looks at all of them after a step, and keeps on the device the first step after which each was not finite;
    `check` reads that and raises. So the step, and what is named, depend neither on when somebody reads nor on where a
    training was stopped. What no objective trains and was not finite before any training is so by design, as masks of
    attention are, and no divergence while it keeps those values.
    """

    def __init__(self, task: Task, turns: Sequence[Turn]) -> None:
        self.task, self.turns = task, turns
        trained = {id(parameter) for turn in turns for parameter in turn.parameters.values()}
        fixed = {name: value for name, value in _state(task) if id(value) not in trained}
        self.design = {name: fixed[name].detach().clone() for name in infinite(fixed)}
        """The buffers and frozen weights that hold infinities by design, as they were."""
        self.forget({})

    @cached_property
    def _nothing(self) -> Tensor:
        """Stands for what is not there; made when a step is looked at, not before the device is known to work."""
        return torch.zeros((), device=self.task.device)

    @property
    def immediate(self) -> bool:
        """Whether reading costs no wait, so that every step is checked at once."""
        return self.task.device.type == "cpu"

    @property
    def since(self) -> int | None:
        """The first step after which something was not finite; None where all was. Waits for the device."""
        return min((step for step in self._since.tolist() if step != _NEVER), default=None)

    @property
    def constants(self) -> frozenset[str]:
        """Names of the buffers and frozen weights that hold infinities by design."""
        return frozenset(self.design)

    def forget(self, ema: Tensors) -> None:
        """Begin anew, with these averages: the training has been put into another state."""
        self._ema, self._states = ema, -1
        self._since = torch.full((0,), _NEVER)
        self._names: list[str] = []

    def note(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Look at everything after a step."""
        self._collect()
        found = [self._number(losses.get(turn.objective.name)) for turn in self.turns]
        buffers = [self._number(part.get(key)) for part, key in self._buffers]
        tensors = [*found, *self._weights, *buffers, *self._others]
        if self.immediate and not self.design and all_finite(tensors):
            return
        good = are_finite(tensors)
        if self.design:
            good = torch.cat([good, *(self._as_designed(name).reshape(1).to(good.device) for name in self.design)])
        if self.immediate and bool(good.all()):
            return
        if not self._since.numel():
            self._since = torch.full((good.numel(),), _NEVER, device=good.device)
        self._since = torch.where(good | (self._since != _NEVER), self._since, step)

    def check(self) -> None:
        """Raise TicketError (status 4) with the first step after which something was not finite, and its name."""
        steps = self._since.tolist()
        first = min((step for step in steps if step != _NEVER), default=None)
        if first is not None:
            message = f"diverged: {self._names[steps.index(first)]} is not finite at step {first}"
            raise TicketError(f"{message}; try a lower lr or [train] clip_norm", Status.DIVERGED)

    def _collect(self) -> None:
        """What there is to look at; anew once an optimizer has taken up more parameters."""
        states = sum(len(turn.optimizer.state) for turn in self.turns)
        if states == self._states:
            return
        self.check()  # names go with places
        self._since, self._states = self._since[:0], states
        named = self.task.named_parameters()
        weights = {name: value for name, value in named if name not in self.design and counts(value)}
        buffers = {name: place for name, place in _buffers(self.task) if name not in self.design}
        others = {**dict(_slots(self.turns)), **dict(self._averages())}
        self._weights, self._buffers, self._others = (
            list(weights.values()),
            list(buffers.values()),
            list(others.values()),
        )
        objectives = [f"the loss of objective '{turn.objective.name}'" for turn in self.turns]
        self._names = [*objectives, *map(repr, [*weights, *buffers]), *others, *map(repr, self.design)]

    def _number(self, value: Tensor | None) -> Tensor:
        """A tensor that can be looked at; zero where there is none."""
        return value if value is not None and counts(value) else self._nothing

    def _averages(self) -> Iterator[tuple[str, Tensor]]:
        for name, average in self._ema.items():
            if name not in self.design:
                yield f"the average of '{name}'", average

    def _as_designed(self, name: str) -> Tensor:
        """Whether what holds infinities by design holds no others than those."""
        part, _, key = name.rpartition(".")
        now, before = getattr(self.task.get_submodule(part), key), self.design[name]
        if not counts(now) or now.shape != before.shape:
            return are_finite([now]).all() if counts(now) else torch.ones((), dtype=torch.bool)
        unchanged = (now == before) | (now.isnan() & before.isnan())
        return torch.all(now.isfinite() | unchanged)


def _state(task: Task) -> Iterator[tuple[str, Tensor]]:
    yield from task.named_parameters()
    yield from task.named_buffers()


def _buffers(task: Task) -> Iterator[tuple[str, Place]]:
    """Every buffer of floating-point numbers, by its full name."""
    for name, value in task.named_buffers():
        if counts(value):
            part, _, key = name.rpartition(".")
            yield name, (task.get_submodule(part)._buffers, key)


def _slots(turns: Sequence[Turn]) -> Iterator[tuple[str, Tensor]]:
    """What optimizers remember, but for what cannot be infinite alone."""
    for turn in turns:
        for name, parameter in turn.parameters.items():
            for slot, value in turn.optimizer.state.get(parameter, {}).items():
                if slot not in FOLLOWING and counts(value):
                    yield f"the optimizer's {slot} of '{name}' ({turn.objective.name})", value
