"""Writes the verdict on one level: first the answer, then what shows it, last what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gentickets.analysis.tested import LevelPart, Tested
from gentickets.analysis.text.bounds import (
    ahead_of,
    matches_dense,
    needed_lead,
    not_ahead_of,
    open_to_dense,
    worse_than_dense,
)
from gentickets.analysis.text.format import decimals, metric_name, numbered, plus_minus
from gentickets.analysis.verdict import LevelVerdict
from gentickets.arms import ArmName
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
    unseen_disasters,
)


@dataclass(frozen=True)
class Setting:
    """What a sentence needs to know of the claim."""

    metric: str
    level: str
    """The level in words: ``67.2 % sparsity``."""
    times: int
    """How many times as long the longer arms train."""
    analysis: str = ""
    """``interim analysis 1 of 2``."""
    images: int | None = None
    """Number of test images."""
    exploratory: bool = False
    """Whether seeds were chosen by hand."""
    sample: bool = False
    """Whether test images count as a sample."""
    hollow: bool = False
    """Whether the ticket's samples collapsed, so that its metric means nothing."""


def sentence(level: LevelVerdict, setting: Setting, cautions: Sequence[str] = ()) -> str:
    """The verdict, what shows it, cautions, and the scope."""
    said = [one for one in level.reasons if one not in cautions]
    body = [*_body(level, setting)]
    if not body and said:
        said = [f"{said[0][:1].lower()}{said[0][1:]}", *said[1:]]
    parts = [_head(level, setting), *body, *said, _so_far(level, setting), *cautions, _scope(level, setting)]
    return " ".join(filter(None, parts))


def _head(level: LevelVerdict, setting: Setting) -> str:
    seeds = level.short.against.n if level.short is not None else 0
    told = [numbered(seeds, "seed")] if seeds else []
    told += [setting.analysis] if setting.analysis and level.tested else []
    told += ["seeds chosen by hand: exploratory"] if setting.exploratory else []
    listed_up = f" ({', '.join(told)})" if told else ""
    return f"{level.word} at {setting.level}{listed_up}:"


def _body(level: LevelVerdict, setting: Setting) -> Iterator[str]:
    part = level.short
    if level.word == FAILED or setting.hollow or part is None or not level.tested:
        yield from ()
    else:
        yield from _shown(level, part, setting)


def _so_far(level: LevelVerdict, setting: Setting) -> str:
    """The means of a level that is not tested."""
    part = level.short
    if level.tested or level.word == FAILED or setting.hollow or part is None:
        return ""
    places = decimals([part.ticket, part.dense])
    values = f"{plus_minus(part.ticket, places)} against {plus_minus(part.dense, places)} for dense"
    return f"So far the ticket's {metric_name(setting.metric)} is {values}; nothing is tested."


def _shown(level: LevelVerdict, part: LevelPart, setting: Setting) -> Iterator[str]:
    """What is shown of the ticket, and at the first fork that is open, what is not."""
    by, places = f"by {metric_name(setting.metric)} the ticket is", _places(part)
    if level.word == UNDECIDED:
        yield f"{by} {open_to_dense(part, places)}{_undecided(level)}"
    elif level.word == WORSE:
        yield f"{by} {worse_than_dense(part, places)}."
    elif level.word == MATCHES:
        yield f"{by} {matches_dense(part, places)}. {_open_controls(level, part, places)}".strip()
    elif level.word == NO_BETTER:
        yield f"by {metric_name(setting.metric)} the ticket matches dense, but it is {_as_good(part, places)}."
    elif level.word == HEAD_START:
        yield f"the lead does not last. {_lost(level.longer, setting)}"
        yield f"After equal steps it matches dense and leads {_every(part)}."
    else:
        yield f"{by} {matches_dense(part, places)}{_ahead(part, places)}."
        yield _when_longer(level, setting)


def _undecided(level: LevelVerdict) -> str:
    if level.unsteady or _contradicts(level):
        return "."
    return ", so whether it matches dense is open."


def _contradicts(level: LevelVerdict) -> bool:
    shown = {node.verdict for node in level.nodes if node.shown}
    return any(set(pair) <= shown for pair in ((MATCHES, WORSE), (EQUAL_STEPS, NO_BETTER), (WINS, HEAD_START)))


def _open_controls(level: LevelVerdict, part: LevelPart, places: int) -> str:
    """Which control leaves it open whether the ticket wins; nothing where some are missing or contradict."""
    hardest = part.hardest
    if hardest is None or part.unfinished or _contradicts(level):
        return ""
    whom = _title(hardest) if len(part.controls) == 1 else f"every control, least of all over {_title(hardest)}"
    return f"It is not shown to have {needed_lead(part, places)} over {whom}."


def _title(one: Tested) -> str:
    return ArmName.of(one.arm).of_length(longer=False).title


def _as_good(part: LevelPart, places: int) -> str:
    """The control that is shown to be as good, and how many others are."""
    even = [one for one in part.controls if one.refuted] or [_least(part.controls)]
    others = f"; the same is shown for {numbered(len(even) - 1, 'other control')}" if len(even) > 1 else ""
    return f"{not_ahead_of(even[0], part, places)}{others}"


def _least(controls: Sequence[Tested]) -> Tested:
    return min(controls, key=lambda one: one.bad.repeated if one.bad else 1.0)


def _ahead(part: LevelPart, places: int) -> str:
    """Of all controls, by the bound of the closest."""
    nearest, every = part.nearest, "every control" if len(part.controls) > 1 else ""
    return "" if nearest is None else f" and {ahead_of(nearest, part, places, every)}"


def _every(part: LevelPart) -> str:
    return "every control" if len(part.controls) != 1 else "its control"


def _when_longer(level: LevelVerdict, setting: Setting) -> str:
    part = level.longer
    if part is None:
        return ""
    if level.word == WINS:
        return f"This lasts: {_length(setting)}, it still matches dense and leads {_every(part)}."
    hardest = part.hardest
    if part.against.good is None or hardest is None:
        return ""
    return f"Whether this lasts is open: {_length(setting)}, it is not shown to {_what_lasts(part, hardest)}."


def _what_lasts(part: LevelPart, hardest: Tested) -> str:
    """What of the longer trained arms is not shown."""
    if hardest.shown:
        return "match dense"
    whom = _title(hardest) if len(part.controls) == 1 else f"every control, least of all {_title(hardest)}"
    return f"lead {whom}" if part.against.shown else f"match dense, nor to lead {whom}"


def _length(setting: Setting) -> str:
    return f"trained {setting.times} times as long" if setting.times > 1 else "trained longer"


def _lost(part: LevelPart | None, setting: Setting) -> str:
    """What longer training takes away."""
    if part is None:
        return ""
    places, length = _places(part), _length(setting)
    start = f"{length[:1].upper()}{length[1:]}, the ticket is"
    if part.against.refuted:
        return f"{start} {worse_than_dense(part, places)}."
    gone = [one for one in part.controls if one.refuted] or [_least(part.controls)]
    return f"{start} {not_ahead_of(gone[0], part, places)}."


def _scope(level: LevelVerdict, setting: Setting) -> str:
    """What the verdict is about, and what so many seeds cannot exclude."""
    if not level.tested or level.short is None:
        return ""
    seeds = level.short.against.n
    count = f"{setting.images:,} " if setting.images else ""
    about = f"images like these {count}test images" if setting.sample else f"these {count}test images"
    unseen = f"{100 * unseen_disasters(seeds):.0f} %"
    text = f"This is about {about}; {numbered(seeds, 'seed')} cannot rule out that up to {unseen} of seeds go badly"
    return f"{text} wrong."


def _places(part: LevelPart) -> int:
    return decimals([part.ticket, part.dense, *(one.spread for one in part.controls)])
