"""Faults at a chosen moment of the writing, in this process and, by `site/sitecustomize.py`, in those that it starts.

A *moment* is one operation on a file below a folder: half of a write, a flush to disk, a rename (before, after), a
removal. Moments are numbered over all processes of a command, in the order in which they come.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT, FAULT, COUNT = "RELIABILITY_ROOT", "RELIABILITY_FAULT", "RELIABILITY_COUNT"
"""Environment: the folder whose files count, the fault as ``kind@number``, the file that the moments are counted in."""


def environment(root: Path, fault: str, count: Path) -> dict[str, str]:
    """The variables by which processes that are started have the fault, too."""
    site = Path(__file__).with_name("site")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {ROOT: str(root), FAULT: fault, COUNT: str(count), "PYTHONPATH": path}


def moments(count: Path) -> int:
    """How many moments have passed."""
    return count.stat().st_size if count.exists() else 0


def install() -> None:
    """Have the fault that the environment names; nothing where it names none."""
    if FAULT not in os.environ:
        return
    kind, _, number = os.environ[FAULT].partition("@")
    _Fault(kind, int(number), Path(os.environ[ROOT]), Path(os.environ[COUNT])).install()


class _Fault:
    """``kill``, ``parent`` (kills the parent process), ``enospc``, ``eio`` or ``none``, at moment ``number``.

    Or ``log``, which writes down the files that get their names."""

    def __init__(self, kind: str, number: int, root: Path, count: Path) -> None:
        self.kind, self.number, self.root, self.count = kind, number, str(root.resolve()), count
        self.names: dict[int, str] = {}

    def install(self) -> None:
        opened, fsync, replace, unlink, fdopen = builtins.open, os.fsync, os.replace, os.unlink, os.open

        def open_(file: Any, mode: str = "r", *args: Any, **keywords: Any) -> Any:
            made = opened(file, mode, *args, **keywords)
            name = self.names.get(file, "") if isinstance(file, int) else file
            if "b" in mode and any(letter in mode for letter in "wxa") and self._ours(name):
                return _Writing(made, self)
            return made

        def os_open(path: Any, *args: Any, **keywords: Any) -> int:
            handle = fdopen(path, *args, **keywords)
            self.names[handle] = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
            return handle

        def fsync_(handle: int) -> None:
            self.passes(self.names.get(handle, self.root))
            fsync(handle)

        def replace_(source: Any, target: Any, **keywords: Any) -> None:
            self.passes(target)
            replace(source, target, **keywords)
            self.passes(target, fails=False, renamed=True)

        def unlink_(path: Any, *args: Any, **keywords: Any) -> None:
            self.passes(path, fails=False)
            unlink(path, *args, **keywords)

        builtins.open = io.open = open_
        os.open, os.fsync, os.replace, os.unlink = os_open, fsync_, replace_, unlink_

    def _ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)).startswith(self.root)

    def passes(
        self, path: Any, before: Callable[[], object] = lambda: None, *, fails: bool = True, renamed: bool = False
    ) -> None:
        """One moment; at the fault's own one it strikes.

        ``fails``: whether the operation can fail here. ``renamed``: whether a file has just got its name.
        """
        if not self._ours(path) or (self.kind == "log" and not renamed):
            return
        handle = os.__dict__["open"](self.count, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{os.fspath(path)}\n".encode() if self.kind == "log" else b".")
        reached = os.fstat(handle).st_size
        os.close(handle)
        persistent = self.kind in ("enospc", "eio") and fails
        if reached == self.number or (persistent and reached >= self.number):
            before()
            self._strike(path, fails)

    def _strike(self, path: Any, fails: bool) -> None:
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "parent":
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if fails and self.kind in ("enospc", "eio"):
            number = errno.ENOSPC if self.kind == "enospc" else errno.EIO
            raise OSError(number, os.strerror(number), str(path))


class _Writing:
    """A file whose writes are moments: at the fault's own one, half of the bytes reach the disk."""

    def __init__(self, file: Any, fault: _Fault) -> None:
        self._file, self._fault = file, fault

    def write(self, data: Any) -> int:
        def half() -> None:
            self._file.write(bytes(data)[: len(data) // 2])
            self._file.flush()

        self._fault.passes(self._fault.root + "/", half)
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
