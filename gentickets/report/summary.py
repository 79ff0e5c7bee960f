"""Summary: a run in numbers: one row per arm and round, what it cost, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gentickets.provenance import comparable
from gentickets.report.cautions import tied, troubles
from gentickets.report.cells import WIDTH, Cells, Split
from gentickets.report.claim import judge
from gentickets.report.method import facts
from gentickets.report.stopping import Stops, stops
from gentickets.report.verdict import Verdict, finite
from gentickets.report.words import LONGER, Spread, arm_name, heading
from gentickets.results import Result, better

FIRST = {"dense": 0, "budget": 1, "ticket": 2}
FLATTERED = ("frechet", "fid", "kid", "inception_score", "precision")
"""Figures that collapsed samples can flatter, so that coverage stands beside the first of them (Trap 30e)."""


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
    name: str = ""
    """The arm as a person writes it."""
    width: int | None = None
    """The networks' width where it is not the recipe's: of a sweep, or of a narrow model (its first seed's)."""
    train: Mapping[str, Spread] = field(default_factory=dict)
    """Figures on the training split, where the recipe asks for them."""
    stops: Stops | None = None
    """When the trainings would have stopped, where the recipe asks for a curve."""
    tied: Mapping[str, float] = field(default_factory=dict)
    """Group -> the largest share of its weights that tie at the cut, where it matters."""
    apart: Mapping[str, int] = field(default_factory=dict)
    """Figure -> seeds in which it was measured in another way, so that it is left out of the row."""


@dataclass(frozen=True)
class Summary:
    """What a run came to; `as_dict` is plain JSON."""

    name: str
    metric: str | None
    """The claim's, or without a claim the first figure that says something of quality."""
    figures: tuple[str, ...]
    """All figures: the metric, what must stand beside it, and last what says nothing of quality by itself."""
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
    """``lr``, ``none`` or ``trained`` where rounds go on from trained weights, so that none is held against dense."""
    method: str = "iterative"
    """The recipe's: ``iterative``, ``one_shot``, ``at_start`` or ``widths``."""
    widened: str = WIDTH
    """The keyword that a sweep varies."""
    facts: tuple[tuple[str, str], ...] = ()
    """What the recipe chose, in words: (what, which)."""
    better: Mapping[str, str | None] = field(default_factory=dict)
    """Figure -> ``lower``, ``higher``, or None for one that says nothing of quality by itself."""

    @property
    def is_sweep(self) -> bool:
        """Whether widths were swept, so that nothing was pruned."""
        return self.method == "widths"

    @property
    def how_measured(self) -> str:
        """The provenance of the metric; empty where none is told."""
        return " · ".join(self.provenance.get(str(self.metric), ()))

    @property
    def secondary(self) -> tuple[str, ...]:
        """The headings of `table` that a narrow terminal can do without: every figure but the metric."""
        others = [heading(figure) for figure in self.figures[1:]]
        if not self.is_sweep:
            return tuple(others)
        return tuple(f"{name} on {split}" for name in others for split in ("test", "train"))

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
    figures = _ordered(cells.figures(), cells.metric)
    places = [(arm, round) for arm in cells.arms() for round in cells.rounds(arm)]
    rows = [_row(cells, arm, round, figures, verdict.round) for arm, round in places]
    rows.sort(key=lambda row: (*_place(row.arm), row.width or 0 if row.arm == WIDTH else 0))
    return Summary(
        name,
        cells.metric,
        figures,
        tuple(rows),
        verdict,
        _seconds(results, cells),
        _provenance(results, figures),
        tuple(cells.missing(verdict.round)),
        tuple(cells.seeds),
        troubles(cells),
        cells.pruned,
        cells.goes_on,
        cells.method,
        str(cells.search.get("widen") or WIDTH),
        tuple(facts(recipe)),
        {figure: better(figure) for figure in figures},
    )


def alike(summaries: Sequence[Summary]) -> list[list[Summary]]:
    """The runs in groups of which the numbers compare: the same figure, measured in the same way."""
    groups: list[list[Summary]] = []
    for summary in summaries:
        for group in groups:
            same = summary.metric == group[0].metric
            if same and comparable(summary.how_measured, group[0].how_measured):
                group.append(summary)
                break
        else:
            groups.append([summary])
    return groups


def _ordered(known: Sequence[str], metric: str | None) -> tuple[str, ...]:
    """The metric first; coverage right after what a collapse flatters; figures without a direction last."""
    telling = list(dict.fromkeys([*([metric] if metric else []), *filter(better, known)]))
    if "coverage" in telling[1:] and (flattered := [figure for figure in telling if figure in FLATTERED]):
        telling.remove("coverage")
        telling.insert(telling.index(flattered[0]) + 1, "coverage")
    return tuple(dict.fromkeys([*telling, *known]))


def _row(cells: Cells, arm: str, round: int, figures: Iterable[str], level: int | None) -> Row:
    found, done = cells.of(arm, round), cells.done(arm, round)
    # Where every seed failed, the failed ones still tell sparsity and steps.
    known = done or found
    name = "dense" if (arm, round) == ("ticket", 0) else arm
    width = {place: wide for wide, place in cells.widths}.get(round) if arm == WIDTH else known[0].width
    return Row(
        name,
        round,
        sum(cell.sparsity for cell in known) / len(known),
        max(cell.steps for cell in known),
        known[0].selection,
        len(done),
        _spreads(cells, arm, round, figures, "valid"),
        _spreads(cells, arm, round, figures, "test"),
        len(cells.collapsed(arm, round)),
        sum(cell.status == "failed" for cell in found),
        sum(cell.status == "diverged" for cell in found),
        sum(cell.status == "not run" for cell in found),
        arm == "budget",
        level is not None and round == level,
        known[0].flops,
        known[0].weights,
        tuple(dict.fromkeys(f"seed {cell.seed}: {cell.why}" for cell in found if cell.why)),
        _swept_name(cells, width) if arm == WIDTH else arm_name(name),
        width,
        _spreads(cells, arm, round, figures, "train"),
        stops(cells, arm, round),
        _most_tied(done),
        {figure: len(seeds) for figure in figures if (seeds := cells.apart(arm, round, figure))},
    )


def _spreads(cells: Cells, arm: str, round: int, figures: Iterable[str], split: Split) -> dict[str, Spread]:
    found = {figure: Spread.of(cells.values(arm, round, figure, split)) for figure in figures}
    return {figure: spread for figure, spread in found.items() if spread is not None}


def _most_tied(done: Iterable[Result]) -> dict[str, float]:
    most: dict[str, float] = {}
    for cell in done:
        for group, share in tied(cell).items():
            most[group] = max(share, most.get(group, 0.0))
    return most


def _swept_name(cells: Cells, width: int | None) -> str:
    return f"{cells.search.get('widen') or WIDTH} {width}"


def _place(arm: str) -> tuple[bool, int]:
    return arm.endswith(LONGER), FIRST.get(arm.removesuffix(LONGER), len(FIRST))


def _seconds(results: Iterable[Result], cells: Cells) -> dict[str, dict[str, float]]:
    """By arm, the dense run apart from the ticket's, and a sweep's by width."""
    total: dict[str, dict[str, float]] = {}
    swept = {place: _swept_name(cells, width) for width, place in cells.widths}
    for cell in results:
        arm = "dense" if cell.arm == "ticket" and cell.round == 0 else cell.arm
        phases = total.setdefault(swept[cell.round] if arm == WIDTH else arm, {})
        for phase, seconds in cell.seconds.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    order = [*swept.values(), *sorted(total, key=_place)]
    return {arm: total[arm] for arm in dict.fromkeys(order) if arm in total}


def _provenance(results: Sequence[Result], figures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for figure in figures:
        texts = dict.fromkeys(cell.provenance[figure] for cell in results if figure in cell.provenance)
        if texts:
            found[figure] = tuple(texts)
    return found
