"""Gathers transfers of several sources into several targets: a verdict and its numbers for each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gentickets.analysis.contrast import relative
from gentickets.analysis.plain import View, own, plain
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import (
    DASH,
    Spread,
    decimals,
    metric_name,
    percent,
    plus_minus,
    signed_percent,
    with_loss,
)
from gentickets.analysis.transfer_levels import UNDECIDED, TransferLevel
from gentickets.analysis.written import SPREAD
from gentickets.errors import TicketError
from gentickets.table import Table

FORMAT = 1


@dataclass(frozen=True)
class BestRandom:
    """The random ticket that is best on validation."""

    arm: str
    spread: Spread


@dataclass(frozen=True)
class MatrixPair:
    """One source's ticket in one target."""

    source: str
    target: str
    word: str
    sentence: str
    metric: str | None = None
    round: int | None = None
    sparsity: float | None = None
    """Of the level: that of the target's own ticket."""
    carried: float | None = None
    """Of the target with the transferred ticket in it."""
    covered: float | None = None
    n: int = 0
    """Seeds."""
    ticket: Spread | None = None
    dense: Spread | None = None
    native: Spread | None = None
    best: BestRandom | None = None
    to_dense: float | None = None
    to_native: float | None = None
    to_best: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Pairs of sources and targets; not every one need be there."""

    pairs: tuple[MatrixPair, ...]

    @property
    def sources(self) -> list[str]:
        """The rows, in the order in which they came."""
        return list(dict.fromkeys(pair.source for pair in self.pairs))

    @property
    def targets(self) -> list[str]:
        """The columns."""
        return list(dict.fromkeys(pair.target for pair in self.pairs))

    def at(self, source: str, target: str) -> MatrixPair | None:
        """The pair of a row and a column; None where it was not run."""
        return next((pair for pair in self.pairs if (pair.source, pair.target) == (source, target)), None)

    def grid(self) -> Table:
        """Sources as rows, targets as columns: the word, and the loss against the best random ticket."""
        found = [[source, *(_short(self.at(source, target)) for target in self.targets)] for source in self.sources]
        return Table(["from / to", *self.targets], found)

    def table(self) -> Table:
        """A line for each pair, with its numbers; losses in percent of what the transferred ticket is compared with."""
        header = ["from", "to", "", "at", "seeds", "figure", "transferred", "dense (loss)", "native (loss)",
                  "best random (loss)"]  # fmt: skip
        return Table(header, [_line(pair) for pair in self.pairs])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `matrix.json` holds them."""
        told: dict[str, Any] = plain(self, MATRIX)
        return told


MATRIX: View = {Matrix: {"format": FORMAT, **own("sources", "targets"), "cells": "pairs"}, Spread: SPREAD}
"""What `matrix.json` has of its records."""


def matrix_of(
    found: Sequence[tuple[str, str, Summary]],
    skipped: Mapping[tuple[str, str], str] | None = None,
    round: int | None = None,
) -> Matrix:
    """The matrix of (source, target, summary of the transfer), at a round, else at each claim's, else the last.

    `skipped` says of pairs (source, target) why nothing was carried over. Raises TicketError without any pair, or
    where one comes twice.
    """
    skipped = skipped or {}
    names = [*((source, target) for source, target, _ in found), *skipped]
    if not names:
        raise TicketError("a matrix needs at least one source and one target")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TicketError(f"the matrix has {twice[0]} to {twice[1]} twice; each pair stands in it once")
    pairs = [_pair(source, target, summary, round) for source, target, summary in found]
    pairs += [
        MatrixPair(*name, UNDECIDED, f"Nothing is carried over: {why.rstrip('.')}.") for name, why in skipped.items()
    ]
    return Matrix(tuple(pairs))


def _pair(source: str, target: str, summary: Summary, round: int | None) -> MatrixPair:
    whole = summary.transfer
    level = whole.at(summary.verdict.round if round is None else round) if whole else None
    if whole is None or level is None:
        return MatrixPair(source, target, UNDECIDED, "Nothing is carried over: the run has no transfer.")
    return _of_level(MatrixPair(source, target, level.word, level.sentence, whole.metric), level)


def _of_level(pair: MatrixPair, level: TransferLevel) -> MatrixPair:
    trial, best, native = level.trial, level.best_random, level.spreads.get("ticket")
    dense = trial.dense if trial else None
    return MatrixPair(
        pair.source,
        pair.target,
        pair.word,
        pair.sentence,
        pair.metric,
        level.round,
        level.native_sparsity,
        level.sparsity,
        level.covered,
        level.seeds,
        trial.ticket if trial else None,
        dense,
        native,
        BestRandom(best.arm, best.spread) if best else None,
        relative(trial.loss if trial else None, dense),
        relative(level.native, native),
        relative(best.loss if best else None, best.spread if best else None),
    )


def _short(pair: MatrixPair | None) -> str:
    if pair is None:
        return DASH
    return pair.word if pair.to_best is None else f"{pair.word} {signed_percent(pair.to_best)}"


def _line(pair: MatrixPair) -> list[str]:
    places = decimals([pair.ticket, pair.dense, pair.native])
    return [
        pair.source,
        pair.target,
        pair.word,
        percent(pair.sparsity) if pair.sparsity is not None else DASH,
        str(pair.n),
        metric_name(pair.metric) if pair.metric else DASH,
        plus_minus(pair.ticket, places),
        with_loss(pair.dense, pair.to_dense, places),
        with_loss(pair.native, pair.to_native, places),
        with_loss(pair.best.spread if pair.best else None, pair.to_best, places),
    ]
