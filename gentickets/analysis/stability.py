"""Finds the step from which two trainings of one ticket end in linearly connected networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

CONNECTED = 0.02
"""Two networks are connected where the barrier between them is below this part of what they reach."""


def connected_from(paths: Sequence[Mapping[str, Any]], threshold: float = CONNECTED) -> int | None:
    """The earliest step from which on networks are connected at every step examined; None where there is none.

    ``paths`` are those of results' ``beside``, of one seed or of several; where a step has several, all of them must be
    below ``threshold``. A path along which the metric was not finite is not connected. Frankle et al. (2020) call a
    network stable where the error rises by less than 2 points; the metrics here are no fractions, so the barrier is
    taken relative to the ends.
    """
    highest: dict[int, float] = {}
    for path in paths:
        barrier = math.inf if path["relative"] is None else float(path["relative"])
        highest[path["step"]] = max(barrier, highest.get(path["step"], 0.0))
    earliest = None
    for step in sorted(highest, reverse=True):
        if not highest[step] < threshold:
            break
        earliest = step
    return earliest
