"""The rule with one of its parts left out: each has a cell in which the promise then breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
from simulated.cells import Cell
from spending import normal_theory

from gentickets.simulation import Runs, by_tree
from gentickets.simulation.judging import Codes, Rates, false_rates, run_verdicts
from gentickets.statistics import (
    EQUAL_STEPS,
    NO_BETTER,
    WINS,
    Evidence,
    Terms,
    decide_tree,
    evidence,
    spending,
)
from gentickets.statistics.evidence import evidence as shown_by

Changed = Callable[[Evidence], Evidence]


class Unsplit(Terms):
    """Praise and blame at the whole of alpha each."""

    @property
    def praise(self) -> float:
        return self.alpha

    @property
    def blame(self) -> float:
        return self.alpha


def unsplit(runs: Runs, terms: Terms) -> Codes:
    """Each side at the whole of alpha."""
    return by_tree(runs, Unsplit(terms.margin, terms.seeds, terms.alpha, terms.analyses, terms.spending))


def uncorrected(runs: Runs, terms: Terms) -> Codes:
    """Blame without Bonferroni's factor over the controls."""
    return _changed(runs, terms, lambda one: replace(one, opponents=one.opponents[:1]))


def unguarded(runs: Runs, terms: Terms) -> Codes:
    """Praise also where the ticket scatters far more than the others."""
    return _changed(runs, terms, lambda one: replace(one, unsteady=np.zeros_like(one.unsteady)))


def alone(runs: Runs, terms: Terms) -> Codes:
    """Each level at the whole, as if it were the only one."""
    found = []
    for place, one in enumerate(runs.levels):
        longer = runs.longer if place == runs.declared else None
        found.append(by_tree(Runs((one,), longer, 0), terms))
    return np.concatenate(found, -1)


def half_a_claim(runs: Runs, terms: Terms) -> Codes:
    """Holm over the levels with the declared one's win at equal steps, rather than with its whole claim."""
    short = by_tree(replace(runs, longer=None), terms)
    whole = by_tree(runs, terms)
    return np.where(np.arange(short.shape[-1]) == runs.declared, whole, short)


@contextmanager
def uncalibrated() -> Iterator[None]:
    """The sizes of the normal theory, which those of t tests with many seeds tend to."""
    normal = {("linear", 2): {1: tuple((normal_theory(size),) for size in spending.SIZES)}}
    with mock.patch.object(spending, "TABLE", normal):
        spending._grid.cache_clear()
        yield
    spending._grid.cache_clear()


@contextmanager
def untied() -> Iterator[None]:
    """The t test also where all seeds say exactly the same."""
    with mock.patch.object(evidence, "_tied", lambda one, other, seeds: np.zeros(one.shape[:-1], dtype=bool)):
        yield


@dataclass(frozen=True)
class LeftOut:
    """A part, the cell that needs it, what breaks there, and the rule without it."""

    part: str
    cell: Cell
    what: str
    """`any`, `praise`, `blame` or a verdict."""
    rule: Callable[[Runs, Terms], Codes] = by_tree
    patched: Callable[[], AbstractContextManager[None]] | None = None
    runs: int = 20_000

    def rates(self, seed: int) -> tuple[Rates, Rates]:
        """Without the part, and with it, of the same runs."""
        world, terms = self.cell.world, self.cell.terms
        whole = false_rates(world, run_verdicts(world, terms, runs=self.runs, seed=seed))
        with self.patched() if self.patched else nullcontext():
            without = false_rates(world, run_verdicts(world, terms, runs=self.runs, seed=seed, rule=self.rule))
        return without, whole


def share_of(rates: Rates, what: str) -> float:
    """One of the rates."""
    return rates.verdicts[what] if what in rates.verdicts else float(getattr(rates, what))


def limit_of(terms: Terms, what: str) -> float:
    """What is promised of it."""
    if what == "any":
        return terms.alpha
    return terms.praise if what in ("praise", EQUAL_STEPS, WINS) else terms.blame


PARTS = (
    LeftOut("alpha split between praise and blame", Cell("corner", levels=1), "any", unsplit),
    LeftOut("Bonferroni over the controls", Cell("leads", controls=7, levels=1), NO_BETTER, uncorrected),
    LeftOut("Holm over the levels", Cell("margin", controls=1, levels=10), "praise", alone),
    LeftOut("Holm with the whole claim of the declared level", Cell("vanishing", controls=1), "praise", half_a_claim),
    LeftOut(
        "calibration for t tests",
        Cell("margin", seeds=3, controls=1, levels=1),
        "praise",
        patched=uncalibrated,
        runs=200_000,
    ),
    LeftOut("guard against scatter", Cell("one lead", levels=1, extreme=True), "praise", unguarded),
    LeftOut(
        "sign test where all seeds are tied",
        Cell("leads", seeds=3, levels=1, distribution="coarse"),
        NO_BETTER,
        patched=untied,
    ),
)


def _changed(runs: Runs, terms: Terms, change: Changed) -> Codes:
    taken = terms.plan.taken(runs.levels[0].ticket.shape[-1])
    levels = [change(shown_by(one, terms.margin, taken)) for one in runs.levels]
    longer = None if runs.longer is None else change(shown_by(runs.longer, terms.margin, taken))
    return decide_tree(levels, terms, max(taken), longer=longer, declared=runs.declared).codes
