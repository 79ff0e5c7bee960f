"""What `report.json` has of the records of a report: the view that `plain` and the schema of that file go by."""

from __future__ import annotations

from dataclasses import dataclass

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.plain import View, fields_of, own
from gentickets.analysis.tested import LevelPart, Side, Tested
from gentickets.analysis.text.format import Spread
from gentickets.analysis.transfer_levels import TransferLevel
from gentickets.analysis.trial import Comparison, Trial
from gentickets.analysis.verdict import LevelVerdict


@dataclass(frozen=True)
class Interval:
    """A paired loss with the ends of its two-sided 95 % t interval: below zero the first is better."""

    mean: float
    low: float
    high: float
    n: int
    """Seeds."""


def _beaten(other: Comparison) -> bool | None:
    """Whether the ticket is shown to be better; null under three seeds."""
    return other.beaten if other.tested else None


def _against_native(level: TransferLevel) -> Interval | None:
    """Against the native ticket."""
    loss = level.native
    return None if loss is None else Interval(loss.mean, loss.low, loss.high, loss.n)


SPREAD = own("mean", "sd", "n", "minimum", "maximum", "values")
"""A spread over seeds."""

REPORT: View = {
    Spread: SPREAD,
    Contrast: own("mean", "bound", "p", "n"),
    Comparison: {**own("control", "arm", "spread", "loss"), "beaten": _beaten},
    Trial: {
        **own("ticket", "dense", "loss", "limit", "bound"),
        "alpha": "loss.size",
        **own("controls", "unfinished", "holds"),
    },
    LevelPart: own("ticket", "dense", "margin", "lead", "against", "controls", "unfinished", "matched"),
    Tested: own("arm", "control", "declared", "spread", "loss", "good", "bad"),
    Side: own("repeated", "size", "limit", "shown"),
    LevelVerdict: fields_of(LevelVerdict, "declared", "sentence", "nodes"),
    TransferLevel: {
        **fields_of(TransferLevel),
        "native": _against_native,
        "explained_by_weights": "explained_by_weights",
    },
}
