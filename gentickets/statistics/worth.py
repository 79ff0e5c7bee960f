"""The second verdict: is a ticket worth its search, against what the same total compute gives otherwise?

Asked with an alpha of its own, of the same contrasts: ``dense`` of the arms is the dense model of equal total compute,
``controls`` are the other ways to spend it. WORTH ITS SEARCH: within the margin of that dense model, and ahead of each
of the others by more than the lead. NOT WORTH ITS SEARCH: one of those parts is shown to be false, by Bonferroni over
all of them. OPEN: neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.statistics.evidence import LEAST_SEEDS, Arms
from gentickets.statistics.tree import Judgement, Terms, judge

Array = NDArray[np.float64]

WORTH = "WORTH ITS SEARCH"
NOT_WORTH = "NOT WORTH ITS SEARCH"
OPEN = "OPEN"
WORTHS = (OPEN, NOT_WORTH, WORTH)


@dataclass(frozen=True)
class Worth:
    """The second verdict and what it rests on."""

    codes: NDArray[np.int8]
    """(...): places in `WORTHS`."""
    worth: Array
    """Repeated p-values (...) of WORTH ITS SEARCH, tested at four fifths of alpha."""
    not_worth: Array
    """Those of NOT WORTH ITS SEARCH, with Bonferroni's factor in them, tested at one fifth of alpha."""
    factor: int
    """Bonferroni's: the declared arms of equal total compute, dense among them."""
    judgement: Judgement
    """The contrasts, as one level."""

    @property
    def verdicts(self) -> NDArray[np.str_]:
        """(...): the verdicts' names."""
        found: NDArray[np.str_] = np.array(WORTHS)[self.codes]
        return found


def judge_worth(arms: Arms, terms: Terms) -> Worth:
    """The second verdict; declared arms that are missing leave it open, unless one that is there shows NOT WORTH."""
    found = judge([arms], terms)
    (level,), (nodes,) = found.levels, found.nodes
    tests = [nodes.worse, *(terms.plan.repeated(p) for p in level.behind.values())]
    factor = len(level.opponents) + 1
    against: Array = np.minimum(1.0, factor * np.minimum.reduce(tests))
    good, bad = nodes.ahead <= terms.praise, against <= terms.blame
    codes = np.where(good & ~bad, WORTHS.index(WORTH), np.where(bad & ~good, WORTHS.index(NOT_WORTH), 0))
    if max(terms.plan.taken(arms.ticket.shape[-1]), default=0) < LEAST_SEEDS:
        codes = np.zeros_like(codes)
    return Worth(codes.astype(np.int8), nodes.ahead, against, factor, found)
