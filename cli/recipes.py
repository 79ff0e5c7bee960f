"""`gentickets recipes`: list, show, copy and validate recipes, without torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.datasets import DATASETS
from gentickets.errors import Status, TicketError

from .console import emit, json_option, listing, note
from .group import NearestGroup
from .options import FORCE, OVERRIDE, PLUGIN, check_new

if TYPE_CHECKING:
    from gentickets.recipe import Recipe

GROUPS = ("", "quick", "transfer", "paper", "width")
"""Folders of recipes in the order in which they are listed; others follow."""


@click.group(cls=NearestGroup)
def recipes() -> None:
    """List, show, copy and check recipes."""


@recipes.command("ls", subject="What is listed", examples=["gentickets recipes ls"])
@json_option
def ls(as_json: bool) -> None:
    """List the recipes that come with gentickets: what each one is, its data, its size and its time."""
    from gentickets.recipe import load_recipe, shipped_recipes

    rows = [{"recipe": name, "group": name.rpartition("/")[0], **_row(load_recipe(name))} for name in shipped_recipes()]
    if as_json:
        emit(rows, as_json)
        return
    headers = ["recipe", "family", "data", "size", "weights", "seeds x rounds", "steps"]
    order = [*GROUPS, *sorted({row["group"] for row in rows} - {*GROUPS})]
    groups = [[row for row in rows if row["group"] == group] for group in order]
    listing(headers, [[(_cells(row), _sentence(row)) for row in group] for group in groups if group])


@recipes.command("show", examples=["gentickets recipes show digits_vae"])
@click.argument("recipe")
@json_option
def show(recipe: str, as_json: bool) -> None:
    """Print RECIPE, a TOML file or the name of a shipped recipe. With --json all defaults are filled in."""
    from gentickets.recipe import load_recipe, recipe_text

    if as_json:
        emit(load_recipe(recipe).resolved(), as_json)
    else:
        click.echo(recipe_text(recipe)[0], nl=False)


@recipes.command("cp", examples=["gentickets recipes cp digits_vae my.toml"])
@click.argument("recipe")
@click.argument("to", required=False, type=click.Path(path_type=Path))
@FORCE
@json_option
def cp(recipe: str, to: Path | None, force: bool, as_json: bool) -> None:
    """Copy RECIPE to a file or into a folder, to change it. Nothing is overwritten without --force."""
    from gentickets.disk import write_whole
    from gentickets.recipe import recipe_text

    text, _, name = recipe_text(recipe)
    file = f"{Path(name).name}.toml"
    target = to if to is not None else Path(file)
    if target.is_dir():
        target = target / file
    check_new(target, force)
    write_whole(target, text.encode("utf-8"))
    if as_json:
        emit({"recipe": recipe, "file": target}, True)
    else:
        click.echo(str(target))
    carries = re.search(r"^\s*\[transfer\]", text, re.MULTILINE)
    note(f"run it with: gentickets {'transfer --to' if carries else 'find'} {target}")


@recipes.command("validate", subject="What is checked", examples=["gentickets recipes validate my.toml"])
@click.argument("recipe", nargs=-1, required=True)
@OVERRIDE
@PLUGIN
@json_option
def validate(recipe: tuple[str, ...], overrides: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """Check recipes and report all their errors at once.

    The keywords of a plugin's own family are checked only when it runs.
    """
    from gentickets.recipe import load_recipe

    errors: list[str] = []
    found: list[dict[str, Any]] = []
    for one in recipe:
        try:
            checked = load_recipe(one, overrides=overrides, plugins=plugins)
        except TicketError as error:
            errors += str(error).splitlines()
            found.append({"recipe": one, "fine": False, "errors": str(error).splitlines()})
        else:
            found.append({"recipe": one, "fine": True, "errors": [], "summary": summary(checked)})
    if as_json:
        emit(found, as_json)
    else:
        for row in found:
            if row["fine"]:
                click.echo(f"fine: {row['summary']}")
    if errors:
        raise TicketError("\n".join(errors), Status.REQUEST)


def summary(recipe: Recipe) -> str:
    """A recipe in a line: what is searched, for how long, against what, for which claim."""
    search, claim = recipe.search, recipe.claim
    parts = [
        f"{recipe.name}: {recipe.task.family} on {recipe.data.name}",
        f"{search.seeds} seeds x {_levels(recipe)} of {recipe.train.steps} steps",
    ]
    if search.controls:
        rounds = " and ".join(map(str, recipe.control_rounds))
        parts.append(f"{', '.join(search.controls)} after {rounds} rounds")
    if claim is not None:
        where = f"after {recipe.claim_round} rounds" if recipe.claim_round else "where validation says"
        parts.append(f"claim: {claim.metric} within {100 * claim.margin:g} % of dense {where}")
    return "; ".join(parts)


def _levels(recipe: Recipe) -> str:
    """What a seed has: ``6 rounds``, ``3 levels at the start by snip``, ``5 widths``."""
    search, count = recipe.search, len(recipe.rounds)
    return recipe.method.levels.format(
        count=count,
        levels=f"{count} level{'s' if count > 1 else ''}",
        by=f" by {search.criterion}" if search.criterion != "magnitude" else "",
        criterion=search.criterion,
        removed=search.by,
    )


def _row(recipe: Recipe) -> dict[str, Any]:
    about, takes = _told(recipe.text)
    data = DATASETS.get(recipe.data.name)  # the images are not looked at, nor need they be there
    return {
        "about": about,
        "takes": takes,
        "family": recipe.task.family,
        "network": recipe.task.network or None,
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


def _cells(row: dict[str, Any]) -> list[object]:
    size = f"{row['size']}x{row['size']}" if row["size"] else None
    runs = f"{row['seeds']} x {row['rounds']}"
    return [row["recipe"], row["family"], row["data"], size, row["weights"], runs, row["steps"]]


def _sentence(row: dict[str, Any]) -> str:
    return ": ".join(filter(None, [row["about"], row["takes"]]))


def _told(text: str) -> tuple[str | None, str | None]:
    """The sentence of the second comment, and the expected time that follows its colon."""
    told = re.match(r"#[^\n]*\n#\s*(?P<about>[^\n]*?)(?::\s*(?P<takes>[^:\n]*?))?\.?\s*(?:\n|$)", text)
    return (told["about"], told["takes"]) if told else (None, None)


def _weights(about: str | None) -> str | None:
    """How many weights the sentence tells of: to count them would take torch, and so a second."""
    told = re.search(r"(\d[\d.,]*(?: ?[kMG])?) weights", about or "")
    return told[1] if told else None
