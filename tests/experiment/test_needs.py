"""What a unit needs: without a result it is no failure, but still to come; and stored results of that kind heal."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import EVERY_STEP, content, small_recipe

from gentickets.errors import TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.dispatch import job_of
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.run import find, results_of
from gentickets.recipe import Recipe
from gentickets.report import read_run
from gentickets.results import Result, read_results, standing
from gentickets.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("without_pictures")

QUICK = ["quality.frechet=false", "search.budget=false", "search.rounds=2", "claim.level=0.75"]


def small(tmp_path: Path, *more: str) -> Recipe:
    return small_recipe(tmp_path, "ae", *QUICK, *more)


def units_of(wanted: Recipe) -> list[Unit]:
    return plan_units(wanted)


def unit_of(wanted: Recipe, arm: str, round: int) -> Unit:
    return next(unit for unit in units_of(wanted) if (unit.arm, unit.round) == (arm, round))


def stored(run: RunFolder, seed: int, arm: str, round: int) -> Result:
    result = run.round(seed, arm, round).read_result()
    assert result is not None
    return result


def poison(run: RunFolder, seed: int, arm: str, round: int, why: str) -> None:
    """A result as earlier versions stored it where a need had no result yet."""
    folder = run.round(seed, arm, round)
    for path in folder.path.iterdir():
        path.unlink()
    told = Result(arm, seed, round, 0.5, 6, 4, "last", status="not run", why=why)
    folder.result.write_text(told.to_json())


@pytest.mark.parametrize("missing", [("ticket", 0), ("shuffle", 2)])
def test_nothing_is_stored_of_a_unit_whose_need_has_no_result(missing: tuple[str, int], tmp_path: Path) -> None:
    """The dense run of a ticket; and a control that is looked at beside a verdict, whose failure would be no matter."""
    wanted = small(tmp_path, *(["verdict.beside=true"] if missing[0] == "shuffle" else []))
    find(wanted, tmp_path / "run", EVERY_STEP)
    run, unit = (
        RunFolder(tmp_path / "run"),
        unit_of(wanted, *{"ticket": ("ticket", 1), "shuffle": ("beside", 2)}[missing[0]]),
    )
    run.round(*unit.key).result.unlink()
    run.round(0, *missing).result.unlink()
    with pytest.raises(TicketError, match=f"needs {missing[0]} round {missing[1]} of seed 0, which has no result yet"):
        job_of(Assembly(wanted, root=Path("data")), run, unit).do()
    assert not run.round(*unit.key).result.exists()


def test_results_that_took_absence_for_failure_heal(tmp_path: Path) -> None:
    """Behind a dense run that was stopped: its ticket, and a chain of what waited for that."""
    wanted = small(tmp_path)
    find(wanted, tmp_path / "whole", EVERY_STEP)
    find(wanted, tmp_path / "run", EVERY_STEP)
    run = RunFolder(tmp_path / "run")
    shutil.rmtree(run.round(0, "ticket", 0).path)
    poison(run, 0, "ticket", 1, "it needs ticket round 0 of seed 0, which is not done")
    poison(run, 0, "ticket", 2, "it needs ticket round 1 of seed 0, which is not run")
    poison(run, 0, "shuffle", 2, "it needs ticket round 2 of seed 0, which is not run")
    assert {(one.arm, one.round) for one in results_of(run, wanted)} == {("reinit", 2)}
    assert [one.arm for one in read_run(run.path).results] == ["reinit"], "a report takes them as not there yet"
    find(wanted, run.path, EVERY_STEP, resume=True)
    assert content(run.path) == content(tmp_path / "whole")
    assert {one.status for one in read_results(run.path)} == {"done"}


def test_what_stands_behind_a_failure_is_not_tried_again(tmp_path: Path) -> None:
    wanted = small(tmp_path, "train.lr=1e30", "train.steps=40")
    find(wanted, tmp_path / "run", EVERY_STEP)
    paths = sorted((tmp_path / "run").glob("seed-*/*/*/result.json"))
    told = {path.parts[-3:-1]: json.loads(path.read_text())["status"] for path in paths}
    assert told == {
        ("reinit", "round-02"): "not run", ("shuffle", "round-02"): "not run", ("ticket", "round-00"): "diverged",
        ("ticket", "round-01"): "not run", ("ticket", "round-02"): "not run",
    }  # fmt: skip
    before = [path.stat().st_mtime_ns for path in paths]
    find(wanted, tmp_path / "run", EVERY_STEP)
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert len(read_results(tmp_path / "run")) == 5


def test_a_longer_control_is_not_run_where_both_of_its_twins_have_failed(tmp_path: Path) -> None:
    wanted = small(tmp_path, "search.longer=2", 'search.scaling="both"', 'search.controls=["shuffle"]')
    find(wanted, tmp_path / "run", EVERY_STEP)
    run = RunFolder(tmp_path / "run")
    longer = unit_of(wanted, "shuffle-longer", 2)
    assert len(longer.variants) == 2
    for twin in longer.variants:
        failed = replace(stored(run, *twin), status="failed", why="emptied")
        run.round(*twin).result.write_text(failed.to_json())
    run.round(*longer.key).result.unlink()
    find(wanted, run.path, EVERY_STEP)
    result = stored(run, *longer.key)
    assert (result.status, result.why) == ("not run", "it needs shuffle round 2 of seed 0, which is failed")
    assert longer.key in standing({(one.seed, one.arm, one.round): one for one in read_results(run.path)})


def test_a_result_that_names_no_failure_does_not_stand() -> None:
    ring = Result(
        "ticket", 0, 1, 0.5, 6, 4, "last", status="not run", why="it needs ticket round 1 of seed 0, which is"
    )
    assert standing({(0, "ticket", 1): replace(ring, why=f"{ring.why} not run")}) == {}
    assert standing({(0, "ticket", 1): replace(ring, why="something else")}) == {}
    assert standing({(0, "ticket", 1): replace(ring, why=None)}) == {}
