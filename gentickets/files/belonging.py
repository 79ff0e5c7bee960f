"""Whether the files of a round are those of that round: the one place where this is decided.

A result says the seed, arm and round of its folders, the identity of its run, and the SHA-256 of the ticket and of the
trained network beside it, as the headers of these state it. Whoever loads their tensors finds out whether the header
is right (`gentickets.tensorfile`), so that a listing reads no tensors. Folders that are renamed, copied or zipped stay
what they are: nothing of this is a path.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from gentickets.arms import kind_of
from gentickets.errors import Status, TicketError
from gentickets.files.bounded import MOST_PICTURE, bounded
from gentickets.files.json_file import UNCHECKED, read_json
from gentickets.files.result_fields import check_fields
from gentickets.files.tensor_header import read_header
from gentickets.methods import METHODS

FORMAT = 2
"""Of `result.json` and `run.json`; format 1 had no checksums, and did not say whose it was."""
RESULT, RECORD = "result.json", "run.json"
TICKET, TRAINED, GIVEN = "ticket.safetensors", "trained.safetensors", "given.safetensors"
PORTABLE = "portable.safetensors"
IMAGES = "images.safetensors"
PICTURES = ("samples.png", "reconstructions.png")


class Owner(NamedTuple):
    """The run that a round lies in."""

    identity: str | None
    """None of a run of format 1."""
    checked: bool = False
    """Whether all of its results have checksums."""
    method: str | None = None
    """How it searches."""


def owner_of(run: Path) -> Owner | None:
    """Whose the rounds in a folder are: a run's, or a training's; None where it holds neither's first file."""
    for name in (RECORD, GIVEN):
        file = Path(os.path.abspath(run)) / name
        if file.is_file():
            about = file.stat()
            return _owner(file, (about.st_mtime_ns, about.st_size, about.st_ino))
    return None


@lru_cache(maxsize=64)
def _owner(file: Path, stamp: Sequence[int]) -> Owner:
    """Read again when the file has changed: ``stamp`` is a part of what is remembered."""
    if file.name == GIVEN:
        return Owner(read_header(file).sha256)
    record = read_json(file, FORMAT)
    if (identity := record.get("identity")) is None:
        return Owner(None)
    search = record["recipe"]["search"]
    return Owner(identity, not record.get("unchecked"), search["method"])


def check_place(told: Mapping[str, Any], path: Path) -> None:
    """Raise TicketError (status 3) unless a result lies in its run, under its seed, arm and round.

    One that names no run was not made by one, and may lie anywhere.
    """
    seed, arm, round, run = _above(path)[2], _above(path)[1], _above(path)[0], _above(path)[3]
    if told["format"] > UNCHECKED and told.get("run") is None:
        return
    if not (re.fullmatch(r"seed-\d+", seed.name) and re.fullmatch(r"round-\d+", round.name)):
        return
    stated = (f"seed-{told['seed']}", told["arm"], f"round-{told['round']:02d}")
    if (seed.name, arm.name, round.name) != stated:
        raise foreign(path, f"it is of {'/'.join(stated)}")
    owner = owner_of(run)
    if owner is not None and owner.checked and told["format"] == UNCHECKED:
        raise foreign(path, "its run has checksums, and it has none")
    if owner is not None and told["format"] > UNCHECKED and told["run"] != owner.identity:
        raise foreign(path, "it is of another run")


def check_files(told: Mapping[str, Any], path: Path) -> None:
    """Raise TicketError (status 3) unless the files beside a result are those that it names.

    Its ticket, its pictures and the metric of single images must be there; a trained network may have been dropped.
    """
    ticket, trained = path.with_name(TICKET), path.with_name(TRAINED)
    due = told["format"] == UNCHECKED and told.get("status", "done") == "done" and kind_of(told["arm"]).has_ticket
    if told.get("ticket") is not None or (due and any(path.parent.glob("*.png"))):
        _check_header(ticket, told.get("ticket"))
    if told.get("images") is not None:
        _check_header(path.with_name(IMAGES), told["images"])
    with suppress(FileNotFoundError):  # dropped before or just now, by the run that is at work
        if told.get("network") is not None and read_header(trained).sha256 != told["network"]:
            raise foreign(trained, f"{RESULT} beside it names another one")
    found = pictures_of(path.parent) if told.get("pictures") else {}
    for name, stated in told.get("pictures", {}).items():
        if name not in found:
            raise _gone(path.with_name(name))
        if found[name] != stated:
            raise foreign(path.with_name(name), f"{RESULT} beside it names another one")


def pictures_of(folder: Path) -> dict[str, str]:
    """The pictures of a round by the names of their files, each with its SHA-256."""
    there = [folder / name for name in PICTURES if (folder / name).is_file()]
    return {path.name: hashlib.sha256(bounded(path, MOST_PICTURE)).hexdigest() for path in there}


def check_beside(file: Path, sha256: str) -> None:
    """Raise TicketError (status 3) unless a ticket or trained network is the one that the result beside it names.

    ``sha256`` is what its content was found to have. A file without a result beside it is anybody's.
    """
    result = file.with_name(RESULT)
    if file.name not in (TICKET, TRAINED) or not result.is_file():
        return
    told = read_json(result, FORMAT)
    check_fields(told, result)
    check_place(told, result)
    if told.get("ticket" if file.name == TICKET else "network") not in (None, sha256):
        raise foreign(file, f"{RESULT} beside it names another one")


def check_gaps(run: Path, rounds: Mapping[int, Sequence[int]]) -> None:
    """Raise TicketError (status 3) where a round of the ticket rests on one without a result; ``rounds``: by seed."""
    owner = owner_of(run)
    method = METHODS.get(owner.method or "") if owner is not None and owner.checked else None
    if method is None or not method.masks_dense:
        return
    for seed, there in rounds.items():
        needed = range(max(there)) if method.goes_round_by_round else [0]
        if missing := sorted(set(needed) - set(there)):
            folder = run / f"seed-{seed}" / "ticket" / f"round-{missing[0]:02d}"
            message = f"{folder / RESULT} is gone, and round {max(there)} rests on it"
            raise TicketError(f"{message}; the command that made the run makes it again", Status.TICKET)


def sha256_of(file: Path) -> str | None:
    """The SHA-256 that a tensor file states of itself; None where it is not there."""
    return read_header(file).sha256 if file.is_file() else None


def foreign(file: Path, why: str) -> TicketError:
    """The error of a file that is sound, and lies where it does not belong."""
    return TicketError(f"{file} does not belong there: {why}", Status.TICKET)


def _gone(file: Path) -> TicketError:
    return TicketError(f"{file} is gone, and {RESULT} beside it says that its round is finished", Status.TICKET)


def _above(path: Path) -> list[Path]:
    """The folders above a file, from the nearest on, of which there are four at least."""
    return [*Path(os.path.abspath(path)).parents, *[Path("/")] * 4]


def _check_header(file: Path, stated: str | None) -> None:
    if not file.is_file():
        raise _gone(file)
    if stated is not None and read_header(file).sha256 != stated:
        raise foreign(file, f"{RESULT} beside it names another one")
