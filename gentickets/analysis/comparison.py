"""Compares one arm with a control, where every seed has both and they were measured alike."""

from __future__ import annotations

from collections.abc import Mapping

from gentickets.analysis.contrast import ALPHA, paired
from gentickets.analysis.results import RunResults
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.format import Spread, higher_is_better
from gentickets.analysis.verdict import Comparison
from gentickets.arms import variants


def compare_with_control(
    results: RunResults, control: str, round: int, metric: str, values: Mapping[int, float]
) -> Comparison | str:
    """Compare an arm's test `values` with a control's better variant on validation; a string says why not."""
    found = compare_variants(results, control, round, metric, values, either=True)
    return found if isinstance(found, str) else found[0]


def compare_variants(
    results: RunResults,
    control: str,
    round: int,
    metric: str,
    values: Mapping[int, float],
    alpha: float = ALPHA,
    *,
    longer: bool = False,
    either: bool = False,
) -> list[Comparison] | str:
    """Compare an arm's test `values` with a control and with its scaled variant, the better one on validation first.

    Where one of them runs and is unfinished there is no comparison, for it may yet turn out better; a string says so.
    The same where one of them failed, unless ``either`` will do: it may be far ahead where it did not.
    """
    complete: dict[str, float] = {}
    why = "not run yet"
    for arm in variants(control, longer=longer):
        found = results.of(arm, round)
        valid = Spread.of(results.values(arm, round, metric, "valid"))
        tested = results.values(arm, round, metric, "test")
        if valid is not None and valid.n == len(tested) == len(results.seeds):
            complete[arm] = valid.mean
        elif broken := [cell for cell in found if cell.status != "done"]:
            why = say.status(broken)
            if not either:
                return why
        elif results.rounds(arm):
            if seeds := results.not_comparable(arm, round, metric):
                return say.not_comparable(seeds)
            if len(found) == len(results.seeds):
                return f"its figure is not there in {say.seeds_of(sorted({*results.seeds} - {*tested}))}"
            return f"{len(found)} of {len(results.seeds)} seeds are done"
    higher = higher_is_better(metric)
    compared = []
    for arm in sorted(complete, key=lambda name: complete[name], reverse=higher):
        own = results.values(arm, round, metric, "test")
        loss, spread = paired(values, own, higher=higher, alpha=alpha), Spread.of(own)
        if loss is not None and spread is not None:
            compared.append(Comparison(control=control, arm=arm, spread=spread, loss=loss))
    return compared or why
