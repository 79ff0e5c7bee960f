"""Starts a worker process, sends it messages, listens to it and ends it. Torch-free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from gentickets.experiment.messages import messages, send
from gentickets.experiment.plan import Unit

COMMAND = (sys.executable, "-P", "-m", "gentickets.experiment.worker")
"""-P: a random.py in the user's folder shadows no module."""
END_SECONDS = 10.0
"""How long a worker that takes no step any more may take to store its state; then it is killed."""
LAST_WORDS_SECONDS = 2.0


class Worker:
    """One worker process, the unit that it is at, and how far it has come."""

    def __init__(self, setup: Mapping[str, Any], inbox: SimpleQueue[tuple[Worker, Any]]) -> None:
        self.process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C and a terminal that closes are the parent's to handle
        )  # fmt: skip
        self.unit: Unit | None = None
        self.ready = self.leaving = False
        self.reached: tuple[Any, ...] = ()
        self.since = time.monotonic()
        self.why: str | None = None
        self.kill_at: float | None = None
        self.inbox = inbox
        self.send(setup)
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        threading.Thread(target=self._wait, args=(listener,), daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; a worker that has ended is noticed by who waits for it."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            send(self.process.stdin.fileno(), message)

    def reach(self, *where: Any) -> None:
        """Take note of the step and the phase that it has reached."""
        if where != self.reached:
            self.reached, self.since = where, time.monotonic()

    def leave(self, within: float) -> None:
        """Ask it to store its state and end; it is killed if it does not in time."""
        if not self.leaving:
            self.leaving, self.kill_at = True, time.monotonic() + within
            self.send({"stop": True})

    def end(self, why: str) -> None:
        """End it, first by SIGTERM: what is merely slow stores its state."""
        self.why, self.kill_at = why, time.monotonic() + END_SECONDS
        self.process.terminate()

    def kill(self) -> None:
        """End it and its own processes at once."""
        if self.process.poll() is None:
            with suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for message in messages(self.process.stdout):
            self.inbox.put((self, message))

    def _wait(self, listener: threading.Thread) -> None:
        """The end of the process is what counts: its pipe may be held open by processes of its own."""
        self.process.wait()
        listener.join(LAST_WORDS_SECONDS)
        self.inbox.put((self, None))
