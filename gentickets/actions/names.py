"""Resolves what a person names: a recipe, a run or a ticket. All commands and verbs ask here. Torch-free.

A path that exists comes first, then a recipe where one may be meant, then a run of that name under ``runs/``.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Literal

from gentickets.actions.locate import RUNS, progress_of, recipe_of, resuming, ticket_at
from gentickets.actions.next_steps import claimed_ticket
from gentickets.analysis.run import read_run
from gentickets.errors import TicketError, nearest
from gentickets.recipe import Recipe, shipped_recipes
from gentickets.runs.folder import RunFolder

NEAR_LEVEL = 0.02
"""How far a level that is asked for may be from its round's sparsity."""

Named = str | PathLike[str]
"""A path, or a name."""


def default_out(recipe: Recipe) -> Path:
    """Where a recipe runs unless a folder is given: ``runs/RECIPE``."""
    return RUNS / recipe.name


def is_recipe(given: Named) -> bool:
    """Whether this is a recipe's file, or the name of a shipped recipe."""
    path = Path(given)
    if path.exists():
        return path.is_file() and path.suffix == ".toml"
    return str(given).removesuffix(".toml") in shipped_recipes()


def run_at(given: Named) -> Path | None:
    """The folder of a run: the path itself, or the run of that name under ``runs/``; None where there is neither."""
    return next((place for place in (Path(given), RUNS / given) if (place / "run.json").is_file()), None)


def find_run(given: Named) -> Path:
    """The folder of the run that is named; TicketError where there is none, with the nearest names of runs."""
    if (found := run_at(given)) is not None:
        return found
    if not Path(given).exists() and is_recipe(given):
        raise TicketError(f"{given} has no run in {RUNS} yet: gentickets find {given}")
    hint = f". {nearest(str(given), runs)}" if (runs := runs_here()) else ""
    raise TicketError(f"{given} is no run: it has no run.json{hint}")


def runs_here() -> list[str]:
    """The names of the runs under ``runs/``, in order; a name may have one folder in it (``quick/vae``)."""
    found = [*RUNS.glob("*/run.json"), *RUNS.glob("*/*/run.json")]
    return sorted(path.parent.relative_to(RUNS).as_posix() for path in found)


def kind_of(given: Named) -> Literal["run", "ticket", "recipe"]:
    """Whether a path or name means a run, a ticket or a recipe; TicketError where it means none of them."""
    path = Path(given)
    if (path / "run.json").is_file():
        return "run"
    if path.is_dir() or (path.is_file() and path.suffix != ".toml"):
        return "ticket"
    if is_recipe(given):
        return "recipe"
    if run_at(given) is not None:
        return "run"
    if (RUNS / given).exists():
        return "ticket"
    raise TicketError(f"'{given}' is no run, no ticket and no recipe. {nearest(str(given), _known())}")


def find_ticket(given: Named, *, seed: int | None = None, level: float | None = None) -> Path:
    """The ticket file that is named: the file, the one in a round's or training's folder, or the one of a run.

    Of a run it is the ticket at ``level`` (a sparsity; by default that of the claim, or the sparsest where the run
    claims nothing) of ``seed`` (by default the first). Raises TicketError where there is none.
    """
    if (run := run_at(given)) is not None:
        return ticket_of_run(run, seed=seed, level=level)
    path = Path(given)
    if not path.exists() and (RUNS / given).exists():
        path = RUNS / given
    if not path.exists() and not path.suffix and path.parent == Path():
        if is_recipe(given):
            find_run(given)
        raise TicketError(f"'{given}' is no ticket and no run. {nearest(str(given), runs_here())}")
    return ticket_at(path)


def ticket_of_run(path: Path, *, seed: int | None = None, level: float | None = None) -> Path:
    """The ticket file of a run: see `find_ticket`."""
    run = RunFolder(path)
    recipe = recipe_of(run)
    if not recipe.prunes:
        raise TicketError(f"{path} is a sweep of widths, which finds no tickets")
    if seed is not None and seed not in recipe.seeds:
        raise TicketError(f"{path} has no seed {seed}; it has {', '.join(map(str, recipe.seeds))}")
    if seed is None and level is None:
        found = claimed_ticket(read_run(path))
    else:
        wanted = _claimed_round(path) if level is None else _round_at(path, recipe, level)
        found = run.round(recipe.seeds[0] if seed is None else seed, "ticket", wanted)
    if found is None or not found.ticket.is_file():
        done, rounds = progress_of(run)
        what = f"{path} has no ticket" if found is None else f"{path} has no ticket in {found.path.relative_to(path)}"
        raise TicketError(what if done == rounds else f"{what} yet; go on with: {resuming(run)}")
    return found.ticket


def _claimed_round(path: Path) -> int:
    if (found := claimed_ticket(read_run(path))) is None:
        raise TicketError(f"{path} is a run that has no ticket yet")
    return int(found.path.name.removeprefix("round-"))


def _round_at(path: Path, recipe: Recipe, level: float) -> int:
    found = 0 if level == 0 else recipe.nearest_round(level)
    if abs(recipe.sparsity(found) - level) > NEAR_LEVEL:
        levels = ", ".join(f"{recipe.sparsity(round):.3g}" for round in recipe.rounds)
        raise TicketError(f"{path} has no level {level:g}; it has {levels} (removed fractions of the weights)")
    return found


def _known() -> list[str]:
    return [*shipped_recipes(), *runs_here()]
