"""Progress on stderr: a bar with the time left on a terminal, plain lines in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

if TYPE_CHECKING:
    from gentickets.experiment.plan import Key, Unit

LINE_SECONDS = 10.0
STEADY_SECONDS = 10.0
"""After so long, or so large a part of the steps, a rate is worth telling."""
STEADY_SHARE = 0.02
SETTLING_SECONDS = 1.0
NARROW = 70
"""Columns of a terminal on which words are short."""


class TimeLeft:
    """How long the rest will take, from the rate since the first step; says nothing before that is steady."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.first: tuple[float, int] | None = None

    def at(self, taken: int) -> str:
        """``about 3 min left``, once so many steps are taken; empty while nobody knows."""
        now = time.monotonic()
        if self.first is None:
            if taken:
                self.first = (now, taken)
            return ""
        elapsed, new, left = now - self.first[0], taken - self.first[1], self.steps - taken
        early = elapsed < SETTLING_SECONDS or (elapsed < STEADY_SECONDS and new < STEADY_SHARE * self.steps)
        if early or new <= 0 or left <= 0:
            return ""
        return f"about {spoken(elapsed / new * left)} left"


def spoken(seconds: float) -> str:
    """A length of time for a person: ``90 s``, ``3 min``, ``2.5 h``."""
    if seconds <= 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds <= 2 * 3600 else f"{seconds / 3600:.1f} h"


def _columns() -> int:
    """Of the terminal behind stderr; stdout may be a pipe."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 80


class Bar:
    """A bar of fixed width with words behind it, cut where the terminal ends; nothing in a pipe."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.narrow = _columns() < NARROW
        width = 8 if self.narrow else 20
        form = f"{{percentage:3.0f}}% |{{bar:{width}}}| {{desc}}"
        self.shown: tqdm[Any] = tqdm(
            total=total, initial=done, bar_format=form, dynamic_ncols=True, file=sys.stderr, leave=False,
            desc="starting", disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def to(self, done: int, words: str) -> None:
        """Stand at so many steps."""
        with suppress(OSError):
            self.shown.set_description_str(words, refresh=False)
            self.shown.update(done - self.shown.n)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.shown.clear()
        click.echo(line, err=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        with suppress(OSError):
            self.shown.close()


class Progress:
    """Listens to a run. Steps are the measure: a round of a small budget counts for less than one of a large."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.at: dict[Key, int] = {}
        self.bar: Bar | None = None

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """All units of the run, and those that were done before."""
        self.rounds, self.finished = len(units), len(done)
        self.steps = sum(unit.steps for unit in units)
        self.taken = self.before = sum(unit.steps for unit in units if unit.key in done)
        self.left, self.told = TimeLeft(self.steps - self.before), time.monotonic()
        if done and len(done) < len(units):
            click.echo(f"resuming: {len(done)} of {len(units)} rounds are done", err=True)
        if self.terminal and len(done) < len(units):
            self.bar = Bar(self.steps, self.before)

    def report(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """A unit has taken so many steps; with a message, it is done."""
        new = max(0, min(steps, unit.steps) - self.at.get(unit.key, 0))
        self.at[unit.key] = self.at.get(unit.key, 0) + new
        self.taken += new
        left = self.left.at(self.taken - self.before)
        if message is not None:
            self.at.pop(unit.key)
            self.finished += 1
            if message["status"] != "done":
                from gentickets.results import outcome

                self._say(f"{unit}: {outcome(message['status'], message['why'])}")
        if self.bar is not None:
            self.bar.to(self.taken, self._words(self.bar, left))
        elif not self.terminal and (time.monotonic() - self.told > LINE_SECONDS or self.finished == self.rounds):
            self.told = time.monotonic()
            share = f"{self.taken / self.steps:.0%} of all steps"
            self._say(", ".join(filter(None, (f"{self.finished} of {self.rounds} rounds", share, left))))

    def note(self, sentence: str) -> None:
        """Something that whoever started the run should know."""
        self._say(sentence)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.close()

    def _words(self, bar: Bar, left: str) -> str:
        if bar.narrow:
            return ", ".join(filter(None, (f"{self.finished}/{self.rounds}", left)))
        now = " | ".join(f"{arm} {round} seed {seed}" for seed, arm, round in sorted(self.at))
        return "  ".join(filter(None, (f"{self.finished}/{self.rounds} rounds", left, now)))

    def _say(self, line: str) -> None:
        with suppress(OSError):  # a terminal that was closed is no reason to fail
            if self.bar is not None:
                self.bar.say(line)
            else:
                click.echo(line, err=True)


@contextmanager
def showing() -> Iterator[Progress]:
    """A listener that shows how far a run is, and leaves the terminal as it was."""
    progress = Progress()
    try:
        yield progress
    finally:
        progress.close()
