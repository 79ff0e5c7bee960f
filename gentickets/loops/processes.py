"""One mask for all processes of a data-parallel training: rank 0 decides, and every round compares."""

from __future__ import annotations

import hashlib

import torch
import torch.distributed as dist

from gentickets.errors import Status, TicketError
from gentickets.masks import Mask


def shared_mask(mask: Mask, device: torch.device) -> Mask:
    """Rank 0's mask, in every process; the mask itself where there is one process.

    Raises TicketError (status 3) in all processes where they hold masks of different weights, so different networks.
    """
    if not _several():
        return mask
    require_equal(sha256_of_names(mask), "prunable weights")
    sent = {name: kept.to(device=device, dtype=torch.uint8) for name, kept in sorted(mask.items())}
    for kept in sent.values():
        dist.broadcast(kept, src=0)
    made = Mask({name: sent[name].to(mask[name].device).bool() for name in mask})
    require_equal(sha256_of(made), "masks")
    return made


def require_equal(digest: str, what: str) -> None:
    """Raise TicketError (status 3) in every process unless all processes have this digest."""
    if not _several():
        return
    found: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(found, digest)
    if len(set(found)) > 1:
        ranks = ", ".join(str(rank) for rank, one in enumerate(found) if one != found[0])
        raise TicketError(f"processes hold different {what}: rank {ranks} differs from rank 0", Status.TICKET)


def sha256_of(mask: Mask) -> str:
    """A hash of names, shapes and bits."""
    digest = hashlib.sha256(sha256_of_names(mask).encode())
    for name in sorted(mask):
        digest.update(mask[name].cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sha256_of_names(mask: Mask) -> str:
    """A hash of names and shapes."""
    text = "\n".join(f"{name} {tuple(mask[name].shape)}" for name in sorted(mask))
    return hashlib.sha256(text.encode()).hexdigest()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
