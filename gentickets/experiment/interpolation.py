"""Evaluates networks on the straight line between two trained ones (instability analysis, Frankle et al., 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.experiment.evaluation import NORM_BATCHES, Examiner
from gentickets.metrics import as_loss
from gentickets.spectral import settle
from gentickets.tickets import Snapshot, check_fit, load_weights
from gentickets.training.norms import estimate_norms

POSITIONS = tuple(number / 10 for number in range(11))
"""Where on the line the figure is taken: 0 is one end, 1 the other."""


def interpolate(examiner: Examiner, one: Snapshot, other: Snapshot, metric: str) -> dict[str, Any]:
    """The metric on validation at `POSITIONS` between two states of the examiner's networks, and its barrier.

    Returns ``metric``, ``places``, ``values``, ``barrier`` and ``relative`` (see `barrier`). A place where the
    figure is not finite has the value None; then there is no barrier to tell, and those two are None as well.

    At every place, both ends included, norm statistics are estimated on the same training batches, and spectral norms
    from the weights. The networks are left at the last place. Raises TicketError where the states do not fit.
    """
    ends = _evaluated(one), _evaluated(other)
    check_fit(ends[1], ends[0])
    some = examiner.batches.first(NORM_BATCHES)
    values = []
    for place in POSITIONS:
        set_between(examiner, *ends, place, some)
        values.append(_value(examiner, metric))
    return {"metric": metric, "places": list(POSITIONS), "values": values, **barrier(values, metric)}


def set_between(
    examiner: Examiner, one: dict[str, Tensor], other: dict[str, Tensor], place: float, batches: Sequence[Tensor]
) -> None:
    """Put weights between two states into the networks; statistics are estimated anew, on ``batches``.

    What is zero at both ends stays zero. Under spectral norm the raw weights are what is interpolated.
    """
    task = examiner.training.task
    between = {
        name: torch.lerp(value, other[name], place) if value.is_floating_point() else value
        for name, value in one.items()
    }
    load_weights(task, between)
    settle(task)
    for component in task.components:  # one by one, since what a decoder takes depends on the encoder's statistics
        estimate_norms(task, [component], batches)


def barrier(values: Sequence[float | None], metric: str) -> dict[str, float | None]:
    """The largest excess of evenly spaced values over the straight line between the two ends', less being better.

    As it is (``barrier``, at least 0) and relative to the size of the ends' mean (``relative``; None where that is 0).
    Entezari et al. (2022) take it so. Frankle et al. (2020) take the highest value less the mean of both ends, which is
    the same where the ends are equal, and else off by at most half of what they differ by: taken so, ends of unequal
    worth would have a barrier between them even where the figure never rises.
    """
    found = [as_loss(metric, value) for value in values if value is not None]
    if len(found) < len(values):
        return {"barrier": None, "relative": None}
    first, rise, last = found[0], found[-1] - found[0], len(found) - 1
    height = max(value - (first + rise * number / last) for number, value in enumerate(found))
    mean = abs(found[0] + found[-1]) / 2
    return {"barrier": height, "relative": height / mean if mean else None}


def _evaluated(snapshot: Snapshot) -> dict[str, Tensor]:
    """The weights that are evaluated: the averaged ones where there are any."""
    return {**snapshot.weights, **snapshot.ema}


def _value(examiner: Examiner, metric: str) -> float | None:
    try:
        figures = examiner.figures(examiner.training.task, "valid", only_metric=True).figures
    except TicketError as error:
        if error.status == Status.DIVERGED:
            return None
        raise
    if metric not in figures:
        raise TicketError(f"'{metric}' is not among the metrics: {', '.join(figures)}")
    return figures[metric]
