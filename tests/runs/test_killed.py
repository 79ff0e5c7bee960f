"""Commands that are killed, stopped or run on other numbers of workers end with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SMALL, TIGHT, content, wait_for

from gentickets.errors import Status
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.quality import pictures, reference
from gentickets.recipe import load_recipe

LONGER = ["train.steps=200", "search.rewind_to=25", "search.seeds=2", 'search.controls=["shuffle"]',
          "search.budget=false"]  # fmt: skip
"""Rounds long enough to be killed in, and few of them."""


def command(small: Path, run: Path, *more: str) -> list[str]:
    settings = [part for setting in LONGER for part in ("--set", setting)]
    return [sys.executable, "-m", "gentickets_cli", "find", str(small), "--out", str(run), "--checkpoint", "0.2",
            "--device", "cpu", *settings, *more]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("processes")
    (folder / "small.toml").write_text(SMALL)
    subprocess.run(command(folder / "small.toml", folder / "whole"), check=True, capture_output=True)
    return folder / "small.toml", folder / "whole"


def workers_of(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def wait_for_progress(run: Path) -> None:
    """Wait until some round stores its state: it is in its middle then."""
    stored = "**/progress.safetensors"
    before = {path: path.stat().st_mtime_ns for path in run.glob(stored)}
    wait_for(lambda: any(before.get(path) != path.stat().st_mtime_ns for path in run.glob(stored)))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_killed_processes_leave_a_run_that_goes_on(uninterrupted: tuple[Path, Path], tmp_path: Path) -> None:
    """SIGKILL of the parent, SIGTERM and SIGINT, each in the middle of a round; then to the end.

    SIGKILL of a worker ends nothing: its round is tried once more, and the run goes on until its SIGTERM.
    """
    small, whole = uninterrupted
    run = tmp_path / "run"
    statuses = []
    for victim in ("parent", "worker", signal.SIGINT):
        started = subprocess.Popen(command(small, run), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for_progress(run)
        workers = workers_of(started.pid)
        assert workers
        if victim == "parent":
            started.kill()
            wait_for(lambda workers=workers: not any(Path(f"/proc/{pid}").exists() for pid in workers))  # type: ignore[misc]
        elif victim == "worker":
            os.kill(workers[0], signal.SIGKILL)
            assert started.stderr is not None
            while "the round is tried once more" not in (line := started.stderr.readline()):
                assert line, "the run has ended"
            wait_for_progress(run)
            started.send_signal(signal.SIGTERM)
        else:
            started.send_signal(victim)  # type: ignore[arg-type]
        _, told = started.communicate(timeout=60)
        statuses.append(started.returncode)
        if victim != "parent":
            assert "To go on: gentickets find" in told
    assert statuses == [-9, Status.TERMINATED, Status.INTERRUPTED]
    done = subprocess.run(command(small, run, "--resume"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ticket" in done.stdout
    kept = content(whole)
    assert {k: v for k, v in content(run).items() if "ticket.safetensors" in k} == {
        k: v for k, v in kept.items() if "ticket.safetensors" in k
    }


def test_jobs_do_not_change_a_bit(
    uninterrupted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a bill: what one process remembers, two compute twice."""
    small, whole = uninterrupted
    subprocess.run(command(small, tmp_path / "run", "--jobs", "1"), check=True, capture_output=True)
    assert content(tmp_path / "run") == content(whole)
    reference._known.clear()
    monkeypatch.setattr(pictures, "COMPRESSION", TIGHT)  # as in a worker: results have their pictures' checksums
    find(load_recipe(str(small), overrides=LONGER), tmp_path / "here", Options(jobs=0, device="cpu"))
    assert content(tmp_path / "here") == content(whole)


def test_two_processes_cannot_write_one_run(uninterrupted: tuple[Path, Path]) -> None:
    small, whole = uninterrupted
    from gentickets.runs.folder import locked

    with locked(whole):
        second = subprocess.run(command(small, whole), capture_output=True, text=True, check=False)
    assert second.returncode == Status.LOCKED
    assert len(second.stderr.strip().splitlines()) == 1
