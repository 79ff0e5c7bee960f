"""Claims a folder for a run, and removes what a failed start has put into it. Torch-free.

A run, or a training, claims a folder by its first file, `run.json` or `given.safetensors`, which it writes before all
others into a folder that is new or empty. So all that lies beside it later is the run's, or was put there knowingly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gentickets.disk import is_draft, recording, write_new
from gentickets.errors import Status, TicketError
from gentickets.runs.folder import is_locked, locked
from gentickets.runs.holder import holder


def require_free(out: Path, first: str, kind: str, check: Callable[[], object]) -> None:
    """Raise TicketError, before anything is written or locked, where a folder is in use or somebody else's.

    It may be new or empty, or hold the file ``first`` with which a ``kind`` (a run, say) begins, and which ``check``
    does not refuse.
    """
    try:
        _require(out, first, kind)
        if (out / first).is_file():
            check()
    except TicketError as error:
        if is_locked(out):
            raise TicketError(f"{out} is being written by {holder(out / '.lock')}", Status.LOCKED) from error
        raise


def _require(out: Path, first: str, kind: str) -> None:
    if out.exists() and not out.is_dir():
        raise TicketError(f"{out} is a file, not a folder for a {kind}")
    if os.path.islink(out) and not out.exists():
        raise TicketError(f"{out} is a link to a folder that is not there")
    if not out.is_dir() or (out / first).is_file():
        return
    if others := sorted(path.name for path in out.iterdir() if not is_draft(path)):
        raise TicketError(f"{out} holds other files ('{others[0]}') and is no {kind}; choose another --out")


@contextmanager
def claimed_folder(out: Path, first: Path, data: bytes) -> Iterator[None]:
    """Hold a folder for writing, with its first file in it: ``data``, unless one is there.

    Where what is done inside fails before the first round begins, all that this process has made is removed, and
    nothing else.
    """
    with recording() as made:
        try:
            if not first.is_file():
                with suppress(FileExistsError):  # by another process, a moment ago
                    write_new(first, data)
        except Exception:
            made.undo()
            raise
        with locked(out):
            try:
                yield
            except Exception:
                if not any(out.glob("seed-*")):
                    made.undo()
                raise
