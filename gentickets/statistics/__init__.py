"""Statistics of a verdict: what paired seeds show, over arrays, so that one verdict and a million of them are one code.

Everything here works on arrays whose last axis is the seeds, less being better; leading axes are repetitions. SciPy
brings the distributions.
"""

from __future__ import annotations

from gentickets.statistics.deciding import (
    EQUAL_STEPS,
    FASTER,
    HOLDS,
    LEAST_SEEDS,
    LOSES,
    MATCHES,
    UNDECIDED,
    WINS,
    Decided,
    decide,
)
from gentickets.statistics.paired import holm, p_below, upper_bound
from gentickets.statistics.shown import Shown, Values, not_known, shown

__all__ = [
    "EQUAL_STEPS",
    "FASTER",
    "HOLDS",
    "LEAST_SEEDS",
    "LOSES",
    "MATCHES",
    "UNDECIDED",
    "WINS",
    "Decided",
    "Shown",
    "Values",
    "decide",
    "holm",
    "not_known",
    "p_below",
    "shown",
    "upper_bound",
]
