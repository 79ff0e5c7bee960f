"""Simulation: worlds in which the truth is known, to see whether verdicts and methods find it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gentickets.simulation.arms import Level, Runs, World, draw_runs, typical
from gentickets.simulation.judging import (
    Verdicts,
    as_needed,
    best_of_levels,
    doubled,
    run_verdicts,
    within_one_deviation,
)

if TYPE_CHECKING:
    from gentickets.simulation.planting import Found, Planted, plant, share_found

_PLANTING = ("Found", "Planted", "plant", "share_found")
"""Names that need PyTorch, imported when first used; the rest does without it."""

__all__ = [
    "Found",
    "Level",
    "Planted",
    "Runs",
    "Verdicts",
    "World",
    "as_needed",
    "best_of_levels",
    "doubled",
    "draw_runs",
    "plant",
    "run_verdicts",
    "share_found",
    "typical",
    "within_one_deviation",
]


def __getattr__(name: str) -> Any:
    if name not in _PLANTING:
        raise AttributeError(f"module 'gentickets.simulation' has no attribute '{name}'")
    return getattr(import_module("gentickets.simulation.planting"), name)
