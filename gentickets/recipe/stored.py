"""The recipe that is stored with a ticket: a stranger's text, checked like any other before it is used. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.errors import Status, TicketError
from gentickets.files import wrong_field
from gentickets.recipe.load import stored_recipe

LARGEST = 4096
"""Pixels of a side, or channels, of the images that networks are made for."""
Size = Annotated[int, Field(ge=1, le=LARGEST)]


@with_config(ConfigDict(extra="ignore", strict=True))
class Beside(TypedDict, total=False):
    """What a ticket's recipe says besides a run's."""

    plugins: list[Annotated[str, Field(max_length=255)]]
    image: Annotated[list[Size], Field(min_length=3, max_length=3)]
    saw: str


def ticket_recipe(raw: Mapping[str, Any] | None, where: Path) -> dict[str, Any]:
    """The recipe in a ticket's file, every key of it as a recipe may have it.

    Raises TicketError: status 3, on one line, where it is no recipe; and where the file holds none.
    """
    if raw is None:
        raise TicketError(f"{where} holds no recipe, so that its networks cannot be built; load it from Python")
    try:
        beside = TypeAdapter(Beside).validate_python(dict(raw))
    except ValidationError as error:
        message = f"{where}: {wrong_field(error)}: the recipe in this file is damaged"
        raise TicketError(message, Status.TICKET) from error
    own = {key: value for key, value in raw.items() if key not in beside}
    stored_recipe(own, where=str(where))
    return dict(raw)
