"""Workers side by side: what becomes of those that die, and rounds of one arm that run at once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from gentickets.errors import Status, TicketError
from gentickets.experiment import job as work
from gentickets.experiment import run as finding
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.dispatch import job_of
from gentickets.experiment.options import Options
from gentickets.experiment.plan import plan_units
from gentickets.experiment.run import find
from gentickets.experiment.worker_process import Worker
from gentickets.recipe import load_recipe
from gentickets.runs.folder import RunFolder, locked

SHORT = ["search.seeds=1", "train.steps=8", "quality.frechet=false"]


def test_workers_that_die_before_their_first_round_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Worker] = []
    begin = Worker.__init__

    def dying(self: Worker, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        started.append(self)
        self.process.kill()

    monkeypatch.setattr(Worker, "__init__", dying)
    with pytest.raises(TicketError, match="before its first round") as caught:
        find(load_recipe("tiny"), tmp_path / "run", Options(jobs=2, device="cpu"))
    assert caught.value.status == Status.FAILED
    assert len(started) == 2


def test_a_module_of_the_users_folder_shadows_none_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("tiny", overrides=[*SHORT, "search.controls=[]", "search.budget=false"])
    find(recipe, tmp_path / "run", Options(jobs=1, device="cpu"))
    assert len(list((tmp_path / "run").glob("seed-0/*/*/result.json"))) == 3


def test_two_rounds_of_one_arm_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round's folder is locked, not the arm's: another worker may be at its neighbour for long."""
    monkeypatch.setattr(work, "LOCK_SECONDS", 0.0)
    recipe = load_recipe("tiny", overrides=[*SHORT, "search.control_rounds=[1,2]"])
    find(recipe, tmp_path / "run", Options(jobs=0, device="cpu"))
    run = RunFolder(tmp_path / "run")
    for round in (1, 2):
        run.round(0, "shuffle", round).result.unlink()
    assembly = Assembly(recipe, root=Path("data"))
    units = [unit for unit in plan_units(recipe) if unit.arm == "shuffle"]
    assert [(unit.seed, unit.round) for unit in units] == [(0, 1), (0, 2)]
    with locked(run.round(0, "shuffle", 1).path):
        assert job_of(assembly, run, units[1]).do().status == "done"
        with pytest.raises(TicketError, match="another process"):
            job_of(assembly, run, units[0]).do()


def test_threads_and_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "available_cores", lambda: 8)
    assert finding.jobs_for({"threads": 1, "device": "cpu"}, Options()) == 8
    assert finding.jobs_for({"threads": 4, "device": "cpu"}, Options()) == 2
    assert finding.jobs_for({"threads": 1, "device": "cuda"}, Options()) == 1
    assert finding.jobs_for({"threads": 1, "device": "cpu"}, Options(jobs=3)) == 3


def test_a_lock_says_who_holds_it_and_since_when(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    hold = "import os, sys, time\nfrom pathlib import Path\nfrom gentickets.runs.folder import locked\n"
    hold += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", hold, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        day = datetime.now().astimezone().strftime("%Y-%m-%d")
        for _ in range(2):
            with pytest.raises(TicketError) as caught, locked(folder):
                pass
            said = f"is being written by another process, {other.pid} on {platform.node()} since {day} "
            assert said in str(caught.value)
            assert caught.value.status == Status.LOCKED
        other.kill()
        other.wait()
    with locked(folder):
        assert str(os.getpid()) in (folder / ".lock").read_text()
    (folder / ".lock").write_text("whatever somebody keeps here")
    with locked(folder):
        assert (folder / ".lock").read_text() == "whatever somebody keeps here"
        with pytest.raises(TicketError, match="written by another process"), locked(folder):
            pass
