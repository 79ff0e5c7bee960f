"""Floors: what each figure could reach at best, so that a margin can be a share of the distance to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from gentickets.data import Images, Splits
from gentickets.errors import TicketError
from gentickets.metrics import Floor, floor_of
from gentickets.quality.extractor import Extractor
from gentickets.quality.reference import Split, images_of, reference
from gentickets.shared import on_no_bill

_BLOCK = 256
_entropies: dict[str, float] = {}
"""Fingerprint of the images -> their entropy, once per process."""


def floors(
    kinds: Mapping[str, Floor],
    splits: Splits,
    split: Split,
    figures: Iterable[str],
    *,
    extractor: Extractor | None = None,
    samples: int | None = None,
) -> dict[str, float]:
    """Figure -> its floor on a split, for those of which one is known (`gentickets.metrics.floor_of`).

    ``kinds``: what the family says of its own figures. ``samples``: as many as the figures of samples were taken of, by
    default as the split has images. All of it depends on the data alone, is computed once per process, and is on no
    bill.
    """
    found = {name: _number(floor_of(name, kinds), splits, split, extractor, samples) for name in figures}
    return {name: number for name, number in found.items() if number is not None}


def _number(
    kind: Floor | None, splits: Splits, split: Split, extractor: Extractor | None, samples: int | None
) -> float | None:
    if kind == "pixel entropy":
        return pixel_entropy(images_of(splits, split))
    if kind == "real against real":
        real = None if extractor is None else reference(extractor, splits, split)
        return None if real is None else real.floor(splits, samples or real.n).frechet
    return {"zero": 0.0, "one": 1.0}.get(str(kind))


def pixel_entropy(images: Images) -> float:
    """Mean over images of the entropy of their grey values as Bernoulli means, in nats per image.

    No Bernoulli cross-entropy is below it, since that of a grey value q is least where the decoder says q. It is 0 for
    binary images. Raises TicketError where there are no images.
    """
    if images.n == 0:
        raise TicketError("there are no images to take the entropy of")
    if images.fingerprint not in _entropies:
        with on_no_bill():
            total = sum(_entropy(batch) for batch in images.chunks(_BLOCK))
        _entropies[images.fingerprint] = total / images.n
    return _entropies[images.fingerprint]


def _entropy(batch: torch.Tensor) -> float:
    grey = ((batch.cpu().double() + 1) / 2).clamp(0, 1)
    return float(-(torch.xlogy(grey, grey) + torch.xlogy(1 - grey, 1 - grey)).sum())
