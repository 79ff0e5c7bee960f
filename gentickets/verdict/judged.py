"""Judged: a run's verdict with all that it rests on, as the page and `verdict.json` tell it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gentickets.report.words import Spread
from gentickets.statistics import EQUAL_STEPS, UNDECIDED

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Header and rows."""


@dataclass(frozen=True)
class Estimate:
    """A paired loss over seeds: by how much the first is worse than the second; below zero it is better."""

    mean: float
    low: float
    """Ends of the two-sided 95 % t interval; infinite for one seed."""
    high: float
    p: float
    """One-sided, of the test that the loss stands for."""
    n: int
    bootstrap: tuple[float, float] | None = None
    """Ends of the bias-corrected bootstrap interval beside it; None where there are too few seeds."""


@dataclass(frozen=True)
class Against:
    """The ticket against one control."""

    control: str
    arm: str
    """The opponent: the control or its scaled twin; both must be beaten."""
    spread: Spread
    loss: Estimate
    """By how much the ticket is worse than the opponent."""
    beaten: bool
    """Whether the ticket is shown to be better."""
    as_well: bool
    """Whether the control is shown to do as well."""


@dataclass(frozen=True)
class Stage:
    """One level at equal steps, or trained longer."""

    ticket: Spread
    dense: Spread
    loss: Estimate
    """By how much the ticket is worse than the dense model."""
    limit: float
    """The margin in the metric's unit."""
    controls: tuple[Against, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Control -> why it is not compared."""


@dataclass(frozen=True)
class Level:
    """One sparsity level and its word."""

    round: int
    sparsity: float
    word: str
    declared: bool
    """Whether the claim is about this level."""
    sentence: str
    short: Stage | None = None
    """At the recipe's steps."""
    longer: Stage | None = None
    """All arms trained longer."""
    p_wins: float | None = None
    """Holm's p-value over the levels of WINS."""
    p_holds: float | None = None
    """That of being no worse than dense."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """Which of the declared looks at the seeds this is."""

    number: int
    of: int
    alpha: float
    """The error rate of one look: the claim's, shared among the looks."""
    seeds: tuple[int, ...] = ()
    """Numbers of seeds at the looks, the first one first; those to come may be there too."""


@dataclass(frozen=True)
class More:
    """What more seeds would buy."""

    seeds: int | None
    """How many more would decide it; None: more than can be said, or it is decided."""
    minutes: float | None = None
    """What the seeds of the next declared look take by the ledger; where there is none, those that would decide it."""
    curve: tuple[tuple[int, float], ...] = ()
    """(seeds in all, chance of WINS)."""
    decided: tuple[tuple[int, float], ...] = ()
    """(seeds in all, chance of a word that ends the question: any but UNDECIDED, and where all arms train longer but
    WINS AT EQUAL STEPS)."""
    command: str = ""
    """What runs the seeds of the next declared look; empty where there is none."""
    next: int | None = None
    """Seeds in all at the next declared look."""


@dataclass(frozen=True)
class Trained:
    """Whether the dense model, to which the ticket is compared, is itself trained."""

    better_by: Estimate | None = None
    """The dense model trained twice as long against itself, in the metric: below zero longer is better."""
    relative: float | None = None
    """Its mean as a fraction of the dense mean."""
    slope: float | None = None
    """Change over the last quarter of the dense run, as such a fraction: below zero it was getting better."""
    trained: bool | None = None
    """None: not known."""
    sentence: str = ""
    """Empty: `words.trained` says it."""


@dataclass(frozen=True)
class BesideArm:
    """What one arm's trained networks show beside the metric; None where it means nothing or is not known."""

    arm: str
    coverage: Spread | None = None
    recall: Spread | None = None
    latents: str | None = None
    """Active latents, e.g. ``11 of 16``."""
    nearest: float | None = None
    """Distance of samples to the nearest training image, as a multiple of that of test images."""
    copies: float | None = None
    """Share of samples nearer to a training image than 99 % of the test images are."""


@dataclass(frozen=True)
class Between:
    """Straight lines between two trainings from one step's state, a seed each."""

    step: int
    relative: Mapping[int, float]
    """Seed -> barrier, as a fraction of the mean of both ends; not finite where the metric is not."""
    places: tuple[float, ...] = ()
    """Where on the line, 0 to 1."""
    values: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Seed -> the metric at those places."""
    metric: str | None = None
    """None: the claim's."""


@dataclass(frozen=True)
class Beside:
    """What stands beside the verdict: reported, not tested."""

    arms: tuple[BesideArm, ...] = ()
    classes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Arm -> share of each class among its samples, mean over seeds."""
    real: tuple[float, ...] = ()
    """The same of the test images."""
    paths: tuple[Between, ...] = ()
    connected: int | None = None
    """The earliest step from which on two trainings are connected; None: not even from the last."""
    rewind_to: int | None = None
    """The step that tickets are rewound to, which the plot marks."""
    sentences: tuple[str, ...] = ()
    """Empty: `words.beside` says them."""


@dataclass(frozen=True)
class Judged:
    """The verdict of a run."""

    name: str
    path: str
    metric: str | None
    margin: float
    """A fraction of the dense mean."""
    claim: Mapping[str, Any]
    """As declared: metric, margin, level, alpha, sparsities, looks, seeds."""
    hash: str | None
    """SHA-256 of the claim and the recipe, as stored when the run began."""
    stored: bool
    """Whether the claim was stored before the run had results."""
    look: Look
    word: str
    """That of the declared level."""
    status: int
    """Exit status: 0 where the declared level WINS, else 7."""
    sentence: str
    levels: tuple[Level, ...] = ()
    more: More | None = None
    trained: Trained | None = None
    beside: Beside | None = None
    missing: tuple[str, ...] = ()
    """Standard arms that were not run."""
    table: Table = ((), ())
    """Arms at the declared level; empty: made of `levels`."""
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def declared(self) -> Level | None:
        """The level that the claim is about; None where no level is declared."""
        return next((level for level in self.levels if level.declared), None)

    @property
    def told(self) -> Level | None:
        """The level that the page tells in full: the declared one, or else the first."""
        return self.declared or next(iter(self.levels), None)

    @property
    def open(self) -> bool:
        """Whether more seeds may still decide that level."""
        level = self.told
        if level is None:
            return self.word == UNDECIDED
        return level.word == UNDECIDED or (level.word == EQUAL_STEPS and level.longer is not None)

    @property
    def seeds(self) -> int:
        """Seeds that the verdict rests on."""
        return self.told.short.loss.n if self.told is not None and self.told.short is not None else 0

    @property
    def first(self) -> tuple[Level, ...]:
        """All levels, the declared one before the others."""
        return tuple(sorted(self.levels, key=lambda level: not level.declared))
