"""Defines the verdict on a claim: on each sparsity, and on the one that the claim is about.

What was tested is in `analysis.tested`; what it means and what to do now stands in `analysis.text.meanings`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gentickets.analysis.tested import LevelPart, Node
from gentickets.analysis.text.format import Spread
from gentickets.statistics import (
    EQUAL_STEPS,
    WINS,
)

NO_CLAIM = "no claim"
NO_VERDICT = "no verdict"
"""Where there are metrics and intervals alone: exploration, and runs whose rule cannot be applied any more."""


@dataclass(frozen=True, kw_only=True)
class LevelVerdict:
    """The verdict on one sparsity."""

    round: int
    sparsity: float
    word: str
    """The verdict: one of `statistics`' names."""
    reasons: tuple[str, ...] = ()
    """Why it has that verdict where the seeds' values alone do not say it, and why it is not deeper."""
    tested: bool = False
    """Whether there is enough to test."""
    short: LevelPart | None = None
    """At the recipe's steps."""
    longer: LevelPart | None = None
    """The same, all arms trained longer."""
    longer_reasons: tuple[str, ...] = ()
    """Why longer training is not tested."""
    longer_tested: bool = False
    weight: float | None = None
    """The level's part of alpha."""
    size: float | None = None
    """At which its praise was tested, by weighted Holm over the levels."""
    blame: float | None = None
    """At which each kind of its blame was tested."""
    unsteady: bool = False
    """Whether the ticket's seeds scatter too far for any praise."""
    nodes: tuple[Node, ...] = ()
    """All verdicts with their null hypotheses."""
    share: float | None = None
    """The removed prunable weights as a fraction of all parameters."""
    declared: bool = False
    """Whether the claim is about this level."""
    sentence: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The claim, judged. All of it on the test split, but for the choice of a level on validation."""

    word: str
    """The verdict on the declared level: one of `statistics`' names, ``no claim`` or ``no verdict``."""
    sentence: str
    metric: str | None = None
    margin: float | None = None
    """As declared."""
    unit: str | None = None
    """What margin and lead are in, as declared."""
    round: int | None = None
    level: float | None = None
    """The sparsity at that round."""
    pruned: str | None = None
    """Whose weights that sparsity is of, where the recipe does not prune all: ``the generator's weights``."""
    share: float | None = None
    """The removed prunable weights as a fraction of all parameters."""
    of_channels: bool = False
    """Whether the level is a removed share of channels, rather than of weights."""
    lighter: float | None = None
    """The removed share of the prunable weights, where the level is one of channels."""
    explained_by: tuple[str, ...] = ()
    """Controls of the same widths, or narrow from scratch, that the ticket is not ahead of: a narrower network explains
    it (Trap 21a)."""
    found: str | None = None
    """How the ticket was found, where it is not by iterative magnitude pruning: ``found at the start by SNIP``."""
    chosen: bool = False
    """Whether the level was left to validation rather than declared."""
    seeds: int = 0
    short: LevelPart | None = None
    """At the recipe's steps."""
    longer: LevelPart | None = None
    """The same, all arms trained longer."""
    budget: Spread | None = None
    """A dense model given the whole search's compute."""
    tested: bool = False
    """Whether there is enough to test; where not, the sentence says why."""
    levels: tuple[LevelVerdict, ...] = ()
    """Every level that was declared to get a verdict, the claim's among them."""
    notes: tuple[str, ...] = ()
    partial: bool = False
    """Whether the prunable weights are so few that the share of all parameters stands beside every sparsity."""
    edition: int = 2
    """Of the rule that the verdict is by."""

    def __repr__(self) -> str:
        return f"Verdict({self.word}, {len(self.levels)} levels)"

    @property
    def wins(self) -> bool:
        """Whether it is a win, at equal steps at least."""
        return self.word in (WINS, EQUAL_STEPS)
