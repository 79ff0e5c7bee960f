"""Verdicts in worlds where the truth is known: each false one is as rare as is promised, and the truth is found.

Every rate is held to its share and three standard errors; each part of the rule, left out, breaks a cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated.cells import AXES, Cell, cells, pairs
from simulated.left_out import PARTS, LeftOut, limit_of, share_of

from gentickets.errors import TicketError
from gentickets.simulation import Level, World, best_of_levels, draw_runs, false_rates, run_verdicts
from gentickets.simulation.judging import within_one_deviation
from gentickets.statistics import (
    BAD,
    UNDECIDED,
    WORSE,
    Terms,
    every_level_worse,
    judge,
)

RUNS = 10_000


@pytest.mark.parametrize(
    "cell",
    [
        Cell("margin", seeds=3, levels=1),
        Cell("leads", controls=7, levels=1),
        Cell("corner", levels=2),
        Cell("triple", seeds=3, levels=1),
        Cell("vanishing", controls=1),
        Cell("fading", seeds=10, controls=1),
        Cell("alternating", levels=5, analyses=1),
        Cell("alternating", levels=5, analyses=3, correlation=0.0),
        Cell("margin", seeds=3, spending="late", levels=1),
        Cell("leads", seeds=3, distribution="coarse", levels=1),
        Cell("one lead", distribution="log-normal", levels=1),
        Cell("one lead", extreme=True, levels=1),
        Cell("margin", levels=10, validation=True, controls=1),
    ],
    ids=lambda cell: cell.name,
)
def test_false_verdicts_are_as_rare_as_promised(cell: Cell) -> None:
    rates = false_rates(cell.world, run_verdicts(cell.world, cell.terms, runs=RUNS, seed=3))
    for what in ("any", "praise", *BAD):
        limit = limit_of(cell.terms, what)
        assert share_of(rates, what) <= limit + 3 * rates.error(limit), what


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.part)
def test_each_part_of_the_rule_left_out_breaks_a_cell(part: LeftOut) -> None:
    without, whole = part.rates(5)
    limit = limit_of(part.cell.terms, part.what)
    assert share_of(without, part.what) > limit + 3 * without.error(limit)
    assert share_of(whole, part.what) <= limit + 3 * whole.error(limit)


@pytest.mark.parametrize("controls", [1, 4, 7])
def test_a_ticket_ahead_of_all_controls_is_rarely_called_no_better(controls: int) -> None:
    """The first edition said so of 13.8 and 21.7 % with 4 and 7 controls."""
    cell = Cell("leads", controls=controls, levels=1)
    rates = false_rates(cell.world, run_verdicts(cell.world, cell.terms, runs=RUNS, seed=4))
    assert 0 < rates.verdicts["NO BETTER THAN A CONTROL"] <= 0.01 + 3 * rates.error(0.01)


@pytest.mark.parametrize("levels", [1, 5, 10])
def test_a_ticket_on_the_margin_is_rarely_called_worse_at_any_level(levels: int) -> None:
    cell = Cell("margin", controls=1, levels=levels)
    rates = false_rates(cell.world, run_verdicts(cell.world, cell.terms, runs=RUNS, seed=4))
    assert 0 < rates.verdicts[WORSE] <= 0.01 + 3 * rates.error(0.01)


def test_where_validation_names_no_level_worse_is_said_only_where_all_are() -> None:
    worse, good = Level(1.0, (5.0,)), Level(-1.0, (5.0,))
    for levels, least, most in (((worse, worse), 0.99, 1.0), ((worse, good), 0.0, 0.01), ((good, good), 0.0, 0.001)):
        world = World(levels, declared=None, deviation=0.1)
        terms = Terms(world.margin, 5)
        drawn = draw_runs(world, 2000, 10)
        found = judge(drawn.levels, terms, declared=None)
        assert least <= every_level_worse(found, terms).mean() <= most
    assert str(judge([None, None], terms, declared=None).verdicts[0]) == UNDECIDED


@pytest.mark.parametrize("truth", ["winner", "head start", "tie", "loser"])
def test_with_40_seeds_the_verdict_is_the_truth(truth: str) -> None:
    cell = Cell(truth, seeds=20, levels=2)
    world = replace(cell.world, deviation=0.2)
    codes = run_verdicts(world, cell.terms, runs=1000)[-1]
    assert (codes[:, 0] == world.truth(0)).mean() > 0.99


def test_no_truth_has_two_leaves() -> None:
    """Of any truth off the edges the verdicts that are not false are one leaf and the nodes above it."""
    rng = np.random.default_rng(0)
    above = {1: {0}, 2: {0}, 3: {0, 2}, 4: {0, 2}, 5: {0, 2, 4}, 6: {0, 2, 4}}
    for _ in range(20_000):
        level, longer = (Level(rng.normal(), tuple(rng.normal(size=rng.integers(1, 4)))) for _ in range(2))
        world = World((level,), longer=longer)
        good, bad = world.wrong(0)
        leaf = world.truth(0)
        assert set(np.flatnonzero(~good & ~bad)) == {leaf, *above[leaf]}


def test_the_grid_has_every_pair_of_values() -> None:
    found, names = pairs(), list(AXES)
    for first in names:
        for second in names:
            met = {(getattr(cell, first), getattr(cell, second)) for cell in found}
            if first != second:
                assert met == {(a, b) for a in AXES[first] for b in AXES[second]}
    assert 120 < len(cells()) < 180


def test_equal_arguments_draw_equal_runs() -> None:
    world = Cell("corner").world
    one, other = draw_runs(world, 3, 5), draw_runs(world, 3, 5)
    np.testing.assert_array_equal(one.levels[0].ticket, other.levels[0].ticket)
    assert not np.array_equal(one.levels[0].ticket, draw_runs(world, 3, 5, seed=1).levels[0].ticket)


@pytest.mark.parametrize("distribution", ["normal", "log-normal", "coarse", "disasters"])
def test_arms_have_the_means_that_the_world_says(distribution: str) -> None:
    world = World((Level(-1.0, (0.5, 0.0)),), distribution=distribution, longer=Level(0.0, (1.0,)))
    runs = draw_runs(world, 40_000, 10)
    far = 0.15 if distribution == "disasters" else 0.005
    for arms in (runs.levels[0], runs.longer):
        assert arms is not None
        level = world.levels[0] if arms is runs.levels[0] else world.longer
        room = world.margin.room_of(arms.dense).mean()
        lead = world.margin.lead_of(arms.dense).mean()
        assert arms.ticket.mean() - arms.dense.mean() - room == pytest.approx(room * level.loss, abs=far)
        for own, true in zip(arms.controls.values(), level.leads, strict=True):
            assert own.mean() - arms.ticket.mean() - lead == pytest.approx(room * true, abs=far)


def test_the_habits_of_the_field_call_worse_tickets_winners() -> None:
    """A ticket worse by 3 %, where seeds scatter by 3 %: every other one, and nearly all best of ten levels."""
    world = World((Level(2.0, (5.0,)),) * 10, deviation=3.0, correlation=0.0)
    runs = draw_runs(world, 4000, 5)
    assert within_one_deviation(runs.levels[0]).mean() > 0.4
    assert best_of_levels(runs.levels).mean() > 0.8


def test_a_world_that_is_none_is_refused() -> None:
    level = Level(0.0, (0.0,))
    with pytest.raises(TicketError, match="Did you mean 'coarse'"):
        World((level,), distribution="corse")
    with pytest.raises(TicketError, match="number 1, of 1"):
        World((level,), declared=1)
    with pytest.raises(TicketError, match="correlation"):
        World((level,), correlation=1.5)
