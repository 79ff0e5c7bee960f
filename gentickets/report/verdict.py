"""Verdict and what it rests on: paired comparisons over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gentickets.report.words import Spread
from gentickets.statistics import EQUAL_STEPS, LEAST_SEEDS, WINS, Values, less, p_below, upper_bound

ALPHA = 0.05
"""The size of a single test, where nothing else is declared."""
NO_CLAIM = "no claim"


@dataclass(frozen=True)
class Paired:
    """A paired comparison over seeds: by how much the first is worse than the second; below zero it is better."""

    mean: float
    bound: float
    """The one-sided t bound of the mean, from above, at 1 - alpha; infinite for a single seed."""
    p: float
    """One-sided: the chance of a loss this low if the first were no better than the second."""
    n: int


def paired(
    first: Mapping[int, float], second: Mapping[int, float], *, higher: bool = False, alpha: float = ALPHA
) -> Paired | None:
    """Compare two arms (seed -> value) over the seeds that both have; None without one (Student, 1908).

    The loss of a seed is first minus second, and second minus first where `higher` is better. The bound is
    mean + t(1 - alpha, n - 1) sd / sqrt(n), and the mean itself where every seed gives the same.
    """
    losses = losses_of(first, second, higher)
    if not losses.size:
        return None
    mean = math.fsum(losses) / losses.size
    return Paired(mean, float(upper_bound(losses, alpha)), float(p_below(losses)), losses.size)


@dataclass(frozen=True)
class Interval:
    """A paired difference over seeds with its two-sided 95 % interval; below zero the first is better."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def word(self) -> str:
        """``better``, ``worse``, or ``not told apart``."""
        if self.n < LEAST_SEEDS or self.low <= 0 <= self.high:
            return "not told apart"
        return "better" if self.high < 0 else "worse"


def interval(first: Mapping[int, float], second: Mapping[int, float], *, higher: bool = False) -> Interval | None:
    """By how much the first of two arms is worse, as `paired` has it: mean +- t(0.975, n - 1) sd / sqrt(n)."""
    losses = losses_of(first, second, higher)
    if not losses.size:
        return None
    mean, side = math.fsum(losses) / losses.size, ALPHA / 2
    return Interval(mean, -float(upper_bound(-losses, side)), float(upper_bound(losses, side)), losses.size)


def losses_of(first: Mapping[int, float], second: Mapping[int, float], higher: bool) -> NDArray[np.float64]:
    """The losses of seeds that both have, by seed: first minus second, and the other way where ``higher`` is better."""
    seeds = sorted(first.keys() & second.keys())
    losses = less([first[seed] for seed in seeds], [second[seed] for seed in seeds])
    return -losses if higher else losses


@dataclass(frozen=True)
class Comparison:
    """The ticket against one control."""

    control: str
    arm: str
    """The opponent: the control, or its scaled twin (see `against`)."""
    spread: Spread
    loss: Paired
    """By how much the ticket is worse than the control."""
    as_well: bool = False
    """Whether the control is shown to be worse than the ticket by less than the margin."""

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough to say."""
        return self.loss.n >= LEAST_SEEDS

    @property
    def beaten(self) -> bool:
        """Whether the ticket is shown to be better."""
        return self.tested and self.loss.bound < 0


@dataclass(frozen=True)
class Trial:
    """Ticket, dense and controls after equal steps."""

    ticket: Spread
    dense: Spread
    loss: Paired
    """By how much the ticket is worse than the dense model."""
    limit: float
    """The margin in the metric's unit: the bound must stay under it."""
    bound: float
    """The one-sided bound of the paired loss, which also knows that the margin is a share of an uncertain mean."""
    alpha: float = ALPHA
    """The size at which everything in it is tested: bounds are at 1 - alpha."""
    controls: tuple[Comparison, ...] = ()
    twins: tuple[Comparison, ...] = ()
    """The controls' other versions, scaled or not, which must be beaten too."""
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Control -> why it is not compared."""
    matched: Comparison | None = None
    """The narrow network from scratch with the FLOPs of search and ticket: told, but no opponent at equal steps."""

    @property
    def holds(self) -> bool:
        """Whether the bound of the paired loss is under the margin."""
        return self.bound < self.limit

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with what follows from them."""
        plain: dict[str, Any] = finite(asdict(self))
        plain["holds"] = self.holds
        for name, those in (("controls", self.controls), ("twins", self.twins)):
            for entry, other in zip(plain[name], those, strict=True):
                entry["beaten"] = other.beaten if other.tested else None
        if self.matched is not None:
            plain["matched"]["beaten"] = self.matched.beaten if self.matched.tested else None
        return plain


def trial_of(
    ticket: Mapping[int, float], dense: Mapping[int, float], margin: float, *, higher: bool, alpha: float = ALPHA
) -> Trial | None:
    """A ticket held against the dense model over the seeds that both have; None without one.

    ``margin`` is a fraction of the dense value, taken seed by seed. Where the metric may be below zero, as a negative
    log-likelihood of continuous data, it is a fraction of its size.
    """
    loss, of_ticket, of_dense = paired(ticket, dense, higher=higher, alpha=alpha), Spread.of(ticket), Spread.of(dense)
    if loss is None or of_ticket is None or of_dense is None:
        return None
    room = {seed: margin * abs(value) for seed, value in dense.items() if seed in ticket}
    limit = math.fsum(room.values()) / len(room)
    beyond = losses_of(ticket, dense, higher) - np.array([room[seed] for seed in sorted(room)])
    return Trial(of_ticket, of_dense, loss, limit, limit + float(upper_bound(beyond, alpha)), alpha)


def values_of(trial: Trial, higher: bool) -> Values:
    """The trial's arms as arrays over its seeds, less being better; only over the seeds that all of them have."""
    others = (*trial.controls, *trial.twins)
    arms = [trial.ticket, trial.dense, *(other.spread for other in others)]
    seeds = sorted(set.intersection(*(set(arm.values) for arm in arms)))
    sign = -1.0 if higher else 1.0
    ticket, dense, *controls = (sign * np.array([arm.values[seed] for seed in seeds]) for arm in arms)
    names = (other.arm for other in others)
    return Values(ticket, dense, dict(zip(names, controls, strict=True)))


@dataclass(frozen=True)
class Level:
    """One sparsity and its word."""

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

    def as_dict(self) -> dict[str, Any]:
        """Plain values; an infinite bound becomes null."""
        plain: dict[str, Any] = finite(asdict(self))
        for name, trial in (("short", self.short), ("longer", self.longer)):
            if trial is not None:
                plain[name] = trial.as_dict()
        return plain


@dataclass(frozen=True)
class Verdict:
    """The claim, judged. All of it on the test split, but for the choice of level and of scaled twins."""

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
    levels: tuple[Level, ...] = ()
    """Every level that was declared to get a word, the claim's among them."""
    notes: tuple[str, ...] = ()
    partial: bool = False
    """Whether the prunable weights are so few that the share of all parameters stands beside every sparsity."""

    @property
    def wins(self) -> bool:
        """Whether the word is a win, at equal steps at least (statuses of the command line count by it)."""
        return self.word in (WINS, EQUAL_STEPS)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `report.json`; an infinite bound becomes null."""
        plain: dict[str, Any] = finite(asdict(self))
        for name, trial in (("short", self.short), ("longer", self.longer)):
            if trial is not None:
                plain[name] = trial.as_dict()
        plain["levels"] = [level.as_dict() for level in self.levels]
        return plain


def finite(value: Any) -> Any:
    """Plain JSON values: mappings and lists throughout, and null for a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def relative(loss: Paired | Interval | None, reference: Spread | None) -> float | None:
    """A loss in percent of what it is held against; None where one of them is missing, or that mean is 0."""
    if loss is None or reference is None or reference.mean == 0:
        return None
    return 100 * loss.mean / abs(reference.mean)
