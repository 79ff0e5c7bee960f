"""Notes: what a unit has found on its way, and the stored state from which it goes on."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from gentickets.errors import TicketError
from gentickets.runs.folder import RoundFolder
from gentickets.runs.formats import read_snapshot, write_snapshot
from gentickets.tickets import Snapshot, Tensors


@dataclass
class Notes:
    """What a unit has found so far, apart from the state of its training."""

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
    best_weights: Tensors = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str, device: torch.device) -> Iterator[None]:
        """Book the seconds inside to a phase; the device finishes its work first."""
        before = time.perf_counter()
        try:
            yield
        finally:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            self.seconds[phase] += time.perf_counter() - before

    def evaluated(self) -> set[int]:
        """Steps that have been evaluated."""
        return {int(checkpoint["step"]) for checkpoint in self.checkpoints}

    def traced(self) -> set[int]:
        """Steps that stand in the curve."""
        return {int(point["step"]) for point in self.curve}


def save(folder: RoundFolder, snapshot: Snapshot, notes: Notes) -> None:
    """Store the state of an unfinished round, keeping the one before."""
    told = {name: value for name, value in vars(notes).items() if name != "best_weights"}
    if folder.progress.is_file():
        os.replace(folder.progress, folder.older_progress)
    write_snapshot(folder.progress, snapshot, {**told, "seconds": dict(notes.seconds)}, notes.best_weights)


def resume(folder: RoundFolder) -> tuple[Snapshot | None, Notes]:
    """The newest sound stored state of a round, or none and empty notes."""
    for path in (folder.progress, folder.older_progress):
        if not path.is_file():
            continue
        try:
            snapshot, told, best = read_snapshot(path)
            return snapshot, _notes(told, best)
        except (TicketError, TypeError):
            continue  # half a disk's worth of damage is no reason to start over: there is an older one
    return None, Notes()


def clear(folder: RoundFolder) -> None:
    """Remove the stored states: the round is done."""
    for path in (folder.progress, folder.older_progress):
        path.unlink(missing_ok=True)


def _notes(told: Mapping[str, Any], best: Tensors) -> Notes:
    return Notes(**{**told, "seconds": defaultdict(float, told["seconds"]), "best_weights": best})
