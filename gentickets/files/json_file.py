"""JSON files with a format and, from format 2 on, a SHA-256 over all that they hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gentickets.errors import Status, TicketError
from gentickets.files.bounded import bounded

UNCHECKED = 1
"""The format that had no checksums."""
CHECKSUM = "checksum"
MOST_BYTES = 64 << 20
DEEPEST = 40
"""Tables and lists inside one another."""
MOST_DIGITS = 20


def json_bytes(told: Mapping[str, Any], form: int, *, sort_keys: bool = False) -> bytes:
    """The bytes of a JSON file: its format, what it holds, and the checksum over both.

    Raises ValueError where a number is not finite.
    """
    whole = {"format": form, **told}
    whole[CHECKSUM] = checksum(whole)
    return (json.dumps(whole, indent=1, sort_keys=sort_keys, allow_nan=False) + "\n").encode()


def checksum(told: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over everything but the checksum: as JSON with sorted keys, without spaces, in ASCII."""
    content = {key: value for key, value in told.items() if key != CHECKSUM}
    return hashlib.sha256(_canonical(content)).hexdigest()


def read_json(path: Path, newest: int, *, unstated: int | None = None) -> dict[str, Any]:
    """What a JSON file of a format up to ``newest`` holds; TicketError (status 3) where it is damaged or newer.

    ``unstated``: the format of a file that states none.
    """
    return parse_json(bounded(path, MOST_BYTES), path, newest, unstated=unstated)


def parse_json(data: bytes | str, where: Path, newest: int, *, unstated: int | None = None) -> dict[str, Any]:
    """The table in the text of a JSON file; see `read_json`.

    Texts that are no UTF-8, tables or lists more than 40 deep, numbers that are not finite or have more than 20 digits,
    and keys that stand in a table twice are damage too.
    """
    told = _parsed(data, where)
    if not isinstance(told, dict):
        raise _damaged(where, "it holds no table")
    form = told.get("format", unstated)
    if type(form) is not int or form < 1:
        why = "it states no format" if form is None else f"{shortened(form)} is no format"
        raise _damaged(where, why)
    if form > newest:
        message = f"{where} has format {form}; this gentickets reads up to {newest}: upgrade gentickets"
        raise TicketError(message, Status.TICKET)
    if form == UNCHECKED and CHECKSUM in told:
        raise _damaged(where, "format 1 has no checksum")
    if form > UNCHECKED and told.get(CHECKSUM) != checksum(told):
        raise _damaged(where, "its content does not match its SHA-256")
    return told


def shortened(value: object, most: int = 60) -> str:
    """A value as a message shows it: on one line, and cut where it is long."""
    text = " ".join(ascii(value).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def wrong_field(error: ValidationError) -> str:
    """The first field that is not as it should be, and why, on one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{shortened(place)}: {first['msg']}, not {shortened(first['input'])}"


def _damaged(where: Path, why: str) -> TicketError:
    return TicketError(f"{where} is damaged: {why}", Status.TICKET)


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def limited(text: str) -> Any:
    """What a JSON text holds; ValueError where it is none, or goes beyond the limits that `parse_json` names."""
    try:
        told = json.loads(
            text, object_pairs_hook=_once, parse_int=_whole, parse_float=_finite, parse_constant=_no_number
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_texts(told)
    return told


def _parsed(data: bytes | str, where: Path) -> Any:
    try:
        return limited(data.decode("utf-8") if isinstance(data, bytes) else data)
    except ValueError as error:
        why = (
            "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else shortened(str(error), 100).strip("'\"")
        )
        raise _damaged(where, why) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(shortened(key) for key in keys if keys.count(key) > 1)} stands there twice")
    return table


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"{shortened(digits)} is no finite number")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


def _check_texts(told: Any) -> None:
    """Raise ValueError for what is nested too deeply, and for texts that could not be printed."""
    level = [told]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [*value, *value.values()]
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                value.encode()
        if not inner:
            return
        level = inner
    raise ValueError("it is nested too deeply")
