"""Output that the commands share: data to stdout, the rest to stderr; tables that fit or are never cut."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import click

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
        table(headers, [[row.get(header) for header in headers] for row in data])
    else:
        click.echo(str(data))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table to stdout: cells fold to fit a terminal, and nothing is cut in a pipe.

    Columns of numbers stand to the right.
    """
    values = [list(row) for row in rows]
    right = [_numeric(row[column] for row in values) for column in range(len(headers))]
    cells = [[cell(value) for value in row] for row in values]
    if sys.stdout.isatty():
        _rich_table(headers, cells, right, title)
        return
    if title:
        click.echo(title)
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        aligned = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        click.echo("  ".join(aligned).rstrip())


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
    return " ".join(str(value).split())


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


def _rich_table(headers: Sequence[str], cells: list[list[str]], right: list[bool], title: str | None) -> None:
    """Imported here: a pipe does without rich, and starts 0.1 s sooner."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for header, to_right in zip(headers, right, strict=True):
        shown.add_column(Text(header), justify="right" if to_right else "left", overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))  # Text: a cell like ["reinit"] is no markup
    Console().print(shown)


def _numeric(column: Iterable[object]) -> bool:
    present = [value for value in column if value is not None]
    return bool(present) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in present)
