"""Checks of [search] against the rest of a recipe, one method's and one key's after the other."""

from __future__ import annotations

from collections.abc import Iterator

from gentickets.arms import CONTROLS, kind_of
from gentickets.errors import nearest
from gentickets.methods import EARLY_BIRD, METHODS_OF
from gentickets.recipe.bounds import CELLS
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import CRITERION_OPTIONS
from gentickets.recipe.words import Problem, listed

MOST_LOOKS = 10**4
"""Of an early bird's search: the ranking of each is remembered."""


def cells(recipe: Recipe) -> Iterator[Problem]:
    """How many trainings are asked for, all in all: arms, in both versions, at each round of each seed."""
    search = recipe.search
    asked = search.seeds * (len(recipe.rounds) + 1) * (2 + 2 * len(search.controls))
    if asked > CELLS:
        message = f"{search.seeds:,} seeds of {len(recipe.rounds):,} rounds and {len(search.controls)} controls are"
        yield Problem("search.seeds", f"{message} about {asked:,} trainings, more than {CELLS:,}; lower one of them")


def method(recipe: Recipe) -> Iterator[Problem]:
    """Keys that mean nothing with the method, and what the method needs."""
    search, method = recipe.search, recipe.method
    for key, methods in METHODS_OF.items():
        if key in search.model_fields_set and getattr(search, key) != () and not search.applies(key):
            needed = " or ".join(map(repr, methods))
            message = f"means nothing with search.method = '{method.name}', only with {needed}; remove it"
            yield Problem(f"search.{key}", message)
    if method.prunes_at_start and search.rewind != "weights":
        message = f"'{search.rewind}' goes on from trained weights, and '{method.name}' prunes before there are any"
        yield Problem("search.rewind", f"{message}; remove it")
    for number in search.only_rounds:
        if number > search.rounds:
            message = f"{number} is not a round; must be from 1 to search.rounds = {search.rounds}"
            yield Problem("search.only_rounds", message)
    if not method.prunes:
        yield from widths(recipe)


def unfit_control(recipe: Recipe, control: str) -> str:
    """Why a control does not go with what the recipe removes, and with how; empty where it does."""
    kind = kind_of(control)
    if kind.of_channels and not recipe.removes_channels:
        return f"'{control}' goes with method = '{EARLY_BIRD}' and by = 'channels' only; remove it"
    if recipe.removes_channels and not kind.narrower:
        possible = [name for name in CONTROLS if kind_of(name).narrower]
        return f"'{control}' is about masks of single weights; with by = 'channels' use {listed(possible)}"
    if recipe.method.prunes_at_start and kind.criterion == recipe.search.criterion:
        return f"'{control}' is how the ticket itself is found; remove it"
    return ""


def early_bird(recipe: Recipe) -> Iterator[Problem]:
    """What an early bird cannot be asked for, and the controls that go with what it removes."""
    search = recipe.search
    for i, control in enumerate(search.controls):
        if why := unfit_control(recipe, control):
            yield Problem(f"search.controls[{i}]", why)
    if not recipe.method.watches:
        return
    for key in ("rewind", "other"):
        if getattr(search, key) != (plain := type(search).model_fields[key].default):
            yield Problem(f"search.{key}", f"'{search.method}' has '{plain}' alone: see search.after; remove it")
    if search.after == "continue" and search.rewind_to:
        message = "means nothing where training goes on from the early bird's step (search.after = 'continue')"
        yield Problem("search.rewind_to", f"{message}; remove it, or use after = 'rewind'")
    if search.by == "channels":
        if search.criterion != "magnitude":
            message = f"'{search.criterion}' scores weights; channels are ranked by their norm scales; remove it"
            yield Problem("search.criterion", message)
        if search.scope == "erk":
            yield Problem("search.scope", "'erk' gives densities to weights; use 'layer', 'component' or 'global'")
    elif search.multiple > 1:
        yield Problem("search.multiple", "rounds channels, and by = 'weights' removes none; remove it")
    looks, every = recipe.train.steps // recipe.every, recipe.every
    if looks < search.patience + 1:
        message = (
            f"{every} leaves {looks} looks in {recipe.train.steps} steps, and patience = {search.patience} needs more"
        )
        yield Problem("search.every", message)
    if looks > MOST_LOOKS:
        message = (
            f"{every} asks for {looks:,} looks in {recipe.train.steps:,} steps; at most {MOST_LOOKS:,} can be held"
        )
        yield Problem("search.every", f"{message} against chance")


def widths(recipe: Recipe) -> Iterator[Problem]:
    """What a sweep of widths needs, and what means nothing to it."""
    search, known = recipe.search, type(recipe.task.options).model_fields
    if not search.widths:
        yield Problem("search.widths", "is missing; method = 'widths' needs the widths to try, as [16, 32, 64]")
    if known and search.widen not in known:
        sentence = f"family '{recipe.task.family}' has no keyword '{search.widen}'. {nearest(search.widen, known)}"
        yield Problem("search.widen", sentence)
    told = {"claim": recipe.claim is not None, "search.controls": bool(search.controls), "search.longer": search.longer}
    for key, given in told.items():
        if given:
            yield Problem(key, "means nothing with search.method = 'widths', which prunes nothing; remove it")


def criterion(recipe: Recipe) -> Iterator[Problem]:
    """A criterion's options, and what temperature divides."""
    search = recipe.search
    for option, criteria in CRITERION_OPTIONS.items():
        if option in search.model_fields_set and not search.applies(option):
            yield Problem(f"search.{option}", f"criterion '{search.criterion}' has none; only {listed(criteria)} have")
    options = recipe.task.options
    if search.temperature != 1.0 and options.objectives and getattr(options, "loss", None) != "nonsaturating":
        message = "divides a discriminator's logits; only the GAN loss 'nonsaturating' has logits"
        yield Problem("search.temperature", f"{message}; remove it")


def other(recipe: Recipe) -> Iterator[Problem]:
    """What the components that are not pruned can start from."""
    search = recipe.search
    if search.other == "rewound":
        return
    if not search.prune:
        message = f"'{search.other}' is about components that are not pruned, and all are; name some in search.prune"
        yield Problem("search.other", message)
    if search.other == "trained" and recipe.method.prunes_at_start:
        yield Problem(
            "search.other", f"'trained' needs a trained network, and '{search.method}' prunes before there is one"
        )
    elif search.other == "trained" and (recipe.claim is not None or search.controls):
        message = "'trained' gives the other components more steps than dense and controls have: they do not compare"
        yield Problem("search.other", f"{message}; remove [claim] and search.controls, or use 'rewound'")


def control_rounds(recipe: Recipe) -> Iterator[Problem]:
    """Rounds at which controls run."""
    if not recipe.search.controls:
        return
    for i, number in enumerate(recipe.search.control_rounds or ()):
        if number > recipe.search.rounds:
            message = f"{number} is not a round; must be from 1 to search.rounds = {recipe.search.rounds}"
            yield Problem(f"search.control_rounds[{i}]", message)


def longer(recipe: Recipe) -> Iterator[Problem]:
    """What is trained longer, at which round."""
    if recipe.search.longer and recipe.claim is None:
        yield Problem("search.longer", "trains longer at the claim's round; add a [claim] section")
    elif recipe.search.longer and recipe.claim is not None and recipe.claim.level == "validation":
        yield Problem("search.longer", "needs a declared claim.level: validation chooses one only after the rounds")


def rewind(recipe: Recipe) -> Iterator[Problem]:
    """Ways to go back that compare with nothing."""
    way = recipe.search.rewind
    if way == "weights":
        return
    if recipe.claim is not None or recipe.search.controls:
        message = (
            f"'{way}' goes on from the trained weights, so that round r has had r more trainings than dense and "
            "controls: they do not compare at equal steps; remove [claim] and search.controls, or use 'weights'"
        )
        yield Problem("search.rewind", message)
    if way == "none" and recipe.train.schedule != "constant":
        message = f"'none' trains on at the last learning rate; train.schedule = '{recipe.train.schedule}' ends at 0"
        yield Problem("search.rewind", f"{message}; use 'constant', or rewind = 'lr'")
