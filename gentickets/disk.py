"""Writing so that no moment of a crash leaves half a file. Torch-free."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole.

    A draft in the same folder, flushed to disk, renamed, the folder flushed; the user's umask applies. An OSError
    names the file, not its draft.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def told(error: OSError) -> str:
    """What to say about a file that could not be written or read: why, which, and what helps when a disk is full."""
    about = f": '{error.filename}'" if error.filename is not None else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) and bool(about)
    return f"{error.strerror or error}{about}" + ("; make room, and the same command goes on" if full else "")


def clear_drafts(folder: Path) -> None:
    """Remove the drafts that a killed writer left behind."""
    for draft in folder.glob(".*.draft") if folder.is_dir() else ():
        draft.unlink(missing_ok=True)
