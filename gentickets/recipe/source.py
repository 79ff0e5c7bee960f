"""A recipe's text: its values, the line that each key stands on, and the overrides laid over it."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.recipe.bounds import DEEPEST
from gentickets.recipe.words import one_line, quoted

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\\?\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?|#[^\n]*+|[\[{\]}\n]",
    re.DOTALL,
)
"""Where a statement may end, what may hide that, and brackets. Texts without an end are taken to where they break off:
to look for an end from each of their quotes would take the square of their length."""
_NESTED = 100
"""Brackets within brackets; the parser itself is at its end after some hundreds."""
_DOTTED = re.compile(r"""(?<![\w'"-])(?:[\w'"-]++[ \t]*+\.[ \t]*+){100}""")
"""Keys of so many parts, for which a parser takes the square of their number."""
_DIGITS = re.compile(r"[0-9_]{4000,}")
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
        return f"{place}: {path}: {one_line(message)}"

    def lay(self, section: str, table: Mapping[str, Any] | None) -> None:
        """Lay a table over a section, which is there afterwards; none leaves everything as it is."""
        if table is None:
            return
        before = self.values.setdefault(section, {})
        if isinstance(before, dict):
            before |= table
            self.overridden |= {f"{section}.{key}": str(value) for key, value in table.items()}

    def _stated(self, path: str) -> str:
        key = path if path in self.lines or path in self.overridden else path.split("[", 1)[0]
        while key and key not in self.overridden and key not in self.lines:
            key = key.rpartition(".")[0]
        return key


def read_source(text: str, where: str, overrides: Sequence[str] = ()) -> Source:
    """The values of a TOML text with ``section.key=value`` overrides laid over them.

    A syntax error is a TicketError with its line, and so are tables and lists that are nested without end.
    """
    if dotted := _DOTTED.search(text):
        line = text.count("\n", 0, dotted.start()) + 1
        raise TicketError(f"{where}:{line}: a key of a hundred parts or more", Status.REQUEST)
    statements = list(_statements(text, where))
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise TicketError(f"{where}:{_not_toml(text, error)}", Status.REQUEST) from error
    source = Source(where, values)
    check_depth(source, statements)
    source.lines = _lines(statements)
    for override in overrides:
        _lay_over(source, override)
    check_depth(source)
    return source


def _not_toml(text: str, error: Exception) -> str:
    """The line and the reason that a parser gives, in one line."""
    what, _, position = str(error).partition(" (at ")
    if not isinstance(error, tomllib.TOMLDecodeError) and (number := _DIGITS.search(text)):
        line, what = text.count("\n", 0, number.start()) + 1, "a number of thousands of digits"
    else:
        found = re.match(r"line (\d+)", position)
        line = int(found[1]) if found else max(1, len(text.splitlines()))
    return f"{line}: not TOML: {one_line(what[:1].lower() + what[1:], 200)}"


def check_depth(source: Source, statements: Iterable[tuple[int, str]] = ()) -> None:
    """Raise TicketError for tables within tables within tables; whoever walks through them would not come back."""
    level: list[tuple[str, Any]] = list(source.values.items())
    for _ in range(DEEPEST):
        level = [(top, one) for top, table in level if isinstance(table, dict | list) for one in _within(table)]
    if level:
        top = level[0][0]
        own = (line for line, statement in statements if top in tomllib.loads(statement))
        source.lines |= {quoted(top): line for line in list(own)[:1]}
        raise TicketError(source.at(quoted(top), f"is nested more than {DEEPEST} levels deep"), Status.REQUEST)


def _within(table: dict[str, Any] | list[Any]) -> Iterable[Any]:
    """What stands in a table, or in a list of more than plain values."""
    return table.values() if isinstance(table, dict) else [one for one in table if isinstance(one, dict | list)]


def _lay_over(source: Source, override: str) -> None:
    key, equals, raw = override.partition("=")
    override = one_line(" ".join(override.split()), 200)
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path) or not raw.strip():
        message = f"--set {override}: must be section.key=value, as in train.steps=100"
        raise TicketError(message, Status.REQUEST)
    if len(path) > DEEPEST:
        raise TicketError(f"--set {override}: is nested more than {DEEPEST} levels deep", Status.REQUEST)
    value = _value(raw.strip(), override)
    table = source.values
    for depth, part in enumerate(path[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise TicketError(f"--set {override}: {'.'.join(path[:depth])} is no table", Status.REQUEST)
    table[path[-1]] = value
    name = ".".join(map(quoted, path))
    for below in [known for known in source.lines if f"{known}.".startswith(f"{name}.")]:
        del source.lines[below]
    source.overridden[name] = override


def _value(raw: str, override: str) -> Any:
    """A TOML value; bare words are text."""
    try:
        parsed = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError) as error:
        if BARE_WORD.fullmatch(raw):
            return raw
        message = f"--set {override}: {one_line(raw, 60)} is no TOML value; text with odd characters needs quotes"
        raise TicketError(message, Status.REQUEST) from error
    if parsed.keys() != {"value"}:
        raise TicketError(f"--set {override}: must be one value", Status.REQUEST)
    return parsed["value"]


def _statements(text: str, where: str) -> Iterator[tuple[int, str]]:
    """The line on which each statement of a TOML text begins, and the statement; in one pass.

    A statement ends with the line on which no bracket is open any more. Raises TicketError for brackets without end.
    """
    line = first = 1
    start = depth = 0
    for token in _TOKEN.finditer(text):
        found = token[0]
        if found in ("[", "{"):
            depth += 1
        elif found in ("]", "}"):
            depth = max(0, depth - 1)
        elif found == "\n" and not depth:
            yield first, text[start : token.end()]
            start, first = token.end(), line + 1
        if depth > _NESTED:
            raise TicketError(f"{where}:{line}: lists or tables within {_NESTED} others", Status.REQUEST)
        line += found.count("\n")
    yield first, text[start:]


def _lines(statements: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Line of every key and table of a sound TOML text."""
    found: dict[str, int] = {}
    table: list[str] = []
    for line, statement in statements:
        if not statement.strip():
            continue
        header = statement.lstrip().startswith("[")
        paths = _paths(tomllib.loads(statement))
        if header and paths:
            table = max(paths, key=len)
        for path in paths:
            found.setdefault(".".join(map(quoted, path if header else [*table, *path])), line)
    return found


def _paths(values: dict[str, Any]) -> list[list[str]]:
    """Every path in nested tables, the tables' own included."""
    paths: list[list[str]] = []
    for key, value in values.items():
        inner = value[-1] if isinstance(value, list) and value and isinstance(value[-1], dict) else value
        paths += [[key], *([key, *path] for path in (_paths(inner) if isinstance(inner, dict) else []))]
    return paths
