"""Writes what a verdict says of the controls and of the dense model's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gentickets.analysis.contrast import paired
from gentickets.analysis.text.format import Spread, arm_name, listed, metric_name, numbered, plus_minus
from gentickets.analysis.trial import Comparison, Trial
from gentickets.statistics import LEAST_SEEDS


def controls_sentence(trial: Trial, places: int, decided: bool, whole: str = "every control") -> str:
    """Which controls the ticket beats (all: `whole`), and which not; on average only, where nothing is tested."""
    beaten = [other for other in trial.controls if other.beaten]
    level = [other for other in trial.controls if not other.beaten]

    def names(others: Sequence[Comparison], joint: str = "and") -> str:
        return listed([f"{arm_name(other.arm)} ({plus_minus(other.spread, places)})" for other in others], joint)

    if not decided or not all(other.tested for other in trial.controls):
        return _ahead_or_behind(trial, names)
    if not level:
        every = whole if not trial.unfinished else "the controls that have run"
        return f"It beats {every}: {names(beaten)}."
    unshown = f"is not shown to be better than {names(level, 'or')}"
    return f"It beats {names(beaten)}, but {unshown}." if beaten else f"It {unshown}."


def _ahead_or_behind(trial: Trial, names: Callable[[Sequence[Comparison]], str]) -> str:
    """Too few seeds for a test, or nothing to be decided: only what the means say."""
    ahead = [other for other in trial.controls if other.loss.mean < 0]
    behind = [other for other in trial.controls if other.loss.mean > 0]
    level = [other for other in trial.controls if other.loss.mean == 0]
    groups = (("ahead of", ahead), ("behind", behind), ("level with", level))
    found = listed([f"{word} {names(others)}" for word, others in groups if others])
    least = min(other.loss.n for other in trial.controls)
    few = f"with {numbered(least, 'seed')} that" if least < LEAST_SEEDS else "that"
    return f"On average it is {found}; {few} is not tested."


def matched_sentence(matched: Spread | None, ticket: Spread, places: int, decided: bool, higher: bool) -> str:
    """What the narrow network from scratch reaches with the compute of search and ticket; empty without it.

    It takes more steps than the ticket, so that a claim at equal steps is not judged by it.
    """
    if matched is None:
        return ""
    text = "The same narrow network from scratch, trained for as many FLOPs as search and ticket together"
    text += f", reaches {plus_minus(matched, places)}"
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
    """By the same paired bound as the claim's: one of the two is better, or they are not told apart."""
    first = paired(budget.values, ticket.values, higher=higher)
    second = paired(ticket.values, budget.values, higher=higher)
    if first is None or second is None:
        return ""
    if not decided or first.n < LEAST_SEEDS:
        word = "ahead of" if first.mean < 0 else "behind" if first.mean > 0 else "level with"
        return f", {word} the ticket (not tested: {numbered(first.n, 'seed')})"
    if first.bound < 0:
        return ", better than the ticket"
    return ", worse than the ticket" if second.bound < 0 else ", which is not told apart from the ticket"
