"""Training: a task with its optimizers and averages: everything that a step changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gentickets.arithmetic import Arithmetic
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Mask, component_of, require_prunable, under_all_names
from gentickets.optimizers import check_state, read_state, write_state
from gentickets.seeds import derive
from gentickets.spectral import settle
from gentickets.storage import ties_kept
from gentickets.tasks import Task
from gentickets.tickets import (
    Snapshot,
    State,
    Tensors,
    Ticket,
    check_fit,
    copied,
    fitted,
    load_weights,
    state_of,
    zeroed,
)
from gentickets.training.divergence import Divergence
from gentickets.training.norms import estimate_norms
from gentickets.training.plan import Plan
from gentickets.training.turn import Turn
from gentickets.untouched import preserved, seeded


class Training:
    """A task with its optimizers and averages: everything that a step changes.

    Convolutional networks are put into channels-last memory, which is faster on CPU and GPU alike.
    """

    def __init__(self, task: Task, plan: Plan) -> None:
        self.task, self.plan = task, plan
        if any(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in task.modules()):
            with ties_kept(task):
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
        self.divergence = Divergence(task, self.turns)
        self.ema = State()
        self.renew_ema()

    def compile(self, batch: Tensor) -> None:
        """Have compiled code made now, for which the first step would wait; nothing else changes."""
        task = self.task
        with preserved(task), seeded(task.device, derive(0, "compile")):
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
        """Start the averages anew from the weights as they are.

        Averaged is every parameter that an averaged component has, tied ones under their first name, by the decay of
        the first of its components that is averaged.
        """
        for component in self.plan.ema:
            if component not in self.task.components:
                raise TicketError(f"no component '{component}' to average. {nearest(component, self.task.components)}")
        state = state_of(self.task)
        self._decays: dict[str, float] = {}
        for name, _ in self.task.named_parameters(remove_duplicate=False):
            if (decay := self.plan.ema.get(component_of(name))) is not None:
                self._decays.setdefault(state.first(name), decay)
        self.ema = state.only(self._decays)
        self.ema.update(copied(self.ema))
        self.divergence.forget(self.ema)

    def update_ema(self) -> None:
        """Move the averages by one step."""
        if not self.plan.ema:
            return
        parameters = dict(self.task.named_parameters(remove_duplicate=False))
        for decay in dict.fromkeys(self._decays.values()):
            names = [name for name, own in self._decays.items() if own == decay and name not in self.divergence.design]
            with torch.no_grad():
                torch._foreach_lerp_([self.ema[n] for n in names], [parameters[n] for n in names], 1 - decay)

    def snapshot(self, step: int) -> Snapshot:
        """Copies of the weights, buffers, optimizers and averages after ``step`` steps.

        Raises TicketError (status 4) where training has made something infinite: such a state is not stored.
        """
        self.divergence.check()
        optim = {
            f"{turn.objective.name}/{key}": value
            for turn in self.turns
            for key, value in read_state(turn.optimizer, turn.parameters).items()
        }
        return Snapshot(step, copied(state_of(self.task)), optim, copied(self.ema), self.divergence.constants)

    def load(self, snapshot: Snapshot) -> None:
        """Go to a snapshot, bit for bit; it is checked whole before anything changes."""
        check_fit(snapshot.ema, self.ema)
        check_fit(snapshot.weights, state_of(self.task))
        self._load_optim(snapshot.optim, None)
        load_weights(self.task, snapshot.weights)
        self._load_ema(snapshot.ema)

    def _load_ema(self, ema: Tensors) -> None:
        for name, average in fitted(ema, self.ema).items() if ema else ():
            self.ema[name].copy_(average)
        self.divergence.forget(self.ema)

    def start(self, ticket: Ticket) -> None:
        """Go to a ticket's start: masked weights, buffers, its optimizer state without pruned moments, and averages.

        Averages start anew from the masked weights, unless the ticket brings some.
        """
        state = state_of(self.task)
        ticket.mask.require_same_names({name: state[name] for name in ticket.mask if name in state}, "the network")
        check_fit(ticket.weights, state)
        require_prunable(self.task, ticket.mask, ticket.weights)
        if ticket.ema:
            check_fit(ticket.ema, self.ema)
        self._load_optim(ticket.optim, ticket.mask)
        ticket.load_into(self.task)
        self.renew_ema()
        self._load_ema(zeroed(fitted(ticket.ema, self.ema), ticket.mask) if ticket.ema else {})

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
        masks = None if mask is None else under_all_names(mask, self.task)
        for turn in self.turns:
            write_state(turn.optimizer, turn.parameters, states[turn.objective.name], masks)

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
