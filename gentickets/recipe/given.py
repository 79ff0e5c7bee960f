"""A recipe as Python has it: sections in a dict become TOML, and so do the values of overrides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from gentickets.errors import TicketError

Overrides = Mapping[str, Any] | Sequence[str]
"""``{"train.steps": 100}``, or ``["train.steps=100"]`` as ``--set`` takes them."""


def as_overrides(given: Overrides) -> list[str]:
    """Overrides as texts ``section.key=value``; TicketError for a single text, and for a value that TOML lacks."""
    if isinstance(given, str):
        raise TicketError(f"overrides are a dict or a list of texts, as in ['{given}']")
    if not isinstance(given, Mapping):
        return list(given)
    return [f"{key}={_told(value, key)}" for key, value in given.items()]


def as_toml(sections: Mapping[str, Any]) -> str:
    """The TOML text of a recipe's sections; what is None is left out. Equal sections give equal texts.

    >>> print(as_toml({"seed": 0, "train": {"steps": 10}}))
    seed = 0
    <BLANKLINE>
    [train]
    steps = 10
    <BLANKLINE>
    """
    there = {str(key): value for key, value in sections.items() if value is not None}
    lines = [f"{_key(key)} = {_told(value, key)}" for key, value in there.items() if not isinstance(value, Mapping)]
    for name, table in there.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{_key(name)}]"]
            kept = {str(key): value for key, value in table.items() if value is not None}
            lines += [f"{_key(key)} = {_told(value, f'{name}.{key}')}" for key, value in kept.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)


def _told(value: Any, path: str) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool | str | PathLike):
        return json.dumps(str(value) if isinstance(value, PathLike) else value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))} = {_told(one, path)}" for key, one in value.items() if one is not None)
        return "{ " + inner + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_told(one, path) for one in value) + "]"
    raise TicketError(f"{path}: a recipe holds numbers, texts, lists and tables, and no {type(value).__name__}")
