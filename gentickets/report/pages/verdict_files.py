"""Writes the files of a verdict: `verdict.html`, and `verdict.json` for other programs.

What `verdict.json` holds is said by its schema, which is made from `VERDICT` and the types of its records:
`python -m gentickets.report.schemas verdict` prints it, and docs/schemas/verdict.schema.json is that. All verdicts
follow from its tests (docs/verdict.md shows how). A loss says by how much the ticket is worse than the other, whichever
way the metric is good, a lead by how much it is better; sparsities, shares and barriers are fractions; an unknown or
infinite number is null.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.plain import View, own, plain
from gentickets.analysis.run_verdict import Convergence, Diagnostics, Outlook, RunVerdict
from gentickets.analysis.tested import LevelPart, Side, Tested
from gentickets.analysis.text import verdict as words
from gentickets.analysis.text.format import Spread
from gentickets.analysis.verdict import LevelVerdict
from gentickets.analysis.written import SPREAD
from gentickets.disk import write_whole
from gentickets.recipe.meaning import EDITION
from gentickets.report.pages.location import require_own
from gentickets.report.pages.verdict import render
from gentickets.report.tables import verdict as tables

FORMAT = 2
PAGE, DATA = "verdict.html", "verdict.json"


def write_verdict(judged: RunVerdict, out: Path) -> Path:
    """Write `verdict.html` and `verdict.json` into the folder `out`; the page's path. An OSError names the file.

    Of a run of the first edition only the page: the `verdict.json` that is there is the verdict that is shown.
    TicketError where a file of these names is somebody else's.
    """
    page, data = out / PAGE, out / DATA
    require_own(page, data, "format", "word", inside=True)
    html = render(judged)
    if judged.edition == EDITION:  # what the first edition has stored is all that there is of its verdict
        write_whole(data, (json.dumps(document(judged), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    write_whole(page, html.encode("utf-8"))
    return page


def document(judged: RunVerdict) -> dict[str, Any]:
    """What `verdict.json` holds: all of a verdict as plain, finite values."""
    told: dict[str, Any] = plain(judged, VERDICT)
    return told


@dataclass(frozen=True)
class SaidOutlook(Outlook):
    """What more seeds would say, with a sentence of it."""

    sentence: str = ""


@dataclass(frozen=True)
class SaidConvergence(Convergence):
    """Whether the dense model is trained, with a sentence of it."""

    sentence: str = ""


@dataclass(frozen=True)
class SaidDiagnostics(Diagnostics):
    """What stands beside the verdict, with a sentence of it."""

    sentences: tuple[str, ...] = ()


def _more(judged: RunVerdict) -> SaidOutlook | None:
    """What the next interim analysis will say, or more seeds would."""
    value = judged.more
    return None if value is None else SaidOutlook(**vars(value), sentence=words.outlook_text(value))


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
    Spread: SPREAD,
    RunVerdict: {
        "format": FORMAT,
        "run": "name",
        **own("path", "word", "edition", "exploratory", "sentence", "meaning", "next_step"),
        **own("metric", "margin", "unit", "floor", "claim", "hash", "stored", "look", "levels"),
        **own("second", "second_sentence"),
        "more": _more,
        "trained": _trained,
        "beside": _beside,
        **own("missing"),
        "table": _table,
        **own("facts", "notes"),
    },
    LevelVerdict: {
        **own("round", "sparsity", "word", "declared", "sentence", "tested"),
        **own("weight", "size", "blame", "unsteady", "nodes", "short", "longer", "longer_reasons"),
        "notes": "reasons",
    },
    LevelPart: own("ticket", "dense", "margin", "lead", "scale", "opponents", "against", "controls", "unfinished"),
    Tested: own("arm", "control", "declared", "loss", "mean", "se", "images", "n", "analyses", "good", "bad"),
    Side: own("p", "repeated", "size", "nominal", "limit", "analysis", "shown"),
    Contrast: own("mean", "se", "low", "high", "n", "bootstrap"),
}
"""What `verdict.json` has of its records, in this order."""
