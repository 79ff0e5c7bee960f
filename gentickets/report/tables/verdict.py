"""Builds the table of a verdict: the arms of a level, what each reached and what the ticket's seeds show against it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.text.format import (
    DASH,
    decimals,
    fixed,
    heading,
    plus_minus,
    signed_percent,
)
from gentickets.analysis.text.verdict import p_value
from gentickets.analysis.verdict import LevelVerdict, Trial
from gentickets.arms import DENSE, KINDS, TICKET, ArmName
from gentickets.statistics import LOSES
from gentickets.table import Table

BEATEN, AS_WELL, OPEN = "beaten", "does as well", "not shown"
NO_WORSE, WORSE = "no worse", "worse"
SPARE = ("bootstrap", "in % of dense", "seeds")
"""Columns that a narrow terminal can do without."""
OWN_STYLES = (KINDS[TICKET].title, KINDS[DENSE].title)
"""Titles of the arms whose rows have a style of their own on a page."""


def verdict_table(judged: RunVerdict) -> Table:
    """The table of the level that the page shows in full."""
    return Table((), ()) if judged.shown_level is None else level_rows(judged, judged.shown_level)


def level_rows(judged: RunVerdict, level: LevelVerdict) -> Table:
    """Every arm of a level: mean ± sd, the ticket's loss against it, interval, bootstrap, p and what is shown."""
    name = heading(judged.metric) if judged.metric else "figure"
    header = ("arm", name, "seeds", "ticket's loss", "in % of dense", "95 % interval", "bootstrap", "p", "shown")
    trials = (level.short, level.longer)
    rows = [line for trial in trials if trial for line in _arms_of(level, trial, judged.look.alpha)]
    styles = [_style(arm) for arm, *_ in rows]
    return Table(header, rows, spare=SPARE, more="more columns: verdict.html", styles=styles)


def _style(arm: str) -> str:
    """The style of an arm's row on a page."""
    if arm in OWN_STYLES:
        return arm
    return "longer" if arm.endswith(", longer") else "control"


def beside_dense(level: LevelVerdict, trial: Trial, alpha: float) -> str:
    """What is shown of the ticket against dense: no worse, worse (by more than the margin), or nothing.

    At equal steps being no worse is shown after the correction over levels.
    """
    if level.p_wins is None:  # not tested, for a reason that the sentence has
        return ""
    if trial is level.short and level.word == LOSES:
        return WORSE
    corrected = trial is level.short and level.p_holds is not None
    p = level.p_holds if corrected and level.p_holds is not None else trial.p
    return NO_WORSE if p <= alpha else ""


def _arms_of(level: LevelVerdict, trial: Trial, alpha: float) -> Iterator[tuple[str, ...]]:
    """Rows of one trial of a level."""

    def title(arm: str) -> str:
        return ArmName.of(arm).of_length(longer=trial is level.longer).title

    places = decimals([trial.ticket, trial.dense, *(other.spread for other in trial.controls)])
    yield (title("ticket"), plus_minus(trial.ticket, places), str(trial.ticket.n), *[""] * 6)
    yield (
        title("dense"),
        plus_minus(trial.dense, places),
        str(trial.dense.n),
        *_loss(trial.loss, trial.p, trial, places),
        f"ticket {found}" if (found := beside_dense(level, trial, alpha)) else OPEN,
    )
    for other in trial.controls:
        word = BEATEN if other.beaten else AS_WELL if other.as_well else OPEN
        loss = _loss(other.loss, other.loss.p, trial, places)
        cells = (plus_minus(other.spread, places), str(other.spread.n), *loss, word)
        yield (title(other.arm), *cells)
    for control, why in trial.unfinished.items():
        yield (title(control), *[DASH] * 7, f"not compared: {why}")


def _loss(loss: Contrast, p: float, trial: Trial, places: int) -> tuple[str, ...]:
    reference = abs(trial.dense.mean)
    share = signed_percent(100 * loss.mean / reference) if reference else DASH
    return (
        fixed(loss.mean, places),
        share,
        interval(loss.low, loss.high, places),
        interval(*loss.bootstrap, places) if loss.bootstrap else DASH,
        p_value(p),
    )


def interval(low: float, high: float, places: int) -> str:
    """``−0.91 to −0.51``; a dash where one end is not finite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{fixed(low, places)} to {fixed(high, places)}"
