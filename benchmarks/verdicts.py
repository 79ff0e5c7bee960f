"""How often verdicts are false where the truth is known, how often the true one is found, and what chances are worth.

Runs are drawn by the thousand from worlds on the edges of hypotheses and judged by the code that judges a real one, and
by the first edition's rule. What is found is kept in ``build/verdicts``, so that a call goes on where one was stopped.

    python benchmarks/verdicts.py            # everything, then docs/error_rates.md and docs/error_rates.json
    python benchmarks/verdicts.py --quick    # a tenth of the runs; nothing is written under docs
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from simulated import first_edition
from simulated.cells import POWER, Cell, cells
from simulated.left_out import PARTS, LeftOut, limit_of, share_of
from simulated.powers import between, brier, calibration, power
from simulated.table import render

from gentickets.simulation import Rates, World, false_rates, run_verdicts
from gentickets.statistics import (
    BAD,
)

HOME = Path(__file__).resolve().parent.parent
STATE, RECORD, PAGE = HOME / "build" / "verdicts", HOME / "docs" / "error_rates.json", HOME / "docs" / "error_rates.md"
RUNS, WORST, WORST_RUNS = 20_000, 6, 100_000
SEED, FRESH_SEED = 0, 1
PROMISES = ("any", "praise", *BAD)


def main() -> int:
    """Find what is not known yet, write it, and hold the worst cells to what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs; nothing is written under docs")
    quick = parser.parse_args().quick
    less = 10 if quick else 1
    kept = Kept(STATE / f"{commit()}{'-quick' if quick else ''}.jsonl")
    rows = [kept.of(f"cell {cell.name}", lambda cell=cell: tried(cell, RUNS // less, SEED)) for cell in cells()]
    held = [row for row in rows if not row["unheld"]]
    worst = sorted(held, key=excess, reverse=True)[:WORST]
    again = [
        kept.of(f"again {row['name']}", lambda row=row: tried(Cell(**row["cell"]), WORST_RUNS // less, FRESH_SEED))
        for row in worst
    ]
    parts = [kept.of(f"without {part.part}", lambda part=part: without(part, less)) for part in PARTS]
    powers = [
        kept.of(f"power {truth} {seeds}", lambda truth=truth, seeds=seeds: powered(truth, seeds, RUNS // less))
        for truth in POWER
        for seeds in (3, 5, 10, 20)
    ]
    chances = kept.of("chances", lambda: chances_came_true(3000 // less))
    found = {
        "command": "python benchmarks/verdicts.py",
        **where(),
        "seconds": round(sum(one["seconds"] for one in kept.known.values())),
        "runs": RUNS // less,
        "cells": rows,
        "worst": again,
        "left_out": parts,
        "power": powers,
        "chances": chances,
    }
    if not quick:
        RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(render(found), encoding="utf-8")
    return report(found)


class Kept:
    """What was found at this commit, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.known: dict[str, dict[str, Any]] = {one["key"]: one for one in map(json.loads, lines)}

    def of(self, key: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is known under a key, found now where it is not."""
        if key not in self.known:
            start = time.process_time()
            found = {"key": key, **find(), "seconds": round(time.process_time() - start, 2)}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            self.known[key] = found
        return self.known[key]


def tried(cell: Cell, runs: int, seed: int) -> dict[str, Any]:
    """The false rates of a cell, by this rule and by the first edition's."""
    world, terms = cell.world, cell.terms
    rates = false_rates(world, run_verdicts(world, terms, runs=runs, seed=seed))
    old = first_rates(world, run_verdicts(world, terms, runs=runs, seed=seed, rule=first_edition.codes))
    return {
        "name": cell.name,
        "cell": asdict(cell),
        "unheld": cell.unheld,
        "runs": runs,
        "seed": seed,
        "rates": {"any": rates.any, "praise": rates.praise, "blame": rates.blame, **rates.verdicts},
        "limits": {what: limit_of(terms, what) for what in PROMISES},
        "errors": {what: rates.error(limit_of(terms, what)) for what in PROMISES},
        "first_edition": old,
    }


def first_rates(world: World, codes: np.ndarray) -> dict[str, float]:
    """The first edition's false rates, in its words' own terms."""
    good, bad = (
        np.stack(one) for one in zip(*(first_edition.wrong(world, p) for p in range(codes.shape[-1])), strict=True)
    )
    places = np.arange(codes.shape[-1])
    praise, blame = good[places, codes], bad[places, codes]
    return {
        "any": float((praise | blame).any((0, 2)).mean()),
        "praise": float(praise.any((0, 2)).mean()),
        "blame": float(blame.any((0, 2)).mean()),
    }


def excess(row: dict[str, Any]) -> float:
    """How near a row is to breaking a promise, in what is promised."""
    return max(row["rates"][what] / row["limits"][what] for what in PROMISES)


def broken(row: dict[str, Any]) -> list[str]:
    """The promises that a row breaks by more than three standard errors."""
    return [what for what in PROMISES if row["rates"][what] > row["limits"][what] + 3 * row["errors"][what]]


def without(part: LeftOut, less: int) -> dict[str, Any]:
    """What is false with a part of the rule left out, and with it."""
    rates, whole = part.rates(SEED)
    limit = limit_of(part.cell.terms, part.what)
    return {
        "part": part.part,
        "what": part.what,
        "cell": part.cell.name,
        "without": share_of(rates, part.what),
        "whole": share_of(whole, part.what),
        "limit": limit,
        "error": Rates(0, 0, 0, {}, part.runs).error(limit),
        "runs": part.runs,
    }


def powered(truth: str, seeds: int, runs: int) -> dict[str, Any]:
    """The shares of runs with the true verdict."""
    return {"truth": truth, "n": seeds, "shares": power(truth, seeds, runs, SEED)}


def chances_came_true(worlds: int) -> dict[str, Any]:
    """How printed chances compare with what came."""
    found = calibration(worlds, 400, SEED)
    bins = ((0.8, 1.0), (0.5, 0.8), (0.2, 0.5), (0.0, 0.2))
    return {
        "worlds": worlds,
        "kinds": {
            kind: {"brier": brier(pairs), "bins": [[low, high, *between(pairs, low, high)] for low, high in bins]}
            for kind, pairs in found.items()
        },
    }


def report(found: dict[str, Any]) -> int:
    """Print what is held and what is not; exit status 1 where a promise broke, or a part left out was not noticed."""
    red = False
    for row in found["worst"]:
        wrong = broken(row)
        red |= bool(wrong)
        rates = ", ".join(f"{what} {100 * row['rates'][what]:.2f}" for what in PROMISES)
        print(f"{'BROKEN' if wrong else 'held':<8}{row['name']}: {rates}")
    for part in found["left_out"]:
        seen = part["without"] > part["limit"] + 3 * part["error"]
        red |= not seen
        print(f"{'noticed' if seen else 'UNSEEN':<8}without {part['part']}: {100 * part['without']:.2f}")
    print(f"{found['seconds']} s of processor time, {len(found['cells'])} cells")
    return int(red)


def commit() -> str:
    """The commit that is judged."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HOME, capture_output=True, text=True, check=True
    ).stdout.strip()


def where() -> dict[str, str]:
    """When and with what."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "commit": commit(),
        "date": date.today().isoformat(),
        "machine": f"{processor or platform.machine()}, one thread",
        "versions": f"Python {platform.python_version()}, numpy {np.__version__}, SciPy {scipy.__version__}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
