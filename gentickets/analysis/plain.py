"""Plain values of records, for JSON. Which keys a record has there stands in a view, once; schemas are made from it.

Without a row in the view a record is written field by field. A row maps each key, in the order of the file, to where
its value comes from: an attribute (``"loss.size"`` is one of an attribute), a function of the record, or a number that
stands for itself. Attributes and functions are annotated, so that a schema can be generated from the same row:

    >>> plain(Spread(1.0, None, 1, {0: 1.0}), {Spread: own("mean", "n")})
    {'mean': 1.0, 'n': 1}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

Part = str | int | Callable[[Any], Any]
Keys = Mapping[str, Part]
View = Mapping[type, Keys]


def own(*names: str) -> dict[str, Part]:
    """The keys that have the names of their attributes."""
    return {name: name for name in names}


def fields_of(kind: type, *but: str, below: str = "") -> dict[str, Part]:
    """A key for each field of a dataclass ``but`` some; ``below`` an attribute of another record: ``summary.``."""
    return {one.name: below + one.name for one in fields(kind) if one.name not in but}


def keys_of(kind: type, view: View) -> Keys:
    """Key -> where its value comes from, for a record of this class."""
    return view[kind] if kind in view else fields_of(kind)


def plain(value: Any, view: View) -> Any:
    """JSON values of a record, or of what is in it; null for a number that is not finite."""
    if is_dataclass(value):
        return {key: plain(_value(value, part), view) for key, part in keys_of(type(value), view).items()}
    if isinstance(value, Mapping):
        return {str(name): plain(inner, view) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, view) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _value(record: Any, part: Part) -> Any:
    if isinstance(part, str):
        return attrgetter(part)(record)
    return part if isinstance(part, int) else part(record)
