"""Searches for tickets: one function per paper, readable top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gentickets.criteria import Criterion, magnitude
from gentickets.data import Batches
from gentickets.errors import TicketError, nearest
from gentickets.masks import Mask, component_of, erk, full_mask, keep_top, tied_share
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task
from gentickets.tickets import Origin, Snapshot, Tensors, Ticket, copied, state_of, zeroed
from gentickets.training import Training, Watcher, grow, train

REWINDS = ("weights", "lr", "none")
OPTIMIZER_STATES = ("rewound", "fresh")
OTHERS = ("rewound", "fresh", "trained")
CRITERION_BATCHES = 8
"""Training batches that a criterion is given."""
LEAST_TIED = 0.001
"""Smaller shares of ties are not worth telling."""


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
        _known(name, names, what)
    round = ticket.origin.round + 1 if round is None else round
    seen = derive(seed, "criterion", round)
    mask, tied = pruned(training.task, ticket.mask, density, criterion, scope, seen, batches)
    origin = replace(ticket.origin, round=round, rewind=rewind, tied=tied)
    weights, optim = ticket.weights, ticket.optim
    if rewind != "weights":
        grown = training.snapshot(training.plan.steps)
        weights, optim = grown.weights, grown.optim if optimizer_state == "rewound" else {}
    made = Ticket(mask, zeroed(weights, mask), origin, optim)
    if other == "rewound":
        return made
    if other == "trained":
        return beside(made, copied(state_of(training.task)))
    if fresh is None:
        raise TicketError("other = 'fresh' needs the weights of a fresh network")
    return beside(made, fresh)


def at_start(
    training: Training,
    batches: Batches,
    *,
    density: float,
    criterion: Criterion,
    cuts: int = 1,
    rewind_to: int = 0,
    optimizer_state: str = "rewound",
    scope: str = "component",
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    seed: int = 0,
    score_batches: int = CRITERION_BATCHES,
    watch: Sequence[Watcher] = (),
) -> Ticket:
    """A ticket found before training (SNIP: Lee et al., 2019; GraSP: Wang et al., 2020; SynFlow: Tanaka et al., 2020).

    The weights that are scored are those that will be trained (Trap 32): the initialization, or the state of step
    ``rewind_to``. Train it with `grow`.
    """
    dense = first_ticket(
        training, batches, rewind_to=rewind_to, optimizer_state=optimizer_state, components=components, exempt=exempt,
        seed=seed, watch=watch,
    )  # fmt: skip
    some = batches.first(score_batches)
    return ticket_at_start(
        training, dense, density=density, criterion=criterion, cuts=cuts, scope=scope, seed=seed, batches=some
    )


def ticket_at_start(
    training: Training,
    dense: Ticket,
    *,
    density: float,
    criterion: Criterion,
    cuts: int = 1,
    scope: str = "component",
    seed: int = 0,
    batches: Sequence[Batch] = (),
    round: int = 1,
    fresh: Tensors | None = None,
) -> Ticket:
    """Prune a dense ticket's start, in ``cuts`` exponential cuts with the mask of those before in place.

    ``fresh``: weights for the components that are not pruned.
    """
    training.start(dense)
    mask, tied = dense.mask, dict(dense.origin.tied)
    for cut in range(1, cuts + 1):
        seen = derive(seed, "criterion", round, cut)
        mask, tied = pruned(training.task, mask, density ** (cut / cuts), criterion, scope, seen, batches)
        Ticket(mask, dense.weights, dense.origin).load_into(training.task)
    origin = replace(dense.origin, method="at_start", round=round, tied=tied)
    made = Ticket(mask, zeroed(dense.weights, mask), origin, dense.optim)
    return made if fresh is None else beside(made, fresh)


def pruned(
    task: Task,
    within: Mask,
    density: float,
    criterion: Criterion = magnitude,
    scope: str = "component",
    seed: int = 0,
    batches: Sequence[Batch] = (),
) -> tuple[Mask, dict[str, float]]:
    """The mask of the highest scores of the weights as the task holds them, inside ``within``; and its tied shares.

    The shares (group -> fraction) are of weights whose score is that of the last one kept: where much of a group
    ties, as a clipped critic's magnitudes do, the cut says little (Trap 11a). ``scope``: one of `masks.SCOPES`, or
    ``erk``: each tensor by itself, at densities after Evci et al. (2020).
    """
    scores = criterion(task, batches, seed)
    missing = [name for name in within if name not in scores]
    if missing:
        raise TicketError(f"the criterion gave no scores for '{missing[0]}'")
    scores = scores if len(scores) == len(within) else {name: scores[name] for name in within}
    scope, densities = ("layer", erk(within, density)) if scope == "erk" else (scope, density)
    mask = keep_top(scores, densities, within=within, scope=scope, seed=seed)
    shares = tied_share(scores, mask, within=within, scope=scope)
    return mask, {group: round(share, 4) for group, share in shares.items() if share >= LEAST_TIED}


def beside(ticket: Ticket, weights: Tensors) -> Ticket:
    """The ticket with its unpruned components' weights and buffers from elsewhere, and no optimizer state of theirs."""
    pruned_ones = ticket.mask.components

    def ours(name: str) -> bool:
        return component_of(name) in pruned_ones

    mixed = {name: value if ours(name) else weights[name] for name, value in ticket.weights.items()}
    optim = {key: value for key, value in ticket.optim.items() if ours(key.split("/")[1])}
    return replace(ticket, weights=mixed, optim=optim)


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name not in names:
        raise TicketError(f"unknown {what} '{name}'. {nearest(name, names)}")
