"""Writes why a verdict is not deeper: what was not tested, what is missing, and what the seeds contradict."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from gentickets.analysis.text.claim import broken, seeds_of
from gentickets.analysis.text.format import arm_name, listed, percent
from gentickets.results import Result
from gentickets.statistics import (
    EQUAL_STEPS,
    MATCHES,
    seeds_without_disaster,
)

NOT_LONGER = "Whether this lasts in longer training was not tried."
UNSTEADY = (
    "The ticket's seeds vary more than 3 times as much as those of dense and controls; few seeds flatter such a "
    "ticket, so nothing good is concluded."
)


def dense_broke(results: Sequence[Result]) -> str:
    """A seed without a dense model compares with nothing."""
    return f"{broken(results)}: there is nothing to compare its ticket with."


def no_share(why: str, *, longer: bool = False) -> str:
    """A margin that is a share of next to nothing."""
    where = "Trained longer, " if longer else ""
    text = f"{where}{why}, so the margin, a share of that distance, means nothing"
    return f"{text[:1].upper()}{text[1:]}: declare it in absolute units."


def no_images(arms: Sequence[str]) -> str:
    """Test images count as a sample, and an earlier version has not stored what that needs."""
    whose = listed([arm_name(arm) for arm in arms])
    return (
        f"Test images count as a sample, and the metric of single test images is not stored for {whose}: an earlier "
        "version trained it. Start a new run of the recipe, or declare images = 'fixed'."
    )


def longer_broke(results: Sequence[Result]) -> str:
    """Longer arms that failed."""
    return f"{broken(results)}, so nothing is concluded about longer training."


def longer_collapsed(seeds: Sequence[int]) -> str:
    """A longer trained ticket whose samples collapsed."""
    return f"The samples of the ticket, trained longer, collapsed in {seeds_of(seeds)}: whether its lead lasts is open."


def missing(unfinished: Mapping[str, str], declared: Sequence[str], path: str, longer: bool = False) -> str:
    """Which declared arms are not there, why, and the command that trains them; empty where all are."""
    lacking = {arm: why for arm, why in unfinished.items() if arm in declared}
    if not lacking:
        return ""
    reasons = dict.fromkeys(lacking.values())
    groups = [f"{listed([arm_name(arm) for arm, own in lacking.items() if own == why])} ({why})" for why in reasons]
    deepest = EQUAL_STEPS if longer else MATCHES
    text = f"Declared controls are missing, so the verdict cannot go beyond {deepest}: {'; '.join(groups)}."
    return f"{text} This trains them: {shlex.join(['gentickets', 'verdict', path, '--run'])}."


def not_beaten_yet(unfinished: Mapping[str, str], declared: Sequence[str]) -> str:
    """Controls beyond the declared ones that were asked for and are not there."""
    others = [f"{arm_name(arm)} ({why})" for arm, why in unfinished.items() if arm not in declared]
    return f"Not compared yet, so not beaten: {listed(others)}." if others else ""


def contradiction(good: str, bad: str) -> str:
    """Both sides of a fork are shown, at different interim analyses."""
    return f"Both {good} and {bad} are shown, at different interim analyses, so neither is concluded."


def disasters(share: float, seeds: int) -> str:
    """Too few seeds to exclude as many disasters as the claim declares."""
    needed = seeds_without_disaster(share)
    return f"WINS needs {needed} seeds to exclude that {percent(share)} of seeds are disasters; there are {seeds}."


NOTHING_WITHIN = "On validation no level's mean is within the margin."
"""Where validation is to choose the level."""
