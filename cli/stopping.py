"""Ctrl-C, SIGTERM and SIGHUP: the first stops and stores, the second stops at once, and none prints a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from gentickets.errors import Status

STATUSES = {
    getattr(signal, name): status
    for name, status in (
        ("SIGINT", Status.INTERRUPTED),
        ("SIGTERM", Status.TERMINATED),
        ("SIGHUP", Status.HANGUP),
    )
    if hasattr(signal, name)
}
"""Signal -> what a command ends with that it has stopped."""


class Stop:
    """The signals that have come, and the status that the first of them stands for."""

    def __init__(self) -> None:
        self.caught: list[int] = []

    @property
    def status(self) -> Status:
        """INTERRUPTED for Ctrl-C, TERMINATED for SIGTERM, HANGUP for SIGHUP."""
        return STATUSES[signal.Signals(self.caught[0])] if self.caught else Status.INTERRUPTED

    def __bool__(self) -> bool:
        return bool(self.caught)


@contextmanager
def stoppable(answer: str, *, raises: bool) -> Iterator[Stop]:
    """Count the signals inside. The first prints ``answer``, and raises Signalled if ``raises``; others do.

    Once one has come the process is about to end, so that on leaving all further ones are ignored. A signal that the
    process was started to ignore, as nohup has it, stays ignored.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def catch(number: int, frame: FrameType | None) -> None:
        stop.caught.append(number)
        if len(stop.caught) == 1:
            _write(answer)
        if raises or len(stop.caught) > 1:
            raise Signalled(stop.status)

    before = {number: signal.getsignal(number) for number in STATUSES}
    listened = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in listened:
        signal.signal(number, catch)
    try:
        yield stop
    finally:
        for number in listened:
            signal.signal(number, signal.SIG_IGN if stop else before[number])


class Signalled(KeyboardInterrupt):
    """A signal that ends a command, with its status.

    It is no plain KeyboardInterrupt, since Python remembers one that passed through code made at run time (a data class
    that is being imported, say), and ends the process by SIGINT in the end, whatever the command says.
    """

    seen: ClassVar[list[Status]] = []
    """The statuses of all that were raised in this process. Foreign code that is being imported may turn one into an
    error of its own."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status
        self.seen.append(status)


def end_quietly() -> None:
    """Have signals end a command that stores nothing in one line, with drafts removed and locks given back."""

    def catch(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # it is about to end
        raise Signalled(STATUSES[signal.Signals(number)])

    for number in STATUSES:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, catch)


def _write(line: str) -> None:
    """Past all buffers: the signal may have come in the middle of a write to them."""
    with contextlib.suppress(OSError, ValueError):
        start = "\r\n" if sys.stderr.isatty() else ""  # behind a bar, perhaps
        os.write(sys.stderr.fileno(), f"{start}{line}\n".encode())
