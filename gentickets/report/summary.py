"""Summary: a run in numbers: one row per arm and round, what it cost, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gentickets.report.cautions import troubles
from gentickets.report.cells import Cells, Split
from gentickets.report.claim import judge
from gentickets.report.verdict import Verdict, finite
from gentickets.report.words import (
    DASH,
    LONGER,
    Spread,
    arm_name,
    decimals,
    difference,
    figure_name,
    fixed,
    percent,
    plus_minus,
)
from gentickets.results import Result

FIRST = {"dense": 0, "budget": 1, "ticket": 2}
PREFERRED = ("negative_elbo", "reconstruction", "frechet")


@dataclass(frozen=True)
class Row:
    """One arm at one round, over its seeds."""

    arm: str
    """``dense``, or the arm's name in the run folder."""
    round: int
    sparsity: float
    steps: int
    selection: str
    n: int
    """Seeds that finished."""
    valid: Mapping[str, Spread]
    test: Mapping[str, Spread]
    collapsed: int = 0
    failed: int = 0
    diverged: int = 0
    not_run: int = 0
    honest: bool = False
    """The dense model with the whole search's compute: the row that keeps a report honest."""
    at_level: bool = False
    flops: Mapping[str, float] = field(default_factory=dict)
    """Forward FLOPs per image, ``dense`` and ``masked`` (theoretical)."""
    weights: Mapping[str, int] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    """Sentences of the failed cells."""

    @property
    def name(self) -> str:
        """The arm as a person writes it."""
        return arm_name(self.arm)


@dataclass(frozen=True)
class Summary:
    """What a run came to; `as_dict` is plain JSON."""

    name: str
    metric: str | None
    """The claim's, or without a claim the first figure of merit that there is."""
    figures: tuple[str, ...]
    """All figures, the metric first."""
    rows: tuple[Row, ...]
    """Dense first, then the budget, the ticket by round, the controls and the longer arms."""
    verdict: Verdict
    seconds: Mapping[str, Mapping[str, float]]
    """Arm -> phase -> seconds, over all rounds and seeds; the dense run apart from the ticket's."""
    provenance: Mapping[str, tuple[str, ...]]
    """Figure -> how it was measured; several sentences where arms differ."""
    missing: tuple[str, ...]
    """What the recipe asks for and no result tells of yet."""
    seeds: tuple[int, ...]
    troubles: tuple[str, ...] = ()
    """Sentences about the cells that failed, diverged or were not run behind them."""
    pruned: str | None = None
    """Whose weights a sparsity is of, where the recipe does not prune all, e.g. ``the generator's weights``."""
    goes_on: str | None = None
    """``lr`` or ``none`` where rounds go on from trained weights, so that none is held against the dense run."""

    @property
    def secondary(self) -> tuple[str, ...]:
        """The headings of `table` that a narrow terminal can do without: every figure but the metric."""
        return tuple(figure_name(figure) for figure in self.figures[1:])

    def row(self, arm: str, round: int | None = None) -> Row | None:
        """The row of an arm (at a round); None where there is none."""
        found = (row for row in self.rows if row.arm == arm and round in (None, row.round))
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; sparsities, means and sds are numbers, missing ones null."""
        plain: dict[str, Any] = finite(asdict(self))
        return {**plain, "verdict": self.verdict.as_dict()}


def summarize(results: Sequence[Result], recipe: Mapping[str, Any], name: str = "run") -> Summary:
    """Gather a run's results, finished or not, under its resolved recipe."""
    cells = Cells(results, recipe)
    verdict = judge(results, recipe)
    known = cells.figures()
    metric = verdict.metric or next((figure for figure in (*PREFERRED, *known) if figure in known), None)
    figures = tuple(dict.fromkeys([metric, *known] if metric else known))
    places = [(arm, round) for arm in cells.arms() for round in cells.rounds(arm)]
    rows = [_row(cells, arm, round, figures, verdict.round) for arm, round in places]
    rows.sort(key=lambda row: _place(row.arm))
    return Summary(
        name,
        metric,
        figures,
        tuple(rows),
        verdict,
        _seconds(results),
        _provenance(results, figures),
        tuple(cells.missing(verdict.round)),
        tuple(cells.seeds),
        troubles(cells),
        cells.pruned,
        cells.goes_on,
    )


def table(summary: Summary, split: Split = "test") -> tuple[list[str], list[list[str]]]:
    """Header and rows of strings: sparsity, the metric with sd and n, difference to dense, other figures."""
    header = ["arm", "sparsity", *_headings(summary)]
    return header, [_line(summary, row, split) for row in summary.rows]


def _headings(summary: Summary) -> list[str]:
    if summary.metric is None:
        return ["notes"]
    others = [figure_name(figure) for figure in summary.figures[1:]]
    against = [] if summary.goes_on else ["to dense"]
    return [f"{figure_name(summary.metric)} ± sd (n)", *against, *others, "notes"]


def _line(summary: Summary, row: Row, split: Split) -> list[str]:
    cells = [row.name, size(summary, row)]
    for place, figure in enumerate(summary.figures):
        spreads = [(other.test if split == "test" else other.valid).get(figure) for other in summary.rows]
        spread = (row.test if split == "test" else row.valid).get(figure)
        digits = decimals(spreads)
        if place:
            cells.append(fixed(spread.mean, digits) if spread else DASH)
            continue
        cells.append(f"{plus_minus(spread, digits)} ({spread.n})" if spread else DASH)
        if not summary.goes_on:
            cells.append(_to_dense(summary, row, spread, split))
    return [*cells, notes(row)]


def size(summary: Summary, row: Row) -> str:
    """The row's sparsity; a narrow dense model has none, but is as small as the ticket of its round."""
    if row.arm.removesuffix(LONGER) != "narrow":
        return percent(row.sparsity)
    ticket = summary.row("ticket", row.round)
    return f"as {percent(ticket.sparsity)}" if ticket else DASH


def _to_dense(summary: Summary, row: Row, spread: Spread | None, split: Split) -> str:
    """The difference to dense in percent; the longer arms are held against the longer dense run."""
    name = "dense" + (LONGER if row.arm.endswith(LONGER) else "")
    dense = summary.row(name) or summary.row("dense")
    reference = (dense.test if split == "test" else dense.valid).get(str(summary.metric)) if dense else None
    if spread is None or reference is None or row is dense:
        return DASH
    return difference(spread.mean, reference.mean) + " %"


def notes(row: Row) -> str:
    """What a reader must know beside a row's numbers, in a few words."""
    marks = [
        "claim" if row.at_level and row.arm == "ticket" else "",
        "compute-matched" if row.honest else "",
        f"{row.collapsed} collapsed" if row.collapsed else "",
        f"{row.failed} failed" if row.failed else "",
        f"{row.diverged} diverged" if row.diverged else "",
        f"{row.not_run} not run" if row.not_run else "",
    ]
    return ", ".join(mark for mark in marks if mark)


def _row(cells: Cells, arm: str, round: int, figures: Iterable[str], level: int | None) -> Row:
    found, done = cells.of(arm, round), cells.done(arm, round)
    # Where every seed failed, the failed ones still tell sparsity and steps.
    known = done or found
    spreads: dict[Split, dict[str, Spread]] = {"valid": {}, "test": {}}
    for split, into in spreads.items():
        for figure in figures:
            spread = Spread.of(cells.values(arm, round, figure, split))
            if spread is not None:
                into[figure] = spread
    return Row(
        "dense" if (arm, round) == ("ticket", 0) else arm,
        round,
        sum(cell.sparsity for cell in known) / len(known),
        max(cell.steps for cell in known),
        known[0].selection,
        len(done),
        spreads["valid"],
        spreads["test"],
        len(cells.collapsed(arm, round)),
        sum(cell.status == "failed" for cell in found),
        sum(cell.status == "diverged" for cell in found),
        sum(cell.status == "not run" for cell in found),
        arm == "budget",
        level is not None and round == level,
        known[0].flops,
        known[0].weights,
        tuple(dict.fromkeys(f"seed {cell.seed}: {cell.why}" for cell in found if cell.why)),
    )


def _place(arm: str) -> tuple[bool, int]:
    return arm.endswith(LONGER), FIRST.get(arm.removesuffix(LONGER), len(FIRST))


def _seconds(results: Iterable[Result]) -> dict[str, dict[str, float]]:
    total: dict[str, dict[str, float]] = {}
    for cell in results:
        arm = "dense" if cell.arm == "ticket" and cell.round == 0 else cell.arm
        phases = total.setdefault(arm, {})
        for phase, seconds in cell.seconds.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    return {arm: total[arm] for arm in sorted(total, key=_place)}


def _provenance(results: Sequence[Result], figures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for figure in figures:
        texts = dict.fromkeys(cell.provenance[figure] for cell in results if figure in cell.provenance)
        if texts:
            found[figure] = tuple(texts)
    return found
