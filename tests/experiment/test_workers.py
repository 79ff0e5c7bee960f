"""Workers that die, hang, or say what is no message; by stand-ins for worker processes that start in a moment."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from gentickets.errors import Status, TicketError
from gentickets.experiment import pool, worker_process
from gentickets.experiment.messages import NotAMessage, messages
from gentickets.experiment.plan import Unit
from gentickets.experiment.pool import Pool
from gentickets.experiment.worker_process import Worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

STAND_IN = """
import json, os, signal, sys, time
def say(text):
    os.write(1, text.encode())
def tell(**message):
    say(json.dumps(message) + "\\n")
setup = json.loads(sys.stdin.readline())
how = setup["how"]
if how.get("start") == "dies":
    sys.exit(3)
if how.get("start") == "prints":
    say("welcome to this machine\\n")
if how.get("start") == "hangs":
    time.sleep(60)
tell(ready=True)
for line in sys.stdin:
    order = json.loads(line)
    if "stop" in order:
        if how.get("stop") == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        break
    unit = order["do"]
    key = [unit["seed"], unit["arm"], unit["round"]]
    tries = os.path.join(setup["folder"], unit["arm"])
    before = os.path.getsize(tries) if os.path.exists(tries) else 0
    open(tries, "a").write("x")
    acts = how.get(unit["arm"], "works").split()
    act = acts[min(before, len(acts) - 1)]
    tell(at=1, phase="train", parts=1)
    if act == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "hangs":
        for beat in range(1000):
            tell(at=1, phase="train", parts=1)
            time.sleep(0.05)
    elif act == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    elif act == "slow":
        for part in range(20):
            time.sleep(0.05)
            tell(at=1, phase="evaluate", parts=part)
    elif act == "cut":
        say('{"at": 1')
        sys.exit(0)
    elif act == "orphan":
        if os.fork() == 0:
            time.sleep(20)
        os._exit(0)
    elif act == "prints":
        say("Epoch 1: loss 0.3\\n")
        time.sleep(60)
    elif act == "lies":
        tell(done=[9, "other", 9], status="done", why=None)
        time.sleep(60)
    tell(done=key, status="done", why=None)
"""


def unit(arm: str, *needs: str) -> Unit:
    return Unit(0, arm, 0, 10, 10, tuple((0, need, 0) for need in needs))


class Play:
    """A pool with stand-ins, and what came of it."""

    def __init__(self, folder: Path, how: Mapping[str, str], units: list[Unit], jobs: int = 2, **more: Any) -> None:
        self.done, self.notes, self.lost, self.folder = list[str](), list[str](), dict[str, str](), folder
        setup = {"how": how, "folder": str(folder), "download": False}
        self.pool = Pool(
            units, set(), setup, jobs, self._tell, note=self.notes.append, lose=self._lose, **{"stall": 5.0, **more}
        )

    def _tell(self, unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
        if message is not None:
            self.done.append(unit.arm)

    def _lose(self, unit: Unit, why: str) -> None:
        self.lost[unit.arm] = why

    def tries(self, arm: str) -> int:
        path = self.folder / arm
        return path.stat().st_size if path.exists() else 0


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "COMMAND", (sys.executable, "-I", "-S", "-c", STAND_IN))
    monkeypatch.setattr(worker_process, "END_SECONDS", 0.5)
    monkeypatch.setattr(worker_process, "LAST_WORDS_SECONDS", 0.5)


CHAIN = [unit("a"), unit("b"), unit("c", "b"), unit("d")]


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ("dies", "ended with status -9"),
        ("hangs", "took no step for"),
        ("deaf", "took no step for"),
        ("cut", "ended in a line that was cut: '{\"at\": 1'"),
        ("orphan", "ended with status 0"),
    ],
)
def test_a_round_is_tried_twice_and_then_lost_while_the_others_go_on(act: str, why: str, tmp_path: Path) -> None:
    play = Play(tmp_path, {"b": act}, CHAIN, stall=1.0)
    play.pool.run()
    assert sorted(play.done) == ["a", "d"], "what needs it waits"
    assert list(play.lost) == ["b"]
    assert play.lost["b"].startswith(why)
    assert play.tries("b") == 2
    assert len(play.notes) == 2


def test_a_round_whose_worker_dies_once_is_done_by_a_new_one(tmp_path: Path) -> None:
    play = Play(tmp_path, {"b": "dies works"}, CHAIN, jobs=1)
    play.pool.run()
    assert sorted(play.done) == ["a", "b", "c", "d"]
    assert not play.lost
    how = "ended with status -9 (out of memory?)"
    assert play.notes == [f"the worker at seed 0, b, round 0 {how}; the round is tried once more"]


def test_parts_of_a_phase_are_progress(tmp_path: Path) -> None:
    """A second of evaluation in parts, where half a second without one is too long."""
    play = Play(tmp_path, {"b": "slow"}, CHAIN, stall=0.5)
    play.pool.run()
    assert sorted(play.done) == ["a", "b", "c", "d"]
    assert not play.notes


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"b": "prints"}, "the worker at seed 0, b, round 0 sent a line that is no message: 'Epoch 1: loss 0.3'"),
        ({"b": "lies"}, "the worker at seed 0, b, round 0 sent a line that is no message"),
        ({"start": "prints"}, "a worker, before its first round, sent a line that is no message: 'welcome"),
        ({"start": "dies"}, "a worker, before its first round, ended with status 3"),
    ],
)
def test_foreign_lines_and_a_start_that_fails_end_in_an_error(
    how: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 0.5)
    with pytest.raises(TicketError) as caught:
        Play(tmp_path, how, CHAIN).pool.run()
    assert str(caught.value).startswith(said)
    assert caught.value.status == Status.FAILED


def test_a_start_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "START_SECONDS", 0.5)
    with pytest.raises(TicketError, match="before its first round, took no step for"):
        Play(tmp_path, {"start": "hangs"}, CHAIN, stall=0.5).pool.run()


def test_workers_that_do_not_stop_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run is interrupted, and where it has ended."""
    monkeypatch.setattr(pool, "STOP_SECONDS", 0.3)
    play = Play(tmp_path, {"stop": "deaf"}, [unit("a")])
    play.pool.run()
    assert play.done == ["a"]
    interrupted = Play(tmp_path, {"b": "deaf"}, CHAIN)
    started = list[Worker]()

    def interrupt(*_: object) -> None:
        started.extend(interrupted.pool.workers)
        raise KeyboardInterrupt

    interrupted.pool.report = interrupt
    with pytest.raises(KeyboardInterrupt):
        interrupted.pool.run()
    assert started
    for worker in started:
        worker.process.wait(5)


def test_a_parent_that_was_away_ends_nobody(tmp_path: Path) -> None:
    play = Play(tmp_path, {}, CHAIN, jobs=1, stall=0.2)
    worker = Worker(play.pool.setup, SimpleQueue())
    worker.ready, worker.unit, play.pool.workers = True, CHAIN[0], [worker]
    worker.since = play.pool.watched = time.monotonic() - 3600
    play.pool._watch()
    assert worker.why is None
    worker.since = time.monotonic() - 3600
    play.pool.watched -= 1
    play.pool._watch()
    assert worker.why is not None, "the other way round it is"
    worker.kill()


def test_lines_are_messages_or_foreign_and_never_an_error() -> None:
    sent = b'{"at": 1}\nEpoch 1\n[1, 2]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"cut": '
    found = list(messages(io.BytesIO(sent)))
    assert found[0] == {"at": 1}
    assert [str(one) for one in found[1:3]] == [
        f"a line that is no message: '{text}'" for text in ("Epoch 1", "[1, 2]")
    ]
    assert all(isinstance(one, NotAMessage) for one in found[1:])
    assert len(str(found[4])) < 200
    assert str(found[5]) == "a line that was cut: '{\"cut\": '"


def test_a_worker_that_is_sent_no_message_says_so_and_ends() -> None:
    import subprocess

    for sent in (b"hello\n", b'{"run": "x"\n'):
        command = [sys.executable, "-P", "-m", "gentickets.experiment.worker"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(sent)
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
            assert told["error"].startswith("a worker was sent a line that is no message: ")
            process.stdin.close()
            process.wait(30)


def test_a_worker_ignores_the_terminals_signals_and_ends_with_its_parent() -> None:
    import subprocess

    command = [sys.executable, "-P", "-m", "gentickets.experiment.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        status = Path(f"/proc/{process.pid}/status")
        end = time.monotonic() + 30
        ignored = 0
        while not ignored >> (signal.SIGHUP - 1) & 1 and time.monotonic() < end and status.exists():
            ignored = int(status.read_text().split("SigIgn:")[1].split()[0], 16)
            time.sleep(0.02)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(process.pid, number)
        time.sleep(0.1)
        assert process.poll() is None
        process.stdin.close()
        process.wait(30)
