"""Writes what a verdict says of the controls and of the dense model's budget."""

from __future__ import annotations

from collections.abc import Sequence

from gentickets.analysis.contrast import paired
from gentickets.analysis.text.format import Spread, arm_name, fixed, listed, metric_name
from gentickets.statistics import LEAST_SEEDS


def matched_sentence(matched: Spread | None, ticket: Spread, places: int, decided: bool, higher: bool) -> str:
    """What the narrow network from scratch reaches with the compute of search and ticket; empty without it.

    It takes more steps than the ticket, so that a claim at equal steps is not judged by it.
    """
    if matched is None:
        return ""
    text = "The same narrow network from scratch, trained for as many FLOPs as search and ticket together"
    text += f", reaches {fixed(matched.mean, places)}"
    return f"{text}{budget_against_ticket(matched, ticket, decided, higher)}."


def explained_sentence(controls: Sequence[str], metric: str) -> str:
    """Where controls that are as narrow do as well, the choice of channels explains nothing (Trap 21a)."""
    names = listed([arm_name(control) for control in controls])
    do = "do" if len(controls) > 1 or names.endswith("channels") else "does"
    return (
        f"As far as these seeds tell, a narrower network explains the ticket's {metric_name(metric)}, "
        f"not the choice of channels: {names} {do} as well."
    )


def budget_against_ticket(budget: Spread, ticket: Spread, decided: bool, higher: bool) -> str:
    """By a paired bound: one of the two is better, or there is no clear difference."""
    first = paired(budget.values, ticket.values, higher=higher)
    second = paired(ticket.values, budget.values, higher=higher)
    if first is None or second is None:
        return ""
    if not decided or first.n < LEAST_SEEDS:
        word = "better than" if first.mean < 0 else "worse than" if first.mean > 0 else "level with"
        return f", on average {word} the ticket (not tested)"
    if first.bound < 0:
        return ", better than the ticket"
    return ", worse than the ticket" if second.bound < 0 else ", with no clear difference from the ticket"
