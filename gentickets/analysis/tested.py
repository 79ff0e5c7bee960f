"""Tested comparisons: the one record that sentence, table, page and `verdict.json` of a verdict are made from.

A `Side` is one direction of a test with the size at which it was tested; a `Tested` is the ticket against one other
arm, in both directions; a `LevelPart` is the ticket against dense and all controls, at equal steps or trained longer; a
`Node` is one verdict with the null hypothesis that it rejects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.text.format import Spread


@dataclass(frozen=True)
class Analysis:
    """What is tested of one comparison at one interim analysis."""

    n: int
    """Seeds, the first ones."""
    mean: float
    se: float
    """Its standard error over them."""
    images: float | None = None
    """Its standard error over test images; null where the metric of single images is not stored."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One direction of a test: shown where a p-value is at most the size of its interim analysis."""

    p: tuple[float, ...]
    """One-sided, at each interim analysis so far."""
    repeated: float
    """The smallest size at which one of them would be shown: what is shown stays shown."""
    size: float
    """At which it is tested, over all interim analyses."""
    nominal: tuple[float, ...]
    """Of the test at each interim analysis, at that size."""
    limit: float
    """The bound at that size, the closest of all analyses: of the ticket's loss against dense, or of its lead over a
    control; from the side that the test is about."""
    analysis: int = 0
    """Which analysis, counted from 0, that bound is of."""

    @property
    def shown(self) -> bool:
        """Whether it is shown at that size."""
        return self.repeated <= self.size


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The ticket against dense or one control. Plain differences are by how much the ticket is worse."""

    arm: str
    """``dense``, or the control's arm, scaled variants under their own names."""
    control: str
    """The same without its variant."""
    declared: bool
    """Whether it is one of the claim's declared arms, which count for Bonferroni's correction."""
    spread: Spread
    """What the other arm reached."""
    loss: Contrast
    """By how much the ticket is worse than it; below zero the ticket is better."""
    mean: float
    """Of what is tested, at the last analysis: against dense the loss less the margin, which is good below zero;
    against a control the ticket's lead less what counts as one, which is good above zero."""
    se: float
    """Its standard error over seeds."""
    images: float | None = None
    """Its standard error over test images, which decides too where the claim declares images = "sample"; null where the
    metric of single images is not stored."""
    n: int
    """Seeds at the last analysis."""
    analyses: tuple[Analysis, ...] = ()
    """The same at each interim analysis so far."""
    good: Side | None = None
    """Against dense: worse by less than the margin, or better. Against a control: ahead by more than the lead.
    null where nothing is tested."""
    bad: Side | None = None
    """Against dense: worse by more than the margin. Against a control: not ahead by as much as the lead."""

    @property
    def lead(self) -> float:
        """By how much the ticket is ahead; below zero it is behind."""
        return -self.loss.mean

    @property
    def shown(self) -> bool:
        """Whether what is good is shown of it."""
        return self.good is not None and self.good.shown

    @property
    def refuted(self) -> bool:
        """Whether the opposite is shown."""
        return self.bad is not None and self.bad.shown


@dataclass(frozen=True, kw_only=True)
class LevelPart:
    """The ticket against dense and every control, after equal steps."""

    ticket: Spread
    dense: Spread
    margin: float | None = None
    """By how much the ticket may be worse than dense, in the metric's unit: the mean over seeds."""
    lead: float | None = None
    """By how much it must be ahead of a control, in the metric's unit: the mean over seeds."""
    scale: float | None = None
    """The dense model's mean distance to the floor, of which margin and lead are shares; null where they are not."""
    against: Tested
    """The dense model."""
    controls: tuple[Tested, ...] = ()
    """Every control's arms that are there for every seed, the declared ones first."""
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Arm -> why it is not compared."""
    opponents: int = 0
    """Declared arms: Bonferroni's K, to which the dense model is added where the part is trained longer."""

    matched: Spread | None = None
    """The narrow network from scratch with the FLOPs of search and ticket: reported, but not judged at equal steps."""

    @property
    def tests(self) -> tuple[Tested, ...]:
        """All comparisons, dense first."""
        return (self.against, *self.controls)

    @property
    def nearest(self) -> Tested | None:
        """The control over which the lead that is shown is least."""
        tested = [one for one in self.controls if one.good is not None]
        return min(tested, key=lambda one: one.good.limit if one.good else 0.0, default=None)

    @property
    def hardest(self) -> Tested | None:
        """The control over which the ticket's lead is least surely shown."""

        def place(one: Tested) -> tuple[float, float]:
            return (one.good.repeated if one.good else 1.0, one.loss.mean)

        return max(self.controls, key=place, default=None)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One verdict: what it says, the null hypothesis that it rejects, and whether it is shown."""

    verdict: str
    null: str
    p: float | None
    """Repeated over the interim analyses, with the correction over controls in it; null of what is not tested."""
    size: float | None
    """At which it was tested, with the correction over levels in it."""
    shown: bool
