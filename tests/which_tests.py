"""Which tests to run after a change: the test files that import a module, or else those nearest to it.

    python tests/which_tests.py gentickets/masks/select.py cli/find.py    # pytest -q $(python tests/which_tests.py ...)
    python tests/which_tests.py                                           # the whole map, a line for each module

A name that a test takes from a package counts for the module that defines it. Where no test imports a module, the tests
of the modules that import it are named. A command's module belongs to the tests that type the command.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HOUSE = Path(__file__).parents[1]
ROOMS = {"gentickets": HOUSE / "gentickets", "gentickets_cli": HOUSE / "cli"}


def path_of(module: str) -> Path | None:
    """The file of a module of ours; None for another, or for a name that is no module."""
    room, *rest = module.split(".")
    if room not in ROOMS:
        return None
    whole = ROOMS[room].joinpath(*rest)
    return next((path for path in (whole.with_suffix(".py"), whole / "__init__.py") if path.is_file()), None)


def package_of(path: Path) -> str:
    """The package that a file's relative imports start from."""
    for name, folder in ROOMS.items():
        if path.is_relative_to(folder):
            return ".".join([name, *path.parent.relative_to(folder).parts])
    return ""


@cache
def imports(path: Path) -> tuple[tuple[str, str], ...]:
    """(module, name) of everything that a file imports, wherever in it; the name is empty for a whole module."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = ".".join(package_of(path).split(".")[: 1 - node.level or None]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found += [(module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return tuple(found)


def defined_in(module: str, name: str) -> Path | None:
    """The file that defines what is imported, followed through packages that hand it on."""
    if name and (inner := path_of(f"{module}.{name}")):
        return inner
    path = path_of(module)
    if path is not None and path.name == "__init__.py":
        for source, given in imports(path):
            if given == name and source.startswith(module):
                return defined_in(source, name)
    return path


def used_by(path: Path) -> set[Path]:
    """The files of ours that a file imports, and the packages that hand them on."""
    named = {found for module, name in imports(path) for found in (defined_in(module, name), path_of(module))}
    return {found for found in named if found} - {path}


def modules() -> Iterator[Path]:
    """Every file of the package and of the command line."""
    for folder in ROOMS.values():
        yield from sorted(folder.rglob("*.py"))


def nearest_tests() -> dict[Path, set[Path]]:
    """Module -> the test files that are nearest to it."""
    users: dict[Path, set[Path]] = defaultdict(set)
    for path in modules():
        for used in used_by(path):
            users[used].add(path)
    direct: dict[Path, set[Path]] = defaultdict(set)
    for test in sorted((HOUSE / "tests").rglob("test_*.py")):
        text = test.read_text(encoding="utf-8")
        commands = {path for path in modules() if path.parent == ROOMS["gentickets_cli"] and f'"{path.stem}"' in text}
        for used in used_by(test) | commands:
            direct[used].add(test)
    return {path: _nearest(path, users, direct) for path in modules()}


def _nearest(path: Path, users: dict[Path, set[Path]], direct: dict[Path, set[Path]]) -> set[Path]:
    """The tests of a module; where it has none, those of the modules that import it, and so on."""
    seen, edge = {path}, {path}
    while edge:
        if found := set().union(*(direct[one] for one in edge)):
            return found
        edge = set().union(*(users[one] for one in edge)) - seen
        seen |= edge
    return set()


def main(names: list[str]) -> None:
    """Print the tests of the modules that are named, or of every module."""
    found = {str(path.relative_to(HOUSE)): tests for path, tests in nearest_tests().items()}
    if unknown := [name for name in names if name not in found]:
        raise SystemExit(f"{unknown[0]} is no module of gentickets/ or cli/, given from the repository's root")
    if names:
        print(*sorted({str(test.relative_to(HOUSE)) for name in names for test in found[name]}))
        return
    for name, tests in found.items():
        print(f"{name:<44}", *sorted(test.stem.removeprefix("test_") for test in tests))


if __name__ == "__main__":
    main(sys.argv[1:])
