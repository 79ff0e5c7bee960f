"""What a verdict asks of a recipe: the controls, rounds and longer trainings without which no ticket is said to win."""

from __future__ import annotations

from gentickets.errors import TicketError
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import SCALABLE, Claim, Control, Search, Verdict

OF_MASKS: tuple[Control, ...] = ("reinit", "shuffle", "random-erk")
"""The controls that a mask of weights is held against; `NARROW` beside them."""
OF_CHANNELS: tuple[Control, ...] = ("random-channels", "low-channels", "scratch")
"""The same, of a ticket whose channels were removed."""
NARROW: Control = "narrow"
"""A narrower dense model at equal FLOPs; where the family has a whole-number keyword ``width``."""
LONGER = 5
"""How many times as long all arms train at the declared level, where the recipe does not say."""


def complete(recipe: Recipe) -> Recipe:
    """The recipe with everything that a verdict needs, for a run of its own or one that grows.

    Standard controls join those that are declared, with scaled twins, at every level that gets a word; all arms train
    `LONGER` times as long at a declared level; and [verdict] is there. The claim is the same: the levels that it leaves
    to where controls run are written out as they were. Raises TicketError where there is no claim to judge.
    """
    require_claim(recipe)
    search = recipe.search
    judged = recipe.judged_rounds
    before = recipe.control_rounds if search.controls else []
    claim = recipe.claim and recipe.claim.model_copy(update={"sparsities": tuple(map(recipe.sparsity, judged))})
    wanted = {
        "controls": (*search.controls, *_lacking(recipe)),
        "control_rounds": tuple(sorted({*before, *judged})),
        "scaling": "both",
        "longer": _longer(recipe),
    }
    return recipe.model_copy(
        update={"search": search.model_copy(update=wanted), "claim": claim, "verdict": recipe.verdict or Verdict()}
    )


def missing(recipe: Recipe) -> list[str]:
    """The standard arms that a recipe lacks, by the names of arms; ``longer`` stands for all longer trainings.

    Raises TicketError as `complete`.
    """
    require_claim(recipe)
    search = recipe.search
    scalable = [control for control in search.controls if control in SCALABLE]
    twins: dict[str, list[str]] = {"both": [], "off": [f"{one}-scaled" for one in scalable], "on": [*scalable]}
    longer = ["longer"] if _longer(recipe) != search.longer else []
    twice = [] if recipe.verdict and recipe.verdict.twice else ["dense-twice"]
    return [*_lacking(recipe), *twins[search.scaling], *longer, *twice]


def _lacking(recipe: Recipe) -> list[Control]:
    """Standard controls that are not declared."""
    search: Search = recipe.search
    narrow = [] if recipe.task.width is None else [NARROW]
    standard = (*(OF_CHANNELS if recipe.removes_channels else OF_MASKS), *narrow)
    return [control for control in standard if control not in search.controls]


def _longer(recipe: Recipe) -> int:
    declared = recipe.claim is not None and recipe.claim.declared is not None
    return recipe.search.longer or (LONGER if declared else 0)


def require_claim(recipe: Recipe) -> Claim:
    """The claim that a verdict is on; TicketError for a recipe without one, or of which nothing can be claimed."""
    if recipe.search.method == "widths":
        raise TicketError("a sweep of widths finds no ticket, so that there is nothing to judge")
    if recipe.transfer is not None:
        message = "a transferred ticket is judged by its own report: use gentickets transfer, and gentickets report"
        raise TicketError(f"{message}; a verdict is on a recipe without [transfer]")
    if recipe.search.rewind != "weights":
        message = f"search.rewind = '{recipe.search.rewind}' goes on from trained weights"
        raise TicketError(f"{message}, which compares with no dense model at equal steps; use 'weights'")
    if recipe.claim is None:
        raise TicketError("a verdict is on a claim that was declared beforehand; add a [claim] section to the recipe")
    return recipe.claim
