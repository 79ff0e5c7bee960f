"""Where two recipes differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gentickets.recipe.schema import Recipe


def diff(a: Recipe | Mapping[str, Any], b: Recipe | Mapping[str, Any]) -> list[str]:
    """Where two recipes (or resolved ones) differ: lines ``section.key: old -> new``."""
    old, new = (_flat(side.resolved() if isinstance(side, Recipe) else side) for side in (a, b))
    return [
        f"{key}: {_shown(old, key)} -> {_shown(new, key)}"
        for key in [*old, *(key for key in new if key not in old)]
        if key not in old or key not in new or old[key] != new[key]
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif prefix or value is not None:  # a section that is absent
            flat[prefix + key] = value
    return flat


def _shown(flat: Mapping[str, Any], key: str) -> str:
    value = flat.get(key)
    return "none" if value is None else repr(value)
