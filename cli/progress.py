"""Progress of a run on stderr: a bar with time left on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

if TYPE_CHECKING:
    from gentickets.experiment.units import Key, Unit

LINE_SECONDS = 10.0


class Progress:
    """Listens to a run. Steps are the measure: a round of a small budget counts for less than one of a large."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.at: dict[Key, int] = {}
        self.bar: tqdm[Any] | None = None

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """All units of the run, and those that were done before."""
        self.rounds, self.finished = len(units), len(done)
        self.steps = sum(unit.steps for unit in units)
        self.taken = self.before = sum(unit.steps for unit in units if unit.key in done)
        self.started = self.told = time.monotonic()
        if done and len(done) < len(units):
            click.echo(f"going on: {len(done)} of {len(units)} rounds are done", err=True)
        if self.terminal and len(done) < len(units):
            form = "{percentage:3.0f}% {bar} {elapsed}, {remaining} left  {postfix}"
            self.bar = tqdm(total=self.steps, initial=self.before, bar_format=form, dynamic_ncols=True, file=sys.stderr)
            self.bar.set_postfix_str("starting")

    def tell(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """A unit has taken so many steps; with a message, it is done."""
        new = max(0, min(steps, unit.steps) - self.at.get(unit.key, 0))
        self.at[unit.key] = self.at.get(unit.key, 0) + new
        self.taken += new
        if message is not None:
            self.at.pop(unit.key)
            self.finished += 1
            if message["status"] != "done":
                self._say(f"{unit}: {message['status']}: {message['why']}")
        if self.bar is not None:
            now = " | ".join(f"{arm} {round} seed {seed}" for seed, arm, round in sorted(self.at))
            self.bar.set_postfix_str(f"{self.finished}/{self.rounds} rounds  {now}", refresh=False)
            self.bar.update(new)
        elif not self.terminal and (time.monotonic() - self.told > LINE_SECONDS or self.finished == self.rounds):
            self.told = time.monotonic()
            share = f"{self.taken / self.steps:.0%} of all steps"
            self._say(f"{self.finished} of {self.rounds} rounds, {share}{self._left()}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.close()

    def _left(self) -> str:
        done, left = self.taken - self.before, self.steps - self.taken
        if not done or not left:
            return ""
        return f", about {(time.monotonic() - self.started) / done * left:.0f} s left"

    def _say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)
