"""Writes the second verdict: the answer, what shows it, when the search pays, and what was not tried."""

from __future__ import annotations

from gentickets.analysis.second_verdict import SecondVerdict
from gentickets.analysis.tested import LevelPart
from gentickets.analysis.text.bounds import ahead_of, matches_dense, not_ahead_of, open_to_dense, worse_than_dense
from gentickets.analysis.text.format import decimals, numbered
from gentickets.arms import ArmName
from gentickets.statistics import (
    NOT_WORTH,
    WORTH,
)


def second_text(value: SecondVerdict) -> str:
    """The whole of it, for terminal and page."""
    head = f"{value.word} (second verdict): "
    arms = f"the arms that spend the same {value.steps:,.0f} steps on training alone"
    shown = f"against {arms}, the ticket is {_compared(value)}." if value.part else f"{arms} are not there yet."
    return " ".join(filter(None, [head + shown, _pays(value), "Dynamic sparse training was not tried."]))


def _compared(value: SecondVerdict) -> str:
    part = value.part
    if part is None:
        return ""
    places = decimals([part.ticket, part.dense, *(one.spread for one in part.controls)])
    several = len(part.controls) > 1
    if value.word == WORTH:
        nearest = part.nearest
        more = (
            f" and {ahead_of(nearest, part, places, every='every other arm' if several else '')}"
            if nearest is not None
            else ""
        )
        return f"{matches_dense(part, places)}{more}"
    if value.word == NOT_WORTH:
        return _false(part, places)
    hardest = part.hardest
    if hardest is None or hardest.shown:
        return open_to_dense(part, places)
    name = ArmName.of(hardest.arm).title
    whom = f"all of them, least of all {name}" if several else name
    return f"{open_to_dense(part, places)}, and it is not shown to lead {whom}"


def _false(part: LevelPart, places: int) -> str:
    """What is shown to be false of it."""
    if part.against.refuted:
        return worse_than_dense(part, places)
    return not_ahead_of(min(part.controls, key=lambda one: one.bad.repeated if one.bad else 1.0), part, places)


def _pays(value: SecondVerdict) -> str:
    """From how many uses of the ticket on its search pays, by executed FLOPs, else by seconds."""
    for unit, name in (("executed", "FLOPs"), ("seconds", "seconds")):
        if unit in value.reuses:
            count = value.reuses[unit]
            if count is None:
                return f"Counted in {name}, the search never pays off, however often the ticket is trained."
            return f"Counted in {name}, the search pays off once the ticket is trained {numbered(count, 'time')}."
    return ""
