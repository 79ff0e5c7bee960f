"""Writes what a terminal shows of a verdict besides its sentences and its table."""

from __future__ import annotations

from collections.abc import Iterator

from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.text import verdict as words


def terminal_summary(judged: RunVerdict) -> Iterator[str]:
    """The second verdict, whether dense has converged, the outlook, the diagnostics, and which analysis this is."""
    if judged.second_sentence:
        yield judged.second_sentence
    if judged.trained is not None:
        yield words.convergence_text(judged.trained, judged.metric)
    if judged.more is not None:
        yield words.outlook_text(judged.more)
    if judged.beside is not None:
        yield from filter(None, [*words.diagnostics_text(judged.beside), words.connected_text(judged.beside)])
    if judged.missing:
        yield words.not_run_text(judged.missing)
    yield words.interim_analysis_text(judged.look)
