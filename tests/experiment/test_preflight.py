"""Before anything trains, all that a run will need is tried; what does not work is a line, and nothing is left."""

from __future__ import annotations

import random
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gentickets_cli.main import cli

import gentickets.experiment.preflight as preflight_module
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.options import Options
from gentickets.experiment.plan import plan_units
from gentickets.experiment.preflight import Preflight, pending_from, preflight
from gentickets.experiment.run import find, preflight_setup
from gentickets.recipe import Recipe, load_recipe

HEAD = """
[task]
family = "{family}"
width = 8
{task}
[data]
name = "digits"
[train]
steps = 500
[search]
seeds = 1
rounds = 8
{search}
[quality]
frechet = false
"""
MODELS = """
import torch
from gentickets.tasks import FAMILIES

AE = FAMILIES["ae"]

class Plain(AE):
    def __init__(self, image, width=8):
        super().__init__(image, width=width, depth=1, latent=4)

class NoFigures(Plain):
    def figures(self, batch, draw):
        return {}

class Normed(Plain):
    def __init__(self, image, width=8):
        super().__init__(image, width=width)
        self.encoder.append(torch.nn.LayerNorm(4))

def broken(task, batches, seed):
    raise KeyError("no such layer")

def partial(task, batches, seed):
    return {name: weight.abs() for name, weight in list(task.named_parameters())[:1]}
"""


def recipe_of(folder: Path, family: str, search: str, task: str = "") -> tuple[Recipe, tuple[Path, ...]]:
    (folder / "models.py").write_text(MODELS)
    (folder / "recipe.toml").write_text(HEAD.format(family=family, search=search, task=task))
    plugins = (folder / "models.py",)
    return load_recipe(str(folder / "recipe.toml"), plugins=plugins), plugins


def tried(folder: Path, family: str, search: str, task: str = "") -> Preflight:
    recipe, plugins = recipe_of(folder, family, search, task)
    units = plan_units(recipe)
    assembly = Assembly(recipe, root=Path("data"), plugins=plugins)
    return preflight(assembly, folder / "run", pending_from(preflight_setup(units, 2, Options())))


@pytest.mark.parametrize(
    ("family", "search", "task", "says"),
    [
        ("Plain", 'criterion = "broken"', "", "the criterion 'broken' does not work .*models.py.*no such layer"),
        ("Plain", 'criterion = "partial"', "", "the criterion 'partial': it gave no scores for "),
        ("NoFigures", "", "", "nothing to measure"),
        ("Plain", 'exempt = ["nowhere.*"]', "", "pattern 'nowhere.*' matches no prunable weight"),
        ("Plain", 'prune = ["middle"]', "", "no component 'middle'"),
        ("Plain", 'scope = "layer"\nkeep = 0.05\ncontrols = []', "", "would leave nothing of "),
        ("Plain", 'scope = "erk"\nkeep = 0.4\ncontrols = []', "", "would leave nothing of "),
        ("Plain", "keep = 1e-9", "", "keeping 0 of the [0-9,]+ weights of '.*' would leave nothing of one of its "),
        ("Plain", "scope = 'global'\nkeep = 0.3", "", "of 'the network' would leave nothing of one of its 4 tensors"),
        ("Plain", "keep = 0.9999999", "", "weights keeps them all: prune more"),
        (
            "vae",
            'method = "early_bird"\nonly_rounds = [1]\nkeep = 0.5\ncontrols = []',
            "latent = 2\ndepth = 1",
            "'decoder' has 8 units to rank, .* under a constant schedule .*rule = 'published'",
        ),
    ],
)
def test_what_will_not_work_is_told_before_training(
    family: str, search: str, task: str, says: str, tmp_path: Path
) -> None:
    found = tried(tmp_path, family, search, task)
    with pytest.raises(TicketError, match=says) as raised:
        found.require()
    assert raised.value.status == Status.REQUEST


def test_a_control_that_cannot_score_is_a_note(tmp_path: Path) -> None:
    """SynFlow refuses layer norms; as the method's own criterion that ends the run."""
    found = tried(tmp_path, "Normed", 'controls = ["synflow"]')
    assert found.troubles == []
    assert "control 'synflow' will fail" in found.notes[0]
    own = tried(tmp_path, "Normed", 'method = "at_start"\ncriterion = "synflow"\nonly_rounds = [3]\ncontrols = []')
    assert "the criterion 'synflow': " in own.troubles[0][0]


def test_a_control_that_no_mask_allows_is_a_note(tmp_path: Path) -> None:
    """At equal densities everywhere the smallest layer has nothing left, whatever the weights become."""
    search = 'scope = "erk"\nkeep = 0.62\ncontrols = ["random-uniform", "shuffle"]'
    found = tried(tmp_path, "vae", search, "latent = 2\ndepth = 1")
    assert found.troubles == []
    assert any("control 'random-uniform' will fail: " in note for note in found.notes)
    assert not any("shuffle" in note for note in found.notes)


def test_where_an_early_bird_says_nothing_is_a_note(tmp_path: Path) -> None:
    search = 'method = "early_bird"\nby = "weights"\nrule = "published"\nkeep = 0.5\nonly_rounds = [5]\ncontrols = []'
    found = tried(tmp_path, "vae", search, "latent = 2\ndepth = 1")
    assert found.troubles == []
    assert any("the published rule says nothing at 96.9 % sparsity" in note for note in found.notes)


def test_every_trouble_has_a_line(tmp_path: Path) -> None:
    found = tried(tmp_path, "NoFigures", 'criterion = "broken"')
    with pytest.raises(TicketError) as raised:
        found.require()
    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize("jobs", [0, 1])
def test_a_run_that_will_not_work_ends_at_once_and_leaves_nothing(jobs: int, tmp_path: Path) -> None:
    recipe, plugins = recipe_of(tmp_path, "NoFigures", "")
    with pytest.raises(TicketError, match="nothing to measure"):
        find(recipe, tmp_path / "run", Options(jobs=jobs, device="cpu", plugins=plugins))
    assert not (tmp_path / "run").exists()


def test_a_dry_run_tries_the_same(tmp_path: Path) -> None:
    recipe_of(tmp_path, "NoFigures", "")
    words = ["find", str(tmp_path / "recipe.toml"), "--plugin", str(tmp_path / "models.py"), "--dry-run"]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.stderr.count("nothing to measure")) == (2, 1)


def test_random_states_are_as_they_were(tmp_path: Path) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr,index]
    tried(tmp_path, "vae", 'controls = ["shuffle"]', "latent = 2\ndepth = 1")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[union-attr,index]


def test_room_on_the_disk_and_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """About 40 units of 60 kB at least: 2.4 MB. With 1 MB free a note, with 100 kB a refusal that says both numbers."""
    usage = namedtuple("usage", "free")
    for free, notes, troubles in ((1e9, 0, 0), (1e6, 1, 0), (1e5, 0, 1)):
        monkeypatch.setattr(preflight_module, "disk_usage", lambda place, free=free: usage(free))
        found = tried(tmp_path, "vae", 'controls = ["shuffle"]\nlonger = 0', "latent = 2\ndepth = 1")
        assert (len(found.notes), len(found.troubles)) == (notes, troubles)
    assert found.troubles[0][1] == Status.STORAGE
    assert "0 MB are free" in found.troubles[0][0]
    monkeypatch.setattr(preflight_module, "disk_usage", shutil.disk_usage)
    monkeypatch.setattr(preflight_module, "_memory_free", lambda device: 1)
    found = tried(tmp_path, "vae", 'controls = ["shuffle"]\nlonger = 0', "latent = 2\ndepth = 1")
    assert found.memory is None or "data.batch_size" in found.troubles[0][0]
