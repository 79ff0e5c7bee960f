"""Which arms can be compared: those that every seed has, measured as the dense model is."""

from __future__ import annotations

from collections.abc import Mapping

from gentickets.analysis.contrast import paired
from gentickets.analysis.results import RunResults
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.format import Spread, higher_is_better
from gentickets.analysis.trial import Comparison
from gentickets.arms import variants


def values_or_why(results: RunResults, arm: str, round: int, metric: str) -> dict[int, float] | str:
    """An arm's test values by seed where every seed has one; else a string says why it is not compared."""
    found = results.values(arm, round, metric, "test")
    if len(found) == len(results.seeds):
        return found
    cells = results.of(arm, round)
    if broken := [cell for cell in cells if cell.status != "done"]:
        return say.status(broken)
    if seeds := results.not_comparable(arm, round, metric):
        return say.not_comparable(seeds)
    if not cells:
        return "not run yet"
    if len(cells) < len(results.seeds):
        return f"{len(cells)} of {len(results.seeds)} seeds are done"
    return f"its metric is not there in {say.seeds_of(sorted({*results.seeds} - {*found}))}"


def compare_with_control(
    results: RunResults, control: str, round: int, metric: str, values: Mapping[int, float]
) -> Comparison | str:
    """Compare an arm's test `values` with a control's better variant on validation; a string says why not.

    Where a variant runs and is unfinished there is no comparison, for it may yet turn out better; one that failed is
    left out.
    """
    complete: dict[str, tuple[float, dict[int, float]]] = {}
    why = "not run yet"
    for arm in variants(control):
        own = values_or_why(results, arm, round, metric)
        valid = Spread.of(results.values(arm, round, metric, "valid"))
        if not isinstance(own, str) and valid is not None and valid.n == len(own):
            complete[arm] = valid.mean, own
        elif any(cell.status != "done" for cell in results.of(arm, round)):
            why = str(own)
        elif results.rounds(arm):
            return own if isinstance(own, str) else "its metric is not there on validation"
    higher = higher_is_better(metric)
    for arm in sorted(complete, key=lambda name: complete[name][0], reverse=higher):
        loss, spread = paired(values, complete[arm][1], higher=higher), Spread.of(complete[arm][1])
        if loss is not None and spread is not None:
            return Comparison(control=control, arm=arm, spread=spread, loss=loss)
    return why
