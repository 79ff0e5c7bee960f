"""Tensor files that know when they are damaged, and that never execute anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.tickets import Tensors

FORMAT = 1
_KEY = "gentickets"


def pack(kind: str, tensors: Tensors, header: Mapping[str, Any]) -> bytes:
    """A safetensors file with one metadata key of sorted JSON: format, kind, header, SHA-256 of the content.

    Equal content gives equal bytes.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    told = {**_told(kind, header), "sha256": content_hash(kind, plain, header)}
    return safetensors.torch.save(plain, {_KEY: _sorted_json(told)})


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file written by `pack`, checked whole (see `unpack`)."""
    try:
        return unpack(path.read_bytes(), kind, path)
    except FileNotFoundError as error:
        raise TicketError(f"no file {path}") from error
    except IsADirectoryError as error:
        raise TicketError(f"{path} is a folder, not a {kind} file") from error


def unpack(data: bytes, kind: str, where: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of bytes made by `pack`, checked whole; ``where`` is named in errors.

    Raises TicketError (status 3) when they are damaged, of a newer format, or hold something else.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, AttributeError, RecursionError) as error:
        raise TicketError(f"{where} is damaged or no safetensors file: {error}", Status.TICKET) from error
    try:
        told = json.loads(metadata[_KEY])
        form, digest, found, header = told["format"], told["sha256"], told["kind"], dict(told["header"])
    except (KeyError, TypeError, ValueError) as error:
        raise TicketError(f"{where} is a safetensors file, but not one of gentickets", Status.TICKET) from error
    if not isinstance(form, int) or form > FORMAT:
        message = f"{where} has format {form}; this gentickets reads up to {FORMAT}: upgrade gentickets"
        raise TicketError(message, Status.TICKET)
    if found != kind:
        raise TicketError(f"{where} holds '{found}', not '{kind}'", Status.TICKET)
    if content_hash(kind, tensors, header) != digest:
        raise TicketError(f"{where} is damaged: its content does not match its SHA-256", Status.TICKET)
    return tensors, header


def content_hash(kind: str, tensors: Tensors, header: Mapping[str, Any]) -> str:
    """SHA-256 over format, kind, header, and the name, type, shape and bytes of every tensor."""
    digest = hashlib.sha256(_sorted_json(_told(kind, header)).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _told(kind: str, header: Mapping[str, Any]) -> dict[str, Any]:
    return {"format": FORMAT, "kind": kind, "header": dict(header)}


def _sorted_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
