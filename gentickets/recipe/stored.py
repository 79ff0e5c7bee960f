"""The recipe that is stored with a ticket: a stranger's text, checked like any other before it is used. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.errors import Status, TicketError
from gentickets.files import wrong_field
from gentickets.recipe.declared import without_arms
from gentickets.recipe.families import FAMILIES, PluginKeywords
from gentickets.recipe.load import stored_recipe
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import OPTIONAL, SECTIONS, TaskChoice

LARGEST = 4096
"""Pixels of a side, or channels, of the images that networks are made for."""
EMPTY: dict[str, Any] = {"name": "", "steps": 0, "metric": "", "level": "validation"}
"""What stands for a key that every recipe has, in a file that lacks it."""
Model = TypeVar("Model", bound=BaseModel)
Size = Annotated[int, Field(ge=1, le=LARGEST)]


@with_config(ConfigDict(extra="ignore", strict=True))
class TicketFields(TypedDict, total=False):
    """What a ticket's recipe says besides a run's."""

    plugins: list[Annotated[str, Field(max_length=255)]]
    image: Annotated[list[Size], Field(min_length=3, max_length=3)]
    saw: str


def read_recipe(stored: Mapping[str, Any], *, name: str = "", text: str = "") -> Recipe:
    """The recipe in a run's record or a ticket's file, of whatever version; nothing is refused.

    Keys that the file lacks have their defaults (what a recipe must say and this one does not is empty), keys that no
    section has are passed over, and a value that no recipe may have today stays as it is. `stored_recipe` is for files
    that must be sound. The plain values stay with it, as `Recipe.stored`.
    """
    task = _section(stored, "task")
    family = str(task.pop("family", ""))
    sections: dict[str, Any] = {
        key: _lenient(model, _section(stored, key))
        for key, model in SECTIONS.items()
        if key not in OPTIONAL or stored.get(key)
    }
    options = _lenient(FAMILIES.get(family, PluginKeywords), task)
    recipe = Recipe.model_construct(
        seed=stored.get("seed", 0), task=TaskChoice.model_construct(family=family, options=options), **sections
    )
    recipe._text, recipe._name, recipe._stored = text, name, stored
    return recipe


def with_changes(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with other values in some of its sections (``{"train": {"steps": 10}}``), not checked again."""
    plain = dict(recipe.stored)
    for key, value in changes.items():
        plain[key] = {**plain[key], **value} if isinstance(value, Mapping) else value
    return read_recipe(plain, name=recipe.name, text=recipe.text)


def ticket_recipe(raw: Mapping[str, Any] | None, where: Path) -> Recipe:
    """The recipe in a ticket's file, every key of it as a recipe may have it.

    Raises TicketError: status 3, on one line, where it is no recipe; and where the file holds none.
    """
    if raw is None:
        raise TicketError(f"{where} holds no recipe, so that its networks cannot be built; load it from Python")
    try:
        beside = TypeAdapter(TicketFields).validate_python(dict(raw))
    except ValidationError as error:
        message = f"{where}: {wrong_field(error)}: the recipe in this file is damaged"
        raise TicketError(message, Status.TICKET) from error
    own = {key: value for key, value in raw.items() if key not in beside}
    stored_recipe(own, where=str(where))
    return read_recipe(raw)


def recipe_of_ticket(
    recipe: Recipe,
    *,
    keywords: Mapping[str, Any],
    image: Sequence[int],
    saw: str,
    plugins: Sequence[str],
    carried: bool = False,
) -> dict[str, Any]:
    """The recipe that is stored with a ticket: the networks' own ``keywords``, plugins, and the data that it ``saw``.

    A ticket is the same, whatever other seeds, arms and levels its run has or is judged at. Of [transfer] there is what
    was ``carried`` how, and not where the source lay.
    """
    whole = without_arms(recipe.stored)
    task, claim = {**whole["task"], **keywords}, whole["claim"]
    claim = claim and {key: value for key, value in claim.items() if key != "sparsities"}
    kept = {key: value for key, value in whole.items() if key not in ("seed", "transfer")}
    kept |= {"transfer": {key: value for key, value in whole["transfer"].items() if key != "source"}} if carried else {}
    return {**kept, "task": task, "claim": claim, "plugins": list(plugins), "image": list(image), "saw": saw}


def _section(stored: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The values of a section that are there; what is none has its default."""
    return {name: value for name, value in (stored.get(key) or {}).items() if value is not None}


def _lenient(model: type[Model], table: Mapping[str, Any]) -> Model:
    """A section of the keys that it has; what it may not hold is put into it unchecked."""
    plugin = model.model_config.get("extra") == "allow"
    known = {key: value for key, value in table.items() if plugin or key in model.model_fields}
    lacking = {key: EMPTY[key] for key, field in model.model_fields.items() if field.is_required() and key not in known}
    needed = {key: field.examples[0] for key, field in model.model_fields.items() if field.examples}
    try:
        return model.model_validate(needed | known).model_copy(update=lacking)
    except ValidationError as error:
        wrong = {str(one["loc"][0]) for one in error.errors(include_url=False)}
    sound = {key: value for key, value in known.items() if key not in wrong}
    odd = {key: value for key, value in known.items() if key in wrong}
    return model.model_validate(needed | sound).model_copy(update=lacking | odd)
