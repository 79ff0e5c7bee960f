"""One tiny run, which all tests of the Python verbs share."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import recipe_text

from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import load_recipe

RECIPE = recipe_text(
    task={"width": 8, "depth": 1, "latent": 2},
    train={"steps": 6},
    search={"keep": 0.5, "rounds": 2, "rewind_to": 2, "seeds": 2, "budget": None},
    claim={"metric": "negative_elbo", "level": 0.5},
)
"""Two levels, of which the first is claimed."""


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``small.toml`` and its run in ``runs/small``."""
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "small.toml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "small.toml"))
    find(recipe, folder / "runs" / "small", Options(jobs=0, device="cpu"))
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the current folder."""
    monkeypatch.chdir(place)
    return place
