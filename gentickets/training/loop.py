"""The loop in which a step is a function of its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gentickets.data import Batches
from gentickets.effective import steady
from gentickets.masks import Hold, Mask, require_maskable, sharing
from gentickets.seeds import derive
from gentickets.tickets import Snapshot, Ticket
from gentickets.training.training import Training
from gentickets.untouched import seeded

Losses = Mapping[str, Tensor]
"""Objective that acted in the step -> its loss (a detached scalar on the device)."""
Watcher = Callable[[int, Losses], object]
"""Called with the step reached after each step; a return of True ends the training there."""

CHECK_EVERY = 50
"""Steps between readings of what an accelerator found not to be finite, since each waits for it; a CPU checks each."""


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

    Raises TicketError (status 4) when a loss, weight, buffer, optimizer state or average is not finite, naming the
    first step after which that was so: the same wherever the training was stopped or stored (see `Divergence`).
    """
    task, schedule, divergence = training.task, training.plan.schedule, training.divergence
    holds: list[Hold | None] = [None for _ in training.turns]
    if mask is not None:
        require_maskable(task, mask)
        weights = dict(task.named_parameters(remove_duplicate=False))
        Hold(mask, weights).apply()
        steady(task)
        holds = [Hold(mask, sharing(weights, turn.parameters.values())) for turn in training.turns]
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
            divergence.note(reached, losses)
            if divergence.immediate or reached % CHECK_EVERY == 0:
                divergence.check()
            asked_to_stop = [watcher(reached, losses) is True for watcher in watch]
            if any(asked_to_stop):
                break
    if reached == steps.start:
        divergence.note(reached, losses)
    divergence.check()
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
