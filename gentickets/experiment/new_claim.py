"""Whether a folder's run has declared another claim, what that would cost, and where a new one begins. Torch-free.

A claim that is declared anew has seeds of its own, so that no training of the old one counts for it. Nothing that is
there is touched: the new claim begins in a folder of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gentickets.errors import TicketError
from gentickets.experiment.extend import as_begun
from gentickets.recipe import Recipe, diff
from gentickets.recipe.declared import edition_of, has_explored, recipe_of_record
from gentickets.recipe.meaning import EDITION, meaning
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder

MOST = 1000
"""Folders of claims beside one another that are looked through."""


def changes_of_claim(recipe: Recipe, record: Mapping[str, Any], where: str) -> list[str]:
    """What a recipe claims otherwise than a run has declared, as lines ``claim.margin: 0.05 -> 0.04``.

    Empty where it is the same claim, and where one of the two claims nothing.
    """
    stored = recipe_of_record(record, where=where)
    if recipe.claim is None or stored.claim is None or recipe.explores or has_explored(record):
        return []
    return diff(meaning(stored), meaning(as_begun(recipe, stored)))


def require_same_claim(run: RunFolder, recipe: Recipe, record: Mapping[str, Any]) -> None:
    """Raise TicketError where a run has declared another claim than the recipe's, or was explored without one.

    The error says which keys differ, what will not count, and how to go on.
    """
    if recipe.explores != has_explored(record):
        raise TicketError(_of_another_kind(run, recipe))
    if changes := changes_of_claim(recipe, record, str(run.record)):
        told = "\n  ".join(changes)
        message = f"{run.path} was started with another claim; changed:\n  {told}\n"
        anew = "is another run" if recipe.seeds_by_hand else "has new seeds"
        message += f"A claim that is declared anew {anew}, and {_spent(run)} will not count for it; they stay there."
        beside = "" if recipe.transfer else f"--new-claim, which begins in {free_folder(recipe, run.path)}, or "
        raise TicketError(f"{message} To declare it: {beside}another --out")


def free_folder(recipe: Recipe, folder: Path) -> Path:
    """The folder in which a claim begins or goes on: the given one, or ``FOLDER-2`` and so on beside it.

    It is the first that is no run, or a run that declared this very claim by today's rule.
    """
    for number in range(1, MOST):
        place = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not place.exists() or _is_of(recipe, RunFolder(place)):
            return place
    raise TicketError(f"{folder} already has {MOST} claims; choose another --out")


def _is_of(recipe: Recipe, run: RunFolder) -> bool:
    if not run.record.is_file():
        return run.path.is_dir() and not any(run.path.iterdir())
    record = run.read_record()
    same = not changes_of_claim(recipe, record, str(run.record))
    return same and edition_of(record) == EDITION and not recipe.explores


def _of_another_kind(run: RunFolder, recipe: Recipe) -> str:
    if recipe.explores:
        return f"{run.path} is a run that declared a claim; to explore without one, choose another --out"
    how = f"gentickets verdict --from {run.path}"
    return f"{run.path} was begun with --explore, and claims nothing: resume it with --explore, or claim with {how}"


def _spent(run: RunFolder) -> str:
    """How long the results of a run took, in words."""
    seconds = math.fsum(sum(result.seconds.values()) for result in read_results(run.path))
    return f"{seconds / 3600:.2g} hours of runs" if seconds >= 360 else f"{seconds / 60:.2g} minutes of runs"
