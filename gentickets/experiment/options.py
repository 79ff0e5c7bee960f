"""Defines the options of a run, apart from what it trains, and the listener that hears of its progress. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gentickets.experiment.plan import Key, Unit
from gentickets.experiment.pool import STALL_SECONDS

if TYPE_CHECKING:
    from gentickets.experiment.sinks import Sink


class Listener(Protocol):
    """Receives reports of what a run does: a progress bar, say."""

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """All units of the run, and those that were done before."""

    def report(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """A unit has taken so many steps; with a message, it is done."""

    def note(self, sentence: str) -> None:
        """Something that whoever started the run should know."""


class Silent:
    """A listener that does not listen."""

    def begin(self, units: Sequence[Unit], done: set[Key]) -> None:
        """Nothing."""

    def report(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        """Nothing."""

    def note(self, sentence: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Options:
    """How to run, apart from what: none of it changes a result but ``device`` and ``threads``, which are recorded."""

    root: Path = Path("data")
    """Where data sets are found or downloaded to."""
    device: str = "auto"
    threads: int | None = None
    """Per worker on the CPU; 1 unless told. Bits differ between thread counts."""
    jobs: int | None = None
    """Workers side by side: one per core unless told; 0 works in this process."""
    plugins: Sequence[Path] = field(default_factory=tuple)
    download: bool = False
    keep_all: bool = False
    save_every: float = 30.0
    """Seconds between stored states of an unfinished round."""
    stall: float = STALL_SECONDS
    """Seconds after which a worker without a new step or phase is ended, and its unit tried once more."""
    sinks: Sequence[Sink] = ()
    """What else receives the metrics of units as they end; none of it changes a bit of the run."""
