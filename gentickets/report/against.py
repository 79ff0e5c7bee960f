"""Against: one arm held against a control, where both are there in every seed and measured alike."""

from __future__ import annotations

from collections.abc import Mapping

from gentickets.report import sentence as say
from gentickets.report.cells import Cells
from gentickets.report.verdict import ALPHA, Comparison, paired
from gentickets.report.words import SCALED, Spread, is_higher


def against(
    cells: Cells,
    control: str,
    tail: str,
    round: int,
    metric: str,
    values: Mapping[int, float],
    alpha: float = ALPHA,
    *,
    twins: bool = False,
) -> Comparison | str:
    """An arm's `values` on test against a control; a string says why there is no comparison.

    Of a control and its scaled twin the opponent is the one that is better on validation; with ``twins`` both are, and
    the comparison is with the one against which less is shown. (The better of two by the mean of the same seeds is no
    fair opponent where one of them scatters far more: a verdict asks that both be beaten.)
    """
    complete: dict[str, float] = {}
    why = "not run yet"
    for arm in (f"{control}{tail}", f"{control}{SCALED}{tail}"):
        found = cells.of(arm, round)
        valid = Spread.of(cells.values(arm, round, metric, "valid"))
        tested = cells.values(arm, round, metric, "test")
        if valid is not None and valid.n == len(tested) == len(cells.seeds):
            complete[arm] = valid.mean
        elif broken := [cell for cell in found if cell.status != "done"]:
            why = say.status(broken)
        elif cells.rounds(arm):
            # The other twin may yet turn out better on validation, so that the opponent is open.
            if seeds := cells.apart(arm, round, metric):
                return say.apart(seeds)
            return f"{len(found)} of {len(cells.seeds)} seeds are done"
    if not complete:
        return why
    higher = is_higher(metric)
    best = (max if higher else min)(complete, key=lambda name: complete[name])
    tried: dict[str, Comparison] = {}
    for arm in complete if twins else [best]:
        own = cells.values(arm, round, metric, "test")
        loss, spread = paired(values, own, higher=higher, alpha=alpha), Spread.of(own)
        if loss is not None and spread is not None:
            tried[arm] = Comparison(control, arm, spread, loss)
    # of both, the one that is harder to beat: where that one is beaten, the other is too
    return max(tried.values(), key=lambda one: (one.loss.p if one.tested else 0.0, one.arm == best), default=why)
