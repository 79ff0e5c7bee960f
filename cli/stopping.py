"""Ctrl-C and SIGTERM: the first stops and stores, the second stops at once, and none prints a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gentickets.errors import Status

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The signals that have come, and the status that the first of them stands for."""

    def __init__(self) -> None:
        self.caught: list[int] = []

    @property
    def status(self) -> Status:
        """INTERRUPTED for Ctrl-C, TERMINATED for SIGTERM."""
        return Status.TERMINATED if self.caught[:1] == [signal.SIGTERM] else Status.INTERRUPTED

    def __bool__(self) -> bool:
        return bool(self.caught)


@contextmanager
def stoppable(answer: str, *, raises: bool) -> Iterator[Stop]:
    """Count the signals inside. The first prints ``answer``, and raises KeyboardInterrupt if ``raises``; others do.

    Once one has come the process is about to end, so that on leaving all further ones are ignored.
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
            raise KeyboardInterrupt

    before = {number: signal.signal(number, catch) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if stop else before[number])


def _write(line: str) -> None:
    """Past all buffers: the signal may have come in the middle of a write to them."""
    with contextlib.suppress(OSError, ValueError):
        start = "\r\n" if sys.stderr.isatty() else ""  # behind a bar, perhaps
        os.write(sys.stderr.fileno(), f"{start}{line}\n".encode())
