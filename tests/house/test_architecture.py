"""What docs/architecture.md names is there: every file and function of the traced run, every place of a change."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import HOUSE

TEXT = (HOUSE / "docs" / "architecture.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    _, _, below = TEXT.partition(f"\n## {heading}")
    lines = [line for line in below.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def place(name: str) -> Path:
    """A file or a room, told from the package or from the top."""
    return HOUSE / name if name.startswith("cli/") else HOUSE / "gentickets" / name


def names_in(path: Path) -> set[str]:
    """Functions, classes and ``Class.method`` of a file, or of all files of a room."""
    found: set[str] = set()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def steps() -> Iterator[tuple[str, list[Path], list[str]]]:
    """(number, files, functions) of the traced run; a second file without a folder lies beside the first."""
    for number, _, files, functions in rows("One run of `find`"):
        first, *others = quoted(files)
        beside = [place(one) if "/" in one else place(first).parent / one for one in others]
        yield number, [place(first), *beside], quoted(functions)


@pytest.mark.parametrize(("number", "files", "functions"), list(steps()))
def test_every_step_of_the_traced_run_is_there(number: str, files: list[Path], functions: list[str]) -> None:
    assert all(path.exists() for path in files)
    assert functions
    assert set(functions) <= set().union(*map(names_in, files))


def test_every_place_of_a_change_is_there() -> None:
    named = [name for row in rows("Where a change goes") for cell in row[1:3] for name in quoted(cell)]
    known = [name for name in named if "NAME" not in name]
    assert len(known) > 10
    assert not [name for name in known if not place(name).exists()]
