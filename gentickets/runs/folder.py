"""The run folder: names that read and sort, and locks. Torch-free, so that the parent of a run starts fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gentickets.definitions import Definitions, definitions_of
from gentickets.errors import Status, TicketError
from gentickets.results import Result, parse_result

RUN_FORMAT = 1
SOURCE = "source"
"""The folder of what a run of a transfer takes from elsewhere."""


@dataclass(frozen=True)
class RoundFolder:
    """The files of one round of one cell."""

    path: Path

    @property
    def ticket(self) -> Path:
        """Mask and starting weights."""
        return self.path / "ticket.safetensors"

    @property
    def trained(self) -> Path:
        """What the ticket grew into."""
        return self.path / "trained.safetensors"

    @property
    def progress(self) -> Path:
        """The state of an unfinished round."""
        return self.path / "progress.safetensors"

    @property
    def older_progress(self) -> Path:
        """The state before that one."""
        return self.path / "progress.safetensors.old"

    def level(self, round: int) -> Path:
        """Of an early bird's search: the dense state in which a level emerged."""
        return self.path / f"level-{round:02d}.safetensors"

    @property
    def result(self) -> Path:
        """Written last: it means "done"."""
        return self.path / "result.json"

    def read_result(self) -> Result | None:
        """The result, or None where the round is not done."""
        if not self.result.is_file():
            return None
        return parse_result(self.result.read_text(encoding="utf-8"), self.result)


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe's text as given."""
        return self.path / "recipe.toml"

    @property
    def record(self) -> Path:
        """run.json: format, versions, device, seeds, resolved recipe."""
        return self.path / "run.json"

    def cell(self, seed: int, arm: str) -> Path:
        """The folder of one seed and one arm."""
        return self.path / f"seed-{seed}" / arm

    def round(self, seed: int, arm: str, round: int) -> RoundFolder:
        """The folder of one round."""
        return RoundFolder(self.cell(seed, arm) / f"round-{round:02d}")

    def read_record(self) -> dict[str, Any]:
        """What run.json holds; TicketError where this is no run, is damaged, or newer."""
        if not self.record.is_file():
            raise TicketError(f"{self.path} is no run: it has no run.json")
        try:
            record: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
            form = record["format"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise TicketError(f"{self.record} is damaged: {error}", Status.TICKET) from error
        if form > RUN_FORMAT:
            message = f"{self.path} has format {form}; this gentickets reads up to {RUN_FORMAT}: upgrade gentickets"
            raise TicketError(message, Status.TICKET)
        definitions_of(record, self.record)
        return record

    def definitions(self) -> Definitions:
        """What the words of its recipe mean: the definitions with which it began."""
        return definitions_of(self.read_record(), self.record)

    def record_text(self, record: Mapping[str, Any]) -> bytes:
        """The bytes of run.json."""
        return (json.dumps({"format": RUN_FORMAT, **record}, indent=1, sort_keys=True) + "\n").encode()


def locked(folder: Path, wait: float = 0.0) -> AbstractContextManager[object]:
    """Hold a folder for writing, or raise TicketError (status 6) when another process does after ``wait`` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=wait)
    try:
        return lock.acquire()
    except Timeout as error:
        raise TicketError(f"{folder} is being written by another process", Status.LOCKED) from error
