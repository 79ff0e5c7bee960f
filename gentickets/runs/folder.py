"""The run folder: names that read and sort, and locks. Torch-free, so that the parent of a run starts fast."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from gentickets.definitions import Definitions, definitions_of
from gentickets.disk import make_folder, record
from gentickets.errors import Status, TicketError
from gentickets.files import MOST_TEXT, bounded, json_bytes, read_json
from gentickets.files.belonging import FORMAT, IMAGES, Owner, owner_of
from gentickets.results import Result, read_result
from gentickets.runs.holder import holder, sign
from gentickets.runs.record import check_record

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

    @property
    def images(self) -> Path:
        """The claim's metric of every single test image."""
        return self.path / IMAGES

    def level(self, round: int) -> Path:
        """Of an early bird's search: the dense state in which a level emerged."""
        return self.path / f"level-{round:02d}.safetensors"

    @property
    def result(self) -> Path:
        """Written last: it means "done"."""
        return self.path / "result.json"

    def read_result(self) -> Result | None:
        """The result, checked to belong where it lies, or None where the round is not done."""
        return read_result(self.result) if self.result.is_file() else None


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

    @property
    def state(self) -> Path:
        """state.json: what the last attempt at the run has lost, if anything."""
        return self.path / "state.json"

    def recipe_text(self, sha256: object = None) -> str:
        """The recipe's text as given; a comment instead where it is not the one of this hash, with which a run began.

        Empty where it is gone; TicketError (status 3) where it is larger than recipes are.
        """
        if not self.recipe.is_file():
            return ""
        data = bounded(self.recipe, MOST_TEXT)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            return "# recipe.toml has been changed since this run began; what it ran with is in run.json.\n"
        return data.decode("utf-8", "replace")

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
        found = read_json(self.record, FORMAT)
        check_record(found, self.record)
        definitions_of(found, self.record)
        return found

    def definitions(self) -> Definitions:
        """What the words of its recipe mean: the definitions with which it began."""
        return definitions_of(self.read_record(), self.record)

    def record_text(self, record: Mapping[str, Any]) -> bytes:
        """The bytes of run.json, of the newest format and with its checksum."""
        told = {key: value for key, value in record.items() if key not in ("format", "checksum")}
        return json_bytes(told, FORMAT, sort_keys=True)

    @property
    def owner(self) -> Owner | None:
        """Whose its rounds are."""
        return owner_of(self.path)


def is_locked(folder: Path) -> bool:
    """Whether another process holds a folder, as far as this can be told without writing there."""
    if fcntl is None:
        return False
    try:
        handle = os.open(folder / ".lock", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(handle)
    return False


def locked(folder: Path, wait: float = 0.0) -> AbstractContextManager[object]:
    """Hold a folder for writing, or raise TicketError (status 6) when another process does after ``wait`` seconds."""
    make_folder(folder)
    was_there = os.path.lexists(folder / ".lock")
    lock = FileLock(folder / ".lock", timeout=wait)
    try:
        held = lock.acquire()
        if not was_there:
            record(folder / ".lock")
    except Timeout as error:
        raise TicketError(f"{folder} is being written by {holder(folder / '.lock')}", Status.LOCKED) from error
    sign(folder / ".lock")
    return held
