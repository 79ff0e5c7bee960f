"""Test images as a sample: what a run stores of single images, and what verdicts make of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import HERE
from safetensors.numpy import load_file
from scipy import stats
from test_recomputed_verdicts import grown_run
from test_verdict import make_run, recipe

from gentickets.analysis.judge import judge_run
from gentickets.analysis.run import read_run
from gentickets.errors import Status, TicketError
from gentickets.experiment.run import find
from gentickets.files.single_images import read_single_images
from gentickets.recipe import Recipe, parse_recipe
from gentickets.recipe.asked import complete
from gentickets.report.pages.verdict_files import write_verdict
from gentickets.report.tables.verdict import verdict_table
from gentickets.results import read_result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.tensorfile import pack

TINY = """\
[task]
family = "vae"
likelihood = "bernoulli"
width = 8
latent = 2

[data]
name = "digits"

[train]
steps = 6

[search]
rounds = 1
keep = 0.5
seeds = 1
budget = false

[quality]
frechet = false
checkpoints = 2

[claim]
metric = "negative_elbo"
unit = "share"
level = 0.5
controls = ["reinit"]
"""
IMAGES = 60


def tiny(*overrides: str) -> Recipe:
    return parse_recipe(TINY, name="tiny", overrides=overrides)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one seed that was trained."""
    path = tmp_path_factory.mktemp("runs") / "run"
    find(tiny(), path, HERE)
    return path


def with_images(path: Path, scatter: float, per_arm: float = 0.0, sample: bool = True) -> Path:
    """Give every result of a made-up run the values of single images: they average to its value on test."""
    common = np.random.default_rng(1).normal(size=IMAGES)
    for file in sorted(path.glob("seed-*/*/round-*/result.json")):
        result = read_result(file)
        if "negative_elbo" not in result.test:
            continue
        own = np.random.default_rng([*result.arm.encode(), result.round]).normal(size=IMAGES)
        each = np.random.default_rng([*result.arm.encode(), result.round, result.seed]).normal(size=IMAGES)
        values = scatter * common + per_arm * (own + 0.3 * each)
        values += result.test["negative_elbo"] - values.mean()
        packed = pack("images", {"negative_elbo": torch.tensor(values, dtype=torch.float32)}, {"split": "test"})
        file.with_name("images.safetensors").write_bytes(packed)
        digest = json.loads(_metadata(packed))["sha256"]
        file.write_text(replace(result, images=digest).to_json())
    return path


def _metadata(packed: bytes) -> str:
    size = int.from_bytes(packed[:8], "little")
    return str(json.loads(packed[8 : 8 + size])["__metadata__"]["gentickets"])


def test_every_training_stores_the_metric_of_single_images(stored: Path) -> None:
    results = read_results(stored)
    assert len(results) == 2
    for one in results:
        assert one.folder is not None
        values = load_file(one.folder / "images.safetensors")["negative_elbo"]
        assert values.shape == (500,)
        assert values.mean(dtype=float) == pytest.approx(one.test["negative_elbo"], rel=1e-6)
        assert values.std() > 0.1, "each image has its own"
        assert (read_single_images(one.folder / "images.safetensors", "negative_elbo") == values).all()


def test_runs_without_such_a_metric_store_nothing(tmp_path: Path) -> None:
    text = TINY[: TINY.index("[claim]")]
    find(parse_recipe(text, name="tiny"), tmp_path / "run", HERE)
    assert list((tmp_path / "run").rglob("images.safetensors")) == []
    assert "images" not in json.loads(next((tmp_path / "run").rglob("result.json")).read_text())


def test_damage_is_found(stored: Path, tmp_path: Path) -> None:
    path = shutil.copytree(stored, tmp_path / "run")
    file = next(path.rglob("images.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(TicketError, match="does not match its SHA-256") as caught:
        read_single_images(file, "negative_elbo")
    assert caught.value.status == Status.TICKET
    with pytest.raises(TicketError, match="SHA-256"):
        read_run(path)
    file.write_bytes(pack("images", {"negative_elbo": torch.zeros(3)}, {"split": "test"}))
    with pytest.raises(TicketError, match="does not belong there"):
        read_run(path)
    file.unlink()
    with pytest.raises(TicketError, match=r"images\.safetensors is gone"):
        read_run(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged, cut short, or no safetensors file"),
        (pack("ticket", {"negative_elbo": torch.zeros(3)}, {}), "does not match"),
        (pack("images", {"other": torch.zeros(3)}, {}), "does not hold one number for each test image"),
        (pack("images", {"negative_elbo": torch.zeros(3, 2)}, {}), "does not hold one number for each test image"),
        (pack("images", {"negative_elbo": torch.full((3,), torch.inf)}, {}), "does not hold one number"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "images.safetensors"
    file.write_bytes(content)
    with pytest.raises(TicketError, match=said):
        read_single_images(file, "negative_elbo")


def made(path: Path, images: str, scatter: float, per_arm: float, seeds: int = 5) -> Path:
    of = complete(recipe(seeds, claim__images=images))
    return with_images(make_run(path, of), scatter, per_arm)


def test_where_images_scatter_alike_in_all_arms_the_verdict_is_that_of_seeds(tmp_path: Path) -> None:
    judged = judge_run(made(tmp_path / "run", "sample", 5.0, 0.0))
    assert judged.word == "WINS"
    assert not any("images = 'sample'" in note for note in judged.notes)


def test_where_images_scatter_more_than_seeds_they_decide(tmp_path: Path) -> None:
    """A scatter of 10 over 60 images is an error of 1.9 between two arms, where margin and lead are 0.9 and 0.2."""
    judged = judge_run(made(tmp_path / "sample", "sample", 5.0, 10.0))
    assert judged.word in ("UNDECIDED", "MATCHES DENSE")
    fixed = judge_run(made(tmp_path / "fixed", "fixed", 5.0, 10.0))
    assert fixed.word == "WINS", "about these images"
    told = [note for note in fixed.notes if "images = 'sample'" in note]
    assert len(told) == 1
    assert told[0].endswith(f"it would be {judged.word}.")


def recomputed(path: Path, arm: str, seeds: int) -> tuple[float, float, float]:
    """Mean and standard errors, over seeds and images, of ticket less dense less the margin, from the files alone."""
    values = np.stack([
        load_file(path / f"seed-{seed}/{arm}/images.safetensors")["negative_elbo"].astype(float)
        - 1.05 * load_file(path / f"seed-{seed}/ticket/round-00/images.safetensors")["negative_elbo"]
        + 0.05 * 85.94
        for seed in range(seeds)
    ])  # fmt: skip
    of_seeds, of_images = values.mean(1), values.mean(0)
    return (
        float(of_seeds.mean()), float(of_seeds.std(ddof=1) / np.sqrt(seeds)),
        float(of_images.std(ddof=1) / np.sqrt(IMAGES)),
    )  # fmt: skip


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("images", ["sample", "fixed"])
def test_both_errors_stand_in_the_record_and_one_decides(tmp_path: Path, images: str, grown: bool) -> None:
    """`verdict.json` against the files of single images, with NumPy and SciPy alone."""
    if grown:
        path = with_images(grown_run(tmp_path / "run", 5, {}, claim__images=images), 5.0, 1.0)
    else:
        path = made(tmp_path / "run", images, 5.0, 1.0)
    write_verdict(judge_run(path), path)
    told: dict[str, Any] = json.loads((path / "verdict.json").read_text())
    level = next(one for one in told["levels"] if one["declared"])
    dense = level["short"]["against"]
    for place, analysis in enumerate(dense["analyses"]):
        mean, se, over_images = recomputed(path, "ticket/round-05", 5 * 2**place)
        assert analysis["mean"] == pytest.approx(mean, abs=1e-5)
        assert analysis["se"] == pytest.approx(se, rel=1e-4)
        assert analysis["images"] == pytest.approx(over_images, rel=1e-4)
        size = dense["good"]["nominal"][place]
        width = stats.t.isf(size, 5 * 2**place - 1) * se
        if images == "sample":
            width = float(np.hypot(width, stats.norm.isf(size) * over_images))
            assert size == pytest.approx(dense["good"]["size"] / 2, rel=1e-6), "images do not grow: Bonferroni"
        shown = dense["good"]["p"][place] <= size
        assert shown == (mean + width <= 0)
        if place == dense["good"].get("analysis", place):
            assert dense["good"]["limit"] <= level["short"]["margin"] + mean + width + 1e-4
    assert dense["images"] == dense["analyses"][-1]["images"]


def test_the_table_has_both_errors(tmp_path: Path) -> None:
    table = verdict_table(judge_run(made(tmp_path / "run", "fixed", 5.0, 1.0)))
    place = list(table.columns).index("SE over images")
    assert table.columns[place - 1] == "SE over seeds"
    assert float(table.rows[1][place]) > float(table.rows[1][place - 1]) > 0
    bare = verdict_table(judge_run(make_run(tmp_path / "bare", complete(recipe(5)))))
    assert "SE over images" not in bare.columns


def test_a_run_of_an_earlier_version_opens_and_says_what_to_do(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5, claim__images="sample")))
    judged = judge_run(path)
    assert judged.word == "UNDECIDED"
    assert "the metric of single test images is not stored for ticket, dense" in judged.sentence
    assert "Start a new run of the recipe, or declare images = 'fixed'." in judged.sentence


def test_one_arm_of_an_earlier_version_leaves_it_open(tmp_path: Path) -> None:
    path = made(tmp_path / "run", "sample", 5.0, 0.0)
    for file in path.glob("seed-*/shuffle/round-05/result.json"):
        file.write_text(replace(read_result(file), images=None).to_json())
    judged = judge_run(path)
    assert judged.word == "UNDECIDED"
    assert "not stored for shuffled mask: an" in judged.sentence


def test_the_next_analysis_is_predicted(tmp_path: Path) -> None:
    """The more images scatter, the less likely is a deep verdict at the next analysis."""
    chances = []
    for scatter in (0.0, 5.0, 15.0):
        path = made(tmp_path / f"{scatter}", "sample", 5.0, scatter)
        judged = judge_run(path)
        if judged.more is not None and judged.more.decided:
            chances.append(1.0)
            continue
        assert judged.more is not None
        told = dict(judged.more.chances)[10]
        chances.append(told["WINS"])
        assert sum(told.values()) == pytest.approx(1.0)
    assert chances[0] > chances[1] + 0.05 or chances[1] > chances[2] + 0.05
    assert chances == sorted(chances, reverse=True)


def test_a_run_that_grows_keeps_its_results(stored: Path) -> None:
    assert RunFolder(stored).round(0, "ticket", 1).images.is_file()
