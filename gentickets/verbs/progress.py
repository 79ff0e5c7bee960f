"""Shows how far a verb is, by tqdm: in notebooks too, or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gentickets.experiment.options import Listener, Silent
from gentickets.experiment.plan import Key, Unit


def bar_of(total: int, done: int = 0) -> Any:
    """A bar of so many training steps; in a notebook that has no widgets a bar of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm
    return tqdm(total=total, initial=done, unit="step", leave=False)


class Bar:
    """A listener with a tqdm bar of all steps of a run."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.at: dict[Key, int] = {}
        self.rounds = self.finished = 0

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """All units of the run, and those that were done before."""
        self.rounds, self.finished = len(units), len(done)
        if len(done) < len(units):
            before = sum(unit.steps for unit in units if unit.key in done)
            self.bar = bar_of(sum(unit.steps for unit in units), before)

    def report(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """A unit has taken so many steps; with a message, it is done."""
        new = max(0, min(steps, unit.steps) - self.at.get(unit.key, 0))
        self.at[unit.key] = self.at.get(unit.key, 0) + new
        self.finished += message is not None
        if self.bar is not None:
            self.bar.set_description_str(f"{self.finished}/{self.rounds} rounds", refresh=False)
            self.bar.update(new)

    def note(self, sentence: str) -> None:
        """Something that whoever started the run should know: the run itself logs it."""

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


@contextmanager
def listening(progress: bool | Listener) -> Iterator[Listener]:
    """The listener of a verb: a bar (True), none (False), or one's own."""
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield Silent()
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()
