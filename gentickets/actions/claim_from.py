"""A claim on what an exploration has chosen: its level and its number of seeds, with new seeds. Torch-free.

Exploring may choose everything, since nothing of what it measured enters a test of the claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gentickets.actions.locate import recipe_of
from gentickets.analysis.claim import claim_round
from gentickets.errors import TicketError
from gentickets.recipe import Recipe, diff, parse_recipe
from gentickets.recipe.edit import with_values
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder
from gentickets.statistics import LEAST_SEEDS


def claimed_from(
    explored: Path, *, seeds: int | None = None, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()
) -> Recipe:
    """The recipe of a claim on what a run has shown: the run's, with its level and its number of seeds written out.

    A level that the recipe leaves to validation is chosen now, on the run's results. ``seeds``: another number;
    ``overrides`` are laid over the new recipe. Raises TicketError where the folder is no run, is one that has declared
    a claim itself, or has shown no level yet.
    """
    run = RunFolder(explored)
    recipe = recipe_of(run)
    if recipe.claim is not None and not recipe.explores:
        raise TicketError(f"{explored} has declared a claim itself: gentickets verdict {explored}")
    number = max(LEAST_SEEDS, recipe.search.seeds) if seeds is None else seeds
    values = {**_changed(run, recipe, plugins), "seed": None, "search.seeds": number}
    if recipe.claim is not None and not any(one.startswith("claim.level=") for one in overrides):
        values["claim.level"] = _level(run, recipe)
    where = f"{explored.resolve().name}-claim"
    text = with_values(recipe.text, values, where)
    claimed = parse_recipe(text, name=where, where=f"{where}.toml", overrides=overrides, plugins=plugins)
    if claimed.claim is None:
        how = "--set claim.metric=... --set claim.level=..."
        raise TicketError(f"the recipe of {explored} has no [claim], so say what is claimed: {how}")
    return claimed


def _level(run: RunFolder, recipe: Recipe) -> float:
    """The level that the run's recipe names, or that its results on validation choose."""
    if recipe.claim is not None and recipe.claim.declared is not None:
        return recipe.claim.declared
    found = claim_round(read_results(run.path), recipe)
    if found is None:
        message = f"in {run.path} no level is within the margin of dense on validation"
        raise TicketError(f"{message}; name the one to claim: --set claim.level=...")
    return recipe.sparsity(found)


def _changed(run: RunFolder, recipe: Recipe, plugins: Sequence[Path]) -> dict[str, Any]:
    """What ``--set`` had changed in the run's recipe; levels and controls of the exploration are not claimed."""
    given = parse_recipe(recipe.text, name=recipe.name, where=str(run.recipe), plugins=plugins)
    keys = [line.partition(":")[0] for line in diff(given.exploring(), recipe)]
    found: dict[str, Any] = {}
    for key in keys:
        value: Any = recipe.resolved()
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and key != "claim.sparsities":
            found[key] = value
    return found
