"""Collapse: signs that samples cover few of the real images; a Frechet distance may not notice (Trap 30e)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gentickets.quality.pairs import checked_features, rows

MIN_COVERAGE = 0.1
MIN_SPREAD = 0.5
MISSING = 0.1
"""A class is missing when its share among the samples is below this part of its share among real images."""


def spread(features: Tensor) -> float:
    """Mean distance between two different members of a set of features (n, d), n >= 2."""
    checked = checked_features(features, "images")
    parts = (torch.cdist(checked[part], checked) for part in rows(checked, len(checked)))
    return math.fsum(float(apart.sum()) for apart in parts) / (len(checked) * (len(checked) - 1))


def missing_classes(fake: Tensor, real: Tensor) -> list[int]:
    """Classes that the samples lack: a share under a tenth of the real one, where at least 10 were expected.

    ``fake`` and ``real`` are predicted classes, int64 (n,) and (m,), of one classifier.
    """
    count = int(max(fake.max(), real.max())) + 1
    of_fake, of_real = (torch.bincount(side, minlength=count).double() / len(side) for side in (fake, real))
    expected = of_real * len(fake) >= 10
    return [int(label) for label in torch.nonzero(expected & (of_fake < MISSING * of_real)).flatten()]


def collapsed(*, missing: list[int], classes: int, relative_spread: float, coverage: float) -> str | None:
    """One sentence if samples have collapsed, else None.

    Signs: a fifth of the ``classes`` is ``missing``; samples lie less than half as far apart as real
    images do (``relative_spread``); they reach less than a tenth of the real images (``coverage``).
    """
    signs: list[str] = []
    if missing and len(missing) >= math.ceil(classes / 5):
        signs.append(f"{len(missing)} of {classes} classes are missing ({', '.join(map(str, missing))})")
    if relative_spread < MIN_SPREAD:
        signs.append(f"they lie {relative_spread:.2f} times as far apart as real images do")
    if coverage < MIN_COVERAGE:
        signs.append(f"they reach {100 * coverage:.1f} % of the real images (coverage)")
    return f"The samples have collapsed: {'; '.join(signs)}." if signs else None
