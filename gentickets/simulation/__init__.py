"""Simulation: worlds in which the truth is known, to see whether verdicts and methods find it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gentickets.simulation.arms import Level, Runs, World, draw_runs
from gentickets.simulation.judging import (
    Rates,
    best_of_levels,
    by_tree,
    false_rates,
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
    "Rates",
    "Runs",
    "World",
    "best_of_levels",
    "by_tree",
    "draw_runs",
    "false_rates",
    "plant",
    "run_verdicts",
    "share_found",
    "within_one_deviation",
]


def __getattr__(name: str) -> Any:
    if name not in _PLANTING:
        raise AttributeError(f"module 'gentickets.simulation' has no attribute '{name}'")
    return getattr(import_module("gentickets.simulation.planting"), name)
