"""Tickets and snapshots as files; docs/runs.md describes them key by key."""

from __future__ import annotations

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
from gentickets.finite import refuse_infinite
from gentickets.masks import Channels, Mask
from gentickets.tensorfile import pack, read_tensors
from gentickets.tickets import Origin, Snapshot, Tensors, Ticket


def write_ticket(path: str | Path, ticket: Ticket, recipe: Mapping[str, Any] | None = None) -> None:
    """Store a ticket as `pack_ticket` makes it.

    Example:
        ``write_ticket("ticket.safetensors", ticket)``
    """
    write_whole(Path(path), pack_ticket(ticket, recipe))


def pack_ticket(ticket: Ticket, recipe: Mapping[str, Any] | None = None) -> bytes:
    """A ticket's file: packed mask bits, kept values only, everything unpruned. Equal tickets give equal bytes.

    ``recipe`` is the resolved recipe, from which the networks are built again. Raises TicketError (status 4) for a
    number that is not finite, but in the ticket's ``constants``.
    """
    _refuse_infinite(ticket.weights, ticket.optim, ticket.ema, ticket.constants)
    tensors: dict[str, Tensor] = {}
    for name, kept in ticket.mask.items():
        tensors[f"mask/{name}"] = packed_bits(kept)
    for name, kept in (ticket.channels or {}).items():
        tensors[f"channels/{name}"] = packed_bits(kept)
    for name, value in ticket.weights.items():
        tensors |= _stored("weights", name, value, ticket.mask.get(name))
    for key, value in ticket.optim.items():
        tensors |= _stored("optim", key, value, _mask_of_slot(ticket.mask, key, value))
    for name, value in ticket.ema.items():
        tensors |= _stored("ema", name, value, ticket.mask.get(name))
    shapes = {name: list(kept.shape) for name, kept in ticket.mask.items()}
    header: dict[str, Any] = {"origin": asdict(ticket.origin), "shapes": shapes}
    header["recipe"] = dict(recipe) if recipe else None
    header |= _constants(ticket)
    if ticket.channels is not None:
        header["channels"] = {name: kept.numel() for name, kept in ticket.channels.items()}
    return pack("ticket", tensors, header)


def read_ticket(path: str | Path) -> tuple[Ticket, dict[str, Any] | None]:
    """A ticket and the recipe stored with it; TicketError (status 3) where the file is damaged or is none.

    Example:
        ``ticket, recipe = read_ticket("runs/tiny/seed-0/ticket/round-02/ticket.safetensors")``
    """
    path = Path(path)
    tensors, header = read_tensors(path, "ticket")
    try:
        masks = {name: unpacked_bits(tensors[f"mask/{name}"], shape) for name, shape in header["shapes"].items()}
        mask = Mask(masks)
        weights = dict(_restored("weights", tensors, mask))
        optim, ema = dict(_restored("optim", tensors, mask)), dict(_restored("ema", tensors, mask))
        channels = _channels(tensors, header.get("channels"))
        constants = _names(header.get("constants", []))
        origin = origin_from(header["origin"])
        return Ticket(mask, weights, origin, optim, ema, channels, constants), recipe_from(header["recipe"])
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, IndexError) as error:
        raise TicketError(f"{path} is no sound ticket: {error}", Status.TICKET) from error


def write_snapshot(
    path: Path, snapshot: Snapshot, extra: Mapping[str, Any] | None = None, beside: Tensors | None = None
) -> None:
    """Store a snapshot, with notes in JSON and tensors beside it: the best weights so far, say.

    Raises TicketError (status 4) for a number that is not finite, but in the snapshot's ``constants``.
    """
    _refuse_infinite(snapshot.weights, snapshot.optim, snapshot.ema, snapshot.constants)
    refuse_infinite("the kept", beside or {}, snapshot.constants)
    parts = {"weights": snapshot.weights, "optim": snapshot.optim, "ema": snapshot.ema, "beside": beside or {}}
    tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
    write_whole(
        path, pack("snapshot", tensors, {"step": snapshot.step, "extra": dict(extra or {}), **_constants(snapshot)})
    )


def read_snapshot(path: Path) -> tuple[Snapshot, dict[str, Any], dict[str, Tensor]]:
    """A snapshot, its notes and the tensors beside it; TicketError (status 3) where the file is damaged or is none."""
    tensors, header = read_tensors(path, "snapshot")
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "optim": {}, "ema": {}, "beside": {}}
    try:
        for key, value in tensors.items():
            part, name = key.split("/", 1)
            parts["beside" if part == "best" else part][name] = value  # best: what an earlier version wrote
        constants = _names(header.get("constants", []))
        snapshot = Snapshot(int(header["step"]), parts["weights"], parts["optim"], parts["ema"], constants)
        return snapshot, dict(header["extra"]), parts["beside"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TicketError(f"{path} is no sound snapshot: {error}", Status.TICKET) from error


def _refuse_infinite(weights: Tensors, optim: Tensors, ema: Tensors, constants: frozenset[str]) -> None:
    refuse_infinite("the weight", weights, constants)
    refuse_infinite("the optimizer state", optim)
    refuse_infinite("the average", ema, constants)


def _constants(state: Ticket | Snapshot) -> dict[str, list[str]]:
    """The header's key for what holds infinities by design, where anything does."""
    found = sorted(state.constants & state.weights.keys())
    return {"constants": found} if found else {}


def _names(raw: Any) -> frozenset[str]:
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        raise TypeError("its constants are no list of names")
    return frozenset(raw)


def origin_from(raw: Mapping[str, Any]) -> Origin:
    """The origin in a file's header; TypeError where it holds values of wrong kinds."""
    origin = Origin(**raw)
    numbers, names = (origin.rewind_to, origin.round, origin.seed), (origin.method, origin.rewind, origin.arm)
    if not all(type(number) is int for number in numbers) or not all(isinstance(name, str) for name in names):
        raise TypeError("its origin holds values of wrong kinds")
    return origin


def recipe_from(raw: Any) -> dict[str, Any] | None:
    """The recipe in a file's header, if there is one; TypeError where it lacks sections."""
    sections = ("task", "data", "train", "search", "quality")
    if raw is not None and not (isinstance(raw, dict) and all(isinstance(raw.get(key), dict) for key in sections)):
        raise TypeError("its recipe lacks sections")
    return raw


def _stored(part: str, name: str, value: Tensor, kept: Tensor | None) -> dict[str, Tensor]:
    if kept is None:
        return {f"{part}/{name}": value}
    return {f"{part}-kept/{name}": value.detach().contiguous().reshape(-1)[kept.to(value.device).reshape(-1)]}


def _restored(part: str, tensors: Tensors, mask: Mask) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    for key, value in tensors.items():
        kind, name = key.split("/", 1)
        if kind == part:
            found.append((name, value))
        elif kind == f"{part}-kept":
            kept = mask[_parameter_of_slot(name) if part == "optim" else name]
            whole = torch.zeros(kept.shape, dtype=value.dtype)
            if value.numel() != mask.kept_in(_parameter_of_slot(name) if part == "optim" else name):
                raise ValueError(f"'{name}' holds {value.numel()} values for a mask of another count")
            whole[kept] = value
            found.append((name, whole))
    return found


def _parameter_of_slot(key: str) -> str:
    """The parameter's name in ``objective/parameter/slot``."""
    return key.split("/", 1)[1].rsplit("/", 1)[0]


def _mask_of_slot(mask: Mask, key: str, value: Tensor) -> Tensor | None:
    kept = mask.get(_parameter_of_slot(key))
    return kept if kept is not None and kept.shape == value.shape else None


def _channels(tensors: Tensors, sizes: Any) -> Channels | None:
    if sizes is None:
        return None
    return Channels({name: unpacked_bits(tensors[f"channels/{name}"], [size]) for name, size in sizes.items()})


def packed_bits(kept: Tensor) -> Tensor:
    """A boolean tensor as bytes of eight bits, in logical order."""
    return torch.from_numpy(np.packbits(kept.cpu().contiguous().numpy().reshape(-1)))


def unpacked_bits(packed: Tensor, shape: list[int]) -> Tensor:
    """A boolean tensor from bytes of eight bits; ValueError where there are too many or too few for its shape."""
    count = prod(shape)
    if packed.numel() != (count + 7) // 8:
        raise ValueError(f"{packed.numel()} bytes of mask for {count} weights")
    return torch.from_numpy(np.unpackbits(packed.numpy(), count=count).astype(bool)).reshape(shape)
