"""A family of somebody's own is looked at before anything trains: what it gives, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import call, recipe_text

pytestmark = pytest.mark.usefixtures("without_plots")

FAMILY = """
import sys
import torch
from torch import nn
from gentickets.tasks import Objective, Task

class Base(Task):
    def __init__(self, image, width=8):
        super().__init__()
        self.image = image
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width))
        self.decoder = nn.Sequential(nn.Linear(width, 64), nn.Unflatten(1, (1, 8, 8)))

    def rebuilt(self, batch):
        return self.decoder(self.encoder(batch))

    def objectives(self):
        return [Objective("mse", lambda batch, draw: (self.rebuilt(batch) - batch).square().mean(), self.components)]

    def inputs(self, batch):
        return {"encoder": (batch,), "decoder": (self.encoder(batch),)}

    def errors(self, batch):
        return (self.rebuilt(batch) - batch).square().flatten(1).mean(1)

    def figures(self, batch, draw):
        return {"mse": self.errors(batch)}

"""
WRONG = {
    "ends": ("def inputs(self, batch): sys.exit()", "a plugin must not end the program"),
    "lazy": ("def __init__(self, image, width=8): super().__init__(image); self.encoder[1] = nn.LazyLinear(width)",
             "'encoder.1.weight' has no shape yet, as its layer is lazy"),
    "meta": ("def __init__(self, image, width=8): super().__init__(image); self.encoder.to('meta')",
             "'encoder.1.weight' is on the meta device and has no numbers"),
    "no super": ("def __init__(self, image, width=8): self.image = image", "Own.__init__ does not call super()"),
    "no image": ("def __init__(self, image, width=8): super().__init__(image); del self.image",
                 "Own.__init__ does not set self.image"),
    "inputs of nothing": ("def inputs(self, batch): return None", "Own.inputs() returned NoneType, not a dict"),
    "inputs of another": ("def inputs(self, batch): return {'critic': (batch,)}",
                          "Own.inputs() names 'critic', which is no component: encoder, decoder"),
    "inputs unwrapped": ("def inputs(self, batch): return {'encoder': batch}",
                         "Own.inputs()['encoder'] is of type Tensor; it must be a tuple"),
    "figure of a number": ("def figures(self, batch, draw): return {1: self.errors(batch)}",
                           "Own.figures() names a figure 1: a name is text on one line"),
    "figure of two lines": ("def figures(self, batch, draw): return {'a\\nb': self.errors(batch)}",
                            "Own.figures() names a figure 'a\\nb'"),
    "complex figure": ("def figures(self, batch, draw): return {'mse': self.errors(batch) * 1j}", "['mse'] is complex"),
    "small samples": ("def sample(self, n, rng): return torch.zeros(n, 1, 4, 4)",
                      "samples have shape (64, 1, 4, 4), and must have (64, 1, 8, 8)"),
    "few samples": ("def sample(self, n, rng): return torch.zeros(n - 1, *self.image)", "samples have shape (63, "),
    "no samples": ("def sample(self, n, rng): return None", "samples are of type NoneType"),
    "a tuple": ("def reconstruct(self, batch): return (self.rebuilt(batch),)", "reconstructions are of type tuple"),
}  # fmt: skip


def tried(folder: Path, method: str, **sections: Any) -> tuple[int, str]:
    """The status and the errors of a dry run with a family that has that method."""
    (folder / "own.py").write_text(f"{FAMILY}class Own(Base):\n    {method}\n")
    own = recipe_text(
        task={"family": "Own", "width": 4}, data={"size": 8}, train={"steps": 4}, quality=None, **sections
    )
    (folder / "recipe.toml").write_text(own)
    done = call("find", folder / "recipe.toml", "--plugin", folder / "own.py", "--dry-run")
    return done.exit_code, done.stderr


@pytest.mark.parametrize("case", WRONG)
def test_what_a_family_gives_wrongly_is_told_before_training(case: str, tmp_path: Path) -> None:
    method, said = WRONG[case]
    status, told = tried(tmp_path, method)
    assert status in (1, 2)
    assert said in told
    assert "internal error" not in told


def test_a_figure_that_is_no_number_before_training_is_a_note(tmp_path: Path) -> None:
    status, told = tried(tmp_path, "def figures(self, batch, draw): return {'mse': self.errors(batch) / 0}")
    assert status == 0
    assert "the figure 'mse' is not finite before training" in told


@pytest.mark.parametrize(("figure", "status"), [("mse", 0), ("mean_gap", 2)])
def test_test_images_are_a_sample_only_for_means_over_images(tmp_path: Path, figure: str, status: int) -> None:
    """A family's own figures are; a name that gentickets has keeps its meaning there."""
    claim = {"metric": figure, "unit": "absolute", "margin": 0.1, "level": "validation", "images": "sample"}
    method = f"def figures(self, batch, draw): return {{'{figure}': self.errors(batch)}}"
    found, told = tried(tmp_path, method, claim=claim)
    assert found == status
    said = f"claim.images: 'sample' needs a metric that is a mean over images, and '{figure}' is none"
    assert (said in told) == bool(status)
