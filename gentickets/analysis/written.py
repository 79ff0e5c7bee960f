"""What `report.json` has of the records of a report: the view that `plain` and the schema of that file go by."""

from __future__ import annotations

from dataclasses import dataclass

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.plain import View, fields_of, own
from gentickets.analysis.transfer_levels import TransferLevel
from gentickets.analysis.verdict import Comparison, LevelVerdict, Trial


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


REPORT: View = {
    Contrast: own("mean", "bound", "p", "n"),
    Comparison: {**own("control", "arm", "spread", "loss", "as_well"), "beaten": _beaten},
    Trial: {
        **own("ticket", "dense", "loss", "limit", "bound"),
        "alpha": "loss.size",
        **own("controls"),
        "twins": "variants",
        **own("unfinished", "matched", "holds"),
    },
    LevelVerdict: fields_of(LevelVerdict, "declared", "sentence"),
    TransferLevel: {
        **fields_of(TransferLevel),
        "native": _against_native,
        "explained_by_weights": "explained_by_weights",
    },
}
