"""Renders one run or several as one HTML page that works offline. A run's names and texts are untrusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from gentickets.analysis.early_bird import emergence_table
from gentickets.analysis.rows import Row
from gentickets.analysis.run import Run, facts_of
from gentickets.analysis.summary import Summary
from gentickets.analysis.text import costs as bill
from gentickets.analysis.text.captions import captions, tiles
from gentickets.analysis.text.format import arm_name, direction, heading, metric_name, percent
from gentickets.analysis.text.meanings import next_step
from gentickets.arms import ArmName
from gentickets.report.pages.gallery import Picture, pictures, seed_shown
from gentickets.report.plots import costs as spending
from gentickets.report.plots import early_bird as traces
from gentickets.report.plots import layers as anatomy
from gentickets.report.plots import quality as plots
from gentickets.report.plots import transfer as transfer_plot
from gentickets.report.plots import width_sweep as along
from gentickets.report.tables.run import full_table, row_notes, table
from gentickets.report.tables.runs import comparison_tables
from gentickets.report.tables.transfer import layer_table, level_table
from gentickets.sparsity import not_pruned
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
)
from gentickets.table import Table

if TYPE_CHECKING:
    from gentickets.analysis.transfer_matrix import Matrix

MOST_FIGURES = 5
"""Figures in the first table, which a page is wide enough for; another table has them all."""


_TONES = {
    WINS: "wins",
    EQUAL_STEPS: "equal",
    HEAD_START: "faster",
    MATCHES: "matches",
    NO_BETTER: "matches",
    WORSE: "fails",
    FAILED: "fails",
    UNDECIDED: "undecided",
}


@dataclass(frozen=True)
class RunSection:
    """One run as the template shows it."""

    anchor: str
    name: str
    summary: Summary
    tiles: list[tuple[str, str, str]]
    tables: list[Table]
    """The first one is open, the others fold."""
    everything: Table | None
    """The table of every figure with its spread, where the first one leaves something out."""
    measured: list[tuple[str, str, str]]
    """How each figure was measured: heading, which way is good, provenance."""
    bill: list[Table]
    """Sizes, work done and what the search cost."""
    repaid: str
    """What the search cost, in a sentence."""
    emerged: Table | None
    """When early birds emerged: a row for each seed."""
    figures: dict[str, Markup]
    galleries: list[tuple[str, list[Picture]]]
    facts: list[tuple[str, str]]
    remarks: list[str]
    """What must be known to read the table."""
    carried: dict[str, Table]
    """Tables of a transfer: ``levels`` and ``layers``; empty without one."""
    recipe_text: str
    seed_shown: int | None


def render(runs: Sequence[Run]) -> str:
    """The HTML of one run, or of several compared."""
    sections = [_section(run, f"run{place}") for place, run in enumerate(runs)]
    summaries = [run.summary for run in runs]
    overview = plots.comparison_plot(summaries) if len(runs) > 1 else ""
    title = runs[0].summary.name if len(runs) == 1 else f"{len(runs)} runs compared"
    return _filled(
        title=title,
        sections=sections,
        overview=Markup(overview),
        compared=comparison_tables(summaries),
    )


def render_matrix(matrix: Matrix, heat: str) -> str:
    """The HTML of a matrix of transfers, with its heat map as SVG."""
    title = "Transfer: every source in every target"
    return _filled(title=title, matrix=matrix, heat=Markup(heat), table=matrix.table())


def _filled(**values: Any) -> str:
    empty: dict[str, Any] = {"sections": [], "overview": "", "compared": [], "matrix": None}
    return filled("run.html", **{**empty, **values})


def filled(template: str, **values: Any) -> str:
    """The HTML of a template of this folder: everything given is escaped but `Markup`."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_template),
    )
    environment.filters |= {
        "arm_name": arm_name,
        "figure_name": metric_name,
        "direction": direction,
        "unbroken": _unbroken,
        "percent": percent,
        "tone": tone,
        "next_step": next_step,
    }
    return environment.get_template(template).render(values)


def tone(word: str) -> str:
    """The style in which a verdict is shown on a page."""
    return _TONES.get(word, "none")


def _template(name: str) -> str:
    return files("gentickets.report.pages").joinpath(name).read_text("utf-8")


def _unbroken(text: str) -> str:
    """The text with numbers kept on one line."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _section(run: Run, anchor: str) -> RunSection:
    summary = run.summary
    first, whole = table(summary, most=MOST_FIGURES), full_table(summary)
    wider = len(summary.figures) > MOST_FIGURES or any(row.train for row in summary.rows)
    if summary.is_sweep:
        wider = len(whole.columns) > len(first.columns)
    drawn = {
        "sweep": along.sweep(summary, f"{anchor}-sweep"),
        "stops": along.early_stopping(summary, f"{anchor}-stops"),
        "transfer": transfer_plot.transfer_plot(summary, f"{anchor}-transfer"),
        "quality": plots.quality_plot(summary, f"{anchor}-quality"),
        "further": plots.other_metrics(summary, f"{anchor}-further"),
        "longer": plots.when_longer(summary, f"{anchor}-longer"),
        "densities": anatomy.densities(run.results, f"{anchor}-densities"),
        "distances": traces.distances(summary.emergence, summary.of_channels, f"{anchor}-distances"),
        "front": spending.pareto_plot(summary, f"{anchor}-front"),
        "time": spending.time_spent(summary, f"{anchor}-time"),
        "curves": anatomy.curves(run.results, summary, f"{anchor}-curves"),
    }
    seed = seed_shown(run)
    galleries = [
        (title, pictures(run, f"{kind}.png", seed))
        for kind, title in (("samples", "Samples"), ("reconstructions", "Reconstructions"))
    ]
    return RunSection(
        anchor,
        summary.name,
        summary,
        tiles(summary),
        _tables(summary, first),
        replace(_on_page(summary, whole, summary.rows), notes=()) if wider else None,
        _measured(summary),
        _bill(summary),
        bill.sentence(summary),
        emergence_table(summary.emergence) if summary.emergence else None,
        {name: Markup(text) for name, text in drawn.items()},
        [(title, found) for title, found in galleries if found],
        facts_of(run.record),
        captions(summary),
        _carried(summary),
        run.recipe_text,
        seed,
    )


def _carried(summary: Summary) -> dict[str, Table]:
    if summary.transfer is None:
        return {}
    return {"levels": level_table(summary.transfer), "layers": layer_table(summary.transfer)}


def _bill(summary: Summary) -> list[Table]:
    costs = (bill.size_table(summary), bill.work_table(summary), bill.search_table(summary))
    rest = replace(not_pruned(summary.excluded), title="What is not pruned, and why")
    return [one for one in (*costs, rest) if one.rows]


def _measured(summary: Summary) -> list[tuple[str, str, str]]:
    return [
        (heading(figure), direction(figure), " · ".join(summary.provenance.get(figure, ("not told",))))
        for figure in summary.figures
    ]


def _tables(summary: Summary, whole: Table) -> list[Table]:
    """Ticket and what it is compared with, and apart from them the controls at other rounds."""
    first = [row for row in summary.rows if ArmName.of(row.arm).is_ticket or _is_shown(row, summary)]
    rest = [row for row in summary.rows if row not in first]
    parts = (("", first), ("Controls at other rounds", rest))
    return [replace(_on_page(summary, whole, rows), title=title) for title, rows in parts if rows]


def _on_page(summary: Summary, whole: Table, rows: Sequence[Row]) -> Table:
    """Some rows of a run's table with their styles, and notes beside the arm in place of the last column."""
    cells = [line[:-1] for row, line in zip(summary.rows, whole.rows, strict=True) if row in rows]
    return Table(whole.columns[:-1], cells, styles=[*map(_kind, rows)], notes=[*map(row_notes, rows)])


def _kind(row: Row) -> str:
    """The style of a row in the table."""
    name = ArmName.of(row.arm)
    if name.at_no_level:
        return row.arm
    if name.longer:
        return "longer"
    return f"{row.arm if name.is_ticket else 'control'}{' level' if row.at_level else ''}"


def _is_shown(row: Row, summary: Summary) -> bool:
    last = max((other.round for other in summary.rows if other.arm == "ticket"), default=0)
    level = summary.verdict.round or last
    name = ArmName.of(row.arm)
    return name.at_no_level or name.longer or row.round == level
