"""Runs of the first edition: the verdict that they stored is shown, as that edition's rule is not applied any more.

It had other verdicts and other promises (see docs/verdict.md). A run that stored none shows metrics and intervals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gentickets.analysis.verdict import NO_CLAIM, NO_VERDICT, LevelVerdict, Verdict

FORMAT = 1
"""Of `verdict.json` and `report.json` in the first edition. A report that was written anew keeps what it said."""
MARK = "by the first edition's rule"
MOST_BYTES = 1 << 26


def stored_verdict(path: Path, there: Verdict) -> Verdict:
    """The verdict that a run of the first edition has stored: that of its `verdict.json`, else of its `report.json`.

    ``there``: what is known of the run by its results. None stored: ``no verdict``.
    """
    told = _of_verdict(_read(path / "verdict.json")) or _of_report(_read(path / "report.json"))
    blank = replace(there, word=NO_VERDICT, levels=(), tested=False, edition=1, explained_by=())
    if told is None:
        text = "No verdict: the run's claim is of the first edition, and no verdict was stored."
        return replace(blank, sentence=f"{text} A claim that is declared anew is judged by today's rule.")
    word, sentence, levels = told
    marked = f"{word}, {MARK}: {sentence}" if sentence else f"{word}, {MARK}."
    return replace(blank, word=word, sentence=marked, levels=levels)


def _read(path: Path) -> Mapping[str, Any] | None:
    """A file of ours of the first edition; None where there is none, or another one's, or a damaged one."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _of_verdict(told: Mapping[str, Any] | None) -> tuple[str, str, tuple[LevelVerdict, ...]] | None:
    if told is None or told.get("format") != FORMAT or not isinstance(told.get("word"), str):
        return None
    rows = told.get("levels")
    levels = [_level(row) for row in rows] if isinstance(rows, list) else []
    return str(told["word"]), str(told.get("sentence") or ""), tuple(one for one in levels if one is not None)


def _level(row: Any) -> LevelVerdict | None:
    try:
        return LevelVerdict(
            round=int(row["round"]), sparsity=float(row["sparsity"]), word=str(row["word"]),
            declared=bool(row.get("declared")), sentence=str(row.get("sentence") or ""),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _of_report(told: Mapping[str, Any] | None) -> tuple[str, str, tuple[LevelVerdict, ...]] | None:
    runs = told.get("runs") if told is not None else None
    own = runs[0].get("verdict") if isinstance(runs, list) and len(runs) == 1 and isinstance(runs[0], dict) else None
    if told is None or not isinstance(own, dict) or own.get("word") in (None, NO_CLAIM, NO_VERDICT):
        return None
    if told.get("format") != FORMAT and own.get("edition") != FORMAT:
        return None
    word, sentence = str(own["word"]), str(own.get("sentence") or "")
    return word, sentence.removeprefix(f"{word}, {MARK}: "), ()
