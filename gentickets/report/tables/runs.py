"""Builds the tables of several runs, one for each group whose numbers are comparable."""

from __future__ import annotations

from collections.abc import Sequence

from gentickets.analysis.summary import Summary, comparable_groups
from gentickets.analysis.text.costs import ratio, search_cost_of
from gentickets.analysis.text.format import DASH, decimals, heading, percent, plus_minus
from gentickets.analysis.verdict import Verdict


def comparison_tables(summaries: Sequence[Summary]) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Tables of runs whose numbers are comparable: the metric, how it was measured, and a line for each run."""
    places = {id(summary): place for place, summary in enumerate(summaries)}
    return [
        (
            heading(group[0].metric) if group[0].metric else "no figure",
            group[0].how_measured,
            [_beside_others(summary, places[id(summary)]) for summary in group],
        )
        for group in comparable_groups(summaries)
    ]


def _beside_others(summary: Summary, place: int) -> dict[str, str]:
    """A run's line in the table of several runs."""
    verdict, short = summary.verdict, summary.verdict.short
    places = decimals([short.ticket, short.dense, verdict.budget] if short else [verdict.budget])
    return {
        "anchor": f"run{place}",
        "name": summary.name,
        "word": verdict.word,
        "found": verdict.found or ("width sweep" if summary.is_sweep else "iterative magnitude pruning"),
        "level": _level(verdict),
        "dense": plus_minus(short.dense if short else None, places),
        "ticket": plus_minus(short.ticket if short else None, places),
        "cost": _cost(summary),
        "budget": plus_minus(verdict.budget, places),
        "seeds": str(len(summary.seeds)),
    }


def _level(verdict: Verdict) -> str:
    if verdict.level is None:
        return DASH
    return percent(verdict.level) + (" of channels" if verdict.of_channels else "")


def _cost(summary: Summary) -> str:
    """Search and training of the ticket in dense trainings, in FLOPs where they are known."""
    bill = search_cost_of(summary)
    if bill is None:
        return DASH
    told = bill["found_and_trained_in_dense_trainings"]
    return f"{ratio(told['seconds'])} in seconds" if told["flops"] is None else ratio(told["flops"])
