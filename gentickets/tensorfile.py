"""Tensor files that know when they are damaged, and that never execute anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.files import split_header
from gentickets.files.belonging import check_beside
from gentickets.files.tensor_header import (
    DAMAGED,
    FORMAT,
    KEY,
    MOST_BYTES,
    content_digest,
    sorted_json,
    stated,
    stated_size,
)
from gentickets.tickets import Tensors

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a zip archive, as torch.save writes"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
)
"""How files begin that are handed in by mistake."""


def pack(kind: str, tensors: Tensors, header: Mapping[str, Any]) -> bytes:
    """A safetensors file with one metadata key of sorted JSON: format, kind, header, SHA-256 of the content.

    Equal content gives equal bytes.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    told = {**stated(kind, header, FORMAT), "sha256": content_hash(kind, plain, header)}
    return safetensors.torch.save(plain, {KEY: sorted_json(told)})


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file written by `pack`, checked whole (see `unpack`)."""
    if path.exists() and not path.is_file() and not path.is_dir():  # to open a pipe would wait for its writer
        raise TicketError(f"{path} is no file", Status.TICKET)
    try:
        return unpack(_bounded(path), kind, path)
    except FileNotFoundError as error:
        raise TicketError(f"no file {path}") from error
    except IsADirectoryError as error:
        raise TicketError(f"{path} is a folder, not a {kind} file") from error


def _bounded(path: Path) -> bytes:
    """A tensor file's bytes; of one that is not as long as its header says, no more than tell what it is."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(min(8 + MOST_BYTES, size + 1))  # a small file takes little memory
        if size <= len(start) or stated_size(start) != size:
            return start
        file.seek(0)
        return file.read()


def unpack(data: bytes, kind: str, where: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of bytes made by `pack`, checked whole; ``where`` is named in errors.

    Raises TicketError (status 3) when they are damaged, of a newer format, or hold something else.
    """
    try:
        told = split_header(data, where)
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, RecursionError) as error:
        if isinstance(error, TicketError):
            raise
        raise TicketError(f"{where} {_what_else(data, where)}", Status.TICKET) from error
    header = dict(told.header)
    if told.kind != kind:
        raise TicketError(f"{where} holds '{told.kind[:40]}', not '{kind}'", Status.TICKET)
    if content_hash(kind, tensors, header) != told.sha256:
        raise TicketError(f"{where} is damaged: its content does not match its SHA-256", Status.TICKET)
    check_beside(where, told.sha256)
    return tensors, header


def _what_else(data: bytes, where: Path) -> str:
    """What to say of bytes that safetensors refuses: a file of another kind, if it can be told, or damage."""
    if not data:
        return "is damaged: it is empty"
    if where.suffix.lower() == ".toml":
        return f"is no safetensors file: it looks like a recipe, and for that there is: gentickets find {where}"
    if data[8:9] == b"{":  # behind eight bytes of length: the header's beginning
        return DAMAGED
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return f"is no safetensors file: it begins like {kind}"
    try:
        text = data[:512].decode("utf-8").lstrip()
    except UnicodeDecodeError:
        return DAMAGED
    if "\0" in text:
        return DAMAGED
    kind = "JSON" if text.startswith(("{", "[{")) else "HTML" if text.startswith("<") else "text"
    return f"is no safetensors file: it holds {kind}"


def content_hash(kind: str, tensors: Tensors, header: Mapping[str, Any]) -> str:
    """SHA-256 over format, kind, header, and the name, type, shape and bytes of every tensor."""
    values = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return content_digest(stated(kind, header, FORMAT), (
        (name, str(value.dtype), tuple(value.shape), value.reshape(-1).view(torch.uint8).numpy().data)
        for name, value in values.items()
    ))  # fmt: skip
