"""What is looked at beside a verdict's tests: paths, latents, nearest training images, classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import make_task, make_training, recipe_text
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from gentickets.analysis.stability import connected_from
from gentickets.data import Batches, Images, Splits
from gentickets.errors import Status, TicketError
from gentickets.experiment import interpolation as paths_module
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.diagnostics import diagnose
from gentickets.experiment.interpolation import POSITIONS, barrier, interpolate, set_between
from gentickets.experiment.options import Options
from gentickets.experiment.plan import Unit
from gentickets.experiment.run import find
from gentickets.quality import averages, extractor, frechet
from gentickets.quality import nearest as nearest_module
from gentickets.quality.classifier import shares
from gentickets.quality.latents import Latents, active_latents
from gentickets.quality.nearest import distances, nearest
from gentickets.recipe import load_recipe
from gentickets.results import Result
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket, write_snapshot, write_ticket
from gentickets.search import first_ticket
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, copied, state_of
from gentickets.training import train

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

RECIPE = recipe_text(
    task={"width": 12, "depth": 1, "latent": 3, "likelihood": "bernoulli"},
    data={"batch_size": 32},
    train={"steps": 12, "lr": 0.002, "ema": {"encoder": 0.5, "decoder": 0.5}},
    search={
        "rounds": 2,
        "keep": 0.6,
        "rewind_to": 3,
        "scaling": "off",
        "controls": ["reinit", "shuffle", "narrow"],
        "control_rounds": [2],
    },
    quality=None,
    claim={"metric": "negative_elbo", "level": 0.64},
)
OTHER = """
[task]
family = "{family}"
width = 8
[data]
name = "digits"
batch_size = 32
[train]
steps = 4
[search]
rounds = 1
seeds = 1
budget = false
[claim]
metric = "{metric}"
level = 0.2
"""


@dataclass
class Run:
    """A run whose networks are looked at."""

    folder: RunFolder
    assembly: Assembly
    found: dict[str, Any] = field(default_factory=dict)

    def look(self, round: int, needs: Sequence[tuple[int, str, int]] = ()) -> dict[str, Any]:
        return diagnose(self.assembly, self.folder, Unit(0, "beside", round, 0, 0, tuple(needs)))


def made(text: str, out: Path) -> Run:
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.with_suffix(".toml")
    file.write_text(text)
    recipe = load_recipe(str(file))
    find(recipe, out, Options(jobs=0, device="cpu"))
    return Run(RunFolder(out), Assembly(recipe, root=Path("data")))


def fork(run: Run, arm: str, step: int, order: int, round: int = 2) -> None:
    """Train the ticket's mask from a step of the dense run, as the arms of that name do."""
    steps = run.assembly.recipe.train.steps
    mask = read_ticket(run.folder.round(0, "ticket", round).ticket)[0].mask
    training = run.assembly.training(run.assembly.task(0), steps)
    ticket = replace(first_ticket(training, run.assembly.batches(0), rewind_to=step), mask=mask)
    training.start(ticket)
    train(training, run.assembly.batches(order), range(step, steps), mask=mask, seed=order)
    folder = run.folder.round(0, arm, round)
    folder.path.mkdir(parents=True)
    write_ticket(folder.ticket, ticket, {**run.assembly.recipe.stored, "image": [1, 8, 8]})
    write_snapshot(folder.trained, training.snapshot(steps))
    folder.result.write_text(Result(arm, 0, round, 0.64, steps, steps - step, "last").to_json())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = made(RECIPE, tmp_path_factory.mktemp("beside") / "vae")
    other = derive(0, "fork")
    for arm, step, order in (("fork-3-other", 3, other), ("fork-6", 6, 0), ("fork-6-other", 6, other)):
        fork(run, arm, step, order)
    run.found = run.look(2)
    return run


class Known(Task):
    """One weight (or several), and a figure that is a known function of it."""

    def __init__(self, weights: Sequence[float], figure: Any) -> None:
        super().__init__()
        self.image, self._figure = (1, 8, 8), figure
        self.part = nn.ParameterList([nn.Parameter(torch.tensor(float(value))) for value in weights])

    def figures(self, batch: Tensor, draw: Any) -> dict[str, Tensor]:
        value = self._figure(*self.part)
        return {"reconstruction": value.expand(len(batch)), "recall": value.expand(len(batch))}


def path_of(task: Task, one: Snapshot, other: Snapshot, images: Images, metric: str = "reconstruction") -> Any:
    """`interpolate` with the task's own averages in place of an examiner's figures."""
    examiner: Any = SimpleNamespace(
        training=SimpleNamespace(task=task),
        batches=Batches(images, 32, seed=0),
        figures=lambda task, split, only_metric: SimpleNamespace(figures=averages(task, images, seed=0)),
    )
    return interpolate(examiner, one, other, metric)


def between(one: Sequence[float], other: Sequence[float], figure: Any, images: Images, **how: str) -> Any:
    ends = [Snapshot(0, copied(state_of(Known(weights, figure)))) for weights in (one, other)]
    return path_of(Known(one, figure), *ends, images, **how)


@pytest.fixture(scope="module")
def few(digits: Splits) -> Images:
    return Images(digits.train.source[:256])


def test_equal_ends_have_no_barrier(few: Images) -> None:
    found = between([1.3], [1.3], lambda w: w**4 + 0.1, few)
    assert len(set(found["values"])) == 1
    assert (found["barrier"], found["relative"]) == (0, 0)
    assert found["places"] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_hill_between_two_valleys_is_a_barrier_of_its_height(few: Images) -> None:
    found = between([-1], [1], lambda w: (w**2 - 1) ** 2 + 4, few)
    expected = [((2 * place - 1) ** 2 - 1) ** 2 + 4 for place in POSITIONS]
    assert found["values"] == pytest.approx(expected, rel=1e-6)
    assert found["barrier"] == pytest.approx(1)
    assert found["relative"] == pytest.approx(1 / 4)


def test_ends_that_are_permutations_of_one_another_have_a_barrier_and_the_same_worth(few: Images) -> None:
    """Two hidden units, a relu(b x) each: swapped, the network is the same, and half way all weights are 0."""

    def network(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        return (c * torch.relu(a) + d * torch.relu(b) - 1) ** 2 + 2

    found = between([1, -1, 1, -1], [-1, 1, -1, 1], network, few)
    assert found["values"][0] == found["values"][-1] == 2
    assert found["values"][5] == 3
    assert found["barrier"] == 1


def test_a_bowl_has_no_barrier_though_its_ends_differ(few: Images) -> None:
    found = between([-1], [2], lambda w: w**2 + 1, few)
    assert found["values"][0] == pytest.approx(2)
    assert found["values"][-1] == pytest.approx(5)
    assert found["barrier"] == 0


def test_of_a_figure_of_which_more_is_better_a_dip_is_the_barrier(few: Images) -> None:
    def dip(w: Tensor) -> Tensor:
        return 2 - (1 - w**2)

    assert between([-1], [1], dip, few, metric="recall")["barrier"] == pytest.approx(1)
    assert between([-1], [1], dip, few)["barrier"] == 0
    assert barrier([0.5, 0.1, 0.3], "recall") == pytest.approx({"barrier": 0.3, "relative": 0.75})


def test_a_barrier_is_the_excess_over_the_line_relative_to_the_size_of_the_mean() -> None:
    assert barrier([2.0, 5.0, 4.0], "reconstruction") == pytest.approx({"barrier": 2, "relative": 2 / 3})
    assert barrier([2.0, 3.0, 4.0], "reconstruction") == {"barrier": 0, "relative": 0}
    assert barrier([-4.0, -1.0, -2.0], "reconstruction") == pytest.approx({"barrier": 2, "relative": 2 / 3})
    assert barrier([-1.0, 1.0, 1.0], "reconstruction") == {"barrier": 1, "relative": None}


def test_a_place_that_is_not_finite_leaves_no_barrier_to_tell(few: Images) -> None:
    found = between([-1], [1], lambda w: 1 + (w.abs() < 0.5) * torch.inf if w.abs() < 0.5 else w**2, few)
    assert found["values"][5] is None
    assert found["values"][0] == 1
    assert (found["barrier"], found["relative"]) == (None, None)
    assert connected_from([{"step": 0, "relative": 0.0}, {"step": 5, "relative": None}]) is None


def test_a_figure_that_is_not_taken_is_told_by_name(few: Images) -> None:
    with pytest.raises(TicketError, match="'frechet' is not among the metrics: reconstruction, recall"):
        between([1], [2], lambda w: w, few, metric="frechet")


def test_norm_statistics_are_estimated_at_every_place_the_ends_too(
    few: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ends of the same weights and other running statistics are one network; without the estimate they are not."""
    task = make_task("vae-conv")
    one = Snapshot(0, copied(state_of(task)))
    moved = {name: value + 1 if "running_mean" in name else value for name, value in one.weights.items()}
    other = replace(one, weights=moved)
    values = path_of(task, one, other, few, "negative_elbo")["values"]
    assert len(set(values)) == 1
    monkeypatch.setattr(paths_module, "estimate_norms", lambda *_: None)
    assert len(set(path_of(task, one, other, few, "negative_elbo")["values"])) > 5


def test_a_decoders_statistics_are_those_of_what_the_encoder_gives_by_then(few: Images) -> None:
    """Whatever statistics the encoder had before: it is estimated first."""
    task = make_task("vae-resnet18")
    found = []
    for shift in (0.0, 3.0):
        weights = copied(state_of(task))
        weights = {n: v + shift if "running_mean" in n and "encoder" in n else v for n, v in weights.items()}
        set_between(SimpleNamespace(training=SimpleNamespace(task=task)), weights, weights, 0.5, [few.all()])  # type: ignore[arg-type]
        found.append(copied(state_of(task)))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_spectral_norms_hold_between_the_ends() -> None:
    """Raw weights are what is interpolated; sigma is 1 at every place, as it is for a trained network."""
    ends = [copied(state_of(make_task("gan-sngan", seed))) for seed in (0, 1)]
    task = make_task("gan-sngan")
    set_between(SimpleNamespace(training=SimpleNamespace(task=task)), *ends, 0.5, [])  # type: ignore[arg-type]
    task.eval()
    layers = [layer for layer in task.discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert layers
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    name = next(name for name in ends[0] if name.endswith("original"))
    torch.testing.assert_close(task.state_dict()[name], (ends[0][name] + ends[1][name]) / 2)


def test_pruned_weights_stay_zero_along_a_path(run: Run) -> None:
    ends = [run.folder.round(0, arm, 2) for arm in ("fork-6", "fork-6-other")]
    mask = read_ticket(ends[0].ticket)[0].mask
    states = [dict(read_snapshot(end.trained)[0].weights) for end in ends]
    task = run.assembly.task(0)
    for place in (0.0, 0.3, 1.0):
        set_between(SimpleNamespace(training=SimpleNamespace(task=task)), *states, place, [])  # type: ignore[arg-type]
        for name, kept in mask.items():
            assert not task.state_dict()[name][~kept].any()
    assert all(torch.equal(task.state_dict()[name], value) for name, value in states[1].items())


def test_a_path_begins_at_the_network_that_was_evaluated(run: Run) -> None:
    """With its averaged weights: the networks here have no norms, so the figure is the result's own."""
    steps = {path["step"]: path for path in run.found["paths"]}
    assert list(steps) == [3, 6]
    result = run.folder.round(0, "ticket", 2).read_result()
    assert result is not None
    assert steps[3]["values"][0] == pytest.approx(result.valid["negative_elbo"], rel=1e-9)
    assert steps[3]["values"][-1] != steps[3]["values"][0]
    assert all(path["metric"] == "negative_elbo" and len(path["values"]) == 11 for path in steps.values())


def test_every_arm_is_looked_at_with_all_that_it_has(run: Run) -> None:
    found = run.found
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["arms"]) == ["dense", "ticket", "narrow", "reinit", "shuffle"]
    assert found["skipped"] == {}
    for arm in found["arms"].values():
        assert set(arm) == {"latents", "classes", "nearest"}
        assert arm["latents"]["of"] == 3
        assert len(arm["classes"]) == 10
        assert sum(arm["classes"]) == pytest.approx(1)
        assert arm["nearest"]["test"] == found["arms"]["dense"]["nearest"]["test"]
    assert len({str(arm) for arm in found["arms"].values()}) == 5, "no two arms are the same network"
    assert sum(found["classes"]) == pytest.approx(1)
    assert all(0.05 < share < 0.15 for share in found["classes"]), "digits have ten classes of about one size"


def test_the_samples_are_those_of_the_evaluation(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from gentickets.experiment import diagnostics as beside

    seen = []
    monkeypatch.setattr(beside, "distances", lambda images, train: seen.append(images) or distances(images, train))
    run.look(2, [(0, "ticket", 2)])
    own, splits = run.assembly.own_features(run.folder.path), run.assembly.splits
    result = run.folder.round(0, "ticket", 2).read_result()
    assert result is not None
    samples = seen[2]  # after the dense run's, and the test images
    value = frechet(own.features(samples), own.features(splits.test.all()))
    assert value == pytest.approx(result.test["frechet"], rel=1e-6)


def test_what_is_not_there_is_named_and_no_error(run: Run, tmp_path: Path) -> None:
    wanted = [(0, arm, 2) for arm in ("reinit", "random-erk", "fork-6", "fork-6-other", "fork-9-other")]
    folder = run.folder.round(0, "random-erk", 2)
    folder.path.mkdir(parents=True, exist_ok=True)
    failed = Result("random-erk", 0, 2, 0.64, 12, 9, "last", status="diverged", why="a loss is not finite")
    folder.result.write_text(failed.to_json())
    gone = run.folder.round(0, "reinit", 2).trained
    kept = gone.rename(tmp_path / "kept")
    try:
        found = run.look(2, wanted)
    finally:
        kept.rename(gone)
        folder.result.unlink()
        folder.path.rmdir()
        folder.path.parent.rmdir()
    assert list(found["arms"]) == ["dense", "ticket"]
    assert [path["step"] for path in found["paths"]] == [6]
    assert found["skipped"] == {
        "reinit": "reinit has no trained network any more: trained.safetensors is gone",
        "random-erk": "random-erk has no trained network: diverged, a loss is not finite",
        "fork-9-other": "fork-9 is not done",
    }


def test_a_path_between_different_masks_is_refused(run: Run, tmp_path: Path) -> None:
    end = run.folder.round(0, "fork-6", 2).ticket
    kept = end.read_bytes()
    end.write_bytes(run.folder.round(0, "shuffle", 2).ticket.read_bytes())
    try:
        found = run.look(2, [(0, "fork-6", 2), (0, "fork-6-other", 2)])
    finally:
        end.write_bytes(kept)
    assert "different masks" in found["skipped"]["fork-6-other"]
    assert found["paths"] == []


@pytest.mark.parametrize(
    ("family", "metric", "keys"),
    [("ae", "reconstruction", set()), ("gan", "frechet", {"classes", "nearest"})],
)
def test_what_means_nothing_is_left_out(family: str, metric: str, keys: set[str], tmp_path: Path) -> None:
    """An autoencoder has no prior and no posterior, a GAN no encoder."""
    run = made(OTHER.format(family=family, metric=metric), tmp_path / family)
    fork(run, "fork-0-other", 0, 7, round=1)
    found = run.look(1)
    assert set(found["arms"]) == {"dense", "ticket"}
    assert all(set(arm) == keys for arm in found["arms"].values())
    assert found["skipped"] == {}
    assert found["paths"][0]["metric"] == metric


class Posterior(Task):
    """Three latents: one follows the first pixel, one that pixel scaled down, one is always 5."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.encoder = scale, nn.Linear(1, 1)

    def posterior(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        pixel = batch[:, 0, 0, :1]
        mean = torch.cat([pixel, self.scale * pixel, 0 * pixel + 5], dim=1)
        return mean, torch.full_like(mean, 3.0)  # what the posterior's own variance is says nothing


def test_latents_are_active_whose_posterior_mean_varies_by_more_than_a_hundredth() -> None:
    pixels = torch.zeros(600, 1, 1, 1, dtype=torch.uint8)
    pixels[::2] = 255
    images = Images(pixels)  # -1 and 1 in equal parts: a variance of 600 / 599
    assert active_latents(Posterior(0.101), images) == Latents(2, 3)
    assert active_latents(Posterior(0.0995), images) == Latents(1, 3)
    assert active_latents(make_task("gan-mlp"), images) is None
    assert active_latents(make_task("ae-mlp"), images) is None


def test_latents_that_are_not_finite_have_diverged(few: Images) -> None:
    with pytest.raises(TicketError, match="posterior means are not finite") as error:
        active_latents(Posterior(float("nan")), few)
    assert error.value.status == Status.DIVERGED


def test_a_vae_gives_its_posterior_to_be_looked_at(images: Images) -> None:
    training = make_training("vae-conv")
    before = copied(state_of(training.task))
    found = active_latents(training.task, images)
    assert found is not None
    assert found.of == 4
    assert all(torch.equal(value, before[name]) for name, value in state_of(training.task).items())


def test_distances_to_the_nearest_training_image_are_those_of_brute_force(
    digits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = digits.test.batch(torch.arange(40)) * 0.7 + 0.1
    known = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(digits.train.all().flatten(1).double().numpy())
    expected = known.kneighbors(images.flatten(1).double().numpy())[0][:, 0]
    assert distances(images, digits.train).numpy() == pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr(nearest_module, "CELLS", 64 * 7)  # blocks of seven training images
    assert distances(images, digits.train).numpy() == pytest.approx(expected, rel=1e-6)


def test_training_images_are_copies_and_test_images_are_not(digits: Splits) -> None:
    test = distances(digits.test.all(), digits.train)
    own = distances(digits.train.batch(torch.arange(100)), digits.train)
    assert float(own.max()) == 0, "a copy is at no distance, not at one of rounding"
    assert nearest(own, test).copies == 1
    real = nearest(test, test)
    assert real.copies == pytest.approx(0.01, abs=0.002)
    assert real.samples == real.test == pytest.approx(float(test.mean()))
    noise = torch.rand(50, *digits.image, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert nearest(distances(noise, digits.train), test).copies == 0


def test_images_that_cannot_be_compared_are_refused(digits: Splits) -> None:
    with pytest.raises(TicketError, match=r"shape \(1, 4, 4\), the training images \(1, 8, 8\)"):
        distances(torch.zeros(2, 1, 4, 4), digits.train)
    with pytest.raises(TicketError, match="not finite") as error:
        distances(torch.full((2, 1, 8, 8), torch.nan), digits.train)
    assert error.value.status == Status.DIVERGED


def test_a_histogram_of_classes_has_a_share_for_every_class(digits: Splits) -> None:
    assert shares(torch.tensor([0, 0, 3, 1]), 5) == [0.5, 0.25, 0, 0.25, 0]
    classes = extractor(digits).classes(digits.test.all())
    assert classes is not None
    assert sum(shares(classes, 10)) == pytest.approx(1)


def test_the_earliest_step_is_that_from_which_on_all_are_connected() -> None:
    def paths(**relative: float | None) -> list[dict[str, Any]]:
        return [{"step": int(step.removeprefix("k")), "relative": value} for step, value in relative.items()]

    assert connected_from(paths(k0=0.3, k10=0.01, k50=0.005)) == 10
    assert connected_from(paths(k50=0.005, k10=0.01, k0=0.0)) == 0
    assert connected_from(paths(k0=0.01, k10=0.05, k50=0.005)) == 50, "what comes before a barrier does not count"
    assert connected_from(paths(k0=0.01, k50=0.02)) is None, "below, not at the threshold"
    assert connected_from(paths(k0=0.01, k50=0.02), threshold=0.03) == 0
    assert connected_from([]) is None
    both = [*paths(k10=0.01), *paths(k10=0.5), *paths(k50=0.0)]
    assert connected_from(both) == connected_from(both[::-1]) == 50, "every seed must be connected"
