"""Table: headings and rows, the same for a terminal (`cli.console.table`), a page (`table.html`) and JSON (`pair`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Column = tuple[str, Sequence[str]]
"""Heading, and a cell for each row."""


@dataclass(frozen=True)
class Table:
    """Headings and rows of cells, which are texts wherever more than a terminal shows them.

    >>> headings, rows = Table(["arm", "weights"], [["ticket", "1,200"]])
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    spare: tuple[str, ...] = ()
    """Columns that a narrow terminal can do without."""
    more: str = ""
    """Where they are then, for a terminal that leaves them out."""
    styles: Sequence[str] = ()
    """The style of each row on a page."""
    notes: Sequence[Sequence[str]] = ()
    """On a page: what must be said beside the first cell of each row."""

    @staticmethod
    def of(columns: Iterable[Column], **others: Any) -> Table:
        """The table of columns of one length; ``others`` are its other fields."""
        given = list(columns)
        lines = zip(*(cells for _, cells in given), strict=True)
        return Table([name for name, _ in given], [list(line) for line in lines], **others)

    def pair(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Headings and rows, as JSON has them."""
        return tuple(self.columns), tuple(tuple(map(str, row)) for row in self.rows)

    def __repr__(self) -> str:
        named = f"{self.title!r}, " if self.title else ""
        return f"Table({named}{len(self.rows)} rows of {', '.join(map(str, self.columns))})"

    def __str__(self) -> str:
        lines = [[str(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
        return "\n".join([*([self.title] if self.title else []), *aligned])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(str(name))}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in self.rows)
        title = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __iter__(self) -> Iterator[Any]:
        """Headings, then rows: what a table was before it had a class, and is unpacked as."""
        yield from (self.columns, self.rows)
