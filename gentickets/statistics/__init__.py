"""Statistics of a verdict: what paired seeds show, over arrays, so that one verdict and a million of them are one code.

Everything here works on arrays whose last axis is the seeds, less being better; leading axes are repetitions. SciPy
brings the distributions.
"""

from __future__ import annotations

from gentickets.statistics.bootstrap import bootstrap_interval
from gentickets.statistics.evidence import LEAST_SEEDS, Arms, Evidence, contrasts, nothing
from gentickets.statistics.margins import Margin
from gentickets.statistics.paired import less, p_below, tails, upper_bound
from gentickets.statistics.spending import Spending
from gentickets.statistics.tree import (
    BAD,
    EQUAL_STEPS,
    FAILED,
    FORKS,
    HEAD_START,
    LEAVES,
    MATCHES,
    NO_BETTER,
    PRAISE,
    UNDECIDED,
    VERDICTS,
    WINS,
    WORSE,
    Judgement,
    Nodes,
    Terms,
    decide_tree,
    every_level_worse,
    judge,
    seeds_without_disaster,
    unseen_disasters,
)
from gentickets.statistics.worth import NOT_WORTH, OPEN, WORTH, Worth, judge_worth

__all__ = [
    "BAD",
    "EQUAL_STEPS",
    "FAILED",
    "FORKS",
    "HEAD_START",
    "LEAST_SEEDS",
    "LEAVES",
    "MATCHES",
    "NOT_WORTH",
    "NO_BETTER",
    "OPEN",
    "PRAISE",
    "UNDECIDED",
    "VERDICTS",
    "WINS",
    "WORSE",
    "WORTH",
    "Arms",
    "Evidence",
    "Judgement",
    "Margin",
    "Nodes",
    "Spending",
    "Terms",
    "Worth",
    "bootstrap_interval",
    "contrasts",
    "decide_tree",
    "every_level_worse",
    "judge",
    "judge_worth",
    "less",
    "nothing",
    "p_below",
    "seeds_without_disaster",
    "tails",
    "unseen_disasters",
    "upper_bound",
]
