"""Floors: by hand, against SciPy, and that no network goes below one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import HERE
from scipy import stats

from gentickets.data import Images, Splits, load
from gentickets.experiment.run import find
from gentickets.quality import extractor, floors
from gentickets.quality.floors import pixel_entropy
from gentickets.quality.reference import reference
from gentickets.recipe import Recipe, load_recipe
from gentickets.results import parse_result, read_result, read_results

RECIPE = """
[task]
family = "{family}"
width = 8
{more}
[data]
name = "digits"
[train]
steps = 4
[search]
seeds = 1
rounds = 1
budget = false
[quality]
frechet = {frechet}
"""


def grey(*values: int) -> Images:
    """One image of so many grey values."""
    return Images(torch.tensor(values, dtype=torch.uint8).reshape(1, 1, 1, -1))


def test_the_entropy_is_that_of_each_grey_value_by_hand() -> None:
    # 51 of 255 is 0.2: entropy -0.2 ln 0.2 - 0.8 ln 0.8 = 0.500402; black and white have none
    assert pixel_entropy(grey(0, 255, 51)) == pytest.approx(0.5004024, rel=1e-6)
    assert pixel_entropy(grey(0, 255, 255)) == 0.0


def test_the_digits_have_the_published_entropy(digits: Splits) -> None:
    values = digits.test.all().double().numpy() / 2 + 0.5
    by_scipy = stats.bernoulli(np.clip(values, 0, 1)).entropy()
    assert pixel_entropy(digits.test) == pytest.approx(float(np.nansum(by_scipy)) / digits.test.n)
    larger = load("digits", size=16)  # as the recipe digits_vae has them
    assert pixel_entropy(larger.test) == pytest.approx(85.94, abs=0.005)


def test_no_bernoulli_decoder_is_below_the_floor() -> None:
    value, floor = torch.tensor(0.2), pixel_entropy(grey(51))
    for said in (0.1, 0.19, 0.2, 0.21, 0.5):
        found = float(torch.nn.functional.binary_cross_entropy(torch.tensor(said), value))
        assert found >= floor - 1e-7
    assert math.isclose(floor, float(torch.nn.functional.binary_cross_entropy(value, value)), rel_tol=1e-6)


def test_real_against_real_has_as_many_images_as_samples(digits: Splits, tmp_path: Path) -> None:
    look = extractor(digits, tmp_path)
    found = floors({}, digits, "test", ["frechet", "kid", "recall", "density"], extractor=look, samples=100)
    assert found == {
        "frechet": reference(look, digits, "test").floor(digits, 100).frechet,
        "kid": 0.0,
        "recall": 1.0,
    }
    assert found["frechet"] > floors({}, digits, "test", ["frechet"], extractor=look)["frechet"] > 0
    assert floors({}, digits, "test", ["frechet"]) == {}, "without features nothing is known"


def test_a_family_says_floors_of_its_own(digits: Splits) -> None:
    assert floors({"roughness": "one"}, digits, "test", ["roughness", "smoothness"]) == {"roughness": 1.0}
    assert floors({}, digits, "test", ["negative_elbo"]) == {}, "of Gaussian nats nobody knows any"
    own = {"negative_elbo": "pixel entropy"}
    assert floors(own, digits, "valid", ["negative_elbo"])["negative_elbo"] == pixel_entropy(digits.valid)


@pytest.mark.parametrize(("family", "more"), [("vae", 'likelihood = "bernoulli"'), ("ae", "")])
def test_the_dense_run_stores_them_and_no_other(tmp_path: Path, family: str, more: str) -> None:
    path = tmp_path / "floors.toml"
    path.write_text(RECIPE.format(family=family, more=more, frechet="false"))
    recipe: Recipe = load_recipe(path)
    find(recipe, tmp_path / "run", HERE)
    dense, pruned = read_results(tmp_path / "run")
    assert pruned.floors == {}
    figure = "negative_elbo" if family == "vae" else "reconstruction"
    assert dense.floors.keys() == {"valid", "test"}
    assert dense.test[figure] > dense.floors["test"][figure] >= 0
    stored = tmp_path / "run" / "seed-0" / "ticket" / "round-00" / "result.json"
    assert read_result(stored).floors == dense.floors
    assert '"floors"' not in pruned.to_json()
    assert parse_result(pruned.to_json(), stored).floors == {}
