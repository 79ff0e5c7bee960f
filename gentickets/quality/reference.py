"""Reference: the real side of a comparison, computed once for an extractor, a split and a sample size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from gentickets.data import Images, Splits
from gentickets.quality.collapse import radii, spread
from gentickets.quality.features import Extractor
from gentickets.quality.frechet import Gaussian, distance, fit
from gentickets.seeds import derive

_BLOCK = 256
_KEEP = 4
_known: OrderedDict[tuple[str, str, str, int], Reference] = OrderedDict()


@dataclass(frozen=True)
class Reference:
    """What samples are compared with. ``classes`` are predicted ones, None without a classifier."""

    features: Tensor
    classes: Tensor | None
    gaussian: Gaussian
    radii: Tensor
    spread: float
    floor: float
    """Frechet distance of as many real images, from another split, to these."""
    floor_told: str
    """``floor real against real 2.01 (500 train images)``."""


def reference(extractor: Extractor, splits: Splits, split: str, n: int) -> Reference:
    """The real side for n samples against the split ``valid`` or ``test``; the last four are remembered."""
    key = (extractor.hash, splits.fingerprint, split, n)
    if key not in _known:
        _known[key] = _computed(extractor, splits, split, n)
        while len(_known) > _KEEP:
            _known.popitem(last=False)
    return _known[key]


def _computed(extractor: Extractor, splits: Splits, split: str, n: int) -> Reference:
    images = splits.valid if split == "valid" else splits.test
    passes = [extractor.both(block) for block in images.chunks(_BLOCK)]
    features = torch.cat([found for found, _ in passes])
    labels = [found for _, found in passes if found is not None]
    gaussian = fit(features, "real images")
    other = _others(splits, split, n)
    chosen = _some(splits, other, n)
    floor = distance(fit(extractor.features(chosen), "real images"), gaussian)
    return Reference(
        features=features,
        classes=torch.cat(labels) if labels else None,
        gaussian=gaussian,
        radii=radii(features),
        spread=spread(features),
        floor=floor,
        floor_told=f"floor real against real {floor:.3g} ({len(chosen)} {other} images)",
    )


def _others(splits: Splits, split: str, n: int) -> str:
    """The other held-out split if it has n images, else the training split, which the classifier has seen."""
    other, images = ("test", splits.test) if split == "valid" else ("valid", splits.valid)
    return other if images.n >= n else "train"


def _some(splits: Splits, split: str, n: int) -> Tensor:
    """n images of a split in an order that never follows the run's seed; all of them where it has fewer."""
    images: Images = {"train": splits.train, "valid": splits.valid, "test": splits.test}[split]
    rng = torch.Generator().manual_seed(derive(0, "floor", split))
    order = torch.randperm(images.n, generator=rng)[:n]
    starts = range(0, len(order), _BLOCK)
    return torch.cat([images.batch(order[start : start + _BLOCK]).cpu() for start in starts])
