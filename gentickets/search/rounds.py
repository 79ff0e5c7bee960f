"""Iterative magnitude pruning with late rewinding, and its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gentickets.criteria import Criterion, magnitude
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.masks import full_mask
from gentickets.methods import ITERATIVE
from gentickets.search.pruning import CRITERION_BATCHES, beside, known_choice, pruned
from gentickets.seeds import derive
from gentickets.tasks import Batch
from gentickets.tickets import Origin, Snapshot, Tensors, Ticket, copied, state_of, zeroed
from gentickets.training import Training, Watcher, grow, train

REWINDS = ("weights", "lr", "none")
OPTIMIZER_STATES = ("rewound", "fresh")
OTHERS = ("rewound", "fresh", "trained")


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
    score_batches: int = CRITERION_BATCHES,
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
            criterion=criterion, scope=scope, seed=seed, batches=batches.first(score_batches),
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
    known_choice(optimizer_state, OPTIMIZER_STATES, "optimizer state")
    if not 0 <= rewind_to < training.plan.steps:
        raise TicketError(f"rewind_to = {rewind_to} must lie in 0 to {training.plan.steps - 1}, within the training")
    mask = full_mask(training.task, exempt=exempt, components=components)
    if since is not None:
        training.load(since)
    train(training, batches, range(0 if since is None else since.step, rewind_to), seed=seed, watch=watch)
    state = training.snapshot(rewind_to)
    optim = state.optim if optimizer_state == "rewound" else {}
    return Ticket(mask, state.weights, Origin(ITERATIVE, rewind_to, 0, seed), optim, constants=state.constants)


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
    other: str = "rewound",
    fresh: Tensors | None = None,
    round: int | None = None,
) -> Ticket:
    """Prune what the ticket grew into (the task holds it), and go back: the ticket of the next round.

    ``density`` is the kept fraction of all prunable weights. ``other`` says what the components that are not pruned
    start from: ``rewound`` to the ticket's start (Chen et al., 2021), ``fresh``: the weights in ``fresh``, or
    ``trained``: as they are now. ``round`` numbers the new ticket: pruning a dense run once, straight to the density
    of a later round, is one-shot pruning.
    """
    for name, names, what in (
        (rewind, REWINDS, "rewind"),
        (optimizer_state, OPTIMIZER_STATES, "optimizer state"),
        (other, OTHERS, "start of the other components"),
    ):
        known_choice(name, names, what)
    round = ticket.origin.round + 1 if round is None else round
    seen = derive(seed, "criterion", round)
    mask, tied = pruned(training.task, ticket.mask, density, criterion, scope, seen, batches)
    origin = replace(ticket.origin, round=round, rewind=rewind, tied=tied)
    weights, optim = ticket.weights, ticket.optim
    if rewind != "weights":
        grown = training.snapshot(training.plan.steps)
        weights, optim = grown.weights, grown.optim if optimizer_state == "rewound" else {}
    made = Ticket(mask, zeroed(weights, mask), origin, optim, constants=ticket.constants)
    if other == "rewound":
        return made
    if other == "trained":
        return beside(made, copied(state_of(training.task)))
    if fresh is None:
        raise TicketError("other = 'fresh' needs the weights of a fresh network")
    return beside(made, fresh)
