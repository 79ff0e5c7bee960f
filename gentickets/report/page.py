"""The page: one run or several as one HTML file that works offline. A run's names and texts are untrusted."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from gentickets.report import anatomy, plots
from gentickets.report.sentence import more_steps
from gentickets.report.summary import Row, Summary, size, table
from gentickets.report.verdict import LEAST_SEEDS
from gentickets.report.words import (
    DASH,
    LONGER,
    arm_name,
    decimals,
    figure_name,
    fixed,
    numbered,
    percent,
    plus_minus,
)
from gentickets.results import Result

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_IMAGE = 4 << 20
"""Bytes of one grid of images; a larger one is left out rather than making the page unreadable."""


@dataclass(frozen=True)
class Run:
    """What is read from one run folder."""

    path: Path
    record: Mapping[str, Any]
    recipe_text: str
    results: Sequence[Result]
    summary: Summary


@dataclass(frozen=True)
class Picture:
    """A grid of images, as a data URI."""

    label: str
    note: str
    uri: str


@dataclass(frozen=True)
class Line:
    """One row of a table: its style, its cells and what must be said beside them."""

    kind: str
    cells: list[str]
    note: str


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
    environment.filters |= {"figure_name": figure_name, "unbroken": _unbroken}
    template = environment.from_string(files("gentickets.report").joinpath("page.html").read_text("utf-8"))
    sections = [_section(run, f"run{place}") for place, run in enumerate(runs)]
    summaries = [run.summary for run in runs]
    overview = plots.comparison(summaries) if len(runs) > 1 else ""
    title = runs[0].summary.name if len(runs) == 1 else f"{len(runs)} runs compared"
    return template.render(
        title=title,
        sections=sections,
        overview=Markup(overview),
        compared=[_compared(one) for one in summaries],
    )


def _unbroken(text: str) -> str:
    """The text with numbers kept on one line."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _section(run: Run, anchor: str) -> Section:
    summary = run.summary
    header, lines = table(summary)
    drawn = {
        "quality": plots.quality(summary, f"{anchor}-quality"),
        "further": plots.further(summary, f"{anchor}-further"),
        "longer": plots.when_longer(summary, f"{anchor}-longer"),
        "densities": anatomy.densities(run.results, f"{anchor}-densities"),
        "time": anatomy.time_spent(summary, f"{anchor}-time"),
        "curves": anatomy.curves(run.results, summary, f"{anchor}-curves"),
    }
    seed = _seed_shown(run)
    galleries = [
        (title, _pictures(run, f"{kind}.png", seed))
        for kind, title in (("samples", "Samples"), ("reconstructions", "Reconstructions"))
    ]
    return Section(
        anchor,
        summary.name,
        summary,
        _tiles(summary),
        header[:-1],
        _tables(summary, lines),
        [_cost(row) for row in summary.rows if _is_shown(row, summary)],
        {name: Markup(text) for name, text in drawn.items()},
        [(title, pictures) for title, pictures in galleries if pictures],
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
        note = f"95 % bound of ticket minus dense; the margin is {fixed(short.limit, places)}"
        found.append(("bound", fixed(short.loss.bound, places), note))
    if verdict.budget is not None:
        note = "a dense model given the whole search's compute"
        found.append(("dense, whole budget", plus_minus(verdict.budget, places), note))
    return found


def _remarks(summary: Summary) -> list[str]:
    lower = "lower is better"
    if "kl" in summary.figures:
        lower += ", but for KL divergence, which is a part of the negative ELBO and no merit of its own"
    found = [f"Test split, mean ± standard deviation over (n) finished seeds; {lower}."]
    if summary.pruned is not None:
        level, share = summary.verdict.level, summary.verdict.share
        of_all = ""
        if level is not None and share is not None:
            of_all = f"; {percent(level)} of them are {percent(share)} of all parameters"
        found.append(f"Sparsity is the removed share of {summary.pruned}{of_all}.")
    if summary.goes_on:
        found.append(more_steps(summary.goes_on))
    if any(row.arm.endswith(LONGER) for row in summary.rows):
        found.append("Longer arms are compared with the longer dense run.")
    if any(row.arm.startswith("narrow") for row in summary.rows):
        found.append("The narrow dense model has no mask, and as many FLOPs as the ticket beside it.")
    return found


def _tables(summary: Summary, lines: Sequence[list[str]]) -> list[tuple[str, list[Line]]]:
    """Ticket and what it is compared with, and apart from them the controls at other rounds."""
    first: list[Line] = []
    rest: list[Line] = []
    for row, cells in zip(summary.rows, lines, strict=True):
        line = Line(_kind(row), cells[:-1], cells[-1])
        (first if row.arm == "ticket" or _is_shown(row, summary) else rest).append(line)
    return [(title, found) for title, found in (("", first), ("Controls at other rounds", rest)) if found]


def _kind(row: Row) -> str:
    """The style of a row in the table."""
    if row.arm in ("dense", "budget"):
        return row.arm
    if row.arm.endswith(LONGER):
        return "longer"
    return f"{'ticket' if row.arm == 'ticket' else 'control'}{' level' if row.at_level else ''}"


def _is_shown(row: Row, summary: Summary) -> bool:
    last = max((other.round for other in summary.rows if other.arm == "ticket"), default=0)
    level = summary.verdict.round or last
    return row.arm in ("dense", "budget") or row.arm.endswith(LONGER) or row.round == level


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


def _seed_shown(run: Run) -> int | None:
    """The first seed whose ticket is there: never the prettiest."""
    level = run.summary.verdict.round
    done = [cell for cell in run.results if cell.arm == "ticket" and cell.status == "done"]
    seeds = sorted(cell.seed for cell in done if level in (None, cell.round)) or sorted(cell.seed for cell in done)
    return seeds[0] if seeds else None


def _pictures(run: Run, file: str, seed: int | None) -> list[Picture]:
    """The same grid of every arm at the claim's level (else at the last round), side by side."""
    rounds = [cell.round for cell in run.results if cell.seed == seed and cell.arm == "ticket"]
    level = run.summary.verdict.round or max(rounds, default=0)
    opponents = {other.arm for other in run.summary.verdict.short.controls} if run.summary.verdict.short else set()
    found = []
    for cell in run.results:
        dense = cell.arm == "ticket" and cell.round == 0
        arm = "dense" if dense else cell.arm
        beside = arm in ("dense", "budget") or (cell.round == level and not arm.endswith(LONGER))
        if cell.seed != seed or cell.status != "done" or not beside:
            continue
        if arm not in ("dense", "budget", "ticket") and opponents and arm not in opponents:
            continue
        uri = _data_uri(run.path / f"seed-{seed}" / cell.arm / f"round-{cell.round:02d}" / file)
        if uri:
            row = run.summary.row(arm, cell.round)
            note = size(run.summary, row) if row and (cell.sparsity or arm == "narrow") else "all weights"
            found.append(Picture(arm_name(arm), f"{note}{'; collapsed' if cell.collapsed else ''}", uri))
    order = [arm_name(arm) for arm in ("dense", "ticket", "budget")]
    return sorted(found, key=lambda one: order.index(one.label) if one.label in order else len(order))


def _data_uri(path: Path) -> str:
    """The PNG as a data URI; empty where there is none, or where the file is no PNG."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_IMAGE:
            return ""
        content = path.read_bytes()
    except OSError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}" if content.startswith(PNG) else ""


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


def _compared(summary: Summary) -> dict[str, str]:
    """A run's line in the table of several runs."""
    verdict, short = summary.verdict, summary.verdict.short
    places = decimals([short.ticket, short.dense, verdict.budget] if short else [verdict.budget])
    return {
        "name": summary.name,
        "word": verdict.word,
        "metric": figure_name(summary.metric) if summary.metric else DASH,
        "level": percent(verdict.level) if verdict.level is not None else DASH,
        "dense": plus_minus(short.dense if short else None, places),
        "ticket": plus_minus(short.ticket if short else None, places),
        "budget": plus_minus(verdict.budget, places),
        "seeds": str(len(summary.seeds)),
    }
