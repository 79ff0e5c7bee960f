"""Equal total compute: which arms take as many optimizer steps as a ticket and its search, and how many; torch-free."""

from __future__ import annotations

from gentickets.arms import WHOLE, ArmKind, kind_of
from gentickets.recipe.schema import Recipe

NO_SEARCH = "its search takes no step beyond the ticket's own training, so that all arms have the same compute already"
NO_LEVEL = "the level is not declared, so that it is not known beforehand how long they would train"
NOT_ASKED = "the recipe leaves them out ([verdict] whole)"


def searches(recipe: Recipe) -> bool:
    """Whether a ticket costs more optimizer steps than one training.

    A ticket that is pruned at the start does not, and neither does an early bird that goes on from where it emerged:
    the steps of its search are its own first ones.
    """
    method = recipe.method
    return method.trains_dense_first or (method.watches and recipe.search.after == "rewind")


def total_steps(recipe: Recipe, round: int) -> int:
    """Optimizer steps behind a ticket of one round, its search and its own; `Method.steps_behind` has the formula."""
    return recipe.method.steps_behind(recipe.train.steps, recipe.search.rewind_to, round)


def why_no_whole_arms(recipe: Recipe) -> str:
    """Why a recipe has no arms of equal total compute; empty where it has some."""
    if not recipe.prunes or not searches(recipe):
        return NO_SEARCH
    if recipe.claim_round is None:
        return NO_LEVEL
    return "" if recipe.verdict is not None and recipe.verdict.whole else NOT_ASKED


def whole_arms(recipe: Recipe) -> list[str]:
    """The arms of equal total compute that a recipe trains at the declared level.

    Masks mean nothing where channels are removed: there, the ticket's own shape starts anew. A narrow dense model needs
    a whole-number keyword ``width``.
    """

    def fits(kind: ArmKind) -> bool:
        of_size = kind.narrower or not kind.sparse if recipe.removes_channels else not kind.of_channels
        return of_size and (kind.equal is None or recipe.task.width is not None)

    return [] if why_no_whole_arms(recipe) else [arm for arm in WHOLE if fits(kind_of(arm))]
