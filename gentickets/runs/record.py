"""The fields of `run.json`, checked before anything is made of them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.errors import Status, TicketError
from gentickets.files import wrong_field

Count = Annotated[int, Field(ge=0)]
Cores = Annotated[int, Field(ge=1, le=1 << 20)]


@with_config(ConfigDict(extra="allow", strict=True))
class Machine(TypedDict, total=False):
    """Where a run was computed."""

    system: str
    processor: str
    cores: Cores


@with_config(ConfigDict(extra="allow", strict=True))
class Declared(TypedDict, total=False):
    """A claim as it was declared; `gentickets.recipe.declared` holds it against the recipe."""

    seeds: Count


@with_config(ConfigDict(extra="allow", strict=True))
class Claim(TypedDict):
    """What a run records of its claim."""

    declared: Declared
    hash: str
    seeds: list[Count]
    edition: NotRequired[Count]
    seeds_from: NotRequired[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]


@with_config(ConfigDict(extra="allow", strict=True))
class Attempt(TypedDict, total=False):
    """A start or a resumption with other programs, or on another machine, than the one before."""

    versions: dict[str, str]
    machine: Machine
    done: Count


@with_config(ConfigDict(extra="allow", strict=True))
class Record(TypedDict, total=False):
    """What `run.json` holds; earlier versions stored less, later ones may store more."""

    recipe: dict[str, Any]
    name: str
    seeds: list[Count]
    device: str
    threads: Cores
    plugins: dict[str, str]
    versions: dict[str, str]
    machine: Machine
    attempts: list[Attempt]
    claim: Claim | None
    identity: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    unchecked: bool
    explored: bool
    text: str


@cache
def _fields() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


WITHOUT_CHECKSUMS = "begun by an earlier version, whose results carry no checksums"


def has_checksums(record: Mapping[str, Any]) -> bool:
    """Whether all of a run's results have checksums; not where it was begun by a version that wrote none."""
    return "identity" in record and not record.get("unchecked", False)


def check_record(record: Mapping[str, Any], where: Path) -> None:
    """Raise TicketError (status 3) unless the fields of a record are of their kinds, and it holds a recipe."""
    if "recipe" not in record:
        raise TicketError(f"{where} is damaged: it holds no recipe", Status.TICKET)
    try:
        _fields().validate_python(dict(record))
    except ValidationError as error:
        raise TicketError(f"{where} is damaged: {wrong_field(error)}", Status.TICKET) from error
