"""Sparsity in words: a removed share of the prunable weights, and where those are not nearly all parameters, of all.

``weights`` are those of a result: ``kept`` and ``total`` prunable weights, ``all`` parameters of the dense networks.
Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gentickets.table import Table

NAMES = 3
"""Names of parameters that a line of a table has."""
NEARLY_ALL = 0.95
"""From this share of prunable weights among the parameters on, a sparsity of the one says enough of the other."""


def removed_of_all(weights: Mapping[str, int]) -> float | None:
    """The removed weights as a fraction of all parameters; None where that is not known."""
    if not {"kept", "total"} <= weights.keys() or not weights.get("all"):
        return None
    return (weights["total"] - weights["kept"]) / weights["all"]


def is_partial(weights: Mapping[str, int]) -> bool:
    """Whether the prunable weights are so few of the parameters that a sparsity needs the share of all beside it."""
    return bool(weights.get("all")) and "total" in weights and weights["total"] < NEARLY_ALL * weights["all"]


def share_to_say(weights: Mapping[str, int]) -> float | None:
    """The removed share of all parameters, where it must stand beside a sparsity; else None."""
    return removed_of_all(weights) if is_partial(weights) else None


def of_all(share: float | None) -> str:
    """``3.1 % of all parameters``; empty for None."""
    if share is None:
        return ""
    digits = ".1f" if share >= 0.01 or not share else ".2g"
    return f"{100 * share:{digits}} % of all parameters"


def not_pruned(rows: Iterable[Mapping[str, Any]]) -> Table:
    """What no mask covers; ``rows`` are those of `masks.by_reason`."""
    lines = [[_named(row["names"]), f"{row['parameters']:,}", str(row["why"])] for row in rows]
    return Table(["not pruned", "parameters", "why"], lines)


def _named(names: list[str]) -> str:
    """A few names, and how many more there are."""
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")


def in_brackets(share: float | None) -> str:
    """`` (3.1 % of all parameters)``, to follow a sparsity; empty for None."""
    return f" ({of_all(share)})" if share is not None else ""
