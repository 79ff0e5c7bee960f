"""Collapse: whether samples cover the real images; a Frechet distance may not notice (Trap 30e)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gentickets.errors import TicketError
from gentickets.quality.frechet import checked_features

NEIGHBOURS = 5
MIN_COVERAGE = 0.1
MIN_SPREAD = 0.5
MISSING = 0.1
"""A class is missing when its share among the samples is below this part of its share among real images."""
_BLOCK = 1024


def radii(real: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Distance of each real image, features (m, d), to its k-th nearest other real image: float64, (m,)."""
    reals = checked_features(real, "real images")
    if len(reals) <= k:
        needed = f"needs more than {k} real images, not {len(reals)}"
        raise TicketError(f"coverage {needed}: use more images, or set [quality] frechet = false")
    # the nearest one is the image itself
    found = [torch.cdist(block, reals).topk(k + 1, dim=1, largest=False).values[:, k] for block in _blocks(reals)]
    return torch.cat(found)


def coverage_gap(fake: Tensor, real: Tensor, *, reach: Tensor | None = None) -> float:
    """1 - coverage: the fraction of real images with no sample nearer than their fifth real neighbour.

    Features (n, d) and (m, d), in float64; 0 is best, 1 worst (Naeem, 2020). As many real images in place of
    the samples leave about 1/2^5; fewer samples than real images leave more. ``reach`` is `radii` of the real
    features, where they are known already.
    """
    fakes, reals = checked_features(fake, "samples"), checked_features(real, "real images")
    if reach is None:
        reach = radii(reals)
    nearest = torch.cat([torch.cdist(block, fakes).min(dim=1).values for block in _blocks(reals)])
    return int((nearest >= reach).sum()) / len(reals)


def spread(features: Tensor) -> float:
    """Mean distance between two different members of a set of features (n, d), n >= 2."""
    checked = checked_features(features, "images")
    total = math.fsum(float(torch.cdist(block, checked).sum()) for block in _blocks(checked))
    return total / (len(checked) * (len(checked) - 1))


def missing_classes(fake: Tensor, real: Tensor) -> list[int]:
    """Classes that the samples lack: a share under a tenth of the real one, where at least 10 were expected.

    ``fake`` and ``real`` are predicted classes, int64 (n,) and (m,), of one classifier.
    """
    count = int(max(fake.max(), real.max())) + 1
    of_fake, of_real = (torch.bincount(side, minlength=count).double() / len(side) for side in (fake, real))
    expected = of_real * len(fake) >= 10
    return [int(label) for label in torch.nonzero(expected & (of_fake < MISSING * of_real)).flatten()]


def collapsed(*, missing: list[int], classes: int, relative_spread: float, gap: float) -> str | None:
    """One sentence if samples have collapsed, else None.

    Signs: a fifth of the ``classes`` is ``missing``; samples lie less than half as far apart as real
    images do (``relative_spread``); they reach less than a tenth of the real images (1 - ``gap``).
    """
    signs: list[str] = []
    if missing and len(missing) >= math.ceil(classes / 5):
        signs.append(f"{len(missing)} of {classes} classes are missing ({', '.join(map(str, missing))})")
    if relative_spread < MIN_SPREAD:
        signs.append(f"they lie {relative_spread:.2f} times as far apart as real images do")
    if (coverage := 1.0 - gap) < MIN_COVERAGE:
        signs.append(f"they reach {100 * coverage:.1f} % of the real images (coverage)")
    return f"The samples have collapsed: {'; '.join(signs)}." if signs else None


def _blocks(features: Tensor) -> Iterator[Tensor]:
    return (features[start : start + _BLOCK] for start in range(0, len(features), _BLOCK))
