"""The page: one run or several as one HTML file that works offline. A run's names and texts are untrusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gentickets.report import along, anatomy, plots
from gentickets.report.cells import WIDTH
from gentickets.report.gallery import Picture, Run, pictures, seed_shown
from gentickets.report.sentence import more_steps
from gentickets.report.summary import Row, Summary, alike
from gentickets.report.tables import every_figure, notes, table
from gentickets.report.verdict import LEAST_SEEDS
from gentickets.report.words import (
    DASH,
    LONGER,
    arm_name,
    decimals,
    direction,
    figure_name,
    fixed,
    heading,
    is_higher,
    numbered,
    percent,
    plus_minus,
)

MOST_FIGURES = 5
"""Figures in the first table, which a page is wide enough for; another table has them all."""


@dataclass(frozen=True)
class Line:
    """One row of a table: its style, its cells and what must be said beside them."""

    kind: str
    cells: list[str]
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """One run as the template shows it."""

    anchor: str
    name: str
    summary: Summary
    tiles: list[tuple[str, str, str]]
    header: list[str]
    tables: list[tuple[str, list[Line]]]
    """Title and lines; the first table is open, the others fold."""
    everything: tuple[list[str], list[Line]] | None
    """The table of every figure with its spread, where the first one leaves something out."""
    measured: list[tuple[str, str, str]]
    """How each figure was measured: heading, which way is good, provenance."""
    costs: list[list[str]]
    figures: dict[str, Markup]
    galleries: list[tuple[str, list[Picture]]]
    facts: list[tuple[str, str]]
    remarks: list[str]
    """What must be known to read the table."""
    recipe_text: str
    seed_shown: int | None


def render(runs: Sequence[Run]) -> str:
    """The HTML of one run, or of several compared."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure_name": figure_name, "direction": direction, "unbroken": _unbroken}
    template = environment.from_string(files("gentickets.report").joinpath("page.html").read_text("utf-8"))
    sections = [_section(run, f"run{place}") for place, run in enumerate(runs)]
    summaries = [run.summary for run in runs]
    overview = plots.comparison(summaries) if len(runs) > 1 else ""
    title = runs[0].summary.name if len(runs) == 1 else f"{len(runs)} runs compared"
    return template.render(
        title=title,
        sections=sections,
        overview=Markup(overview),
        compared=_compared(summaries),
    )


def _unbroken(text: str) -> str:
    """The text with numbers kept on one line."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _section(run: Run, anchor: str) -> Section:
    summary = run.summary
    header, lines = table(summary, most=MOST_FIGURES)
    whole_header, whole = every_figure(summary)
    wider = len(whole_header) > len(header) or len(summary.figures) > MOST_FIGURES
    drawn = {
        "sweep": along.sweep(summary, f"{anchor}-sweep"),
        "stops": along.early_stopping(summary, f"{anchor}-stops"),
        "quality": plots.quality(summary, f"{anchor}-quality"),
        "further": plots.further(summary, f"{anchor}-further"),
        "longer": plots.when_longer(summary, f"{anchor}-longer"),
        "densities": anatomy.densities(run.results, f"{anchor}-densities"),
        "time": anatomy.time_spent(summary, f"{anchor}-time"),
        "curves": anatomy.curves(run.results, summary, f"{anchor}-curves"),
    }
    seed = seed_shown(run)
    galleries = [
        (title, pictures(run, f"{kind}.png", seed))
        for kind, title in (("samples", "Samples"), ("reconstructions", "Reconstructions"))
    ]
    return Section(
        anchor,
        summary.name,
        summary,
        _tiles(summary),
        header[:-1],
        _tables(summary, lines),
        (whole_header[:-1], _lines(summary, whole)) if wider else None,
        _measured(summary),
        [_cost(row) for row in summary.rows if _is_shown(row, summary)],
        {name: Markup(text) for name, text in drawn.items()},
        [(title, found) for title, found in galleries if found],
        _facts(run.record),
        _remarks(summary),
        run.recipe_text,
        seed,
    )


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """The numbers of the first screen: (title, number, note)."""
    verdict, short = summary.verdict, summary.verdict.short
    if short is None:
        return []
    places = decimals([short.ticket, short.dense, verdict.budget])
    found = [
        ("dense", plus_minus(short.dense, places), numbered(short.dense.n, "seed")),
        (
            f"ticket at {percent(verdict.level or 0)}",
            plus_minus(short.ticket, places),
            numbered(short.ticket.n, "seed") + (f"; of {verdict.pruned}" if verdict.pruned else ""),
        ),
    ]
    if short.loss.n >= LEAST_SEEDS:
        loss = "dense minus ticket" if is_higher(verdict.metric) else "ticket minus dense"
        note = f"95 % bound of {loss}; the margin is {fixed(short.limit, places)}"
        found.append(("bound", fixed(short.loss.bound, places), note))
    if verdict.budget is not None:
        note = "a dense model given the whole search's compute"
        found.append(("dense, whole budget", plus_minus(verdict.budget, places), note))
    return found


def _remarks(summary: Summary) -> list[str]:
    where = "" if summary.is_sweep else "Test split. "
    found = [f"{where}Mean ± standard deviation over (n) finished seeds; an arrow says which way a figure is good."]
    if "kl" in summary.figures:
        found.append("KL divergence is a part of the negative ELBO and no merit of its own.")
    if summary.pruned is not None:
        level, share = summary.verdict.level, summary.verdict.share
        of_all = ""
        if level is not None and share is not None:
            of_all = f"; {percent(level)} of them are {percent(share)} of all parameters"
        found.append(f"Sparsity is the removed share of {summary.pruned}{of_all}.")
    if summary.method in ("one_shot", "at_start"):
        found.append("Each level is pruned by itself; dense is the same training without a mask.")
    if summary.goes_on:
        found.append(more_steps(summary.goes_on))
    arms = {row.arm.removesuffix(LONGER) for row in summary.rows}
    if any(row.arm.endswith(LONGER) for row in summary.rows):
        found.append("Longer arms are compared with the longer dense run.")
    for arm, what in (("narrow", "FLOPs"), ("narrow-weights", "weights")):
        if arm in arms:
            found.append(f"A {arm_name(arm)} has no mask, and as many {what} as the ticket of its level.")
    if any(row.stops for row in summary.rows):
        found.append(
            "A training that the early-stopping rule did not stop before the end counts with its last step; "
            "\N{GREATER-THAN OR EQUAL TO} stands before such a mean."
        )
    if any(row.apart for row in summary.rows):
        found.append("Values measured in another way than the dense model's are left out of their column.")
    return found


def _measured(summary: Summary) -> list[tuple[str, str, str]]:
    return [
        (heading(figure), direction(figure), " · ".join(summary.provenance.get(figure, ("not told",))))
        for figure in summary.figures
    ]


def _tables(summary: Summary, lines: Sequence[list[str]]) -> list[tuple[str, list[Line]]]:
    """Ticket and what it is compared with, and apart from them the controls at other rounds."""
    first: list[Line] = []
    rest: list[Line] = []
    for row, line in zip(summary.rows, _lines(summary, lines), strict=True):
        (first if row.arm == "ticket" or _is_shown(row, summary) else rest).append(line)
    return [(title, found) for title, found in (("", first), ("Controls at other rounds", rest)) if found]


def _lines(summary: Summary, lines: Sequence[list[str]]) -> list[Line]:
    return [Line(_kind(row), cells[:-1], notes(row)) for row, cells in zip(summary.rows, lines, strict=True)]


def _kind(row: Row) -> str:
    """The style of a row in the table."""
    if row.arm in ("dense", "budget", WIDTH):
        return row.arm
    if row.arm.endswith(LONGER):
        return "longer"
    return f"{'ticket' if row.arm == 'ticket' else 'control'}{' level' if row.at_level else ''}"


def _is_shown(row: Row, summary: Summary) -> bool:
    last = max((other.round for other in summary.rows if other.arm == "ticket"), default=0)
    level = summary.verdict.round or last
    return row.arm in ("dense", "budget", WIDTH) or row.arm.endswith(LONGER) or row.round == level


def _cost(row: Row) -> list[str]:
    kept, total = row.weights.get("kept"), row.weights.get("total")
    dense, masked = row.flops.get("dense"), row.flops.get("masked")
    return [
        row.name,
        f"{kept:,} of {total:,}" if kept is not None and total is not None else DASH,
        _engineering(dense) if dense is not None else DASH,
        _engineering(masked) if masked is not None else DASH,
        f"{row.steps:,}",
        row.selection,
    ]


def _engineering(value: float) -> str:
    for scale, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g}"


def _facts(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Machine, versions, seeds and command from `run.json`, flat."""
    found: list[tuple[str, str]] = []
    for name, value in record.items():
        if not prefix and name in ("recipe", "format"):
            continue
        if isinstance(value, Mapping):
            found += _facts(value, f"{prefix}{name}: ")
        elif value not in (None, "", []):
            joint = ", " if isinstance(value, list) and all(isinstance(one, int) for one in value) else " "
            text = joint.join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((f"{prefix}{name}", text))
    return found


def _compared(summaries: Sequence[Summary]) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Tables of runs whose numbers compare: the figure, how it was measured, and a line for each run."""
    places = {id(summary): place for place, summary in enumerate(summaries)}
    return [
        (
            heading(group[0].metric) if group[0].metric else "no figure",
            group[0].how_measured,
            [_beside_others(summary, places[id(summary)]) for summary in group],
        )
        for group in alike(summaries)
    ]


def _beside_others(summary: Summary, place: int) -> dict[str, str]:
    """A run's line in the table of several runs."""
    verdict, short = summary.verdict, summary.verdict.short
    places = decimals([short.ticket, short.dense, verdict.budget] if short else [verdict.budget])
    return {
        "anchor": f"run{place}",
        "name": summary.name,
        "word": verdict.word,
        "found": verdict.found or ("width sweep" if summary.is_sweep else "iterative magnitude pruning"),
        "level": percent(verdict.level) if verdict.level is not None else DASH,
        "dense": plus_minus(short.dense if short else None, places),
        "ticket": plus_minus(short.ticket if short else None, places),
        "budget": plus_minus(verdict.budget, places),
        "seeds": str(len(summary.seeds)),
    }
