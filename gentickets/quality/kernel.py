"""Kernel distance: the unbiased squared maximum mean discrepancy under a cubic kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from gentickets.quality.pairs import checked_pair, require, rows
from gentickets.seeds import derive

MOST = 10_000
"""Up to so many images a side all pairs are taken: that costs what 100 subsets of 1,000 do, and scatters less."""
SUBSETS = 100
SUBSET = 1000


def kid(fake: Tensor, real: Tensor) -> float:
    """Kernel distance of samples (n, d) and real images (m, d), n and m >= 2, in float64 (Binkowski, 2018).

    The kernel is (x . y / d + 1)^3. The estimate is unbiased, so that it may be slightly negative where both are
    alike, and values at different N share one expectation. From all pairs, or beyond 10,000 images on a side the mean
    over 100 subsets of 1,000, which never follow the global random state (Trap 30c).
    """
    fakes, reals = checked_pair(fake, real)
    require("kid", len(fakes), len(reals))
    if not _by_subsets(len(fakes), len(reals)):
        return _within(fakes) + _within(reals) - 2 * _total(fakes, reals) / (len(fakes) * len(reals))
    # imported late: it loads torchvision
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    seed = derive(0, "kid subsets") % 2**32
    settings = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET, "rng_seed": seed, "verbose": False}
    return float(kid_features_to_metric(fakes, reals, **settings)[KEY_METRIC_KID_MEAN])


def kid_told(samples: int, real: int) -> str:
    """How it is estimated at these numbers: ``all pairs``, or ``mean of 100 subsets of 1,000``."""
    return f"mean of {SUBSETS} subsets of {SUBSET:,}" if _by_subsets(samples, real) else "all pairs"


def _by_subsets(samples: int, real: int) -> bool:
    return max(samples, real) > MOST and min(samples, real) >= SUBSET


def _within(points: Tensor) -> float:
    """Mean of the kernel over pairs of two different members."""
    itself = _cubes((points * points).sum(dim=1), points.shape[1])
    total = 0.0
    for part in rows(points, len(points)):
        # the kernel is symmetric: what lies right of the diagonal block counts twice
        total += _total(points[part], points[part]) + 2 * _total(points[part], points[part.stop :])
    return (total - itself) / (len(points) * (len(points) - 1))


def _total(one: Tensor, other: Tensor) -> float:
    """Sum of the kernel over all pairs."""
    return sum(_cubes((one[part] @ other.T).flatten(), one.shape[1]) for part in rows(one, len(other)))


def _cubes(products: Tensor, features: int) -> float:
    """Sum of (x . y / d + 1)^3 over products x . y, which are overwritten."""
    products.div_(features).add_(1.0)
    return float(torch.dot(products * products, products))
