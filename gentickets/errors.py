"""What goes wrong, said in one line, with the exit status that the command line ends with."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from enum import IntEnum


class Status(IntEnum):
    """Exit statuses of the command line (docs/reference/exit-statuses.md)."""

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
    """A verdict that says less than was required."""
    HANGUP = 129
    """The terminal was closed: SIGHUP."""
    INTERRUPTED = 130
    TERMINATED = 143


class TicketError(ValueError):
    """The one error of the library: a sentence for a person, and the exit status that fits it."""

    def __init__(self, message: str, status: Status = Status.REQUEST) -> None:
        super().__init__(message)
        self.status = status


MOST_NAMES = 5
"""Names that an error shows at most."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint that closes an error about an unknown name: the valid one that is close, else the five nearest."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"Did you mean '{close[0]}'?"
    if len(names) <= MOST_NAMES:
        return f"Known: {', '.join(names)}." if names else "There are none."
    near = difflib.get_close_matches(name, names, n=MOST_NAMES, cutoff=0.0)
    return f"The nearest of {len(names)} are {', '.join(near)}."


def memory_told(error: BaseException) -> str | None:
    """What to say of an error that means that memory does not suffice, as the system or PyTorch reports it; else None.

    PyTorch has a class for it on accelerators, and a RuntimeError on processors.
    """
    what = " ".join(str(error).split())
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names & {"MemoryError", "OutOfMemoryError"} and not any(said in what for said in _NO_MEMORY):
        return None
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", what)
    much = f" ({asked[1]} more were asked for)" if asked else ""
    return f"memory does not suffice{much}: choose smaller networks or a smaller data.batch_size"


_NO_MEMORY = ("DefaultCPUAllocator: ", "out of memory")
"""In the errors of PyTorch and of the kernel."""
