"""The order in which units are handed out, and that neither planning nor handing out grows with the square of them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from gentickets.experiment.plan import Key, Unit, plan_units
from gentickets.experiment.schedule import UnitQueue
from gentickets.recipe import Recipe, load_recipe, shipped_recipes


def planned(recipe: Recipe) -> list[Unit]:
    return plan_units(recipe)


def by_the_book(waiting: Sequence[Unit], done: set[Key]) -> Unit | None:
    """Of the units whose needs are done the one with the most work behind it, by looking at all of them."""

    def behind(unit: Unit) -> int:
        own = 2 * unit.steps if unit.arm == "ticket" else 0
        return sum(other.steps for other in waiting if unit.key in other.needs) + own

    ready = [unit for unit in waiting if all(need in done for need in unit.needs)]
    return max(ready, key=lambda unit: (behind(unit), unit.steps), default=None)


def played(units: Sequence[Unit], done: set[Key], jobs: int, seed: int) -> list[Key]:
    """What is handed out in a play of ``jobs`` workers that end in a random order, checked by the book."""
    rng, schedule, waiting = random.Random(seed), UnitQueue(units, done), [u for u in units if u.key not in done]
    done, at_work, order = set(done), list[Unit](), list[Key]()
    while True:
        while len(at_work) < jobs and (unit := schedule.next()) is not None:
            assert unit == by_the_book(waiting, done)
            waiting.remove(unit)
            at_work.append(unit)
            order.append(unit.key)
        if not at_work:
            return order
        unit = at_work.pop(rng.randrange(len(at_work)))
        done.add(unit.key)
        schedule.finish(unit.key)


RECIPES = ["tiny", "digits_vae", "quick/vae_earlybird", "transfer/vae"]


@pytest.mark.parametrize("name", [name for name in RECIPES if name in shipped_recipes()])
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_order_is_that_of_looking_at_all_of_them(name: str, jobs: int) -> None:
    units = planned(load_recipe(name))
    order = played(units, set(), jobs, seed=jobs)
    assert sorted(order) == sorted(unit.key for unit in units)
    some = set(order[: len(order) // 2])
    assert sorted(played(units, some, jobs, seed=1)) == sorted({unit.key for unit in units} - some)


def test_a_unit_that_is_lost_keeps_back_what_needs_it_and_nothing_else() -> None:
    units = planned(load_recipe("tiny"))
    schedule, handed = UnitQueue(units, set()), list[Unit]()
    while (unit := schedule.next()) is not None:
        handed.append(unit)
        if unit.key != (0, "ticket", 1):
            schedule.finish(unit.key)
    kept = {unit.key for unit in units} - {unit.key for unit in handed}
    assert kept == {(0, "ticket", 2), *((0, arm, 2) for arm in ("shuffle", "shuffle-scaled") if (0, arm, 2) in kept)}
    assert schedule.waiting == len(kept) > 1


def test_a_unit_that_is_put_back_is_the_next_again() -> None:
    schedule = UnitQueue(planned(load_recipe("tiny")), set())
    first = schedule.next()
    assert first is not None
    schedule.put_back(first)
    assert schedule.next() == first


def test_ten_thousand_units_are_planned_and_handed_out_in_seconds() -> None:
    """Bound by the processor's own time, and loosely: the square of them took an hour."""
    recipe = load_recipe("digits_vae", overrides=["search.seeds=1000", "verdict.beside=true"])
    started = time.process_time()
    units = planned(recipe)
    assert len(units) > 10_000
    schedule, count = UnitQueue(units, set()), 0
    while (unit := schedule.next()) is not None:
        schedule.finish(unit.key)
        count += 1
    assert count == len(units)
    assert time.process_time() - started < 5
