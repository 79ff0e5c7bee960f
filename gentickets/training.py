"""Training: a task with its optimizers and averages, and the loop in which a step is a function of its number."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from gentickets.arithmetic import Arithmetic
from gentickets.data import Batches
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Hold, Mask, component_of
from gentickets.optimizers import Schedule, build, check_state, like_parameter, read_state, write_state
from gentickets.seeds import derive
from gentickets.spectral import settle
from gentickets.tasks import Draw, Objective, Optim, Task
from gentickets.tickets import Snapshot, Tensors, Ticket, check_fit, copied, load_weights, state_of, zeroed
from gentickets.untouched import buffers_kept, modes_kept, seeded

Losses = Mapping[str, Tensor]
"""Objective that acted in the step -> its loss (a detached scalar on the device)."""
Watcher = Callable[[int, Losses], object]
"""Called with the step reached after each step; a return of True ends the training there."""

CHECK_EVERY = 50
"""Steps between looks for a loss that is no longer a number: each look waits for the device."""


@dataclass(frozen=True)
class Plan:
    """How to train: optimizer (and exceptions by objective), schedule, averages, gradient clipping."""

    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    per_objective: Mapping[str, Optim] = field(default_factory=dict)
    ema: Mapping[str, float] = field(default_factory=dict)
    """Component -> decay per step of its exponential moving average."""
    clip_norm: float | None = None
    """Largest norm of one objective's gradient."""
    precision: str = "fp32"
    """``fp32``, or ``bf16``: networks multiply in bfloat16, and all that is kept stays float32."""
    compile: bool = False
    """Whether networks are compiled; the first step of a process then takes half a minute or more."""
    gamma_l1: float = 0.0
    """L1 penalty on the scales of batch norms, which an early bird may be searched with (You et al., 2020)."""

    @property
    def steps(self) -> int:
        """The number of steps that the schedule spans."""
        return self.schedule.steps

    def finetuning(self) -> Plan:
        """The same with the learning rate held at its last value."""
        return replace(self, schedule=replace(self.schedule, frozen_at=self.schedule.steps - 1))


class Turn:
    """One objective with the parameters that it trains and their optimizer."""

    def __init__(self, task: Task, objective: Objective, plan: Plan, arithmetic: Arithmetic) -> None:
        self.objective = objective
        self.parameters = task.trained_by(objective)
        self.arithmetic = arithmetic
        self.passed: list[nn.Parameter] = []
        """Parameters that only earlier turns of the step train: this one asks nothing of them."""
        self.optim = plan.per_objective.get(objective.name) or objective.optim or plan.optim
        self.optimizer = build(self.optim, list(self.parameters.values()))
        self.clip_norm, self.gamma_l1 = plan.clip_norm, plan.gamma_l1
        trained = {id(parameter) for parameter in self.parameters.values()}
        self.scales = [scale for scale in _norm_scales(task) if id(scale) in trained] if plan.gamma_l1 else []

    def gradients(self, batch: Tensor, draw: Draw) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The loss, and its gradients by what is trained."""
        loss = self.objective.loss
        return self.arithmetic.gradients(lambda: loss(batch, draw), list(self.parameters.values()), self.passed)

    def take(self, batch: Tensor, draw: Draw, factor: float, hold: Hold | None) -> Tensor:
        """One optimizer step: loss, gradients of what is trained alone, update, clip, mask. Returns the loss."""
        parameters = list(self.parameters.values())
        loss, gradients = self.gradients(batch, draw)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else like_parameter(gradient, parameter)
        for scale in self.scales:
            if scale.grad is not None:
                scale.grad = scale.grad + self.gamma_l1 * scale.detach().sign()
        if self.clip_norm is not None:
            _own_memory(parameters)
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * factor
        self.optimizer.step()
        increment_version(parameters)  # fused steps do not: a value shared between turns would go stale unseen
        for parameter in parameters:
            parameter.grad = None
        if self.objective.after_step is not None:
            self.objective.after_step()
        if hold is not None:
            hold.apply()
        return loss.detach()


class Training:
    """A task with its optimizers and averages: everything that a step changes.

    Convolutional networks are put into channels-last memory, which is faster on CPU and GPU alike.
    """

    def __init__(self, task: Task, plan: Plan) -> None:
        self.task, self.plan = task, plan
        if any(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in task.modules()):
            task.to(memory_format=torch.channels_last)
        objectives = list(task.objectives())
        for name in plan.per_objective:
            if name not in (known := [objective.name for objective in objectives]):
                raise TicketError(f"no objective '{name}'. {nearest(name, known)}")
        arithmetic = Arithmetic(task, plan.precision, plan.compile)
        self.turns = [Turn(task, objective, plan, arithmetic) for objective in objectives]
        for number, turn in enumerate(self.turns):
            own = {id(parameter) for parameter in turn.parameters.values()}
            before = {id(p): p for earlier in self.turns[:number] for p in earlier.parameters.values()}
            turn.passed = [parameter for key, parameter in before.items() if key not in own]
        self.ema: dict[str, Tensor] = {}
        self.renew_ema()

    def compile(self, batch: Tensor) -> None:
        """Have compiled code made now, for which the first step would wait; nothing else changes."""
        task = self.task
        with buffers_kept(task), modes_kept(task), seeded(task.device, derive(0, "compile")):
            task.train()
            draw = task.draw(len(batch), torch.Generator(task.device).manual_seed(derive(0, "compile")))
            for turn in self.turns if self.plan.compile else ():
                turn.gradients(batch, draw)

    @contextlib.contextmanager
    def under(self, plan: Plan) -> Iterator[None]:
        """Inside, another plan's schedule."""
        before, self.plan = self.plan, plan
        try:
            yield
        finally:
            self.plan = before

    def renew_ema(self) -> None:
        """Start the averages anew from the weights as they are."""
        for component in self.plan.ema:
            if component not in self.task.components:
                raise TicketError(f"no component '{component}' to average. {nearest(component, self.task.components)}")
        parameters = dict(self.task.named_parameters())
        self.ema = copied({n: p for n, p in parameters.items() if component_of(n) in self.plan.ema})

    def update_ema(self) -> None:
        """Move the averages by one step."""
        if not self.plan.ema:
            return
        parameters = dict(self.task.named_parameters())
        for component, decay in self.plan.ema.items():
            names = [name for name in self.ema if component_of(name) == component]
            with torch.no_grad():
                torch._foreach_lerp_([self.ema[n] for n in names], [parameters[n] for n in names], 1 - decay)

    def snapshot(self, step: int) -> Snapshot:
        """Copies of the weights, buffers, optimizers and averages after ``step`` steps."""
        optim = {
            f"{turn.objective.name}/{key}": value
            for turn in self.turns
            for key, value in read_state(turn.optimizer, turn.parameters).items()
        }
        return Snapshot(step, copied(state_of(self.task)), optim, copied(self.ema))

    def load(self, snapshot: Snapshot) -> None:
        """Go to a snapshot, bit for bit; it is checked whole before anything changes."""
        check_fit(snapshot.ema, self.ema)
        check_fit(snapshot.weights, state_of(self.task))
        self._load_optim(snapshot.optim, None)
        load_weights(self.task, snapshot.weights)
        self._load_ema(snapshot.ema)

    def _load_ema(self, ema: Tensors) -> None:
        for name, average in ema.items():
            self.ema[name].copy_(average)

    def start(self, ticket: Ticket) -> None:
        """Go to a ticket's start: masked weights, buffers, its optimizer state without pruned moments, and averages.

        Averages start anew from the masked weights, unless the ticket brings some.
        """
        state = state_of(self.task)
        ticket.mask.require_same_names({name: state[name] for name in ticket.mask if name in state}, "the network")
        check_fit(ticket.weights, state)
        if ticket.ema:
            check_fit(ticket.ema, self.ema)
        self._load_optim(ticket.optim, ticket.mask)
        ticket.load_into(self.task)
        self.renew_ema()
        self._load_ema(zeroed(ticket.ema, ticket.mask))

    def _load_optim(self, optim: Tensors, mask: Mask | None) -> None:
        known = {turn.objective.name for turn in self.turns}
        for key in optim:
            if (name := key.split("/", 1)[0]) not in known:
                raise TicketError(f"optimizer state of objective '{name}'. {nearest(name, known)}", Status.TICKET)
        states: dict[str, dict[str, Tensor]] = {name: {} for name in known}
        for key, value in optim.items():
            name, inner = key.split("/", 1)
            states[name][inner] = value
        for turn in self.turns:
            check_state(turn.optimizer, turn.parameters, states[turn.objective.name])
        for turn in self.turns:
            write_state(turn.optimizer, turn.parameters, states[turn.objective.name], mask)

    @contextlib.contextmanager
    def averaged(self, batches: Sequence[Tensor] = ()) -> Iterator[Task]:
        """The task with its averaged weights in place, its norm statistics estimated anew for them on ``batches``."""
        if not self.ema:
            yield self.task
            return
        before = copied(state_of(self.task))
        try:
            load_weights(self.task, {**before, **self.ema})
            settle(self.task)
            estimate_norms(self.task, list(self.plan.ema), batches)
            yield self.task
        finally:
            load_weights(self.task, before)


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


def estimate_norms(task: Task, components: Sequence[str], batches: Sequence[Tensor]) -> None:
    """Set the running statistics of batch norms to those of these batches, taken as one."""
    norms = [
        layer
        for component in components
        for layer in getattr(task, component).modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
    ]
    if not norms or not batches:
        return
    momenta = [norm.momentum for norm in norms]
    with modes_kept(task), torch.no_grad(), seeded(task.device, derive(0, "norms")):
        task.eval()
        inputs = task.inputs(torch.cat(list(batches)))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for component in components:
            getattr(task, component).train()(*inputs[component])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _norm_scales(task: Task) -> list[nn.Parameter]:
    """The scales of all batch norms, gamma."""
    norms = (layer for layer in task.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
    return [norm.weight for norm in norms if isinstance(norm.weight, nn.Parameter)]


def _own_memory(parameters: Sequence[nn.Parameter]) -> None:
    """Give each gradient memory of its own: autograd may hand one tensor to two parameters, which clipping changes."""
    seen: set[int] = set()
    for parameter in parameters:
        if parameter.grad is not None:
            if parameter.grad.data_ptr() in seen:
                parameter.grad = parameter.grad.clone(memory_format=torch.preserve_format)
            seen.add(parameter.grad.data_ptr())


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
