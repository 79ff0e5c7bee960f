"""People's property: a start that fails removes what it has made, and what is somebody else's is not touched."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import EVERY_STEP, SMALL, Killed, content, small_recipe

from gentickets import disk
from gentickets.actions.train_ticket import Environment, train_ticket
from gentickets.disk import clear_drafts, is_draft, recording, write_new, write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.experiment.transfer_source import StoredSource
from gentickets.report import write_report
from gentickets.report.pages.matrix import check_folder
from gentickets.runs.folder import RunFolder, locked

pytestmark = pytest.mark.usefixtures("without_plots")

NO_DATA = ["data.name=mnist"]


def seen(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, links as they are."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def no_data(tmp_path: Path) -> Options:
    return replace(EVERY_STEP, root=tmp_path / "nothing")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a recipe": lambda out: (out / "recipe.toml").write_text(SMALL),
    "a draft": lambda out: (out / "thesis.draft").write_text("years"),
    "a hidden draft": lambda out: (out / ".run.json.4711.draft").write_text("years"),
    "a lock": lambda out: (out / ".lock").write_text("mine"),
    "an empty lock": lambda out: (out / ".lock").touch(),
    "another tool's record": lambda out: (out / "run.json").write_text('{"a": 1}'),
    "another tool's record with a format": lambda out: (out / "run.json").write_text('{"format": 1, "recipe": {}}'),
    "a record that is no JSON": lambda out: (out / "run.json").write_bytes(b"\xff\xfe"),
    "a folder named as a record": lambda out: (out / "run.json").mkdir(),
    "a link named as a record": lambda out: (out / "run.json").symlink_to(out.parent / "elsewhere"),
    "a source": lambda out: write_whole(out / "source/source.json", b"{}"),
    "a source's ticket": lambda out: write_whole(out / "source/seed-0/ticket/round-00/ticket.safetensors", b"mine"),
    "seeds": lambda out: write_whole(out / "seed-0/notes.txt", b"mine"),
    "a home": lambda out: (out / ".profile").write_text("export X=1"),
    "features": lambda out: (out / "features.safetensors").write_bytes(b"mine"),
    "several": lambda out: [(out / name).write_text("mine") for name in ("recipe.toml", "run.json", ".lock")],
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("fails", [True, False])
def test_a_folder_of_somebody_elses_is_refused_and_left_as_it_is(kind: str, fails: bool, tmp_path: Path) -> None:
    """Whether the start would have failed or not; nothing is written, locked or removed."""
    out = tmp_path / "out"
    out.mkdir()
    FOREIGN[kind](out)
    before = seen(tmp_path)
    small = small_recipe(tmp_path, "vae", *(NO_DATA if fails else []))
    (tmp_path / "small.toml").unlink()
    with pytest.raises(TicketError, match="out"):
        find(small, out, no_data(tmp_path))
    assert seen(tmp_path) == before


@pytest.mark.parametrize("there", ["nothing", "parents", "an empty folder", "an empty folder behind a link"])
def test_a_start_that_fails_leaves_what_was_there(there: str, tmp_path: Path) -> None:
    small, out = small_recipe(tmp_path, "vae", *NO_DATA), tmp_path / "some" / "where" / "run"
    if there == "parents":
        out.parent.mkdir(parents=True)
    elif there == "an empty folder":
        out.mkdir(parents=True)
    elif there == "an empty folder behind a link":
        (tmp_path / "real").mkdir()
        out.parent.mkdir(parents=True)
        out.symlink_to(tmp_path / "real")
    before = seen(tmp_path)
    with pytest.raises(TicketError, match="mnist"):
        find(small, out, no_data(tmp_path))
    assert seen(tmp_path) == before


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "unplugged")
    with pytest.raises(TicketError, match="link to a folder that is not there"):
        find(small_recipe(tmp_path, "vae"), tmp_path / "run", EVERY_STEP)
    assert not (tmp_path / "unplugged").exists()


def test_what_lies_in_a_begun_run_stays(tmp_path: Path) -> None:
    """A start was killed; notes were put beside it; the next start fails."""
    (tmp_path / "run").mkdir()
    small = small_recipe(tmp_path, "vae")
    with pytest.MonkeyPatch.context() as patch:
        killed_at(patch, 2)
        with pytest.raises(Killed):
            find(small, tmp_path / "run", EVERY_STEP)
    assert (tmp_path / "run" / "run.json").is_file()
    for name in ("notes.txt", "notes.draft", "recipe.toml.bak"):
        (tmp_path / "run" / name).write_text("mine")
    before = seen(tmp_path / "run")
    with pytest.raises(TicketError, match="mnist"):
        find(small_recipe(tmp_path, "vae", *NO_DATA), tmp_path / "run", no_data(tmp_path))
    after = seen(tmp_path / "run")
    stay = {name for name in before if name != "run.json" and not is_draft(Path(name))}
    assert stay == {"notes.txt", "notes.draft", "recipe.toml.bak", ".lock"} <= after.keys()
    assert all(after[name] == before[name] for name in stay - {".lock"})


def test_another_recipe_in_a_begun_run_is_not_overwritten(tmp_path: Path) -> None:
    small = small_recipe(tmp_path, "ae", "quality.frechet=false", "search.budget=false", 'search.controls=["shuffle"]')
    find(small, tmp_path / "run", EVERY_STEP)
    shutil.rmtree(tmp_path / "run" / "seed-0")
    (tmp_path / "run" / "recipe.toml").write_text("# my only copy\n")
    before = seen(tmp_path / "run") | {".lock": None}
    with pytest.raises(TicketError, match=r"recipe\.toml is not what the run there was started with"):
        find(small, tmp_path / "run", EVERY_STEP)
    assert seen(tmp_path / "run") | {".lock": None} == before, "but for who holds it"


def killed_at(patch: pytest.MonkeyPatch, count: int) -> None:
    """The count-th file that gets its name from now on is the last: the process dies just before it."""
    left = [count]

    def dying(name: str) -> Callable[..., None]:
        real = getattr(os, name)

        def call(source: object, target: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                draft = Path(str(target)).with_name(f".gentickets-{count:032x}.draft")
                draft.write_bytes(b"half a file")
                raise Killed
            real(source, target)

        return call

    for name in ("replace", "link"):
        patch.setattr(disk.os, name, dying(name))


def test_a_start_that_was_killed_at_any_file_goes_on(tmp_path: Path) -> None:
    small = small_recipe(tmp_path, "ae", "quality.frechet=false", "search.budget=false", 'search.controls=["shuffle"]')
    find(small, tmp_path / "whole", EVERY_STEP)
    for count in (1, 2, 3, 6):
        run = tmp_path / f"run-{count}"
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, count)
            with pytest.raises(Killed):
                find(small, run, EVERY_STEP)
        assert [path for path in run.rglob("*") if is_draft(path)]
        if count < 4:  # nothing has begun: another recipe may start there, and fail without a trace of its own
            before = seen(run)
            with pytest.raises(TicketError, match="mnist"):
                find(small_recipe(tmp_path, "vae", *NO_DATA), run, no_data(tmp_path))
            assert set(seen(run)) <= set(before)
        find(small, run, EVERY_STEP)
        assert content(run) == content(tmp_path / "whole")
        assert not [path for path in run.rglob("*") if is_draft(path)]


# -- trainings and sources --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ticket")
    small = small_recipe(
        folder, "ae", "seed=0", "quality.frechet=false", "search.budget=false", 'search.controls=["shuffle"]'
    )
    find(small, folder / "run", EVERY_STEP)
    return folder / "run/seed-0/ticket/round-01/ticket.safetensors"


@pytest.mark.parametrize("name", ["given.safetensors", "thesis.txt", ".lock", "seed-0"])
def test_a_training_refuses_a_folder_of_somebody_elses(name: str, ticket: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(b"mine")
    before = seen(tmp_path)
    with pytest.raises(TicketError, match="choose another --out"):
        train_ticket(ticket, tmp_path / "out", Environment(device="cpu"))
    assert seen(tmp_path) == before


def test_a_training_that_fails_at_its_start_leaves_nothing(ticket: Path, tmp_path: Path) -> None:
    elsewhere = {"data": {"name": "mnist", "size": 8}}
    with pytest.raises(TicketError, match="mnist"):
        train_ticket(ticket, tmp_path / "some" / "out", Environment(tmp_path / "nothing", "cpu"), changes=elsewhere)
    assert seen(tmp_path) == {}
    train_ticket(ticket, tmp_path / "out", Environment(device="cpu"))
    result = RunFolder(tmp_path / "out").round(0, "train", 1).read_result()
    assert result is not None
    assert result.run == RunFolder(tmp_path / "out").owner.identity  # type: ignore[union-attr]
    other = RunFolder(tmp_path / "out").round(0, "train", 1).result
    (tmp_path / "copy").mkdir()
    shutil.copytree(tmp_path / "out", tmp_path / "two")
    train_ticket(ticket, tmp_path / "longer", Environment(device="cpu"), changes={"train": {"steps": 8}})
    shutil.copyfile(RunFolder(tmp_path / "longer").round(0, "train", 1).result, other)
    with pytest.raises(TicketError, match="another run") as caught:
        RunFolder(tmp_path / "out").round(0, "train", 1).read_result()
    assert caught.value.status == Status.TICKET


def test_a_source_is_claimed_before_its_files_and_nothing_there_is_overwritten(tmp_path: Path) -> None:
    run, told = RunFolder(tmp_path), {"name": "source", "seeds": {"0": 0}, "rounds": {"1": 1}}
    files = {f"seed-0/ticket/round-0{round}/ticket.safetensors": b"a" * round for round in (0, 1)}
    mine = tmp_path / "source/seed-0/ticket/round-01/ticket.safetensors"
    write_whole(mine, b"mine")
    with pytest.raises(TicketError, match="no file of this run"):
        StoredSource(run).keep(told, files)
    assert mine.read_bytes() == b"mine"
    assert [path for path in (tmp_path / "source").rglob("*") if path.is_file()] == [mine]
    shutil.rmtree(tmp_path / "source")
    for count in range(1, 4):
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, count)
            with pytest.raises(Killed):
                StoredSource(run).keep(told, files)
        StoredSource(run).keep(told, files)
        assert {name: (tmp_path / "source" / name).read_bytes() for name in files} == files
        assert StoredSource(run).record["files"].keys() == files.keys()
        shutil.rmtree(tmp_path / "source")


@pytest.mark.parametrize("change", [b"{}", b"\xff", b"[]", b'{"format": "x"}', b'{"format": 2, "name": "x"}'])
def test_a_damaged_record_of_a_source_is_told(change: bytes, tmp_path: Path) -> None:
    StoredSource(RunFolder(tmp_path)).keep({"name": "source", "seeds": {"0": 0}, "rounds": {"1": 1}}, {"a": b"b"})
    path = tmp_path / "source/source.json"
    sound = path.read_bytes()
    for data in (change, sound.replace(b'"1": 1', b'"1": 2')):
        path.write_bytes(data)
        with pytest.raises(TicketError, match=r"source\.json is damaged") as caught:
            _ = StoredSource(RunFolder(tmp_path)).record
        assert caught.value.status == Status.TICKET


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_what_a_start_has_made_is_undone_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("mine")
    with recording() as made:
        write_whole(tmp_path / "old" / "file", b"changed")
        write_whole(tmp_path / "old" / "new", b"new")
        write_new(tmp_path / "deep" / "er" / "new", b"new")
        with pytest.raises(FileExistsError):
            write_new(tmp_path / "old" / "file", b"other")
        with locked(tmp_path / "run"):
            pass
    (tmp_path / "deep" / "theirs").write_text("theirs")
    made.undo()
    assert seen(tmp_path) == {
        "deep": None, "deep/theirs": b"theirs", "old": None, "old/file": b"changed",
    }  # fmt: skip


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    mine = [tmp_path / name for name in ("thesis.draft", ".report.html.17.draft", ".gentickets-1.draft", "a.tmp")]
    for path in mine:
        path.write_text("mine")
    (tmp_path / f".gentickets-{'a' * 32}.draft").write_text("half")
    with disk._draft(tmp_path) as (living, _):
        write_whole(tmp_path / "report.html", b"whole")
        assert living.exists()
        assert not (tmp_path / f".gentickets-{'a' * 32}.draft").exists(), "swept by the next command that writes there"
        target = tmp_path / "precious"
        target.write_text("mine")
        (tmp_path / f".gentickets-{'b' * 32}.draft").symlink_to(target)
        clear_drafts(tmp_path)
        assert living.exists()
    assert target.read_text() == "mine"
    assert all(path.read_text() == "mine" for path in mine)


def write_often(path: Path, letter: bytes, failed: multiprocessing.Queue[str]) -> None:
    try:
        for _ in range(60):
            write_whole(path, letter * 5000)
            clear_drafts(path.parent)
    except OSError as error:
        failed.put(str(error))


def test_many_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """With one process number, as in two containers, too: names are random."""
    context = multiprocessing.get_context("fork")
    failed: multiprocessing.Queue[str] = context.Queue()
    writers = [context.Process(target=write_often, args=(tmp_path / "f", bytes([65 + n]), failed)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed.empty()
    assert len(set((tmp_path / "f").read_bytes())) == 1
    assert os.listdir(tmp_path) == ["f"]


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report.html", "report.json", "thesis.html", "thesis.json"])
def test_a_report_overwrites_reports_alone(name: str, ticket: Path, tmp_path: Path) -> None:
    run, out = ticket.parents[3], tmp_path / ("thesis.html" if name.startswith("thesis") else "")
    (tmp_path / name).write_text('{"years": "of work"}' if name.endswith("json") else "<!DOCTYPE html><p>mine")
    before = seen(tmp_path)
    with pytest.raises(TicketError, match=name):
        write_report([run], out)
    assert seen(tmp_path) == before
    (tmp_path / name).unlink()
    first = write_report([run], out).page.read_bytes()
    if name == "thesis.html":
        assert write_report([run], out).page.read_bytes() == first


@pytest.mark.parametrize("name", ["matrix.html", "matrix.json"])
def test_a_matrix_overwrites_matrices_alone(name: str, tmp_path: Path) -> None:
    assert check_folder(tmp_path) == (tmp_path / "matrix.html", tmp_path / "matrix.json")
    (tmp_path / name).write_text("mine")
    with pytest.raises(TicketError, match=name):
        check_folder(tmp_path)
