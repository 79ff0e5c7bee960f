"""Summarizes one arm at one round over its seeds, as a row of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gentickets.analysis.costs import swept_name
from gentickets.analysis.difference import Difference, difference_from_dense
from gentickets.analysis.early_stopping import StoppingSteps, stopping_steps
from gentickets.analysis.results import RunResults, Split
from gentickets.analysis.text.cautions import tied
from gentickets.analysis.text.format import Spread, arm_name
from gentickets.arms import BUDGET, WIDTH, reported_as
from gentickets.results import Result


@dataclass(frozen=True)
class Row:
    """One arm at one round, over its seeds."""

    arm: str
    """``dense``, or the arm's name in the run folder."""
    round: int
    sparsity: float
    steps: int
    selection: str
    n: int
    """Seeds that finished."""
    valid: Mapping[str, Spread]
    test: Mapping[str, Spread]
    collapsed: int = 0
    failed: int = 0
    diverged: int = 0
    not_run: int = 0
    honest: bool = False
    """The dense model with the whole search's compute: the row that keeps a report honest."""
    at_level: bool = False
    flops: Mapping[str, float] = field(default_factory=dict)
    """Forward FLOPs per image, ``dense`` and ``masked`` (theoretical)."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Of the first seed: ``kept`` and ``total`` prunable weights, ``all`` parameters of the recipe's networks."""
    why: tuple[str, ...] = ()
    """Sentences about the failed results."""
    name: str = ""
    """The arm as a person writes it."""
    width: int | None = None
    """The networks' width where it is not the recipe's: of a sweep, or of a narrow model (its first seed's)."""
    train: Mapping[str, Spread] = field(default_factory=dict)
    """Figures on the training split, where the recipe asks for them."""
    stops: StoppingSteps | None = None
    """When the trainings would have stopped, where the recipe asks for a curve."""
    tied: Mapping[str, float] = field(default_factory=dict)
    """Group -> the largest share of its weights that tie at the cut, where it matters."""
    apart: Mapping[str, int] = field(default_factory=dict)
    """Figure -> seeds in which it was measured in another way, so that it is left out of the row."""

    difference: Difference | None = None
    """From the dense model, in the run's metric; None for that itself, and where nothing can be compared."""

    @property
    def lighter(self) -> float | None:
        """The removed fraction of the prunable weights; None where it is not known."""
        return 1 - self.weights["kept"] / self.weights["total"] if {"kept", "total"} <= self.weights.keys() else None


def row_of(results: RunResults, arm: str, round: int, figures: Iterable[str], level: int | None) -> Row:
    """The row of an arm at a round; `level` is the claim's."""
    found, done = results.of(arm, round), results.done(arm, round)
    # Where every seed failed, the failed ones still tell sparsity and steps.
    known = done or found
    name = reported_as(arm, round)
    width = {place: wide for wide, place in results.widths}.get(round) if arm == WIDTH else known[0].width
    return Row(
        name,
        round,
        sum(cell.sparsity for cell in known) / len(known),
        max(cell.steps for cell in known),
        known[0].selection,
        len(done),
        _spreads(results, arm, round, figures, "valid"),
        _spreads(results, arm, round, figures, "test"),
        len(results.collapsed(arm, round)),
        sum(cell.status == "failed" for cell in found),
        sum(cell.status == "diverged" for cell in found),
        sum(cell.status == "not run" for cell in found),
        arm == BUDGET,
        level is not None and round == level,
        known[0].flops,
        known[0].weights,
        tuple(dict.fromkeys(f"seed {cell.seed}: {cell.why}" for cell in found if cell.why)),
        swept_name(results, width) if arm == WIDTH else arm_name(name),
        width,
        _spreads(results, arm, round, figures, "train"),
        stopping_steps(results, arm, round),
        _most_tied(done),
        {figure: len(seeds) for figure in figures if (seeds := results.not_comparable(arm, round, figure))},
        difference_from_dense(results, arm, round),
    )


def _spreads(results: RunResults, arm: str, round: int, figures: Iterable[str], split: Split) -> dict[str, Spread]:
    found = {figure: Spread.of(results.values(arm, round, figure, split)) for figure in figures}
    return {figure: spread for figure, spread in found.items() if spread is not None}


def _most_tied(done: Iterable[Result]) -> dict[str, float]:
    most: dict[str, float] = {}
    for cell in done:
        for group, share in tied(cell).items():
            most[group] = max(share, most.get(group, 0.0))
    return most
