"""Ledger: where the seconds and the FLOPs of a run went, and what its search cost. Torch-free.

`ledger.json` of a run follows from its results alone. (A run that was stopped and went on has the same FLOPs but for
those of evaluating: features of real images are taken, and the data's own classifier trained, by whoever comes first.)

- ``format`` 1; ``method``; ``seeds``.
- ``entries``: ``{"seed", "arm", "round", "phase", "part", "seconds", "flops", "steps"}``. Phases are those of
  `result.json`. ``flops`` is null where a result does not tell; ``steps`` are optimizer steps. ``part`` is ``search``
  (somebody who only wants a ticket has to pay it), ``ticket`` (the training of a ticket that leads to no other),
  or ``comparison`` (dense reference, controls, longer trainings).
- ``totals``: part -> ``{"seconds", "flops", "phases": {phase: {"seconds", "flops"}}}``, and ``all`` of them.
- ``rounds``: ``{"seed", "arm", "round", "status", "memory", "energy"}`` of every result: bytes and joules of training.
- ``levels``: what a ticket of each round costs (`Level.as_dict`).

What is search depends on the method and the level. ``iterative``: the dense run and every round before, whole, and the
scores of the level's own round. ``one_shot``: the dense run, and the scores. ``at_start``: the dense steps up to the
one that is rewound to, and the scores. ``early_bird``: the arm ``search`` up to the step at which the level emerged,
and compacting; and where it is rewound to a later step, or to a state that the search's penalty on norm scales has not
seen, the dense steps on the way there that the search did not take. Several levels share their search; each level's
cost is what it would cost alone.

Evaluating and storing are booked to the part that does them, but are no part of a level's costs: nothing needs them.
Seconds were taken side by side with other workers, each like the other. FLOPs are executed ones (a mask saves none).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.disk import write_whole
from gentickets.results import Result

FORMAT = 1
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

    def __add__(self, other: Cost) -> Cost:
        unknown = self.flops is None or other.flops is None
        return Cost(self.seconds + other.seconds, None if unknown else (self.flops or 0.0) + (other.flops or 0.0))

    def times(self, factor: float) -> Cost:
        """A part or a multiple of it."""
        return Cost(self.seconds * factor, None if self.flops is None else self.flops * factor)

    def in_units_of(self, other: Cost) -> dict[str, float | None]:
        """How many times the other it is: by ``seconds`` and by ``flops``, None where that cannot be said."""
        by_flops = self.flops / other.flops if self.flops is not None and other.flops else None
        return {"seconds": self.seconds / other.seconds if other.seconds else None, "flops": by_flops}

    def as_dict(self) -> dict[str, float | None]:
        """As JSON has it."""
        return {"seconds": round(self.seconds, 3), "flops": self.flops}


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


@dataclass(frozen=True)
class Level:
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

    @property
    def break_even(self) -> dict[str, int | None]:
        """After how many trainings of the ticket its search is repaid, by ``seconds`` and ``flops``; None: never."""
        (dense, ticket), search = self.again, self.search
        by_flops = None
        if search.flops is not None and dense.flops is not None and ticket.flops is not None:
            by_flops = trainings(search.flops, dense.flops, ticket.flops)
        # a masked network that was timed as quicker was lucky
        by_seconds = trainings(search.seconds, dense.seconds, ticket.seconds) if self.smaller else None
        return {"seconds": by_seconds, "flops": by_flops}

    @property
    def whole_in_dense(self) -> dict[str, float | None]:
        """Search and own training together, in dense trainings."""
        return (self.search + self.ticket).in_units_of(self.dense)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "round": self.round,
            "sparsity": self.sparsity,
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


def entries_of(results: Iterable[Result], recipe: Mapping[str, Any]) -> list[Entry]:
    """Every phase of every result. ``recipe`` is the resolved one.

    A dense run that does not tell its warm-up apart (those of earlier versions) is split by its steps.
    """
    rewind = recipe["search"].get("rewind_to", 0)
    return [entry for result in results for entry in _entries(result, rewind)]


def part_of(entry: Entry, method: str, level: int) -> str | None:
    """``search``, ``ticket`` or ``comparison`` for somebody who wants a ticket of one round; None: another round's."""
    if entry.arm == SEARCH:
        return SEARCH
    if entry.arm != "ticket":
        return COMPARISON
    if entry.round == 0:
        needed = method in ("iterative", "one_shot") or (method == "at_start" and entry.phase == WARM_UP)
        return SEARCH if needed else COMPARISON
    if entry.round == level:
        return SEARCH if entry.phase in PREPARING else TICKET
    return SEARCH if method == "iterative" and entry.round < level else None


def levels_of(results: Sequence[Result], recipe: Mapping[str, Any]) -> list[Level]:
    """What a ticket of each finished round costs; rounds without a dense run beside them are left out."""
    entries = entries_of(results, recipe)
    done = {(one.seed, one.arm, one.round): one for one in results if one.status == "done"}
    rounds = sorted({round for _, arm, round in done if arm == "ticket" and round})
    found = (_level(round, entries, done, recipe["search"]["method"]) for round in rounds)
    return [level for level in found if level is not None]


def search_cost(results: Sequence[Result], recipe: Mapping[str, Any], round: int) -> Level | None:
    """What a ticket of this round costs; None where no seed has finished it."""
    return next((level for level in levels_of(results, recipe) if level.round == round), None)


def ledger_of(results: Sequence[Result], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger of a run's results so far, as `ledger.json` holds it; ``recipe`` is the resolved one."""
    method, levels = recipe["search"]["method"], levels_of(results, recipe)
    rounds = sorted({result.round for result in results if result.arm == "ticket" and result.round})
    booked = [(entry, _booked(entry, method, rounds)) for entry in entries_of(results, recipe)]
    return {
        "format": FORMAT,
        "method": method,
        "seeds": sorted({result.seed for result in results}),
        "entries": [
            {
                "seed": entry.seed, "arm": entry.arm, "round": entry.round, "phase": entry.phase, "part": part,
                **entry.cost.as_dict(), "steps": entry.steps,
            }
            for entry, part in booked
        ],
        "totals": {
            **{part: _total([entry for entry, own in booked if own == part]) for part in PARTS},
            "all": _total([entry for entry, _ in booked]),
        },
        "rounds": [
            {
                "seed": result.seed, "arm": result.arm, "round": result.round, "status": result.status,
                "memory": result.memory, "energy": result.energy,
            }
            for result in results
        ],
        "levels": [level.as_dict() for level in levels],
    }  # fmt: skip


def write_ledger(run: Path, results: Sequence[Result], recipe: Mapping[str, Any]) -> None:
    """Write ``ledger.json`` into a run's folder."""
    write_whole(run / "ledger.json", (json.dumps(ledger_of(results, recipe), indent=1) + "\n").encode())


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
            Cost(seconds.get(phase, 0.0), spent.get(phase, 0.0) if result.spent else None), steps.get(phase, 0),
        )
        for phase in phases
    ]  # fmt: skip


def _booked(entry: Entry, method: str, rounds: Sequence[int]) -> str:
    """The part for all levels together: what is search for one is search."""
    parts = {part_of(entry, method, level) for level in rounds or [0]}
    return next((part for part in PARTS if part in parts), COMPARISON)


def _total(entries: Sequence[Entry]) -> dict[str, Any]:
    phases = _by_phase((entry.phase, entry.cost) for entry in entries)
    told = {phase: cost.as_dict() for phase, cost in phases.items()}
    return {**_sum(phases.values()).as_dict(), "phases": told}


def _level(
    round: int, entries: Sequence[Entry], done: Mapping[tuple[int, str, int], Result], method: str
) -> Level | None:
    seeds = [seed for seed, arm, own in sorted(done) if (arm, own) == ("ticket", round) and (seed, "ticket", 0) in done]
    if not seeds:
        return None
    search: list[dict[str, Cost]] = []
    tickets, dense, again = [], [], []
    for seed in seeds:
        own = [entry for entry in entries if entry.seed == seed]
        parts = [(entry, part_of(entry, method, round)) for entry in own]
        share = _share(done.get((seed, SEARCH, 0)), round)
        needed = [(one, share if one.arm == SEARCH else 1.0) for one, part in parts if part == SEARCH]
        beyond = beyond_search(done.get((seed, SEARCH, 0)), round, done[seed, "ticket", round])
        needed += [(one, beyond) for one in own if (one.arm, one.round, one.phase) == ("ticket", 0, WARM_UP) and beyond]
        search.append(_by_phase((one.phase, one.cost.times(factor)) for one, factor in needed))
        tickets.append(_sum(one.cost for one, part in parts if part == TICKET and one.phase not in ASIDE))
        dense.append(_sum(one.cost for one in own if (one.arm, one.round) == ("ticket", 0) and one.phase not in ASIDE))
        again.append(_again(own, round))
    part = 1 / len(seeds)
    phases = _by_phase((phase, cost.times(part)) for costs in search for phase, cost in costs.items())
    ratios = [_needed(costs).in_units_of(whole) for costs, whole in zip(search, dense, strict=True)]
    ticket = done[seeds[0], "ticket", round]
    return Level(
        round, ticket.sparsity, tuple(seeds), _needed(phases), phases, _sum(tickets).times(part),
        _sum(dense).times(part), {unit: _mean([ratio[unit] for ratio in ratios]) for unit in ("seconds", "flops")},
        again=(_sum(one for one, _ in again).times(part), _sum(one for _, one in again).times(part)),
        smaller=bool(ticket.channels),
    )  # fmt: skip


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
    theirs = _sum(one.cost for one in dense).times(steps / dense_steps if dense_steps else 0.0)
    return theirs, _sum(one.cost for one in ticket)


def _needed(phases: Mapping[str, Cost]) -> Cost:
    return _sum(cost for phase, cost in phases.items() if phase not in ASIDE)


def _by_phase(costs: Iterable[tuple[str, Cost]]) -> dict[str, Cost]:
    phases: dict[str, Cost] = {}
    for phase, cost in costs:
        phases[phase] = phases.get(phase, Cost()) + cost
    return phases


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
