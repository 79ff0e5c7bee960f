"""Checks whether the dense model that a ticket is compared with has converged."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import numpy as np

from gentickets.analysis.contrast import ALPHA, paired
from gentickets.analysis.results import RunResults
from gentickets.analysis.run_verdict import Convergence
from gentickets.analysis.terms import ClaimTerms
from gentickets.arms import TICKET, TWICE
from gentickets.statistics import (
    LEAST_SEEDS,
    tails,
)


def convergence_of(results: RunResults, terms: ClaimTerms, round: int) -> Convergence | None:
    """How much the dense model improves by twice the steps, and how steep its last quarter is; None if unknown.

    It is trained where that gain is shown to be smaller than the ticket's lead over it at the claim's round, and not
    trained where it is shown to be larger (each by a one-sided paired t test at 5 %): then twice the steps are worth
    more than the ticket. Where the ticket has no lead over dense, the lead that the claim declares stands for it.
    """
    dense = results.values(TICKET, 0, terms.metric, "test")
    twice = results.values(TWICE, 0, terms.metric, "test")
    slope = _slope(results, terms)
    gain = paired(twice, dense, higher=terms.higher)
    if gain is None:
        return None if slope is None else Convergence(slope=slope)
    ticket = results.values(TICKET, round, terms.metric, "test") if round else {}
    trained, lead, own = _held_against(dense, twice, ticket, terms)
    size = abs(statistics.mean(dense[seed] for seed in dense if seed in twice))
    relative = gain.mean / size if size else None
    return Convergence(better_by=gain, relative=relative, slope=slope, trained=trained, lead=lead, has_lead=own)


def _held_against(
    dense: Mapping[int, float], twice: Mapping[int, float], ticket: Mapping[int, float], terms: ClaimTerms
) -> tuple[bool | None, float | None, bool]:
    """Whether the gain of twice the steps is smaller than a lead; the lead, and whether it is the ticket's own."""
    seeds = sorted(dense.keys() & twice.keys() & ticket.keys())
    if len(seeds) < LEAST_SEEDS:
        return None, None, False
    own, base, more = (terms.losses([of[seed] for seed in seeds]) for of in (ticket, dense, twice))
    lead = base - own
    ahead = float(lead.mean()) > 0
    if not ahead:
        lead = terms.margin.lead_of(base)
    below, above = tails(base - more - lead)
    trained = True if below <= ALPHA else False if above <= ALPHA else None
    return trained, float(np.mean(lead)), ahead


def _slope(results: RunResults, terms: ClaimTerms) -> float | None:
    """The mean change on validation over the last quarter of the dense run, as a share of its end; below zero: better.

    It is read along the training twice as long, which is the dense run itself up to its end where the learning rate
    does not follow from the length: with a schedule that does, nothing is reported.
    """
    train = results.recipe.train
    if train.schedule != "constant":
        return None
    end, changes = train.steps, []
    for cell in results.done(TWICE, 0):
        at = {point["step"]: point["valid"].get(terms.metric) for point in cell.curve}
        before, after = at.get(3 * end // 4), at.get(end)
        if before is not None and after:
            changes.append((-1 if terms.higher else 1) * (after - before) / abs(after))
    return statistics.mean(changes) if changes else None
