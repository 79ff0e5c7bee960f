"""Paired tests over seeds: Student's t and its bound."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative differences up to this come from the order of sums, not from networks."""


def p_below(values: ArrayLike, limit: float = 0.0) -> Array:
    """One-sided p-values (...) that the mean of ``values`` (..., seeds) is below a limit (Student, 1908).

    The chance of a mean this low if the true one were the limit. With one seed 1, and where a value is not finite;
    where all seeds give the same, 0 below the limit and 1 otherwise.
    """
    mean, error, n = moments(values)
    if n < 2:
        return np.ones_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(n - 1, (mean - limit) / error)
    return np.where(error > 0, p, np.where(mean < limit, 0.0, 1.0))


def tails(values: ArrayLike) -> tuple[Array, Array]:
    """The one-sided p-values (...) that the mean of ``values`` (..., seeds) is below 0, and that it is above.

    Student's t test, both tails exact however small. Where all seeds give the same it has no scale to go by: the sign
    test's 2^-n then, and 1 on both sides where they give 0.
    """
    mean, error, n = moments(values)
    if n < 2:
        ones = np.ones_like(mean)
        return ones, ones
    with np.errstate(divide="ignore", invalid="ignore"):
        small = special.stdtr(n - 1, -np.abs(mean) / error)
    small = np.where(error > 0, small, 0.5**n)
    other = 1 - small
    nothing = ~np.isfinite(mean) | ((mean == 0) & (error == 0))
    below, above = np.where(mean < 0, small, other), np.where(mean < 0, other, small)
    return np.where(nothing, 1.0, below), np.where(nothing, 1.0, above)


def upper_bound(values: ArrayLike, alpha: float = 0.05) -> Array:
    """One-sided upper bounds (...) of the mean at 1 - alpha: mean + t(1 - alpha, n - 1) sd / sqrt(n).

    Infinite with one seed, and where a value is not finite.
    """
    mean, error, n = moments(values)
    if n < 2:
        return np.full_like(mean, np.inf)
    return np.where(np.isnan(mean), np.inf, mean + special.stdtrit(n - 1, 1 - alpha) * error)


def moments(values: ArrayLike) -> tuple[Array, Array, int]:
    """Mean, standard error and number of seeds; an error that is only rounding is none.

    What is not finite has no mean: less is better, and minus infinity would win.
    """
    found = np.asarray(values, dtype=float)
    found = np.where(np.isfinite(found), found, np.nan)
    n = found.shape[-1]
    mean = found.mean(-1)
    error = found.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros_like(mean)
    rounding = 1e-14 * np.abs(found).max(-1, initial=0.0)
    return mean, np.where(error > rounding, error, 0.0), n


def less(first: ArrayLike, second: ArrayLike) -> Array:
    """First less second, and 0 where they differ by no more than rounding: a lead of one bit is none."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    with np.errstate(invalid="ignore"):
        difference: Array = one - other
        scale = np.maximum(np.abs(one), np.abs(other))
        rounding = np.isfinite(scale) & (np.abs(difference) <= ROUNDING * scale)
    return np.where(rounding, 0.0, difference)
