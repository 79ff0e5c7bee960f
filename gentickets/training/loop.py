"""The loop in which a step is a function of its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor

from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Hold, Mask
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, Ticket
from gentickets.training.training import Training
from gentickets.untouched import seeded

Losses = Mapping[str, Tensor]
"""Objective that acted in the step -> its loss (a detached scalar on the device)."""
Watcher = Callable[[int, Losses], object]
"""Called with the step reached after each step; a return of True ends the training there."""

CHECK_EVERY = 50
"""Steps between looks for a loss that is no longer a number: each look waits for the device."""


def train(
    training: Training,
    batches: Batches,
    steps: range,
    *,
    mask: Mask | None = None,
    seed: int = 0,
    watch: Sequence[Watcher] = (),
) -> int:
    """Train through the steps with these numbers; returns the step reached.

    Batch, draw and learning rate follow from ``seed`` and the step's number alone, so that going back to a step, or
    on from it, needs no sampler state. With a mask, weights are masked before the first forward pass and after every
    optimizer step (Traps 1, 2). A task that draws for itself (dropout) finds the global random state seeded per step,
    and the caller finds it as it was.

    Raises TicketError (status 4) when a loss or a weight is no longer a number, naming objective and step.
    """
    task, schedule = training.task, training.plan.schedule
    if mask is not None:
        Hold(mask, dict(task.named_parameters())).apply()
    holds = [None if mask is None else Hold(mask, turn.parameters) for turn in training.turns]
    rng = torch.Generator(task.device)
    losses: dict[str, Tensor] = {}
    reached = steps.start
    task.train()
    with seeded(task.device, derive(seed, "modules")) as reseed:
        for step, batch in zip(steps, batches.stream(steps), strict=True):
            draw = task.draw(len(batch), rng.manual_seed(derive(seed, "draw", step)))
            reseed(derive(seed, "modules", step))
            losses = {}
            for turn, hold in zip(training.turns, holds, strict=True):
                if turn.objective.acts_at(step):
                    losses[turn.objective.name] = turn.take(batch, draw, schedule.factor(step), hold)
            training.update_ema()
            reached = step + 1
            if reached % CHECK_EVERY == 0:
                _check_losses(losses, reached)
            asked_to_stop = [watcher(reached, losses) is True for watcher in watch]
            if any(asked_to_stop):
                break
    _check_losses(losses, reached)
    _check_weights(task, reached)
    return reached


def grow(
    training: Training,
    ticket: Ticket,
    batches: Batches,
    *,
    seed: int,
    since: Snapshot | None = None,
    watch: Sequence[Watcher] = (),
) -> int:
    """Train a ticket from its start to the end of the schedule, or go on from a snapshot on that way."""
    if since is None:
        training.start(ticket)
    else:
        training.load(since)
    first = ticket.origin.rewind_to if since is None else since.step
    return train(training, batches, range(first, training.plan.steps), mask=ticket.mask, seed=seed, watch=watch)


def _check_losses(losses: Losses, step: int) -> None:
    for name, loss in losses.items():
        if not bool(torch.isfinite(loss).all()):
            message = f"diverged: the loss of objective '{name}' is {float(loss)} at step {step}; try a lower lr"
            raise TicketError(f"{message} or [train] clip_norm", Status.DIVERGED)


def _check_weights(task: Task, step: int) -> None:
    for name, value in chain(task.named_parameters(), task.named_buffers()):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            message = f"diverged: '{name}' holds values that are no numbers at step {step}; try a lower lr"
            raise TicketError(f"{message} or [train] clip_norm", Status.DIVERGED)
