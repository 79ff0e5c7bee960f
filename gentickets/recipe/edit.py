"""Other values in a recipe's text, the rest of which stays as a person wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gentickets.errors import TicketError
from gentickets.recipe.source import read_source


def with_values(text: str, values: Mapping[str, Any], where: str = "recipe") -> str:
    """The text with these values (``section.key`` -> a number, a text, or a list of them; None takes a key out).

    A key that stands on a line of its own is changed there, one that is not there is added to its section. Raises
    TicketError where a key cannot be changed, as it stands in a table on one line.
    """
    for path, value in values.items():
        text = _without(text, path, where) if value is None else _with(text, path, value, where)
    found = read_source(text, where).values
    if wrong := [path for path, value in values.items() if _at(found, path) != value]:
        raise TicketError(f"{where}: {wrong[0]} is written in a way that cannot be changed here; edit it yourself")
    return text


def _with(text: str, path: str, value: Any, where: str) -> str:
    section, _, key = path.rpartition(".")
    lines, told = text.splitlines(), f"{key} = {json.dumps(value)}"
    stated = read_source(text, where).lines
    if path in stated:
        if _is_of(lines[stated[path] - 1], key):
            lines[stated[path] - 1] = told
    elif header := [i for i, line in enumerate(lines) if line.split("#")[0].strip() == f"[{section}]"]:
        lines.insert(header[0] + 1, told)
    else:
        lines = [*lines, "", f"[{section}]", told] if section else [told, *lines]
    return "\n".join(lines) + "\n"


def _without(text: str, path: str, where: str) -> str:
    line = read_source(text, where).lines.get(path)
    if line is None:
        return text
    lines = text.splitlines()
    if _is_of(lines[line - 1], path.rpartition(".")[2]):
        del lines[line - 1]
    return "\n".join(lines) + "\n"


def _is_of(line: str, key: str) -> bool:
    """Whether a line gives a key a plain value, and nothing else."""
    value = r"""([^"'\[{#]*|"[^"]*"|'[^']*'|\[[^\]\[#]*\])"""
    return re.fullmatch(rf"\s*{re.escape(key)}\s*=\s*{value}\s*(#.*)?", line) is not None


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
