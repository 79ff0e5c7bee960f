"""What a verdict asks of a recipe: the controls, rounds and longer trainings without which no ticket is said to win."""

from __future__ import annotations

from gentickets.arms import CONTROLS, TWICE, ArmKind, kind_of, variants
from gentickets.errors import TicketError
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import Claim, Control, Verdict

LONGER = 5
"""How many times as long all arms train at the declared level, where the recipe does not say."""


def complete(recipe: Recipe) -> Recipe:
    """The recipe with everything that a verdict needs, for a run of its own or one that grows.

    Declared controls join those that `find` trains, with scaled twins, at every level that gets a word; all arms train
    `LONGER` times as long at a declared level; and [verdict] is there. The claim is the same: the levels that it leaves
    to where controls run are written out as they were. Raises TicketError where there is no claim to judge.
    """
    require_claim(recipe)
    search = recipe.search
    judged = recipe.judged_rounds
    before = recipe.control_rounds if search.controls else []
    claim = recipe.claim and recipe.claim.model_copy(update={"sparsities": tuple(map(recipe.sparsity, judged))})
    wanted = {
        "controls": (*search.controls, *lacking_controls(recipe)),
        "control_rounds": tuple(sorted({*before, *judged})),
        "scaling": "both",
        "longer": _longer(recipe),
    }
    return recipe.model_copy(
        update={"search": search.model_copy(update=wanted), "claim": claim, "verdict": recipe.verdict or Verdict()}
    )


def missing(recipe: Recipe) -> list[str]:
    """The declared arms that a recipe does not train, by the names of arms; ``longer`` stands for all longer trainings.

    Raises TicketError as `complete`.
    """
    require_claim(recipe)
    search = recipe.search
    scalable = [variants(control) for control in search.controls if kind_of(control).scalable]
    twins: dict[str, list[str]] = {"both": [], "off": [scaled for _, scaled in scalable],
                                   "on": [plain for plain, _ in scalable]}  # fmt: skip
    longer = ["longer"] if _longer(recipe) != search.longer else []
    twice = [] if recipe.verdict and recipe.verdict.twice else [TWICE]
    return [*lacking_controls(recipe), *twins[search.scaling], *longer, *twice]


def standard_controls(recipe: Recipe) -> list[Control]:
    """The controls that a ticket must beat where its claim names none, in the order of the table of arms.

    A narrower dense model needs a whole-number keyword ``width``.
    """

    def is_wanted(kind: ArmKind) -> bool:
        fits = kind.narrower if recipe.removes_channels else not kind.of_channels
        return kind.standard and fits and (kind.equal is None or recipe.task.width is not None)

    return [control for control in CONTROLS if is_wanted(kind_of(control))]


def declared_controls(recipe: Recipe) -> list[Control]:
    """The controls that the claim declares, whichever of them `find` trains by itself.

    Those of ``claim.controls``; else those that were standard when the run began, or are now.
    """
    if recipe.claim is not None and recipe.claim.controls is not None:
        return list(recipe.claim.controls)
    return list(recipe.claimed.get("declared", {}).get("controls") or standard_controls(recipe))


def declared_arms(recipe: Recipe) -> list[str]:
    """The arms of the declared controls, scaled twins apart: as many as blame is shared among."""
    controls = declared_controls(recipe)
    return [arm for control in controls for arm in (variants(control) if kind_of(control).scalable else [control])]


def lacking_controls(recipe: Recipe) -> list[Control]:
    """Declared controls that the recipe does not train."""
    wanted = [control for control in declared_controls(recipe) if control not in recipe.search.controls]
    return sorted(wanted, key=lambda control: kind_of(control).equal is not None)  # narrower dense models last


def _longer(recipe: Recipe) -> int:
    declared = recipe.claim is not None and recipe.claim.declared is not None
    return recipe.search.longer or (LONGER if declared else 0)


def require_claim(recipe: Recipe) -> Claim:
    """The claim that a verdict is on; TicketError for a recipe without one, or of which nothing can be claimed."""
    if not recipe.prunes:
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
