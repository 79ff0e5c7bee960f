"""The kinds of value that the fields of a `result.json` hold, checked before anything is made of them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gentickets.errors import Status, TicketError
from gentickets.files.json_file import wrong_field

Count = Annotated[int, Field(ge=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Figures = dict[str, Number]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
open_ended = with_config(ConfigDict(extra="allow", strict=True))
"""Later versions, and a plugin's figures, may say more."""


@open_ended
class CheckpointFields(TypedDict):
    """An evaluation, or a point of a curve."""

    step: Count
    valid: Figures
    test: NotRequired[Figures]


@open_ended
class LevelFields(TypedDict):
    """A level of an early bird."""

    round: Count
    density: Number
    step: NotRequired[Count | None]
    why: NotRequired[str | None]


@open_ended
class LookFields(TypedDict):
    """A look of an early bird at its masks."""

    round: Count
    step: Count
    component: NotRequired[str]
    distance: NotRequired[Number | None]
    initial: NotRequired[Number | None]
    limit: NotRequired[Number | None]
    share: NotRequired[Number | None]
    share_limit: NotRequired[Number | None]


@open_ended
class EarlyBirdFields(TypedDict, total=False):
    """Of the arm ``search``."""

    rule: str
    by: str
    every: Count
    tolerance: Number
    patience: Count
    gamma_l1: Number
    levels: list[LevelFields]
    trace: list[LookFields]
    null: dict[str, Any]
    vacuous: list[str]


@open_ended
class LayerFields(TypedDict):
    """What one layer got in a transfer."""

    target: str
    source: str | None
    got: str
    weights: Count
    kept: Count
    density: NotRequired[Number | None]


@open_ended
class TransferFields(TypedDict, total=False):
    """Of the arms of a transfer."""

    source: str
    family: str
    data: str
    seed: Count
    round: Count
    sparsity: Number
    notes: list[str]
    routes: dict[str, str]
    match: str
    moves: str
    partial: bool
    entries: list[LayerFields]
    left: list[str]
    covered: Number
    density: Number
    carried: Number


@open_ended
class LatentFields(TypedDict):
    """Latents that carry something."""

    active: Number
    of: Count


@open_ended
class NearestFields(TypedDict):
    """How near samples come to training images."""

    samples: Number
    test: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    copies: Number


@open_ended
class ArmFields(TypedDict, total=False):
    """What was looked at in one arm's networks."""

    classes: list[Number]
    latents: LatentFields | None
    nearest: NearestFields | None


@open_ended
class PathFields(TypedDict):
    """A path between two trained networks."""

    step: Count
    relative: Number | None
    places: list[Number]
    values: list[Number | None]
    metric: NotRequired[str | None]


@open_ended
class DiagnosticFields(TypedDict, total=False):
    """Of the arm ``beside``."""

    arms: dict[str, ArmFields]
    classes: list[Number]
    paths: list[PathFields]
    skipped: dict[str, str]


@open_ended
class ExcludedFields(TypedDict):
    """Parameters that no mask covers, for one reason."""

    why: str
    parameters: Count
    names: list[str]


@open_ended
class CellFields(TypedDict):
    """What every result has."""

    arm: str
    seed: Count
    round: Count
    sparsity: Annotated[float, Field(ge=0, le=1)]
    steps: Count
    trained: Count
    selection: str


@open_ended
class Fields(CellFields, total=False):
    """A whole result; see `gentickets.results.Result` for what each field means."""

    valid: Figures
    test: Figures
    provenance: dict[str, str]
    collapsed: str | None
    checkpoints: list[CheckpointFields]
    train: Figures
    curve: list[CheckpointFields]
    losses: list[dict[str, Number]]
    densities: Figures
    tied: Figures
    weights: dict[str, Count]
    channels: dict[str, Annotated[list[Count], Field(min_length=2, max_length=2)]]
    width: int | None
    flops: Figures
    uncounted: dict[str, list[str]]
    seconds: Figures
    spent: Figures
    memory: int | None
    energy: Number | None
    early_bird: EarlyBirdFields
    transfer: TransferFields
    excluded: list[ExcludedFields]
    floors: dict[str, Figures]
    beside: DiagnosticFields
    status: Literal["done", "failed", "diverged", "not run"]
    why: str | None
    run: Hash | None
    ticket: Hash | None
    network: Hash | None
    images: Hash | None
    pictures: dict[Literal["samples.png", "reconstructions.png"], Hash]
    taken_from: Hash | None
    random_seed: Count | None
    better: dict[str, Literal["lower", "higher"] | None]


@cache
def _fields() -> TypeAdapter[Fields]:
    return TypeAdapter(Fields)


def check_fields(raw: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """The fields of a result, which are of their kinds; TicketError (status 3) names the first that is not."""
    told = {name: value for name, value in raw.items() if name not in ("format", "checksum")}
    try:
        _fields().validate_python(told)
    except ValidationError as error:
        raise TicketError(f"{where} is damaged: {wrong_field(error)}", Status.TICKET) from error
    return told
