"""Checks whether the dense model that a ticket is compared with has converged."""

from __future__ import annotations

import statistics

from gentickets.analysis.contrast import ALPHA, paired
from gentickets.analysis.levels import ClaimTerms
from gentickets.analysis.results import RunResults
from gentickets.analysis.run_verdict import Convergence
from gentickets.analysis.verdict import trial_of, values_of
from gentickets.arms import TWICE
from gentickets.statistics import LEAST_SEEDS, shown


def convergence_of(results: RunResults, terms: ClaimTerms) -> Convergence | None:
    """How much the dense model improves by twice the steps, and how steep its last quarter is; None if unknown.

    It is trained where the gain is shown to be under the claim's margin, and not trained where it is shown to be above
    it (each by a one-sided paired t test at 5 %).
    """
    dense = results.values("ticket", 0, terms.metric, "test")
    twice = results.values(TWICE, 0, terms.metric, "test")
    slope = _slope(results, terms)
    gain = trial = None
    if dense and twice:
        gain = paired(twice, dense, higher=terms.higher)
        trial = trial_of(dense, twice, terms.margin, higher=terms.higher)
    if gain is None or trial is None:
        return None if slope is None else Convergence(slope=slope)
    trained = None
    if gain.n >= LEAST_SEEDS:
        found = shown(values_of(trial, terms.higher), terms.margin)
        trained = True if found.holds <= ALPHA else False if found.worse <= ALPHA else None
    size = abs(statistics.mean(dense[seed] for seed in dense if seed in twice))
    relative = gain.mean / size if size else None
    return Convergence(better_by=gain, relative=relative, slope=slope, trained=trained)


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
