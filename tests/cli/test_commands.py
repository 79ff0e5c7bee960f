"""What commands say and accept: which ticket a path means, what comes next, and mistakes told as what they are."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result as Ran
from gentickets_cli import progress
from gentickets_cli.progress import TimeLeft, spoken
from gentickets_cli.train import _ways
from helpers import call, recipe_text
from PIL import Image

from gentickets.actions.locate import resuming, ticket_at, training_folder
from gentickets.disk import write_whole
from gentickets.errors import TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import load_recipe, parse_recipe
from gentickets.runs.folder import RunFolder
from gentickets.tensorfile import read_tensors

RECIPE = recipe_text(
    task={"width": 8, "depth": 1, "latent": 2},
    train={"steps": 9, "betas": [0.5, 0.9]},
    search={"rounds": 2, "rewind_to": 2},
)
PLUGIN = """
from gentickets import Objective, Task
from torch import nn

class Mine(Task):
    def __init__(self, image, width=4):
        super().__init__()
        self.image = image
        self.middle = nn.Linear(64, 64)

    def objectives(self):
        return [Objective("mine", self.loss, ("middle",))]

    def loss(self, batch, draw):
        return self.figures(batch, draw)["error"].mean()

    def figures(self, batch, draw):
        x = batch.flatten(1)
        return {"error": (self.middle(x) - x).square().mean(1)}

    def inputs(self, batch):
        return {"middle": (batch.flatten(1),)}
"""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a changed key; the trained network of its first round is gone."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "small.toml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "small.toml"), overrides=["train.lr=0.005"])
    find(recipe, folder / "small", Options(jobs=0, device="cpu"))
    (folder / "small/seed-0/ticket/round-01/trained.safetensors").unlink()
    return folder / "small"


def again(line: str) -> Ran:
    """A command that was printed after a colon, called."""
    return call(*shlex.split(line.partition(": ")[2])[1:])


def test_a_round_and_its_trained_network_mean_its_ticket(small_run: Path) -> None:
    round = small_run / "seed-0/ticket/round-02"
    for path in (round, round / "ticket.safetensors", round / "trained.safetensors"):
        assert ticket_at(path) == round / "ticket.safetensors"
    assert call("show", round, "--json").exit_code == 0
    assert "{}" not in call("show", round).stdout


def test_a_folder_of_several_tickets_is_no_ticket_and_names_one(small_run: Path) -> None:
    for command in ("train", "sample"):
        ran = call(command, small_run / "seed-0")
        assert ran.exit_code == 2
        named = ran.stderr.strip().rpartition("as in ")[2]
        assert named == str(small_run / "seed-0/ticket/round-02/ticket.safetensors")


def test_a_run_means_its_ticket(small_run: Path, tmp_path: Path) -> None:
    ran = call("sample", small_run, "--out", tmp_path / "one.png")
    assert ran.exit_code == 0, ran.output
    assert call("sample", small_run / "seed-0/ticket/round-02", "--out", tmp_path / "two.png").exit_code == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_train_says_what_to_do_next_and_it_works(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    round = small_run / "seed-0/ticket/round-01"
    untrained = call("sample", round)
    assert untrained.exit_code == 2
    folder = Path("runs/small-seed-0-ticket-round-01-train")
    assert f"gentickets train {round / 'ticket.safetensors'}, and then gentickets sample {folder}" in untrained.stderr
    ran = call("train", round, "--seed", "4", "--device", "cpu")
    assert ran.exit_code == 0, ran.output
    assert f"{folder}/seed-4/train/round-01/trained.safetensors" in ran.stdout
    assert "9, 7 of them after step 2, where the ticket starts" in ran.stdout
    ways, draw, dense = ran.stderr.splitlines()[-3:]
    assert "reconstruction" in ways.partition(": lower is better")[0]
    assert ways.endswith("kl: says nothing of quality by itself")
    assert again(draw).exit_code == 0
    assert (folder / "more_samples.png").is_file()
    assert dense.endswith(
        f"gentickets train {small_run}/seed-0/ticket/round-00/ticket.safetensors --seed 4 --device cpu"
    )
    assert again(dense).exit_code == 0
    assert len(list(Path("runs").iterdir())) == 2, "the two trainings have folders of their own"
    assert call("show", folder).exit_code == 0


def test_figures_of_which_more_is_better_are_told_apart() -> None:
    assert _ways(["reconstruction", "frechet"]) == "lower is better"
    assert _ways(["frechet", "recall", "kid"]) == "frechet, kid: lower is better; recall: higher is better"


def test_a_ticket_outside_of_runs_is_trained_under_its_own_name() -> None:
    assert training_folder(Path("somewhere/best.safetensors")) == Path("runs/best-train")


def test_a_link_to_nothing_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "t.toml"
    link.symlink_to("gone")
    refused = call("recipes", "cp", "tiny", link)
    assert (refused.exit_code, link.readlink()) == (2, Path("gone"))
    assert "exists and is not overwritten" in refused.stderr


def test_no_file_is_overwritten_without_force(small_run: Path, tmp_path: Path) -> None:
    ticket, png, toml = small_run / "seed-0/ticket/round-02", tmp_path / "s.png", tmp_path / "t.toml"
    for command, target in ((["sample", ticket, "--out", png], png), (["recipes", "cp", "tiny", toml], toml)):
        target.write_text("mine")
        refused = call(*command)
        assert (refused.exit_code, target.read_text()) == (2, "mine")
        assert "exists and is not overwritten" in refused.stderr
        forced = call(*command, "--force", "--json")
        assert forced.exit_code == 0, forced.output
        assert json.loads(forced.stdout)["file"] == str(target)
        assert target.read_bytes() != b"mine"
    nowhere = call("sample", ticket, "--out", tmp_path / "no" / "s.png")
    assert (nowhere.exit_code, (tmp_path / "no").exists()) == (2, False)
    assert "no folder" in nowhere.stderr
    twice = call("report", small_run, small_run / ".." / small_run.name, "--out", tmp_path)
    assert (twice.exit_code, "given twice" in twice.stderr) == (2, True)


def test_an_unfinished_run_says_how_far_it_is_and_how_to_go_on(small_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small_run, tmp_path / "half")
    assert "unfinished" not in call("show", run).stderr
    shutil.rmtree(run / "seed-0/ticket/round-02")
    shown = call("show", run)
    assert "2 of 3 rounds are done" in shown.stderr
    command = resuming(RunFolder(run))
    assert command == f"gentickets find {run}/recipe.toml --out {run} --set train.lr=0.005 --resume"
    assert command in shown.stderr
    assert json.loads(call("show", run, "--json").stdout)["rounds_done"] == 2
    wanted = load_recipe(run / "recipe.toml", overrides=["train.lr=0.005"])
    (run / "seed-0/ticket/round-01/trained.safetensors").touch()
    assert wanted.resolved() == RunFolder(run).read_record()["recipe"], "the command asks for the same recipe"


def test_images_of_a_folder_are_found_with_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(80):
        Image.fromarray(noise.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(f"pictures/{number}.png")
    text = RECIPE.replace('name = "digits"', 'name = "folder"\nfolder = "pictures"\nsize = 8')
    find(parse_recipe(text, name="r"), Path("run"), Options(jobs=0, device="cpu"))
    (tmp_path / "pictures").rename(tmp_path / "moved")
    ticket = "run/seed-0/ticket/round-02"
    for command in ("train", "sample"):
        lost = call(command, ticket)
        assert (lost.exit_code, "--on FOLDER" in lost.stderr) == (2, True)
        assert call(command, ticket, "--on", "moved").exit_code == 0
    assert "no such folder" in call("train", ticket, "--on", "./nowhere").stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.safetensors", b"", "is damaged: it is empty"),
        ("t.png", b"\x89PNG\r\n\x1a\n" + bytes(30), "begins like a PNG picture"),
        ("t.pt", b"PK\x03\x04" + bytes(30), "begins like a zip archive"),
        ("t.pkl", pickle.dumps({"a": 1}), "begins like a pickle"),
        ("t.toml", b"[task]\n", "looks like a recipe"),
        ("t.txt", b"some words, and more of them", "holds text"),
        ("t.json", b'{"a": 1, "b": 2, "c": 3}', "holds JSON"),
        ("t", bytes(range(256)), "is damaged, cut short, or no safetensors file"),
    ],
)
def test_another_kind_of_file_is_told_as_what_it_is(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TicketError, match=said) as caught:
        read_tensors(tmp_path / name, "ticket")
    assert "rror" not in str(caught.value), "no codec's own words"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return [Objective", "return [dict", "mine.py:12, in Mine.objectives: TypeError"),
        ("return [Objective", "return self.nothing or [Objective", "mine.py:12, in Mine.objectives: AttributeError"),
        ('return [Objective("mine", self.loss, ("middle",))]', "return 3", "Mine.objectives() returned int '3'"),
        ('return [Objective("mine", self.loss, ("middle",))]', "return [None]", "returned nothing in its list"),
        ('("middle",)', '("midle",)', "Did you mean 'middle'?"),
        ('("middle",)', '"middle"', "must be ('middle',)"),
        ('["error"].mean()', '["error"]', "returned a tensor of shape (8,), not a scalar tensor"),
        ('["error"].mean()', '["error"].mean().detach()', "does not depend on any weight"),
        (".mean(1)}", ".mean()}", "must be one value per image, shape (8,)"),
        ('"error": (', '"mistake": (', "KeyError: 'error'"),
    ],
)
def test_a_plugins_mistake_is_blamed_on_its_line_before_anything_runs(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in PLUGIN
    (tmp_path / "mine.py").write_text(PLUGIN.replace(old, new, 1))
    text = RECIPE.replace('"vae"\nwidth = 8\ndepth = 1\nlatent = 2', '"Mine"')
    (tmp_path / "r.toml").write_text(text + '[claim]\nmetric = "error"\nlevel = 0.36\n')
    ran = call("find", tmp_path / "r.toml", "--plugin", tmp_path / "mine.py", "--dry-run")
    assert ran.exit_code == (1 if "Error" in said else 2), ran.output
    assert said in ran.stderr


def test_a_claim_about_no_figure_of_a_plugin_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    text = RECIPE.replace('"vae"\nwidth = 8\ndepth = 1\nlatent = 2', '"Mine"')
    (tmp_path / "r.toml").write_text(text + '[claim]\nmetric = "error"\nlevel = 0.36\n')
    command = ["find", tmp_path / "r.toml", "--plugin", tmp_path / "mine.py", "--dry-run"]
    assert call(*command).exit_code == 0
    wrong = call(*command, "--set", "claim.metric=x")
    assert (wrong.exit_code, "claim.metric 'x' is no figure of Mine; it has error" in wrong.stderr) == (2, True)


def test_a_full_disk_names_the_file_and_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_whole(tmp_path / "ticket.safetensors", b"x")
    assert caught.value.filename == str(tmp_path / "ticket.safetensors")
    assert not list(tmp_path.iterdir())
    ran = call("recipes", "cp", "tiny", tmp_path / "t.toml")
    assert ran.exit_code == 5
    assert ran.stderr.endswith(f"'{tmp_path / 't.toml'}'; make room, and the same command goes on\n")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trian.steps=1", "--set trian.steps=1: trian: unknown section or key. Did you mean 'train'?"),
        ("train.objectvs.vae.lr=1", "--set train.objectvs.vae.lr=1: train.objectvs: unknown key. Did you mean"),
        ('search.controls=["shufle"]', "--set search.controls[0]: 'shufle' is not allowed"),
        ("data.name=mnst", "Did you mean 'mnist'? One of your own comes with --plugin my_models.py"),
        ("data.name=xyzzy", "'celeba' or 'folder'. One of your own comes"),
    ],
)
def test_a_misspelt_override_is_blamed_on_what_was_typed(override: str, said: str) -> None:
    with pytest.raises(TicketError) as caught:
        parse_recipe(RECIPE, overrides=[override])
    assert said in str(caught.value)


def test_a_part_of_a_figures_name_is_enough_for_a_hint() -> None:
    with pytest.raises(TicketError) as caught:
        parse_recipe(RECIPE, overrides=["claim.metric=elbo", "claim.level=validation"])
    assert str(caught.value).endswith("Did you mean 'negative_elbo'?")
    assert str(caught.value).count("'reconstruction'") == 1


def test_another_optimizer_by_set_drops_the_files_settings_but_not_those_given() -> None:
    recipe = parse_recipe(RECIPE, overrides=["train.optimizer=rmsprop", "train.alpha=0.9"])
    assert recipe.resolved()["train"]["optimizer"] == "rmsprop"
    assert "betas" not in recipe.resolved()["train"]
    with pytest.raises(TicketError, match="rmsprop has no betas"):
        parse_recipe(RECIPE, overrides=["train.optimizer=rmsprop", "train.betas=[0.1, 0.2]"])
    with pytest.raises(TicketError, match="rmsprop has no betas"):
        parse_recipe(RECIPE.replace("betas", 'optimizer = "rmsprop"\nbetas'))
    own = RECIPE.replace("[search]", "[train.objectives.vae]\nbetas = [0.1, 0.2]\n[search]")
    kept = parse_recipe(own, overrides=["train.objectives.vae.optimizer=sgd"]).resolved()["train"]
    assert (kept["betas"], kept["objectives"]["vae"]) == ([0.5, 0.9], {"optimizer": "sgd"})


def test_a_dry_run_has_identifiers_for_machines_and_words_for_people() -> None:
    told = call("find", "tiny", "--dry-run", "--json", "--device", "cpu")
    assert all(key.isidentifier() for key in json.loads(told.stdout))
    assert told.stderr.startswith("measuring")
    assert {"rounds_left", "disk_mb", "seconds"} <= json.loads(told.stdout).keys()


def test_time_left_is_told_once_a_rate_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    left = TimeLeft(1000)
    assert left.at(0) == ""
    clock[0] = 150.0  # what comes before the first step does not count
    assert left.at(10) == ""
    clock[0] = 151.5
    assert left.at(20) == "", "one percent is too little to tell"
    assert left.at(40) == "about 48 s left", "30 steps in 1.5 s, 960 to go"
    clock[0] = 160.0
    assert left.at(20) == "about 16 min left", "10 steps in 10 s, 980 to go"
    assert left.at(1000) == ""
    assert [spoken(seconds) for seconds in (119.6, 180, 9000)] == ["120 s", "3 min", "2.5 h"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_ctrl_c_stops_at_once_without_a_traceback() -> None:
    code = """
import os, signal, sys
from gentickets_cli.failures import run_safely
from gentickets_cli.find import resumable
from pathlib import Path
def call():
    with resumable(Path("run")):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)
status = run_safely(call)
os.kill(os.getpid(), signal.SIGINT)
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code, "find", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    first, second = done.stderr.splitlines()
    assert first.startswith("stopping")
    assert second == "gentickets: stopped at once; what was stored is in run. To go on: gentickets find x"


@pytest.mark.skipif(sys.platform == "win32", reason="a home that cannot be")
def test_matplotlib_is_silent_without_a_home() -> None:
    gone = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in gone} | {"HOME": "/dev/null/home"}
    command = [sys.executable, "-m", "gentickets_cli", "report", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.stderr == "gentickets: error: nowhere is no run: it has no run.json\n"
