"""Where a recipe's text comes from: a file, or the recipes that come with the package."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

from gentickets.errors import TicketError, nearest
from gentickets.files import MOST_TEXT
from gentickets.recipe.bounds import LONGEST
from gentickets.recipe.words import one_line


def shipped_recipes() -> dict[str, Traversable]:
    """The recipes that come with the package: name (``digits_vae``, ``quick/xyz``) -> file."""

    def walk(folder: Traversable, prefix: str) -> dict[str, Traversable]:
        found: dict[str, Traversable] = {}
        for entry in folder.iterdir():
            if entry.is_dir():
                found |= walk(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".toml"):
                found[prefix + entry.name.removesuffix(".toml")] = entry
        return found

    return dict(sorted(walk(importlib.resources.files("gentickets_recipes"), "").items()))


def recipe_text(path_or_name: str | Path) -> tuple[str, str, str]:
    """The text of a recipe, unchecked: (text, where for errors, name).

    The name is a file's stem, or a shipped recipe's name with its folder, so that runs of two do not share a place.
    """
    given = str(path_or_name)
    path = Path(given)
    if "\0" in given or len(given) > LONGEST:
        raise TicketError(f"no recipe can be named so: {one_line(given, 60)}")
    if _is_file(path):
        return _decoded(_bounded(path), given), given, path.stem
    shipped = shipped_recipes()
    name = given.removesuffix(".toml")
    if name in shipped:
        return _decoded(shipped[name].read_bytes(), given), f"{name}.toml", name
    if group := [one for one in shipped if one.startswith(f"{name.rstrip('/')}/")]:
        message = f"'{given}' is a group of {len(group)} shipped recipes, not one"
        raise TicketError(f"{message}; name one, such as '{group[0]}' ('gentickets recipes ls' shows all)")
    what = f"'{given}' is a folder, not a recipe" if path.is_dir() else f"no recipe file '{given}'"
    beside = {near.name for near in path.parent.glob("*.toml")} if path.parent.is_dir() else set()
    hint = nearest(path.name if beside else path.stem, {*shipped} | beside)
    raise TicketError(f"{what}, and no shipped recipe has that name. {hint}")


def _is_file(path: Path) -> bool:
    """Whether this is a plain file; devices and named pipes are none, and would be waited for."""
    try:
        return path.is_file()
    except OSError as error:
        raise TicketError(f"recipe file '{one_line(str(path), 200)}' cannot be read: {error.strerror}") from error


def _bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_TEXT + 1)
    except PermissionError as error:
        raise TicketError(f"recipe file '{path}' may not be read: {error.strerror}") from error
    if len(raw) > MOST_TEXT:
        raise TicketError(f"'{path}' is larger than {MOST_TEXT:,} bytes: not a recipe")
    return raw


def _decoded(raw: bytes, given: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise TicketError(f"{given}:{line}: not UTF-8 text; a recipe is TOML") from error
