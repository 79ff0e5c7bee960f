"""The shipped recipes as rows of a table, and filters over them. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gentickets.datasets import DATASETS
from gentickets.errors import TicketError, nearest

if TYPE_CHECKING:
    from gentickets.recipe import Recipe

FILTERS: Mapping[str, Sequence[str]] = {
    "model": ("model", "family", "network"),
    "data": ("data",),
    "method": ("method", "criterion"),
}
"""What recipes are filtered by -> the columns of which one must be it."""
UNITS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
SHORT = {"second": "s", "minute": "min", "hour": "h"}
WORDS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_TAKES = re.compile(r"about (?P<many>[\d.]+|[a-z]+) (?P<unit>second|minute|hour)s?\b(?P<on>.*)")


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds of an option like ``90s``, ``5min`` or ``2h`` (a number alone is minutes); None where it is not given."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|)", value.strip())
    if found is None:
        raise click.BadParameter(f"'{value}' is no time; give 90s, 5min or 2h", ctx, param)
    return float(found[1]) * UNITS[found[2] or "min"]


def rows_of(recipes: Mapping[str, Recipe]) -> list[dict[str, Any]]:
    """One row for each recipe by its name."""
    return [{"recipe": name, "group": name.rpartition("/")[0], **_row(recipe)} for name, recipe in recipes.items()]


def chosen(
    rows: Sequence[dict[str, Any]], wanted: Mapping[str, str | None], seconds: float | None
) -> list[dict[str, Any]]:
    """The rows that pass every filter: ``wanted`` by a key of `FILTERS`, and at most so many seconds.

    TicketError, with the nearest values, where no recipe at all has the wanted one.
    """
    found = list(rows)
    for key, value in wanted.items():
        if value is None:
            continue
        known = {str(row[column]) for row in rows for column in FILTERS[key] if row[column]}
        if value not in known:
            raise TicketError(f"no shipped recipe has the {key} '{value}'. {nearest(value, known)}")
        found = [row for row in found if value in {row[column] for column in FILTERS[key]}]
    if seconds is None:
        return found
    return [row for row in found if row["seconds"] is not None and row["seconds"] <= seconds]


def grouped(rows: Collection[dict[str, Any]], first: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The rows by their folder: those of ``first`` in its order, then others by name."""
    order = [*first, *sorted({row["group"] for row in rows} - {*first})]
    groups = [[row for row in rows if row["group"] == group] for group in order]
    return [group for group in groups if group]


def _row(recipe: Recipe) -> dict[str, Any]:
    about, takes = _described(recipe.text)
    data = DATASETS.get(recipe.data.name)  # its images need not be there
    family, network = recipe.task.family, recipe.task.network or None
    seconds, time = _time(takes)
    return {
        "about": about,
        "takes": takes,
        "time": time,
        "seconds": seconds,
        "model": f"{family}/{network}" if network else family,
        "family": family,
        "network": network,
        "data": recipe.data.name,
        "size": recipe.data.size or (data.side if data else None),
        "weights": _weights(about),
        "method": recipe.search.method,
        "criterion": recipe.search.criterion,
        "seeds": recipe.search.seeds,
        "rounds": len(recipe.rounds),
        "steps": recipe.train.steps,
        "claim": recipe.claim.metric if recipe.claim else None,
    }


def _described(text: str) -> tuple[str | None, str | None]:
    """The sentence of the second comment, and the expected time that follows its colon."""
    found = re.match(r"#[^\n]*\n#\s*(?P<about>[^\n]*?)(?::\s*(?P<takes>[^:\n]*?))?\.?\s*(?:\n|$)", text)
    return (found["about"], found["takes"]) if found else (None, None)


def _time(takes: str | None) -> tuple[float | None, str | None]:
    """Seconds and a short form of ``about 2 minutes on 2 cores``: (120.0, ``2 min``); (None, None) of another text."""
    found = _TAKES.match(takes or "")
    if found is None or not (found["many"] in WORDS or found["many"][0].isdigit()):
        return None, None
    many = WORDS.get(found["many"]) or float(found["many"])
    gpu = " GPU" if "GPU" in found["on"] else ""
    return float(many * UNITS[found["unit"]]), f"{many:g} {SHORT[found['unit']]}{gpu}"


def _weights(about: str | None) -> str | None:
    """The number of weights that the sentence names: to count them would take torch, and so a second."""
    found = re.search(r"(\d[\d.,]*(?: ?[kMG])?) weights", about or "")
    return found[1] if found else None
