"""Verdicts of simulated runs: how often is more good, or more bad, said of a ticket than is true?

Runs are drawn from a world by the thousand and judged by the very code that judges a real one, at every declared
interim analysis. Beside it stand the habits of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.seeds import derive
from gentickets.simulation.arms import Flags, Runs, World, draw_runs
from gentickets.statistics import (
    BAD,
    VERDICTS,
    Arms,
    Terms,
    judge,
)

Codes = NDArray[np.int8]

Rule = Callable[[Runs, Terms], Codes]
"""(runs with the seeds so far, the claim's terms) -> verdicts (runs, levels), as places in a list of verdicts."""
_CHUNK = 1000
"""Runs drawn at a time."""


def by_tree(runs: Runs, terms: Terms) -> Codes:
    """The rule of the product."""
    return judge(runs.levels, terms, longer=runs.longer, declared=runs.declared).codes


def run_verdicts(
    world: World, terms: Terms, *, runs: int = 10_000, seed: int = 0, rule: Rule = by_tree
) -> NDArray[np.int8]:
    """Verdicts (analyses, runs, levels) of runs of a world after each interim analysis, all of which are taken."""
    sizes = terms.plan.sizes()
    found = []
    for start in range(0, runs, _CHUNK):
        drawn = draw_runs(world, min(_CHUNK, runs - start), sizes[-1], derive(seed, "runs", start))
        found.append(np.stack([rule(drawn.first(size), terms) for size in sizes]))
    codes: Codes = np.concatenate(found, 1)
    return codes


@dataclass(frozen=True)
class Rates:
    """Shares of runs in which something false is said at any level and analysis."""

    any: float
    praise: float
    """More good than is true."""
    blame: float
    """More bad than is true."""
    verdicts: dict[str, float]
    """Verdict -> how often what it adds is false: MATCHES DENSE and the two wins say too much good, the others bad."""
    runs: int

    def error(self, share: float) -> float:
        """The standard error of a simulated share."""
        return float(np.sqrt(share * (1 - share) / self.runs))


def false_rates(world: World, codes: Codes) -> Rates:
    """How often verdicts (analyses, runs, levels) of a world's runs are false."""
    good, bad = (np.stack(one) for one in zip(*(world.wrong(place) for place in range(codes.shape[-1])), strict=True))
    places = np.arange(codes.shape[-1])
    praise, blame = good[places, codes], bad[places, codes]

    def share(flags: Flags) -> float:
        return float(flags.any((0, 2)).mean())

    added = {name: blame if name in BAD else praise for name in VERDICTS}
    each = {name: share(added[name] & (codes == code)) for code, name in enumerate(VERDICTS)}
    return Rates(share(praise | blame), share(praise), share(blame), each, codes.shape[1])


def within_one_deviation(arms: Arms) -> Flags:
    """The field's habit: winning is a mean of at most the dense mean plus one standard deviation of dense."""
    found: Flags = arms.ticket.mean(-1) <= arms.dense.mean(-1) + arms.dense.std(-1, ddof=1)
    return found


def best_of_levels(levels: Sequence[Arms]) -> Flags:
    """The field's other habit: some level is within one standard deviation of dense, and that one is shown."""
    found: Flags = np.logical_or.reduce([within_one_deviation(one) for one in levels])
    return found
