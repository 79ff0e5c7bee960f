"""Writes one comparison by the bound at which it was tested: ``at least 0.51 better than dense``.

What is written is what was shown: the bound, and the margin or lead that it was tested against where it does not speak
for itself. Means, intervals and p-values stand in the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gentickets.analysis.tested import LevelPart, Side, Tested
from gentickets.analysis.text.format import fixed
from gentickets.arms import ArmName

MORE_PLACES = 4
"""Decimals at most that are added so that a bound and what it is compared with read differently."""


def matches_dense(part: LevelPart, places: int) -> str:
    """``at least 0.51 better than dense``, ``at most 0.48 worse than dense (margin 0.87)``."""
    limit, margin = _limit(part.against.good), _known(part.margin)
    digits = apart([limit, margin, 0.0], places)
    if limit < 0:
        return f"at least {fixed(-limit, digits)} better than dense"
    return f"at most {fixed(limit, digits)} worse than dense (margin {fixed(margin, digits)})"


def worse_than_dense(part: LevelPart, places: int) -> str:
    """``at least 1.20 worse than dense (margin 0.87)``."""
    limit, margin = _limit(part.against.bad), _known(part.margin)
    digits = apart([limit, margin, 0.0], places)
    return f"at least {fixed(limit, digits)} worse than dense (margin {fixed(margin, digits)})"


def open_to_dense(part: LevelPart, places: int) -> str:
    """``between 0.30 better and 1.90 worse than dense (margin 0.87)``: by both bounds."""
    margin = _known(part.margin)
    low, high = sorted((_limit(part.against.good), _limit(part.against.bad)))
    digits = apart([low, high, margin, 0.0], places)
    allowed = f" (margin {fixed(margin, digits)})"
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{_in_every_seed(part.against.loss.mean, digits)}{allowed}"
    if low < 0 < high:
        return f"between {fixed(-low, digits)} better and {fixed(high, digits)} worse than dense{allowed}"
    ends = sorted((abs(low), abs(high)))
    way = "worse" if high > 0 else "better"
    return f"between {fixed(ends[0], digits)} and {fixed(ends[1], digits)} {way} than dense{allowed}"


def ahead_of(other: Tested, part: LevelPart, places: int, every: str = "") -> str:
    """``at least 0.52 better than re-initialized``; ``every``: those of which it is the closest, in its place."""
    limit = _limit(other.good)
    digits = apart([limit, _known(part.lead), 0.0], places)
    return f"at least {fixed(limit, digits)} better than {every or _name(other)}"


def not_ahead_of(other: Tested, part: LevelPart, places: int) -> str:
    """``at most 0.12 better than narrow dense, where more than 0.20 would be a lead``, or at least so much worse."""
    limit, lead = _limit(other.bad), _known(part.lead)
    digits = apart([limit, lead, 0.0], places)
    if limit < 0:
        return f"at least {fixed(-limit, digits)} worse than {_name(other)}"
    return f"at most {fixed(limit, digits)} better than {_name(other)}, {counts(lead, digits)}"


def counts(lead: float, digits: int) -> str:
    """From where on a lead counts."""
    return f"where more than {fixed(lead, digits)} would be a lead"


def needed_lead(part: LevelPart, places: int) -> str:
    """``a lead of more than 0.22``; ``a lead`` where the claim asks for no size."""
    lead = _known(part.lead)
    return f"a lead of more than {fixed(lead, apart([lead, 0.0], places))}" if lead else "a lead"


def apart(values: Sequence[float], places: int) -> int:
    """Decimals with which different values read differently; at least so many."""
    known = [value for value in values if math.isfinite(value)]
    for digits in range(places, places + MORE_PLACES):
        if len({fixed(value, digits) for value in known}) == len(set(known)):
            return digits
    return places + MORE_PLACES


def _limit(side: Side | None) -> float:
    return math.nan if side is None else side.limit


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _name(other: Tested) -> str:
    return ArmName.of(other.arm).of_length(longer=False).title


def _in_every_seed(loss: float, digits: int) -> str:
    if not float(f"{loss:.{digits}f}"):
        return "equal to dense in every seed"
    return f"{fixed(abs(loss), digits)} {'worse' if loss > 0 else 'better'} than dense in every seed"
