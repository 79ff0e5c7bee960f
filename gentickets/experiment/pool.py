"""Runs units in worker processes, in the order of their needs. Torch-free: the parent only waits and reports."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.experiment.messages import NotAMessage
from gentickets.experiment.plan import Key, Unit
from gentickets.experiment.schedule import UnitQueue
from gentickets.experiment.worker_process import Worker

Report = Callable[[Unit, int, Mapping[str, Any] | None], object]
"""(unit, steps taken, message when done) -> whatever."""
STOP_SECONDS = 60.0
"""How long workers may take to store their state when asked to stop; then they are killed."""
STALL_SECONDS = 600.0
"""How long a worker may stay at one step or in one part of a phase."""
START_SECONDS = 600.0
"""How long it may at least take to start: data may be read, and features made."""
TICK_SECONDS = 1.0
ASLEEP_SECONDS = 5.0
"""Where the parent itself was away for longer than that, it knows nothing of its workers' silence."""


class Pool:
    """Runs units in ``jobs`` workers; a unit starts when all that it needs is done, whatever came of it.

    A worker that dies, or that reaches no new step or phase for ``stall`` seconds and is ended, has its unit tried once
    more in a new one. The second time the unit is ``lost``: what does not need it goes on. ``note`` is given a line for
    a person about each, ``lose`` each unit that is lost, with the reason.

    ``preflight`` is what the first worker tries before it is ready; no unit is handed out before that, and ``note`` is
    given what it says.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        done: set[Key],
        setup: Mapping[str, Any],
        jobs: int,
        report: Report,
        preflight: Mapping[str, Any] | None = None,
        note: Callable[[str], object] = lambda line: None,
        *,
        stall: float = STALL_SECONDS,
        lose: Callable[[Unit, str], object] = lambda unit, why: None,
    ) -> None:
        self.schedule = UnitQueue(units, done)
        self.setup, self.report, self.note, self.lose = setup, report, note, lose
        self.stall, self.tick = stall, min(TICK_SECONDS, stall / 4)
        self.jobs = max(1, min(jobs, len(self.schedule.units)))
        self.inbox: SimpleQueue[tuple[Worker, Any]] = SimpleQueue()
        self.workers: list[Worker] = []
        self.preflight = preflight
        self.checking: Worker | None = None
        self.tries: Counter[Key] = Counter()
        self.owed = 0
        """Workers that died at a unit, and for which none has been started yet."""
        self.stopping = False
        self.trouble: TicketError | None = None
        self.watched = time.monotonic()

    def run(self) -> None:
        """Work until all units are done or lost, or stopped. Raises what a worker could not go on from."""
        try:
            if self.schedule and self.preflight is not None:
                self._start(preflight=self.preflight)
                self.checking = self.workers[0]
            while self.schedule and len(self.workers) < self.jobs:
                self._start()
            while self.workers:
                self._take()
                self._watch()
                self._hand_out()  # to new workers too
        except BaseException:
            self.end()
            raise
        if self.trouble is not None:
            raise self.trouble

    def stop(self) -> None:
        """Ask every worker to store its state and end."""
        self.stopping = True
        for worker in self.workers:
            worker.leave(STOP_SECONDS)

    def end(self) -> None:
        """Stop, and wait for the workers; those that take too long are killed, and all if this is interrupted."""
        try:
            self.stop()
            deadline = time.monotonic() + STOP_SECONDS
            for worker in self.workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self.workers:
                worker.kill()

    def _start(self, **more: Any) -> None:
        self.workers.append(Worker({**self.setup, **more}, self.inbox))

    def _take(self) -> None:
        """Wait for a message, for a moment."""
        try:
            worker, message = self.inbox.get(timeout=self.tick)
        except Empty:
            return
        if worker not in self.workers:
            return
        if message is None:
            self._ended(worker)
        elif isinstance(message, NotAMessage) or not self._heard(worker, message):
            self._foreign(worker, message if isinstance(message, NotAMessage) else NotAMessage(str(message)))

    def _watch(self) -> None:
        """End workers that reach nothing new, and kill those that were to end and have not."""
        now = time.monotonic()
        if now - self.watched < self.tick:
            return
        if now - self.watched > self.tick + ASLEEP_SECONDS:
            for worker in self.workers:
                worker.since = now
        self.watched = now
        for worker in self.workers:
            if worker.kill_at is not None:
                if now > worker.kill_at:
                    worker.kill()
            elif now - worker.since > self._patience(worker):
                phase = worker.reached[1] if len(worker.reached) > 1 else "start"
                worker.end(f"took no step for {now - worker.since:.0f} s (phase {phase}) and was ended")

    def _patience(self, worker: Worker) -> float:
        if not worker.ready:  # a download says nothing of how far it is
            return float("inf") if self.setup.get("download") else max(self.stall, START_SECONDS)
        return self.stall if worker.unit is not None else float("inf")

    def _hand_out(self) -> None:
        if self.owed and self.schedule and not self.stopping:
            self.owed -= 1
            self._start()
        if self.checking is not None:
            return
        for worker in self.workers:
            if not worker.ready or worker.unit is not None or worker.kill_at is not None:
                continue
            if (unit := None if self.stopping else self.schedule.next()) is not None:
                worker.unit, worker.reached, worker.since = unit, (), time.monotonic()
                worker.send({"do": asdict(unit)})
            elif not self._more():
                worker.leave(STOP_SECONDS)

    def _more(self) -> bool:
        """Whether a unit may still be handed out: one is ready, or may become so."""
        at_work = any(worker.unit is not None for worker in self.workers)
        return bool(self.schedule) or (at_work and self.schedule.waiting > 0)

    def _heard(self, worker: Worker, message: Mapping[str, Any]) -> bool:
        """Take a message in; False where it is none that a worker sends."""
        unit = worker.unit
        if "ready" in message:
            worker.ready, worker.since = True, time.monotonic()
            self.checking = None if worker is self.checking else self.checking
            for sentence in message.get("notes", ()):
                self.note(str(sentence))
        elif "error" in message and message.get("exit") in tuple(Status):
            self._fail(TicketError(str(message["error"]), Status(message["exit"])), message.get("traceback"))
        elif "done" in message and unit is not None and _is_done(message, unit):
            worker.unit = None
            self.schedule.finish(unit.key)
            self.report(unit, unit.steps, message)
        elif "phase" in message and isinstance(message.get("at"), int):
            worker.reach(message["at"], message["phase"], message.get("parts"))
            if unit is not None:
                self.report(unit, message["at"], None)
        else:
            return False
        return True

    def _foreign(self, worker: Worker, line: NotAMessage) -> None:
        if line.cut and worker.why is None:
            worker.why = f"ended in {line}"  # its end is reported next
        elif not line.cut:
            self._fail(TicketError(f"{_name(worker)} sent {line}", Status.FAILED), None)

    def _ended(self, worker: Worker) -> None:
        """A worker has ended: as it should, or with its unit, which is tried once more."""
        self.workers.remove(worker)
        unit, code = worker.unit, worker.process.returncode
        how = worker.why or f"ended with status {code}{self._hint if code == -9 else ''}"
        if self.stopping:
            return
        if unit is not None:
            self._try_again(unit, how)
        elif not worker.leaving and self.schedule.waiting and (not self.workers or worker is self.checking):
            self._fail(TicketError(f"{_name(worker)} {how}", Status.FAILED), None)

    @property
    def _hint(self) -> str:
        return " (out of memory? try --jobs 1)" if self.jobs > 1 else " (out of memory?)"

    def _try_again(self, unit: Unit, how: str) -> None:
        self.tries[unit.key] += 1
        if self.tries[unit.key] == 1:
            self.note(f"the worker at {unit} {how}; the round is tried once more")
            self.schedule.put_back(unit)
        else:
            self.note(f"the worker at {unit} {how} again; the round is lost; the rest of the run continues")
            self.lose(unit, how)
        self.owed += 1

    def _fail(self, error: TicketError, trace: str | None) -> None:
        if self.trouble is None:
            self.trouble = error
            if trace:
                error.add_note(str(trace))
        self.stop()


def _is_done(message: Mapping[str, Any], unit: Unit) -> bool:
    return message["done"] == list(unit.key) and {"status", "why"} <= message.keys()


def _name(worker: Worker) -> str:
    if worker.unit is not None:
        return f"the worker at {worker.unit}"
    return "a worker, between two rounds," if worker.ready else "a worker, before its first round,"
