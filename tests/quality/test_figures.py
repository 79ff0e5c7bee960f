"""Figures of samples and downstream accuracy, against hand arithmetic, plain loops and other libraries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gentickets.data import Images, Splits
from gentickets.errors import Status, TicketError
from gentickets.metrics import COMPARED, better
from gentickets.provenance import comparable, provenance
from gentickets.quality import (
    Extractor,
    OwnFeatures,
    Seen,
    accuracy_on_reconstructions,
    accuracy_on_samples,
    evaluate,
    extractor,
    frechet,
    inception_score,
    kid,
    neighbours,
)
from gentickets.quality import classifier as classifier_module
from gentickets.quality import kernel as kernel_module
from gentickets.quality import pairs as pairs_module
from gentickets.quality.collapse import spread
from gentickets.quality.features import Facts
from gentickets.quality.neighbours import radii
from gentickets.quality.reference import images_of, reference
from gentickets.tasks import GAN, Autoencoder, Task


@pytest.fixture(scope="module")
def found(digits: Splits) -> OwnFeatures:
    return extractor(digits)


@pytest.fixture(scope="module")
def real(digits: Splits, found: OwnFeatures) -> Seen:
    return found.look(digits.test.all())


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shuffled(rows: Tensor) -> Tensor:
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(7))]


class Flat(nn.Module):
    """Features are the pixels."""

    num_features = 16

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flatten(1)


class Canned(Task):
    """Samples and reconstructions are given images."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.pictures, self.image = pictures, tuple(pictures.shape[1:])
        self.generator = nn.Linear(1, 1)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.pictures[torch.randint(len(self.pictures), (n,), generator=rng)]


class Blurring(Canned):
    """Reconstructions are darker images."""

    def reconstruct(self, batch: Tensor) -> Tensor:
        return batch * 0.9 - 0.1


# -- kid ----------------------------------------------------------------------------------------------------


def plain_kid(fake: Tensor, real: Tensor) -> float:
    def kernel(one: Tensor, other: Tensor) -> float:
        return (float(one @ other) / len(one) + 1) ** 3

    n, m = len(fake), len(real)
    within = sum(kernel(fake[i], fake[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within += sum(kernel(real[i], real[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within - 2 * sum(kernel(one, other) for one in fake for other in real) / (n * m)


def test_kid_by_hand() -> None:
    # one feature: k(x, y) = (xy + 1)^3; samples 0, 1; real 1, 2: 1 + 27 - 2 (1 + 1 + 8 + 27) / 4
    assert kid(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])) == pytest.approx(9.5, abs=1e-12)


@pytest.mark.parametrize("cells", [7, 1 << 23])  # blocks of a row or two, and all at once
def test_kid_equals_the_plain_formula_at_unequal_numbers(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "CELLS", cells)
    fake, true = noise(13, 5, seed=1).double() + 0.2, noise(9, 5, seed=2).double()
    assert kid(fake, true) == pytest.approx(plain_kid(fake, true), rel=1e-12)


def test_kid_equals_torch_fidelity_and_torchmetrics() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import KernelInceptionDistance

    fake, true = noise(60, 16, seed=1).double() + 0.2, noise(60, 16, seed=2).double()
    theirs = kid_features_to_metric(fake, true, kid_subsets=1, kid_subset_size=60, rng_seed=0, verbose=False)
    assert kid(fake, true) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=60).set_dtype(torch.float64)
    metric.update(fake.reshape(60, 1, 4, 4), real=False)
    metric.update(true.reshape(60, 1, 4, 4), real=True)
    with torch.random.fork_rng([]):
        assert kid(fake, true) == pytest.approx(float(metric.compute()[0]), rel=1e-6)


def test_kid_of_many_is_the_mean_over_seeded_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernel_module.kid_told(10_000, 10_000) == "all pairs"
    assert kernel_module.kid_told(50_000, 10_000) == "mean of 100 subsets of 1,000"
    assert kernel_module.kid_told(50_000, 900) == "all pairs", "there is no subset of 1,000 in 900"
    fake, true = noise(220, 4, seed=1) + 0.3, noise(210, 4, seed=2)
    whole = kid(fake, true)
    monkeypatch.setattr(kernel_module, "MOST", 215)
    monkeypatch.setattr(kernel_module, "SUBSET", 100)
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = kid(fake, true)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    np.random.seed(4)
    assert kid(fake, true) == first != whole
    assert first == pytest.approx(whole, rel=0.1)


def test_kid_is_unbiased_where_the_frechet_distance_is_not() -> None:
    values = {n: [kid(noise(n, 4, seed=s), noise(n, 4, seed=s + 99)) for s in range(40)] for n in (10, 40)}
    for n, found in values.items():
        error = np.std(found) / math.sqrt(len(found))
        assert abs(np.mean(found)) < 3 * error, n
    assert min(values[10]) < 0, "an estimate may be negative"
    distances = [np.mean([frechet(noise(n, 4, seed=s), noise(n, 4, seed=s + 99)) for s in range(10)]) for n in (10, 40)]
    assert distances[0] > 2 * distances[1]


# -- inception score ----------------------------------------------------------------------------------------


def test_inception_score_by_hand() -> None:
    sure = torch.eye(4) * 200
    assert inception_score(sure.repeat(3, 1)) == pytest.approx(4.0, abs=1e-9), "sure and varied: all classes"
    assert inception_score(sure[:1].repeat(9, 1)) == pytest.approx(1.0, abs=1e-12), "sure and all the same"
    assert inception_score(torch.zeros(9, 4)) == pytest.approx(1.0, abs=1e-12), "never sure"
    # p = (3/4, 1/4) and (1/4, 3/4): KL from (1/2, 1/2) is 3/4 ln 3/2 + 1/4 ln 1/2
    chances = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    assert inception_score(chances) == pytest.approx(math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5)), rel=1e-6)


def test_inception_score_survives_classes_that_never_happen() -> None:
    logits = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 1000.0, -1000.0]])  # 0 everywhere for the third
    assert inception_score(logits) == pytest.approx(2.0, abs=1e-9)


def test_inception_score_equals_torch_fidelity_and_torchmetrics() -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torchmetrics.image.inception import InceptionScore

    logits = noise(10_000, 16, seed=1) * 2
    theirs = isc_features_to_metric(logits, splits=2, shuffle=False)["inception_score_mean"]
    assert inception_score(logits) == pytest.approx(theirs, rel=1e-9), "two parts of 5,000"
    few = logits[:300].double()
    metric = InceptionScore(feature=Flat(), splits=1).set_dtype(torch.float64)
    metric.update(few.reshape(300, 1, 4, 4))
    with torch.random.fork_rng([]):
        assert inception_score(few) == pytest.approx(float(metric.compute()[0]), rel=1e-6)


# -- precision, recall, density, coverage -------------------------------------------------------------------


def plain(fake: Tensor, real: Tensor) -> dict[str, float]:
    """The four by plain loops, after their papers."""
    real_to_fake = [[float((x - y).norm()) for y in fake] for x in real]

    def reach(points: Tensor, k: int) -> list[float]:
        return [sorted(float((x - y).norm()) for y in points)[k] for x in points]

    n, m = len(fake), len(real)
    three, five, own = reach(real, 3), reach(real, 5), reach(fake, 3)
    return {
        "precision": sum(any(real_to_fake[i][j] <= three[i] for i in range(m)) for j in range(n)) / n,
        "recall": sum(any(real_to_fake[i][j] <= own[j] for j in range(n)) for i in range(m)) / m,
        "density": sum(real_to_fake[i][j] < five[i] for i in range(m) for j in range(n)) / (5 * n),
        "coverage": sum(min(real_to_fake[i]) < five[i] for i in range(m)) / m,
    }


@pytest.mark.parametrize("cells", [300, 1 << 23])
@pytest.mark.parametrize(("n", "m"), [(40, 55), (60, 30)])
def test_neighbours_equal_plain_loops(n: int, m: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "CELLS", cells)
    fake, true = noise(n, 3, seed=1).double() * 0.7 + 0.5, noise(m, 3, seed=2).double()
    expected = plain(fake, true)
    assert neighbours(fake, true) == pytest.approx(expected, abs=1e-12)
    assert min(expected.values()) > 0
    assert len(set(expected.values())) == 4, "the case tells the figures apart"
    assert neighbours(fake, true, ["recall"]) == {"recall": expected["recall"]}
    assert neighbours(fake, true, reach=radii(true))["density"] == pytest.approx(expected["density"], abs=1e-12)


def test_precision_and_recall_equal_torch_fidelity() -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    fake, true = noise(300, 8, seed=1).double() * 0.8, noise(250, 8, seed=2).double()
    theirs = prc_features_to_metric(
        fake, true, prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=True, verbose=False
    )
    ours = neighbours(fake, true)
    assert ours["precision"] == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours["recall"] == pytest.approx(theirs["recall"], abs=1e-6)
    assert ours["precision"] != ours["recall"]


def test_each_figure_of_neighbours_sees_its_own_fault() -> None:
    true = noise(800, 4, seed=1)
    alike, few, wide = noise(800, 4, seed=2), noise(800, 4, seed=2) * 0.4, noise(800, 4, seed=2) * 3
    sound = neighbours(alike, true)
    assert sound["coverage"] == pytest.approx(1 - 1 / 2**5, abs=0.02)
    assert sound["density"] == pytest.approx(1.0, abs=0.1)
    narrow, far = neighbours(few, true), neighbours(wide, true)
    assert narrow["precision"] > sound["precision"]
    assert narrow["recall"] < sound["recall"] / 2
    assert narrow["density"] > 1.05, "it may pass 1"
    assert narrow["coverage"] < sound["coverage"]
    assert far["precision"] < sound["precision"] / 2
    assert far["density"] < 0.5


def test_distances_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    cdist = torch.cdist
    monkeypatch.setattr(torch, "cdist", lambda one, other: held.append(len(one) * len(other)) or cdist(one, other))
    monkeypatch.setattr(pairs_module, "CELLS", 10_000)
    fake, true = noise(700, 2, seed=1), noise(900, 2, seed=2)
    neighbours(fake, true)
    spread(true)
    assert sum(held) == 900 * 900 + 700 * 700 + 900 * 700 + 900 * 900, "every pair once"
    assert max(held) <= 10_000
    assert pairs_module.CELLS * 8 <= 2**27


# -- all figures --------------------------------------------------------------------------------------------


def all_figures(fake: Seen, real: Seen) -> dict[str, float]:
    assert fake.logits is not None
    found = {"frechet": frechet(fake.features, real.features), "kid": kid(fake.features, real.features)}
    found |= neighbours(fake.features, real.features)
    return found | {"inception_score": inception_score(fake.logits)}


def test_every_figure_knows_real_from_noise(digits: Splits, found: OwnFeatures, real: Seen) -> None:
    """Half against half of real data is good, noise is bad (Trap 28)."""
    order = torch.randperm(500, generator=torch.Generator().manual_seed(0))
    halves = [Seen(*(part[chosen] for part in real)) for chosen in (order[:250], order[250:])]
    static = found.look(noise(250, *digits.image).clamp(-1, 1))
    good, bad = (all_figures(one, halves[1]) for one in (halves[0], static))
    for name, value in good.items():
        if better(name) == "higher":
            assert value > 1.5 * bad[name], name
        else:
            assert value < bad[name] / 10, name


def test_the_order_of_images_changes_no_figure(digits: Splits, found: OwnFeatures, real: Seen) -> None:
    fake = found.look(digits.train.batch(torch.arange(300)) * 0.8)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    assert all_figures(Seen(*(part[order] for part in fake)), real) == pytest.approx(all_figures(fake, real), rel=1e-9)
    assert all_figures(fake, Seen(*map(shuffled, real))) == pytest.approx(all_figures(fake, real), rel=1e-9)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_value_that_is_not_finite_ends_every_figure(bad: float) -> None:
    good, broken = noise(20, 4), noise(20, 4)
    broken[3, 1] = bad
    for measure in (lambda x, y: inception_score(x + y), kid, neighbours, frechet):
        with pytest.raises(TicketError, match="not finite") as caught:
            measure(good, broken)
        assert caught.value.status is Status.DIVERGED


@pytest.mark.parametrize(
    ("figure", "n", "m", "said"),
    [
        ("frechet", 9, 1, "frechet needs at least 2 real images, not 1"),
        ("kid", 9, 1, "kid needs at least 2 real images, not 1"),
        ("precision", 9, 3, "precision needs at least 4 real images, not 3"),
        ("recall", 3, 9, "recall needs at least 4 samples, not 3"),
        ("density", 9, 5, "density needs at least 6 real images, not 5"),
        ("coverage", 9, 5, "coverage needs at least 6 real images, not 5"),
        ("recall", 1, 9, "samples must be at least 2 to compare anything, not 1"),
    ],
)
def test_too_few_images_are_refused_by_figure_and_number(
    digits: Splits, found: OwnFeatures, figure: str, n: int, m: int, said: str
) -> None:
    few = Images(digits.test.source[:m], digits.test.labels[:m])
    with pytest.raises(TicketError, match=f"^{said}$"):
        evaluate(Canned(digits.train.all()), replace(digits, test=few), "test", seed=0, extractor=found, samples=n,
                 figures=[figure])  # fmt: skip


def test_as_few_as_are_needed_do() -> None:
    assert set(neighbours(noise(4, 3), noise(6, 3, seed=1))) == {"precision", "recall", "density", "coverage"}
    assert math.isfinite(kid(noise(2, 3), noise(2, 3, seed=1)))
    with pytest.raises(TicketError, match="inception_score needs at least 2 samples, not 1"):
        inception_score(noise(1, 3))
    with pytest.raises(TicketError, match="a 5-th neighbour needs at least 6 images, not 5"):
        radii(noise(5, 3))
    with pytest.raises(TicketError, match="Did you mean 'recall'"):
        neighbours(noise(9, 3), noise(9, 3), ["recal"])
    with pytest.raises(TicketError, match="4 features cannot be compared with 5"):
        kid(noise(9, 4), noise(9, 5))


# -- choosing figures ---------------------------------------------------------------------------------------


def test_the_figures_asked_for_are_taken_and_no_others(digits: Splits, found: OwnFeatures) -> None:
    task = Canned(digits.train.all())
    some = evaluate(task, digits, "test", seed=0, extractor=found, figures=["recall", "kid", "recall"])
    assert list(some.figures) == ["recall", "kid"]
    every = evaluate(task, digits, "test", seed=0, extractor=found)
    assert list(every.figures) == list(COMPARED)
    assert some.figures == {name: every.figures[name] for name in some.figures}
    assert evaluate(task, digits, "test", seed=0, extractor=found, figures=[]).figures == {}


def test_a_collapse_is_found_whatever_figures_are_asked_for(digits: Splits, found: OwnFeatures) -> None:
    one = Canned(digits.train.batch(torch.arange(1)))
    evaluation = evaluate(one, digits, "test", seed=0, extractor=found, figures=["kid"])
    assert list(evaluation.figures) == ["kid"]
    assert evaluation.collapsed is not None
    for sign in ("9 of 10 classes are missing", "0.00 times as far apart", "% of the real images (coverage)"):
        assert sign in evaluation.collapsed


def test_figures_that_cannot_be_had_are_refused_in_words(digits: Splits, found: OwnFeatures) -> None:
    task = GAN(digits.image, width=8, depth=1)
    plain = Autoencoder(digits.image, width=8, depth=1)
    unlabelled = replace(digits, **{part: Images(getattr(digits, part).source) for part in ("train", "valid", "test")})
    random = extractor(unlabelled)
    digits_features, random_features = {"extractor": found}, {"extractor": random}
    refused: list[tuple[str, tuple[Task, Splits], dict[str, object]]] = [
        ("Did you mean 'recall'", (task, digits), {"figures": ["recal"]} | digits_features),
        (
            "'fid' needs the original Inception weights; in digits-",
            (task, digits),
            {"figures": ["fid"]} | digits_features,
        ),
        ("needs a classifier, and random-conv64", (task, digits), {"figures": ["inception_score"]} | random_features),
        ("kid is a metric of samples, and Autoencoder has no", (plain, digits), {"figures": ["kid"]} | digits_features),
        ("needs samples, and Autoencoder has no prior", (plain, digits), {"downstream": True} | digits_features),
        ("accuracy_on_samples needs samples, and no features are given", (task, digits), {"downstream": True}),
        ("needs labelled images, and 'digits' has no", (task, unlabelled), {"downstream": True} | random_features),
    ]
    for said, arguments, options in refused:
        with pytest.raises(TicketError, match=said):
            evaluate(*arguments, "test", seed=0, **options)
    without = evaluate(Canned(digits.train.all()), unlabelled, "test", seed=0, extractor=random)
    assert list(without.figures) == [name for name in COMPARED if name != "inception_score"]
    told = evaluate(Blurring(digits.test.all()), unlabelled, "test", seed=0, extractor=random, figures=[])
    assert told.figures == {}, "no labels, no accuracy"


def test_the_training_split_is_looked_at_with_as_many_images_and_the_same_samples(
    digits: Splits, found: OwnFeatures
) -> None:
    part = images_of(digits, "train")
    assert part.n == digits.test.n == 500
    assert part.fingerprint == images_of(digits, "train").fingerprint
    rows = {tuple(row) for row in digits.train.source.flatten(1).tolist()}
    assert all(tuple(row) in rows for row in part.source.flatten(1).tolist())
    guesses = found.classes(part.all())
    assert guesses is not None
    assert float((guesses == part.labels).double().mean()) > 0.98, "labels go with their images"
    task = GAN(digits.image, width=8, depth=1, latent=2)
    train, test = (evaluate(task, digits, split, seed=0, extractor=found) for split in ("train", "test"))
    assert "N = 500 samples against 500 train images" in train.provenance["frechet"]
    assert train.figures["inception_score"] == test.figures["inception_score"], "the same samples"
    assert train.figures["frechet"] != test.figures["frechet"]
    assert not comparable(train.provenance["frechet"], test.provenance["frechet"])


# -- downstream accuracy ------------------------------------------------------------------------------------


def test_accuracy_on_reconstructions_by_hand(digits: Splits, found: OwnFeatures, real: Seen) -> None:
    assert real.classes is not None
    assert digits.test.labels is not None
    of_images = float((real.classes == digits.test.labels).double().mean())
    task = Canned(digits.test.all())
    task.reconstruct = lambda batch: batch  # type: ignore[method-assign]
    assert accuracy_on_reconstructions(task, digits.test, found) == pytest.approx(of_images)
    task.reconstruct = lambda batch: torch.zeros_like(batch)  # type: ignore[method-assign]
    grey = found.classes(torch.zeros(1, *digits.image))
    assert grey is not None
    share = float((digits.test.labels == grey[0]).double().mean())
    assert accuracy_on_reconstructions(task, digits.test, found) == pytest.approx(share)
    task.reconstruct = lambda batch: batch * torch.nan  # type: ignore[method-assign]
    with pytest.raises(TicketError, match="reconstructions are not finite") as caught:
        accuracy_on_reconstructions(task, digits.test, found)
    assert caught.value.status is Status.DIVERGED


def test_accuracy_on_reconstructions_names_the_classifier(digits: Splits, found: OwnFeatures, real: Seen) -> None:
    evaluation = evaluate(Blurring(digits.test.all()), digits, "test", seed=0, extractor=found, figures=[])
    assert list(evaluation.figures) == ["accuracy_on_reconstructions"]
    told = evaluation.provenance["accuracy_on_reconstructions"]
    accuracy = reference(found, digits, "test").accuracy
    assert accuracy == found.facts.accuracy
    assert told.startswith(f"classifier {found.name} ({100 * accuracy:.1f} % on the real test images); N = 500 recon")


def test_accuracy_on_samples_of_real_images_is_nearly_the_classifiers_own(digits: Splits, found: OwnFeatures) -> None:
    state = torch.get_rng_state()
    accuracy = accuracy_on_samples(digits.train.all(), digits.test, found)
    assert accuracy == pytest.approx(found.facts.accuracy, abs=0.01), "labels are the classifier's own"
    assert torch.equal(torch.get_rng_state(), state)
    few = digits.train.all()[(digits.train.labels < 5).nonzero().flatten()]  # type: ignore[operator]
    half = accuracy_on_samples(few, digits.test, found)
    assert 0.4 < half < 0.6, "what lacks half of the classes teaches half of them"


def test_accuracy_on_samples_comes_on_request(
    digits: Splits, found: OwnFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_module, "STEPS", 20)
    task = Canned(digits.train.all())
    evaluation = evaluate(task, digits, "test", seed=0, extractor=found, figures=[], downstream=True)
    assert list(evaluation.figures) == ["accuracy_on_samples"]
    assert evaluate(task, digits, "test", seed=0, extractor=found, figures=[], downstream=True) == evaluation
    told = evaluation.provenance["accuracy_on_samples"]
    logits, labels = found.look(digits.test.all()).logits, digits.test.labels
    assert logits is not None
    assert labels is not None
    real = logits.argmax(1).eq(labels).double().mean().item()  # its last digit depends on PyTorch's version
    assert real > 0.95
    for part in (
        found.name,
        f"{100 * real:.1f} % on the real test images",
        "N = 500 samples, tested on 500 test images",
        "latents",
    ):
        assert part in told


class Coarse(Extractor):
    """Other features, as a stand-in for Inception's."""

    block, hash, classifies, distance = 100, "0123456789", True, "fid"
    name = "coarse-01234567"
    described = "features coarse-01234567"

    def _block(self, images: Tensor) -> Seen:
        return Seen(images.flatten(1)[:, 20:28], images.flatten(1)[:, 30:40])


def test_a_classifier_may_stand_beside_other_features(
    digits: Splits, found: OwnFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_module, "STEPS", 20)
    task = Blurring(digits.train.all()[:8])
    alone = evaluate(task, digits, "test", seed=0, extractor=Coarse())
    assert "accuracy_on_reconstructions" not in alone.figures
    assert "classes are missing" not in str(alone.collapsed), "its classes are not the data's"
    both = evaluate(task, digits, "test", seed=0, extractor=Coarse(), classifier=found, downstream=True)
    assert set(both.figures) == {*alone.figures, "accuracy_on_reconstructions", "accuracy_on_samples"}
    assert {name: both.figures[name] for name in alone.figures} == alone.figures
    assert "fid" in both.figures
    assert "frechet" not in both.figures
    assert "classes are missing" in str(both.collapsed)
    asked = evaluate(task, digits, "test", seed=0, extractor=Coarse(), figures=["frechet"])
    assert list(asked.figures) == ["fid"]


def test_probabilities_are_the_softmax_of_the_logits(digits: Splits, found: OwnFeatures) -> None:
    batch = digits.test.batch(torch.arange(7))
    chances = found.probabilities(batch)
    assert chances is not None
    assert chances.dtype == torch.float64
    assert torch.allclose(chances.sum(1), torch.ones(7, dtype=torch.float64), atol=1e-12)
    assert torch.equal(chances.argmax(1), found.classes(batch))
    network = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(16, 64)), nn.Identity())
    random = OwnFeatures(network, Facts("random-conv64", "toy", "0", (1, 4, 4), None, None))
    assert random.probabilities(noise(2, 1, 4, 4)) is None


def test_images_that_are_not_finite_are_no_class(found: OwnFeatures) -> None:
    with pytest.raises(TicketError, match="images to compare are not finite") as caught:
        found.classes(torch.full((2, 1, 8, 8), torch.nan))
    assert caught.value.status is Status.DIVERGED


# -- provenance ---------------------------------------------------------------------------------------------


def test_numbers_compare_by_what_defines_them(digits: Splits, found: OwnFeatures) -> None:
    one, other = (Canned(digits.train.all() * scale) for scale in (1.0, 0.9))
    told = evaluate(one, digits, "test", seed=0, extractor=found).provenance
    for name, text in evaluate(other, digits, "test", seed=0, extractor=found).provenance.items():
        assert comparable(text, told[name]), name
    for options in ({"samples": 50}, {"extractor": Coarse()}, {"seed": 1}):
        changed = evaluate(other, digits, "test", **{"seed": 0, "extractor": found, **options}).provenance
        assert not any(comparable(changed[name], text) for name, text in told.items() if name in changed), options
    assert not comparable(told["kid"], told["kid"] + "; averaged weights (generator 0.999)")


def test_floors_and_remarks_do_not_define_a_number() -> None:
    text = provenance("features a", None, "floor real against real 2.1 (500 train images)", "latents of seed 0")
    assert text == "features a; floor real against real 2.1 (500 train images); latents of seed 0"
    assert comparable(text, "latents of seed 0; unreliable, as 5 images are few; features a")
    assert not comparable(text, "features b; latents of seed 0")
    assert not comparable(text, "features a")
