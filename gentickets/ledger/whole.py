"""Total compute: what went into a ticket, search included, and into what trains for as long; and when that pays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gentickets import arms
from gentickets.ledger.entries import ASIDE, Entry, entries_of
from gentickets.ledger.levels import LevelCost, needed_by, search_cost, trained_by, trainings
from gentickets.recipe import Recipe
from gentickets.recipe.whole import why_no_whole_arms
from gentickets.results import Result


@dataclass(frozen=True)
class Compute:
    """Optimizer steps and FLOPs of training, the means over seeds; evaluating and storing left out."""

    steps: float
    executed: float | None
    """FLOPs that ran: a masked step costs what a dense one does. None: not known, or only a lower bound."""
    masked: float | None
    """FLOPs of kernels that skip every pruned weight, forward and backward, which none here does (Trap 24)."""

    def as_dict(self) -> dict[str, float | None]:
        """As JSON has it."""
        return {"steps": self.steps, "executed": self.executed, "masked": self.masked}


@dataclass(frozen=True)
class TotalCompute:
    """What went into a level's ticket, and what the same optimizer steps went into otherwise."""

    round: int
    seeds: tuple[int, ...]
    """Those whose ticket is there, of which the means of the ticket are."""
    ticket: Compute
    """Its search and its own training."""
    own: Compute
    """Its own training alone, from its start."""
    arms: Mapping[str, Compute]
    """Arm of equal total compute -> what it took, of those that have finished in some seed."""
    reuses: Mapping[str, int | None]
    """From how many trainings of the ticket on its search is repaid, the first among them: by ``executed`` and
    ``masked`` FLOPs and by measured ``seconds``. None: never; a unit that is not known is left out."""
    why_none: str
    """Why there are no arms of equal total compute; empty where the recipe has some."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "round": self.round,
            "seeds": list(self.seeds),
            "ticket": self.ticket.as_dict(),
            "own": self.own.as_dict(),
            "arms": {arm: compute.as_dict() for arm, compute in self.arms.items()},
            "reuses": dict(self.reuses),
            "why_none": self.why_none,
        }


def total_compute(results: Sequence[Result], recipe: Recipe, round: int) -> TotalCompute | None:
    """What went into the ticket of a round and into the arms of equal total compute; None where no seed has finished.

    A reuse is one training of the ticket that is there, in place of a dense training of as many steps (`break_even`).
    """
    level = search_cost(results, recipe, round)
    if level is None:
        return None
    books = _Books(results, recipe, round)
    search, own = _mean(map(books.search, level.seeds)), _mean(map(books.ticket, level.seeds))
    whole = {arm: [books.taken(arm, seed) for seed in books.seeds(arm)] for arm in arms.WHOLE}
    others = {arm: _mean(found) for arm, found in whole.items() if found}
    reuses = _reuses(level, search.masked, own.masked)
    return TotalCompute(round, level.seeds, _sum([search, own]), own, others, reuses, why_no_whole_arms(recipe))


def _reuses(level: LevelCost, search: float | None, ticket: float | None) -> dict[str, int | None]:
    """Break-even in trainings, in every unit in which it is known; ``search`` and ``ticket`` in masked FLOPs."""
    found, dense = {"seconds": level.break_even["seconds"]}, level.again[0].exact
    if level.counted:
        found["executed"] = level.break_even["flops"]
    if search is not None and ticket is not None and dense is not None:
        found["masked"] = trainings(search, dense, ticket)
    return found


class _Books:
    """What was booked at one round, seed by seed."""

    def __init__(self, results: Sequence[Result], recipe: Recipe, round: int) -> None:
        self.entries, self.method, self.round = entries_of(results, recipe), recipe.search.method, round
        self.done = {(one.seed, one.arm, one.round): one for one in results if one.status == "done"}

    def seeds(self, arm: str) -> list[int]:
        """Those in which an arm has finished."""
        return [seed for seed, name, round in sorted(self.done) if (name, round) == (arm, self.round)]

    def search(self, seed: int) -> Compute:
        """Until the ticket is there."""
        watched, ticket = self.done.get((seed, arms.SEARCH, 0)), self.done[seed, arms.TICKET, self.round]
        return self._sum_of(needed_by(self._of(seed), watched, ticket, self.method))

    def ticket(self, seed: int) -> Compute:
        """The ticket's own training."""
        return self._sum_of((one, 1.0) for one in trained_by(self._of(seed), self.round, self.method))

    def taken(self, arm: str, seed: int) -> Compute:
        """Everything that an arm took."""
        own = [one for one in self._of(seed) if (one.arm, one.round) == (arm, self.round)]
        return self._sum_of((one, 1.0) for one in own)

    def _of(self, seed: int) -> list[Entry]:
        return [one for one in self.entries if one.seed == seed]

    def _sum_of(self, found: Iterable[tuple[Entry, float]]) -> Compute:
        """What phases took, each with the share that counts; evaluating and storing left out."""
        return _sum([self._of_entry(one, share) for one, share in found if one.phase not in ASIDE])

    def _of_entry(self, entry: Entry, share: float) -> Compute:
        """One phase. Only steps under a mask would cost less where pruned weights are skipped."""
        flops, result = entry.cost.times(share).exact, self.done.get((entry.seed, entry.arm, entry.round))
        density = _density(result) if entry.phase == "train" and result is not None else 1.0
        return Compute(entry.steps * share, flops, None if flops is None else density * flops)


def _density(result: Result) -> float:
    """What a step costs where pruned weights are skipped, as a part of what it cost.

    A run of an earlier version tells only what the forward pass costs.
    """
    flops = result.flops
    if flops.get("step") and "masked_step" in flops:
        return flops["masked_step"] / flops["step"]
    dense = flops.get("own", flops.get("dense", 0.0))
    return flops.get("masked", dense) / dense if dense else 1.0


def _sum(found: Sequence[Compute]) -> Compute:
    def total(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return math.fsum(known) if len(known) == len(values) else None

    executed, masked = total([one.executed for one in found]), total([one.masked for one in found])
    return Compute(math.fsum(one.steps for one in found), executed, masked)


def _mean(found: Iterable[Compute]) -> Compute:
    each = list(found)
    whole, n = _sum(each), len(each)
    executed, masked = (None if value is None else value / n for value in (whole.executed, whole.masked))
    return Compute(whole.steps / n, executed, masked)
