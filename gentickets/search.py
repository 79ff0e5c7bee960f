"""Searches for tickets: one function per paper, readable top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gentickets.criteria import Criterion, magnitude
from gentickets.data import Batches
from gentickets.errors import TicketError, nearest
from gentickets.masks import full_mask, keep_top
from gentickets.seeds import derive
from gentickets.tasks import Batch
from gentickets.tickets import Origin, Snapshot, Ticket, zeroed
from gentickets.training import Training, Watcher, grow, train

REWINDS = ("weights", "lr", "none")
OPTIMIZER_STATES = ("rewound", "fresh")
CRITERION_BATCHES = 8
"""Training batches that a criterion is given."""


def iterative(
    training: Training,
    batches: Batches,
    *,
    rounds: int,
    keep: float = 0.8,
    rewind_to: int = 0,
    rewind: str = "weights",
    optimizer_state: str = "rewound",
    criterion: Criterion = magnitude,
    scope: str = "component",
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    since: Ticket | None = None,
    seed: int = 0,
    watch: Sequence[Watcher] = (),
) -> Iterator[Ticket]:
    """Iterative pruning with late rewinding (Frankle et al., 2020; for generative models Kalibhat et al., 2021).

    Each round prunes the trained weights to ``keep`` of what is left, goes back to the state of step ``rewind_to``
    and trains to the end again. Yields each round's ticket while the task holds what it grew into; the first is the
    dense run, round 0. ``rewind="lr"`` goes on from the trained weights with the learning rate rewound (Renda et al.,
    2020), ``"none"`` fine-tunes them at the last learning rate. One round with a small ``keep`` is one-shot pruning.

    ``since``: a ticket to go on from, the task holding what it grew into.
    """
    ticket = since or first_ticket(
        training, batches, rewind_to=rewind_to, optimizer_state=optimizer_state, components=components,
        exempt=exempt, seed=seed, watch=watch,
    )  # fmt: skip
    if since is None:
        grow(training, ticket, batches, seed=seed, watch=watch)
        yield ticket
    for round in range(ticket.origin.round + 1, rounds + 1):
        ticket = next_ticket(
            training, ticket, density=keep**round, rewind=rewind, optimizer_state=optimizer_state,
            criterion=criterion, scope=scope, seed=seed, batches=batches.first(CRITERION_BATCHES),
        )  # fmt: skip
        with training.under(training.plan.finetuning() if rewind == "none" else training.plan):
            grow(training, ticket, batches, seed=seed, watch=watch)
        yield ticket


def first_ticket(
    training: Training,
    batches: Batches,
    *,
    rewind_to: int,
    optimizer_state: str = "rewound",
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    seed: int = 0,
    since: Snapshot | None = None,
    watch: Sequence[Watcher] = (),
) -> Ticket:
    """The dense ticket of round 0: a full mask, and the state after ``rewind_to`` steps of dense training.

    ``since``: a snapshot on the way there, to go on from.
    """
    _known(optimizer_state, OPTIMIZER_STATES, "optimizer state")
    if not 0 <= rewind_to < training.plan.steps:
        raise TicketError(f"rewind_to = {rewind_to} must lie in 0 to {training.plan.steps - 1}, within the training")
    mask = full_mask(training.task, exempt=exempt, components=components)
    if since is not None:
        training.load(since)
    train(training, batches, range(0 if since is None else since.step, rewind_to), seed=seed, watch=watch)
    state = training.snapshot(rewind_to)
    optim = state.optim if optimizer_state == "rewound" else {}
    return Ticket(mask, state.weights, Origin("iterative", rewind_to, 0, seed), optim)


def next_ticket(
    training: Training,
    ticket: Ticket,
    *,
    density: float,
    rewind: str = "weights",
    optimizer_state: str = "rewound",
    criterion: Criterion = magnitude,
    scope: str = "component",
    seed: int = 0,
    batches: Sequence[Batch] = (),
) -> Ticket:
    """Prune what the ticket grew into (the task holds it), and go back: the ticket of the next round.

    ``density`` is the kept fraction of all prunable weights.
    """
    _known(rewind, REWINDS, "rewind")
    _known(optimizer_state, OPTIMIZER_STATES, "optimizer state")
    round = ticket.origin.round + 1
    scores = criterion(training.task, batches, derive(seed, "criterion", round))
    missing = [name for name in ticket.mask if name not in scores]
    if missing:
        raise TicketError(f"the criterion gave no scores for '{missing[0]}'")
    scores = scores if len(scores) == len(ticket.mask) else {name: scores[name] for name in ticket.mask}
    mask = keep_top(scores, density, within=ticket.mask, scope=scope, seed=seed)
    origin = replace(ticket.origin, round=round, rewind=rewind)
    if rewind == "weights":
        return Ticket(mask, zeroed(ticket.weights, mask), origin, ticket.optim)
    grown = training.snapshot(training.plan.steps)
    optim = grown.optim if optimizer_state == "rewound" else {}
    return Ticket(mask, zeroed(grown.weights, mask), origin, optim)


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name not in names:
        raise TicketError(f"unknown {what} '{name}'. {nearest(name, names)}")
