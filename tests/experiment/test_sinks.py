"""Sinks: they receive what units have stored, change no bit of a run, and cannot end one."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import HERE, call, recipe_text

from gentickets.errors import TicketError
from gentickets.experiment.options import Silent
from gentickets.experiment.run import find
from gentickets.experiment.sinks import FOLDER, SINKS, points_of, sink_of
from gentickets.recipe import Recipe, parse_recipe
from gentickets.results import read_results

TEXT = recipe_text(
    task={"width": 8, "depth": 1, "latent": 2}, train={"steps": 9}, search={"rounds": 1, "rewind_to": 2, "seeds": 1}
)
OWN = {"folder", "run", "seconds", "memory", "energy"}
"""What two runs of one recipe differ in: where they are, which they are, and how long they took."""


class Heard:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(self, run: Path, config: Mapping[str, Any]) -> None:
        self.calls.append(("start", run, config["train"]["steps"]))

    def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
        self.calls.append((unit, step, dict(values)))

    def end(self, status: str) -> None:
        self.calls.append(("end", status))


class Broken(Heard):
    """A sink that fails at its first metrics."""

    def metrics(self, unit: str, step: int, values: Mapping[str, float]) -> None:
        raise KeyError(unit)


class Notes(Silent):
    """A listener that keeps notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, sentence: str) -> None:
        self.said.append(sentence)


def recipe() -> Recipe:
    return parse_recipe(TEXT, name="sunk")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Heard]:
    """The same run without sinks and with all of them."""
    folder, heard = tmp_path_factory.mktemp("sinks"), Heard()
    find(recipe(), folder / "without", HERE)
    find(recipe(), folder / "with", replace(HERE, sinks=[*(make() for make in SINKS.values()), heard]))
    return folder / "without", folder / "with", heard


def test_no_bit_of_a_run_changes(runs: tuple[Path, Path, Heard]) -> None:
    without, with_, _ = runs
    names = [path.relative_to(without) for path in sorted(without.rglob("*")) if path.is_file()]
    assert names == [
        path.relative_to(with_) for path in sorted(with_.rglob("*")) if path.is_file() and FOLDER not in path.parts
    ]
    tensors = [name for name in names if name.suffix in (".safetensors", ".png")]
    assert len(tensors) >= 8
    assert all((without / name).read_bytes() == (with_ / name).read_bytes() for name in tensors)
    for one, other in zip(read_results(without), read_results(with_), strict=True):
        fields = [name for name in vars(one) if name not in OWN]
        assert {name: getattr(one, name) for name in fields} == {name: getattr(other, name) for name in fields}


def test_a_sink_hears_every_loss_and_metric_of_every_unit(runs: tuple[Path, Path, Heard]) -> None:
    _, folder, heard = runs
    first, *metrics, last = heard.calls
    assert first == ("start", folder, 9)
    assert last == ("end", "done")
    expected = [
        (f"seed-{one.seed}/{one.arm}/round-{one.round:02d}", *point)
        for one in read_results(folder)
        for point in points_of(one)
    ]
    assert sorted(metrics, key=str) == sorted(expected, key=str)
    dense = [values for unit, _, values in metrics if unit == "seed-0/ticket/round-00"]
    assert {name.partition("/")[0] for values in dense for name in values} == {"loss", "valid", "test"}


def test_csv_and_tensorboard_hold_the_same(runs: tuple[Path, Path, Heard]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, folder, heard = runs
    wanted = {
        (unit, step, name): value for unit, step, values in heard.calls[1:-1] for name, value in values.items()
    }  # fmt: skip
    with (folder / FOLDER / "metrics.csv").open(newline="") as file:
        rows = {(row["unit"], int(row["step"]), row["name"]): float(row["value"]) for row in csv.DictReader(file)}
    assert rows == wanted
    unit = "seed-0/ticket/round-01"
    read = EventAccumulator(str(folder / FOLDER / "tensorboard" / unit))
    read.Reload()
    shown = {(unit, one.step, name): one.value for name in read.Tags()["scalars"] for one in read.Scalars(name)}
    assert shown == pytest.approx({key: value for key, value in wanted.items() if key[0] == unit}, rel=1e-6)


def test_a_sink_that_fails_is_left_out_and_the_run_goes_on(tmp_path: Path) -> None:
    listener, other = Notes(), Heard()
    find(recipe(), tmp_path / "run", replace(HERE, sinks=[Broken(), other]), listener=listener)
    (said,) = [line for line in listener.said if "Broken" in line]
    assert "KeyError" in said
    assert said.endswith("the run is not affected")
    assert other.calls[-1] == ("end", "done")
    again = Heard()
    find(recipe(), tmp_path / "run", replace(HERE, sinks=[again]))
    assert [one[0] for one in again.calls] == ["start", "end"], "what was done before is not told again"


def test_a_sink_is_found_by_its_name_or_refused_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mine.py").write_text("class Half:\n    def start(self, run, config): pass\n")
    for name, said in (
        ("cvs", "Did you mean 'csv'?"),
        ("nowhere:Sink", "No module named 'nowhere'"),
        ("mine:Other", "has no attribute 'Other'"),
        ("mine:Half", "Half has no method metrics"),
    ):
        refused = call("find", "tiny", "--log", name)
        assert refused.exit_code == 2
        assert said in refused.stderr
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(TicketError, match=r"pip install 'gentickets\[tensorboard\]'"):
        sink_of("tensorboard")
    assert not Path("runs").exists()
