"""Plans a matrix of transfers: every model as the source of every one. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gentickets.actions.locate import RUNS
from gentickets.errors import TicketError
from gentickets.recipe import Recipe, load_recipe, shipped_recipes
from gentickets.recipe.meaning import claim_hash, random_seeds

SHIPPED = "transfer/"
"""The folder of shipped recipes in which a bare name is looked for first: ``vae`` is ``transfer/vae``."""


@dataclass(frozen=True)
class Model:
    """One row and one column of a matrix."""

    name: str
    recipe: Recipe
    native: Path
    """The folder of its own run: its tickets as a source, and its native arms as a target."""


@dataclass(frozen=True)
class MatrixCell:
    """One source and one target."""

    source: Model
    target: Model
    folder: Path


def models_of(names: str, out: Path, *, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()) -> list[Model]:
    """The models of a list ``ae,vae,gan``: each a shipped recipe's name, or a recipe of one's own.

    Raises TicketError for fewer than two names, for one that stands there twice, and for recipes of transfers.
    """
    given = [name.strip() for name in names.split(",") if name.strip()]
    if len(given) < 2:
        raise TicketError(f"--matrix {names}: a matrix needs two recipes or more, as in ae,vae,gan")
    found: dict[str, Model] = {}
    for name in given:
        shipped = f"{SHIPPED}{name}"
        recipe = load_recipe(shipped if shipped in shipped_recipes() else name, overrides=overrides, plugins=plugins)
        short = Path(recipe.name).name
        if short in found:
            raise TicketError(f"--matrix {names}: '{short}' stands there twice")
        if recipe.transfer is not None:
            raise TicketError(f"--matrix {names}: {name} is the recipe of a transfer; name recipes of models")
        found[short] = Model(short, recipe, out / short)
    return with_one_set_of_seeds(list(found.values()))


def with_one_set_of_seeds(models: Sequence[Model]) -> list[Model]:
    """The models, with the same seeds in every run that claims something and chooses none: from all their claims."""
    claims = sorted(claim_hash(model.recipe) for model in models if random_seeds(model.recipe) is not None)
    if not claims:
        return list(models)
    root = hashlib.sha256(" ".join(claims).encode()).hexdigest()
    return [replace(model, recipe=model.recipe.of_run({"seeds_from": root})) for model in models]


def cells_of(models: Sequence[Model], out: Path) -> Iterator[MatrixCell]:
    """Every pair of source and target, a model with itself too: its tickets at other seeds."""
    for source in models:
        for target in models:
            yield MatrixCell(source, target, out / f"{source.name}-to-{target.name}")


def default_folder(models: str) -> Path:
    """Where a matrix is stored by default."""
    names = [Path(name.strip()).stem for name in models.split(",") if name.strip()]
    return RUNS / "-".join(["matrix", *names])
