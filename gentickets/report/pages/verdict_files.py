"""The files of a verdict: `verdict.html`, and `verdict.json` for other programs.

`verdict.json`, format 1::

    {"format": 1, "run": str, "path": str, "word": str, "status": 0 | 7, "sentence": str,
     "metric": str | null, "margin": float, "claim": {metric, margin, level, alpha, sparsities, looks, seeds},
     "hash": str | null, "stored": bool, "look": {"number", "of", "alpha", "seeds": [int]},
     "levels": [{"round", "sparsity", "word", "declared": bool, "sentence",
                 "short": {"ticket": spread, "dense": spread, "loss": estimate, "limit",
                           "controls": [{"control", "arm", "spread", "loss": estimate, "beaten": bool,
                                         "as_well": bool}],
                           "unfinished": {control: why}} | null,
                 "longer": the same | null, "p_wins": float | null, "p_holds": float | null, "notes": [str]}],
     "more": {"seeds": int | null, "minutes": float | null, "curve": [[seeds, chance]],
              "decided": [[seeds, chance]], "command", "sentence"} | null,
     "trained": {"better_by": estimate | null, "relative", "slope", "trained": bool | null, "sentence"} | null,
     "beside": {"arms": [{"arm", "coverage": spread | null, "recall": spread | null, "latents": str | null,
                          "nearest", "copies"}],
                "classes": {arm: [share]}, "real": [share],
                "paths": [{"step", "relative": {seed: barrier}, "places": [float], "values": {seed: [float]},
                           "metric": str | null}],
                "connected": int | null, "rewind_to": int | null, "sentences": [str]} | null,
     "missing": [arm], "table": [header, [row]], "facts": [[str, str]], "notes": [str]}

A spread is ``{"mean", "sd", "n", "values": {seed: value}}``, with sd null for one seed. An estimate is a paired loss,
``{"mean", "low", "high", "p", "n", "bootstrap": [low, high] | null}``: by how much the first is worse than the second,
whichever way the figure is good, with its two-sided 95 % t interval and the one-sided p of its test. ``limit`` is the
margin in the metric's unit; ``p_wins`` and ``p_holds`` are Holm's over the levels; ``seeds`` of ``more`` are those
beyond the run's, and those in its curves are seeds in all. ``relative`` and ``slope`` of ``trained`` are fractions of
the dense mean, below zero where the longer, or the later, training is better. Sparsities, margins, shares and barriers
are fractions; an unknown or infinite number is null. `RunVerdict` says what each means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gentickets.analysis.contrast import Contrast, plain
from gentickets.analysis.run_verdict import RunVerdict
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
    told = {one.name: _plain(getattr(judged, one.name)) for one in fields(judged)}
    if judged.more is not None:
        told["more"]["sentence"] = words.power_text(judged.more, judged.seeds, judged.open)
    if judged.trained is not None:
        told["trained"]["sentence"] = words.convergence_text(judged.trained, judged.metric)
    if judged.beside is not None:
        told["beside"]["sentences"] = list(words.diagnostics_text(judged.beside))
    first = {"path": told.pop("path"), "word": told.pop("word"), "status": judged.status}
    first["sentence"] = told.pop("sentence")
    table, facts, notes = plain(tables.verdict_table(judged)), told.pop("facts"), told.pop("notes")
    return {"format": FORMAT, "run": told.pop("name"), **first, **told, "table": table, "facts": facts, "notes": notes}


def _plain(value: Any) -> Any:
    """Plain, finite values, by name; Python's own numbers for those of arrays."""
    if isinstance(value, LevelVerdict):
        named = {name: getattr(value, name) for name in _OF_LEVEL}
        return _plain({**named, "notes": value.reasons})
    if isinstance(value, Trial):
        named = {name: getattr(value, name) for name in _OF_TRIAL}
        return _plain({**named, "loss": {**_plain(value.loss), "p": value.p}})
    if isinstance(value, Comparison | Contrast):
        return {name: _plain(getattr(value, name)) for name in _OF[type(value)]}
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return plain(value.item() if isinstance(value, np.generic) else value)


_OF_LEVEL = ("round", "sparsity", "word", "declared", "sentence", "short", "longer", "p_wins", "p_holds")
_OF_TRIAL = ("ticket", "dense", "loss", "limit", "controls", "unfinished")
_OF: Mapping[type, tuple[str, ...]] = {
    Comparison: ("control", "arm", "spread", "loss", "beaten", "as_well"),
    Contrast: ("mean", "low", "high", "p", "n", "bootstrap"),
}
"""What `verdict.json` has of a record, in this order."""
