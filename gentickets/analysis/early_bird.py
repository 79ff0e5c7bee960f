"""Reads from results when each early bird emerged, and the mask distances that led to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gentickets.analysis.results import RunResults
from gentickets.analysis.text.format import DASH, percent
from gentickets.arms import SEARCH
from gentickets.results import Result
from gentickets.table import Table


@dataclass(frozen=True)
class EmergedLevel:
    """When one level emerged in one seed."""

    seed: int
    round: int
    sparsity: float
    """Removed share of channels or weights, as asked for."""
    step: int | None
    """At which it emerged; None where it did not."""
    share: float | None
    """The same as a share of the training."""
    why: str | None
    """Where it did not emerge: a sentence."""

    @property
    def text(self) -> str:
        """``step 120 (24.0 %)``, or why not."""
        if self.step is None:
            return f"did not emerge{f': {self.why}' if self.why else ''}"
        return f"step {self.step:,}" + (f" ({percent(self.share)})" if self.share is not None else "")


@dataclass(frozen=True)
class MaskDistance:
    """The distance between one component's masks at one check."""

    seed: int
    round: int
    component: str
    step: int
    distance: float | None
    """The largest between the newest mask and the older ones; None before there are enough of them."""
    initial: float | None
    """To the first mask."""
    limit: float | None
    """What the distance must not exceed."""
    share: float | None
    """What the last looks have made of all that has moved in the ranking (corrected rule)."""
    share_limit: float | None
    """The largest such share that chance does not explain; None where there is none."""


@dataclass(frozen=True)
class Emergence:
    """What the early-bird searches of a run found."""

    rule: str
    by: str
    every: int | None
    steps: int
    """Of the whole training."""
    levels: tuple[EmergedLevel, ...]
    trace: tuple[MaskDistance, ...]
    vacuous: tuple[str, ...]
    """Sentences about components in which the rule says nothing: it would fire on noise."""
    null: Mapping[str, Any]
    """Component -> what noise does there, of the first seed that tells."""

    def rounds(self) -> list[int]:
        """The levels, in order of sparsity."""
        return sorted({level.round for level in self.levels})

    def seeds(self) -> list[int]:
        """The seeds that were searched."""
        return sorted({level.seed for level in self.levels})

    def of(self, round: int) -> list[EmergedLevel]:
        """A level in every seed."""
        return sorted((level for level in self.levels if level.round == round), key=lambda level: level.seed)


def emergence(results: RunResults) -> Emergence | None:
    """What the searches of a run found; None where none has ended."""
    found = [cell for cell in results.of(SEARCH, 0) if cell.early_bird]
    if not found:
        return None
    told = found[0].early_bird
    nulls = [cell.early_bird.get("null") or {} for cell in found]
    said = [_ended(str(one)) for cell in found for one in cell.early_bird.get("vacuous") or ()]
    said += [one for null in nulls for name, noise in null.items() for one in _vacuous(noise, name)]
    return Emergence(
        str(told.get("rule") or "corrected"),
        str(told.get("by") or "channels"),
        told.get("every"),
        max(cell.steps for cell in found),
        tuple(level for cell in found for level in _levels(cell)),
        tuple(look for cell in found for look in _looks(cell)),
        tuple(dict.fromkeys(said)),
        next(filter(None, nulls), {}),
    )


def emergence_table(seen: Emergence) -> Table:
    """A row for each seed, a column for each level."""
    rounds = seen.rounds()
    header = ["seed", *(percent(seen.of(round)[0].sparsity) for round in rounds)]
    text = {(level.seed, level.round): level.text for level in seen.levels}
    return Table(header, [[str(seed), *(text.get((seed, round), DASH) for round in rounds)] for seed in seen.seeds()])


def _levels(cell: Result) -> Iterator[EmergedLevel]:
    for told in cell.early_bird.get("levels") or ():
        step = told.get("step")
        share = step / cell.steps if step is not None and cell.steps else None
        yield EmergedLevel(cell.seed, int(told["round"]), 1 - float(told["density"]), step, share, told.get("why"))


def _looks(cell: Result) -> Iterator[MaskDistance]:
    for told in cell.early_bird.get("trace") or ():
        numbers = (told.get(name) for name in ("distance", "initial", "limit", "share", "share_limit"))
        yield MaskDistance(cell.seed, int(told["round"]), str(told.get("component", "")), int(told["step"]), *numbers)


def _vacuous(told: Any, component: str) -> Iterable[str]:
    """What stands under a key ``vacuous`` of a component, however deep: a sentence, or only that it is so."""
    if not isinstance(told, Mapping):
        return
    for name, value in told.items():
        if name == "vacuous" and value:
            text = value if isinstance(value, str) else f"In '{component}' the rule is vacuous: it would fire on noise"
            yield _ended(text)
        else:
            yield from _vacuous(value, component)


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
