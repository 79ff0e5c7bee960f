"""Runs that are stopped, killed, or run out of disk go on and end with the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import EVERY_STEP, SMALL_FAMILIES, Killed, content, crash_at, product, small_recipe

from gentickets import disk
from gentickets.errors import Status, TicketError
from gentickets.experiment import checkpoint as notes
from gentickets.experiment import worker
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.quality import reference
from gentickets.recipe import Recipe
from gentickets.runs.formats import read_snapshot
from gentickets.seeds import derive
from gentickets.tickets import Snapshot
from gentickets.training import loop


@pytest.mark.parametrize(("moment", "family"), product(["before", "after"], SMALL_FAMILIES))
def test_a_run_that_keeps_dying_ends_with_the_same_bytes(
    family: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = small_recipe(tmp_path, family)
    find(small, tmp_path / "whole", EVERY_STEP)
    deaths = 0
    for attempt in range(200):
        with monkeypatch.context() as patch:
            crash_at(patch, 1 + attempt % 7, moment)
            patch.setattr(worker, "preflight_notes", lambda *_: [])  # the whole run has tried all that it needs
            reference._known.clear()  # a new process remembers nothing
            try:
                find(small, tmp_path / "killed", EVERY_STEP, resume=deaths > 7)
                break
            except Killed:
                deaths += 1
    assert deaths > 10, "it died often enough to mean something"
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("**/progress*"))
    assert not list((tmp_path / "killed").glob("**/*.draft"))


def stopped_in_the_middle(small: Recipe, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        crash_at(patch, 14, "before")
        with pytest.raises(Killed):
            find(small, run, EVERY_STEP)
    assert list(run.glob("**/progress*")), "it died in the middle of a round"


def without_optimizer(path: Path) -> tuple[Snapshot, dict[str, object], dict[str, torch.Tensor]]:
    snapshot, extra, best = read_snapshot(path)
    return Snapshot(snapshot.step, snapshot.weights, {}, snapshot.ema), extra, best


def drawing_from_a_sampler(count: list[int]) -> Callable[..., int]:
    def from_its_state(seed: int, *parts: str | int) -> int:
        count[0] += parts[0] == "draw"
        return derive(seed, "draw", count[0]) if parts[0] == "draw" else derive(seed, *parts)

    return from_its_state


@pytest.mark.parametrize("dropped", ["optimizer", "random state"])
def test_dropping_a_part_of_the_state_is_seen(dropped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above."""
    small = small_recipe(tmp_path, "vae", "search.controls=[]", "search.budget=false")
    if dropped == "random state":
        monkeypatch.setattr(loop, "derive", drawing_from_a_sampler([0]))
    find(small, tmp_path / "whole", EVERY_STEP)
    if dropped == "random state":
        monkeypatch.setattr(loop, "derive", drawing_from_a_sampler([0]))
    stopped_in_the_middle(small, tmp_path / "killed", monkeypatch)
    if dropped == "random state":
        monkeypatch.setattr(loop, "derive", drawing_from_a_sampler([0]))
    else:
        monkeypatch.setattr(notes, "read_snapshot", without_optimizer)
    find(small, tmp_path / "killed", EVERY_STEP)
    assert content(tmp_path / "killed") != content(tmp_path / "whole")


def test_a_damaged_progress_file_falls_back_to_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_recipe(tmp_path, "gan")
    find(small, tmp_path / "whole", EVERY_STEP)
    stopped_in_the_middle(small, tmp_path / "killed", monkeypatch)
    for path in (tmp_path / "killed").glob("**/progress.safetensors"):
        path.write_bytes(path.read_bytes()[:-9])
    find(small, tmp_path / "killed", EVERY_STEP)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_full_disk_keeps_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_recipe(tmp_path, "vae")
    find(small, tmp_path / "whole", EVERY_STEP)
    left = [20]
    fsync = os.fsync

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            find(small, tmp_path / "full", EVERY_STEP)
    assert not list((tmp_path / "full").glob("**/*.draft"))
    find(small, tmp_path / "full", EVERY_STEP)
    assert content(tmp_path / "full") == content(tmp_path / "whole")


def test_what_is_not_there_is_not_resumed(tmp_path: Path) -> None:
    small = small_recipe(tmp_path, "vae")
    with pytest.raises(TicketError, match="no run to resume") as caught:
        find(small, tmp_path / "none", EVERY_STEP, resume=True)
    assert caught.value.status == Status.REQUEST
    assert not (tmp_path / "none").exists()


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path) -> None:
    find(small_recipe(tmp_path, "vae"), tmp_path / "run", EVERY_STEP)
    before = content(tmp_path / "run")
    with pytest.raises(TicketError, match=r"train\.lr: 0\.001 -> 0\.002"):
        find(small_recipe(tmp_path, "vae", "train.lr=2e-3"), tmp_path / "run", EVERY_STEP)
    with pytest.raises(TicketError, match="threads"):
        find(small_recipe(tmp_path, "vae"), tmp_path / "run", Options(jobs=0, threads=2))
    assert content(tmp_path / "run") == before


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(TicketError, match="other files"):
        find(small_recipe(tmp_path, "vae"), tmp_path / "mine", EVERY_STEP)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


# -- real processes -------------------------------------------------------------------------------------------------


def test_a_run_can_be_given_more_seeds(tmp_path: Path) -> None:
    few, more = (small_recipe(tmp_path, "vae", "seed=0", seeds) for seeds in ("search.seeds=1", "search.seeds=2"))
    find(few, tmp_path / "run", EVERY_STEP)
    before = content(tmp_path / "run")
    find(more, tmp_path / "run", EVERY_STEP)
    find(more, tmp_path / "whole", EVERY_STEP)
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert before.items() <= content(tmp_path / "run").items()
    find(few, tmp_path / "run", EVERY_STEP)
    assert content(tmp_path / "run") == content(tmp_path / "whole"), "a request for less changes nothing"


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    broken = small_recipe(tmp_path, "vae", "data.name=mnist")
    with pytest.raises(TicketError, match="mnist"):
        find(broken, tmp_path / "run", Options(jobs=0, device="cpu", root=tmp_path / "nothing"))
    assert not (tmp_path / "run").exists()


def test_a_second_starter_leaves_the_first_ones_files_alone(tmp_path: Path) -> None:
    from gentickets.runs.folder import locked

    small = small_recipe(tmp_path, "vae")
    run = tmp_path / "run"
    with locked(run):
        (run / "run.json").write_text("{}")
        with pytest.raises(TicketError, match="another process"):
            find(small, run, EVERY_STEP)
        assert (run / "run.json").read_text() == "{}"
