"""Criteria: a score for every prunable weight; the highest are kept. None of them touches the task."""

from __future__ import annotations

from gentickets.criteria.curvature import grasp, grasp_abs
from gentickets.criteria.flow import synflow
from gentickets.criteria.judged import Criterion
from gentickets.criteria.sensitivity import gradient, snip
from gentickets.criteria.weights import lamp, magnitude, random
from gentickets.masks import Scores

CRITERIA: dict[str, Criterion] = {
    "magnitude": magnitude,
    "random": random,
    "snip": snip,
    "grasp": grasp,
    "grasp-abs": grasp_abs,
    "synflow": synflow,
    "gradient": gradient,
    "lamp": lamp,
}
"""Name in a recipe -> criterion."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "magnitude": (),
    "random": (),
    "snip": ("pooled", "evaluation", "chunk"),
    "grasp": ("pooled", "temperature", "evaluation", "chunk"),
    "grasp-abs": ("pooled", "temperature", "evaluation", "chunk"),
    "synflow": (),
    "gradient": ("pooled", "evaluation", "chunk"),
    "lamp": (),
}
"""Name of a criterion -> the keywords that it takes beside task, batches and seed."""

NEEDS_DATA: frozenset[str] = frozenset({"snip", "grasp", "grasp-abs", "gradient"})
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
