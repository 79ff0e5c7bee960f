"""Holds the verdict of a run with its diagnostics, as the page and `verdict.json` show it. Torch-free.

What is tested is defined in `analysis.tested` and `analysis.verdict`: levels and tests are those records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.second_verdict import SecondVerdict
from gentickets.analysis.text.format import Spread
from gentickets.analysis.verdict import LevelVerdict
from gentickets.statistics import (
    EQUAL_STEPS,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    WINS,
)
from gentickets.table import Table

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "wins": (WINS,),
    "equal-steps": (EQUAL_STEPS, HEAD_START, WINS),
    "matches-dense": (MATCHES, NO_BETTER, EQUAL_STEPS, HEAD_START, WINS),
}
"""What may be required of a verdict -> the verdicts that say so, or imply it."""


@dataclass(frozen=True)
class InterimAnalysis:
    """Which of the declared interim analyses this is."""

    number: int
    of: int
    alpha: float
    """The chance of any false verdict, over all of them."""
    seeds: tuple[int, ...] = ()
    """Numbers of seeds at the analyses, the first one first; those to come may be there too."""

    @property
    def following(self) -> int | None:
        """Seeds in all at the next analysis; None after the last one."""
        return self.seeds[self.number] if self.number < min(self.of, len(self.seeds)) else None


@dataclass(frozen=True)
class Outlook:
    """What the next interim analysis will say, or more seeds would: chances conditional on the seeds that are there."""

    decided: bool
    """Whether the verdict is one that more seeds cannot deepen."""
    next: int | None = None
    """Seeds in all at the next declared analysis; None where there is none."""
    minutes: float | None = None
    """What its new seeds take by the ledger."""
    command: str = ""
    """What runs them; empty where there is no such analysis."""
    chances: tuple[tuple[int, Mapping[str, float]], ...] = ()
    """(seeds in all, verdict -> its chance): at the next analysis, or of a new claim with so many new seeds."""


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
    """Whether the gain of twice the steps is smaller than the ticket's lead over dense; None: not known."""
    lead: float | None = None
    """That lead, in the metric's unit; where there is none, the lead that the claim declares."""
    has_lead: bool = False
    """Whether the ticket is ahead of dense, so that this lead is its own."""


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
    """As declared, in ``unit``."""
    unit: str | None = None
    """``absolute``, ``share`` (of the dense model's distance to the metric's floor), or null: of the dense value."""
    floor: float | None = None
    """What the metric could reach at best on the test images, where the margin is a share of the distance to it."""
    claim: Mapping[str, Any]
    """As declared: every key of [claim] that says something, levels and controls written out, and the seeds."""
    hash: str | None
    """SHA-256 of the claim and the recipe, as stored when the run began."""
    stored: bool
    """Whether the claim was stored before the run had results."""
    edition: int = 2
    """Of the rule that the verdict is by."""
    exploratory: bool = False
    """Whether seeds were chosen by hand, so that nothing is confirmed."""
    look: InterimAnalysis
    """Which interim analysis this is."""
    word: str
    """The verdict on the declared level."""
    sentence: str
    meaning: str = ""
    """What such a verdict means."""
    next_step: str = ""
    """What to do now."""
    levels: tuple[LevelVerdict, ...] = ()
    second: SecondVerdict | None = None
    """Whether the ticket is worth its search, against what the same total compute gives otherwise."""
    second_sentence: str = ""
    more: Outlook | None = None
    trained: Convergence | None = None
    beside: Diagnostics | None = None
    missing: tuple[str, ...] = ()
    """Declared arms that were not run."""
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"RunVerdict({self.name!r}: {self.word}, {len(self.levels)} levels)"

    def _repr_html_(self) -> str:
        rows = [[f"{level.sparsity:.1%}", level.word, level.sentence] for level in self.levels]
        shown = Table(["sparsity", "verdict", "in words"], rows)._repr_html_()
        return f"<p><b>{escape(self.word)}</b></p><p>{escape(self.sentence)}</p>{shown}"

    def meets(self, requirement: str | None) -> bool:
        """Whether the declared level's verdict is what is required: a key of `REQUIREMENTS`, or nothing."""
        return requirement is None or self.word in REQUIREMENTS[requirement]

    @property
    def declared(self) -> LevelVerdict | None:
        """The level that the claim is about; None where no level is declared."""
        return next((level for level in self.levels if level.declared), None)

    @property
    def shown_level(self) -> LevelVerdict | None:
        """The level that the page shows in full: the declared one, or else the first."""
        return self.declared or next(iter(self.levels), None)

    @property
    def seeds(self) -> int:
        """Seeds that the verdict rests on."""
        shown = self.shown_level
        return shown.short.against.n if shown is not None and shown.short is not None else 0

    @property
    def declared_first(self) -> tuple[LevelVerdict, ...]:
        """All levels, the declared one before the others."""
        return tuple(sorted(self.levels, key=lambda level: not level.declared))
