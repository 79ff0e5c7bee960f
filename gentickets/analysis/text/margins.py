"""Writes what must be known of a margin: that its zero is arbitrary, or that it is wide."""

from __future__ import annotations

from gentickets.analysis.text.format import fixed
from gentickets.recipe import Recipe
from gentickets.recipe.of_claim import claim_floor


def notes(recipe: Recipe, margin: float, gain: float | None) -> list[str]:
    """Sentences about the margin (in the metric's unit), and about what the whole budget ``gain``s over dense."""
    found = []
    claim = recipe.claim
    if claim is not None and claim.unit is None and claim_floor(recipe) != "zero":
        found.append(
            f"The margin, {100 * claim.margin:.3g} % of the dense value, is a share of a number whose zero is "
            "arbitrary; declare unit = 'share' or unit = 'absolute'."
        )
    if gain is not None and margin > gain:
        more = "does not gain anything" if gain <= 0 else f"gains {short(gain)}"
        found.append(f"MATCHES DENSE is easily had: the margin is {short(margin)}, and the whole budget {more}.")
    return found


def short(value: float) -> str:
    """Three digits."""
    return fixed(value, max(0, 2 - len(f"{abs(value):.0f}") + 1)) if abs(value) >= 0.1 else f"{value:.3g}"
