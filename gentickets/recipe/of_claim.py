"""What the units, the controls and the images of a [claim] ask for, checked against the rest of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gentickets.metrics import Floor, averaged, floor_of, known
from gentickets.recipe.families import FAMILIES
from gentickets.recipe.of_search import unfit_control
from gentickets.recipe.schema import Recipe
from gentickets.recipe.words import Problem, refusal

ABSOLUTE = "give absolute units: unit = 'absolute', and margin and lead in the metric's own unit"


def claim_floor(recipe: Recipe, own: Mapping[str, Floor] | None = None) -> Floor | None:
    """What the best possible model reaches in the claim's metric; None where nobody knows, or nothing is claimed.

    ``own``: what a family of the user's own says of its figures (`Task.floor`).
    """
    if recipe.claim is None:
        return None
    return floor_of(recipe.claim.metric, {**recipe.task.options.floors(), **(own or {})})


def without_floor(recipe: Recipe) -> str:
    """Why the claim's margin cannot be a share, and what to do."""
    metric = recipe.claim.metric if recipe.claim is not None else ""
    return f"a share is of the dense model's distance to a floor, and '{metric}' has none here; {ABSOLUTE}"


def unit(recipe: Recipe) -> Iterator[Problem]:
    """Margins and leads that their unit does not allow, and shares of nothing."""
    if (claim := recipe.claim) is None:
        return
    if claim.unit == "absolute" and ("margin" not in claim.model_fields_set or claim.margin == 0):
        yield Problem("claim.margin", "unit = 'absolute' needs one above 0, in the metric's own unit, as margin = 0.9")
    if claim.unit == "share" and claim.margin == 0:
        yield Problem("claim.margin", refusal(claim.margin, "a number above 0 and below 1"))
    for key, value in (("margin", claim.margin), ("lead", claim.lead)):
        if claim.unit != "absolute" and value is not None and value >= 1:
            yield Problem(f"claim.{key}", refusal(value, "a number of at least 0 and below 1"))
    if claim.unit == "share" and claim_floor(recipe) is None and not _may_be_own(recipe):
        yield Problem("claim.unit", without_floor(recipe))


def controls(recipe: Recipe) -> Iterator[Problem]:
    """Declared controls that stand there twice, or do not go with what is pruned."""
    named = recipe.claim.controls or () if recipe.claim is not None else ()
    for i, control in enumerate(named):
        if why := unfit_control(recipe, control):
            yield Problem(f"claim.controls[{i}]", why)
        elif control in named[:i]:
            yield Problem(f"claim.controls[{i}]", f"{control!r} stands there twice")


def images(recipe: Recipe) -> Iterator[Problem]:
    """A claim about all images, by a metric that is no mean over images."""
    if recipe.claim is None or recipe.claim.images == "fixed" or _may_be_own(recipe):
        return
    if not averaged(recipe.claim.metric):
        yield Problem("claim.images", no_mean(recipe.claim.metric))


def no_mean(metric: str) -> str:
    """Why test images cannot count as a sample in a metric, and what to do."""
    return f"'sample' needs a metric that is a mean over images, and '{metric}' is none; use images = 'fixed'"


def _may_be_own(recipe: Recipe) -> bool:
    """Whether the metric is one that a family of the user's own computes, which is asked once it is imported."""
    row = known(recipe.claim.metric) if recipe.claim is not None else None
    return recipe.task.family not in FAMILIES and (row is None or not row.needs)
