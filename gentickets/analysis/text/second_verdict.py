"""Writes the second verdict: the answer, what shows it, when the search pays, and what was not tried."""

from __future__ import annotations

from gentickets.analysis.second_verdict import SecondVerdict
from gentickets.analysis.tested import LevelPart
from gentickets.analysis.text.bounds import against_dense, ahead_of
from gentickets.analysis.text.format import decimals, numbered
from gentickets.statistics import (
    NOT_WORTH,
    WORTH,
)


def second_text(value: SecondVerdict) -> str:
    """The whole of it, for terminal and page."""
    head = (
        f"{value.word} (second verdict, at an alpha of its own): held against {value.steps:,.0f} steps spent otherwise"
    )
    parts = [f"{head}, {_compared(value)}." if value.part is not None else f"{head}: those arms are not there yet."]
    return " ".join([*parts, _pays(value), "Dynamic sparse training: not tried."])


def _compared(value: SecondVerdict) -> str:
    part = value.part
    if part is None:
        return ""
    places = decimals([part.ticket, part.dense, *(one.spread for one in part.controls)])
    if value.word == WORTH:
        nearest = part.nearest
        more = f", and {ahead_of(nearest, part, 'good', places)}" if nearest is not None else ""
        return f"the ticket, trained {value.own:,.0f} steps, is {against_dense(part, 'good', places)}{more}"
    if value.word == NOT_WORTH:
        return f"the ticket, trained {value.own:,.0f} steps, is {_false(part, places)}"
    hardest = part.hardest
    more = f", and {ahead_of(hardest, part, 'both', places)}" if hardest is not None else ""
    return f"the ticket, trained {value.own:,.0f} steps, is {against_dense(part, 'both', places)}{more}"


def _false(part: LevelPart, places: int) -> str:
    """What is shown to be false of it."""
    if part.against.refuted:
        return against_dense(part, "bad", places)
    least = min(part.controls, key=lambda one: one.bad.repeated if one.bad else 1.0)
    return ahead_of(least, part, "bad", places)


def _pays(value: SecondVerdict) -> str:
    """From how many uses of the ticket on its search pays, by executed FLOPs, else by seconds."""
    for unit, name in (("executed", "FLOPs"), ("seconds", "seconds")):
        if unit in value.reuses:
            count = value.reuses[unit]
            if count is None:
                return f"By {name} the search never pays, however often the ticket is trained."
            return f"By {name} the search pays from {numbered(count, 'training')} of the ticket on."
    return ""
