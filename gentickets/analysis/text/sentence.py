"""Writes the verdict on one level: first the answer, then what shows it, last what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gentickets.analysis.tested import LevelPart, Tested
from gentickets.analysis.text.bounds import against_dense, ahead_of
from gentickets.analysis.text.format import decimals, listed, metric_name, numbered, plus_minus
from gentickets.analysis.verdict import LevelVerdict
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
    hollow: bool = False
    """Whether the ticket's samples collapsed, so that its metric means nothing."""


def sentence(level: LevelVerdict, setting: Setting, cautions: Sequence[str] = ()) -> str:
    """The verdict, what shows it, cautions, and the scope."""
    said = [one for one in level.reasons if one not in cautions]
    body = [*_body(level, setting)]
    if not body and said:
        said = [f"{said[0][:1].lower()}{said[0][1:]}", *said[1:]]
    return " ".join(filter(None, [_head(level, setting), *body, *said, *cautions, _scope(level, setting)]))


def _head(level: LevelVerdict, setting: Setting) -> str:
    seeds = level.short.against.n if level.short is not None else 0
    told = [numbered(seeds, "seed")] if seeds else []
    told += [setting.analysis] if setting.analysis and level.tested else []
    told += ["seeds chosen by hand: exploratory"] if setting.exploratory else []
    listed_up = f" ({', '.join(told)})" if told else ""
    return f"{level.word} at {setting.level}{listed_up}:"


def _body(level: LevelVerdict, setting: Setting) -> Iterator[str]:
    part = level.short
    if level.word == FAILED or setting.hollow or part is None:
        yield from ()
    elif not level.tested:
        places = decimals([part.ticket, part.dense])
        there = f"{plus_minus(part.ticket, places)} against {plus_minus(part.dense, places)} for dense"
        yield f"the {metric_name(setting.metric)} is {there}, which is not tested."
    else:
        yield from _shown(level, part, setting)


def _shown(level: LevelVerdict, part: LevelPart, setting: Setting) -> Iterator[str]:
    """What is shown of the ticket, and at the first fork that is open, what is not."""
    name, places = metric_name(setting.metric), _places(part)
    if level.word == UNDECIDED:
        yield f"{name} {against_dense(part, 'both', places)}{_undecided(level)}"
    elif level.word == WORSE:
        yield f"{name} {against_dense(part, 'bad', places)}."
    elif level.word == MATCHES:
        yield f"{name} {against_dense(part, 'good', places)}. {_open_controls(level, part, places)}".strip()
    elif level.word == NO_BETTER:
        yield f"{name} {against_dense(part, 'good', places)}, but {_not_ahead(part, places)}."
    else:
        yield f"{name} {against_dense(part, 'good', places)}, and {_ahead(part, places)}."
        if level.longer is not None:
            yield _when_longer(level, level.longer, setting)


def _undecided(level: LevelVerdict) -> str:
    if level.unsteady or _contradicts(level):
        return "."
    return ", which leaves open whether it is within the margin."


def _contradicts(level: LevelVerdict) -> bool:
    shown = {node.verdict for node in level.nodes if node.shown}
    return any(set(pair) <= shown for pair in ((MATCHES, WORSE), (EQUAL_STEPS, NO_BETTER), (WINS, HEAD_START)))


def _open_controls(level: LevelVerdict, part: LevelPart, places: int) -> str:
    """Of the control over which a lead is least surely shown; nothing where some are missing or contradict."""
    hardest = part.hardest
    if hardest is None or part.unfinished or _contradicts(level):
        return ""
    return f"Whether it is ahead of every control is open: it is {ahead_of(hardest, part, 'both', places)}."


def _not_ahead(part: LevelPart, places: int) -> str:
    even = [one for one in part.controls if one.refuted] or [_least(part.controls)]
    return f"it is {listed([ahead_of(one, part, 'bad', places) for one in even[:1]])}{_also(even[1:])}"


def _also(others: Sequence[Tested]) -> str:
    return f"; the same is shown of {numbered(len(others), 'other control')}" if others else ""


def _least(controls: Sequence[Tested]) -> Tested:
    return min(controls, key=lambda one: one.bad.repeated if one.bad else 1.0)


def _ahead(part: LevelPart, places: int) -> str:
    nearest = part.nearest
    if nearest is None:
        return "ahead of every control"
    least = "" if len(part.controls) == 1 else "every control; of the closest, "
    return ahead_of(nearest, part, "good", places, least)


def _when_longer(level: LevelVerdict, part: LevelPart, setting: Setting) -> str:
    places = _places(part)
    length = f"trained {setting.times} times as long" if setting.times > 1 else "trained longer"
    if level.word == WINS:
        return f"That lasts: {length}, it is {against_dense(part, 'good', places)}, and {_ahead(part, places)}."
    if level.word == HEAD_START:
        return f"But that does not last: {length}, it is {_lost(part, places)}."
    if part.against.good is None:
        return ""
    hardest = part.hardest
    told = f"it is {against_dense(part, 'both', places)}"
    if hardest is not None:
        told += f", and {ahead_of(hardest, part, 'both', places)}"
    return f"Whether that lasts is open: {length}, {told}."


def _lost(part: LevelPart, places: int) -> str:
    if part.against.refuted:
        return against_dense(part, "bad", places)
    gone = [one for one in part.controls if one.refuted] or [_least(part.controls)]
    return ahead_of(gone[0], part, "bad", places)


def _scope(level: LevelVerdict, setting: Setting) -> str:
    """What the verdict is about, and what so many seeds cannot exclude."""
    if not level.tested or level.short is None:
        return ""
    seeds = level.short.against.n
    count = f"{setting.images:,} " if setting.images else ""
    unseen = f"{100 * unseen_disasters(seeds):.0f} %"
    return (
        f"On these {count}test images; no disaster in {numbered(seeds, 'seed')}: up to {unseen} of seeds could be one."
    )


def _places(part: LevelPart) -> int:
    return decimals([part.ticket, part.dense, *(one.spread for one in part.controls)])
