"""Guards, patched away: what each negative control breaks, in this process or in those that it starts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "RELIABILITY_BROKEN"


def environment(guard: str | None) -> dict[str, str]:
    """The variables by which processes that are started lack the guard."""
    if guard is None:
        return {}
    path = os.pathsep.join([str(Path(__file__).with_name("site")), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {VARIABLE: guard, "PYTHONPATH": path}


def install() -> None:
    """Take away the guard that the environment names; nothing where it names none."""
    apply(os.environ.get(VARIABLE))


def apply(guard: str | None) -> None:
    """Take a guard away in this process; none leaves everything as it is."""
    if guard is not None:
        GUARDS[guard]()


class _EqualsAll(str):
    """A checksum that fits everything."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def _atomic() -> None:
    """Files are written in place."""
    from gentickets import disk

    def in_place(path: Path, data: bytes, finish: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    disk._write = in_place


def _state() -> None:
    """Stored states come back without their optimizers' memory."""
    from dataclasses import replace

    from gentickets.experiment import checkpoint as notes

    read = notes.read_snapshot

    def forgetful(path: Path) -> Any:
        snapshot, extra, tensors = read(path)
        return replace(snapshot, optim={}), extra, tensors

    notes.read_snapshot = forgetful


def _disk() -> None:
    """Errors of the disk are swallowed."""
    from gentickets import disk

    write = disk._write

    def careless(*given: Any) -> None:
        with contextlib.suppress(OSError):
            write(*given)

    disk._write = careless


def _checksum() -> None:
    """Tensor files are not held against their SHA-256."""
    from gentickets import tensorfile

    tensorfile.content_hash = lambda *given: _EqualsAll()


def _figures() -> None:
    """JSON files are not held against their SHA-256."""
    from gentickets.files import json_file

    json_file.checksum = lambda told: _EqualsAll()


def _finite() -> None:
    """Nothing looks whether values are finite."""
    from gentickets.runs import formats
    from gentickets.training.divergence import Divergence

    Divergence.note = lambda *given: None  # type: ignore[method-assign]
    formats.refuse_infinite = lambda *given: None


def _signals() -> None:
    """Signals have their usual effect."""
    from gentickets_cli import stopping

    stopping.STATUSES = {}


def _lock() -> None:
    """Folders are not locked."""
    import filelock

    filelock.FileLock.acquire = lambda *given, **named: contextlib.nullcontext()  # type: ignore[method-assign]


def _recipe() -> None:
    """What the schema refuses is not caught."""
    from gentickets.recipe import load

    class NeverError(Exception):
        pass

    load.ValidationError = NeverError  # type: ignore[assignment,misc]


def _hold() -> None:
    """Masks are not applied after steps."""
    from gentickets.masks import held

    held.Held._mask = lambda *given: None  # type: ignore[method-assign]


GUARDS: dict[str, Callable[[], None]] = {
    "atomic": _atomic, "state": _state, "disk": _disk, "checksum": _checksum, "figures": _figures, "finite": _finite,
    "signals": _signals, "lock": _lock, "recipe": _recipe, "hold": _hold,
}  # fmt: skip
