"""Keeps the source of a transfer in its run: copies of tickets, and a record that says which serve which.

A run of a transfer holds copies of what it takes, in ``source/``, so that it stands by itself::

    source/source.json                                  name, whose it is, which seed and round serve which, and SHA-256
    source/seed-0/ticket/round-00/ticket.safetensors    the source's dense ticket: its early weights, all of them
    source/seed-0/ticket/round-02/ticket.safetensors    a level; trained or portable.safetensors beside it if they move
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.files import json_bytes, read_json, wrong_field
from gentickets.files.belonging import FORMAT, PORTABLE, foreign
from gentickets.files.json_file import UNCHECKED
from gentickets.portable import Portable
from gentickets.recipe import Recipe, ticket_recipe
from gentickets.runs.folder import SOURCE, RoundFolder, RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.runs.portable import read_portable
from gentickets.tickets import Tensors, Ticket

RECORD = "source.json"


@with_config(ConfigDict(extra="allow", strict=True))
class SourceRecord(TypedDict):
    """What `source.json` holds. An earlier version stored no format, no run and no source's run."""

    name: str
    seeds: dict[str, int]
    rounds: dict[str, int]
    files: dict[str, str]
    notes: NotRequired[list[str]]
    run: NotRequired[str | None]
    source: NotRequired[str | None]


class StoredSource:
    """The source of a transfer, as its run stores it."""

    def __init__(self, run: RunFolder) -> None:
        self.folder = RunFolder(run.path / SOURCE)
        owner = run.owner
        self._run = owner and owner.identity

    @property
    def path(self) -> Path:
        """Which seed and round serve which."""
        return self.folder.path / RECORD

    @cached_property
    def record(self) -> dict[str, Any]:
        """What `source.json` holds; TicketError where it is gone or damaged."""
        if not self.path.is_file():
            raise TicketError(f"{self.path} is gone: start the transfer again, from its source", Status.TICKET)
        record = read_json(self.path, FORMAT, unstated=UNCHECKED)
        try:
            TypeAdapter(SourceRecord).validate_python(record)
        except ValidationError as error:
            raise TicketError(f"{self.path} is damaged: {wrong_field(error)}", Status.TICKET) from error
        if record.get("run") not in (None, self._run):
            raise foreign(self.path, "it is of another run")
        return record

    def seed(self, target: int) -> int:
        """The source's seed that serves a target's."""
        found: int | None = self.record["seeds"].get(str(target))
        if found is None:
            raise TicketError(f"{self.path} has no source for seed {target}: start the transfer again", Status.TICKET)
        return found

    def round(self, target: int) -> int | None:
        """The source's round that serves a target's; None where none does."""
        found: int | None = self.record["rounds"].get(str(target))
        return found

    def place(self, seed: int, round: int) -> RoundFolder:
        """Where the files of the source that serve a target's seed at a round of the *source* lie."""
        return self.folder.round(self.seed(seed), "ticket", round)

    def ticket(self, seed: int, round: int) -> tuple[Ticket, Recipe]:
        """The source's ticket and its recipe; round 0 is the dense one."""
        path = self.place(seed, round).ticket
        if not path.is_file():
            why = "the source is a single ticket or a portable one, without its run's dense weights beside it"
            raise TicketError(f"the source has no {path.parent.name}: {why}", Status.FAILED)
        ticket, recipe = read_ticket(self._checked(path))
        return ticket, ticket_recipe(recipe, path)

    def trained(self, seed: int, round: int) -> Tensors:
        """The weights that the source's ticket grew into."""
        return read_snapshot(self._checked(self.place(seed, round).trained))[0].weights

    def portable(self, seed: int, round: int) -> tuple[Portable, Recipe]:
        """The source's mask and signs, and its recipe."""
        path = self.place(seed, round).path / PORTABLE
        portable, recipe = read_portable(self._checked(path))
        return portable, ticket_recipe(recipe, path)

    def keep(self, record: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Store files by their path in the folder, and what `source.json` says of them; more seeds may come later.

        What is recorded stays: a seed or a level goes on with what served it first. Raises TicketError where another
        source is kept already.
        """
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        before = self.record if self.path.is_file() else {"seeds": {}, "rounds": {}, "files": {}}
        for what, ours, theirs in (("file", before["files"], digests), ("round", before["rounds"], record["rounds"])):
            if changed := [name for name, value in theirs.items() if ours.get(name, value) != value]:
                message = f"{self.folder.path.parent} was started from another source ({what} {changed[0]} differs)"
                raise TicketError(f"{message}; choose another --out")
        self._require_free(files, before["files"])
        merged = {key: {**record.get(key, {}), **before[key]} for key in ("seeds", "rounds")}
        whole = {**record, **merged, "files": {**before["files"], **digests}, "run": self._run}
        write_whole(self.path, json_bytes(whole, FORMAT, sort_keys=True))  # first: it says which files are the run's
        for name, data in files.items():
            if not (self.folder.path / name).is_file():
                write_whole(self.folder.path / name, data)
        self.__dict__.pop("record", None)

    def _require_free(self, files: Mapping[str, bytes], known: Mapping[str, str]) -> None:
        """Raise TicketError where a file that is to be kept is there, is another one, and is not the run's."""
        for name, data in files.items():
            path = self.folder.path / name
            if name not in known and path.exists() and path.read_bytes() != data:
                raise TicketError(f"{path} is no file of this run; choose another --out")

    def _checked(self, path: Path) -> Path:
        """The path, where its bytes are those that were kept; TicketError (status 3) else."""
        wanted = self.record["files"].get(path.relative_to(self.folder.path).as_posix())
        if not path.is_file() or wanted != hashlib.sha256(path.read_bytes()).hexdigest():
            raise TicketError(
                f"{path} is not what the run has kept of its source: start the transfer again", Status.TICKET
            )
        return path
