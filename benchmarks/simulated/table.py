"""docs/error_rates.md from what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from simulated.cells import TRUTHS

from gentickets.statistics import (
    BAD,
    Spending,
)
from gentickets.statistics.spending import LATE, LINEAR

SHOWN = 25
"""Rows of the first table; the JSON file has all."""
HEAD = """# Error rates of verdicts

How often a verdict is false where the truth is known, and how often the true one is found. This page is written by
`{command}` from [error_rates.json](error_rates.json), which holds every cell: commit {commit}, {date}, {machine},
{versions}; {seconds} s of processor time; {runs:,} runs a cell, seed 0. Rates are in per cent of runs and count a false
verdict at any level and any interim analysis, all of which are taken. alpha is 5 %.

**What is proven, for normal differences**: more good than is true is said in at most four fifths of alpha (4 %), and
each kind of blame is false in at most one fifth (1 %). **What is simulated**: any false verdict in at most alpha (5 %).
On an edge both sides are counted as false, so that the rates bound those beside it.

"""


def render(found: dict[str, Any]) -> str:
    """The whole page."""
    parts = [
        HEAD.format(**found),
        _truths(),
        _worst(found["worst"]),
        _cells(found["cells"]),
        _unheld(found["cells"]),
        _left_out(found["left_out"]),
        _power(found["power"]),
        _chances(found["chances"]),
        _spending(),
    ]
    return "\n".join(parts)


def _truths() -> str:
    lines = [f"- **{name}**: {text}" for name, (text, _) in TRUTHS.items()]
    return "\n".join(["## The truths", "", *lines, ""])


def _worst(rows: Sequence[dict[str, Any]]) -> str:
    text = (
        "The cells of the grid that came nearest to a limit, tried again with fresh seeds; each is held to "
        "its share and three standard errors."
    )
    columns = [*_where(), "runs", "any (5)", "praise (4)", *(f"{one} (1)" for one in BAD), "held"]
    lines = [[*_cell(row), f"{row['runs']:,}", *_rates(row), "no" if _broken(row) else "yes"] for row in rows]
    return "\n".join(["## The worst", "", text, "", _table(columns, lines)])


def _cells(rows: Sequence[dict[str, Any]]) -> str:
    held = [row for row in rows if not row["unheld"]]
    kept = [row for row in held if not _broken(row)]
    text = (
        f"{len(held)} cells in which the promise is made: every value of every axis at a base point, all pairs "
        f"of values, and the worst corners. {len(kept)} of them are within the share and three standard "
        f"errors. Shown are the {SHOWN} with the highest rate of any false verdict; 1st: the rates of the "
        "first edition's rule, in its words' own terms."
    )
    columns = [*_where(), "any", "praise", *BAD, "1st: any", "praise", "blame"]
    first = sorted(held, key=lambda row: -row["rates"]["any"])[:SHOWN]
    lines = [[*_cell(row), *_rates(row), *_percent(row["first_edition"].values())] for row in first]
    highest = _percent(max(row["first_edition"][what] for row in held) for what in ("praise", "blame"))
    after = f"The first edition's highest rates in these cells: praise {highest[0]}, blame {highest[1]}."
    return "\n".join(["## The grid", "", text, "", _table(columns, lines), after, ""])


def _unheld(rows: Sequence[dict[str, Any]]) -> str:
    there = [row for row in rows if row["unheld"]]
    text = (
        "Of rare disasters (5 % of the ticket's seeds three times as bad, the mean on the edge) no rule can "
        "know: few seeds hold none, and look like a winner's. Nor does the guard, which asks for three times "
        "the scatter of the others, see a ticket that is skewed and scatters 2.5 times as far."
    )
    columns = [*_where(), "any", "praise", *BAD, "1st: any", "why"]
    lines = [[*_cell(row), *_rates(row), *_percent([row["first_edition"]["any"]]), row["unheld"]] for row in there]
    return "\n".join(["## Where the promise cannot hold", "", text, "", _table(columns, lines)])


def _left_out(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        [one["part"], one["what"], *_percent([one["limit"], one["whole"], one["without"]]), f"{one['runs']:,}"]
        for one in rows
    ]
    columns = ["part", "what is false", "limit", "with it", "without", "runs"]
    return "\n".join(["## A part left out", "", _table(columns, lines)])


def _power(rows: Sequence[dict[str, Any]]) -> str:
    text = (
        "Shares of runs with the true verdict after the first and the second analysis: two levels, 7 "
        "controls, longer training; of the first edition its word for the same truth, and how often it says "
        "WINS."
    )
    lines = [
        [
            one["truth"],
            one["n"],
            *(" -> ".join(_percent(one["shares"][kind], 0)) for kind in ("second", "first", "first, WINS")),
        ]
        for one in rows
    ]
    columns = ["truth", "seeds", "this edition", "first edition", "first edition: WINS"]
    return "\n".join(["## Power", "", text, "", _table(columns, lines)])


def _chances(found: dict[str, Any]) -> str:
    text = (
        f"Chances of each verdict with 10 seeds, printed at 5, in {found['worlds']:,} random worlds. "
        "Predictive: given the 5 seeds, with means and covariances from their posterior. Plugged in: as the "
        "first edition did, 10 new seeds from the means and covariances of those 5. Brier: squared distance "
        "over all verdicts, less being better."
    )
    columns = [
        "chances",
        "Brier",
        *(f"printed {low:g} to {high:g}: mean, came true" for low, high, *_ in found["kinds"]["predictive"]["bins"]),
    ]
    lines = [
        [kind, f"{one['brier']:.3f}", *(f"{100 * mean:.0f}, {100 * true:.0f}" for _, _, mean, true, _ in one["bins"])]
        for kind, one in found["kinds"].items()
    ]
    return "\n".join(["## Chances", "", text, "", _table(columns, lines)])


def _spending() -> str:
    text = (
        "At what size a single test is made at each interim analysis, in per cent, so that the whole test "
        "errs at the size in the first row: calibrated for t tests by quadrature (`python "
        "benchmarks/spending.py`)."
    )
    sizes = (0.05, 0.04, 0.032, 0.01, 0.002)
    lines = []
    for kind in (LINEAR, LATE):
        for analyses in (2, 3):
            for seeds in (3, 5, 10):
                plan = Spending(seeds, analyses, kind)
                each = [", ".join(f"{100 * one:.3g}" for one in plan.nominal(size)) for size in sizes]
                lines.append([kind, ", ".join(map(str, plan.sizes())), *each])
    return "\n".join(
        [
            "## Sizes of interim analyses",
            "",
            text,
            "",
            _table(["spending", "seeds", *(f"{100 * one:g} %" for one in sizes)], lines),
        ]
    )


def _where() -> list[str]:
    return ["truth", "seeds", "controls", "levels", "analyses", "correlation", "distribution", "spending"]


def _cell(row: dict[str, Any]) -> list[str]:
    cell = row["cell"]
    found = [str(cell[name]) for name in _where()]
    if cell["extreme"]:
        found[6] = "ticket log-normal 100 %, others 1 %"
    if cell["validation"]:
        found[3] += ", by validation"
    return found


def _rates(row: dict[str, Any]) -> list[str]:
    return _percent(row["rates"][what] for what in ("any", "praise", *BAD))


def _broken(row: dict[str, Any]) -> bool:
    return any(row["rates"][what] > limit + 3 * row["errors"][what] for what, limit in row["limits"].items())


def _percent(shares: Iterable[float], digits: int = 2) -> list[str]:
    return [f"{100 * one:.{digits}f}" for one in shares]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([*lines, ""])
