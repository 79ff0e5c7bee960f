"""The ledger, by hand: what is search and what is not, in dense trainings, and when it is repaid."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import reading

from gentickets.ledger import (
    Cost,
    break_even,
    entries_of,
    ledger_of,
    levels_of,
    lower_bound,
    part_of,
    search_cost,
    trainings,
    write_ledger,
)
from gentickets.results import Result

entries_of, ledger_of, levels_of, search_cost, write_ledger = map(
    reading, (entries_of, ledger_of, levels_of, search_cost, write_ledger)
)

STEP = 6.0
"""FLOPs of a dense step."""


def recipe(method: str, rewind_to: int = 10) -> dict[str, Any]:
    return {"search": {"method": method, "rewind_to": rewind_to}}


def dense(seed: int = 0) -> Result:
    """100 steps of 0.1 s, 10 of them to the step that is rewound to; 2 s of evaluating, 1 s of storing."""
    seconds = {"warm-up": 1.0, "store": 1.0, "train": 9.0, "evaluate": 2.0}
    spent = {"warm-up": 10 * STEP, "train": 90 * STEP, "evaluate": 40.0}
    return Result("ticket", seed, 0, 0.0, 100, 100, "last", flops={"step": STEP}, seconds=seconds, spent=spent)


def masked(round: int, seed: int = 0, arm: str = "ticket") -> Result:
    """90 steps from the step that is rewound to, as dear as dense ones; a second of scoring."""
    seconds = {"score": 1.0, "store": 1.0, "train": 9.0, "evaluate": 2.0}
    spent = {"score": 20.0, "train": 90 * STEP, "evaluate": 40.0}
    return Result(arm, seed, round, 0.5, 100, 90, "last", flops={"step": STEP}, seconds=seconds, spent=spent)


def watched(seed: int = 0) -> Result:
    """A search for early birds: round 1 emerges at step 20, round 2 at step 40, where it ends."""
    levels = [{"round": 1, "density": 0.8, "step": 20}, {"round": 2, "density": 0.64, "step": 40}]
    return Result(
        "search", seed, 0, 0.0, 100, 40, "last", flops={"step": STEP},
        seconds={"train": 4.0, "checks": 0.4}, spent={"train": 40 * STEP, "checks": 8.0}, early_bird={"levels": levels},
    )  # fmt: skip


def compact(round: int, start: int, seed: int = 0) -> Result:
    """The steps that are left, at half the time and a third of the FLOPs of dense ones."""
    return Result(
        "ticket", seed, round, 0.5, 100, 100 - start, "last", flops={"step": STEP / 3}, channels={"decoder.0": [2, 4]},
        seconds={"compact": 0.3, "train": (100 - start) * 0.05}, spent={"train": (100 - start) * STEP / 3},
    )  # fmt: skip


def test_an_iterative_search_is_all_that_comes_before_the_tickets_own_training() -> None:
    results = [dense(), masked(1), masked(2), masked(2, arm="shuffle")]
    first, second = levels_of(results, recipe("iterative"))
    assert first.search == Cost(10.0 + 1.0, 100 * STEP + 20)
    assert second.search == Cost(10.0 + 10.0 + 1.0, 100 * STEP + (20 + 90 * STEP) + 20)
    assert second.ticket == Cost(9.0, 90 * STEP)
    assert second.dense == Cost(10.0, 100 * STEP)
    assert second.in_dense == {"seconds": pytest.approx(21 / 10), "flops": pytest.approx(1180 / 600)}
    assert second.whole_in_dense == {"seconds": pytest.approx(30 / 10), "flops": pytest.approx(1720 / 600)}
    assert second.phases["evaluate"] == Cost(4.0, 80.0), "told, and left out where costs are compared"
    assert second.phases["score"] == Cost(2.0, 40.0)
    assert second.phases["warm-up"] == Cost(1.0, 10 * STEP)


def test_what_is_search_depends_on_the_method() -> None:
    results = [dense(), masked(1), masked(2)]
    one_shot, at_start = (levels_of(results, recipe(method))[1] for method in ("one_shot", "at_start"))
    assert one_shot.search == Cost(10.0 + 1.0, 100 * STEP + 20)
    assert at_start.search == Cost(1.0 + 1.0, 10 * STEP + 20)
    assert one_shot.ticket == at_start.ticket == Cost(9.0, 90 * STEP)


def test_an_early_bird_costs_its_search_up_to_the_step_at_which_it_emerged_and_compacting() -> None:
    results = [dense(), watched(), compact(1, start=20), compact(2, start=40)]
    first, second = levels_of(results, recipe("early_bird", 0))
    assert first.search == Cost(pytest.approx(2.2 + 0.3), pytest.approx(20 * STEP + 4))
    assert second.search == Cost(pytest.approx(4.4 + 0.3), pytest.approx(40 * STEP + 8))
    assert first.phases["compact"] == Cost(0.3, 0.0)
    assert first.ticket == Cost(4.0, 80 * STEP / 3)
    assert first.in_dense["flops"] == pytest.approx(124 / 600)
    # found, and trained to the end, for 47 % of the dense training's FLOPs
    assert first.whole_in_dense["flops"] == pytest.approx((124 + 160) / 600)


def test_a_compact_ticket_repays_its_search_after_whole_trainings_of_equal_steps() -> None:
    first, second = levels_of([dense(), watched(), compact(1, start=20), compact(2, start=40)], recipe("early_bird", 0))
    # a step saves 4 FLOPs and 0.05 s: 80 of them 320 and 4 s, more than the search's 124 and 2.5 s; 60 of them 240
    # and 3 s, less than the search's 248 and 4.7 s
    assert first.break_even == {"seconds": 1, "flops": 1}
    assert second.break_even == {"seconds": 2, "flops": 2}


def test_a_masked_ticket_never_repays_its_search_also_where_it_was_timed_as_quicker() -> None:
    lucky = replace(masked(1), seconds={"score": 1.0, "train": 5.0})
    assert search_cost([dense(), lucky], recipe("iterative"), 1).break_even == {"seconds": None, "flops": None}


@pytest.mark.parametrize(
    ("costs", "uses", "whole"),
    [
        ((3.0, 2.0, 1.0), 3.0, 3),
        ((3.1, 2.0, 1.0), 3.1, 4),
        ((0.0, 2.0, 1.0), 0.0, 0),
        ((0.3, 0.3, 0.2), 3.0, 3),
        ((3.0, 2.0, 2.0), None, None),
        ((3.0, 2.0, 2.5), None, None),
    ],
)
def test_break_even_by_hand(costs: tuple[float, float, float], uses: float | None, whole: int | None) -> None:
    assert break_even(*costs) == (None if uses is None else pytest.approx(uses))
    assert trainings(*costs) == whole


def test_levels_are_means_over_the_seeds_that_have_finished_them() -> None:
    slow = replace(dense(1), seconds={name: 3 * value for name, value in dense().seconds.items()})
    failed = replace(masked(1, seed=2), status="diverged")
    (level,) = levels_of([dense(), masked(1), slow, masked(1, seed=1), dense(2), failed], recipe("iterative"))
    assert level.seeds == (0, 1)
    assert level.search.seconds == pytest.approx((11 + 31) / 2)
    assert level.in_dense["seconds"] == pytest.approx((11 / 10 + 31 / 30) / 2), "of each seed's own dense training"
    assert search_cost([dense()], recipe("iterative"), 1) is None
    assert levels_of([masked(1)], recipe("iterative")) == [], "without a dense run there is nothing to compare with"


def test_every_second_and_flop_is_booked_once() -> None:
    results = [dense(), masked(1), masked(2), masked(2, arm="shuffle"), replace(masked(3), status="failed")]
    ledger = ledger_of(results, recipe("iterative"))
    totals = ledger["totals"]
    assert totals["all"]["seconds"] == pytest.approx(5 * 13)
    assert totals["all"]["flops"] == sum(sum(result.spent.values()) for result in results)
    for unit in ("seconds", "flops"):
        assert sum(totals[part][unit] for part in ("search", "ticket", "comparison")) == totals["all"][unit]
    assert totals["comparison"]["seconds"] == 13.0
    assert totals["all"]["phases"]["evaluate"] == {"seconds": 10.0, "flops": 200.0}
    assert sum(entry["steps"] for entry in ledger["entries"]) == 100 + 4 * 90
    warm_up = next(entry for entry in ledger["entries"] if entry["phase"] == "warm-up")
    assert (warm_up["steps"], warm_up["part"], warm_up["flops"]) == (10, "search", 10 * STEP)


def test_the_dense_reference_of_an_early_bird_is_no_part_of_its_search() -> None:
    results = [dense(), watched(), compact(1, start=20)]
    totals = ledger_of(results, recipe("early_bird", 0))["totals"]
    assert totals["comparison"]["seconds"] == 13.0
    assert totals["search"]["phases"]["checks"] == {"seconds": 0.4, "flops": 8.0}


def test_a_result_of_an_earlier_version_tells_no_flops_and_its_warm_up_is_split_off_by_steps() -> None:
    old = replace(dense(), seconds={"train": 20.0, "evaluate": 2.0}, spent={}, flops={})
    entries = {entry.phase: entry for entry in entries_of([old], recipe("iterative"))}
    assert (entries["warm-up"].cost, entries["warm-up"].steps) == (Cost(2.0, None), 10)
    assert (entries["train"].cost, entries["train"].steps) == (Cost(18.0, None), 90)
    level = search_cost([old, replace(masked(1), spent={}, flops={})], recipe("iterative"), 1)
    assert (level.search.flops, level.in_dense["flops"]) == (None, None)
    assert level.in_dense["seconds"] == pytest.approx(21 / 20)


def test_rounds_that_a_level_did_not_need_are_nobodys_search() -> None:
    three = next(entry for entry in entries_of([masked(3)], recipe("one_shot")) if entry.phase == "train")
    assert [part_of(three, method, 2) for method in ("one_shot", "iterative")] == [None, None]
    assert [part_of(three, method, 4) for method in ("one_shot", "iterative")] == [None, "search"]


def test_the_file_follows_from_the_results_alone(tmp_path: Path) -> None:
    results = [dense(), masked(1)]
    write_ledger(tmp_path, results, recipe("iterative"))
    text = (tmp_path / "ledger.json").read_text()
    ledger = json.loads(text)
    assert ledger == json.loads(json.dumps(ledger_of(results, recipe("iterative"))))
    assert (ledger["format"], ledger["seeds"], [level["round"] for level in ledger["levels"]]) == (1, [0], [1])
    write_ledger(tmp_path, results, recipe("iterative"))
    assert (tmp_path / "ledger.json").read_text() == text


def test_a_ledger_needs_no_torch() -> None:
    check = "import gentickets.ledger, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_lower_bounds_stay_such_in_sums_and_have_no_ratio() -> None:
    known, bound = Cost(1.0, 4.0), Cost(2.0, 6.0, frozenset({"elsewhere::twice"}))
    assert known + bound == Cost(3.0, 10.0, frozenset({"elsewhere::twice"}))
    assert bound.times(0.5) == Cost(1.0, 3.0, bound.uncounted)
    assert bound.times(0.0) == Cost(0.0, 0.0)
    assert (known.exact, bound.exact) == (4.0, None)
    for one, other in ((known, bound), (bound, known), (bound, bound)):
        assert one.in_units_of(other)["flops"] is None
        assert one.in_units_of(other)["seconds"] is not None
    assert known.as_dict() == {"seconds": 1.0, "flops": 4.0}
    assert bound.as_dict() == {"seconds": 2.0, "flops": 6.0, "uncounted": ["elsewhere::twice"]}
    assert lower_bound([]) == ""
    assert lower_bound(["b::x", "a::x", "b::x"]).endswith("no count is known of the operators a::x, b::x")


def test_a_ledger_names_what_it_does_not_count() -> None:
    unknown = {"train": ["elsewhere::twice"], "evaluate": ["elsewhere::read"]}
    results = [replace(dense(), uncounted=unknown), masked(1), masked(2)]
    book = ledger_of(results, recipe("iterative"))
    named = {(one["arm"], one["round"], one["phase"]): one.get("uncounted") for one in book["entries"]}
    assert named["ticket", 0, "train"] == ["elsewhere::twice"]
    assert named["ticket", 0, "warm-up"] is named["ticket", 1, "train"] is None
    assert book["totals"]["all"]["uncounted"] == ["elsewhere::read", "elsewhere::twice"]
    level = search_cost(results, recipe("iterative"), 2)
    assert level is not None
    assert level.search.uncounted == level.dense.uncounted == {"elsewhere::twice"}
    assert (level.ticket.uncounted, level.in_dense["flops"]) == (frozenset(), None)
    assert level.in_dense["seconds"] is not None
    assert level.break_even["flops"] is level.whole_in_dense["flops"] is None
    smaller = [replace(dense(), uncounted=unknown), watched(), compact(1, 20)]
    (of_compact,) = levels_of(smaller, recipe("early_bird"))
    assert of_compact.break_even["seconds"] is not None
    assert of_compact.break_even["flops"] is None
