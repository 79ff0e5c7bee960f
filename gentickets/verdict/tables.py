"""The table of a verdict: the arms of a level, what each reached and what the ticket's seeds show against it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gentickets.arms import ArmName
from gentickets.report.words import (
    DASH,
    decimals,
    fixed,
    heading,
    plus_minus,
    signed_percent,
)
from gentickets.statistics import LOSES
from gentickets.verdict.judged import Estimate, Judged, Level, Stage, Table
from gentickets.verdict.words import p_value

BEATEN, AS_WELL, OPEN = "beaten", "does as well", "not shown"
NO_WORSE, WORSE = "no worse", "worse"


def shown(judged: Judged) -> Table:
    """The table of the level that the page tells in full."""
    if judged.table[1] or judged.told is None:
        return judged.table
    return arms(judged, judged.told)


def arms(judged: Judged, level: Level) -> Table:
    """Every arm of a level: mean ± sd, the ticket's loss against it, interval, bootstrap, p and what is shown."""
    name = heading(judged.metric) if judged.metric else "figure"
    header = ("arm", name, "seeds", "ticket's loss", "in % of dense", "95 % interval", "bootstrap", "p", "shown")
    stages = (level.short, level.longer)
    return header, tuple(line for stage in stages if stage for line in _stage(level, stage, judged.look.alpha))


def beside_dense(level: Level, stage: Stage, alpha: float) -> str:
    """What is shown of the ticket against dense: no worse, worse (by more than the margin), or nothing.

    At equal steps being no worse is shown after the correction over levels.
    """
    if level.p_wins is None:  # not tested, for a reason that the sentence has
        return ""
    if stage is level.short and level.word == LOSES:
        return WORSE
    corrected = stage is level.short and level.p_holds is not None
    p = level.p_holds if corrected and level.p_holds is not None else stage.loss.p
    return NO_WORSE if p <= alpha else ""


def _stage(level: Level, stage: Stage, alpha: float) -> Iterator[tuple[str, ...]]:
    """Rows of one stage of a level."""

    def title(arm: str) -> str:
        return ArmName.of(arm).of_length(longer=stage is level.longer).title

    places = decimals([stage.ticket, stage.dense, *(other.spread for other in stage.controls)])
    yield (title("ticket"), plus_minus(stage.ticket, places), str(stage.ticket.n), *[""] * 6)
    yield (
        title("dense"),
        plus_minus(stage.dense, places),
        str(stage.dense.n),
        *_loss(stage.loss, stage, places),
        f"ticket {found}" if (found := beside_dense(level, stage, alpha)) else OPEN,
    )
    for other in stage.controls:
        word = BEATEN if other.beaten else AS_WELL if other.as_well else OPEN
        cells = (plus_minus(other.spread, places), str(other.spread.n), *_loss(other.loss, stage, places), word)
        yield (title(other.arm), *cells)
    for control, why in stage.unfinished.items():
        yield (title(control), *[DASH] * 7, f"not compared: {why}")


def _loss(loss: Estimate, stage: Stage, places: int) -> tuple[str, ...]:
    reference = abs(stage.dense.mean)
    share = signed_percent(100 * loss.mean / reference) if reference else DASH
    return (
        fixed(loss.mean, places),
        share,
        interval(loss.low, loss.high, places),
        interval(*loss.bootstrap, places) if loss.bootstrap else DASH,
        p_value(loss.p),
    )


def interval(low: float, high: float, places: int) -> str:
    """``−0.91 to −0.51``; a dash where one end is not finite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return DASH
    return f"{fixed(low, places)} to {fixed(high, places)}"
