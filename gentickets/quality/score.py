"""Inception Score: whether single samples look like one class, and all of them like many."""

from __future__ import annotations

import math

from torch import Tensor

from gentickets.quality.pairs import checked_features, require

PART = 5000
"""Samples in a part, as in the original's 50,000 in ten."""


def inception_score(logits: Tensor) -> float:
    """exp of the mean KL divergence of each sample's classes from those of all (Salimans, 2016), in float64.

    ``logits`` is (n, classes), n >= 2; the value lies between 1 and the number of classes. It is the mean over parts of
    at least 5,000 samples: ten at 50,000, as published, and one below 10,000.
    """
    checked = checked_features(logits, "samples")
    require("inception_score", len(checked), 0)
    chances = checked.log_softmax(dim=1)
    return math.fsum(map(_part, chances.tensor_split(_parts(len(checked))))) / _parts(len(checked))


def score_told(samples: int) -> str:
    """In how many parts it is taken: ``one part``, ``mean of 10 parts``."""
    return "one part" if _parts(samples) == 1 else f"mean of {_parts(samples)} parts"


def _parts(n: int) -> int:
    return max(1, n // PART)


def _part(chances: Tensor) -> float:
    # by logarithms throughout: a class of probability 0 everywhere must not give 0 times infinity
    together = chances.logsumexp(dim=0) - math.log(len(chances))
    return math.exp(max(0.0, float((chances.exp() * (chances - together)).sum(dim=1).mean())))
