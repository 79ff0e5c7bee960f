"""Figures are as safe as tensors: results and records have checksums, and lie where they belong."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from gentickets_cli.main import cli
from helpers import EVERY_STEP, Killed, content, crash_at, small_recipe

from gentickets.errors import Status, TicketError
from gentickets.experiment import start_record as recorded
from gentickets.experiment.run import find
from gentickets.files import json_bytes, parse_json, read_header
from gentickets.files.result_fields import Fields
from gentickets.files.tensor_header import MOST_TENSORS
from gentickets.recipe.declared import run_identity
from gentickets.recipe.meaning import seeds_from
from gentickets.report import read_run, write_report
from gentickets.results import Result, parse_result, read_result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket, write_ticket

pytestmark = pytest.mark.usefixtures("without_plots")

QUICK = ["quality.frechet=false", "search.budget=false", "search.rounds=2", "claim.level=0.75", "search.seeds=2",
         'search.controls=["shuffle"]']  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds, two rounds and a control."""
    folder = tmp_path_factory.mktemp("belonging")
    find(small_recipe(folder, "ae", *QUICK), folder / "run", EVERY_STEP)
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another recipe, with the same seeds and arms."""
    folder = tmp_path_factory.mktemp("other")
    find(small_recipe(folder, "ae", *QUICK, "train.lr=2e-3"), folder / "run", EVERY_STEP)
    return folder / "run"


def refused(read: Callable[[], object], *names: str) -> str:
    """The one line with which something is refused, with status 3."""
    with pytest.raises(TicketError) as caught:
        read()
    assert caught.value.status == Status.TICKET
    assert len(str(caught.value).splitlines()) == 1
    assert all(name in str(caught.value) for name in names), str(caught.value)
    return str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


# -- content ----------------------------------------------------------------------------------------------------------


def test_an_edited_figure_is_noticed_by_every_command(run: Path) -> None:
    path = run / "seed-0/ticket/round-02/result.json"
    edit(path, lambda told: told["test"].update(reconstruction=told["test"]["reconstruction"] - 0.01))
    for command in (["show", run], ["report", run], ["verdict", run], ["show", path.parent], ["cost", run]):
        told = CliRunner().invoke(cli, [str(word) for word in command])
        assert told.exit_code == Status.TICKET, command
        assert "round-02/result.json is damaged" in told.stderr.splitlines()[-1]
    refused(lambda: find(small_recipe(run.parent, "ae", *QUICK), run, EVERY_STEP), "round-02/result.json")


@pytest.mark.parametrize("change", [
    lambda told: told["recipe"]["train"].update(steps=7),
    lambda told: told.update(seeds=[0]),
    lambda told: told["versions"].update(torch="1.0"),
    lambda told: told.update(identity="0" * 64),
    lambda told: told.pop("checksum"),
    lambda told: told.update(format=1),
    lambda told: told["claim"].update(seeds=[2, 4]),
])  # fmt: skip
def test_an_edited_record_is_noticed(change: Callable[[dict[str, Any]], object], run: Path) -> None:
    edit(run / "run.json", change)
    for read in (RunFolder(run).read_record, lambda: read_run(run), lambda: read_results(run)):
        refused(read, "run.json")


@pytest.mark.parametrize("name", ["run.json", "seed-0/ticket/round-01/result.json"])
def test_mutations_are_noticed_or_without_effect(name: str, finished: Path) -> None:
    sound, draw = (finished / name).read_bytes(), random.Random(0)
    told, statuses, lines = parse_json(sound, Path(name), 2), list[Status](), 0
    for _ in range(1000):
        data = bytearray(sound)
        place = draw.randrange(len(data))
        kind = draw.randrange(4)
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place] = draw.randrange(256)
        elif kind == 2:
            del data[place : place + draw.randrange(1, 20)]
        else:
            data[place:place] = data[draw.randrange(len(data)) :][: draw.randrange(1, 20)]
        try:
            found = parse_json(bytes(data), Path(name), 2)
        except TicketError as error:
            statuses.append(error.status)
            lines += len(str(error).splitlines())
        else:
            assert found == told, "the same content, in other bytes"
    assert set(statuses) == {Status.TICKET}
    assert lines == len(statuses) > 700, "the others changed blanks alone"


DEEP = "[" * 100_000 + "]" * 100_000
DAMAGE: dict[str, bytes] = {
    "empty": b"", "not UTF-8": b'{"format": 2, "arm": "\xff"}', "a list": b"[]", "a text": b'"x"',
    "deep": f'{{"format": 2, "x": {DEEP}}}'.encode(),
    "fifty deep": b'{"format": 2, "x": ' + b"[" * 50 + b"]" * 50 + b"}",
    "a format of text": b'{"format": "2"}', "a format of true": b'{"format": true}',
    "a format of a list": b'{"format": [2]}', "a negative format": b'{"format": -1}',
    "no number": b'{"format": 2, "x": NaN}', "infinite": b'{"format": 2, "x": 1e999}',
    "digits": b'{"format": 2, "x": ' + b"9" * 100_000 + b"}", "twice": b'{"format": 1, "format": 2}',
    "a mark of order": b'\xef\xbb\xbf{"format": 1}', "half a surrogate": b'{"format": 1, "x": "\\ud800"}',
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["run.json", "seed-1/ticket/round-01/result.json"])
def test_damage_of_any_sort_is_told_in_one_line(name: str, kind: str, run: Path) -> None:
    (run / name).write_bytes(DAMAGE[kind])
    refused(lambda: read_run(run), name.split("/")[-1])


WRONG: dict[str, Any] = {
    "seed": "0", "round": -1, "arm": None, "sparsity": 2, "steps": 1.5, "trained": True, "selection": 3, "valid": [1],
    "test": {"reconstruction": "low"}, "provenance": {"reconstruction": 3}, "collapsed": 1,
    "checkpoints": [{"step": 6}], "curve": {}, "losses": [3], "densities": {"a": None}, "tied": 3,
    "weights": {"kept": "many"}, "channels": {"a": [1]}, "width": "8", "flops": [], "seconds": {"train": "long"},
    "spent": None, "memory": "much", "energy": "some", "early_bird": {"levels": [3]}, "transfer": {"entries": [{}]},
    "beside": {"paths": [1]}, "uncounted": {"train": 3},
    "status": "well", "why": 3, "run": "x", "ticket": 3, "network": {}, "unknown": 1,
}  # fmt: skip


def test_the_kinds_of_all_fields_are_told() -> None:
    """A field that joins `Result` joins what is checked."""
    assert {field.name for field in dataclasses.fields(Result) if field.init} == get_type_hints(Fields).keys()


@pytest.mark.parametrize("form", [1, 2])
def test_every_field_of_a_result_is_of_its_kind(form: int, finished: Path) -> None:
    """Also with a right checksum, and in the format that has none."""
    told = json.loads((finished / "seed-0/ticket/round-01/result.json").read_text())
    told = {key: value for key, value in told.items() if key not in ("format", "checksum")}
    for key, value in WRONG.items():
        bad = {**told, key: value}
        data = json_bytes(bad, 2) if form == 2 else json.dumps({"format": 1, **bad}).encode()
        refused(lambda data=data: parse_result(data, Path("result.json")), "result.json", key)  # type: ignore[misc]


@pytest.mark.parametrize("key", ["recipe", "seeds", "threads", "plugins", "versions", "machine", "name", "attempts"])
def test_every_field_of_a_record_is_of_its_kind(key: str, run: Path) -> None:
    record = RunFolder(run).read_record()
    for value in (3.5, [["a"]], {"cores": [1]}):
        (run / "run.json").write_bytes(RunFolder(run).record_text({**record, key: value}))
        refused(lambda: read_run(run), "run.json")


@pytest.mark.parametrize(("section", "key", "value"), [
    ("train", "steps", "many"), ("train", "steps", 0), ("search", "keep", 3), ("search", "method", "guess"),
    ("task", "width", [1]), ("data", "batch_size", 0), ("claim", "margin", "wide"), ("claim", "level", 7),
])  # fmt: skip
def test_a_stored_recipe_is_read_like_any_other(section: str, key: str, value: object, run: Path) -> None:
    record = RunFolder(run).read_record()
    record["recipe"][section][key] = value
    (run / "run.json").write_bytes(RunFolder(run).record_text(record))
    for command in (["show", run], ["report", run], ["verdict", run]):
        told = CliRunner().invoke(cli, [str(word) for word in command])
        assert (told.exit_code, len(told.stderr.splitlines())) == (Status.TICKET, 1), command
        assert "run.json" in told.stderr


# -- place ------------------------------------------------------------------------------------------------------------

AT = "seed-0/ticket/round-02"
RESULT, TICKET, TRAINED = "result.json", "ticket.safetensors", "trained.safetensors"
SWAPS = {
    "a result of another seed": (f"seed-1/ticket/round-02/{RESULT}", f"{AT}/{RESULT}"),
    "a result of another round": (f"seed-0/ticket/round-01/{RESULT}", f"{AT}/{RESULT}"),
    "a result of another arm": (f"seed-0/shuffle/round-02/{RESULT}", f"{AT}/{RESULT}"),
    "a ticket of another seed": (f"seed-1/ticket/round-02/{TICKET}", f"{AT}/{TICKET}"),
    "a ticket of another round": (f"seed-0/ticket/round-01/{TICKET}", f"{AT}/{TICKET}"),
    "a ticket of another arm": (f"seed-0/shuffle/round-02/{TICKET}", f"{AT}/{TICKET}"),
    "a network of another seed": (f"seed-1/ticket/round-02/{TRAINED}", f"{AT}/{TRAINED}"),
    "a network of another arm": (f"seed-0/shuffle/round-02/{TRAINED}", f"{AT}/{TRAINED}"),
    "a network for a ticket": (f"{AT}/{TRAINED}", f"{AT}/{TICKET}"),
    "a round of another seed": ("seed-1/ticket/round-02", AT),
    "a round of another arm": ("seed-0/shuffle/round-02", AT),
    "a seed": ("seed-1", "seed-0"),
}


@pytest.mark.parametrize("kind", SWAPS)
def test_what_lies_in_another_place_is_noticed(kind: str, run: Path) -> None:
    source, target = (run / name for name in SWAPS[kind])
    if source.is_dir():
        shutil.rmtree(target)
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    told = refused(lambda: read_run(run), "seed-0")
    assert "does not belong there" in told
    refused(lambda: find(small_recipe(run.parent, "ae", *QUICK), run, EVERY_STEP), "seed-0")


@pytest.mark.parametrize("name", [AT, f"{AT}/{TICKET}", f"{AT}/{TRAINED}", "seed-0"])
def test_what_is_of_another_run_is_noticed(name: str, run: Path, other: Path) -> None:
    if (run / name).is_dir():
        shutil.rmtree(run / name)
        shutil.copytree(other / name, run / name)
    else:
        shutil.copyfile(other / name, run / name)
    refused(lambda: read_run(run), "seed-0")


def test_a_file_alone_is_held_against_the_result_beside_it(run: Path) -> None:
    """By whoever reads it: `show`, `train`, `export` and `sample` begin with it, and so does Python."""
    first, second = (run / f"seed-{seed}/ticket/round-02" for seed in (0, 1))
    for name, read in (("ticket.safetensors", read_ticket), ("trained.safetensors", read_snapshot)):
        kept = (first / name).read_bytes()
        shutil.copyfile(second / name, first / name)
        refused(lambda name=name, read=read: read(first / name), name)  # type: ignore[misc]
        (first / name).write_bytes(kept)
        read(first / name)


def test_a_stored_state_of_another_round_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_recipe(tmp_path, "ae", *QUICK)
    states: dict[str, Path] = {}
    for name, changes in (("one", ()), ("two", ("train.lr=2e-3",))):
        with monkeypatch.context() as patch:
            crash_at(patch, 14, "before")
            with pytest.raises(Killed):
                find(small_recipe(tmp_path, "ae", *QUICK, *changes), tmp_path / name, EVERY_STEP)
        states[name] = next((tmp_path / name).glob("**/progress.safetensors"))
    shutil.copyfile(states["two"], states["one"])
    refused(lambda: find(small, tmp_path / "one", EVERY_STEP), "progress.safetensors", "another run")


def test_a_run_may_be_renamed_copied_and_packed(run: Path, tmp_path: Path) -> None:
    whole = [one.test for one in read_results(run)]
    run.rename(tmp_path / "renamed")
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        for path in (tmp_path / "renamed").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "renamed"))
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(tmp_path / "elsewhere" / "unpacked")
    for place in (tmp_path / "renamed", tmp_path / "elsewhere" / "unpacked"):
        assert [one.test for one in read_run(place).results] == whole
        find(small_recipe(tmp_path, "ae", *QUICK), place, EVERY_STEP)
    round = shutil.copytree(tmp_path / "renamed/seed-0/ticket/round-02", tmp_path / "mine")
    assert read_ticket(round / "ticket.safetensors")[0].origin.round == 2, "a round by itself, anywhere"


@pytest.mark.parametrize("name", ["recipe.toml", "run.json", "seed-0/ticket/round-02/reconstructions.png"])
def test_a_file_without_end_is_refused_unread(name: str, run: Path) -> None:
    os.truncate(run / name, 1 << 40)
    refused(lambda: read_run(run), name, "larger than")


def test_a_recipe_that_was_changed_since_is_not_shown_as_that_of_the_run(run: Path) -> None:
    path = run / "recipe.toml"
    assert read_run(run).recipe_text == path.read_text()
    path.write_text(path.read_text().replace("seed", "sead"))
    assert read_run(run).recipe_text.startswith("# recipe.toml has been changed since this run began")


def test_a_picture_that_is_gone_or_of_another_arm_is_noticed(run: Path) -> None:
    picture = RunFolder(run).round(0, "ticket", 2).path / "reconstructions.png"
    sound = picture.read_bytes()
    picture.unlink()
    refused(lambda: read_run(run), "reconstructions.png is gone")
    picture.write_bytes((RunFolder(run).round(0, "shuffle", 2).path / picture.name).read_bytes())
    refused(lambda: read_run(run), "reconstructions.png does not belong there")
    picture.write_bytes(sound)
    read_run(run)


def test_a_ticket_that_is_gone_is_noticed_and_a_dropped_network_is_not(run: Path) -> None:
    folder = run / "seed-0/ticket/round-02"
    (folder / "trained.safetensors").unlink()
    assert len(read_run(run).results) == 8
    (folder / "ticket.safetensors").unlink()
    refused(lambda: read_run(run), "ticket.safetensors is gone")
    refused(lambda: find(small_recipe(run.parent, "ae", *QUICK), run, EVERY_STEP), "ticket.safetensors is gone")


def test_a_round_that_others_rest_on_is_missed_and_made_again(run: Path) -> None:
    before, test = content(run), [one.test for one in read_results(run)]
    (run / "seed-0/ticket/round-01/result.json").unlink()
    refused(lambda: read_run(run), "round-01/result.json is gone")
    find(small_recipe(run.parent, "ae", *QUICK), run, EVERY_STEP)
    assert [one.test for one in read_results(run)] == test
    tensors = {name for name in before if name.endswith(".safetensors")}
    assert {name: content(run)[name] for name in tensors} == {name: before[name] for name in tensors}


def test_the_identity_is_of_the_recipe_and_survives_growth(finished: Path, tmp_path: Path) -> None:
    few = small_recipe(tmp_path, "ae", *QUICK, "search.seeds=1")
    find(few, tmp_path / "run", EVERY_STEP)
    identity = RunFolder(tmp_path / "run").read_record()["identity"]
    assert identity == run_identity(few.resolved(), seeds_from(few))
    other = small_recipe(tmp_path, "ae", *QUICK)
    assert run_identity(other.resolved(), seeds_from(other)) == RunFolder(finished).read_record()["identity"]
    assert RunFolder(finished).read_record()["identity"] != identity, "another number of seeds, so other seeds"
    by_hand = (small_recipe(tmp_path, "ae", *QUICK, "seed=0", seeds) for seeds in ("search.seeds=1", "search.seeds=2"))
    assert len({run_identity(recipe.resolved(), seeds_from(recipe)) for recipe in by_hand}) == 1
    find(small_recipe(tmp_path, "ae", *QUICK, 'search.controls=["shuffle", "reinit"]'), tmp_path / "run", EVERY_STEP)
    assert RunFolder(tmp_path / "run").read_record()["identity"] == identity
    assert {one.run for one in read_results(tmp_path / "run")} == {identity}
    for path in (tmp_path / "run").glob("seed-*/*/*/t*.safetensors"):
        assert identity.encode() not in path.read_bytes()
    for result in (one for one in read_results(tmp_path / "run") if one.arm != "beside"):
        folder = RunFolder(tmp_path / "run").round(result.seed, result.arm, result.round)
        assert result.ticket == read_header(folder.ticket).sha256
        assert result.network == read_header(folder.trained).sha256


# -- earlier formats, other machines ----------------------------------------------------------------------------------


def as_format_1(run: Path) -> None:
    """The run as a version before checksums would have left it."""
    for path in [run / "run.json", *run.glob("seed-*/*/*/result.json")]:
        told = json.loads(path.read_text())
        for key in ("checksum", "identity", "text", "run", "ticket", "network", "taken_from"):
            told.pop(key, None)
        path.write_text(json.dumps({**told, "format": 1}))


def test_a_run_of_format_1_opens_and_says_that_it_has_no_checksums(run: Path) -> None:
    as_format_1(run)
    shown = CliRunner().invoke(cli, ["show", str(run)])
    assert (shown.exit_code, shown.stderr.count("no checksums")) == (0, 1)
    assert json.loads(CliRunner().invoke(cli, ["show", str(run), "--json"]).stdout)["checksums"] is False
    report = write_report([run])
    assert "no checksums" in report.page.read_text(encoding="utf-8")
    assert json.loads(report.data.read_text(encoding="utf-8"))["runs"][0]["checksums"] is False


def test_a_run_of_format_1_goes_on(run: Path, tmp_path: Path) -> None:
    whole = content(run)
    as_format_1(run)
    shutil.rmtree(run / "seed-1")
    notes: list[str] = []
    find(small_recipe(tmp_path, "ae", *QUICK), run, EVERY_STEP, listener=Noting(notes))
    assert [note for note in notes if "no checksums" in note]
    assert {key: value for key, value in content(run).items() if key.startswith("seed-1")} == {
        key: value for key, value in whole.items() if key.startswith("seed-1")
    }
    assert read_result(run / "seed-1/ticket/round-02/result.json").run is not None
    assert len(read_run(run).results) == 8
    before = (run / "run.json").read_bytes()
    find(small_recipe(tmp_path, "ae", *QUICK), run, EVERY_STEP)
    assert (run / "run.json").read_bytes() == before


def test_format_1_is_no_way_around_checksums(run: Path) -> None:
    path = run / "seed-0/ticket/round-02/result.json"
    told = json.loads(path.read_text())
    for key in ("checksum", "run", "ticket", "network", "taken_from"):
        told.pop(key)
    path.write_text(json.dumps({**told, "format": 1}))
    refused(lambda: read_run(run), "round-02/result.json", "none")


class Noting:
    """A listener that keeps what it is told."""

    def __init__(self, notes: list[str]) -> None:
        self.note = notes.append

    def begin(self, units: object, done: object) -> None:
        """Nothing."""

    def report(self, unit: object, steps: int, message: object) -> None:
        """Nothing."""


def test_other_programs_and_processors_are_told_and_recorded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, notes = small_recipe(run.parent, "ae", *QUICK), list[str]()
    find(small, run, EVERY_STEP, listener=Noting(notes))
    assert notes == []
    shutil.rmtree(run / "seed-1/shuffle")
    real = recorded.versions()
    monkeypatch.setattr(recorded, "versions", lambda: {**real, "torch": "9.9.9"})
    monkeypatch.setattr(recorded, "processor", lambda: "an abacus")
    find(small, run, EVERY_STEP, listener=Noting(notes))
    (told,) = notes
    assert f"torch {real['torch']} -> 9.9.9" in told
    assert "-> an abacus" in told
    (attempt,) = RunFolder(run).read_record()["attempts"]
    assert (attempt["done"], attempt["versions"]["torch"], attempt["machine"]["processor"]) == (7, "9.9.9", "an abacus")
    find(small, run, EVERY_STEP, listener=Noting(notes))
    assert len(notes) == 1, "told once"
    page = write_report([run]).page.read_text(encoding="utf-8")
    assert "after 7 rounds: machine: processor" in page
    assert "an abacus" in page


# -- tickets' own recipes and headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("section", "key", "value"), [
    ("task", "width", 10**9), ("task", "width", 10**30), ("task", "depth", 10**6), ("task", "latent", 2**31),
    ("task", "width", "wide"), ("task", "family", 3), ("task", "family", ["ae"]), ("data", "batch_size", "all"),
    ("data", "size", [8]), ("train", "steps", None), ("train", "optimizer", "magic"), ("search", "exempt", 3),
    ("search", "prune", {"a": 1}), ("quality", "samples", -1),
    (None, "image", [1, 10**9, 10**9]), (None, "image", "8x8"), (None, "plugins", [3]),
])  # fmt: skip
@pytest.mark.parametrize("command", ["show", "train", "export"])
def test_what_a_ticket_asks_for_is_checked(
    command: str, section: str | None, key: str, value: object, finished: Path, tmp_path: Path
) -> None:
    ticket, stored = read_ticket(finished / "seed-0/ticket/round-02/ticket.safetensors")
    assert stored is not None
    (stored if section is None else stored[section])[key] = value
    write_ticket(tmp_path / "ticket.safetensors", ticket, stored)
    shutil.copyfile(finished / "seed-0/ticket/round-02/trained.safetensors", tmp_path / "trained.safetensors")
    if command == "show" and value in (10**9, 10**6, 2**31):
        return  # builds nothing
    more = {
        "train": ["--out", str(tmp_path / "out")],
        "export": ["--format", "safetensors", "--out", str(tmp_path / "x")],
    }
    told = CliRunner().invoke(cli, [command, str(tmp_path / "ticket.safetensors"), *more.get(command, [])])
    assert (told.exit_code, len(told.stderr.splitlines())) == (Status.TICKET, 1), told.stderr
    assert "ticket.safetensors" in told.stderr
    assert not (tmp_path / "out").exists()


def header_of(entries: dict[str, Any]) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def test_a_hostile_header_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(data: bytes) -> None:
        raise AssertionError("safetensors takes seconds over it")

    monkeypatch.setattr(safetensors.torch, "load", never)
    many = {f"layer{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(MOST_TENSORS + 1)}
    for data in (header_of(many), header_of({f"{n}": "x" * 40 for n in range(100_000)}), b"\xff" * 7 + b"\0{"):
        (tmp_path / "t").write_bytes(data)
        refused(lambda: read_ticket(tmp_path / "t"), "damaged")
        refused(lambda: read_header(tmp_path / "t"), "damaged")


def test_a_header_that_cannot_be_printed_or_counted_is_refused(tmp_path: Path) -> None:
    for told in ('{"format": 1, "kind": "\\ud800", "sha256": "", "header": {}}', '{"format": 1e999}', DEEP,
                 '{"format": 1, "kind": "ticket", "sha256": 3, "header": {}}'):  # fmt: skip
        (tmp_path / "t").write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, {"gentickets": told}))
        refused(lambda: read_ticket(tmp_path / "t"))
