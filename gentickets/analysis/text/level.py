"""Writes which sparsity a verdict is about."""

from __future__ import annotations

from gentickets.analysis.text.format import percent
from gentickets.analysis.verdict import Verdict
from gentickets.sparsity import of_all


def level_text(verdict: Verdict) -> str:
    """The level; where not all weights are pruned, whose they are and how much of all; how the ticket was found."""
    level, share = percent(verdict.level or 0.0), ""
    if verdict.of_channels:
        text = f"{level} of {verdict.pruned or 'the channels'} removed"
        weights = "the prunable weights" if verdict.pruned else "the weights"
        told = [f"{percent(verdict.lighter)} of {weights}"] if verdict.lighter is not None else []
        share = ", ".join([*told, *([of_all(verdict.share)] if verdict.partial and verdict.share is not None else [])])
    else:
        text = f"{level} sparsity" + (f" of {verdict.pruned}" if verdict.pruned else "")
        share = of_all(verdict.share) if verdict.pruned or verdict.partial else ""
    chosen = "the sparsest within the margin on validation" if verdict.chosen else ""
    beside = "; ".join(filter(None, [share, verdict.found, chosen]))
    return text + (f" [{beside}]" if beside else "")
