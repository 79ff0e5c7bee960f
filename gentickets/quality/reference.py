"""Reference: the real side of a comparison, computed once for an extractor and a split."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from gentickets.data import Images, Splits
from gentickets.quality.collapse import spread
from gentickets.quality.extractor import Extractor, Seen, joined
from gentickets.quality.frechet import Gaussian, distance, fit
from gentickets.quality.kernel import kid
from gentickets.quality.neighbours import radii
from gentickets.seeds import derive
from gentickets.shared import on_no_bill

Split = Literal["train", "valid", "test"]
_BLOCK = 256
_KEEP = 6
_known: OrderedDict[tuple[str, str, str], Reference] = OrderedDict()


def reference(extractor: Extractor, splits: Splits, split: Split) -> Reference:
    """The real side of a split; the last six are remembered in this process."""
    key = (extractor.hash, splits.fingerprint, split)
    if key in _known:
        _known.move_to_end(key)
    else:
        _known[key] = Reference(extractor, splits, split)
        while len(_known) > _KEEP:
            _known.popitem(last=False)
    return _known[key]


def images_of(splits: Splits, split: Split) -> Images:
    """The images that figures of a split are taken on: all of ``valid`` or ``test``.

    Of ``train`` as many as the test split has, the same ones always, since distances depend on N.
    """
    if split != "train":
        return splits.valid if split == "valid" else splits.test
    train = splits.train
    chosen = _order(splits, "train", "train part")[: splits.test.n].sort().values
    labels = None if train.labels is None else train.labels[chosen.to(train.labels.device)]
    if isinstance(train.source, Tensor):
        return Images(train.source.index_select(0, chosen.to(train.device)), labels, device=train.device)
    names = tuple(train.source.names[index] for index in chosen.tolist())
    return Images(replace(train.source, names=names), labels, device=train.device)


@dataclass(frozen=True)
class Floor:
    """What as many real images score: the size of a difference that says nothing (Trap 30h)."""

    frechet: float
    kid: float
    of: str
    """``500 train images``."""


class Reference:
    """The real images of a split as an extractor sees them; what is not asked for is not computed.

    All of it is remembered, and so on no round's bill.
    """

    def __init__(self, extractor: Extractor, splits: Splits, split: Split) -> None:
        self.extractor, self.split = extractor, split
        images = images_of(splits, split)
        self.n, self.labels = images.n, None if images.labels is None else images.labels.cpu()
        with on_no_bill():
            self.seen: Seen = joined(extractor.look(block) for block in images.chunks(_BLOCK))
        self._floors: dict[int, Floor] = {}

    @cached_property
    def gaussian(self) -> Gaussian:
        """The Gaussian fit of the features."""
        with on_no_bill():
            return fit(self.seen.features, "real images")

    @cached_property
    def radii(self) -> Tensor:
        """Distances to the five nearest other images, (n, 5)."""
        with on_no_bill():
            return radii(self.seen.features)

    @cached_property
    def spread(self) -> float:
        """Mean distance between two images."""
        with on_no_bill():
            return spread(self.seen.features)

    @cached_property
    def accuracy(self) -> float | None:
        """Share of the images that the extractor classifies correctly; None without labels or classes."""
        if self.labels is None or self.seen.classes is None:
            return None
        return float((self.seen.classes == self.labels).double().mean())

    def floor(self, splits: Splits, n: int) -> Floor:
        """Real against real: n images of another split in place of the samples. One draw, the same always."""
        if n not in self._floors:
            with on_no_bill():
                self._floors[n] = self._floor(splits, n)
        return self._floors[n]

    def _floor(self, splits: Splits, n: int) -> Floor:
        other = _other(splits, self.split, n)
        images: Images = getattr(splits, other)
        order = _order(splits, other, "floor")[:n]
        starts = range(0, len(order), _BLOCK)
        seen = joined(self.extractor.look(images.batch(order[start : start + _BLOCK])) for start in starts)
        apart = distance(fit(seen.features, "real images"), self.gaussian)
        return Floor(apart, kid(seen.features, self.seen.features), f"{len(order)} {other} images")


def _other(splits: Splits, split: Split, n: int) -> Split:
    """Another held-out split if it has n images, else the training split, which the own classifier has seen."""
    if split == "train":
        return "test"
    other: Split = "test" if split == "valid" else "valid"
    return other if images_of(splits, other).n >= n else "train"


def _order(splits: Splits, split: Split, purpose: str) -> Tensor:
    """The images of a split in an order that never follows the run's seed."""
    images: Images = getattr(splits, split)
    return torch.randperm(images.n, generator=torch.Generator().manual_seed(derive(0, purpose, split)))
