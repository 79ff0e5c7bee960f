"""A recipe's text: its values, the line that each key stands on, and the overrides laid over it."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gentickets.errors import Status, TicketError

BARE_WORD = re.compile(r"[\w./~:+-]+(?: [\w./~:+-]+)*")


@dataclass
class Source:
    """What a recipe says, and where: the line of every key's path, and what ``--set`` gave: path -> its text."""

    where: str
    values: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    overridden: dict[str, str] = field(default_factory=dict)

    def line(self, path: str) -> float:
        """The line of a key, or of the table that it is missing in; infinite where there is none."""
        return self.lines.get(self._stated(path), math.inf)

    def at(self, path: str, message: str) -> str:
        """One line about a key: its place, its name, and what is wrong with it."""
        stated = self._stated(path)
        if stated in self.overridden:
            listed = path.startswith(f"{stated}[")
            return f"--set {path}: {message}" if listed or stated == path else f"--set {stated}: {path}: {message}"
        if stated != path and (given := [one for name, one in self.overridden.items() if name.startswith(f"{path}.")]):
            return f"--set {given[0]}: {path}: {message}"  # the file does not name it
        place = f"{self.where}:{self.lines[stated]}" if stated in self.lines else self.where
        return f"{place}: {path}: {message}"

    def lay(self, section: str, table: Mapping[str, Any] | None) -> None:
        """Lay a table over a section, which is there afterwards; none leaves everything as it is."""
        if table is None:
            return
        before = self.values.setdefault(section, {})
        if isinstance(before, dict):
            before |= table
            self.overridden |= {f"{section}.{key}": str(value) for key, value in table.items()}

    def _stated(self, path: str) -> str:
        key = path.split("[", 1)[0]
        while key and key not in self.overridden and key not in self.lines:
            key = key.rpartition(".")[0]
        return key


def read_source(text: str, where: str, overrides: Sequence[str] = ()) -> Source:
    """The values of a TOML text with ``section.key=value`` overrides laid over them.

    A syntax error is a TicketError with its line.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, position = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", position)
        place = line[1] if line else str(len(text.splitlines()))
        message = f"{where}:{place}: not TOML: {what[:1].lower()}{what[1:]}"
        raise TicketError(message, Status.REQUEST) from error
    source = Source(where, values, _lines(text))
    for override in overrides:
        _lay_over(source, override)
    return source


def _lay_over(source: Source, override: str) -> None:
    key, equals, raw = override.partition("=")
    override = " ".join(override.split())
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path) or not raw.strip():
        message = f"--set {override}: must be section.key=value, as in train.steps=100"
        raise TicketError(message, Status.REQUEST)
    value = _value(raw.strip(), override)
    table = source.values
    for depth, part in enumerate(path[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise TicketError(f"--set {override}: {'.'.join(path[:depth])} is no table", Status.REQUEST)
    table[path[-1]] = value
    name = ".".join(path)
    for below in [known for known in source.lines if f"{known}.".startswith(f"{name}.")]:
        del source.lines[below]
    source.overridden[name] = override


def _value(raw: str, override: str) -> Any:
    """A TOML value; bare words are text."""
    try:
        parsed = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError as error:
        if BARE_WORD.fullmatch(raw):
            return raw
        message = f"--set {override}: {raw} is no TOML value; text with odd characters needs quotes"
        raise TicketError(message, Status.REQUEST) from error
    if parsed.keys() != {"value"}:
        raise TicketError(f"--set {override}: must be one value", Status.REQUEST)
    return parsed["value"]


def _lines(text: str) -> dict[str, int]:
    """Line of every key and table of a sound TOML text.

    A statement ends at the first line where what was read since the last one parses by itself.
    """
    found: dict[str, int] = {}
    table: list[str] = []
    start, pending = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not pending:
            start = number
        pending += line.rstrip("\r") + "\n"
        try:
            statement = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        header = pending.lstrip().startswith("[")
        paths = _paths(statement)
        if header and paths:
            table = max(paths, key=len)
        for path in paths:
            found.setdefault(".".join(path if header else [*table, *path]), start)
        pending = ""
    return found


def _paths(values: dict[str, Any]) -> list[list[str]]:
    """Every path in nested tables, the tables' own included."""
    paths: list[list[str]] = []
    for key, value in values.items():
        inner = value[-1] if isinstance(value, list) and value and isinstance(value[-1], dict) else value
        paths += [[key], *([key, *path] for path in (_paths(inner) if isinstance(inner, dict) else []))]
    return paths
