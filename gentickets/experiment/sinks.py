"""Sinks: where the metrics of a run go besides its folder. They are off by default, and never change a bit of a run.

A run feeds its sinks in the first process, as its units report that they are done. A sink of your own, for a tracker
say, is a class with these three methods; `--log MODULE:CLASS` uses it on the command line:

    class Tracker:
        def start(self, run: Path, config: Mapping[str, Any]) -> None:
            self.run = tracker.init(name=run.name, config=dict(config))

        def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
            self.run.log({f"{unit}/{name}": value for name, value in values.items()}, step=step)

        def end(self, status: str) -> None:
            self.run.finish()

Torch-free.
"""

from __future__ import annotations

import csv
import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gentickets.errors import TicketError, nearest
from gentickets.experiment.plan import Unit
from gentickets.results import Result
from gentickets.runs.folder import RunFolder

FOLDER = "logs"
"""The folder of a run that the sinks which come with gentickets write into."""


class Sink(Protocol):
    """What receives the metrics of a run."""

    def start(self, run: Path, config: Mapping[str, Any]) -> None:
        """The run begins, or goes on: its folder, and its recipe as plain values."""

    def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
        """Values at a step of a unit (``seed-0/ticket/round-02``): ``loss/NAME``, ``valid/NAME`` or ``test/NAME``."""

    def end(self, status: str) -> None:
        """The run has ended: ``done``, or ``stopped`` by a signal or an error. It may go on later."""


class CSV:
    """Appends to `logs/metrics.csv` in the run's folder: one line per value, with unit, step, name and value."""

    def start(self, run: Path, config: Mapping[str, Any]) -> None:
        """Open the file, with a heading where it is new."""
        path = run / FOLDER / "metrics.csv"
        path.parent.mkdir(exist_ok=True)
        new = not path.exists()
        self.file = path.open("a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        if new:
            self.writer.writerow(["unit", "step", "name", "value"])

    def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
        """A line for each value."""
        self.writer.writerows([unit, step, name, repr(value)] for name, value in values.items())
        self.file.flush()

    def end(self, status: str) -> None:
        """Close the file."""
        self.file.close()


class TensorBoard:
    """Writes event files to `logs/tensorboard` in the run's folder: ``tensorboard --logdir runs``.

    Each unit is a run of its own there. Needs the package tensorboard, and no PyTorch.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            message = "--log tensorboard needs the package tensorboard"
            raise TicketError(f"{message}: pip install 'gentickets[tensorboard]'") from error
        self.event, self.summary, self.writer = event_pb2.Event, summary_pb2.Summary, EventFileWriter
        self.open: dict[str, Any] = {}

    def start(self, run: Path, config: Mapping[str, Any]) -> None:
        """Remember where to write."""
        self.folder = run / FOLDER / "tensorboard"

    def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
        """One event with all values."""
        if unit not in self.open:
            self.open[unit] = self.writer(str(self.folder / unit))
        shown = [self.summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.open[unit].add_event(self.event(wall_time=time.time(), step=step, summary=self.summary(value=shown)))

    def end(self, status: str) -> None:
        """Close the files."""
        for writer in self.open.values():
            writer.close()


SINKS: Mapping[str, Callable[[], Sink]] = {"csv": CSV, "tensorboard": TensorBoard}
"""The sinks that come with gentickets, by their names for ``--log``."""


def sink_of(name: str) -> Sink:
    """The sink of a name: ``csv``, ``tensorboard``, or ``MODULE:CLASS`` of your own, which is imported.

    Raises TicketError where there is none, or where a package that it needs is not installed.

    Example:
        ``find(recipe, out, Options(sinks=[sink_of("csv")]))``
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in SINKS:
            raise TicketError(f"--log {name}: there is no such sink. {nearest(name, SINKS)} Your own is MODULE:CLASS.")
        return SINKS[name]()
    try:
        made: Sink = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise TicketError(f"--log {name}: {type(error).__name__}: {error}") from error
    if missing := [method for method in ("start", "metrics", "end") if not callable(getattr(made, method, None))]:
        raise TicketError(f"--log {name}: {attribute} has no method {missing[0]}")
    return made


class Feed:
    """Feeds sinks with what units have stored. A sink that fails is left out, with a note; the run goes on."""

    def __init__(self, run: RunFolder, sinks: Sequence[Sink], note: Callable[[str], object]) -> None:
        self.run, self.sinks, self.note = run, list(sinks), note

    @contextmanager
    def feeding(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Start the sinks, and end them however the run ends."""
        self._call("start", self.run.path, config)
        status = "stopped"
        try:
            yield
            status = "done"
        finally:
            self._call("end", status)

    def finished(self, unit: Unit) -> None:
        """Give all sinks the losses and metrics of a unit that is done."""
        if not self.sinks or (result := self.run.round(*unit.key).read_result()) is None:
            return
        name = self.run.round(*unit.key).path.relative_to(self.run.path).as_posix()
        for step, values in points_of(result):
            self._call("metrics", name, step, values)

    def _call(self, method: str, *given: Any) -> None:
        for sink in list(self.sinks):
            try:
                getattr(sink, method)(*given)
            except Exception as error:  # somebody else's code, and no reason to lose a run
                self.sinks.remove(sink)
                what = " ".join(f"{type(error).__name__}: {error}".split())
                self.note(f"the sink {type(sink).__name__} failed and is left out ({what}); the run is not affected")


def points_of(result: Result) -> list[tuple[int, dict[str, float]]]:
    """Step -> values of a result, in order: losses, metrics on validation along the training, and at last on test."""
    found: dict[int, dict[str, float]] = {}
    for point in result.losses:
        losses = {f"loss/{name}": value for name, value in point.items() if name != "step"}
        found.setdefault(int(point["step"]), {}).update(losses)
    for point in [*result.curve, *result.checkpoints]:
        values = {f"valid/{name}": value for name, value in point["valid"].items()}
        found.setdefault(int(point["step"]), {}).update(values)
    if result.test:
        found.setdefault(result.steps, {}).update({f"test/{name}": value for name, value in result.test.items()})
    return [(step, _finite(found[step])) for step in sorted(found)]


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
