"""Output that the commands share: data to stdout, the rest to stderr; tables that fit or are never cut."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal

import click

from gentickets.table import Table

from .colour import wants_colour, with_coloured_verdict

NUMBER = re.compile(r"(as |≥ )?[+\-−]?(\d[\d,.]*(e[+-]?\d+)?|inf)( ± \d[\d.]*)?( \(\d+\))?( ?%)?")  # noqa: RUF001
"""What stands to the right: ``12``, ``-1.7 %``, ``102.4 ± 0.1 (3)``, ``as 67.2 %``, ``≥ 500 ± 0``."""
SHORT = 6
"""Columns of the terminal that a text keeps where words must be broken."""
INDENT = 4
"""Columns of the terminal before a sentence that stands below its row."""
GAP = 2
"""Columns of the terminal between two of a table."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def emit(data: Any, as_json: bool) -> None:
    """Print data to stdout: as JSON, or for a person.

    For a person a list of mappings is a table, a mapping is a line for each key, anything else its text.
    """
    if as_json:
        click.echo(json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False))
    elif isinstance(data, Mapping):
        width = max((len(str(key)) for key in data), default=0)
        for key, value in data.items():
            click.echo(f"{str(key).ljust(width)}  {cell(value)}")
    elif isinstance(data, Sequence) and not isinstance(data, str) and data and isinstance(data[0], Mapping):
        headers = list(dict.fromkeys(str(key) for row in data for key in row))
        table(Table(headers, [[row.get(header) for header in headers] for row in data]))
    else:
        click.echo(str(data))


def table(shown: Table) -> None:
    """Print a table to stdout: cells wrap to fit a terminal, and nothing is cut in a pipe.

    Columns of numbers stand to the right, and no number is broken. On a terminal that is too narrow the columns
    in `spare` are left out, from the right, and the line `more` tells where they are.
    """
    headers, cells = list(shown.columns), [[cell(value) for value in row] for row in shown.rows]
    right = [_numeric(row[column] for row in cells) for column in range(len(headers))]
    if sys.stdout.isatty():
        _on_terminal(headers, cells, right, shown)
        return
    if shown.title:
        click.echo(shown.title)
    for line in _aligned([headers, *cells], right):
        click.echo(line)


def listing(headers: Sequence[str], groups: Iterable[Iterable[tuple[Sequence[object], str]]]) -> None:
    """Print a table of things with a sentence each: (cells, sentence), with an empty line between the groups.

    On a terminal the sentence stands below its row. A pipe gets one short line for each, without it.
    """
    found = [[([cell(value) for value in cells], text) for cells, text in group] for group in groups]
    rows = [cells for group in found for cells, _ in group]
    right = [_numeric(row[column] for row in rows) for column in range(len(headers))]
    if sys.stdout.isatty():
        _listing_on_terminal(list(headers), found, right)
        return
    header, *lines = _aligned([list(headers), *rows], right)
    click.echo(header)
    for place, group in enumerate(found):
        if place:
            click.echo("")
        for _ in group:
            click.echo(lines.pop(0))


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        aligned = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


def paragraph(text: str) -> None:
    """Print sentences to stdout: broken between words on a terminal, one line in a pipe.

    The verdict that they begin with is coloured on a terminal.
    """
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    click.echo(with_coloured_verdict(text, sys.stdout))


def note(message: str) -> None:
    """Print a line to stderr: what is not data."""
    click.echo(message, err=True)


def cell(value: object) -> str:
    """A value as a table shows it: four digits, ``-`` for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | set):
        return ", ".join(map(cell, value)) or "-"
    return " ".join(re.split(r"[ \t\r\n]+", str(value).strip(" \t\r\n")))  # what is not to break stays whole


def plain(data: Any) -> Any:
    """Data as JSON can hold it: what is not finite becomes null, paths become text."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return plain(dataclasses.asdict(data))
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set):
        return [plain(value) for value in data]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    return str(data) if isinstance(data, PurePath) else data


def _on_terminal(headers: list[str], cells: list[list[str]], right: list[bool], given: Table) -> None:
    """Imported here: a pipe does without rich, and starts 0.1 s sooner."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    # Without colours rich still writes bold, and who sets NO_COLOR wants no escapes at all.
    console = Console() if wants_colour() else Console(color_system=None)
    shown, widths = _fitting(headers, cells, right, console.width, given.spare)
    grid = Grid(box=SIMPLE_HEAD, title=given.title or None, title_justify="left", show_edge=False, pad_edge=False)
    grid.padding = (0, GAP - 1, 0, 0)
    for place, width in zip(shown, widths, strict=True):
        align: Literal["left", "right"] = "right" if right[place] else "left"
        grid.add_column(Text(headers[place]), justify=align, overflow="fold", width=width)
    for row in cells:
        grid.add_row(*(Text(row[place]) for place in shown))  # Text: a cell like ["reinit"] is no markup
    console.print(grid)
    if len(shown) < len(headers) and given.more:
        click.echo(given.more)


def _listing_on_terminal(
    headers: list[str], groups: Sequence[Sequence[tuple[list[str], str]]], right: list[bool]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console() if wants_colour() else Console(color_system=None)
    rows = [cells for group in groups for cells, _ in group]
    _, widths = _fitting(headers, rows, right, console.width, ())

    def grid(header: bool) -> Grid:
        made = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=header)
        made.padding = (0, GAP - 1, 0, 0)
        for name, width, to_right in zip(headers, widths, right, strict=True):
            made.add_column(Text(name), justify="right" if to_right else "left", overflow="fold", width=width)
        return made

    console.print(grid(header=True))
    for place, group in enumerate(groups):
        if place:
            console.print()
        for cells, text in group:
            # a table of one row, because rich has no cell that spans the columns for the sentence
            row = grid(header=False)
            row.add_row(*(Text(value, style="" if column else "bold") for column, value in enumerate(cells)))
            console.print(row)
            console.print(Padding(Text(text), (0, 0, 0, INDENT)))


def _fitting(
    headers: list[str], cells: list[list[str]], right: list[bool], width: int, spare: Collection[str]
) -> tuple[list[int], list[int]]:
    """The columns to show and their widths: no word and no number is broken, unless there is no other way.

    Left to itself rich narrows the widest columns first, which are those with numbers.
    """
    columns = [[headers[place], *(row[place] for row in cells)] for place in range(len(headers))]
    least = []
    for texts, to_right in zip(columns, right, strict=True):
        words = [word for text in texts for word in text.split(" ")]
        least.append(max(map(len, [*words, *(texts[1:] if to_right else [])]), default=0))
    shown = list(range(len(headers)))
    for place in reversed(shown):
        if headers[place] in spare and _needed([least[other] for other in shown]) > width:
            shown = [other for other in shown if other != place]
    full = [max(map(len, columns[place])) for place in shown]
    numbers = {place: max(map(len, columns[place][1:]), default=0) for place in shown if right[place]}
    for smallest in (
        [least[place] for place in shown],
        [numbers.get(place, min(least[place], SHORT)) for place in shown],
        [numbers.get(place, 1) for place in shown],
        [1 for _ in shown],
    ):
        if _needed(smallest) <= width:
            return shown, _widened(smallest, full, width)
    return shown, full


def _widened(widths: list[int], full: Sequence[int], width: int) -> list[int]:
    """The widths with what is left of the line shared out, a character at a time to whom it brings furthest."""
    widths = list(widths)
    for _ in range(width - _needed(widths)):
        place = max(range(len(widths)), key=lambda place: full[place] / max(1, widths[place]))
        if full[place] <= widths[place]:
            break
        widths[place] += 1
    return widths


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _numeric(column: Iterable[str]) -> bool:
    present = [text for text in column if text not in ("-", "\N{EN DASH}", "")]
    return bool(present) and all(NUMBER.fullmatch(text) for text in present)
