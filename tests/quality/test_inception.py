"""Inception features: names, refusals, and the same values as torch-fidelity's own, with weights made here."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gentickets.accounting import Counter
from gentickets.data import Images, Splits, load
from gentickets.errors import Status, TicketError
from gentickets.quality import InceptionFeatures, evaluate, inception
from gentickets.quality.inception import FILE, ORIGINAL, as_bytes
from gentickets.tasks import Task


class Small(nn.Module):
    """Stands in for the network: features and logits of bytes, with a norm that training mode would change."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        assert pixels.dtype == torch.uint8
        assert pixels.shape[1] == 3
        assert not torch.is_grad_enabled()
        means = pixels.float().flatten(1)[:, :5]
        return self.norm(means), means * 2


class Static(Task):
    """Samples are noise."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(1, 1)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.rand(n, 1, 8, 8, generator=rng) * 2 - 1


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def saved(value: object, path: Path, **options: bool) -> Path:
    torch.save(value, path, **options)
    return path


# -- names and images ---------------------------------------------------------------------------------------


def test_only_the_original_weights_are_called_fid() -> None:
    other, original = (InceptionFeatures(Small(), sha) for sha in ("ab12cd34" * 8, ORIGINAL + "0" * 56))
    assert (other.name, other.distance) == ("inception-ab12cd34", "frechet")
    assert "other weights than the original's" in other.described
    assert (original.name, original.distance) == ("inception-6726825d", "fid")
    assert "the original weights of the FID" in original.described
    assert FILE.endswith(f"{ORIGINAL}.pth")


def test_evaluate_calls_the_distance_by_its_features() -> None:
    digits = load("digits")
    for sha, name in (("ab12cd34" * 8, "frechet"), (ORIGINAL + "0" * 56, "fid")):
        features = InceptionFeatures(Small(), sha)
        evaluation = evaluate(
            Static(), digits, "test", seed=0, extractor=features, figures=["frechet", "inception_score"]
        )
        assert list(evaluation.figures) == [name, "inception_score"]
        assert all(features.name in told for told in evaluation.provenance.values())
        assert ("fid" in evaluation.provenance[name].lower()) == (name == "fid")


def test_real_images_become_their_own_bytes_and_grey_is_repeated() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    real = Images(pixels).all()
    assert torch.equal(as_bytes(real), pixels.expand(1, 3, 16, 16))
    colour = torch.tensor([-7.0, 0.0, 7.0]).reshape(1, 3, 1, 1)
    assert as_bytes(colour).flatten().tolist() == [0, 128, 255]
    for shape in ((2, 2, 4, 4), (3, 4, 4)):
        with pytest.raises(TicketError, match="Inception takes images of shape"):
            as_bytes(torch.zeros(shape))


def test_images_that_are_not_finite_never_become_bytes() -> None:
    with pytest.raises(TicketError, match="images to compare are not finite") as caught:
        InceptionFeatures(Small(), "0" * 64).features(torch.full((2, 1, 4, 4), torch.nan))
    assert caught.value.status is Status.DIVERGED


def test_blocks_and_a_parents_train_change_nothing() -> None:
    features = InceptionFeatures(Small().train(), "0" * 64)
    batch = noise(70, 1, 4, 4)
    whole = features.look(batch)
    parent = nn.Module()
    parent.extractor = features
    parent.train()
    assert list(parent.modules()) == [parent]
    features.block = 7
    for one, other in zip(features.look(batch), whole, strict=True):
        assert torch.equal(one, other)
    assert whole.features.shape == (70, 5)


# -- files that are refused ---------------------------------------------------------------------------------


def test_a_missing_file_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=f"there is no Inception weights file .*{FILE}"):
        inception(tmp_path / "none.pth")
    with pytest.raises(TicketError, match="cannot read") as caught:
        inception(tmp_path)
    assert caught.value.status is Status.STORAGE


def test_without_a_file_nothing_is_fetched_unless_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setenv("GENTICKETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def download(url: str, place: str, hash_prefix: str, progress: bool) -> None:
        fetched.append((url.rsplit("/", 1)[1], hash_prefix))
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(TicketError, match=f"{FILE} are neither in .*name a file, or --download them"):
        inception()
    assert fetched == []
    with pytest.raises(TicketError, match=f"{FILE} could not be fetched: no network") as caught:
        inception(download=True)
    assert caught.value.status is Status.FAILED
    assert fetched == [(FILE, ORIGINAL)]


def test_a_published_file_of_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / FILE).write_bytes(b"half of it")
    with pytest.raises(TicketError, match=f"is damaged: its SHA-256 begins with .* not {ORIGINAL}") as caught:
        inception()
    assert caught.value.status is Status.TICKET


class Malice:
    """Unpickled, it would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("kind", ["pickle", "zip"])
def test_a_file_is_data_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    path, malice = tmp_path / "weights.pth", Malice(tmp_path / "trace")
    path.write_bytes(pickle.dumps({"fc.weight": malice})) if kind == "pickle" else saved({"fc.weight": malice}, path)
    with pytest.raises(TicketError, match="holds no Inception weights that can be read safely") as caught:
        inception(path)
    assert caught.value.status is Status.TICKET
    assert not malice.trace.exists()


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut short", b"\x80\x02garbage"])
def test_files_of_another_kind_are_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(TicketError, match=f"no Inception weights that can be read safely; what is wanted .*{FILE}"):
        inception(tmp_path / "weights.pth")


def test_files_without_names_are_refused(tmp_path: Path) -> None:
    for value in ([torch.zeros(2)], {"fc.weight": [1, 2]}, torch.zeros(2)):
        with pytest.raises(TicketError, match="holds no weights by name"):
            inception(saved(value, tmp_path / "weights.pth"))


# -- the network --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Random weights of the right names and shapes."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Bare(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *arguments: object, **keywords: object) -> None:
            return None

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        empty = io.BytesIO()
        torch.save({}, empty)
        empty.seek(0)
        network = Bare("any", ["2048"], feature_extractor_weights_path=empty)
    return dict(network.state_dict())


@pytest.fixture(scope="module")
def file(weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(weights, tmp_path_factory.mktemp("inception") / "weights.pth")


@pytest.fixture(scope="module")
def loaded(file: Path) -> InceptionFeatures:
    before = torch.get_rng_state()
    found = inception(file)
    assert torch.equal(torch.get_rng_state(), before), "making the network draws nothing"
    return found


def test_the_name_follows_from_the_file(file: Path, loaded: InceptionFeatures) -> None:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.hash == sha256
    assert loaded.name == f"inception-{sha256[:8]}"
    assert loaded.distance == "frechet"


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 28, 28)])
def test_features_equal_torch_fidelitys_own(file: Path, loaded: InceptionFeatures, shape: tuple[int, ...]) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    names = ["2048", "logits_unbiased"]
    with torch.random.fork_rng([]):
        theirs = FeatureExtractorInceptionV3("any", names, feature_extractor_weights_path=str(file))
    pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    seen = loaded.look(Images(pixels).all())
    expected = theirs(pixels if shape[1] == 3 else pixels.repeat(1, 3, 1, 1))
    assert seen.features.shape == (2, 2048)
    assert seen.logits is not None
    assert seen.logits.shape == (2, 1008)
    assert torch.equal(seen.features, expected[0])
    assert torch.equal(seen.logits, expected[1])
    assert not torch.equal(seen.features[0], seen.features[1]), "images differ in these features"


def test_every_operator_of_inception_has_a_known_count(loaded: InceptionFeatures) -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with Counter() as counter:
        loaded.look(Images(pixels).all())
    assert counter.total > 1e9
    assert counter.uncounted == set()


def test_weights_that_do_not_fit_are_named(weights: dict[str, Tensor], tmp_path: Path) -> None:
    first = "Conv2d_1a_3x3.conv.weight"
    cases = {
        "it lacks 'Mixed_5b.branch1x1.conv.weight'": {
            name: value for name, value in weights.items() if name != "Mixed_5b.branch1x1.conv.weight"
        },
        r"it has 'AuxLogits.fc.weight'": {**weights, "AuxLogits.fc.weight": torch.zeros(2)},
        r"it has 'fc.weight' of shape \(1000, 2048\), not \(1008, 2048\)": {
            **weights,
            "fc.weight": torch.zeros(1000, 2048),
        },
        f"it has '{first}' with values that are not finite": {**weights, first: weights[first] * torch.nan},
        "it has 'fc.bias' with values that are not finite numbers": {**weights, "fc.bias": torch.zeros(1008).long()},
    }
    for said, wrong in cases.items():
        with pytest.raises(
            TicketError, match=f"does not fit the Inception network: {said}.*; what is wanted"
        ) as caught:
            inception(saved(wrong, tmp_path / "weights.pth"))
        assert caught.value.status is Status.TICKET


def test_older_files_are_read_too(weights: dict[str, Tensor], loaded: InceptionFeatures, tmp_path: Path) -> None:
    """Without counters, and in the form that torch.save had before zip archives."""
    plain = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    old = inception(saved(plain, tmp_path / "old.pth", _use_new_zipfile_serialization=False))
    batch = noise(1, 3, 8, 8)
    assert torch.equal(old.features(batch), loaded.features(batch))


@pytest.mark.full
def test_evaluate_in_inception_features(loaded: InceptionFeatures) -> None:
    digits = load("digits")
    few = {part: Images(getattr(digits, part).source[:12]) for part in ("train", "valid", "test")}
    splits: Splits = replace(digits, **few)
    evaluation = evaluate(Static(), splits, "test", seed=0, extractor=loaded)
    assert "unreliable, as 12 images give 2048 features" in evaluation.provenance["frechet"]
    assert all(loaded.name in told for told in evaluation.provenance.values())
    assert 1 <= evaluation.figures["inception_score"] <= 12
