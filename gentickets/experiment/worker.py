"""Runs a worker process: takes units over standard input, works, and reports over standard output, in JSON lines.

Every few seconds a thread reports the step and the phase that are reached. The process ends when its parent's end of
the pipe closes, so that no writer outlives a parent that was killed; signals from a terminal are its parent's to
handle.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING, Any

from gentickets.errors import Status, TicketError
from gentickets.experiment.messages import NotAMessage, messages, send
from gentickets.heartbeat import reached

if TYPE_CHECKING:
    from gentickets.experiment.assembly import Assembly

REPORT_SECONDS = 0.2
BEAT_SECONDS = 3.0


class Channel:
    """The two pipes to the parent. The reader thread ends the process when the parent is gone."""

    def __init__(self, read: IO[bytes], write: int) -> None:
        self.read, self.write = read, write
        self.orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.stop = threading.Event()
        self.foreign: NotAMessage | None = None
        self.taken = 0
        """Steps of the unit that is being worked on."""
        self._writing = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, **message: Any) -> None:
        """Send one message."""
        with self._writing:
            send(self.write, message)

    def beat(self) -> None:
        """Report how far this process is."""
        phase, parts = reached()
        self.send(at=self.taken, phase=phase, parts=parts)

    def keep_beating(self, seconds: float) -> None:
        """Do that from a thread, for ever."""

        def run() -> None:
            while True:
                time.sleep(seconds)
                try:
                    self.beat()
                except OSError:  # nobody listens any more
                    os._exit(1)

        threading.Thread(target=run, daemon=True).start()

    def end(self) -> None:
        """Stop as if the parent had said so."""
        self.stop.set()
        self.orders.put({"stop": True})

    def check(self) -> None:
        """Raise TicketError where the parent has sent what is no message; the worker stops then by itself."""
        if self.foreign is not None:
            raise TicketError(f"a worker was sent {self.foreign}", Status.FAILED)

    def _listen(self) -> None:
        for order in messages(self.read):
            if isinstance(order, NotAMessage):
                self.foreign, order = order, {"stop": True}
            if "stop" in order:
                self.stop.set()
            self.orders.put(order)
        os._exit(1)


def _own_pipes() -> Channel:
    """Keep the protocol's pipes for ourselves: whatever else prints, a plugin say, prints to standard error.

    And it finds nothing to read. Unbuffered, since a buffer that a thread waits at would be in the way at the end.
    """
    read, write = open(os.dup(0), "rb", buffering=0), os.dup(1)  # noqa: SIM115
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return Channel(read, write)


def assembled(setup: Mapping[str, Any]) -> Assembly:
    """What the setup's recipe describes, on its device and with its threads; what a run needs of it is checked."""
    from gentickets.definitions import Definitions
    from gentickets.experiment.assembly import Assembly, settle_device
    from gentickets.experiment.evaluation import check_measures
    from gentickets.experiment.plugin_errors import check_family
    from gentickets.recipe import read_recipe

    settle_device(setup["threads"])
    assembly = Assembly(
        read_recipe(setup["recipe"]), root=Path(setup["root"]), device=setup["device"],
        plugins=[Path(path) for path in setup["plugins"]], download=setup["download"],
        definitions=Definitions(**setup["definitions"]),
    )  # fmt: skip
    check_family(assembly)
    check_measures(assembly)
    return assembly


def preflight_notes(assembly: Assembly, setup: Mapping[str, Any]) -> list[str]:
    """Sentences worth knowing before training; TicketError for what will not work. Of one worker alone."""
    if (wanted := setup.get("preflight")) is None:
        return []
    from gentickets.experiment.preflight import pending_from, preflight

    found = preflight(assembly, Path(setup["run"]), pending_from(wanted))
    found.require()
    return found.notes


def work(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Take units until told to stop."""
    from gentickets.experiment.dispatch import job_of
    from gentickets.experiment.job import Stopped
    from gentickets.experiment.plan import unit_of
    from gentickets.runs.folder import RunFolder

    assembly = assembled(setup)
    run = RunFolder(Path(setup["run"]))
    last = [time.monotonic()]

    def report(steps: int) -> None:
        channel.taken = steps
        if time.monotonic() - last[0] > REPORT_SECONDS:
            last[0] = time.monotonic()
            channel.beat()

    channel.send(ready=True, notes=preflight_notes(assembly, setup))
    while "stop" not in (order := channel.orders.get()):
        unit = unit_of(order["do"])
        job = job_of(assembly, run, unit, stop=channel.stop.is_set, report=report, save_every=setup["save_every"])
        try:
            result = job.do()
        except Stopped:
            break
        channel.taken = 0
        channel.send(done=list(unit.key), status=result.status, why=result.why)
    channel.check()


def main() -> None:
    """Entry point of `python -m gentickets.experiment.worker`."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    channel = _own_pipes()
    signal.signal(signal.SIGTERM, lambda *_: channel.end())
    setup = channel.orders.get()
    from gentickets.disk import told

    try:
        channel.check()
        channel.keep_beating(setup["beat"])
        work(channel, setup)
    except TicketError as error:
        channel.send(error=str(error), exit=int(error.status))
    except OSError as error:
        where = "" if error.filename else f" (writing to {setup['run']})"
        channel.send(error=told(error) + where, exit=int(Status.STORAGE))
    except BaseException as error:  # a plugin that calls sys.exit() too
        import traceback

        from gentickets.experiment.plugin_errors import describe_error

        plugins = [Path(path) for path in setup["plugins"]]
        channel.send(error=describe_error(error, plugins), exit=int(Status.FAILED), traceback=traceback.format_exc())


if __name__ == "__main__":
    main()
