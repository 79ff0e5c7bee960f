"""Builds the table of a verdict: the arms of a level, what each reached and what the ticket's seeds show against it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.tested import LevelPart, Tested
from gentickets.analysis.text.format import DASH, Spread, decimals, fixed, heading, plus_minus
from gentickets.analysis.text.verdict import p_value
from gentickets.analysis.verdict import LevelVerdict
from gentickets.arms import DENSE, KINDS, TICKET, ArmName
from gentickets.table import Table

AHEAD, NOT_AHEAD, WITHIN, WORSE, OPEN = "ahead", "not ahead", "within the margin", "worse", "open"
ERRORS = ("SE over seeds", "SE over images")
SPARE = ("95 % bootstrap", *ERRORS, "minimum", "maximum", "seeds")
"""Columns that a narrow terminal can do without."""
OWN_STYLES = (KINDS[TICKET].title, KINDS[DENSE].title)
"""Titles of the arms whose rows have a style of their own on a page."""


def verdict_table(judged: RunVerdict) -> Table:
    """The table of the level that the page shows in full."""
    return Table((), ()) if judged.shown_level is None else level_rows(judged, judged.shown_level)


def level_rows(judged: RunVerdict, level: LevelVerdict) -> Table:
    """Every arm of a level: what it reached, the ticket's loss against it, intervals, p and what is shown."""
    parts = [part for part in (level.short, level.longer) if part is not None]
    boots = any(one.loss.bootstrap for part in parts for one in part.tests)
    errors = any(one.images is not None for part in parts for one in part.tests)
    name = heading(judged.metric) if judged.metric else "metric"
    header = ["arm", name, "seeds", "minimum", "maximum", "ticket's loss", "ticket ahead"]
    header += [*(ERRORS if errors else ()), "95 % interval", *(["95 % bootstrap"] if boots else [])]
    header += ["p", "bound", "shown"]
    rows = [line for part in parts for line in _arms_of(part, part is level.longer, boots, errors)]
    styles = [_style(arm) for arm, *_ in rows]
    return Table(header, rows, spare=SPARE, more="more columns: verdict.html", styles=styles)


def _style(arm: str) -> str:
    """The style of an arm's row on a page."""
    if arm in OWN_STYLES:
        return arm
    return "longer" if arm.endswith(", longer") else "control"


def shown_word(one: Tested) -> str:
    """What is shown of the ticket against dense or a control, at the size at which it was tested."""
    good, bad = (WITHIN, WORSE) if one.control == DENSE else (AHEAD, NOT_AHEAD)
    if one.good is None:
        return ""
    if one.shown == one.refuted:
        return OPEN
    return good if one.shown else bad


def _arms_of(part: LevelPart, longer: bool, boots: bool, errors: bool) -> Iterator[tuple[str, ...]]:
    """Rows of one part of a level."""

    def title(arm: str) -> str:
        return ArmName.of(arm).of_length(longer=longer).title

    places = decimals([part.ticket, part.dense, *(one.spread for one in part.controls)])
    more = boots + 2 * errors
    yield (title(TICKET), *_reached(part.ticket, places), *[""] * (6 + more))
    for one in part.tests:
        yield (title(one.arm), *_reached(one.spread, places), *_loss(one, places, boots, errors), shown_word(one))
    for arm, why in part.unfinished.items():
        yield (title(arm), *[DASH] * (9 + more), f"not compared: {why}")


def _reached(spread: Spread, places: int) -> tuple[str, ...]:
    ends = fixed(spread.minimum, places), fixed(spread.maximum, places)
    return plus_minus(spread, places), str(spread.n), *ends


def _loss(one: Tested, places: int, boots: bool, errors: bool) -> tuple[str, ...]:
    loss = one.loss
    boot = [interval(*loss.bootstrap, places) if loss.bootstrap else DASH] if boots else []
    return (
        fixed(loss.mean, places), seeds_ahead(loss), *(_errors(one, places + 1) if errors else ()),
        interval(loss.low, loss.high, places), *boot,
        p_value(one.good.repeated if one.good else None),
        fixed(one.good.limit, places) if one.good and math.isfinite(one.good.limit) else DASH,
    )  # fmt: skip


def _errors(one: Tested, places: int) -> tuple[str, str]:
    """The standard errors of what is tested, over seeds and over test images."""
    known = (None if value is None or not math.isfinite(value) else value for value in (one.se, one.images))
    over_seeds, over_images = (DASH if value is None else fixed(value, places) for value in known)
    return over_seeds, over_images


def seeds_ahead(loss: Contrast) -> str:
    """``4 of 5``: the seeds in which the ticket is better."""
    return f"{sum(value < 0 for value in loss.losses)} of {len(loss.losses)}"


def interval(low: float, high: float, places: int) -> str:
    """``−0.91 to −0.51``; a dash where one end is not finite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{fixed(low, places)} to {fixed(high, places)}"
