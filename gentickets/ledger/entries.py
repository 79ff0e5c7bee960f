"""Entries: what each phase of each round cost, and whose bill it is on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gentickets import arms
from gentickets.methods import METHODS
from gentickets.recipe import Recipe
from gentickets.results import Result

SEARCH, TICKET, COMPARISON = "search", "ticket", "comparison"
PARTS = (SEARCH, TICKET, COMPARISON)
WARM_UP = "warm-up"
PREPARING = frozenset({WARM_UP, "score", "checks", "compact"})
"""Phases of a ticket's own round that belong to the search: what comes after them trains it."""
ASIDE = frozenset({"evaluate", "store"})
"""Phases that no training and no search needs: they are booked, and left out where costs are compared."""


@dataclass(frozen=True)
class Cost:
    """Seconds and executed FLOPs; None where they are not told."""

    seconds: float = 0.0
    flops: float | None = 0.0
    uncounted: frozenset[str] = frozenset()
    """Operators in it whose FLOPs are not known: ``flops`` is "at least" what it says, where there are any."""

    def __add__(self, other: Cost) -> Cost:
        unknown = self.flops is None or other.flops is None
        flops = None if unknown else (self.flops or 0.0) + (other.flops or 0.0)
        return Cost(self.seconds + other.seconds, flops, self.uncounted | other.uncounted)

    def times(self, factor: float) -> Cost:
        """A part or a multiple of it."""
        flops = None if self.flops is None else self.flops * factor
        return Cost(self.seconds * factor, flops, self.uncounted if factor else frozenset())

    @property
    def exact(self) -> float | None:
        """The FLOPs, for whoever divides or subtracts them; None where they are not known, or only a lower bound."""
        return None if self.uncounted else self.flops

    def in_units_of(self, other: Cost) -> dict[str, float | None]:
        """How many times the other it is: by ``seconds`` and by ``flops``, None where that cannot be said.

        Of two lower bounds no ratio is known.
        """
        by_flops = self.exact / other.exact if self.exact is not None and other.exact else None
        return {"seconds": self.seconds / other.seconds if other.seconds else None, "flops": by_flops}

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; ``uncounted`` only where there is something to name."""
        told = {"seconds": round(self.seconds, 3), "flops": self.flops}
        return {**told, "uncounted": sorted(self.uncounted)} if self.uncounted else told


@dataclass(frozen=True)
class Entry:
    """One phase of one round of one cell."""

    seed: int
    arm: str
    round: int
    phase: str
    cost: Cost
    steps: int
    """Optimizer steps."""


def lower_bound(uncounted: Iterable[str]) -> str:
    """The sentence that says that FLOPs are "at least" what they say, and for which operators; empty for none."""
    if not (names := sorted(set(uncounted))):
        return ""
    what = f"operator{'' if len(names) == 1 else 's'} {', '.join(names)}"
    return f"FLOPs are at least what they say, and compared with nothing: no count is known of the {what}"


def entries_of(results: Iterable[Result], recipe: Recipe) -> list[Entry]:
    """Every phase of every result.

    A dense run that does not tell its warm-up apart (those of earlier versions) is split by its steps.
    """
    rewind = recipe.search.rewind_to
    return [entry for result in results for entry in _entries(result, rewind)]


def part_of(entry: Entry, method: str, level: int) -> str | None:
    """``search``, ``ticket`` or ``comparison`` for somebody who wants a ticket of one round; None: another round's."""
    if entry.arm != arms.TICKET:
        return SEARCH if entry.arm == arms.SEARCH else COMPARISON
    if entry.round == 0:
        return SEARCH if METHODS[method].is_search(warm_up=entry.phase == WARM_UP) else COMPARISON
    if entry.round == level:
        return SEARCH if entry.phase in PREPARING else TICKET
    return SEARCH if METHODS[method].goes_round_by_round and entry.round < level else None


def by_phase(costs: Iterable[tuple[str, Cost]]) -> dict[str, Cost]:
    """The sum of each phase."""
    phases: dict[str, Cost] = {}
    for phase, cost in costs:
        phases[phase] = phases.get(phase, Cost()) + cost
    return phases


def total_of(costs: Iterable[Cost]) -> Cost:
    """The sum of costs."""
    return sum(costs, Cost())


def _entries(result: Result, rewind: int) -> list[Entry]:
    seconds, spent = dict(result.seconds), dict(result.spent)
    whole, step = spent.get(WARM_UP, 0.0), result.flops.get("step")
    warm_up = round(whole / step) if step else 0
    if (result.arm, result.round) == ("ticket", 0) and rewind and not warm_up:
        warm_up = rewind
        if WARM_UP not in seconds:
            for booked in (seconds, spent):
                train = booked.pop("train", 0.0)
                booked |= {WARM_UP: train * rewind / result.trained, "train": train * (1 - rewind / result.trained)}
    steps = {WARM_UP: warm_up, "train": result.trained - warm_up}
    phases = [*seconds, *(phase for phase in spent if phase not in seconds)]
    return [
        Entry(
            result.seed, result.arm, result.round, phase,
            Cost(
                seconds.get(phase, 0.0), spent.get(phase, 0.0) if result.spent else None,
                frozenset(result.uncounted.get(phase, ())),
            ),
            steps.get(phase, 0),
        )
        for phase in phases
    ]  # fmt: skip
