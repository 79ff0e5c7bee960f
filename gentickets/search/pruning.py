"""What every search does with scores: prune once, and put together what a ticket starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gentickets.criteria import Criterion, magnitude
from gentickets.errors import TicketError, nearest
from gentickets.masks import Mask, component_of, erk, keep_top, tied_share
from gentickets.tasks import Batch, Task
from gentickets.tickets import Tensors, Ticket

CRITERION_BATCHES = 8
"""Training batches that a criterion is given."""
LEAST_TIED = 0.001
"""Smaller shares of ties are not worth telling."""


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


def known_choice(name: str, names: Sequence[str], what: str) -> None:
    """Raise TicketError, with the nearest name, unless a name is among those that there are."""
    if name not in names:
        raise TicketError(f"unknown {what} '{name}'. {nearest(name, names)}")
