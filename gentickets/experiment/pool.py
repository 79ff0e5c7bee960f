"""Worker processes side by side, units in the order of their needs. Torch-free: the parent only waits and tells."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.experiment.units import Key, Unit

Tell = Callable[[Unit, int, Mapping[str, Any] | None], object]
"""(unit, steps taken, message when done) -> whatever."""

STOP_SECONDS = 60.0
"""How long workers may take to store their state when asked to stop."""


class Worker:
    """One worker process and the unit that it is at."""

    def __init__(self, setup: Mapping[str, Any], inbox: SimpleQueue[tuple[Worker, dict[str, Any] | None]]) -> None:
        # -P: a random.py in the user's folder shadows no module
        command = [sys.executable, "-P", "-m", "gentickets.experiment.worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )  # fmt: skip
        self.unit: Unit | None = None
        self.ready = False
        self.inbox = inbox
        self.send(setup)
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; a worker that has ended is noticed by its listener."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.inbox.put((self, json.loads(line)))
        self.process.wait()
        self.inbox.put((self, None))


class Pool:
    """Runs units in ``jobs`` workers; a unit starts when all that it needs is done, whatever came of it."""

    def __init__(
        self,
        units: Sequence[Unit],
        done: set[Key],
        setup: Mapping[str, Any],
        jobs: int,
        tell: Tell,
        preflight: Mapping[str, Any] | None = None,
        note: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        """``preflight``: what the first worker tries before it is ready; no unit is handed out before that.

        ``note`` is given what that worker says of it.
        """
        self.note = note
        self.waiting = [unit for unit in units if unit.key not in done]
        self.done, self.tell = set(done), tell
        self.inbox: SimpleQueue[tuple[Worker, dict[str, Any] | None]] = SimpleQueue()
        self.stopping = False
        self.trouble: TicketError | None = None
        jobs = max(1, min(jobs, len(self.waiting)))
        first = {**setup, "preflight": preflight} if preflight is not None else setup
        setups = [first, *[setup] * (jobs - 1)]
        self.workers = [Worker(one, self.inbox) for one in setups] if self.waiting else []
        self.checking = self.workers[0] if self.workers and preflight is not None else None

    def run(self) -> None:
        """Work until all units are done, or stopped. Raises what a worker could not go on from."""
        try:
            while self.workers:
                worker, message = self.inbox.get()
                if message is None:
                    self._ended(worker)
                else:
                    self._heard(worker, message)
                self._hand_out()
        except BaseException:
            self.stop()
            self.wait()
            raise
        if self.trouble is not None:
            raise self.trouble

    def stop(self) -> None:
        """Ask every worker to store its state and end."""
        self.stopping = True
        for worker in self.workers:
            worker.send({"stop": True})

    def wait(self) -> None:
        """Wait for workers that were asked to stop, and end those that do not."""
        for worker in self.workers:
            try:
                worker.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()

    def _hand_out(self) -> None:
        if self.stopping or self.checking is not None:
            return
        for worker in self.workers:
            if worker.ready and worker.unit is None and (unit := self._next()) is not None:
                self.waiting.remove(unit)
                worker.unit = unit
                worker.send({"do": asdict(unit)})
        if not self.waiting:
            for worker in self.workers:
                if worker.unit is None and worker.ready:
                    worker.send({"stop": True})

    def _next(self) -> Unit | None:
        """The waiting unit with the most work behind it whose needs are done; search rounds before controls."""
        ready = [unit for unit in self.waiting if all(need in self.done for need in unit.needs)]
        return max(ready, key=lambda unit: (self._dependents(unit), unit.steps), default=None)

    def _dependents(self, unit: Unit) -> int:
        return sum(other.steps for other in self.waiting if unit.key in other.needs) + (
            unit.steps * 2 if unit.arm == "ticket" else 0
        )

    def _heard(self, worker: Worker, message: dict[str, Any]) -> None:
        if "ready" in message:
            worker.ready = True
            for sentence in message.get("notes", ()):
                self.note(sentence)
            self.checking = None if worker is self.checking else self.checking
        elif "error" in message:
            self._fail(TicketError(message["error"], Status(message["exit"])), message.get("traceback"))
        elif "at" in message and worker.unit is not None:
            self.tell(worker.unit, message["at"], None)
        elif "done" in message and worker.unit is not None:
            unit, worker.unit = worker.unit, None
            self.done.add(unit.key)
            self.tell(unit, unit.steps, message)

    def _ended(self, worker: Worker) -> None:
        self.workers.remove(worker)
        stranded = worker.unit is not None or (self.waiting and not self.workers)
        if stranded and not self.stopping:
            code = worker.process.returncode
            hint = "; out of memory? try --jobs 1" if code == -9 else ""
            where = f"the worker at {worker.unit}" if worker.unit else "a worker, before its first round,"
            self._fail(
                TicketError(f"{where} ended with status {code}{hint}", Status.FAILED),
                None,
            )

    def _fail(self, error: TicketError, trace: str | None) -> None:
        if self.trouble is None:
            self.trouble = error
            if trace:
                error.add_note(trace)
        self.stop()
