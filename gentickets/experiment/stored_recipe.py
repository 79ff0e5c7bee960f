"""Checks the recipe in a ticket's file against the ticket before its networks are built."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch

from gentickets.errors import Status, TicketError
from gentickets.recipe import Recipe
from gentickets.tasks import FAMILIES

USUAL = 1024
"""Widths up to which networks are built without counting their weights first."""
USUAL_IMAGE = 1 << 18
SLACK, MOST = 1 << 20, 1 << 31


def check_size(recipe: Recipe, stored: int, where: Path, *, compact: bool = False) -> None:
    """Raise TicketError (status 3) where a recipe's networks are far larger than the ticket beside it.

    ``stored``: how many weights the ticket holds, pruned ones included; a ``compact`` one's networks may have more.
    """
    named, keywords, image = recipe.task.family, recipe.task.keywords, recipe.image or (1,)
    sizes = [value for value in keywords.values() if isinstance(value, int)]
    family = FAMILIES.get(named)
    if family is None or (max([0, *sizes]) <= USUAL and prod(image) <= USUAL_IMAGE):
        return
    limit = MOST if compact else 4 * stored + SLACK
    if keywords.get("depth", 0) <= USUAL and len(image) == 3:
        try:
            with torch.device("meta"):  # shapes alone, without memory
                task = family(image, **keywords)
            if sum(parameter.numel() for parameter in task.parameters()) <= limit:
                return
        except (RuntimeError, TypeError, ValueError, OverflowError):
            pass  # sizes that no tensor can have
    message = f"{where} asks for networks of {dict(family=named, **keywords)}, which its {stored} weights cannot be of"
    raise TicketError(message, Status.TICKET)
