"""Portable tickets as files: kilobytes, not megabytes; docs/runs.md describes them key by key."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.files import read_header
from gentickets.files.belonging import RESULT, TICKET, foreign
from gentickets.masks import Mask
from gentickets.portable import Portable
from gentickets.runs.formats import origin_from, packed_bits, read_ticket, recipe_from, unpacked_bits
from gentickets.tensorfile import pack, read_tensors

KIND = "portable"
MOST = 1032
"""How many bytes one byte of a zlib stream can at most become."""


def write_portable(path: Path, portable: Portable, recipe: Mapping[str, Any] | None = None) -> None:
    """Store a portable ticket as `pack_portable` makes it."""
    write_whole(path, pack_portable(portable, recipe))


def pack_portable(portable: Portable, recipe: Mapping[str, Any] | None = None) -> bytes:
    """A portable ticket's file: mask bits, compressed; a sign bit for each kept weight; the norms' parameters.

    Equal portable tickets give equal bytes, as long as zlib is the same. ``recipe`` is the resolved recipe.
    """
    tensors: dict[str, Tensor] = {}
    for name, kept in portable.mask.items():
        tensors[f"mask/{name}"] = _compressed(packed_bits(kept))
        tensors[f"signs/{name}"] = packed_bits(portable.positive[name].cpu()[kept.cpu()])
    for name, value in portable.norms.items():
        tensors[f"norms/{name}"] = value
    shapes = {name: list(kept.shape) for name, kept in portable.mask.items()}
    header = {"origin": asdict(portable.origin), "shapes": shapes, "recipe": dict(recipe) if recipe else None}
    return pack(KIND, tensors, header)


def read_portable(path: Path) -> tuple[Portable, dict[str, Any] | None]:
    """A portable ticket and the recipe stored with it; TicketError (status 3) where the file is damaged or is none.

    No more memory is taken than the sizes in the header call for, and those must be possible for the file's own size.
    """
    tensors, header = read_tensors(path, KIND)
    try:
        shapes = {str(name): _shape(shape) for name, shape in header["shapes"].items()}
        norms = {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith("norms/")}
        _check(tensors, shapes, norms)
        mask = Mask({name: _mask(tensors[f"mask/{name}"], shape) for name, shape in shapes.items()})
        positive = {name: _signs(tensors[f"signs/{name}"], mask[name]) for name in shapes}
        portable = Portable(mask, positive, norms, origin_from(header["origin"]))
        recipe = recipe_from(header["recipe"])
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, IndexError, zlib.error) as error:
        raise TicketError(f"{path} is no sound portable ticket: {error}", Status.TICKET) from error
    _check_beside(path, portable)
    return portable, recipe


def _check_beside(path: Path, portable: Portable) -> None:
    """Raise TicketError (status 3) where the ticket of its round lies beside it, and has another origin or mask."""
    if not path.with_name(RESULT).is_file() or not path.with_name(TICKET).is_file():
        return
    ticket, _ = read_ticket(path.with_name(TICKET))
    same = set(ticket.mask) == set(portable.mask) and all(
        torch.equal(ticket.mask[name], portable.mask[name]) for name in ticket.mask
    )
    if not same or (ticket.origin.seed, ticket.origin.round) != (portable.origin.seed, portable.origin.round):
        raise foreign(path, f"it is not of the ticket beside it ({TICKET})")


def is_portable(path: Path) -> bool:
    """Whether a file says that it is a portable ticket; its content is not checked."""
    try:
        return read_header(path).kind == KIND
    except (OSError, TicketError):
        return False


def _shape(raw: Any) -> list[int]:
    if not isinstance(raw, list) or not all(type(size) is int and size >= 0 for size in raw):
        raise ValueError(f"{raw!r} is no shape")
    return raw


def _check(tensors: Mapping[str, Tensor], shapes: Mapping[str, list[int]], norms: Mapping[str, Tensor]) -> None:
    """Names, kinds and possible sizes of everything, before anything is unpacked."""
    wanted = {f"{part}/{name}" for name in shapes for part in ("mask", "signs")} | {f"norms/{name}" for name in norms}
    if strange := sorted(set(tensors) ^ wanted):
        raise ValueError(f"'{strange[0]}' is {'missing' if strange[0] in wanted else 'not expected'}")
    for name, shape in shapes.items():
        stream, signs = tensors[f"mask/{name}"], tensors[f"signs/{name}"]
        if any(part.dtype != torch.uint8 or part.ndim != 1 for part in (stream, signs)):
            raise ValueError(f"'{name}' is not stored as bytes")
        if _bytes(prod(shape)) > MOST * stream.numel() or signs.numel() > _bytes(prod(shape)):
            raise ValueError(f"'{name}' cannot be {'x'.join(map(str, shape))} large")


def _mask(stream: Tensor, shape: list[int]) -> Tensor:
    """The mask in a zlib stream, which must hold exactly its bits."""
    wanted, unpacking = _bytes(prod(shape)), zlib.decompressobj()
    data = unpacking.decompress(stream.numpy().tobytes(), wanted + 1)  # one more would be too many
    if len(data) != wanted or not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"a compressed mask does not hold the {wanted} bytes that it should")
    return _whole(torch.from_numpy(np.frombuffer(data, np.uint8).copy()), shape)


def _signs(packed: Tensor, kept: Tensor) -> Tensor:
    """Bool signs of a mask's shape; False where nothing is kept."""
    positive = torch.zeros_like(kept)
    positive[kept] = _whole(packed, [int(kept.sum())])
    return positive


def _whole(packed: Tensor, shape: list[int]) -> Tensor:
    """Unpacked bits; what fills up the last byte must be zero, so that equal content has one form."""
    bits = unpacked_bits(packed, shape)
    if not torch.equal(packed_bits(bits), packed):
        raise ValueError("there are bits behind the last one")
    return bits


def _compressed(packed: Tensor) -> Tensor:
    """Run lengths and Huffman codes: a mask repeats nothing longer, and the search for it costs 5 to 10 % here."""
    packing = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    data = packing.compress(packed.numpy().tobytes()) + packing.flush()
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def _bytes(bits: int) -> int:
    return (bits + 7) // 8
