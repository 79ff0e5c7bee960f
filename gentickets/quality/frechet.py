"""Frechet distance between Gaussian fits of two sets of features, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gentickets.errors import TicketError
from gentickets.quality.pairs import checked_features

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """The Gaussian fit of n features: mean (d,), and covariance (d, d) taken over the samples."""

    mean: Array
    covariance: Array
    n: int


def fit(features: Tensor, what: str = "features") -> Gaussian:
    """The Gaussian fit of features (n, d), n >= 2, in float64; the covariance divides by n - 1.

    A value that is not finite is refused here, before any linear algebra sees it (Trap 30a: one NaN ends the
    process or comes out as zeros): TicketError with status DIVERGED.
    """
    # imported late: it loads torchvision
    from torch_fidelity.metric_fid import fid_features_to_statistics

    checked = checked_features(features, what)
    if len(checked) < 2:
        raise TicketError(f"a covariance needs at least 2 {what}, not {len(checked)}")
    statistics = fid_features_to_statistics(checked)
    return Gaussian(statistics["mu"], np.atleast_2d(statistics["sigma"]), len(checked))


def distance(one: Gaussian, other: Gaussian) -> float:
    """Squared Frechet distance, at least 0: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson, 1982)."""
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    if one.mean.shape != other.mean.shape:
        raise TicketError(f"{len(one.mean)} features cannot be compared with {len(other.mean)}")
    pair = [{"mu": side.mean, "sigma": side.covariance} for side in (one, other)]
    # rounding leaves about -1e-12 for equal sets
    return max(0.0, float(fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID]))


def frechet(fake: Tensor, real: Tensor) -> float:
    """Frechet distance between two sets of features, (n, d) and (m, d). See `fit` and `distance`.

    It shrinks as n grows, so compare values at the same n, m and features only. It is called FID only with
    the Inception network of Heusel (2017): see `gentickets.quality.inception`.
    """
    return distance(fit(fake, "samples"), fit(real, "real images"))
