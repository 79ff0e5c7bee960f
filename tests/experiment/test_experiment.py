"""Whole runs: every arm, a user's own model, tickets trained again, the commands that look at them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from helpers import HERE, HOUSE, call, recipe_text

from gentickets.experiment.assembly import Assembly
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import Recipe, load_recipe
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.search import iterative

pytestmark = pytest.mark.usefixtures("without_plots")

EVERY_ARM = "seed = 0\n" + recipe_text(
    task={"width": 12, "depth": 1, "latent": 2, "likelihood": "bernoulli"},
    data={"batch_size": 32},
    train={"steps": 12, "lr": 0.002},
    search={
        "rounds": 2,
        "keep": 0.6,
        "rewind_to": 3,
        "controls": ["reinit", "reinit0", "shuffle", "random-erk", "random-uniform", "narrow"],
        "longer": 2,
        "budget": None,
    },
    quality={"checkpoints": 2, "samples": 60, "frechet": None},
    claim={"metric": "negative_elbo", "level": 0.64},
)


@pytest.fixture(scope="session")
def every_arm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """A run with every arm there is."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "every.toml").write_text(EVERY_ARM)
    recipe = load_recipe(str(folder / "every.toml"))
    find(recipe, folder / "every", HERE)
    return recipe, folder / "every"


def test_every_arm_is_done_with_figures_of_its_own(every_arm: tuple[Recipe, Path]) -> None:
    _, run = every_arm
    results = read_results(run)
    assert {result.status for result in results} == {"done"}
    assert all(result.uncounted == {} for result in results), "every operator that was met has a known count"
    arms = {result.arm for result in results}
    scalable = {"reinit", "reinit0", "shuffle", "random-erk", "random-uniform"}
    short = {"ticket", "budget", "narrow"} | scalable | {f"{arm}-scaled" for arm in scalable}
    assert arms == short | {f"{arm}-longer" for arm in {"dense", "ticket", "narrow"} | scalable}
    assert all(set(result.test) >= {"negative_elbo", "reconstruction", "kl", "frechet"} for result in results)
    assert all(result.provenance["frechet"].startswith("features digits-") for result in results)
    values = [round(result.test["negative_elbo"], 6) for result in results]
    assert len(set(values)) == len(values), "no two arms are the same training"


def test_arms_have_the_sizes_and_steps_that_their_names_say(every_arm: tuple[Recipe, Path]) -> None:
    _, run = every_arm
    found = {(result.arm, result.round): result for result in read_results(run)}
    ticket = found["ticket", 2]
    assert abs(ticket.weights["kept"] - 0.36 * ticket.weights["total"]) <= 1  # a rounding for each of two components
    for (arm, round), result in found.items():
        base = arm.removesuffix("-longer").removesuffix("-scaled")
        if base in ("dense", "budget") or (arm, round) == ("ticket", 0):
            assert result.sparsity == 0
        elif base != "narrow" and round == 2:
            assert abs(result.weights["kept"] - ticket.weights["kept"]) <= 4
        assert result.steps == (24 if arm.endswith("-longer") else 12 + 2 * 9 if arm == "budget" else 12)
    narrow = found["narrow", 2]
    assert narrow.flops["dense"] == pytest.approx(ticket.flops["masked"], rel=0.2)
    assert narrow.weights["all"] < ticket.weights["all"]
    assert found["budget", 0].selection.startswith("best on validation")
    assert ticket.selection == "mean of last 2"


def test_the_best_checkpoint_is_chosen_on_validation(every_arm: tuple[Recipe, Path]) -> None:
    """Trap 27: the test split has no say, and is looked at once."""
    for result in read_results(every_arm[1]):
        if not result.selection.startswith("best"):
            continue
        step = int(re.findall(r"\d+", result.selection)[0])
        values = {c["step"]: c["valid"]["negative_elbo"] for c in result.checkpoints}
        assert values[step] == min(values.values())
        assert all("test" not in c for c in result.checkpoints)


def test_units_do_what_the_search_does(every_arm: tuple[Recipe, Path]) -> None:
    """A run's tickets are those of `iterative`, bit for bit, though each round starts from the disk."""
    recipe, run = every_arm
    assembly = Assembly(recipe, root=Path("data"))
    training = assembly.training(assembly.task(0), recipe.train.steps)
    batches = assembly.batches(0)
    for ticket in iterative(training, batches, rounds=2, keep=0.6, rewind_to=3, seed=0):
        folder = RunFolder(run).round(0, "ticket", ticket.origin.round)
        stored, _ = read_ticket(folder.ticket)
        assert stored.mask.distance(ticket.mask) == 0
        assert all(torch.equal(stored.weights[n], v) for n, v in ticket.masked_weights().items())
        if folder.trained.is_file():
            trained, _, _ = read_snapshot(folder.trained)
            state = training.task.state_dict()
            assert all(torch.equal(trained.weights[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    "changes",
    [
        ["search.rewind=lr"],
        ["search.rewind=none", "search.optimizer_state=fresh"],
        ["search.optimizer_state=fresh", "task.network=conv", "task.width=4", "train.ema={decoder=0.9}"],
        ["search.scope=global", "search.prune=['decoder']", "search.criterion=random", "train.optimizer=rmsprop"],
    ],
    ids=["lr", "none", "conv", "decoder"],
)
def test_units_do_what_the_search_does_in_other_ways_too(changes: list[str], tmp_path: Path) -> None:
    text = EVERY_ARM[: EVERY_ARM.index("[claim]")].replace("longer = 2", "budget = false").replace("depth = 1", "")
    (tmp_path / "r.toml").write_text(text)
    recipe = load_recipe(str(tmp_path / "r.toml"), overrides=[*changes, "search.controls=[]", "quality.frechet=false"])
    find(recipe, tmp_path / "run", Options(jobs=0, device="cpu", keep_all=True))
    assembly, search = Assembly(recipe, root=Path("data")), recipe.search
    training = assembly.training(assembly.task(0), recipe.train.steps)
    for ticket in iterative(
        training, assembly.batches(0), rounds=2, keep=0.6, rewind_to=3, seed=0, rewind=search.rewind,
        scope=search.scope, optimizer_state=search.optimizer_state, criterion=assembly.criterion,
        components=assembly.components,
    ):  # fmt: skip
        folder = RunFolder(tmp_path / "run").round(0, "ticket", ticket.origin.round)
        assert read_ticket(folder.ticket)[0].mask.distance(ticket.mask) == 0
        trained, _, _ = read_snapshot(folder.trained)
        state = training.snapshot(12)
        assert all(torch.equal(trained.weights[name], value) for name, value in state.weights.items())
        assert all(torch.equal(trained.ema[name], value) for name, value in state.ema.items())


def test_trained_networks_that_nothing_needs_are_dropped(every_arm: tuple[Recipe, Path]) -> None:
    _, run = every_arm
    kept = {int(p.parent.name[-2:]) for p in run.glob("seed-0/ticket/*/trained.safetensors")}
    assert kept == {0, 2}


def test_a_finished_run_is_found_finished(every_arm: tuple[Recipe, Path]) -> None:
    recipe, run = every_arm
    stamps = {p: p.stat().st_mtime_ns for p in run.glob("seed-*/**/*.safetensors")}
    find(recipe, run, HERE, resume=True)
    assert stamps == {p: p.stat().st_mtime_ns for p in run.glob("seed-*/**/*.safetensors")}


def test_rounds_that_cannot_be_done_are_told_and_skipped_by_their_controls(tmp_path: Path) -> None:
    """A width so small that these weights' rounds empty a layer: a diagnosis, and "not run" behind it."""
    (tmp_path / "r.toml").write_text(EVERY_ARM.replace("longer = 2", ""))
    overrides = ["task.width=1", "search.keep=0.3", "search.rounds=3", "claim.level=0.91",
                 "search.controls=['shuffle']", "search.control_rounds=[2,3]", "search.scope=global"]  # fmt: skip
    recipe = load_recipe(str(tmp_path / "r.toml"), overrides=overrides)
    find(recipe, tmp_path / "run", HERE)
    found = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    first = min(round for (arm, round), result in found.items() if arm == "ticket" and result.status != "done")
    failed = found["ticket", first]
    assert failed.status == "failed"
    assert "weight" in str(failed.why)
    assert found["shuffle", 3].status == "not run"


@pytest.mark.usefixtures("in_process")
def test_a_run_that_diverges_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(EVERY_ARM.replace("longer = 2", ""))
    ran = call("find", tmp_path / "r.toml", "--out", tmp_path / "run", "--set", "train.optimizer=sgd", "--set",
               "train.lr=1e30", "--set", "search.controls=[]", "--set", "search.seeds=1")  # fmt: skip
    assert ran.exit_code == 4, ran.output
    assert "diverged" in ran.output


# -- a user's own model ---------------------------------------------------------------------------------------------


def python_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (HOUSE / document).read_text(encoding="utf-8"), re.DOTALL)


def test_the_documents_own_model_runs_through_a_whole_search(tmp_path: Path) -> None:
    (tmp_path / "my_models.py").write_text((HOUSE / "docs" / "my_models.py").read_text())
    (tmp_path / "flow.toml").write_text((HOUSE / "docs" / "my_flow.toml").read_text())
    plugin = tmp_path / "my_models.py"
    overrides = [
        "train.steps=20",
        "search.rewind_to=4",
        "search.rounds=2",
        "search.seeds=1",
        "search.control_rounds=[2]",
        "claim.level=0.36",
    ]
    recipe = load_recipe(str(tmp_path / "flow.toml"), overrides=overrides, plugins=[plugin])
    find(recipe, tmp_path / "run", Options(jobs=0, plugins=[plugin], device="cpu"))
    results = read_results(tmp_path / "run")
    assert {result.status for result in results} == {"done"}
    assert {result.arm for result in results} == {"ticket", "budget", "shuffle", "shuffle-scaled"}
    assert all(result.test["velocity_error"] > 0 and result.test["frechet"] > 0 for result in results)
    ticket = RunFolder(tmp_path / "run").round(0, "ticket", 2).ticket
    alone = call("train", ticket, "--out", tmp_path / "again")
    assert alone.exit_code == 3
    assert "--plugin my_models.py" in alone.output
    done = call("train", ticket, "--out", tmp_path / "again", "--plugin", plugin, "--json")
    assert done.exit_code == 0, done.output


def test_a_model_of_0_1_0_runs_unchanged(tmp_path: Path) -> None:
    """The plugin interface of the first version, as its documentation had it."""
    stored = HOUSE / "tests" / "experiment" / "stored" / "0.1.0"
    overrides = [
        "train.steps=8", "search.rewind_to=2", "search.rounds=1", "search.seeds=1", "search.control_rounds=[1]",
        "claim.level=0.2", "quality.frechet=false",
    ]  # fmt: skip
    recipe = load_recipe(str(stored / "my_flow.toml"), overrides=overrides, plugins=[stored / "my_models.py"])
    find(recipe, tmp_path / "run", Options(jobs=0, plugins=[stored / "my_models.py"], device="cpu"))
    results = read_results(tmp_path / "run")
    assert {(result.status, result.arm) for result in results} == {
        ("done", arm) for arm in ("ticket", "budget", "shuffle", "shuffle-scaled")
    }
    assert all(result.test["velocity_error"] > 0 for result in results)


def test_three_lines_prune_any_module() -> None:
    block = next(block for block in python_of("docs/how-to/own-loop.md") if "gentickets.hold(" in block)
    scope: dict[str, object] = {}
    exec(compile(block, "own-loop.md", "exec"), scope)
    model, mask = scope["model"], scope["mask"]
    weights = dict(model.named_parameters())  # type: ignore[attr-defined]
    assert 0 < mask.density < 1  # type: ignore[attr-defined]
    assert all(not weights[name][~kept].any() for name, kept in mask.items())  # type: ignore[attr-defined]


def test_the_documents_search_from_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    block = next(block for block in python_of("docs/how-to/own-loop.md") if "iterative(training" in block)
    exec(compile(block, "own-loop.md", "exec"), {})
    assert capsys.readouterr().out.split() == ["0", "0.0%", "1", "20.0%", "2", "36.0%", "3", "48.8%"]


# -- commands --------------------------------------------------------------------------------------------------------


def test_a_ticket_trained_alone_ends_where_the_run_ended(every_arm: tuple[Recipe, Path], tmp_path: Path) -> None:
    _, run = every_arm
    folder = RunFolder(run).round(0, "ticket", 2)
    done = call("train", folder.ticket, "--out", tmp_path / "alone", "--json")
    assert done.exit_code == 0, done.output
    result = next(iter(read_results(tmp_path / "alone")))
    assert result.test == folder.read_result().test  # type: ignore[union-attr]
    other = call("train", folder.ticket, "--out", tmp_path / "other", "--seed", "5", "--json")
    assert json.loads(other.stdout)["negative_elbo"] != result.test["negative_elbo"]
    again = call("train", folder.ticket, "--out", tmp_path / "alone", "--seed", "5")
    assert again.exit_code == 2
    assert "another ticket" in again.output


def test_show_sample_and_report(every_arm: tuple[Recipe, Path], tmp_path: Path) -> None:
    _, run = every_arm
    ticket = RunFolder(run).round(0, "ticket", 2).ticket
    shown = call("show", ticket)
    assert shown.exit_code == 0
    assert "decoder.0.weight" in shown.output
    told = json.loads(call("show", ticket, "--json").stdout)
    assert told["sparsity"] == pytest.approx(0.64, abs=0.001)
    assert "ticket" in call("show", run).output
    sampled = call("sample", ticket, "--out", tmp_path / "s.png", "--number", "9")
    assert sampled.exit_code == 0, sampled.output
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    reported = call("report", run, "--out", tmp_path / "page", "--json")
    assert reported.exit_code == 0
    assert (tmp_path / "page" / "report.html").stat().st_size > 10_000


def test_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = call("find", "tiny", "--dry-run", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["rounds_left"] == 18
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["find", "digits_vea"], 2, "digits_vae"),
        (["find", "tiny", "--set", "train.stepz=3"], 2, "steps"),
        (["find", "tiny", "--set", "train.steps=0"], 2, "train.steps"),
        (["find", "tiny", "--plugin", "missing.py"], 2, "missing.py"),
        (["find", "tiny", "--resume", "--out", "nowhere"], 2, "no run to resume"),
        (["train", "missing.safetensors"], 2, "no file missing.safetensors"),
        (["show", "missing.safetensors"], 2, "no file"),
        (["show", "empty"], 2, "no run"),
        (["report", "empty"], 2, "no run"),
        (["sample", "noise.safetensors"], 3, "damaged"),
        (["train", "noise.safetensors"], 3, "damaged"),
        (["find", "tiny", "--device", "cuda"], 2, "CUDA"),
        (["find", "no_data.toml", "--jobs", "1"], 2, "mnist"),
        (["fnid", "tiny"], 2, "find"),
    ],
)
def test_bad_input_gets_one_line_and_its_status(
    arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.safetensors").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "no_data.toml").write_text(EVERY_ARM.replace('"digits"', '"mnist"').replace("longer = 2", ""))
    ran = call(*arguments)
    assert ran.exit_code == status, ran.output
    lines = [line for line in ran.stderr.strip().splitlines() if line]
    assert len(lines) == 1
    assert said in lines[0]
