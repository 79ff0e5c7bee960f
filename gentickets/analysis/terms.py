"""Terms: what a claim declares of its tests, in numbers: margin, lead, interim analyses and declared arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gentickets.analysis.results import RunResults, Split
from gentickets.arms import TICKET
from gentickets.errors import TicketError
from gentickets.metrics import better
from gentickets.recipe import Claim
from gentickets.recipe.asked import declared_arms, declared_controls
from gentickets.recipe.of_claim import claim_floor
from gentickets.statistics import (
    Margin,
    Terms,
)

NUMBERS = {"zero": 0.0, "one": 1.0}
"""Floors that need no images."""


@dataclass(frozen=True)
class ClaimTerms:
    """What a claim declares of its tests."""

    metric: str
    higher: bool
    """Whether more of the metric is better."""
    terms: Terms
    """On the test images, less being better."""
    valid: Margin
    """The margin on validation."""
    controls: tuple[str, ...]
    """Declared."""
    opponents: tuple[str, ...]
    """The declared controls' arms at equal steps, scaled variants included."""
    longer: bool
    """Whether longer training is a part of the claim."""

    @staticmethod
    def of(results: RunResults, seeds: int) -> ClaimTerms:
        """Those of a run's [claim]; ``seeds`` at its first interim analysis.

        Raises TicketError where the margin is a share and the metric's floor is not known.
        """
        claim = results.recipe.claim
        if claim is None:
            raise TicketError("the recipe declares no claim; add a [claim] section")
        controls = declared_controls(results.recipe)
        terms = Terms(
            margin=margin_of(results, claim, "test"), seeds=seeds, alpha=claim.alpha, analyses=claim.looks,
            spending=claim.spending, disasters=claim.disasters, images=claim.images,
        )  # fmt: skip
        return ClaimTerms(
            claim.metric, better(claim.metric) == "higher", terms, margin_of(results, claim, "valid"), tuple(controls),
            tuple(declared_arms(results.recipe)), claim.declared is not None,
        )  # fmt: skip

    @property
    def margin(self) -> Margin:
        """On the test images."""
        return self.terms.margin

    def losses(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values such that less is better."""
        found: NDArray[np.float64] = np.asarray(values, dtype=float) * (-1.0 if self.higher else 1.0)
        return found


def floor_number(results: RunResults, metric: str, split: Split) -> float | None:
    """What a metric could reach at best on a split, as the run has stored it; None where it is not known."""
    for cell in results.done(TICKET, 0):
        if (number := cell.floors.get(split, {}).get(metric)) is not None:
            return float(number)
    claim = results.recipe.claim
    kind = claim_floor(results.recipe) if claim is not None and claim.metric == metric else None
    return NUMBERS.get(str(kind))


def margin_of(results: RunResults, claim: Claim, split: Split) -> Margin:
    """A claim's margin and lead on one split; TicketError where it is a share and the floor is not known."""
    floor = None
    if claim.unit == "share":
        floor = floor_number(results, claim.metric, split)
        if floor is None:
            raise TicketError("the dense run has not stored the metric's floor, from which the margin is a share")
        floor *= -1.0 if better(claim.metric) == "higher" else 1.0
    return Margin(claim.margin, claim.unit, floor, claim.lead)
