"""Holds the verdict of a run with its diagnostics, as the page and `verdict.json` show it. Torch-free.

What is tested is defined in `analysis.verdict`: levels, trials and contrasts are those records, not copies of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.text.format import Spread
from gentickets.analysis.verdict import LevelVerdict
from gentickets.errors import Status
from gentickets.statistics import EQUAL_STEPS, UNDECIDED, WINS


@dataclass(frozen=True)
class InterimAnalysis:
    """Which of the declared interim analyses this is."""

    number: int
    of: int
    alpha: float
    """The error rate of one look: the claim's, shared among the looks."""
    seeds: tuple[int, ...] = ()
    """Numbers of seeds at the looks, the first one first; those to come may be there too."""


@dataclass(frozen=True)
class PowerForecast:
    """How likely more seeds are to decide the claim, and what they cost."""

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
class Convergence:
    """Whether the dense model, to which the ticket is compared, is itself trained."""

    better_by: Contrast | None = None
    """The dense model trained twice as long against itself, in the metric: below zero longer is better."""
    relative: float | None = None
    """Its mean as a fraction of the dense mean."""
    slope: float | None = None
    """Change over the last quarter of the dense run, as such a fraction: below zero it was getting better."""
    trained: bool | None = None
    """None: not known."""


@dataclass(frozen=True)
class ArmDiagnostics:
    """What one arm's trained networks show besides the metric; None where it means nothing or is not known."""

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
class Interpolation:
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
class Diagnostics:
    """Diagnostics of trained networks: reported with the verdict, not tested."""

    arms: tuple[ArmDiagnostics, ...] = ()
    classes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Arm -> share of each class among its samples, mean over seeds."""
    real: tuple[float, ...] = ()
    """The same of the test images."""
    paths: tuple[Interpolation, ...] = ()
    connected: int | None = None
    """The earliest step from which on two trainings are connected; None: not even from the last."""
    rewind_to: int | None = None
    """The step that tickets are rewound to, which the plot marks."""


@dataclass(frozen=True, kw_only=True)
class RunVerdict:
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
    look: InterimAnalysis
    word: str
    """That of the declared level."""
    sentence: str
    levels: tuple[LevelVerdict, ...] = ()
    more: PowerForecast | None = None
    trained: Convergence | None = None
    beside: Diagnostics | None = None
    missing: tuple[str, ...] = ()
    """Standard arms that were not run."""
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """Exit status: 0 where the declared level WINS, else 7."""
        return int(Status.DONE if self.word == WINS else Status.VERDICT)

    @property
    def declared(self) -> LevelVerdict | None:
        """The level that the claim is about; None where no level is declared."""
        return next((level for level in self.levels if level.declared), None)

    @property
    def shown_level(self) -> LevelVerdict | None:
        """The level that the page shows in full: the declared one, or else the first."""
        return self.declared or next(iter(self.levels), None)

    @property
    def open(self) -> bool:
        """Whether more seeds may still decide that level."""
        level = self.shown_level
        if level is None:
            return self.word == UNDECIDED
        return level.word == UNDECIDED or (level.word == EQUAL_STEPS and level.longer is not None)

    @property
    def seeds(self) -> int:
        """Seeds that the verdict rests on."""
        return (
            self.shown_level.short.loss.n if self.shown_level is not None and self.shown_level.short is not None else 0
        )

    @property
    def declared_first(self) -> tuple[LevelVerdict, ...]:
        """All levels, the declared one before the others."""
        return tuple(sorted(self.levels, key=lambda level: not level.declared))
