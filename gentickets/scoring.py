"""Scoring: every criterion that ranks weights, in one table: its function, its options, how it is said. Torch-free.

A new criterion is a function in `criteria/` and a row of `SCORINGS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Scoring:
    """One criterion: everything that is asked of it before it scores."""

    name: str
    """In recipes."""
    title: str
    """As a person writes it."""
    made_by: str
    """Its module in `criteria/` and its function there: ``sensitivity:snip``."""
    options: tuple[str, ...] = ()
    """The keywords that it takes beside task, batches and seed; those that [search] has, a recipe may give."""
    needs_data: bool = False
    """Whether it looks at the batches; else it ignores them."""
    cuts: int = 1
    """Cuts on the way to a density at the start, where none are asked for."""
    verb: Literal["says", "say"] = "says"
    """What follows its title."""


_GRADIENTS = ("pooled", "evaluation", "chunk")
_CURVATURE = ("pooled", "temperature", "evaluation", "chunk")

_ROWS = (
    Scoring("magnitude", "magnitude", "weights:magnitude"),
    Scoring("random", "random scores", "weights:random", verb="say"),
    Scoring("snip", "SNIP", "sensitivity:snip", _GRADIENTS, needs_data=True),
    Scoring("grasp", "GraSP", "curvature:grasp", _CURVATURE, needs_data=True),
    Scoring("grasp-abs", "GraSP by |score|", "curvature:grasp_abs", _CURVATURE, needs_data=True),
    Scoring("synflow", "SynFlow", "flow:synflow", cuts=100),  # Tanaka et al., 2020
    Scoring("gradient", "weight times gradient", "sensitivity:gradient", _GRADIENTS, needs_data=True),
    Scoring("lamp", "LAMP", "weights:lamp"),
)
SCORINGS = {row.name: row for row in _ROWS}
"""Every built-in criterion by name; one that is not here is a plugin's."""
