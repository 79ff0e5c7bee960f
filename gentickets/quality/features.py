"""Own features: those of a small classifier of the data itself, and where it is kept."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from torch import Tensor, nn

from gentickets.data import Splits
from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.quality.classifier import BLOCK, STEPS, accuracy_on, architecture_for, build, fitted
from gentickets.quality.extractor import Extractor, Seen
from gentickets.shared import on_no_bill
from gentickets.tensorfile import content_hash, pack, unpack

RECIPE = 1
"""Counts changes of how the classifier is built and trained; another recipe is another extractor."""
FILE = "features.safetensors"
KIND = "features"
FEW_STEPS = 20
"""Steps by which the time of a training is told."""


@dataclass(frozen=True)
class Facts:
    """What a features file says of itself; together with the weights it gives the hash."""

    architecture: str
    data: str
    fingerprint: str
    image: tuple[int, int, int]
    classes: int | None
    accuracy: float | None
    """On the test split; None where it has no labels."""
    recipe: int = RECIPE


class OwnFeatures(Extractor):
    """64 features of a small classifier of the data, or of a random network where the data has no labels.

    It runs in float32 on the CPU wherever the images are.
    """

    block = BLOCK

    def __init__(self, network: nn.Sequential, facts: Facts) -> None:
        self.facts = facts
        self.hash = content_hash(KIND, network.state_dict(), asdict(facts))
        self.classifies = facts.classes is not None
        self._network = network.eval().requires_grad_(False)

    @property
    def name(self) -> str:
        """Data, architecture and the first 8 digits of the content's hash: ``digits-mlp64-1a2b3c4d``."""
        start = "" if self.facts.classes is None else f"{self.facts.data}-"
        return f"{start}{self.facts.architecture}-{self.hash[:8]}"

    @property
    def described(self) -> str:
        """The name and how good the classifier is, or that it never was one."""
        if self.facts.classes is None:
            return f"features {self.name} (random weights, no labels to train on: a coarse measure)"
        accuracy = self.facts.accuracy
        told = "accuracy unknown" if accuracy is None else f"accuracy {100 * accuracy:.1f} %"
        return f"features {self.name} ({told})"

    def _block(self, images: Tensor) -> Seen:
        if tuple(images.shape[1:]) != self.facts.image:
            raise TicketError(f"{self.name} takes images {self.facts.image}, not {tuple(images.shape[1:])}")
        features = self._network[0](images.cpu().float())
        return Seen(features, self._network[1](features) if self.classifies else None)

    def to_bytes(self) -> bytes:
        """The features file, as every tensor file of gentickets (docs/runs.md)."""
        return pack(KIND, self._network.state_dict(), asdict(self.facts))


def extractor(splits: Splits, folder: Path | None = None) -> OwnFeatures:
    """The data set's own features: ``folder/features.safetensors``, else from the cache, else trained now.

    What is found in the cache or trained is also written to the folder, which pins it: a file there that is
    damaged or belongs to other data is refused (TicketError, status 3), because the figures already in that
    folder come from it. A damaged file in the cache is replaced. Of several processes one trains and the
    others wait. Labelled data gets a classifier, trained on the training split; other data gets a fixed
    convolutional network with random weights, which its name says.
    """
    if folder is not None and (pinned := folder / FILE).exists():
        return parse_extractor(_read(pinned), pinned, splits)
    cached = _cache_file(splits)
    with on_no_bill():  # of all rounds and runs
        found = _made(splits) if cached is None else _from_cache(splits, cached)
    if folder is not None:
        try:
            write_whole(folder / FILE, found.to_bytes())
        except OSError as error:
            raise TicketError(f"cannot write {folder / FILE}: {error.strerror}", Status.STORAGE) from error
    return found


def has_own(splits: Splits, folder: Path) -> bool:
    """Whether a data set's own features need not be made any more: the folder or the cache has them."""
    cached = _cache_file(splits)
    return (folder / FILE).is_file() or (cached is not None and cached.is_file())


def untrained(splits: Splits) -> OwnFeatures:
    """The data set's own features before they are trained: as quick to use, and worth nothing."""
    classes = None if splits.train.labels is None else splits.classes
    architecture = architecture_for(splits.image, classes)
    facts = Facts(architecture, splits.name, splits.fingerprint, splits.image, classes, None)
    return OwnFeatures(build(architecture, splits.image, classes), facts)


def seconds_to_fit(splits: Splits) -> float:
    """About how long `extractor` takes to make a data set's own features."""
    labels = splits.train.labels
    if labels is None or splits.classes is None:
        return 0.0
    architecture = architecture_for(splits.image, splits.classes)
    started = time.perf_counter()
    fitted(architecture, splits.train.batch, labels, splits.image, splits.classes, FEW_STEPS)
    return (time.perf_counter() - started) * STEPS / FEW_STEPS


def parse_extractor(data: bytes, where: Path, splits: Splits) -> OwnFeatures:
    """The extractor in a features file, checked whole; TicketError (status 3) if damaged or of other data."""
    weights, header = unpack(data, KIND, where)
    try:
        facts = Facts(**{**header, "image": tuple(header["image"])})
        _require_fit(facts, splits, where)
        network = build(facts.architecture, facts.image, facts.classes)
        network.load_state_dict(weights)
    except TicketError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TicketError(
            f"{where} is damaged: {error}; remove it, and it will be made again", Status.TICKET
        ) from error
    return OwnFeatures(network, facts)


def cache_folder() -> Path:
    """Where things that can be made again are kept: ``GENTICKETS_CACHE``, else ``~/.cache/gentickets``."""
    if chosen := os.environ.get("GENTICKETS_CACHE"):
        return Path(chosen).expanduser()
    return Path.home() / ".cache" / "gentickets"


def _from_cache(splits: Splits, cached: Path) -> OwnFeatures:
    with _lock(cached):
        try:
            return parse_extractor(cached.read_bytes(), cached, splits)
        except (OSError, TicketError):
            made = _made(splits)
        # the cache saves time and nothing else, so a full disk there is no reason to stop
        with suppress(OSError):
            write_whole(cached, made.to_bytes())
        return made


def _made(splits: Splits) -> OwnFeatures:
    labels = splits.train.labels
    classes = None if labels is None else splits.classes
    architecture = architecture_for(splits.image, classes)
    if labels is None or classes is None:
        network, accuracy = build(architecture, splits.image, None), None
    else:
        network = fitted(architecture, splits.train.batch, labels, splits.image, classes)
        accuracy = accuracy_on(network, splits.test)
    facts = Facts(architecture, splits.name, splits.fingerprint, splits.image, classes, accuracy)
    return OwnFeatures(network, facts)


def _require_fit(facts: Facts, splits: Splits, where: Path) -> None:
    theirs = (facts.data, facts.fingerprint, facts.image, facts.recipe)
    ours = (splits.name, splits.fingerprint, splits.image, RECIPE)
    for what, found, wanted in zip(("data", "fingerprint", "image", "recipe"), theirs, ours, strict=True):
        if found != wanted:
            message = (
                f"{where} was made for {what} {found}, not {wanted}: metrics computed with the two are not comparable"
            )
            raise TicketError(message, Status.TICKET)


def _cache_file(splits: Splits) -> Path | None:
    """The data's place in the cache; None where there is no folder to write to."""
    key = hashlib.sha256(f"{splits.name} {splits.fingerprint} {splits.image} {RECIPE}".encode()).hexdigest()
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder / f"features-{key[:16]}.safetensors" if os.access(folder, os.W_OK) else None


def _lock(path: Path) -> AbstractContextManager[object]:
    try:
        return FileLock(path.with_suffix(".lock")).acquire()
    except (OSError, NotImplementedError):
        # no locks on this file system: then two may train, with equal results, and the writes are atomic
        return nullcontext()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TicketError(f"cannot read {path}: {error.strerror}", Status.STORAGE) from error
