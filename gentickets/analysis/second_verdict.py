"""The second verdict: is the ticket worth its search, against what the same total compute gives otherwise?

It is printed behind the first one and has an alpha of its own: a ticket may win at equal steps although its search
would have trained a dense model for longer. What is tested are the same contrasts as of the first verdict, with the
arms of equal total compute in place of dense and controls (`gentickets.statistics.worth`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gentickets.analysis.comparison import values_or_why
from gentickets.analysis.gathered import Gathered
from gentickets.analysis.parts import PartMaker
from gentickets.analysis.results import RunResults
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.tested import LevelPart
from gentickets.arms import DENSE, DENSE_WHOLE, TICKET
from gentickets.ledger import total_compute
from gentickets.recipe.whole import whole_arms
from gentickets.statistics import (
    LEAST_SEEDS,
    OPEN,
    judge_worth,
)


@dataclass(frozen=True, kw_only=True)
class SecondVerdict:
    """Whether a ticket is worth its search."""

    word: str
    """``WORTH ITS SEARCH``, ``NOT WORTH ITS SEARCH`` or ``OPEN``."""
    steps: float
    """Optimizer steps behind the ticket, search included, which all arms take."""
    own: float
    """Those of the ticket's own training."""
    part: LevelPart | None = None
    """The ticket against the dense model of equal total compute, and against the other arms."""
    p_worth: float | None = None
    """Repeated over the interim analyses; tested at ``size``."""
    size: float | None = None
    p_not_worth: float | None = None
    """The same of NOT WORTH ITS SEARCH, with Bonferroni's correction over all arms; tested at ``blame``."""
    blame: float | None = None
    flops: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """``ticket`` and arm -> ``executed`` and ``masked`` FLOPs, ``steps``; means over seeds."""
    reuses: Mapping[str, int | None] = field(default_factory=dict)
    """Unit -> from how many trainings of the ticket on its search is repaid; null: never."""


def second_verdict(results: RunResults, terms: ClaimTerms, round: int) -> SecondVerdict | None:
    """The second verdict on a level; None where the recipe has no arms of equal total compute, or no ticket."""
    declared = whole_arms(results.recipe)
    spent = total_compute(results.all, results.recipe, round)
    if not declared or spent is None:
        return None
    found = _gathered(results, terms, round, declared)
    blank = SecondVerdict(
        word=OPEN, steps=spent.ticket.steps, own=spent.own.steps, reuses=spent.reuses,
        flops={"ticket": spent.ticket.as_dict(), **{arm: one.as_dict() for arm, one in spent.arms.items()}},
    )  # fmt: skip
    if found is None or len(found.seeds) < max(LEAST_SEEDS, results.required_seeds):
        return blank
    if terms.terms.images == "sample" and found.without_images:
        return blank
    judged = judge_worth(found.arms(terms), terms.terms)
    praise, blame = terms.terms.praise, terms.terms.blame
    taken = terms.terms.plan.taken(len(found.seeds))
    maker = PartMaker(found, terms, praise, blame, longer=True)
    return SecondVerdict(
        word=str(judged.verdicts),
        steps=blank.steps,
        own=blank.own,
        part=maker.part(judged.judgement.levels[0], taken) if taken else None,
        p_worth=float(judged.worth),
        size=praise,
        p_not_worth=float(judged.not_worth),
        blame=blame,
        flops=blank.flops,
        reuses=blank.reuses,
    )


def _gathered(results: RunResults, terms: ClaimTerms, round: int, declared: list[str]) -> Gathered | None:
    """The arms of equal total compute with the dense one among them in dense's place; None where that is missing."""
    dense = values_or_why(results, DENSE_WHOLE, round, terms.metric)
    ticket = results.values(TICKET, round, terms.metric, "test")
    if isinstance(dense, str) or not ticket or DENSE_WHOLE not in declared:
        return None
    others = [arm for arm in declared if arm != DENSE_WHOLE]
    outcomes = {arm: values_or_why(results, arm, round, terms.metric) for arm in others}
    there = {arm: own for arm, own in outcomes.items() if not isinstance(own, str)}
    unfinished = {arm: why for arm, why in outcomes.items() if isinstance(why, str)}
    images = {arm: results.single_images(arm, round, terms.metric) for arm in (TICKET, *there)}
    images[DENSE] = results.single_images(DENSE_WHOLE, round, terms.metric)
    return Gathered(ticket, dense, there, tuple(others), unfinished, images)
