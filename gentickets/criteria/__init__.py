"""Criteria: a score for every prunable weight; the highest are kept. None of them touches the task."""

from __future__ import annotations

from importlib import import_module

from gentickets.criteria.curvature import grasp, grasp_abs
from gentickets.criteria.flow import synflow
from gentickets.criteria.judged import Criterion
from gentickets.criteria.sensitivity import gradient, snip
from gentickets.criteria.weights import lamp, magnitude, random
from gentickets.masks import Scores
from gentickets.scoring import SCORINGS, Scoring


def _function(row: Scoring) -> Criterion:
    module, _, name = row.made_by.partition(":")
    found: Criterion = getattr(import_module(f"gentickets.criteria.{module}"), name)
    return found


CRITERIA: dict[str, Criterion] = {name: _function(row) for name, row in SCORINGS.items()}
"""Name in a recipe -> criterion, as the table has them."""
OPTIONS = {name: row.options for name, row in SCORINGS.items()}
"""Name of a criterion -> the keywords that it takes beside task, batches and seed."""
NEEDS_DATA = frozenset(name for name, row in SCORINGS.items() if row.needs_data)
"""Criteria that look at the batches; the others ignore them."""

__all__ = [
    "CRITERIA",
    "NEEDS_DATA",
    "OPTIONS",
    "Criterion",
    "Scores",
    "gradient",
    "grasp",
    "grasp_abs",
    "lamp",
    "magnitude",
    "random",
    "snip",
    "synflow",
]
