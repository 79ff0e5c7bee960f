"""Writing so that no moment of a crash leaves half a file, and undoing what a failed start has made. Torch-free."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_DRAFT = re.compile(r"\.gentickets-[0-9a-f]{32}\.draft")
"""Names of drafts: 128 random bits, which nobody else comes upon."""
ABANDONED = 24 * 3600.0
"""Seconds after which a draft is nobody's any more, where the system cannot tell whether it is being written."""


@dataclass
class Made:
    """What was made that had not been there before, in the order of its making."""

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def undo(self) -> None:
        """Remove the files, and the folders that are empty then."""
        for file in self.files:
            with contextlib.suppress(OSError):
                file.unlink()
        for folder in reversed(self.folders):
            with contextlib.suppress(OSError):
                folder.rmdir()


_MADE: ContextVar[Made | None] = ContextVar("made", default=None)


@contextlib.contextmanager
def recording() -> Iterator[Made]:
    """Record the files and folders that are made inside by the functions of this module."""
    made = Made()
    token = _MADE.set(made)
    try:
        yield made
    finally:
        _MADE.reset(token)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are not there."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    path.mkdir(parents=True, exist_ok=True)
    if (made := _MADE.get()) is not None:
        made.folders += reversed(missing)


def record(path: Path) -> None:
    """Record a file that was made by other means."""
    if (made := _MADE.get()) is not None:
        made.files.append(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole.

    A draft in the same folder, flushed to disk, renamed, the folder flushed; the user's umask applies. An OSError
    names the file, not its draft.
    """
    _write(path, data, os.replace)


def write_new(path: Path, data: bytes) -> None:
    """The same for a file that is not there; FileExistsError where one is, which is left as it is."""
    _write(path, data, _link)


def append_line(path: Path, text: str) -> None:
    """Append one line to a file, which is made where it is not there, by one write: lines of several processes do not
    mix. It is on the disk when this returns. A line that a killed writer has left half is ended first.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        size = os.lseek(handle, 0, os.SEEK_END)
        os.lseek(handle, max(0, size - 1), os.SEEK_SET)
        half = size > 0 and os.read(handle, 1) != b"\n"
        os.write(handle, b"\n" * half + text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes, finish: Callable[[Path, Path], object]) -> None:
    make_folder(path.parent)
    clear_drafts(path.parent)
    was_there = os.path.lexists(path)
    try:
        with _draft(path.parent) as (draft, handle):
            with open(handle, "wb", closefd=fcntl is None) as file:  # Windows renames no open file
                file.write(data)
                file.flush()
                os.fsync(handle)
            finish(draft, path)
        if not was_there:
            record(path)
    except OSError as error:
        if error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new file that is locked as long as it is being written, and gone afterwards unless it was renamed."""
    while True:
        draft = folder / f".gentickets-{secrets.token_hex(16)}.draft"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if _lock(handle) is not False and draft.exists():
            break
        os.close(handle)  # swept by another process in the moment before it was locked
    try:
        yield draft, handle
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)
        with contextlib.suppress(OSError):
            draft.unlink()


def _link(draft: Path, path: Path) -> None:
    """Give a draft its name, unless that is taken."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with open(path, "xb"):
            pass
        os.replace(draft, path)


def _lock(handle: int) -> bool | None:
    """Lock an open file; False where another process holds it, None where the system cannot tell."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def is_draft(path: Path) -> bool:
    """Whether a path has a draft's name, which only `write_whole` gives."""
    return _DRAFT.fullmatch(path.name) is not None


def told(error: OSError) -> str:
    """What to say about a file that could not be written or read: why, which, and what helps when a disk is full."""
    about = f": '{error.filename}'" if error.filename is not None else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) and bool(about)
    return f"{error.strerror or error}{about}" + ("; make room, and the same command goes on" if full else "")


def clear_drafts(folder: Path) -> None:
    """Remove the drafts that killed writers left behind; those that are being written stay."""
    with contextlib.suppress(OSError):
        for draft in [Path(entry) for entry in os.scandir(folder) if _DRAFT.fullmatch(entry.name)]:
            _clear(draft)


def _clear(draft: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(draft, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            free = _lock(handle)
            if free or (free is None and time.time() - os.fstat(handle).st_mtime > ABANDONED):
                draft.unlink()
        finally:
            os.close(handle)
