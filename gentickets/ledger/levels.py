"""Levels: what a ticket of one round costs, and when its search is repaid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gentickets import arms
from gentickets.ledger.entries import (
    ASIDE,
    SEARCH,
    TICKET,
    WARM_UP,
    Cost,
    Entry,
    by_phase,
    entries_of,
    part_of,
    total_of,
)
from gentickets.recipe import Recipe
from gentickets.results import Result
from gentickets.sparsity import share_to_say


@dataclass(frozen=True)
class LevelCost:
    """What a ticket of one round costs, the mean over the seeds that have one; evaluating and storing left out."""

    round: int
    sparsity: float
    seeds: tuple[int, ...]
    search: Cost
    """Until the ticket is there."""
    phases: Mapping[str, Cost]
    """The search by phase, with evaluating and storing."""
    ticket: Cost
    """Its own training, from its start to the end."""
    dense: Cost
    """A whole dense training."""
    in_dense: Mapping[str, float | None]
    """The search in dense trainings of its seed, by ``seconds`` and ``flops``."""
    again: tuple[Cost, Cost]
    """What the ticket's own steps cost in the dense network, and in the ticket's."""
    smaller: bool
    """Whether the ticket's networks are smaller than the dense ones, rather than masked."""
    share: float | None = None
    """The removed share of all parameters, where prunable are so few that it stands beside the sparsity."""

    @property
    def break_even(self) -> dict[str, int | None]:
        """After how many trainings of the ticket its search is repaid, by ``seconds`` and ``flops``.

        None: never; or by FLOPs, where some are not counted (`counted` is False), not known.
        """
        (dense, ticket), search = self.again, self.search
        by_flops = None
        if search.exact is not None and dense.exact is not None and ticket.exact is not None:
            by_flops = trainings(search.exact, dense.exact, ticket.exact)
        # a masked network that was timed as quicker was lucky
        by_seconds = trainings(search.seconds, dense.seconds, ticket.seconds) if self.smaller else None
        return {"seconds": by_seconds, "flops": by_flops}

    @property
    def counted(self) -> bool:
        """Whether all FLOPs that it rests on are known, so that they can be compared."""
        return all(cost.exact is not None for cost in (self.search, self.ticket, self.dense))

    @property
    def whole_in_dense(self) -> dict[str, float | None]:
        """Search and own training together, in dense trainings."""
        return (self.search + self.ticket).in_units_of(self.dense)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "round": self.round,
            "sparsity": self.sparsity,
            "share": self.share,
            "seeds": list(self.seeds),
            "search": self.search.as_dict(),
            "search_phases": {phase: cost.as_dict() for phase, cost in self.phases.items()},
            "search_in_dense_trainings": dict(self.in_dense),
            "ticket": self.ticket.as_dict(),
            "dense": self.dense.as_dict(),
            "found_and_trained_in_dense_trainings": self.whole_in_dense,
            "smaller": self.smaller,
            "break_even_trainings": self.break_even,
        }


def break_even(search: float, dense: float, ticket: float) -> float | None:
    """How often the ticket must be used in the dense network's place until that has saved what its search cost.

    All three in the same unit, seconds or FLOPs; ``dense`` and ``ticket`` are what one use costs: a training, a sample.
    None where the ticket is no cheaper: never.
    """
    saved = dense - ticket
    return search / saved if saved > 0 else None


def trainings(search: float, dense: float, ticket: float) -> int | None:
    """`break_even` in whole trainings, the ticket's first one among them; None: never."""
    uses = break_even(search, dense, ticket)
    return None if uses is None else math.ceil(uses - 1e-9)


def levels_of(results: Sequence[Result], recipe: Recipe) -> list[LevelCost]:
    """What a ticket of each finished round costs; rounds without a dense run beside them are left out."""
    entries = entries_of(results, recipe)
    done = {(one.seed, one.arm, one.round): one for one in results if one.status == "done"}
    rounds = sorted({round for _, arm, round in done if arm == "ticket" and round})
    found = (_level(round, entries, done, recipe.search.method) for round in rounds)
    return [level for level in found if level is not None]


def search_cost(results: Sequence[Result], recipe: Recipe, round: int) -> LevelCost | None:
    """What a ticket of this round costs; None where no seed has finished it."""
    return next((level for level in levels_of(results, recipe) if level.round == round), None)


def _level(
    round: int, entries: Sequence[Entry], done: Mapping[tuple[int, str, int], Result], method: str
) -> LevelCost | None:
    seeds = [seed for seed, arm, own in sorted(done) if (arm, own) == ("ticket", round) and (seed, "ticket", 0) in done]
    if not seeds:
        return None
    search: list[dict[str, Cost]] = []
    tickets, dense, again = [], [], []
    for seed in seeds:
        own = [entry for entry in entries if entry.seed == seed]
        watched, ticket = done.get((seed, arms.SEARCH, 0)), done[seed, "ticket", round]
        needed = needed_by(own, watched, ticket, method)
        search.append(by_phase((one.phase, one.cost.times(factor)) for one, factor in needed))
        tickets.append(total_of(one.cost for one in trained_by(own, round, method)))
        first = [one for one in own if (one.arm, one.round) == ("ticket", 0)]
        dense.append(total_of(one.cost for one in first if one.phase not in ASIDE))
        again.append(_again(own, round))
    part = 1 / len(seeds)
    phases = by_phase((phase, cost.times(part)) for costs in search for phase, cost in costs.items())
    ratios = [_needed(costs).in_units_of(whole) for costs, whole in zip(search, dense, strict=True)]
    ticket = done[seeds[0], "ticket", round]
    return LevelCost(
        round, ticket.sparsity, tuple(seeds), _needed(phases), phases, total_of(tickets).times(part),
        total_of(dense).times(part), {unit: _mean([ratio[unit] for ratio in ratios]) for unit in ("seconds", "flops")},
        again=(total_of(one for one, _ in again).times(part), total_of(one for _, one in again).times(part)),
        smaller=bool(ticket.channels), share=share_to_say(ticket.weights),
    )  # fmt: skip


def needed_by(own: Sequence[Entry], watched: Result | None, ticket: Result, method: str) -> list[tuple[Entry, float]]:
    """What of a seed's entries is on the bill of a ticket's search, and the share of each that the ticket needed.

    ``own``: the entries of its seed; ``watched``: the seed's search of early birds, where there was one.
    """
    round, share = ticket.round, _share(watched, ticket.round)
    found = [(one, share if one.arm == arms.SEARCH else 1.0) for one in own if part_of(one, method, round) == SEARCH]
    if beyond := beyond_search(watched, round, ticket):
        found += [(one, beyond) for one in own if (one.arm, one.round, one.phase) == ("ticket", 0, WARM_UP)]
    return found


def trained_by(own: Sequence[Entry], round: int, method: str) -> list[Entry]:
    """What of a seed's entries is the training of the ticket of a round, from its start to its end."""
    return [one for one in own if part_of(one, method, round) == TICKET and one.phase not in ASIDE]


def _share(watched: Result | None, round: int) -> float:
    """How much of the search for early birds a level needed: up to the step at which it emerged."""
    levels = watched.early_bird.get("levels", []) if watched else []
    step = next((level["step"] for level in levels if level["round"] == round), None)
    return step / watched.trained if watched and step else 1.0


def beyond_search(watched: Result | None, round: int, ticket: Result) -> float:
    """Of an early bird that is rewound: the share of the dense warm-up that its search has not taken."""
    if watched is None or (start := ticket.steps - ticket.trained) <= 0:
        return 0.0
    told = watched.early_bird
    step = next((level["step"] for level in told.get("levels", []) if level["round"] == round), None) or 0
    return 1.0 if told.get("gamma_l1") and start != step else max(0, start - step) / start


def _again(own: Sequence[Entry], round: int) -> tuple[Cost, Cost]:
    """The ticket's own steps in the dense network and in its own: equal steps, so that a shorter way saves nothing."""
    ticket = [one for one in own if (one.arm, one.round, one.phase) == ("ticket", round, "train")]
    dense = [one for one in own if (one.arm, one.round) == ("ticket", 0) and one.steps]
    steps, dense_steps = sum(one.steps for one in ticket), sum(one.steps for one in dense)
    theirs = total_of(one.cost for one in dense).times(steps / dense_steps if dense_steps else 0.0)
    return theirs, total_of(one.cost for one in ticket)


def _needed(phases: Mapping[str, Cost]) -> Cost:
    return total_of(cost for phase, cost in phases.items() if phase not in ASIDE)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
