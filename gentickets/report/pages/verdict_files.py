"""Writes the files of a verdict: `verdict.html`, and `verdict.json` for other programs.

What `verdict.json` holds is said by its schema, which is made from `VERDICT` and the types of its records:
`python -m gentickets.report.schemas verdict` prints it, and docs/schemas/verdict.schema.json is that. Losses say by
how much the first is worse than the second, whichever way the figure is good; sparsities, margins, shares and barriers
are fractions; an unknown or infinite number is null; ``p_wins`` and ``p_holds`` are Holm's over the levels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.plain import View, own, plain
from gentickets.analysis.run_verdict import Convergence, Diagnostics, PowerForecast, RunVerdict
from gentickets.analysis.text import verdict as words
from gentickets.analysis.verdict import Comparison, LevelVerdict, Trial
from gentickets.disk import write_whole
from gentickets.report.pages.location import require_own
from gentickets.report.pages.verdict import render
from gentickets.report.tables import verdict as tables

FORMAT = 1
PAGE, DATA = "verdict.html", "verdict.json"


def write_verdict(judged: RunVerdict, out: Path) -> Path:
    """Write `verdict.html` and `verdict.json` into the folder `out`; the page's path. An OSError names the file.

    TicketError where a file of these names is somebody else's.
    """
    page, data = out / PAGE, out / DATA
    require_own(page, data, "format", "word", inside=True)
    html = render(judged)
    write_whole(data, (json.dumps(document(judged), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    write_whole(page, html.encode("utf-8"))
    return page


def document(judged: RunVerdict) -> dict[str, Any]:
    """What `verdict.json` holds: all of a verdict as plain, finite values."""
    told: dict[str, Any] = plain(judged, VERDICT)
    return told


@dataclass(frozen=True)
class Estimate:
    """A paired loss over seeds: below zero the first is better."""

    mean: float
    low: float
    """Ends of the two-sided 95 % t interval."""
    high: float
    p: float
    """One-sided, of its test: of being worse than dense by the margin or more, or of being no better than a control."""
    n: int
    """Seeds."""
    bootstrap: tuple[float, float] | None
    """Ends of the bias-corrected bootstrap interval; null with too few seeds."""


@dataclass(frozen=True)
class SaidForecast(PowerForecast):
    """What more seeds would buy, with a sentence of it."""

    sentence: str = ""


@dataclass(frozen=True)
class SaidConvergence(Convergence):
    """Whether the dense model is trained, with a sentence of it."""

    sentence: str = ""


@dataclass(frozen=True)
class SaidDiagnostics(Diagnostics):
    """What stands beside the verdict, with a sentence of it."""

    sentences: tuple[str, ...] = ()


def _to_dense(trial: Trial) -> Estimate:
    """By how much the ticket is worse than the dense model."""
    loss = trial.loss
    return Estimate(loss.mean, loss.low, loss.high, trial.p, loss.n, loss.bootstrap)


def _more(judged: RunVerdict) -> SaidForecast | None:
    """What more seeds would buy."""
    value = judged.more
    return (
        None
        if value is None
        else SaidForecast(**vars(value), sentence=words.power_text(value, judged.seeds, judged.open))
    )


def _trained(judged: RunVerdict) -> SaidConvergence | None:
    """Whether the dense model is trained."""
    value = judged.trained
    return (
        None if value is None else SaidConvergence(**vars(value), sentence=words.convergence_text(value, judged.metric))
    )


def _beside(judged: RunVerdict) -> SaidDiagnostics | None:
    """What stands beside the verdict: reported, not tested."""
    value = judged.beside
    return None if value is None else SaidDiagnostics(**vars(value), sentences=tuple(words.diagnostics_text(value)))


def _table(judged: RunVerdict) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Headings and rows of the level that the page tells in full."""
    return tables.verdict_table(judged).pair()


VERDICT: View = {
    RunVerdict: {
        "format": FORMAT,
        "run": "name",
        **own("path", "word", "status", "sentence", "metric", "margin", "claim", "hash", "stored", "look", "levels"),
        "more": _more,
        "trained": _trained,
        "beside": _beside,
        **own("missing"),
        "table": _table,
        **own("facts", "notes"),
    },
    LevelVerdict: {
        **own("round", "sparsity", "word", "declared", "sentence", "short", "longer", "p_wins", "p_holds"),
        "notes": "reasons",
    },
    Trial: {**own("ticket", "dense"), "loss": _to_dense, **own("limit", "controls", "unfinished")},
    Comparison: own("control", "arm", "spread", "loss", "beaten", "as_well"),
    Contrast: own("mean", "low", "high", "p", "n", "bootstrap"),
}
"""What `verdict.json` has of its records, in this order."""
