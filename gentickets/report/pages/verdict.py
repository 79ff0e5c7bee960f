"""Renders the page of a verdict: the verdict, the plot, the table. Names and texts of a run are untrusted."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from gentickets.analysis.run_verdict import ArmDiagnostics, Diagnostics, RunVerdict
from gentickets.analysis.text import verdict as words
from gentickets.analysis.text.format import DASH, arm_name, decimals, fixed, percent, plus_minus
from gentickets.analysis.verdict import LevelVerdict
from gentickets.report.pages.run import filled
from gentickets.report.plots import verdict as plots
from gentickets.report.plots.forest import forests
from gentickets.report.tables import verdict as tables


@dataclass(frozen=True)
class _Aside:
    """A line of the diagnostics table."""

    cells: tuple[str, ...]
    bars: Markup


def render(judged: RunVerdict) -> str:
    """The HTML of a verdict."""
    level, seeds = judged.shown_level, judged.seeds
    beside = judged.beside
    return filled(
        "verdict.html",
        judged=judged,
        level=level,
        seeds=seeds,
        forests=forests(judged),
        losing=words.loss_caption(judged.metric),
        table=tables.verdict_table(judged),
        others=[
            (other, tables.level_rows(judged, other))
            for other in judged.declared_first
            if other is not level and other.short
        ],
        unfinished={other.round: _unfinished(other) for other in judged.levels},
        margin=words.margin_text(judged),
        trained=words.convergence_text(judged.trained, judged.metric) if judged.trained else "",
        more=words.outlook_text(judged.more) if judged.more else "",
        declared=words.declaration(judged),
        asides=words.column_notes(beside) if beside else "",
        aside=_asides(beside) if beside else None,
        beside=words.diagnostics_text(beside) if beside else (),
        connected=words.connected_text(beside) if beside else "",
        instability=[*filter(None, _instability(judged))],
        missing=words.not_run_text(judged.missing) if judged.missing else "",
    )


def _instability(judged: RunVerdict) -> list[Markup]:
    if judged.beside is None:
        return []
    return [plots.barriers(judged.beside), plots.interpolation(judged.beside, judged.metric)]


def _unfinished(level: LevelVerdict) -> list[str]:
    """Why a level's verdict is not deeper, as far as its sentence does not say so."""
    return [*level.reasons, *level.longer_reasons]


def _asides(diagnostics: Diagnostics) -> tuple[tuple[str, ...], list[_Aside]] | None:
    """Header and lines of what the arms show beside the metric; columns that nothing is known of are left out."""
    most = max((share for shares in (*diagnostics.classes.values(), diagnostics.real) for share in shares), default=1.0)
    names = list(dict.fromkeys([*(one.arm for one in diagnostics.arms), *diagnostics.classes]))
    if not names:
        return None
    known = {one.arm: one for one in diagnostics.arms}
    cells = {name: _cells(known.get(name, ArmDiagnostics(name)), diagnostics) for name in names}
    shown = [place for place in range(len(_ASIDE)) if any(line[place] != DASH for line in cells.values())]
    header = ("arm", *(_ASIDE[place] for place in shown), *(["classes"] if diagnostics.classes else []))
    lines = [
        _Aside(
            (arm_name(name), *(cells[name][place] for place in shown)),
            plots.bars(diagnostics.classes.get(name, ()), diagnostics.real, most),
        )
        for name in names
    ]
    if diagnostics.classes and diagnostics.real:
        lines.append(_Aside(("test images", *[DASH] * len(shown)), plots.bars(diagnostics.real, (), most)))
    return header, lines


_ASIDE = (
    "coverage \N{UPWARDS ARROW}",
    "recall \N{UPWARDS ARROW}",
    "active latents",
    "to nearest training image",
    "that close",
)


def _cells(one: ArmDiagnostics, diagnostics: Diagnostics) -> tuple[str, ...]:
    return (
        plus_minus(one.coverage, decimals([other.coverage for other in diagnostics.arms])),
        plus_minus(one.recall, decimals([other.recall for other in diagnostics.arms])),
        one.latents or DASH,
        f"{fixed(one.nearest, 2)} \N{MULTIPLICATION SIGN}" if one.nearest is not None else DASH,
        percent(one.copies) if one.copies is not None else DASH,
    )
