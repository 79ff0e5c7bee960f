"""Searches for tickets: one function per paper, readable top to bottom."""

from collections.abc import Callable

from gentickets.methods import AT_START, ITERATIVE, ONE_SHOT
from gentickets.search.at_start import at_start, ticket_at_start
from gentickets.search.early_bird import AFTERS, BYS, Ranking, cut, dense_at, early_bird, momentum_of, paces_of, ranking
from gentickets.search.pruning import CRITERION_BATCHES, beside, pruned
from gentickets.search.rounds import OPTIMIZER_STATES, OTHERS, REWINDS, first_ticket, iterative, next_ticket
from gentickets.tickets import Ticket

MADE_BY: dict[str, Callable[..., Ticket]] = {
    ITERATIVE: next_ticket,
    ONE_SHOT: next_ticket,
    AT_START: ticket_at_start,
}
"""Method -> what makes its ticket out of (training, ticket) in the state that the method's basis names, for a run."""

__all__ = [
    "AFTERS",
    "BYS",
    "CRITERION_BATCHES",
    "MADE_BY",
    "OPTIMIZER_STATES",
    "OTHERS",
    "REWINDS",
    "Ranking",
    "at_start",
    "beside",
    "cut",
    "dense_at",
    "early_bird",
    "first_ticket",
    "iterative",
    "momentum_of",
    "next_ticket",
    "paces_of",
    "pruned",
    "ranking",
    "ticket_at_start",
]
