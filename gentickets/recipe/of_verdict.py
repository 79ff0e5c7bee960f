"""What [claim] and [verdict] ask for together, checked against the rest of a recipe."""

from __future__ import annotations

from collections.abc import Iterator

from gentickets.recipe.schema import LEVEL_TOLERANCE, Recipe
from gentickets.recipe.words import Problem


def sparsities(recipe: Recipe) -> Iterator[Problem]:
    """Levels that get a word: rounds' sparsities, the declared one among them, at which controls run."""
    claim = recipe.claim
    if claim is None or not recipe.prunes:
        return
    found: list[int] = []
    for i, wanted in enumerate(claim.sparsities):
        round = recipe.nearest_round(wanted)
        path, near = f"claim.sparsities[{i}]", f"{recipe.sparsity(round):.3f} (round {round})"
        if abs(recipe.sparsity(round) - wanted) > LEVEL_TOLERANCE:
            yield Problem(path, f"{wanted} is the sparsity of no round; the nearest is {near}")
        elif round in found:
            yield Problem(path, f"{wanted} is {near}, which stands there already")
        elif recipe.claim_round is not None and recipe.search.controls and round not in recipe.control_rounds:
            message = f"{wanted} is round {round}, at which no control runs"
            yield Problem(path, f"{message}; add it to search.control_rounds = {recipe.control_rounds}")
        found.append(round)
    if claim.sparsities and recipe.claim_round is None and set(found) != set(recipe.rounds):
        message = "claim.level = 'validation' chooses among all rounds, so that all of them share the chance of error"
        yield Problem("claim.sparsities", f"{message}; remove it")
    if claim.sparsities and recipe.claim_round is not None and recipe.claim_round not in found:
        yield Problem("claim.sparsities", f"lacks claim.level = {claim.level}, which always gets a verdict; add it")


def arms(recipe: Recipe) -> Iterator[Problem]:
    """Arms of a verdict that nothing needs, or that cannot be."""
    verdict, steps = recipe.verdict, recipe.train.steps
    if verdict is None:
        return
    if recipe.claim is None:
        yield Problem("verdict", "judges a claim, and there is none; add a [claim] section")
    for i, step in enumerate(verdict.forks or ()):
        if step >= steps:
            yield Problem(f"verdict.forks[{i}]", f"{step} is not below train.steps = {steps}")
        elif step in (verdict.forks or ())[:i]:
            yield Problem(f"verdict.forks[{i}]", f"{step} stands there twice")
    if verdict.forks and not recipe.masks_weights:
        message = f"a ticket of search.method = '{recipe.search.method}' is no mask over the weights of a chosen step"
        yield Problem("verdict.forks", f"{message}, so nothing can be forked there; remove it")
