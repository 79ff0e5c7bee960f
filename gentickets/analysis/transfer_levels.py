"""Holds the verdict of a transfer: level by level, and what every layer got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.text.format import Spread
from gentickets.analysis.trial import Comparison, Trial

TRANSFERS, NEUTRAL, HURTS, UNDECIDED = "TRANSFERS", "NEUTRAL", "HURTS", "UNDECIDED"


@dataclass(frozen=True)
class TransferLevel:
    """A transferred ticket at one round of the target, judged; all on test, but for the choice of scaled variants."""

    round: int
    word: str
    """``TRANSFERS``, ``NEUTRAL``, ``HURTS`` or ``UNDECIDED``."""
    sentence: str
    native_sparsity: float
    """Of the target's own ticket at that round."""
    sparsity: float | None
    """Of the target with the transferred ticket in it; None before one is there."""
    covered: float | None = None
    """The share of the target's prunable weights that got something."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The first seed's: ``source``, ``family``, ``data``, ``seed``, ``round`` and ``sparsity`` of its ticket."""
    tickets: int | None = None
    """How many different tickets of the source serve the seeds; None where it is not told."""
    trial: Trial | None = None
    """Against dense, and against every sparse random ticket beside it (``controls``)."""
    native: Contrast | None = None
    """Against the native ticket."""
    unmasked: Comparison | None = None
    """Against the same weights without the mask."""
    mask: Comparison | None = None
    """Against the mask alone on the target's own weights."""
    longer: Trial | None = None
    """Transferred ticket and dense model, both trained longer."""
    best: str | None = None
    """The arm of the random ticket that is best on validation."""
    hurt_by: tuple[str, ...] = ()
    """Arms of random tickets that are shown to be better."""
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    """``dense`` and every arm that is there at this round -> the figure on test."""
    notes: tuple[str, ...] = ()
    native_share: float | None = None
    """The target's own ticket's removed share of all parameters, where it stands beside its sparsity."""
    share: float | None = None
    """The same of the transferred ticket."""

    @property
    def seeds(self) -> int:
        """Over how many it is compared with the dense model."""
        return self.trial.loss.n if self.trial else 0

    @property
    def best_random(self) -> Comparison | None:
        """Against the random ticket that is best on validation."""
        controls = self.trial.controls if self.trial else ()
        return next((other for other in controls if other.arm == self.best), None)

    @property
    def explained_by_weights(self) -> bool | None:
        """Whether a ticket that TRANSFERS does so without its mask too; None where that is not known."""
        if self.word != TRANSFERS or self.unmasked is None or not self.unmasked.tested:
            return None
        return not self.unmasked.beaten


@dataclass(frozen=True)
class TransferVerdict:
    """The outcome of a transfer: a verdict for each level, and what every layer got."""

    metric: str | None
    margin: float
    """Of the dense mean."""
    claimed: bool
    """Whether metric and margin were declared in [claim]; else they are the report's choice."""
    moves: str
    """``weights``, ``mask``, ``signs`` or ``trained``."""
    match: str | None = None
    partial: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)
    """As of a level; that of the layers."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Path in the source -> path in the target."""
    levels: tuple[TransferLevel, ...] = ()
    """By round."""
    layers: tuple[Mapping[str, Any], ...] = ()
    """What each of the target's layers got in the first seed, at the claim's round (else the last)."""
    left: tuple[str, ...] = ()
    """Sentences on the layers that got nothing."""
    covered: float | None = None
    """The share of the target's prunable weights that got something."""
    notes: tuple[str, ...] = ()
    """What was noticed about the source when it was gathered."""

    def at(self, round: int | None) -> TransferLevel | None:
        """The level of a round; where there is none (or it is None), the last one."""
        found = [level for level in self.levels if level.round == round] or list(self.levels)
        return found[-1] if found else None

    @property
    def sentences(self) -> list[str]:
        """One for each level, by round."""
        return [level.sentence for level in self.levels]
