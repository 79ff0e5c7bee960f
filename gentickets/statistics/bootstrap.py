"""A bootstrap interval beside the t interval: what the seeds say without taking them for normal."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gentickets.errors import TicketError
from gentickets.seeds import derive
from gentickets.statistics.evidence import LEAST_SEEDS

RESAMPLES = 9999


def bootstrap_interval(losses: ArrayLike, confidence: float = 0.95, seed: int = 0) -> tuple[float, float] | None:
    """Two-sided bias-corrected and accelerated bootstrap interval of the mean over seeds (Efron, 1987), by SciPy.

    ``losses`` (seeds): one number a seed; the interval has their unit. None below 3 seeds, or where one is not finite;
    where all are the same, that point twice. Equal arguments give equal intervals.

    It is shown beside a verdict and decides nothing, because with few seeds it is too narrow: resampling knows no
    values beyond those seen. Of normal losses, intervals meant to hold the true mean 95 times in 100 hold it 73 times
    with 3 seeds, 84 times with 5 and 90 times with 10, by simulation; those of Student's t 95 times.

    Raises:
        TicketError: the losses are not a list of numbers, or the confidence is not between 0 and 1.
    """
    values = np.asarray(losses, dtype=float)
    if values.ndim != 1:
        raise TicketError(f"a bootstrap interval takes one number per seed, not an array of shape {values.shape}")
    if not 0 < confidence < 1:
        raise TicketError(f"confidence must be between 0 and 1, not {confidence}")
    if len(values) < LEAST_SEEDS or not np.isfinite(values).all():
        return None
    middle, width = float(values.mean()), float(np.ptp(values))
    if width <= 1e-14 * np.abs(values).max():  # only rounding; SciPy would give no number, and warn
        return middle, middle
    from scipy import stats  # it takes longer to import than the rest of a report

    found = stats.bootstrap(
        ((values - middle) / width,),  # powers of very small or large losses leave the range of floats
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(derive(seed, "bootstrap")),
    ).confidence_interval
    return middle + width * float(found.low), middle + width * float(found.high)
