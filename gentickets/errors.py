"""What goes wrong, said in one line, with the exit status that the command line ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class Status(IntEnum):
    """Exit statuses of the command line (documented in the README)."""

    DONE = 0
    FAILED = 1
    REQUEST = 2
    """A wrong request or recipe."""
    TICKET = 3
    """A ticket that is damaged or does not fit."""
    DIVERGED = 4
    STORAGE = 5
    """No space left, or another input/output error."""
    LOCKED = 6
    """Another process is writing there."""
    VERDICT = 7
    """A verdict short of WINS."""
    HANGUP = 129
    """The terminal was closed: SIGHUP."""
    INTERRUPTED = 130
    TERMINATED = 143


class TicketError(ValueError):
    """The one error of the library: a sentence for a person, and the exit status that fits it."""

    def __init__(self, message: str, status: Status = Status.REQUEST) -> None:
        super().__init__(message)
        self.status = status


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that closes an error about an unknown name: the nearest valid one, else all of them."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else "There are none."
