"""Summarizes a width sweep in a sentence: what was swept, and at how many increases of width the metric improves."""

from __future__ import annotations

from itertools import pairwise

from gentickets.analysis.contrast import paired
from gentickets.analysis.results import RunResults, Split
from gentickets.analysis.text.format import (
    Spread,
    decimals,
    higher_is_better,
    listed,
    metric_name,
    numbered,
    plus_minus,
)
from gentickets.arms import WIDTH
from gentickets.metrics import of_samples
from gentickets.statistics import LEAST_SEEDS


def sweep_sentence(results: RunResults) -> str:
    """The outcome of a sweep: counts of increases, and no more than they say (after Balaji et al., 2021)."""
    keyword, metric = results.search.widen, results.metric
    found = [str(width) for width, _ in results.widths]
    if metric is None or not found:
        return f"A sweep of the keyword '{keyword}': nothing is done yet."
    parts = [f"Dense models with {keyword} = {listed(found)} were trained, and nothing was pruned."]
    parts.append(_counted(results, metric, "test", f"The {metric_name(metric)} on test, averaged over seeds,"))
    parts.append(_counted(results, metric, "train", "On the training images it"))
    for width, place in results.widths:
        if (seeds := results.collapsed(WIDTH, place)) and of_samples(metric):
            parts.append(f"At {keyword} = {width} the samples collapsed in {numbered(len(seeds), 'seed')}.")
    return " ".join(filter(None, parts))


def _counted(results: RunResults, metric: str, split: Split, subject: str) -> str:
    """At how many increases the mean improves, and how many of them the paired test at 5 % shows; empty under two."""
    values = {width: results.values(WIDTH, place, metric, split) for width, place in results.widths}
    # Collapsed samples can score well: a step to them is no improvement.
    collapsed = {width for width, place in results.widths if of_samples(metric) and results.collapsed(WIDTH, place)}
    known = [width for width in values if values[width]]
    if len(known) < 2:
        return ""
    losses = {
        wide: paired(values[wide], values[narrow], higher=higher_is_better(metric))
        for narrow, wide in pairwise(known)
        if wide not in collapsed
    }
    gains = [loss for loss in losses.values() if loss is not None and loss.mean < 0]
    spreads = [Spread.of(values[known[0]]), Spread.of(values[known[-1]])]
    first, last = (plus_minus(spread, decimals(spreads)) for spread in spreads)
    whole = paired(values[known[-1]], values[known[0]], higher=higher_is_better(metric))
    worse = ", worse in all" if gains and whole is not None and whole.mean > 0 else ""
    ends = f"from {first} at {known[0]} to {last} at {known[-1]}{worse}"
    text = f"{subject} improves at {_share(len(gains), len(known) - 1)}: {ends}"
    if not gains:
        return f"{text}."
    if any(loss.n < LEAST_SEEDS for loss in gains):
        return f"{text} (not tested: fewer than three seeds)."
    return f"{text} (a paired test at 5 % shows {sum(loss.bound < 0 for loss in gains)} of these)."


def _share(gains: int, steps: int) -> str:
    if gains == steps:
        return f"each of the {steps} increases" if steps > 1 else "the one increase"
    return f"{gains or 'none'} of the {steps} increases" if steps > 1 else "no increase"
