"""Loads the target that ``--to`` names, and says where the transfer runs. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.actions.locate import RUNS, recipe_of
from gentickets.actions.names import is_recipe, run_at
from gentickets.errors import TicketError
from gentickets.recipe import Recipe, load_recipe, recipe_from
from gentickets.runs.folder import RunFolder


@dataclass(frozen=True)
class Target:
    """What a ticket is transferred into."""

    recipe: Recipe
    """With its [transfer]."""
    natives: RunFolder | None = None
    """A run of the recipe, whose finished rounds are taken over."""


def load_target(
    to: str, section: Mapping[str, Any], *, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()
) -> Target:
    """The recipe of a name, a file or a run, with ``section`` laid over its [transfer].

    Raises TicketError as `load_recipe` does, and for overrides of a run's recipe.
    """
    named = Path(to) if is_recipe(to) else run_at(to) or Path(to)
    run = RunFolder(named)
    if not run.record.is_file():
        return Target(load_recipe(to, overrides=overrides, plugins=plugins, transfer=section))
    if overrides:
        raise TicketError(
            f"--set would change the recipe of the run {to}, so that its rounds do not count; name a recipe"
        )
    own = recipe_of(run)
    # a run that is a transfer itself, of another source perhaps, lends its native rounds alone
    plain = {**own.resolved(), "transfer": dict(section)}
    return Target(recipe_from(plain, name=own.name, text=own.text, where=to).of_run(own.claimed), run)


def started(out: Path) -> Recipe:
    """The recipe of a transfer that was started in a folder; TicketError where none was."""
    run = RunFolder(out)
    if not run.record.is_file():
        raise TicketError(f"no transfer to resume at {out}; without --resume it would start there")
    recipe = recipe_of(run)
    if recipe.transfer is None:
        raise TicketError(f"{out} is a run of 'gentickets find', not a transfer; resume it with that command")
    return recipe


def default_folder(source: str, target: Recipe) -> Path:
    """Where the transfer of a named source runs by default: ``runs/SOURCE-to-TARGET``."""
    return RUNS / f"{source}-to-{Path(target.name).name}"
