"""Commands as a person types them, in processes of their own: started afresh, or forked from one that has PyTorch.

A forked command runs its units in its own process (`--jobs` is what a worker adds), so that a try takes a second
instead of six. Both kinds run the command line's own code, from its arguments to its exit status.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OFTEN_IMPORTED = ("scipy.stats", "scipy.linalg", "matplotlib.pyplot", "jinja2", "pydantic", "tqdm", "PIL.Image")
"""What almost every command imports from other packages, so that a fork has it. None of it is ever patched."""
PATIENCE = 240.0
"""Seconds after which a command counts as hung."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (minus the signal that killed it), and what it wrote to stderr."""

    status: int
    stderr: str

    @property
    def errors(self) -> list[str]:
        """Lines of stderr that report an error."""
        return [line for line in self.stderr.splitlines() if line.startswith("gentickets: ")]

    def unclear(self) -> str | None:
        """What is wrong with how the error was reported; None for one line by name."""
        if "Traceback" in self.stderr or "internal error" in self.stderr:
            return self.stderr.strip().splitlines()[-1][:200]
        if self.status > 0 and self.status != 7 and len(self.errors) != 1:
            return f"status {self.status} with {len(self.errors)} error lines: {self.stderr[-200:]!r}"
        return None


def start(args: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A new process of the command, with its stderr in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "gentickets_cli", *args], cwd=folder, env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command; one that hangs is killed, and counts as status 124."""
    try:
        _, stderr = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        end_group(process.pid)
        _, stderr = process.communicate()
        return Ended(124, stderr)
    return Ended(process.returncode, stderr)


def run(args: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command in a new process, to its end."""
    return finish(start(args, folder, environment))


def end_group(process: int) -> None:
    """Kill a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def workers_of(process: int) -> list[int]:
    """The children of a process (Linux)."""
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def forked(
    args: Sequence[str], folder: Path, prepare: Callable[[], object] = lambda: None, kill_after: float | None = None
) -> Ended:
    """Run a command in a fork of this process, after ``prepare`` in it; killed after so many seconds, if given."""
    log = folder / f"forked-{os.getpid()}.stderr"
    child = os.fork()
    if child == 0:
        _be_the_command(args, folder, log, prepare)
    started, status = time.monotonic(), None
    while status is None:
        time.sleep(0.002)
        done, found = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(found)
        elif time.monotonic() - started > (kill_after if kill_after is not None else PATIENCE):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            status = -signal.SIGKILL if kill_after is not None else 124
    text = log.read_text(errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    return Ended(status, text)


def warm() -> None:
    """Import what commands import, so that forks have it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    import matplotlib

    matplotlib.use("agg")
    for name in OFTEN_IMPORTED:
        importlib.import_module(name)


def in_this_process() -> None:
    """Have `find` work without workers, as its option of Python does; a worker that starts all the same is an error."""
    from gentickets.experiment import options, run

    class WithoutWorkers(options.Options):
        """The options, whatever is asked for, with no worker; a class, since its defaults are read from it."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            object.__setattr__(self, "jobs", 0)

    def refuse(*given: object, **named: object) -> object:
        raise AssertionError("a forked command is to work in its own process, and has started workers")

    options.Options = WithoutWorkers  # type: ignore[misc]
    run.Pool = refuse  # type: ignore[assignment,misc]


def _be_the_command(args: Sequence[str], folder: Path, log: Path, prepare: Callable[[], object]) -> None:
    """The rest of a forked child's life."""
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        sys.argv = ["gentickets", *args]
        in_this_process()
        prepare()
        from gentickets_cli.main import main

        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # what the command line itself has let through
        os.write(2, f"Traceback: {type(error).__name__}: {error}\n".encode())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
