"""Statistics of a verdict: what paired seeds show, over arrays, so that one verdict and a million of them are one code.

Everything here works on arrays whose last axis is the seeds, less being better; leading axes are repetitions. SciPy
brings the distributions.
"""

from __future__ import annotations

from gentickets.statistics.bootstrap import bootstrap_interval
from gentickets.statistics.evidence import LEAST_SEEDS, Arms, Evidence, contrasts, nothing
from gentickets.statistics.margins import Margin
from gentickets.statistics.paired import holm, less, p_below, tails, upper_bound
from gentickets.statistics.record import Part, parts
from gentickets.statistics.spending import Spending
from gentickets.statistics.tree import Judgement, Terms, decide_tree, every_level_worse, judge
from gentickets.statistics.worth import Worth, judge_worth

__all__ = [
    "LEAST_SEEDS",
    "Arms",
    "Evidence",
    "Judgement",
    "Margin",
    "Part",
    "Spending",
    "Terms",
    "Worth",
    "bootstrap_interval",
    "contrasts",
    "decide_tree",
    "every_level_worse",
    "holm",
    "judge",
    "judge_worth",
    "less",
    "nothing",
    "p_below",
    "parts",
    "tails",
    "upper_bound",
]
