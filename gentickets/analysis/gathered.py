"""Gathers what the arms of one level reached, seed by seed, as the tests take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gentickets.analysis.comparison import values_or_why
from gentickets.analysis.results import RunResults
from gentickets.analysis.terms import ClaimTerms
from gentickets.arms import DENSE, KINDS, TICKET, ArmName, asked_for, variants
from gentickets.statistics import (
    Arms,
)

Values = Mapping[int, float]
"""Seed -> value."""
Images = Mapping[int, NDArray[np.float32]]
"""Seed -> the metric of every single test image (images)."""


@dataclass(frozen=True)
class Gathered:
    """Ticket, dense and controls of one level, at equal steps or trained longer."""

    ticket: Values
    dense: Values
    controls: Mapping[str, Values]
    """Arm -> its values, of every arm that each seed has."""
    declared: tuple[str, ...]
    """Arms that the claim declares, there or not."""
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Arm -> why it is not compared."""
    images: Mapping[str, Images] = field(default_factory=dict)
    """``ticket``, ``dense`` and the controls' arms -> the metric of every single test image, where it is stored."""

    @property
    def seeds(self) -> list[int]:
        """Those that both the ticket and the dense model have, in order."""
        return sorted(self.ticket.keys() & self.dense.keys())

    def arms(self, terms: ClaimTerms) -> Arms:
        """The same as arrays over those seeds, less being better; with single images where those decide too."""

        def values(of: Values) -> list[float]:
            return [of[seed] for seed in self.seeds]

        controls = {arm: terms.losses(values(own)) for arm, own in self.controls.items()}
        controls |= {arm: terms.losses([float("nan")] * len(self.seeds)) for arm in self._more_unfinished}
        images = self._all_images(terms) if terms.terms.images == "sample" else None
        ticket, dense = terms.losses(values(self.ticket)), terms.losses(values(self.dense))
        return Arms(ticket, dense, controls, self.declared, images)

    def of_images(self, terms: ClaimTerms) -> Arms | None:
        """The arms that have values of single images for every seed, as arrays (seeds, images).

        None where the ticket or the dense model has none, or not of the same images.
        """
        known = {arm: terms.losses(found) for arm in self.images if (found := self._stacked(arm)) is not None}
        size = known[TICKET].shape if TICKET in known else None
        if size is None or DENSE not in known:
            return None
        same = {arm: values for arm, values in known.items() if values.shape == size}
        if DENSE not in same:
            return None
        controls = {arm: same[arm] for arm in self.controls if arm in same}
        return Arms(same[TICKET], same[DENSE], controls, self.declared)

    @property
    def without_images(self) -> list[str]:
        """The arms that are compared and have no values of single images for some seed."""
        return [arm for arm in (TICKET, DENSE, *self.controls) if self._stacked(arm) is None]

    def _all_images(self, terms: ClaimTerms) -> Arms | None:
        """The same where every arm has them; arms that are not there are not finite."""
        found = self.of_images(terms)
        if found is None or not self.controls.keys() <= found.controls.keys():
            return None
        missing = {arm: np.full_like(found.ticket, np.nan) for arm in self._more_unfinished}
        return replace(found, controls={**found.controls, **missing})

    def _stacked(self, arm: str) -> NDArray[np.float64] | None:
        own = self.images.get(arm, {})
        if not self.seeds or any(seed not in own for seed in self.seeds):
            return None
        several = [own[seed].astype(float) for seed in self.seeds]
        return np.stack(several) if len({one.shape for one in several}) == 1 else None

    @property
    def _more_unfinished(self) -> list[str]:
        """Controls beyond the declared ones that were asked for and are not there: they are not beaten."""
        return [arm for arm in self.unfinished if arm not in self.declared]


def gathered(results: RunResults, round: int, terms: ClaimTerms, *, longer: bool = False) -> Gathered:
    """What the arms at a round reached on the test images."""
    dense_arm = str(ArmName(DENSE, longer=True)) if longer else TICKET
    ticket = results.values(str(ArmName(TICKET, longer=longer)), round, terms.metric, "test")
    dense = results.values(dense_arm, results.round_of(dense_arm, round) if longer else 0, terms.metric, "test")
    declared = _declared(results, terms, longer)
    images = {
        TICKET: results.single_images(str(ArmName(TICKET, longer=longer)), round, terms.metric),
        DENSE: results.single_images(dense_arm, results.round_of(dense_arm, round) if longer else 0, terms.metric),
    }
    controls: dict[str, Values] = {}
    unfinished: dict[str, str] = {}
    for arm in dict.fromkeys((*declared, *_more(results, terms, longer))):
        found = values_or_why(results, arm, round, terms.metric)
        if isinstance(found, str):
            unfinished[arm] = found
        else:
            controls[arm] = found
            images[arm] = results.single_images(arm, round, terms.metric)
    return Gathered(ticket, dense, controls, declared, unfinished, images)


def _declared(results: RunResults, terms: ClaimTerms, longer: bool) -> tuple[str, ...]:
    if not longer:
        return terms.opponents
    return tuple(_trained_longer(results, control) for control in terms.controls if not KINDS[control].matched)


def _trained_longer(results: RunResults, control: str) -> str:
    """A control's arm that trains longer: of one with a scaled variant, one of the two does."""
    plain, scaled = variants(control, longer=True)
    return scaled if results.rounds(scaled) and not results.rounds(plain) else plain


def _more(results: RunResults, terms: ClaimTerms, longer: bool) -> Iterator[str]:
    """Arms of controls that the claim does not declare, as asked for or as they ran."""
    others = [control for control in results.claim_controls if control not in terms.controls]
    for control in others:
        if longer:
            asked: Sequence[str] = [_trained_longer(results, control)] if results.search.longer else []
        else:
            asked = asked_for(control, results.search.scaling) if control in KINDS else [control]
        there = [arm for arm in variants(control, longer=longer) if results.rounds(arm)]
        yield from dict.fromkeys((*asked, *there))
