"""Defines the verdict on a claim and the tested comparisons that it rests on.

A `Comparison` holds the ticket against one control and its scaled variant; a `Trial` against dense and all controls; a
`LevelVerdict` is the verdict on one sparsity; a `Verdict` is that on the claim. What is tested in each is a `Contrast`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gentickets.analysis.contrast import ALPHA, Contrast, losses_of
from gentickets.analysis.text.format import Spread
from gentickets.statistics import EQUAL_STEPS, LEAST_SEEDS, WINS, Values

NO_CLAIM = "no claim"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The ticket against one control."""

    control: str
    arm: str
    """The arm that is compared: the control, or its scaled variant (see `analysis.comparison`)."""
    spread: Spread
    loss: Contrast
    """By how much the ticket is worse than the control."""
    as_well: bool = False
    """Whether the control is shown to be worse than the ticket by less than a part of the margin."""
    variant: Comparison | None = None
    """The control's other version, scaled or not, which must be beaten too; None where only one has run."""

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough to say."""
        return self.loss.n >= LEAST_SEEDS

    @property
    def beaten(self) -> bool:
        """Whether the ticket is shown to be better."""
        return self.tested and self.loss.bound < 0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Ticket, dense and controls after equal steps."""

    ticket: Spread
    dense: Spread
    loss: Contrast
    """By how much the ticket is worse than the dense model."""
    beyond: Contrast
    """The same less the margin, seed by seed, so that the scatter of the dense mean is in it: what is tested."""
    limit: float
    """The margin in the metric's unit."""
    controls: tuple[Comparison, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Control -> why it is not compared."""
    matched: Comparison | None = None
    """The narrow network from scratch with the FLOPs of search and ticket: reported, but not judged at equal steps."""

    @property
    def bound(self) -> float:
        """The one-sided bound of the loss by that test: the claim holds where it is under the limit."""
        return self.limit + self.beyond.bound

    @property
    def holds(self) -> bool:
        """Whether the bound of the paired loss is under the margin."""
        return self.bound < self.limit

    @property
    def p(self) -> float:
        """Of being worse than dense by the margin or more; with too few seeds for that test, of being worse at all."""
        return self.beyond.p if self.loss.n >= LEAST_SEEDS else self.loss.p

    @property
    def variants(self) -> tuple[Comparison, ...]:
        """The controls' other versions."""
        return tuple(other.variant for other in self.controls if other.variant is not None)


def trial_of(
    ticket: Mapping[int, float], dense: Mapping[int, float], margin: float, *, higher: bool, alpha: float = ALPHA
) -> Trial | None:
    """Compare a ticket with the dense model over the seeds that both have; None without one.

    ``margin`` is a fraction of the dense value, taken seed by seed. Where the metric may be below zero, as a negative
    log-likelihood of continuous data, it is a fraction of its size.
    """
    losses, of_ticket, of_dense = losses_of(ticket, dense, higher), Spread.of(ticket), Spread.of(dense)
    room = {seed: margin * abs(value) for seed, value in sorted(dense.items()) if seed in ticket}
    loss, beyond = Contrast.of(losses, alpha), Contrast.of(losses - np.array([*room.values()]), alpha)
    if loss is None or beyond is None or of_ticket is None or of_dense is None:
        return None
    limit = math.fsum(room.values()) / len(room)
    return Trial(ticket=of_ticket, dense=of_dense, loss=loss, beyond=beyond, limit=limit)


def values_of(trial: Trial, higher: bool) -> Values:
    """The trial's arms as arrays over its seeds, less being better; only over the seeds that all of them have."""
    others = (*trial.controls, *trial.variants)
    arms = [trial.ticket, trial.dense, *(other.spread for other in others)]
    seeds = sorted(set.intersection(*(set(arm.values) for arm in arms)))
    sign = -1.0 if higher else 1.0
    ticket, dense, *controls = (sign * np.array([arm.values[seed] for seed in seeds]) for arm in arms)
    names = (other.arm for other in others)
    return Values(ticket, dense, dict(zip(names, controls, strict=True)))


@dataclass(frozen=True, kw_only=True)
class LevelVerdict:
    """The verdict on one sparsity."""

    round: int
    sparsity: float
    word: str
    """One of `statistics`' words."""
    reasons: tuple[str, ...] = ()
    """Why it has that word where the seeds' values alone do not say it, and what was not compared."""
    tested: bool = False
    """Whether there is enough to test."""
    short: Trial | None = None
    """At the recipe's steps."""
    longer: Trial | None = None
    """The same, all arms trained longer."""
    p_wins: float | None = None
    """Of a win, by Holm's correction over the levels; also when trained longer, where that was asked."""
    p_holds: float | None = None
    """Of being no worse than dense, by Holm's correction."""
    share: float | None = None
    """The removed prunable weights as a fraction of all parameters."""
    declared: bool = False
    """Whether the claim is about this level."""
    sentence: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The claim, judged. All of it on the test split, but for the choice of level and of scaled variants."""

    word: str
    """One of `statistics`' words, or ``no claim``: the declared level's."""
    sentence: str
    metric: str | None = None
    margin: float | None = None
    """As declared, a fraction of the dense mean."""
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
    """Controls of the same widths, or narrow from scratch, that the ticket does not beat: a narrower network explains
    it (Trap 21a)."""
    found: str | None = None
    """How the ticket was found, where it is not by iterative magnitude pruning: ``found at the start by SNIP``."""
    chosen: bool = False
    """Whether the level was left to validation rather than declared."""
    seeds: int = 0
    short: Trial | None = None
    """At the recipe's steps."""
    longer: Trial | None = None
    """The same, all arms trained longer."""
    budget: Spread | None = None
    """A dense model given the whole search's compute."""
    tested: bool = False
    """Whether there is enough to test; where not, the sentence says why."""
    levels: tuple[LevelVerdict, ...] = ()
    """Every level that was declared to get a word, the claim's among them."""
    notes: tuple[str, ...] = ()
    partial: bool = False
    """Whether the prunable weights are so few that the share of all parameters stands beside every sparsity."""

    @property
    def wins(self) -> bool:
        """Whether the word is a win, at equal steps at least (statuses of the command line count by it)."""
        return self.word in (WINS, EQUAL_STEPS)
