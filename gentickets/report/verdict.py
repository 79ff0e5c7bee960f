"""Verdict and what it rests on: paired comparisons over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scipy import stats

from gentickets.report.words import Spread

CONFIDENCE = 0.95
LEAST_SEEDS = 3
"""With fewer, nothing is decided: no claim, and no comparison."""


@dataclass(frozen=True)
class Paired:
    """A paired comparison over seeds: by how much the first is worse than the second; below zero it is better."""

    mean: float
    bound: float
    """The one-sided 95 % t bound of the mean, from above; infinite for a single seed."""
    p: float
    """One-sided: the chance of a loss this low if the first were no better than the second."""
    n: int


def paired(first: Mapping[int, float], second: Mapping[int, float], *, higher: bool = False) -> Paired | None:
    """Compare two arms (seed -> value) over the seeds that both have; None without one (Student, 1908).

    The loss of a seed is first minus second, and second minus first where `higher` is better. The bound is
    mean + t(0.95, n - 1) sd / sqrt(n), and the mean itself where every seed gives the same.
    """
    mean, error, n = _differences(first, second, higher)
    if n == 0:
        return None
    if n == 1:
        return Paired(mean, math.inf, 1.0, n)
    if error == 0:
        return Paired(mean, mean, 0.0 if mean < 0 else 1.0, n)
    bound = mean + float(stats.t.ppf(CONFIDENCE, n - 1)) * error
    return Paired(mean, bound, float(stats.t.cdf(mean / error, n - 1)), n)


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
    mean, error, n = _differences(first, second, higher)
    if n == 0:
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error if n > 1 else math.inf
    return Interval(mean, mean - half, mean + half, n)


def _differences(first: Mapping[int, float], second: Mapping[int, float], higher: bool) -> tuple[float, float, int]:
    """Mean, standard error and number of the losses of seeds that both have."""
    sign = -1.0 if higher else 1.0
    losses = [sign * (first[seed] - second[seed]) for seed in sorted(first.keys() & second.keys())]
    n = len(losses)
    mean = math.fsum(losses) / n if n else math.nan
    return mean, statistics.stdev(losses) / math.sqrt(n) if n > 1 else math.nan, n


@dataclass(frozen=True)
class Comparison:
    """The ticket against one control."""

    control: str
    arm: str
    """The opponent: the control, or its scaled twin where that is better on validation."""
    spread: Spread
    loss: Paired
    """By how much the ticket is worse than the control."""

    @property
    def tested(self) -> bool:
        """Whether there are seeds enough to say."""
        return self.loss.n >= LEAST_SEEDS

    @property
    def beaten(self) -> bool:
        """Whether the ticket is better, at 5 %."""
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
    controls: tuple[Comparison, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Control -> why it is not compared."""
    matched: Comparison | None = None
    """The narrow network from scratch with the FLOPs of search and ticket: told, but no opponent at equal steps."""

    @property
    def holds(self) -> bool:
        """Whether the bound of the paired loss is under the margin."""
        return self.loss.bound < self.limit

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with what follows from them."""
        plain: dict[str, Any] = finite(asdict(self))
        plain["holds"] = self.holds
        for entry, other in zip(plain["controls"], self.controls, strict=True):
            entry["beaten"] = other.beaten if other.tested else None
        if self.matched is not None:
            plain["matched"]["beaten"] = self.matched.beaten if self.matched.tested else None
        return plain


@dataclass(frozen=True)
class Verdict:
    """The claim, judged. All of it on the test split, but for the choice of level and of scaled twins."""

    word: str
    """``wins``, ``wins at equal steps``, ``faster``, ``matches`` (holds, but is not shown to be better than
    every control), ``holds``, ``fails`` (does not hold), ``undecided`` (too few seeds, unfinished, or ticket and
    dense model both collapsed) or ``no claim``."""
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
    notes: tuple[str, ...] = ()

    @property
    def wins(self) -> bool:
        """Whether the word is a win, at equal steps at least (statuses of the command line count by it)."""
        return self.word in ("wins", "wins at equal steps")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `report.json`; an infinite bound becomes null."""
        plain: dict[str, Any] = finite(asdict(self))
        for name, trial in (("short", self.short), ("longer", self.longer)):
            if trial is not None:
                plain[name] = trial.as_dict()
        return plain


def finite(value: Any) -> Any:
    """Plain JSON values: mappings and lists throughout, and null for a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
