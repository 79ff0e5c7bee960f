"""A worker process: takes units over its standard input, works, and tells over its standard output. JSON lines.

It ends when its parent's end of the pipe closes, so that no writer outlives a parent that was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from gentickets.experiment.assembly import Assembly

REPORT_SECONDS = 0.2


class Channel:
    """The two pipes to the parent. The reader thread ends the process when the parent is gone."""

    def __init__(self, read: TextIO, write: TextIO) -> None:
        self.read, self.write = read, write
        self.orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.stop = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, **message: Any) -> None:
        """Send one message."""
        self.write.write(json.dumps(message) + "\n")
        self.write.flush()

    def _listen(self) -> None:
        for line in self.read:
            order = json.loads(line)
            if "stop" in order:
                self.stop.set()
            self.orders.put(order)
        os._exit(1)


def _own_pipes() -> Channel:
    """Keep the protocol's pipe for ourselves: whatever else prints, a plugin say, goes to standard error."""
    write = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return Channel(sys.stdin, write)


def assembled(setup: Mapping[str, Any]) -> Assembly:
    """What the setup's recipe describes, on its device and with its threads; what a run needs of it is checked."""
    from gentickets.definitions import Definitions
    from gentickets.experiment.assembly import Assembly, settle_device
    from gentickets.experiment.blame import check_family
    from gentickets.experiment.evaluation import check_measures

    settle_device(setup["threads"])
    assembly = Assembly(
        setup["recipe"], root=Path(setup["root"]), device=setup["device"],
        plugins=[Path(path) for path in setup["plugins"]], download=setup["download"],
        definitions=Definitions(**setup["definitions"]),
    )  # fmt: skip
    check_family(assembly)
    check_measures(assembly)
    return assembly


def tried(assembly: Assembly, setup: Mapping[str, Any]) -> list[str]:
    """Sentences worth knowing before training; TicketError for what will not work. Of one worker alone."""
    if (wanted := setup.get("preflight")) is None:
        return []
    from gentickets.experiment.preflight import preflight, wanted_from

    found = preflight(assembly, Path(setup["run"]), wanted_from(wanted))
    found.require()
    return found.notes


def work(channel: Channel, setup: Mapping[str, Any]) -> None:
    """Take units until told to stop."""
    from gentickets.experiment.units import unit_of
    from gentickets.experiment.watching import work_of
    from gentickets.experiment.work import Stopped
    from gentickets.runs.folder import RunFolder

    assembly = assembled(setup)
    run = RunFolder(Path(setup["run"]))
    last = [time.monotonic()]

    def report(steps: int) -> None:
        if time.monotonic() - last[0] > REPORT_SECONDS:
            last[0] = time.monotonic()
            channel.tell(at=steps)

    channel.tell(ready=True, notes=tried(assembly, setup))
    while "stop" not in (order := channel.orders.get()):
        unit = unit_of(order["do"])
        job = work_of(assembly, run, unit, stop=channel.stop.is_set, report=report, save_every=setup["save_every"])
        try:
            result = job.do()
        except Stopped:
            break
        channel.tell(done=list(unit.key), status=result.status, why=result.why)


def main() -> None:
    """Entry point of `python -m gentickets.experiment.worker`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    channel = _own_pipes()
    signal.signal(signal.SIGTERM, lambda *_: channel.stop.set())
    setup = channel.orders.get()
    from gentickets.disk import told
    from gentickets.errors import Status, TicketError

    try:
        work(channel, setup)
    except TicketError as error:
        channel.tell(error=str(error), exit=int(error.status))
    except OSError as error:
        where = "" if error.filename else f" (writing to {setup['run']})"
        channel.tell(error=told(error) + where, exit=int(Status.STORAGE))
    except Exception as error:
        import traceback

        from gentickets.experiment.blame import blame

        plugins = [Path(path) for path in setup["plugins"]]
        channel.tell(error=blame(error, plugins), exit=int(Status.FAILED), traceback=traceback.format_exc())


if __name__ == "__main__":
    main()
