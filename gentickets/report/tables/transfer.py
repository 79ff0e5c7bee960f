"""Builds the tables of a transfer: its outcome level by level, and what every layer got."""

from __future__ import annotations

from gentickets.analysis.contrast import Contrast, relative
from gentickets.analysis.text.format import DASH, Spread, decimals, fixed, metric_name, percent, plus_minus, with_loss
from gentickets.analysis.transfer_levels import TransferLevel, TransferVerdict
from gentickets.analysis.trial import Comparison
from gentickets.report.tables.verdict import seeds_ahead
from gentickets.table import Table

SPARE = ("minimum", "maximum", "ahead of dense", "ahead of random", "without mask", "mask alone")
"""Columns that a narrow terminal can do without."""


def level_table(whole: TransferVerdict) -> Table:
    """A line for each level: the verdict, and means with their spreads; of random tickets the best on validation.

    In brackets the mean paired loss in percent of that mean: below zero the transferred ticket is better.
    """
    places = decimals(spread for level in whole.levels for spread in level.spreads.values())
    metric = metric_name(whole.metric) if whole.metric else "no figure"
    header = [
        "level", "", "its sparsity", "seeds", f"{metric}, transferred", "minimum", "maximum", "dense (loss)",
        "ahead of dense", "native (loss)", "best random (loss)", "ahead of random", "without mask", "mask alone",
    ]  # fmt: skip
    return Table(header, [_line(level, places) for level in whole.levels], spare=SPARE)


def _line(level: TransferLevel, places: int) -> list[str]:
    trial, best = level.trial, level.best_random
    return [
        percent(level.native_sparsity),
        level.word,
        percent(level.sparsity) if level.sparsity is not None else DASH,
        str(level.seeds),
        plus_minus(trial.ticket if trial else None, places),
        *_ends(trial.ticket if trial else None, places),
        with_loss(trial.dense if trial else None, relative(trial.loss, trial.dense) if trial else None, places),
        _ahead(trial.loss if trial else None),
        with_loss(level.spreads.get("ticket"), relative(level.native, level.spreads.get("ticket")), places),
        with_loss(best.spread if best else None, relative(best.loss, best.spread) if best else None, places),
        _ahead(best.loss if best else None),
        _beside(level.unmasked, places),
        _beside(level.mask, places),
    ]


def _ends(spread: Spread | None, places: int) -> tuple[str, str]:
    """The smallest and the largest value of a seed."""
    return (DASH, DASH) if spread is None else (fixed(spread.minimum, places), fixed(spread.maximum, places))


def _ahead(loss: Contrast | None) -> str:
    """In how many seeds the transferred ticket is better."""
    return DASH if loss is None else seeds_ahead(loss)


def _beside(other: Comparison | None, places: int) -> str:
    return plus_minus(other.spread, places) if other else DASH


def layer_table(whole: TransferVerdict) -> Table:
    """A line for each of the target's layers: where what it got came from, and densities on both sides."""
    header = ["layer of the target", "from", "got", "weights", "kept in the source", "kept here"]
    rows = [
        [
            str(entry.get("target")),
            str(entry.get("source") or DASH),
            str(entry.get("got")),
            f"{int(entry.get('weights') or 0):,}",
            percent(float(entry["density"])) if entry.get("density") is not None else DASH,
            percent(entry["kept"] / entry["weights"]) if entry.get("weights") and "kept" in entry else DASH,
        ]
        for entry in whole.layers
    ]
    return Table(header, rows)
