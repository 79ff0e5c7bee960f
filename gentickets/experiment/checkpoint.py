"""Stores how far a job has come: what it has found so far, and the state from which it goes on."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

import torch
from torch import Tensor

from gentickets.accounting import Counter, energy, peak_memory, synchronize
from gentickets.errors import TicketError
from gentickets.files.belonging import foreign
from gentickets.heartbeat import during
from gentickets.runs.folder import RoundFolder
from gentickets.runs.formats import read_snapshot, write_snapshot
from gentickets.tickets import Snapshot, Tensors

TENSORS = ("beside", "single")
"""Fields of the progress that are stored as tensors."""
SINGLE = "images of step "
"""Before the step in a tensor's name; no parameter has a blank in its name."""


class StatePlace(TypedDict):
    """Where a stored state belongs."""

    run: str | None
    """The identity of its run."""
    seed: int
    arm: str
    round: int


@dataclass
class JobProgress:
    """What a job has found so far, apart from the state of its training."""

    phase: str = "start"
    """``start``, while a ticket's start is being trained; then ``grow``."""
    taken: int = 0
    """Optimizer steps taken."""
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Validation along the training, where it is asked for."""
    losses: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    """Step and value of the best checkpoint on validation."""
    provenance: dict[str, str] = field(default_factory=dict)
    collapsed: str | None = None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """FLOPs, by the same phases."""
    uncounted: dict[str, list[str]] = field(default_factory=dict)
    """Phase -> operators whose FLOPs are not known."""
    memory: int | None = None
    energy: float | None = None
    bird: dict[str, Any] = field(default_factory=dict)
    """What the watcher of an early bird has seen, but for its masks."""
    moved: dict[str, Any] = field(default_factory=dict)
    """Of a transfer: the source, and what every layer got."""
    ticket: str | None = None
    """The SHA-256 of the unit's ticket, once it is made."""
    beside: Tensors = field(default_factory=dict)
    """The best weights so far, or the masks that an early bird remembers."""
    single: dict[int, Tensor] = field(default_factory=dict)
    """Step -> the claim's metric of every single test image (n), of the checkpoints that were evaluated on test."""

    def __post_init__(self) -> None:
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def timed(self, phase: str, device: torch.device) -> Iterator[None]:
        """Book the seconds inside to a phase; a phase within it has its own. The device finishes its work first."""
        self.until_now()
        self._open.append(phase)
        try:
            with during(phase):
                yield
        finally:
            synchronize(device)
            self.until_now()
            self._open.pop()

    def until_now(self) -> None:
        """Book what has passed since the last time to the phase that is open."""
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def counted(self, phase: str, device: torch.device) -> Iterator[None]:
        """The same, with the FLOPs inside."""
        with self.timed(phase, device), Counter() as counter:
            try:
                yield
            finally:
                self.spent[phase] += counter.total
                self.name(phase, counter.uncounted)

    def name(self, phase: str, uncounted: Collection[str]) -> None:
        """Name operators that were met in a phase and whose FLOPs are not known."""
        if uncounted:
            self.uncounted[phase] = sorted({*self.uncounted.get(phase, ()), *uncounted})

    @contextmanager
    def weighed(self, device: torch.device) -> Iterator[None]:
        """Book peak memory and energy of a training, where the device tells them."""
        with peak_memory(device) as memory, energy(device) as joules:
            yield
        if memory.bytes is not None:
            self.memory = max(self.memory or 0, memory.bytes)
        if joules.joules is not None:
            self.energy = (self.energy or 0.0) + joules.joules

    def costs(self) -> dict[str, Any]:
        """What was booked, as a result holds it."""
        return {
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "spent": dict(self.spent),
            "uncounted": dict(self.uncounted),
            "memory": self.memory,
            "energy": self.energy,
        }

    def evaluated(self) -> set[int]:
        """Steps that have been evaluated."""
        return {int(checkpoint["step"]) for checkpoint in self.checkpoints}

    def traced(self) -> set[int]:
        """Steps that stand in the curve."""
        return {int(point["step"]) for point in self.curve}


def save(folder: RoundFolder, snapshot: Snapshot, progress: JobProgress, place: StatePlace) -> None:
    """Store the state of an unfinished round, keeping the one before."""
    progress.until_now()
    told = {one.name: getattr(progress, one.name) for one in fields(progress) if one.name not in TENSORS}
    if folder.progress.is_file():
        os.replace(folder.progress, folder.older_progress)
    told |= {"seconds": dict(progress.seconds), "spent": dict(progress.spent), "place": place}
    single = {f"{SINGLE}{step}": values for step, values in progress.single.items()}
    write_snapshot(folder.progress, snapshot, told, {**progress.beside, **single})


def resume(folder: RoundFolder, place: StatePlace) -> tuple[Snapshot | None, JobProgress]:
    """The newest sound stored state of a round, or none, with empty progress.

    Raises TicketError (status 3) where one is sound and another round's.
    """
    for path in (folder.progress, folder.older_progress):
        if not path.is_file():
            continue
        try:
            snapshot, told, beside = read_snapshot(path)
            progress = _progress_from(told, beside)
        except (TicketError, TypeError):
            continue  # half a disk's worth of damage is no reason to start over: there is an older one
        if told.get("place", place) != place:
            raise foreign(path, "it is the state of another round, or of another run's")
        return snapshot, progress
    return None, JobProgress()


def clear(folder: RoundFolder) -> None:
    """Remove the stored states: the round is done."""
    for path in (folder.progress, folder.older_progress):
        path.unlink(missing_ok=True)


def _progress_from(told: Mapping[str, Any], beside: Tensors) -> JobProgress:
    sums = {name: defaultdict(float, told.get(name, {})) for name in ("seconds", "spent")}
    own = {key: value for key, value in told.items() if key != "place"}
    single = {int(name.removeprefix(SINGLE)): value for name, value in beside.items() if name.startswith(SINGLE)}
    rest = {name: value for name, value in beside.items() if not name.startswith(SINGLE)}
    return JobProgress(**{**own, **sums, "beside": rest, "single": single})
