"""The results of a run, found by arm, round and seed, and what its recipe still asks for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gentickets.analysis.text.format import listed
from gentickets.arms import (
    BUDGET,
    DENSE,
    OF_TRANSFER,
    TICKET,
    TRANSFER,
    TWICE,
    WHOLE,
    WIDTH,
    ArmName,
    kind_of,
    reported_as,
)
from gentickets.files.belonging import IMAGES
from gentickets.files.single_images import read_single_images
from gentickets.metrics import LEADING, better, of_samples
from gentickets.provenance import comparable
from gentickets.recipe import Recipe
from gentickets.results import Result
from gentickets.sparsity import is_partial, removed_of_all

Split = Literal["train", "valid", "test"]


class RunResults:
    """The results of one run, by arm, round and seed, beside the recipe that asked for them."""

    def __init__(self, results: Sequence[Result], recipe: Recipe, path: str = "RUN") -> None:
        """``path``: of the run, as commands name it."""
        self.recipe, self.search, self.path = recipe, recipe.search, path
        self.all = results
        self._found = {(cell.arm, cell.round, cell.seed): cell for cell in results}
        self.seeds = sorted({cell.seed for cell in results})
        self.required_seeds = max(recipe.search.seeds, len(self.seeds))

        self.measured = cache(self._measured)
        self.single_images = cache(self._single_images)

    @property
    def claims_samples(self) -> bool:
        """Whether the claim's metric is computed from samples, so that a collapse can flatter it."""
        return self.recipe.claim is not None and of_samples(self.recipe.claim.metric)

    @property
    def levels(self) -> list[int]:
        """The ticket's rounds after the dense run, as the recipe asks for them or as they are there, in order."""
        asked = self.recipe.rounds if self.recipe.prunes else []
        return sorted({*asked, *self.rounds("ticket")} - {0})

    def rounds_to(self, round: int) -> list[int]:
        """The ticket's rounds that lead to one, with it: every earlier one, or the dense run alone."""
        if self.recipe.method.goes_round_by_round:
            return list(range(round + 1))
        return sorted({0, round})

    def get(self, arm: str, round: int, seed: int) -> Result | None:
        """The one result, or None where it is not (yet) there."""
        return self._found.get((arm, round, seed))

    @property
    def of_channels(self) -> bool:
        """Whether channels are removed, so that a sparsity is the removed fraction of channels."""
        return self.recipe.removes_channels

    def of(self, arm: str, round: int) -> list[Result]:
        """An arm's results of one round, by seed, whatever their status."""
        found = (self.get(arm, round, seed) for seed in self.seeds)
        return [cell for cell in found if cell is not None]

    def done(self, arm: str, round: int) -> list[Result]:
        """The same, finished ones only."""
        return [cell for cell in self.of(arm, round) if cell.status == "done"]

    def arms(self) -> list[str]:
        """Every arm with figures: ticket, what was transferred, controls as the recipe lists them, others by name."""
        order = [TICKET, BUDGET, TWICE, *OF_TRANSFER, *self.search.controls, *WHOLE]
        known = {arm for arm, _, _ in self._found if kind_of(arm).in_tables}

        def place(arm: str) -> tuple[bool, int, str]:
            name = ArmName.of(arm)
            return name.longer, order.index(name.base) if name.base in order else len(order), arm

        return sorted(known, key=place)

    def rounds(self, arm: str) -> list[int]:
        """The rounds of an arm that have a result, in order."""
        return sorted({round for name, round, _ in self._found if name == arm})

    def round_of(self, arm: str, level: int) -> int:
        """Where an arm stands that is compared at round `level`: there, or at its only round."""
        rounds = self.rounds(arm)
        return rounds[0] if len(rounds) == 1 and level not in rounds else level

    def values(self, arm: str, round: int, metric: str, split: Split) -> dict[int, float]:
        """Seed -> value of one figure, of the finished results in which it is there and finite.

        Values that were measured in another way than most do not compare, and are left out: see `not_comparable`.
        """
        found: dict[int, float] = {}
        for cell in self.done(arm, round):
            value = getattr(cell, split).get(metric)
            if value is not None and math.isfinite(value) and not self._is_apart(cell, metric):
                found[cell.seed] = float(value)
        return found

    def _single_images(self, arm: str, round: int, metric: str) -> dict[int, NDArray[np.float32]]:
        """Seed -> the metric of every single test image (images), of the results that stored it and compare."""
        done = (cell for cell in self.done(arm, round) if cell.images is not None and not self._is_apart(cell, metric))
        return {cell.seed: read_single_images(cell.folder / IMAGES, metric) for cell in done if cell.folder is not None}

    def not_comparable(self, arm: str, round: int, metric: str) -> list[int]:
        """Seeds whose figure was measured in another way (extractor, N, averaged weights) than the run's is."""
        return [cell.seed for cell in self.done(arm, round) if self._is_apart(cell, metric)]

    def _is_apart(self, cell: Result, metric: str) -> bool:
        there = metric in cell.test or metric in cell.valid
        return there and not comparable(cell.provenance.get(metric, ""), self.measured(metric))

    def _measured(self, metric: str) -> str:
        """How the run measures a figure: as its dense runs do, else (no dense run, or several ways) as most do."""
        everything = (cell for cell in self._found.values() if cell.status == "done")
        done = [cell for cell in everything if metric in cell.valid or metric in cell.test]
        dense = [cell for cell in done if reported_as(cell.arm, cell.round) == DENSE]
        ways = Counter(cell.provenance.get(metric, "") for cell in dense or done)
        return ways.most_common(1)[0][0] if ways else ""

    def figures(self) -> list[str]:
        """The names of all metrics, in the order in which the results give them."""
        done = (cell for cell in self._found.values() if cell.status == "done")
        return list(dict.fromkeys(name for cell in done for name in (*cell.test, *cell.valid, *cell.train)))

    @property
    def metric(self) -> str | None:
        """The claim's metric, or without a claim the first one that says something of quality."""
        if self.recipe.claim is not None:
            return self.recipe.claim.metric
        known = self.figures()
        return next((name for name in (*LEADING, *known) if name in known and better(name)), None)

    @property
    def widths(self) -> list[tuple[int, int]]:
        """Of a width sweep, each width and its round, by width; without those that nothing is known of."""
        asked = self.search.widths
        found = []
        for place in self.rounds(WIDTH):
            width = asked[place] if place < len(asked) else self.of(WIDTH, place)[0].width
            found.append((int(width or 0), place))
        return sorted(found)

    def sparsity(self, round: int) -> float:
        """Mean sparsity of the ticket's round; before it has run, what the recipe's schedule gives."""
        known = [cell.sparsity for cell in self.done("ticket", round)]
        if known:
            return math.fsum(known) / len(known)
        return self.scheduled(round)

    def scheduled(self, round: int) -> float:
        """The sparsity that the recipe's schedule has at a round, by which levels are declared."""
        return self.recipe.sparsity(round)

    def removed_fraction(self, round: int) -> float | None:
        """The ticket's removed weights at a round as a fraction of all parameters; None where it is not known."""
        known = [removed_of_all(cell.weights) for cell in self.done("ticket", round)]
        shares = [share for share in known if share is not None]
        return math.fsum(shares) / len(shares) if shares and len(shares) == len(known) else None

    @property
    def partial(self) -> bool:
        """Whether prunable weights are so few that the fraction of all parameters is given with every sparsity."""
        return any(is_partial(cell.weights) for cell in self._found.values())

    def removed_of_prunable(self, round: int) -> float | None:
        """The ticket's removed fraction of the prunable weights, unlike that of channels; None if unknown."""
        known = [cell.weights for cell in self.done("ticket", round) if {"kept", "total"} <= cell.weights.keys()]
        return math.fsum(1 - one["kept"] / one["total"] for one in known) / len(known) if known else None

    @property
    def pruned(self) -> str | None:
        """Whose weights or channels the recipe prunes, e.g. ``the generator's weights``; None where it prunes all."""
        whose = [f"the {name}'s" for name in self.search.prune]
        exempt = [f"'{pattern}'" for pattern in self.search.exempt]
        if not whose and not exempt:
            return None
        what = "channels" if self.of_channels else "weights"
        those = f"{listed(whose)} {what}" if whose else f"the {what}"
        return f"{those} outside {listed(exempt)}" if exempt else those

    @property
    def goes_on(self) -> str | None:
        """Where rounds go on from trained weights, so that their steps add up; else None.

        ``lr`` and ``none``: the way of rewinding; ``trained``: what the unpruned components go on from.
        """
        if self.search.rewind != "weights":
            return self.search.rewind
        return "trained" if self.search.other == "trained" else None

    @property
    def last_round(self) -> int:
        """The last round that the recipe asks for (or that is there)."""
        return max(self.levels, default=0)

    @property
    def controls(self) -> list[str]:
        """The controls that the recipe declares or that ran, without their scaled variants; see `claim_controls`."""
        ran = (ArmName.of(arm).base for arm in self.arms())
        names = dict.fromkeys([*self.search.controls, *ran])
        return [name for name in names if kind_of(name).role == "control"]

    @property
    def transfer_rounds(self) -> list[int]:
        """The rounds at which a ticket is carried over, as the recipe asks for them or as they are there."""
        return sorted({*self.recipe.transfer_rounds, *self.rounds(TRANSFER)})

    @property
    def transfer_controls(self) -> list[str]:
        """The arms of a transfer beside the transferred ticket, as required or as they ran, without scaled variants."""
        asked = {f"{TRANSFER}-{name}" for name in self.recipe.transfer_controls}
        ran = {name.base for name in map(ArmName.of, self.arms()) if name.kind.of_transfer}
        known = {*asked, *ran} - {TRANSFER}
        order = {arm: place for place, arm in enumerate(OF_TRANSFER)}
        return sorted(known, key=lambda arm: (order.get(arm, len(order)), arm))

    @property
    def claim_controls(self) -> list[str]:
        """The controls by which a claim at equal steps is judged."""
        return [name for name in self.controls if not kind_of(name).matched]

    def ticket_troubles(self, round: int) -> tuple[list[int], list[int]]:
        """Seeds whose ticket failed at or before `round`, and seeds whose ticket is not there yet."""
        failed, waiting = [], []
        for seed in self.seeds:
            cells = [self.get("ticket", earlier, seed) for earlier in self.rounds_to(round)]
            if any(cell is not None and cell.status != "done" for cell in cells):
                failed.append(seed)
            elif cells[0] is None or cells[-1] is None:
                waiting.append(seed)
        return failed, waiting

    def first_broken(self, rounds: Sequence[int]) -> list[Result]:
        """Of each seed whose ticket failed at one of the rounds, the first result that did (round 0: the dense run)."""
        found = []
        for seed in self.seeds:
            cells = (self.get("ticket", round, seed) for round in rounds)
            found += [cell for cell in cells if cell is not None and cell.status != "done"][:1]
        return found

    def collapsed(self, arm: str, round: int) -> list[int]:
        """Seeds whose samples have collapsed."""
        return [cell.seed for cell in self.done(arm, round) if cell.collapsed]
