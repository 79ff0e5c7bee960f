"""Logs what a run does to the logger ``gentickets``, from the first process. Torch-free.

The logger is silent unless it is asked:

    logging.getLogger("gentickets").setLevel(logging.INFO)     # starts and ends of units, on stderr

INFO has the start and the end of every unit, WARNING what failed, diverged or is otherwise worth knowing. A program
that has set up logging itself (`logging.basicConfig`) gets the records in its own handlers, and none twice.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gentickets.experiment.options import Listener
from gentickets.experiment.plan import Key, Unit
from gentickets.results import outcome

LOGGER = logging.getLogger("gentickets")


class _WhenAsked(logging.Handler):
    """Prints to stderr where the logger was given a level, and the program has no handlers of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if LOGGER.level != logging.NOTSET and not logging.getLogger().handlers:
            print(self.format(record), file=sys.stderr)


if not LOGGER.handlers:
    _handler = _WhenAsked()
    _handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    LOGGER.addHandler(_handler)


class Logged:
    """A listener that logs, and passes everything on to another."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.started: set[Key] = set()

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """All units of the run, and those that were done before."""
        LOGGER.info("run of %d units begins; %d are done", len(units), len(done))
        self.listener.begin(units, done)

    def report(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """A unit has taken so many steps; with a message, it is done."""
        if unit.key not in self.started:
            self.started.add(unit.key)
            LOGGER.info("%s starts", unit)
        if message is not None:
            done = message["status"] == "done"
            LOGGER.log(
                logging.INFO if done else logging.WARNING,
                "%s ends: %s", unit, "done" if done else outcome(message["status"], message["why"]),
            )  # fmt: skip
        self.listener.report(unit, steps, message)

    def note(self, sentence: str) -> None:
        """Something that whoever started the run should know."""
        LOGGER.warning("%s", sentence)
        self.listener.note(sentence)
