"""The book: a run's entries, totals and levels, as `ledger.json` holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gentickets.disk import write_whole
from gentickets.ledger.entries import COMPARISON, PARTS, Entry, by_phase, entries_of, part_of, total_of
from gentickets.ledger.levels import levels_of
from gentickets.recipe import Recipe
from gentickets.results import Result

FORMAT = 1


def ledger_of(results: Sequence[Result], recipe: Recipe) -> dict[str, Any]:
    """The ledger of a run's results so far, as `ledger.json` holds it."""
    method, levels = recipe.search.method, levels_of(results, recipe)
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


def write_ledger(run: Path, results: Sequence[Result], recipe: Recipe) -> None:
    """Write ``ledger.json`` into a run's folder."""
    write_whole(run / "ledger.json", (json.dumps(ledger_of(results, recipe), indent=1) + "\n").encode())


def _booked(entry: Entry, method: str, rounds: Sequence[int]) -> str:
    """The part for all levels together: what is search for one is search."""
    parts = {part_of(entry, method, level) for level in rounds or [0]}
    return next((part for part in PARTS if part in parts), COMPARISON)


def _total(entries: Sequence[Entry]) -> dict[str, Any]:
    phases = by_phase((entry.phase, entry.cost) for entry in entries)
    told = {phase: cost.as_dict() for phase, cost in phases.items()}
    return {**total_of(phases.values()).as_dict(), "phases": told}
