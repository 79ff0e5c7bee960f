"""Puts what was tested of a level into the record that everything shown is made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gentickets.analysis.contrast import paired
from gentickets.analysis.gathered import Gathered, Values
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.tested import Analysis, LevelPart, Side, Tested
from gentickets.analysis.text.format import Spread
from gentickets.arms import DENSE, ArmName
from gentickets.statistics import (
    Evidence,
    contrasts,
)
from gentickets.statistics.paired import moments
from gentickets.statistics.twoway import half_width, image_error

Array = NDArray[np.float64]


class PartMaker:
    """Makes the record of one part from its evidence and from the sizes at which the level was tested."""

    def __init__(self, found: Gathered, terms: ClaimTerms, praise: float, blame: float, *, longer: bool) -> None:
        """``praise`` and ``blame``: the level's sizes; ``longer``: whether dense is one of the opponents' K."""
        self.found, self.terms, self.longer = found, terms, longer
        self.arms = found.arms(terms)
        self.values = contrasts(self.arms, terms.margin)
        single = found.of_images(terms)
        self.single = {} if single is None else contrasts(single, terms.margin)
        self.room = _mean(terms.margin.room_of(self.arms.dense))
        self.lead = _mean(terms.margin.lead_of(self.arms.dense))
        opponents = len(found.declared)
        self.praise = praise
        self.of_dense = blame / (opponents + 1) if longer else blame
        self.of_control = blame / max(1, opponents + longer)

    def part(self, seen: Evidence | None, taken: Sequence[int]) -> LevelPart | None:
        """The part; ``seen`` None: nothing is tested, so that there are differences and intervals alone."""
        ticket, dense = Spread.of(self.found.ticket), Spread.of(self.found.dense)
        if ticket is None or dense is None or not self.found.seeds:
            return None
        against = self._tested(DENSE, self.found.dense, seen, taken)
        controls = [self._tested(arm, own, seen, taken) for arm, own in self.found.controls.items()]
        floor = self.terms.margin.floor
        return LevelPart(
            ticket=ticket,
            dense=dense,
            margin=self.room,
            lead=self.lead,
            scale=None if floor is None else float((self.arms.dense - floor).mean()),
            against=against,
            controls=tuple(controls),
            unfinished=self.found.unfinished,
            opponents=len(self.found.declared),
        )

    def _tested(self, arm: str, own: Values, seen: Evidence | None, taken: Sequence[int]) -> Tested:
        spread = Spread.of(own)
        loss = paired(self.found.ticket, own, higher=self.terms.higher)
        if loss is None or spread is None:
            raise ValueError(f"'{arm}' has no seeds in common with the ticket")  # the part is None then
        at = [self._analysis(arm, size) for size in taken] or [self._analysis(arm, len(self.found.seeds))]
        good, bad = (None, None) if seen is None else self._sides(arm, seen, at)
        return Tested(
            arm=arm, control=ArmName.of(arm).base, declared=arm == DENSE or arm in self.found.declared,
            spread=spread, loss=loss, n=at[-1].n, mean=at[-1].mean, se=at[-1].se, images=at[-1].images,
            analyses=tuple(at), good=good, bad=bad,
        )  # fmt: skip

    def _analysis(self, arm: str, seeds: int) -> Analysis:
        mean, error, n = moments(self.values[arm][:seeds])
        single = self.single.get(arm)
        images = None if single is None else float(image_error(single[:seeds]))
        return Analysis(n, float(mean), float(error) if n > 1 else float("inf"), images)

    def _sides(self, arm: str, seen: Evidence, at: Sequence[Analysis]) -> tuple[Side, Side | None]:
        """Praise and blame; against dense less is better, over a control more."""
        if arm == DENSE:
            good = self._side(seen.within, self.praise, at, 1, self.room)
            return good, self._side(seen.worse, self.of_dense, at, -1, self.room)
        good = self._side(seen.ahead[arm], self.praise, at, -1, self.lead)
        behind = seen.behind.get(arm)
        bad = None if behind is None else self._side(behind, self.of_control, at, 1, self.lead)
        return good, bad

    def _side(self, p: Array, size: float, at: Sequence[Analysis], way: int, offset: float) -> Side:
        """One direction: the contrast is below (``way`` 1) or above (-1) zero; the bound has the offset in it."""
        plan, sample = self.terms.terms.plan, self.terms.terms.images == "sample"
        nominal = plan.nominal(size)[: len(at)].tolist()
        ends = [
            one.mean + way * _width(size, one, one.images if sample else None)
            for size, one in zip(nominal, at, strict=True)
        ]
        # seeds that all give the same are tested by their sign, which has no bound unless it shows something
        ends = [
            way * float("inf") if value > size and way * end <= 0 else end
            for value, size, end in zip(p.tolist(), nominal, ends, strict=True)
        ]
        tightest = min(range(len(ends)), key=lambda place: way * ends[place])
        return Side(
            p=tuple(float(one) for one in p),
            repeated=float(plan.repeated(p)),
            size=size,
            nominal=tuple(nominal),
            limit=offset + ends[tightest],
            analysis=tightest,
        )


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def _width(size: float, at: Analysis, images: float | None) -> float:
    """Half the width of a bound: from the test's size, over seeds, and over images where they count."""
    if not np.isfinite(at.se):
        return float("inf")
    return float(np.abs(half_width(size, at.n, at.se, images or 0.0)))
