"""Quality: figures, Frechet distance, features, collapse, evaluation, pictures."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from torch import Tensor, nn

from gentickets import tensorfile
from gentickets.data import Images, Splits
from gentickets.errors import Status, TicketError
from gentickets.metrics import COMPARED
from gentickets.quality import (
    Extractor,
    OwnFeatures,
    averages,
    evaluate,
    extractor,
    frechet,
    grid_png,
    kid,
    neighbours,
    reconstruction_grid,
    sample_grid,
)
from gentickets.quality import features as features_module
from gentickets.quality.classifier import architecture_for, build
from gentickets.quality.collapse import collapsed, missing_classes, spread
from gentickets.quality.evaluate import drawn
from gentickets.quality.features import FILE, Facts, cache_folder, parse_extractor
from gentickets.quality.frechet import distance, fit
from gentickets.quality.reference import reference
from gentickets.seeds import derive
from gentickets.tasks import GAN, VAE, Autoencoder, Draw, Task
from gentickets.untouched import untouched


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of our own, so that no test reads or writes the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENTICKETS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def found(digits: Splits) -> Extractor:
    return extractor(digits)


@pytest.fixture(scope="module")
def real(digits: Splits, found: Extractor) -> Tensor:
    return found.features(digits.test.all())


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed))


def images(n: int, side: int = 4, seed: int = 0) -> Images:
    return Images(torch.randint(0, 256, (n, 1, side, side), generator=rng(seed), dtype=torch.uint8))


class Toy(Task):
    """A task whose figures are known by hand, with a batch norm, a frozen part and bad habits."""

    def __init__(self) -> None:
        super().__init__()
        self.image = (1, 4, 4)
        self.body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5))
        self.habit = nn.Linear(1, 1)
        self.register_buffer("calls", torch.zeros(()))

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        return Draw(noise=torch.randn(n, generator=rng))

    def figures(self, batch: Tensor, draw: Draw) -> dict[str, Tensor]:
        self.calls = self.calls + 1  # a new tensor in the buffer's place
        self.body(batch)
        assert not torch.is_grad_enabled()
        brightness = batch.flatten(1).mean(1)
        return {"brightness": brightness, "noisy": brightness + draw["noise"]}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        self.calls += 1
        shift = torch.randn(())  # from the global state, as a user's module might
        return self.body(torch.randn(n, 1, 4, 4, generator=rng) + shift).reshape(n, 1, 4, 4)


def state(task: nn.Module) -> tuple[object, ...]:
    buffers = {name: value.clone().tolist() for name, value in task.named_buffers()}
    return [part.training for part in task.modules()], buffers, torch.get_rng_state().tolist()


# -- averages -----------------------------------------------------------------------------------------------


def test_averages_are_the_mean_over_all_images() -> None:
    data = images(300)
    expected = data.all().double().flatten(1).mean(1).mean()
    assert averages(Toy(), data, seed=0)["brightness"] == pytest.approx(float(expected), abs=1e-7)


@pytest.mark.parametrize("chunk", [1, 7, 256, 1000])
def test_averages_do_not_depend_on_the_chunk_size(chunk: int) -> None:
    data = images(300, side=8)
    task = VAE((1, 8, 8), width=8, depth=1, latent=2)
    whole = averages(task, data, seed=3)
    assert set(whole) == {"negative_elbo", "reconstruction", "kl"}
    assert averages(task, data, seed=3, chunk=chunk) == pytest.approx(whole, rel=1e-6)


def test_averages_give_every_arm_the_same_noise_and_other_seeds_other_noise() -> None:
    one, other = averages(Toy(), images(300), seed=1), averages(Toy(), images(300), seed=1)
    assert one == other
    assert averages(Toy(), images(300), seed=2)["noisy"] != one["noisy"]
    assert averages(Toy(), images(300), seed=2)["brightness"] == one["brightness"]


def test_averages_of_a_diverged_network_name_the_figure() -> None:
    task = VAE((1, 8, 8), width=8, depth=1, latent=2)
    with torch.no_grad():
        next(task.decoder.parameters()).fill_(torch.nan)
    with pytest.raises(TicketError, match="'negative_elbo' is not finite") as caught:
        averages(task, images(10, side=8), seed=0)
    assert caught.value.status is Status.DIVERGED


def test_averages_refuse_a_figure_that_is_not_one_number_per_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "figures", lambda self, batch, draw: {"loss": batch.mean()})
    with pytest.raises(TicketError, match=r"'loss' has shape \(\); it must be one number per image, \(5,\)"):
        averages(Toy(), images(5), seed=0)
    with pytest.raises(TicketError, match="chunk"):
        averages(Toy(), images(5), seed=0, chunk=0)


# -- nothing is touched -------------------------------------------------------------------------------------


def test_looking_changes_no_mode_buffer_or_global_state() -> None:
    task = Toy().train()
    task.body[1].eval()  # a frozen batch norm inside a network in training
    torch.manual_seed(5)
    before, buffer = state(task), task.calls
    averages(task, images(20), seed=0)
    drawn(task, 20, 0, (1, 4, 4))
    sample_grid(task, 0)
    assert state(task) == before
    assert task.calls is buffer


def test_looking_puts_everything_back_after_an_error() -> None:
    task = Toy().train()
    before = state(task)

    def look_and_fail() -> None:
        with untouched(task, 0):
            assert not any(part.training for part in task.modules())
            task.body[1].running_mean += 1
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        look_and_fail()
    assert state(task) == before


def test_a_task_that_draws_from_the_global_state_still_gives_the_same_samples() -> None:
    task = Toy()
    torch.manual_seed(1)
    first = drawn(task, 10, 0, (1, 4, 4))
    torch.manual_seed(2)
    assert torch.equal(drawn(task, 10, 0, (1, 4, 4)), first)


# -- Frechet distance ---------------------------------------------------------------------------------------


def test_frechet_by_hand() -> None:
    one, other = torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [7.0]])
    # means 0 and 4, variances 2 and 18 (n - 1): 16 + (sqrt 2 - sqrt 18)^2 = 16 + 8
    assert frechet(one, other) == pytest.approx(24.0, abs=1e-9)
    assert frechet(other, one) == pytest.approx(24.0, abs=1e-9)


@pytest.mark.parametrize("n", [30, 200])  # 30 < 64: singular covariances
def test_frechet_equals_torchmetrics_and_the_formula(n: int) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    mixing = noise(64, 64, seed=1) / 8
    fake, true = (noise(n, 64, seed=2) @ mixing).double(), (noise(n, 64, seed=3) + 0.3).double()
    metric = FrechetInceptionDistance(feature=Flat()).set_dtype(torch.float64)
    metric.update(fake.reshape(n, 1, 8, 8), real=False)
    metric.update(true.reshape(n, 1, 8, 8), real=True)
    ours = frechet(fake, true)
    assert ours == pytest.approx(float(metric.compute()), rel=1e-6)
    if n > 64:
        means = [side.numpy().mean(0) for side in (fake, true)]
        covariances = [np.cov(side.numpy(), rowvar=False) for side in (fake, true)]
        cross = sqrtm(covariances[0] @ covariances[1]).real
        formula = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * cross)
        assert ours == pytest.approx(formula, rel=1e-6)


class Flat(nn.Module):
    """Features are the pixels."""

    num_features = 64

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_feature_that_is_not_finite_is_refused_before_linear_algebra(bad: float) -> None:
    good, broken = noise(20, 4), noise(20, 4)
    broken[3, 1] = bad
    for pair in ((good, broken), (broken, good)):
        for measure in (frechet, neighbours, kid):
            with pytest.raises(TicketError, match="not finite") as caught:
                measure(*pair)
            assert caught.value.status is Status.DIVERGED


def test_frechet_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(TicketError, match="at least 2 samples, not 1"):
        frechet(noise(1, 4), noise(9, 4))
    with pytest.raises(TicketError, match="4 features cannot be compared with 5"):
        frechet(noise(9, 4), noise(9, 5))
    with pytest.raises(TicketError, match=r"shape \(9,\)"):
        frechet(noise(9), noise(9, 5))


def test_frechet_knows_real_from_noise_and_ignores_the_order(digits: Splits, found: Extractor, real: Tensor) -> None:
    order = torch.randperm(len(real), generator=rng())
    halves = frechet(real[order[:250]], real[order[250:]])
    static = found.features(noise(250, *digits.image).clamp(-1, 1))
    assert halves < frechet(static, real[order[250:]]) / 10
    assert frechet(real[order], real) == pytest.approx(0, abs=1e-6)
    covariance = fit(real).covariance
    assert covariance.shape == (64, 64)
    assert covariance == pytest.approx(torch.cov(real.double().T).numpy(), abs=1e-9)


def test_the_floor_falls_with_the_number_of_samples(digits: Splits, found: Extractor) -> None:
    floors = [reference(found, digits, "test").floor(digits, n) for n in (100, 297, 500)]
    assert [one.frechet for one in floors] == sorted((one.frechet for one in floors), reverse=True)
    assert [one.of for one in floors] == ["100 valid images", "297 valid images", "500 train images"]
    assert all(abs(one.kid) < 10 for one in floors), "unbiased: about 0 at every N"
    assert reference(found, digits, "train").floor(digits, 500).of == "500 test images"


def test_real_images_are_looked_at_once(digits: Splits, found: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    known = reference(found, digits, "test")
    known.floor(digits, 500)
    monkeypatch.setattr(OwnFeatures, "look", None)
    assert reference(found, digits, "test") is known
    known.floor(digits, 500)


# -- features -----------------------------------------------------------------------------------------------


def test_the_digits_classifier_is_good_and_says_so(digits: Splits, found: Extractor) -> None:
    guesses = found.classes(digits.test.all())
    assert guesses is not None
    accuracy = float((guesses == digits.test.labels).double().mean())
    assert accuracy > 0.95
    assert found.facts.accuracy == pytest.approx(accuracy)
    assert re.fullmatch(r"digits-mlp64-[0-9a-f]{8}", found.name)
    assert f"accuracy {100 * accuracy:.1f} %" in found.described
    assert found.features(digits.test.all()).shape == (500, 64)


def test_training_the_classifier_again_gives_the_same_hash_and_touches_nothing(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path))
    threads, seen, batch = torch.get_num_threads(), set(), Images.batch

    def watched(self: Images, indices: Tensor) -> Tensor:
        seen.add(torch.get_num_threads())
        return batch(self, indices)

    monkeypatch.setattr(Images, "batch", watched)
    try:
        torch.set_num_threads(2)
        before = torch.get_rng_state()
        assert extractor(digits).hash == found.hash
        assert seen == {1}
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_parents_train_does_not_reach_the_feature_network() -> None:
    body = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 64))
    network = nn.Sequential(body, nn.Linear(64, 3))
    held = OwnFeatures(network.train(), Facts("toy", "toy", "0", (1, 4, 4), 3, None))
    batch = noise(8, 1, 4, 4)
    before = held.features(batch)
    parent = Toy()
    parent.extractor = held
    parent.train()
    assert torch.equal(held.features(batch), before)
    assert not any(part is body for part in parent.modules())
    assert float(body[1].running_mean.abs().sum()) == 0


def test_the_cache_is_used_and_the_folder_is_pinned(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "fitted", None)  # training would fail
    again = extractor(digits, tmp_path / "run")
    assert (again.hash, again.name, again.facts) == (found.hash, found.name, found.facts)
    assert (tmp_path / "run" / FILE).read_bytes() == found.to_bytes()
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path / "empty"))
    pinned = extractor(digits, tmp_path / "run")
    batch = digits.test.batch(torch.arange(9))
    assert torch.equal(pinned.features(batch), found.features(batch))
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("place", [3, 40, 0.1, 0.5, -1])
def test_a_damaged_file_is_noticed(digits: Splits, found: Extractor, tmp_path: Path, place: float) -> None:
    data = bytearray(found.to_bytes())
    data[int(place * len(data)) if isinstance(place, float) else int(place)] ^= 4
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(TicketError, match="damaged") as caught:
        extractor(digits, tmp_path)
    assert caught.value.status is Status.TICKET
    (tmp_path / FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(TicketError, match="damaged"):
        extractor(digits, tmp_path)


def test_a_damaged_cache_is_made_anew(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path))
    monkeypatch.setattr(features_module, "_made", lambda splits: found)
    extractor(digits)
    (file,) = tmp_path.glob("features-*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert extractor(digits).hash == found.hash
    assert file.read_bytes() == found.to_bytes()


def test_a_file_of_other_data_or_of_a_newer_format_is_refused(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(digits, valid=digits.test)
    (tmp_path / FILE).write_bytes(found.to_bytes())
    with pytest.raises(TicketError, match="was made for fingerprint"):
        extractor(other, tmp_path)
    monkeypatch.setattr(tensorfile, "FORMAT", 2)
    newer = found.to_bytes()
    monkeypatch.undo()
    with pytest.raises(TicketError, match="has format 2; this gentickets reads up to 1"):
        parse_extractor(newer, tmp_path / FILE, digits)


def test_of_several_processes_one_trains(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def slowly(splits: Splits) -> Extractor:
        trained.append(splits.name)
        time.sleep(0.3)
        return found

    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path))
    monkeypatch.setattr(features_module, "_made", slowly)
    # threads hold locks of their own, as processes do
    workers = [threading.Thread(target=extractor, args=(digits,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=20)
    assert trained == ["digits"]


def test_without_a_cache_folder_the_extractor_is_still_made(
    digits: Splits, found: Extractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(features_module, "_made", lambda splits: found)
    assert extractor(digits, tmp_path / "run").hash == found.hash
    with pytest.raises(TicketError, match="cannot write") as caught:
        extractor(digits, tmp_path / "file" / "run")
    assert caught.value.status is Status.STORAGE


def test_the_cache_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("GENTICKETS_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "gentickets"


def test_unlabelled_data_gets_random_features_that_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path))
    parts = {part: images(12, side=20, seed=seed) for seed, part in enumerate(("train", "valid", "test"))}
    splits = Splits("folder", **parts, classes=None, source="ours")
    plain = extractor(splits)
    assert re.fullmatch(r"random-conv64-[0-9a-f]{8}", plain.name)
    assert "random weights" in plain.described
    assert plain.classes(splits.test.all()) is None
    assert plain.features(splits.test.all()).shape == (12, 64)
    assert extractor(splits, tmp_path / "run").hash == plain.hash
    task = GAN((1, 20, 20), width=8, depth=1, latent=2)
    evaluation = evaluate(task, splits, "test", seed=0, extractor=plain)
    assert "random weights" in evaluation.provenance["frechet"]
    assert "unreliable" in evaluation.provenance["frechet"]  # 12 images, 64 features


@pytest.mark.parametrize(("shape", "name"), [((1, 16, 16), "mlp64"), ((1, 28, 28), "conv64"), ((3, 9, 33), "conv64")])
def test_networks_fit_the_image(shape: tuple[int, int, int], name: str) -> None:
    assert architecture_for(shape, 10) == name
    network = build(name, shape, 10)
    assert network[0](noise(2, *shape)).shape == (2, 64)
    assert network(noise(2, *shape)).shape == (2, 10)


def test_images_of_another_shape_are_refused(found: Extractor) -> None:
    with pytest.raises(TicketError, match=r"takes images \(1, 8, 8\), not \(1, 4, 4\)"):
        found.features(noise(2, 1, 4, 4))


# -- corruptions and collapse -------------------------------------------------------------------------------


def corruptions(real: Tensor, labels: Tensor) -> dict[str, list[Tensor]]:
    """Five strengths of each, from none to strong."""
    padded = nn.functional.pad(real, (1, 1, 1, 1), mode="replicate")
    blurred = nn.functional.avg_pool2d(padded, 3, 1)
    static, n = noise(*real.shape), torch.arange(len(real))
    junk = torch.rand(real.shape, generator=rng()) * 2 - 1
    return {
        "noise": [(real + s * static).clamp(-1, 1) for s in (0, 0.2, 0.4, 0.8, 1.6)],
        "blur": [real + s * (blurred - real) for s in (0, 0.25, 0.5, 0.75, 1)],
        "dropped classes": [real[labels >= s] for s in (0, 1, 3, 5, 8)],
        "repeats": [real[n % s] for s in (500, 200, 100, 50, 10)],
        "junk": [torch.where((n < s)[:, None, None, None], junk, real) for s in (0, 25, 75, 150, 300)],
    }


@pytest.mark.parametrize("kind", ["noise", "blur", "dropped classes", "repeats", "junk"])
def test_the_distance_ranks_corruptions_by_strength(digits: Splits, found: Extractor, real: Tensor, kind: str) -> None:
    some = torch.arange(500)
    assert digits.train.labels is not None
    strengths = corruptions(digits.train.batch(some), digits.train.labels[some])[kind]
    features = [found.features(one) for one in strengths]
    distances = [frechet(one, real) for one in features]
    covered = [neighbours(one, real)["coverage"] for one in features]
    assert distances == sorted(distances)
    assert covered == sorted(covered, reverse=True)
    assert distances[-1] > distances[0]
    assert covered[-1] < covered[0]


def test_spread_by_hand() -> None:
    # distances 3, 4, 5 of a right triangle
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])) == pytest.approx(4.0, abs=1e-6)


def test_missing_classes_by_hand() -> None:
    true = torch.arange(5).repeat(100)
    fake = torch.tensor([0] * 100 + [1] * 19 + [2] * 1 + [4] * 80)
    assert missing_classes(fake, true) == [2, 3]
    assert missing_classes(fake[:40], true) == []  # under 10 of each were expected


def test_collapse_needs_a_sign() -> None:
    fine = {"missing": [3], "classes": 10, "relative_spread": 0.9, "coverage": 0.7}
    assert collapsed(**fine) is None
    assert "2 of 10 classes are missing (1, 3)" in str(collapsed(**{**fine, "missing": [1, 3]}))
    assert "0.30 times as far apart" in str(collapsed(**{**fine, "relative_spread": 0.3}))
    assert "reach 5.0 % of the real images" in str(collapsed(**{**fine, "coverage": 0.05}))


class Canned(Task):
    """Samples are given images, over and over."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.pictures, self.image = pictures, tuple(pictures.shape[1:])
        self.generator = nn.Linear(1, 1)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.pictures[torch.randint(len(self.pictures), (n,), generator=rng)]


def test_a_collapse_that_scores_better_is_flagged(digits: Splits, found: Extractor) -> None:
    some = digits.train.all()
    assert digits.train.labels is not None
    blurred = corruptions(some, digits.train.labels)["blur"][-1]
    first = [int((digits.train.labels == label).nonzero()[0]) for label in range(8)]
    few = evaluate(Canned(some[first]), digits, "test", seed=0, extractor=found)
    all_of_them = evaluate(Canned(blurred), digits, "test", seed=0, extractor=found)
    sound = evaluate(Canned(some), digits, "test", seed=0, extractor=found)
    assert few.figures["frechet"] < all_of_them.figures["frechet"]
    assert few.figures["coverage"] < all_of_them.figures["coverage"]
    assert few.collapsed is not None
    assert "2 of 10 classes are missing (8, 9)" in few.collapsed
    assert all_of_them.collapsed is None
    assert sound.collapsed is None


def test_one_image_for_ever_shows_every_sign_of_collapse(digits: Splits, found: Extractor) -> None:
    one = evaluate(Canned(digits.train.batch(torch.arange(1))), digits, "test", seed=0, extractor=found)
    assert one.collapsed is not None
    for sign in ("9 of 10 classes are missing", "0.00 times as far apart", "% of the real images (coverage)"):
        assert sign in one.collapsed


# -- evaluate -----------------------------------------------------------------------------------------------


def test_evaluate_says_where_each_figure_comes_from(digits: Splits, found: Extractor) -> None:
    task = VAE(digits.image, width=8, depth=1, latent=2)
    evaluation = evaluate(task, digits, "test", seed=0, extractor=found)
    own = ["negative_elbo", "reconstruction", "kl", "accuracy_on_reconstructions"]
    assert list(evaluation.figures) == [*own, *COMPARED]
    assert set(evaluation.provenance) == set(evaluation.figures)
    told = evaluation.provenance["frechet"]
    for part in (
        found.name,
        "accuracy",
        "N = 500 samples against 500 test images",
        "floor real against real",
        "evaluation-mode batch norm",
        "latents of seed 0",
    ):
        assert part in told
    assert evaluation.provenance["negative_elbo"].startswith("mean over 500 test images")
    on_valid = evaluate(task, digits, "valid", seed=0, extractor=found)
    assert "N = 297 samples against 297 valid images" in on_valid.provenance["frechet"]
    few = evaluate(task, digits, "test", seed=0, extractor=found, samples=50)
    assert "N = 50 samples against 500 test images" in few.provenance["frechet"]
    assert "singular" in few.provenance["frechet"]
    assert "singular" not in told


def test_no_name_says_fid(digits: Splits, found: Extractor) -> None:
    evaluation = evaluate(GAN(digits.image, width=8, depth=1), digits, "test", seed=0, extractor=found)
    text = f"{evaluation.figures} {evaluation.provenance} {found.described}"
    assert "fid" not in text.lower()
    assert "inception" not in text.lower().replace("inception_score", ""), "a figure's name, not the features'"


def test_evaluate_compares_samples_of_the_prior(digits: Splits, found: Extractor) -> None:
    task = GAN(digits.image, width=8, depth=1, latent=2).eval()
    value = evaluate(task, digits, "test", seed=4, extractor=found).figures["frechet"]
    fakes = found.features(drawn(task, 500, derive(4, "test"), digits.image))
    assert value == distance(fit(fakes), fit(found.features(digits.test.all())))


def test_all_arms_get_the_same_latents_and_fewer_samples_are_the_first_ones() -> None:
    one, other = Toy(), Toy()
    with torch.no_grad():
        other.habit.weight.fill_(9.0)
    assert torch.equal(drawn(one, 300, 0, (1, 4, 4)), drawn(other, 300, 0, (1, 4, 4)))
    assert not torch.equal(drawn(one, 300, 0, (1, 4, 4)), drawn(one, 300, 1, (1, 4, 4)))


def test_fewer_samples_are_the_first_of_more(digits: Splits) -> None:
    task = GAN(digits.image, width=8, depth=1, latent=2)
    samples = drawn(task, 600, 0, digits.image)
    assert torch.equal(samples[:270], drawn(task, 270, 0, digits.image))
    assert len(torch.unique(samples.flatten(1), dim=0)) == 600


def test_evaluate_touches_nothing(digits: Splits, found: Extractor) -> None:
    task = VAE(digits.image, "conv", width=8, latent=2).train()
    before = state(task)
    first = evaluate(task, digits, "test", seed=0, extractor=found)
    assert state(task) == before
    assert evaluate(task, digits, "test", seed=0, extractor=found) == first


def test_evaluate_leaves_out_what_a_family_or_a_recipe_lacks(digits: Splits, found: Extractor) -> None:
    plain = evaluate(Autoencoder(digits.image, width=8, depth=1), digits, "test", seed=0, extractor=found)
    assert list(plain.figures) == ["reconstruction", "accuracy_on_reconstructions"]
    assert plain.collapsed is None
    task = VAE(digits.image, width=8, depth=1)
    assert list(evaluate(task, digits, "valid", seed=0).figures) == ["negative_elbo", "reconstruction", "kl"]


def test_evaluate_refuses_what_cannot_be(digits: Splits, found: Extractor) -> None:
    task = GAN(digits.image, width=8, depth=1)
    with pytest.raises(TicketError, match="Did you mean 'test'"):
        evaluate(task, digits, "tests", seed=0, extractor=found)  # type: ignore[arg-type]
    with pytest.raises(TicketError, match="samples must be at least 2 to compare anything, not 1"):
        evaluate(task, digits, "test", seed=0, extractor=found, samples=1)
    with pytest.raises(TicketError, match=r"samples have shape \(\d+, 1, 4, 4\), and must have \(\d+, 1, 8, 8\)"):
        evaluate(Canned(torch.zeros(5, 1, 4, 4)), digits, "test", seed=0, extractor=found)
    with pytest.raises(TicketError, match="samples are not finite") as caught:
        evaluate(Canned(torch.full((5, 1, 8, 8), torch.nan)), digits, "test", seed=0, extractor=found)
    assert caught.value.status is Status.DIVERGED


# -- pictures -----------------------------------------------------------------------------------------------


def opened(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_grid_pixel_by_pixel() -> None:
    pictures = torch.tensor([-1.0, 1.0, 0.0, torch.nan, 7.0]).reshape(5, 1, 1, 1)
    sheet = opened(grid_png(pictures, columns=3, scale=2))
    assert sheet.shape == (7, 10)
    inside = sheet[[1, 4]][:, [1, 4, 7]]
    assert inside.tolist() == [[0, 255, 128], [0, 255, 255]]  # the last place is empty: paper
    assert (sheet[1:3, 1:3] == 0).all()
    assert (sheet[::3] == 255).all()
    assert (sheet[:, ::3] == 255).all()


def test_grids_take_colour_and_grow_small_images() -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(2, 3, 8, 8)
    sheet = opened(grid_png(red))
    assert sheet.shape == (50, 8 * 49 + 1, 3)
    assert sheet[5, 5].tolist() == [255, 0, 0]
    assert opened(grid_png(torch.zeros(1, 1, 64, 64), columns=1)).shape == (66, 66)


@pytest.mark.parametrize("shape", [(2, 2, 4, 4), (0, 1, 4, 4), (2, 4, 4)])
def test_grids_refuse_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(TicketError, match="pictures need images of shape"):
        grid_png(torch.zeros(shape))
    with pytest.raises(TicketError, match="columns and scale"):
        grid_png(torch.zeros(1, 1, 4, 4), columns=0)


def test_sample_grids_share_latents_and_only_generative_tasks_have_them(digits: Splits) -> None:
    task = GAN(digits.image, width=8, depth=1)
    assert sample_grid(task, 0) == sample_grid(task, 0) != sample_grid(task, 1)
    assert opened(sample_grid(task, 0)).shape == (8 * 49 + 1, 8 * 49 + 1)
    assert sample_grid(Autoencoder(digits.image, width=8, depth=1), 0) is None


def test_reconstructions_stand_below_their_originals(digits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Autoencoder(digits.image, width=8, depth=1)
    monkeypatch.setattr(Autoencoder, "reconstruct", lambda self, batch: -batch)
    batch = digits.test.batch(torch.arange(40))
    expected = torch.cat([torch.cat([row, -row]) for row in batch[:32].split(8)])
    assert reconstruction_grid(task, batch) == grid_png(expected)
    assert reconstruction_grid(task, batch[:3]) == grid_png(torch.cat([batch[:3], -batch[:3]]), 3)
    assert reconstruction_grid(GAN(digits.image, width=8, depth=1), batch) is None


def test_validation_and_test_see_other_samples(digits: Splits, found: Extractor) -> None:
    """Else a checkpoint chosen on validation would be chosen on half of the test's samples too."""
    drawn_for: list[Tensor] = []

    class Watched(Canned):
        def sample(self, n: int, rng: torch.Generator) -> Tensor:
            drawn_for.append(super().sample(n, rng))
            return drawn_for[-1]

    task = Watched(digits.train.all())
    for split in ("valid", "test", "test"):
        evaluate(task, digits, split, seed=0, extractor=found)
    valid, test, again = drawn_for[0], drawn_for[2], drawn_for[4]
    assert len(drawn_for) == 6, "blocks of 256 for 297 and 500 samples"
    assert not torch.equal(valid, test)
    assert torch.equal(test, again), "the same for every arm"
