"""Sources: the tickets that a transfer carries over, from a run, a ticket or a portable file, and kept by the run.

A run of a transfer holds copies of what it takes, in ``source/``, so that it stands by itself::

    source/source.json                                  name, whose it is, which seed and round serve which, and SHA-256
    source/seed-0/ticket/round-00/ticket.safetensors    the source's dense ticket: its early weights, all of them
    source/seed-0/ticket/round-02/ticket.safetensors    a level; trained or portable.safetensors beside it if they move
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.places import PORTABLE, dense_beside, place_in_run, recipe_of, ticket_at
from gentickets.experiment.units import TRANSFER
from gentickets.files import json_bytes, read_json, wrong_field
from gentickets.files.belonging import FORMAT, foreign, owner_of
from gentickets.files.json_file import UNCHECKED
from gentickets.portable import Portable, portable_of
from gentickets.recipe import ticket_recipe
from gentickets.runs.folder import SOURCE, RoundFolder, RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.runs.portable import is_portable, pack_portable, read_portable
from gentickets.tasks import Task
from gentickets.tickets import Tensors, Ticket

RECORD = "source.json"


@with_config(ConfigDict(extra="allow", strict=True))
class Told(TypedDict):
    """What `source.json` holds. An earlier version stored no format, no run and no source's run."""

    name: str
    seeds: dict[str, int]
    rounds: dict[str, int]
    files: dict[str, str]
    notes: NotRequired[list[str]]
    run: NotRequired[str | None]
    source: NotRequired[str | None]


@dataclass(frozen=True)
class Level:
    """One ticket of a source on disk, with what lies beside it."""

    ticket: Path
    """The ticket's file, or a portable one."""
    dense: Path | None = None
    """The dense ticket of its run and seed, all early weights."""

    @property
    def trained(self) -> Path:
        """What it grew into."""
        return self.ticket.with_name("trained.safetensors")


@dataclass(frozen=True)
class Found:
    """A source as it lies on disk: seed -> round -> ticket."""

    name: str
    path: Path
    levels: Mapping[int, Mapping[int, Level]]
    identity: str | None = None
    """Of the run that it is, or lies in."""

    @property
    def first(self) -> Level:
        """The first seed's first level, to learn the networks from."""
        return next(iter(next(iter(self.levels.values())).values()))


def find_source(path: Path) -> Found:
    """The tickets that a path means: those of a run, one ticket, or a portable file.

    Raises TicketError where a run has no finished ticket, a ticket is dense or compact, or the path is nothing of that
    kind.
    """
    if (path / "run.json").is_file():
        levels = _levels_of_run(RunFolder(path))
        if not levels and recipe_of(RunFolder(path)).search.method == "widths":
            raise TicketError(f"{path} is a sweep of widths, which finds no tickets")
        if not levels:
            raise TicketError(f"{path} is a run without a finished ticket to carry over; go on with it first")
        return Found(path.resolve().name, path, levels, _identity(path))
    file = ticket_at(path)
    if is_portable(file):
        portable, _ = read_portable(file)
        return Found(_name_of(file), path, {portable.origin.seed: {portable.origin.round: Level(file)}})
    ticket, _ = read_ticket(file)
    if ticket.mask.density == 1:
        raise TicketError(f"{file} is a dense ticket, with nothing pruned to carry over; name one of a later round")
    level = Level(file, _dense_of(file))
    place = place_in_run(file)
    identity = None if place is None else _identity(place[0])
    return Found(_name_of(file), path, {ticket.origin.seed: {ticket.origin.round: level}}, identity)


def _identity(run: Path) -> str | None:
    owner = owner_of(run)
    return owner and owner.identity


def _dense_of(file: Path) -> Path | None:
    """The dense ticket with the same early weights, of a ticket in a run; None where the run has none.

    A ticket that was carried over has those of the arm without a mask, and not those of its own run's dense model.
    """
    place = place_in_run(file)
    if place is None or place[2] == "ticket":
        return dense_beside(file)
    unmasked = file.parents[2] / f"{TRANSFER}-unmasked" / place[3] / file.name
    return unmasked if place[2] == TRANSFER and unmasked.is_file() else None


def _name_of(file: Path) -> str:
    place = place_in_run(file)
    return file.stem if place is None else f"{place[0].name}-{place[1]}-{place[3]}"


def _levels_of_run(run: RunFolder) -> dict[int, dict[int, Level]]:
    found: dict[int, dict[int, Level]] = {}
    cells = [cell for cell in run.path.glob("seed-*/ticket") if re.fullmatch(r"seed-\d+", cell.parent.name)]
    for cell in cells:
        seed = int(cell.parent.name.removeprefix("seed-"))
        dense = run.round(seed, "ticket", 0)
        for folder in sorted(cell.glob("round-*")):
            here = RoundFolder(folder)
            result = here.read_result()
            if result is not None and result.status == "done" and result.round:
                found.setdefault(seed, {})[result.round] = Level(here.ticket, dense.ticket)
    return dict(sorted(found.items()))


def nearest_levels(densities: Mapping[int, float], wanted: Mapping[int, float], keep: float) -> dict[int, int]:
    """Target round -> the source's round of nearest density, by its logarithm; each source round serves one at most.

    ``densities``: the source's rounds; ``wanted``: the target's. A level that is a round's ``keep`` or more away serves
    none, and a target's round to which no level is left has none.
    """

    def apart(source: int, target: int) -> float:
        return abs(math.log(max(densities[source], 1e-9) / wanted[target]))

    found: dict[int, int] = {}
    for source in densities:
        target = min(wanted, key=lambda round: apart(source, round))
        if apart(source, target) >= -math.log(keep):
            continue
        if target not in found or apart(source, target) < apart(found[target], target):
            found[target] = source
    return dict(sorted(found.items()))


def served(sources: Sequence[int], targets: Sequence[int]) -> dict[int, int]:
    """Target seed -> the source's seed that serves it: another one wherever there is one, each as often as the others.

    Networks of the same shapes begin alike from the same seed, so that a ticket carried to its own seed would not have
    left its initialization.
    """
    found: dict[int, int] = {}
    for place, target in enumerate(targets):
        others = [seed for seed in sources if seed != target] or list(sources)
        uses = list(found.values())
        turn = {seed: (number - place - 1) % len(sources) for number, seed in enumerate(sources)}
        found[target] = min(others, key=lambda seed: (uses.count(seed), turn[seed]))
    return found


class Kept:
    """The source as a run keeps it."""

    def __init__(self, run: RunFolder) -> None:
        self.folder = RunFolder(run.path / SOURCE)
        owner = run.owner
        self._run = owner and owner.identity

    @property
    def record(self) -> Path:
        """Which seed and round serve which."""
        return self.folder.path / RECORD

    @cached_property
    def told(self) -> dict[str, Any]:
        """What `source.json` holds; TicketError where it is gone or damaged."""
        if not self.record.is_file():
            raise TicketError(f"{self.record} is gone: start the transfer again, from its source", Status.TICKET)
        told = read_json(self.record, FORMAT, unstated=UNCHECKED)
        try:
            TypeAdapter(Told).validate_python(told)
        except ValidationError as error:
            raise TicketError(f"{self.record} is damaged: {wrong_field(error)}", Status.TICKET) from error
        if told.get("run") not in (None, self._run):
            raise foreign(self.record, "it is of another run")
        return told

    def seed(self, target: int) -> int:
        """The source's seed that serves a target's."""
        found: int | None = self.told["seeds"].get(str(target))
        if found is None:
            raise TicketError(f"{self.record} has no source for seed {target}: start the transfer again", Status.TICKET)
        return found

    def round(self, target: int) -> int | None:
        """The source's round that serves a target's; None where none does."""
        found: int | None = self.told["rounds"].get(str(target))
        return found

    def place(self, seed: int, round: int) -> RoundFolder:
        """Where the files of the source that serve a target's seed at a round of the *source* lie."""
        return self.folder.round(self.seed(seed), "ticket", round)

    def ticket(self, seed: int, round: int) -> tuple[Ticket, dict[str, Any]]:
        """The source's ticket and its recipe; round 0 is the dense one."""
        path = self.place(seed, round).ticket
        if not path.is_file():
            why = "the source is a single ticket or a portable one, without its run's dense weights beside it"
            raise TicketError(f"the source has no {path.parent.name}: {why}", Status.FAILED)
        ticket, recipe = read_ticket(self._checked(path))
        return ticket, with_recipe(path, recipe)

    def trained(self, seed: int, round: int) -> Tensors:
        """The weights that the source's ticket grew into."""
        return read_snapshot(self._checked(self.place(seed, round).trained))[0].weights

    def portable(self, seed: int, round: int) -> tuple[Portable, dict[str, Any]]:
        """The source's mask and signs, and its recipe."""
        path = self.place(seed, round).path / PORTABLE
        portable, recipe = read_portable(self._checked(path))
        return portable, with_recipe(path, recipe)

    def keep(self, told: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Store files by their path in the folder, and what is told of them; more seeds may come later.

        What is recorded stays: a seed or a level goes on with what served it first. Raises TicketError where another
        source is kept already.
        """
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        before = self.told if self.record.is_file() else {"seeds": {}, "rounds": {}, "files": {}}
        for what, ours, theirs in (("file", before["files"], digests), ("round", before["rounds"], told["rounds"])):
            if changed := [name for name, value in theirs.items() if ours.get(name, value) != value]:
                message = f"{self.folder.path.parent} was started from another source ({what} {changed[0]} differs)"
                raise TicketError(f"{message}; choose another --out")
        self._require_free(files, before["files"])
        merged = {key: {**told.get(key, {}), **before[key]} for key in ("seeds", "rounds")}
        record = {**told, **merged, "files": {**before["files"], **digests}, "run": self._run}
        write_whole(self.record, json_bytes(record, FORMAT, sort_keys=True))  # first: it says which files are the run's
        for name, data in files.items():
            if not (self.folder.path / name).is_file():
                write_whole(self.folder.path / name, data)
        self.__dict__.pop("told", None)

    def _require_free(self, files: Mapping[str, bytes], known: Mapping[str, str]) -> None:
        """Raise TicketError where a file that is to be kept is there, is another one, and is not the run's."""
        for name, data in files.items():
            path = self.folder.path / name
            if name not in known and path.exists() and path.read_bytes() != data:
                raise TicketError(f"{path} is no file of this run; choose another --out")

    def _checked(self, path: Path) -> Path:
        """The path, where its bytes are those that were kept; TicketError (status 3) else."""
        wanted = self.told["files"].get(path.relative_to(self.folder.path).as_posix())
        if not path.is_file() or wanted != hashlib.sha256(path.read_bytes()).hexdigest():
            raise TicketError(
                f"{path} is not what the run has kept of its source: start the transfer again", Status.TICKET
            )
        return path


def files_of(
    found: Found, moves: str, align: bool, seeds: Sequence[int], rounds: Mapping[int, int], task: Task
) -> dict[str, bytes]:
    """The files to keep: tickets of the levels and the dense ones, and trained weights, or signs, where they move."""
    kept: dict[str, bytes] = {}
    for seed in dict.fromkeys(seeds):
        levels = found.levels[seed]
        for round in sorted(set(rounds.values())):
            if round not in levels:
                raise TicketError(f"seed {seed} of {found.path} has no finished ticket of round {round}")
            kept |= _files_of_level(levels[round], f"seed-{seed}/ticket/round-{round:02d}", moves, task)
        dense = levels[next(iter(rounds.values()))].dense
        if dense is not None and dense.is_file():
            read_ticket(dense)  # a damaged file is told before anything runs
            kept[f"seed-{seed}/ticket/round-00/ticket.safetensors"] = dense.read_bytes()
            grown = dense.with_name("trained.safetensors")
            if align or moves == "trained":
                kept[f"seed-{seed}/ticket/round-00/trained.safetensors"] = _grown(grown, "the source's dense run")
        elif align:
            raise TicketError(
                "channels are matched with the source's trained dense run: name its run, or a ticket inside"
            )
    return kept


def _files_of_level(level: Level, place: str, moves: str, task: Task) -> dict[str, bytes]:
    if is_portable(level.ticket):
        if moves not in ("signs", "mask"):
            message = f"{level.ticket} is portable: it holds a mask and signs, and no weights"
            raise TicketError(f"{message}; use --moves signs, or --moves mask")
        return {f"{place}/{PORTABLE}": level.ticket.read_bytes()}
    ticket, recipe = read_ticket(level.ticket)
    if ticket.channels is not None:
        message = f"{level.ticket} is compact: a narrower network, and no mask of the recipe's"
        raise TicketError(f'{message}; tickets by weights can be carried over ([search] by = "weights")')
    kept = {f"{place}/ticket.safetensors": level.ticket.read_bytes()}
    if moves == "trained":
        kept[f"{place}/trained.safetensors"] = _grown(level.trained, str(level.ticket))
    if moves == "signs":
        _grown(level.trained, str(level.ticket))
        trained = read_snapshot(level.trained)[0].weights
        kept[f"{place}/{PORTABLE}"] = pack_portable(portable_of(ticket, trained, task), recipe)
    return kept


def _grown(path: Path, of: str) -> bytes:
    """The bytes of a trained network, which is sound."""
    if not path.is_file():
        message = f"{of} has no trained network beside it; a run keeps them with: gentickets find RECIPE --keep all"
        raise TicketError(message)
    read_snapshot(path)
    return path.read_bytes()


def with_recipe(path: Path, recipe: dict[str, Any] | None) -> dict[str, Any]:
    """The recipe in a source's file; TicketError where it holds none, or one that is damaged."""
    return ticket_recipe(recipe, path)
