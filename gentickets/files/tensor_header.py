"""The header of a safetensors file of gentickets, read without its tensors and without PyTorch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.files.json_file import limited, shortened

FORMAT = 1
KEY, METADATA = "gentickets", "__metadata__"
DAMAGED = "is damaged, cut short, or no safetensors file"
MOST_BYTES = 4 << 20
"""Of a header: a network of a thousand layers with optimizer state and averages takes a tenth."""
MOST_TENSORS = 20_000


@dataclass(frozen=True)
class Header:
    """What a tensor file says of itself. That its tensors fit ``sha256`` is for `tensorfile.unpack` to check."""

    kind: str
    """``ticket``, ``portable``, ``snapshot`` or ``features``."""
    header: Mapping[str, Any]
    sha256: str


class NoTensorFile(ValueError):  # noqa: N818 - whoever reads says what the file is instead
    """The bytes are no safetensors file."""


def read_header(path: Path) -> Header:
    """The header of a file; TicketError (status 3) where it is none of gentickets, damaged, newer or too large."""
    if path.exists() and not path.is_file():  # to open a pipe would wait for its writer
        raise TicketError(f"{path} is no file", Status.TICKET)
    with open(path, "rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
        length = _length(start, size)
        data = start + (file.read(length) if length is not None else b"")
    try:
        header = split_header(data, path)
    except NoTensorFile as error:
        raise TicketError(f"{path} {DAMAGED}", Status.TICKET) from error
    if stated_size(data) != size:
        raise TicketError(f"{path} {DAMAGED}", Status.TICKET)
    return header


def stated_size(data: bytes) -> int | None:
    """How many bytes a file has by the header that these begin with; None where they hold no sound one."""
    if (length := _length(data[:8], len(data))) is None:
        return None
    try:
        entries = json.loads(data[8 : 8 + length])
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != METADATA]
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return None
    return 8 + length + max(ends, default=0) if all(type(end) is int for end in ends) else None


def split_header(data: bytes, where: Path) -> Header:
    """The header at the beginning of a file's bytes; errors as `read_header`, and NoTensorFile."""
    length = _length(data[:8], None)
    if length is None:
        message = f"{where} is damaged: its header is larger than the {MOST_BYTES >> 20} MiB that it may be"
        if data[8:9] != b"{":
            raise NoTensorFile(message)
        raise TicketError(message, Status.TICKET)
    try:
        entries = json.loads(data[8 : 8 + length])
        metadata = entries.get(METADATA, {})
    except (ValueError, AttributeError, RecursionError) as error:
        raise NoTensorFile(str(error)) from error
    if len(entries) > MOST_TENSORS:
        message = f"{where} is damaged: its header names {len(entries)} tensors, and may name {MOST_TENSORS}"
        raise TicketError(message, Status.TICKET)
    return _told(metadata, where)


def content_digest(told: Mapping[str, Any], parts: Iterable[tuple[str, str, tuple[int, ...], Any]]) -> str:
    """SHA-256 over what a file says of itself (`stated`), and over each tensor: (name, type, shape, its bytes)."""
    digest = hashlib.sha256(sorted_json(told).encode())
    for name, dtype, shape, data in parts:
        digest.update(f"\n{name}\t{dtype}\t{shape}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def stated(kind: str, header: Mapping[str, Any], form: int = FORMAT) -> dict[str, Any]:
    """What a file says of itself, but for its SHA-256."""
    return {"format": form, "kind": kind, "header": dict(header)}


def sorted_json(value: Mapping[str, Any]) -> str:
    """JSON in one spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _length(start: bytes, size: int | None) -> int | None:
    """Bytes of the header; None where it is larger than it may be, or than the file."""
    length = int.from_bytes(start, "little")
    return None if length > MOST_BYTES or (size is not None and length > size - len(start)) else length


def _told(metadata: Any, where: Path) -> Header:
    try:
        told = limited(metadata[KEY])
        form, digest, kind, header = told["format"], told["sha256"], told["kind"], dict(told["header"])
    except (KeyError, TypeError, ValueError) as error:
        raise TicketError(f"{where} is a safetensors file, but not one of gentickets", Status.TICKET) from error
    if type(form) is not int or form < 1:
        raise TicketError(f"{where} is damaged: {shortened(form)} is no format", Status.TICKET)
    if form > FORMAT:
        message = f"{where} has format {form}; this gentickets reads up to {FORMAT}: upgrade gentickets"
        raise TicketError(message, Status.TICKET)
    if not isinstance(kind, str) or not isinstance(digest, str):
        raise TicketError(f"{where} is damaged: its kind or SHA-256 is no text", Status.TICKET)
    return Header(kind, header, digest)
