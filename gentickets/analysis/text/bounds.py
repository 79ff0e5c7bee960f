"""Writes one comparison with the bounds at which it was tested: ``better than dense by 0.81 (at least 0.51; margin
0.87)``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from gentickets.analysis.tested import LevelPart, Side, Tested
from gentickets.analysis.text.format import fixed
from gentickets.arms import ArmName

Which = Literal["good", "bad", "both"]
"""Which side is told: praise, blame, or that neither is shown."""
MORE_PLACES = 4
"""Decimals at most that are added so that a bound and what it is held against read differently."""


def against_dense(part: LevelPart, which: Which, places: int) -> str:
    """By how much the ticket is better or worse than dense, its bounds, and the margin."""
    told, one = part.against, _side(part.against, which)
    loss = _mean(told, one)
    margin = part.margin if part.margin is not None else math.nan
    limits = _limits(told, which)
    digits = apart([*limits, margin, 0.0], places)
    if which == "both":
        bounds = f"loss {_between(limits, digits)}"
    elif which == "good":
        bounds = _at_most(limits[0], loss, digits)
    else:
        bounds = f"at least {fixed(limits[0], digits)}"
    text = f"{_better_or_worse(loss, digits)} ({bounds}; margin {fixed(margin, digits)})"
    return text + _when(told, one)


def ahead_of(other: Tested, part: LevelPart, which: Which, places: int, least: str = "") -> str:
    """By how much the ticket is ahead of a control, its bounds, and from where on a lead counts.

    ``least``: what stands before the control's name where it is the nearest of several.
    """
    one = _side(other, which)
    lead, counts = -_mean(other, one), part.lead if part.lead is not None else math.nan
    limits = _limits(other, which)
    digits = apart([*limits, counts, 0.0], places)
    if which == "both":
        bounds = f"lead {_between(limits, digits)}"
    elif which == "good":
        bounds = f"at least {fixed(limits[0], digits)}"
    else:
        bounds = f"ahead by at most {fixed(limits[0], digits)}" if limits[0] >= 0 else (
            f"behind by at least {fixed(-limits[0], digits)}"
        )  # fmt: skip
    text = (
        f"{_ahead_or_behind(lead, least, ArmName.of(other.arm).of_length(longer=False).title, digits, which)} ({bounds}"
    )
    return f"{text}{f'; a lead counts from {fixed(counts, digits)}' if counts else ''}){_when(other, one)}"


def apart(values: Sequence[float], places: int) -> int:
    """Decimals with which different values read differently; at least so many."""
    known = [value for value in values if math.isfinite(value)]
    for digits in range(places, places + MORE_PLACES):
        if len({fixed(value, digits) for value in known}) == len(set(known)):
            return digits
    return places + MORE_PLACES


def _side(told: Tested, which: Which) -> Side | None:
    return {"good": told.good, "bad": told.bad, "both": None}[which]


def _mean(told: Tested, side: Side | None) -> float:
    """The mean loss at the analysis whose bound is told."""
    if side is None or side.analysis >= len(told.analyses):
        return told.loss.mean
    seeds = told.analyses[side.analysis].n
    losses = told.loss.losses[:seeds]
    return math.fsum(losses) / len(losses)


def _limits(told: Tested, which: Which) -> list[float]:
    if which == "both":
        return sorted(side.limit for side in (told.good, told.bad) if side is not None)
    side = _side(told, which)
    return [side.limit if side is not None else math.nan]


def _between(limits: Sequence[float], digits: int) -> str:
    if not all(map(math.isfinite, limits)):
        return "the same in every seed, and so tested by its sign"
    if len(limits) == 2:
        return f"between {fixed(limits[0], digits)} and {fixed(limits[1], digits)}"
    return f"at least {fixed(limits[0], digits)}" if limits else "not tested"


def _at_most(limit: float, loss: float, digits: int) -> str:
    """A bound of the loss from above, in the words of what it is a bound of."""
    if not float(f"{loss:.{digits}f}"):
        return f"at most {fixed(max(limit, 0.0), digits)} worse"
    if loss >= 0:
        return f"at most {fixed(limit, digits)}" if limit >= 0 else f"better by at least {fixed(-limit, digits)}"
    return f"at least {fixed(-limit, digits)}" if limit < 0 else f"at most {fixed(limit, digits)} worse"


def _better_or_worse(loss: float, digits: int) -> str:
    if float(f"{loss:.{digits}f}") == 0:
        return "equal to dense"
    return f"{'better' if loss < 0 else 'worse'} than dense by {fixed(abs(loss), digits)}"


def _ahead_or_behind(lead: float, least: str, name: str, digits: int, which: Which) -> str:
    size = fixed(abs(lead), digits)
    if float(f"{lead:.{digits}f}") == 0:
        return f"level with {name}"
    if lead < 0:
        return f"behind {name} by {size}"
    return f"ahead of {least}{name}{',' if least else ''} by {size}{' only' if which == 'bad' else ''}"


def _when(told: Tested, side: Side | None) -> str:
    """Which interim analysis has shown it, where it was not the last one."""
    if side is None or side.analysis >= len(told.analyses) - 1:
        return ""
    return f" at interim analysis {side.analysis + 1}"
