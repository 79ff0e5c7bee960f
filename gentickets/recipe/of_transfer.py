"""What [transfer] asks for, checked against itself and the other sections."""

from __future__ import annotations

from collections.abc import Iterator

from gentickets.errors import nearest
from gentickets.methods import METHODS
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import CONTROLS_OF_MOVES
from gentickets.recipe.words import Problem, listed


def what_moves(recipe: Recipe) -> Iterator[Problem]:
    """Keys that mean nothing with what moves."""
    transfer = recipe.transfer
    if transfer is None:
        return
    possible = {*CONTROLS_OF_MOVES[transfer.moves], "shuffle", *(["mask"] if transfer.align else [])}
    for i, control in enumerate(transfer.controls or ()):
        if control not in possible:
            message = f"'{control}' means nothing with moves = '{transfer.moves}'; use {listed(sorted(possible))}"
            yield Problem(f"transfer.controls[{i}]", message)
    if transfer.noise and transfer.moves not in ("weights", "trained"):
        yield Problem("transfer.noise", f"is added to weights that move, and moves = '{transfer.moves}'; remove it")
    if transfer.scale and transfer.moves != "mask":
        message = f"is for a mask on weights that are not its own, and moves = '{transfer.moves}'"
        yield Problem("transfer.scale", f"{message}; remove it, or use moves = 'mask'")
    if transfer.align and transfer.moves != "mask":
        message = f"matches channels so that a mask alone may move, and moves = '{transfer.moves}'; use moves = 'mask'"
        yield Problem("transfer.align", message)
    if transfer.align and (transfer.widths or transfer.deepen):
        yield Problem("transfer.align", "matches channels of equal networks; remove it, or widths and deepen")
    if transfer.align > recipe.train.steps:
        yield Problem("transfer.align", f"{transfer.align} is more than train.steps = {recipe.train.steps}")
    if transfer.deepen and transfer.match != "order":
        yield Problem("transfer.deepen", "repeats layers in their order; use match = 'order'")


def levels(recipe: Recipe) -> Iterator[Problem]:
    """Rounds at which a ticket is carried over, and searches whose levels are no masks."""
    transfer, search = recipe.transfer, recipe.search
    if transfer is None:
        return
    if not recipe.prunes or recipe.removes_channels:
        message = f"search.method = '{search.method}' finds no masks of the recipe's networks to compare with"
        yield Problem(
            "transfer", f"{message}; use {listed([name for name, method in METHODS.items() if method.masks_dense])}"
        )
        return
    for i, number in enumerate(transfer.rounds or ()):
        if number not in recipe.rounds:
            yield Problem(f"transfer.rounds[{i}]", f"{number} is no round of this recipe; it has {recipe.rounds}")


def routes(recipe: Recipe) -> Iterator[Problem]:
    """Where routes lead: to components that are there, and that are pruned."""
    known, pruned = recipe.task.options.components, recipe.search.prune
    for source, target in (recipe.transfer.routes if recipe.transfer else {}).items():
        component = target.split(".", 1)[0]
        if known and component not in known:
            message = f"family '{recipe.task.family}' has no component '{component}'. {nearest(component, known)}"
            yield Problem(f"transfer.routes.{source}", message)
        elif pruned and component not in pruned:
            message = f"'{component}' is not pruned here; add it to search.prune, or remove the route"
            yield Problem(f"transfer.routes.{source}", message)
