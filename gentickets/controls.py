"""Controls: what a ticket must beat. Each turns a ticket into an opponent of the same size and the same training.

A control's weights come from a *dense* ticket (round 0: all weights of the step that is rewound to), the ticket's own
or that of another initialization. Definitions and their sources: docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gentickets.criteria import random
from gentickets.definitions import CURRENT, Definitions
from gentickets.masks import Mask, erk, erk_like, keep_top, shuffled, uniform
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Ticket, zeroed


def reinitialized(ticket: Ticket, other: Ticket, method: str = "reinit") -> Ticket:
    """The ticket's mask on another initialization, trained dense to the same step (``other``: its round 0)."""
    return _planted(ticket, ticket.mask, other, method)


def forked(ticket: Ticket, dense: Ticket) -> Ticket:
    """The ticket's mask on the dense run's state of another step (Frankle et al., 2020)."""
    return _planted(ticket, ticket.mask, dense, "fork")


def shuffle(ticket: Ticket, dense: Ticket, seed: int) -> Ticket:
    """The ticket's own weights of the rewind step under its mask shuffled inside each layer."""
    return _planted(ticket, shuffled(ticket.mask, derive(seed, "shuffle", ticket.origin.round)), dense, "shuffle")


def random_pruning(
    task: Task,
    ticket: Ticket,
    dense: Ticket,
    densities: str,
    seed: int,
    *,
    scope: str = "component",
    definitions: Definitions = CURRENT,
) -> Ticket:
    """Random pruning to the ticket's size at ``erk`` (Evci et al., 2020) or ``uniform`` layer densities.

    ``scope`` is that in which the ticket was ranked: ERK densities are shared out in it, among each component's layers
    (``component``; also ``layer``, since ERK within one layer is uniform) or among all (``global``, ``erk``).
    """
    scores = random(task, (), derive(seed, "random control", ticket.origin.round))
    scores = {name: scores[name] for name in ticket.mask}
    if densities == "uniform":
        layers = uniform(ticket.mask, ticket.mask.density)
    elif definitions.erk == 1:
        layers = erk(ticket.mask, ticket.mask.density)
    else:
        layers = erk_like(ticket.mask, by_component=scope in ("component", "layer"))
    mask = keep_top(scores, layers, within=dense.mask, scope="layer", seed=seed)
    return _planted(ticket, mask, dense, f"random-{densities}")


def scaled(ticket: Ticket) -> Ticket:
    """Survivors scaled by (kept fraction of the layer)^-1/2, so that each layer's output keeps its variance."""
    densities = ticket.mask.densities
    weights = {
        name: value * densities[name] ** -0.5 if name in densities else value for name, value in ticket.weights.items()
    }
    return replace(ticket, weights=weights)


def _planted(ticket: Ticket, mask: Mask, dense: Ticket, method: str) -> Ticket:
    origin = replace(ticket.origin, method=method, rewind="weights", rewind_to=dense.origin.rewind_to, arm=method)
    return Ticket(mask, zeroed(dense.weights, mask), origin, dense.optim, constants=dense.constants)


@dataclass(frozen=True)
class Given:
    """What a control of the ticket's size is made from."""

    task: Task
    ticket: Ticket
    dense: Ticket
    """The dense ticket from whose start it is trained."""
    seed: int
    scope: str
    definitions: Definitions


def _random(densities: str) -> Callable[[Given], Ticket]:
    return lambda own: random_pruning(
        own.task, own.ticket, own.dense, densities, own.seed, scope=own.scope, definitions=own.definitions
    )


MADE_BY: dict[str, Callable[[Given], Ticket]] = {
    "shuffle": lambda own: shuffle(own.ticket, own.dense, own.seed),
    "random-erk": _random("erk"),
    "random-uniform": _random("uniform"),
}
"""Arm -> what makes its ticket out of the ticket that it is held against, for a run."""
