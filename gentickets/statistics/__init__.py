"""Statistics of a verdict: what paired seeds show, over arrays, so that one verdict and a million of them are one code.

Everything here works on arrays whose last axis is the seeds, less being better; leading axes are repetitions. SciPy
brings the distributions.
"""

from __future__ import annotations

from gentickets.statistics.bootstrap import bootstrap_interval
from gentickets.statistics.deciding import (
    EQUAL_STEPS,
    FASTER,
    HOLDS,
    LEAST_SEEDS,
    LOSES,
    MATCHES,
    UNDECIDED,
    WINS,
    WORDS,
    Decided,
    Sizes,
    decide,
)
from gentickets.statistics.looks import look_sizes, seeds_judged
from gentickets.statistics.paired import holm, holm_sizes, p_below, upper_bound
from gentickets.statistics.power import Forecast, chances, power_curve, seeds_needed
from gentickets.statistics.shown import AS_WELL, Shown, Values, less, not_known, shown

__all__ = [
    "AS_WELL",
    "EQUAL_STEPS",
    "FASTER",
    "HOLDS",
    "LEAST_SEEDS",
    "LOSES",
    "MATCHES",
    "UNDECIDED",
    "WINS",
    "WORDS",
    "Decided",
    "Forecast",
    "Shown",
    "Sizes",
    "Values",
    "bootstrap_interval",
    "chances",
    "decide",
    "holm",
    "holm_sizes",
    "less",
    "look_sizes",
    "not_known",
    "p_below",
    "power_curve",
    "seeds_judged",
    "seeds_needed",
    "shown",
    "upper_bound",
]
