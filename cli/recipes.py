"""`gentickets recipes`: list, show, copy and validate recipes, without torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import Status, TicketError

from .completion import completing
from .console import emit, json_option, listing, note
from .group import NearestGroup
from .options import FORCE, OVERRIDE, PLUGIN, check_new
from .recipe_list import chosen, duration, grouped, rows_of

if TYPE_CHECKING:
    from gentickets.recipe import Recipe

GROUPS = ("", "quick", "transfer", "paper", "width")
"""Folders of recipes in the order in which they are listed; others follow."""
COLUMNS = ("recipe", "model", "data", "method", "time")


@click.group(cls=NearestGroup)
def recipes() -> None:
    """List, show, copy and check recipes."""


@recipes.command(
    "ls", subject="What is listed",
    examples=["gentickets recipes ls --model vae --time 5min", "gentickets recipes ls --method early_bird --json"],
)  # fmt: skip
@click.option("--model", metavar="NAME", help="Only this family, network or both: vae, conv, vae/conv.")
@click.option("--data", metavar="NAME", help="Only this dataset, such as digits.")
@click.option("--method", metavar="NAME", help="Only this search method or criterion, such as one_shot or snip.")
@click.option("--time", callback=duration, metavar="TIME", help="Only what takes at most this long: 90s, 5min, 2h.")
@json_option
def ls(model: str | None, data: str | None, method: str | None, time: float | None, as_json: bool) -> None:
    """List the recipes that come with gentickets, with their model, data, search method and time.

    A terminal also shows a sentence on each. In a pipe every recipe is one line; --json has all columns.
    """
    from gentickets.recipe import load_recipe, shipped_recipes

    every = rows_of({name: load_recipe(name) for name in shipped_recipes()})
    rows = chosen(every, {"model": model, "data": data, "method": method}, time)
    if as_json:
        emit(rows, as_json)
    elif rows:
        groups = [
            [([row[key] for key in COLUMNS], row["about"] or "") for row in group] for group in grouped(rows, GROUPS)
        ]
        listing(COLUMNS, groups)
    else:
        note("no shipped recipe passes all of these filters")


@recipes.command("show", examples=["gentickets recipes show digits_vae"])
@click.argument("recipe", shell_complete=completing("recipe"))
@json_option
def show(recipe: str, as_json: bool) -> None:
    """Print RECIPE, a TOML file or the name of a shipped recipe. With --json all defaults are filled in."""
    from gentickets.recipe import load_recipe, recipe_text

    if as_json:
        emit(load_recipe(recipe).resolved(), as_json)
    else:
        click.echo(recipe_text(recipe)[0], nl=False)


@recipes.command("cp", examples=["gentickets recipes cp digits_vae my.toml"])
@click.argument("recipe", shell_complete=completing("recipe"))
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
@click.argument("recipe", nargs=-1, required=True, shell_complete=completing("recipe"))
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
