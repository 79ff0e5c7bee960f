"""docs/error_rates.md is what `benchmarks/verdicts.py` found, and what it found holds."""

from __future__ import annotations

import json

import verdicts as program
from simulated.cells import cells
from simulated.left_out import PARTS

FOUND = json.loads(program.RECORD.read_text(encoding="utf-8"))


def test_the_page_is_what_the_figures_say() -> None:
    """Nothing on it was written by hand."""
    assert program.render(FOUND) == program.PAGE.read_text(encoding="utf-8")


def test_every_cell_was_tried() -> None:
    assert [row["name"] for row in FOUND["cells"]] == [cell.name for cell in cells()]
    assert {row["runs"] for row in FOUND["cells"]} == {program.RUNS}


def test_the_worst_cells_hold_with_fresh_seeds() -> None:
    held = [row for row in FOUND["cells"] if not row["unheld"]]
    worst = sorted(held, key=program.excess, reverse=True)[: program.WORST]
    assert [row["name"] for row in FOUND["worst"]] == [row["name"] for row in worst]
    for row in FOUND["worst"]:
        assert (row["runs"], row["seed"]) == (program.WORST_RUNS, program.FRESH_SEED)
        assert not program.broken(row)


def test_a_broken_promise_would_be_seen() -> None:
    row = json.loads(json.dumps(FOUND["worst"][0]))
    row["rates"]["praise"] = 0.0425
    assert program.broken(row) == ["praise"]


def test_every_part_left_out_was_noticed() -> None:
    assert [one["part"] for one in FOUND["left_out"]] == [part.part for part in PARTS]
    for one in FOUND["left_out"]:
        assert one["whole"] <= one["limit"] + 3 * one["error"] < one["without"]
