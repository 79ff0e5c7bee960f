"""Masks of the sizes that a run will make, tried before anything trains: what cannot be, whatever the weights are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from gentickets.controls import MADE_BY, Given
from gentickets.definitions import Definitions
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask, component_of, erk, keep_top
from gentickets.methods import ITERATIVE
from gentickets.tasks import Task
from gentickets.tickets import Origin, Ticket, copied, state_of, zeroed


class LikelyError(TicketError):
    """A mask that these weights do not allow, and others may."""


def trial_mask(scores: Mapping[str, Tensor], full: Mask, density: float, scope: str, seed: int) -> Mask:
    """The mask of a round from the weights as they are.

    Raises LikelyError for one that would empty a tensor, and TicketError for one that would empty some tensor with any
    weights, as it keeps fewer than there are tensors, or that would prune nothing.
    """
    layered = scope in ("layer", "erk")
    if not layered:
        _require_enough(full, density, scope)
    try:
        densities = erk(full, density) if scope == "erk" else density
        mask = keep_top(scores, densities, within=full, scope="layer" if layered else scope, seed=seed)
    except TicketError as error:
        if error.status is Status.FAILED and not layered:
            raise LikelyError(str(error), error.status) from error
        raise
    if mask.kept == full.kept:
        message = f"keeping {density:.10g} of {full.total:,} weights keeps them all: prune more (search.keep)"
        raise TicketError(message)
    return mask


def _require_enough(full: Mask, density: float, scope: str) -> None:
    """Raise TicketError where a group keeps fewer weights than it has tensors."""
    groups: dict[str, list[Tensor]] = {}
    for name, kept in full.items():
        if kept.numel():
            groups.setdefault(component_of(name) if scope == "component" else "the network", []).append(kept)
    for called, members in groups.items():
        size = sum(kept.numel() for kept in members)
        if density > 0 and (k := math.floor(density * size + 0.5)) < len(members):
            raise TicketError(
                f"keeping {k:,} of the {size:,} weights of '{called}' would leave nothing of one of its {len(members)} "
                "tensors at least: prune less (fewer rounds, or a larger search.keep)"
            )


def try_control(name: str, task: Task, mask: Mask, full: Mask, seed: int, scope: str, definitions: Definitions) -> None:
    """Make a control of a mask's size, as the run will; whatever it raises is for the caller."""
    if (make := MADE_BY.get(name)) is None:
        return
    origin, weights = Origin(ITERATIVE, 0, 1, seed), copied(state_of(task))
    ticket, dense = Ticket(mask, zeroed(weights, mask), origin), Ticket(full, weights, origin)
    make(Given(task, ticket, dense, seed, scope, definitions))
