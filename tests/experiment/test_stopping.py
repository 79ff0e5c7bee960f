"""Commands that are stopped: by which signal, with which status, in how many lines; and that they go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import EVERY_STEP, PROGRAM, SMALL, small_recipe, wait_for

from gentickets.actions.locate import recipe_of
from gentickets.errors import Status, TicketError
from gentickets.experiment.run import find
from gentickets.recipe import Recipe
from gentickets.runs.folder import RunFolder
from gentickets.verbs.verdict import VerdictTarget, to_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def command(small: Path, run: Path, *more: str) -> list[str]:
    settings = ["--set", "train.steps=100000", "--set", "quality.frechet=false", "--set", "search.budget=false"]
    return [*PROGRAM, "find", str(small), "--out", str(run), "--checkpoint", "0.5", "--device", "cpu", "--jobs", "1",
            *settings, *more]  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "small.toml"


def started(words: list[str], **how: object) -> subprocess.Popen[str]:
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)  # type: ignore[call-overload,no-any-return]


STATUS = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", STATUS)
def test_before_the_first_worker_is_ready_a_signal_ends_in_its_status(number: signal.Signals, small: Path) -> None:
    run = small.parent / "run"
    process = started(command(small, run))
    wait_for((run / "run.json").exists)
    process.send_signal(number)
    _, told = process.communicate(timeout=90)
    assert process.returncode == STATUS[number] == Status(STATUS[number])
    assert told.strip().splitlines()[-1].startswith("gentickets: stopped, and stored in")
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 2, told


def test_a_terminal_that_closes_has_the_run_stored(small: Path) -> None:
    """SIGHUP comes to the run alone, and nothing can be written to where it came from."""
    import pty

    run, (parent, child) = small.parent / "run", pty.openpty()
    words = command(small, run)
    process = subprocess.Popen(words, stdin=child, stdout=child, stderr=child, start_new_session=True)
    os.close(child)
    wait_for(lambda: list(run.glob("**/progress.safetensors")))
    os.close(parent)
    process.send_signal(signal.SIGHUP)
    assert process.wait(90) == Status.HANGUP
    before = next(iter(run.glob("**/progress.safetensors"))).stat().st_mtime
    assert time.time() - before < 60


@pytest.mark.full
def test_twice_stops_at_once(small: Path) -> None:
    run = small.parent / "run"
    process = started(command(small, run))
    wait_for(lambda: list(run.glob("**/progress.safetensors")))
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    line = ""
    while "once more" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == Status.INTERRUPTED
    assert "gentickets: stopped" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("number", STATUS)
def test_a_command_that_only_looks_ends_in_one_line(number: signal.Signals, tmp_path: Path) -> None:
    hold = "import sys, os, signal, gentickets_cli.show, gentickets_cli.main as main\n"
    hold += (
        "gentickets_cli.show.show.callback = lambda **_: (print('here', flush=True), __import__('time').sleep(60))\n"
    )
    hold += "sys.argv = ['gentickets', 'show', 'x']\nmain.main()\n"
    process = started([sys.executable, "-c", hold])
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (STATUS[number], "gentickets: interrupted\n")


def test_what_was_started_to_ignore_hangups_ignores_them() -> None:
    """As nohup has it."""
    wait = "import os, signal\nfrom gentickets_cli.stopping import end_quietly, stoppable\n"
    wait += "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nend_quietly()\n"
    wait += "with stoppable('stopping', raises=True) as stop:\n    os.kill(os.getpid(), signal.SIGHUP)\n"
    wait += "    assert not stop\n    os.kill(os.getpid(), signal.SIGTERM)\n"
    process = started([sys.executable, "-c", wait])
    _, told = process.communicate(timeout=60)
    assert told.startswith("stopping\n")
    assert "Signalled" in told


@pytest.mark.parametrize("becomes", ["itself", "an error of foreign code"])
@pytest.mark.parametrize("number", list(STATUS))
def test_a_signal_that_comes_during_an_import_ends_with_its_status(
    number: signal.Signals, becomes: str, tmp_path: Path
) -> None:
    """Python ends by SIGINT where a KeyboardInterrupt has passed through a code made of text; C code turns it over."""
    code = f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(9)"
    if becomes != "itself":
        code = f"try:\n    exec({code!r})\nexcept BaseException:\n    raise ImportError('initialization failed')"
    whole = "import sys\nfrom pathlib import Path\nfrom gentickets_cli.failures import run_safely\n"
    whole += "from gentickets_cli.find import resumable\n"
    whole += f"def call():\n    with resumable(Path('run')):\n        exec({code!r})\n"
    (tmp_path / "stopped_here.py").write_text(f"{whole}sys.exit(run_safely(call))\n")
    process = started([sys.executable, "-m", "stopped_here"], cwd=tmp_path)
    _, told = process.communicate(timeout=60)
    assert process.returncode == STATUS[number]
    assert told.splitlines()[1].startswith("gentickets: stopped, and stored in run. To go on: ")
    assert len(told.splitlines()) == 2


def test_a_look_that_was_stopped_goes_on_by_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verdict RUN --more`: from 3 seeds to 6, stopped, again; a further look only when those are there."""
    few = ["search.seeds=3", "quality.frechet=false", "search.budget=false", 'search.controls=["shuffle"]',
           'search.scaling="off"', "verdict.beside=false", "verdict.twice=false", "search.longer=0"]  # fmt: skip
    small, run = small_recipe(tmp_path, "ae", *few), tmp_path / "run"
    find(small, run, EVERY_STEP)
    monkeypatch.setattr("gentickets.recipe.asked.complete", lambda recipe: recipe)  # no more arms: seeds alone

    def more() -> Recipe:
        return to_run(VerdictTarget(recipe_of(RunFolder(run)), run, True), True, None)

    wanted = more()
    assert wanted.search.seeds == 6

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gentickets.experiment.job.Job.do", stopped)
        with pytest.raises(KeyboardInterrupt):
            find(wanted, run, EVERY_STEP)
    assert recipe_of(RunFolder(run)).search.seeds == 6
    assert more().search.seeds == 6
    find(more(), run, EVERY_STEP)
    with pytest.raises(TicketError, match="no further one was declared"):
        more()
