"""Portable: what of a ticket is worth carrying into another initialization: its mask, and one sign bit per weight.

A mask alone does not work in another initialization. With the signs that training gave to the kept weights, on the new
initialization's own magnitudes, it nearly does: a one-bit warm start, and no winning ticket of that initialization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Mask, component_of, plain_name, shuffled
from gentickets.seeds import derive
from gentickets.tickets import Origin, Tensors, Ticket, state_of

METHOD = "portable"
"""The method in the origin of a ticket that was planted."""
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers whose parameters stand for a channel: scales and shifts, and slopes."""


@dataclass(frozen=True)
class Portable:
    """A mask, one sign for each kept weight, the parameters of norms, and where they came from.

    Raises TicketError (status 3) unless signs and mask have the same names and shapes.
    """

    mask: Mask
    positive: Tensors
    """Masked tensor -> bool tensor of its shape: whether the *trained* weight is positive; no matter where pruned."""
    norms: Tensors
    """Trained scales and shifts of norms, and slopes of PReLUs, float32, by parameter name; of masked components."""
    origin: Origin
    """That of the ticket which grew into these signs."""

    def __post_init__(self) -> None:
        """Check that signs and mask fit."""
        self.mask.require_same_names(self.positive, "the portable ticket's signs")
        for name, positive in self.positive.items():
            if positive.dtype != torch.bool:
                raise TicketError(f"the signs of '{name}' are {positive.dtype}, not bool", Status.TICKET)
        for name, value in self.norms.items():
            if value.dtype != torch.float32 or not value.isfinite().all():
                raise TicketError(f"'{name}' of the portable ticket must hold finite float32 numbers", Status.TICKET)


def signed(fresh: Tensor, kept: Tensor, positive: Tensor) -> Tensor:
    """Fresh weights with given signs where they are kept, scaled by (kept fraction)^-1/2; +0.0 elsewhere.

    ``kept`` and ``positive`` are bool tensors of the weights' shape. A layer of which nothing is kept is all zeros.
    (Zhou et al., 2019, on signs; the scale keeps the variance of the layer's output)
    """
    density = float(kept.float().mean()) if kept.numel() else 0.0
    if not density:
        return torch.zeros_like(fresh)
    size = fresh.abs() * density**-0.5
    return torch.where(kept, torch.where(positive, size, -size), 0.0)


def portable_of(ticket: Ticket, trained: Tensors, task: nn.Module) -> Portable:
    """What is portable of a ticket and the weights that it grew into; ``task`` is asked only which layers are norms.

    Norms count where their component is masked. A kept weight of exactly zero has a positive sign.
    Raises TicketError (status 3) where the weights are not of this ticket or no numbers, and for compact tickets, which
    are another network and no mask of this one.
    """
    if ticket.channels is not None:
        raise TicketError("a compact ticket is a narrower network, not a mask: it has no portable form", Status.TICKET)
    names = norm_names(task, ticket.mask.components)
    for name in [*ticket.mask, *names]:
        if name not in trained:
            raise TicketError(f"the trained weights have no '{name}'. {nearest(name, trained)}", Status.TICKET)
        if not trained[name].isfinite().all():
            raise TicketError(f"the trained '{name}' holds values that are no numbers", Status.TICKET)
    found = {name: trained[name].cpu() for name in ticket.mask}
    ticket.mask.require_same_names(found, "the trained network")
    mask = ticket.mask.to("cpu")
    positive = {name: positive_in(name, value) & mask[name] for name, value in found.items()}
    norms = {name: trained[name].detach().cpu().float().clone() for name in names}
    return Portable(mask, positive, norms, ticket.origin)


def positive_in(name: str, weights: Tensor) -> Tensor:
    """Where weights are not negative, bool; TicketError (status 3) for complex ones."""
    if weights.is_complex():
        message = f"'{name}' is complex, and complex numbers have no sign: carry weights or a mask instead"
        raise TicketError(message, Status.TICKET)
    return weights >= 0


def norm_names(task: nn.Module, components: Sequence[str]) -> list[str]:
    """The parameters of norms and PReLUs in some components, as `state_of` names them."""
    there = state_of(task)
    found = [
        plain_name(f"{path}.{name}")
        for path, layer in task.named_modules()
        if isinstance(layer, NORMS)
        for name, _ in layer.named_parameters(recurse=False)
    ]
    return [name for name in found if name in there and component_of(name) in components]


def planted(portable: Portable, start: Ticket, method: str = METHOD) -> Ticket:
    """The ticket that a portable one makes in a fresh network: its signs on that network's own magnitudes.

    ``start`` is the dense ticket of an initialization, its mask full over the prunable set. Kept weights have its
    magnitudes, the portable signs and the scale of `signed`; norms are the portable ones; everything else is fresh:
    biases, running statistics, what is not masked. ``method`` names a control by its own name.
    Raises TicketError (status 3) naming the first tensor that does not fit.
    """
    if start.origin.rewind_to or start.channels is not None or start.mask.kept < start.mask.total:
        raise TicketError("a portable ticket is planted in a dense network's initialization, and this is none")
    start.mask.require_same_names(portable.mask, "the portable ticket")
    _check_norms(portable.norms, start.weights)
    weights = dict(start.weights)
    for name in start.mask:
        fresh = start.weights[name]
        weights[name] = signed(fresh, portable.mask[name].to(fresh.device), portable.positive[name].to(fresh.device))
    weights |= {name: value.to(weights[name]) for name, value in portable.norms.items()}
    origin = replace(
        portable.origin, method=method, arm=method, rewind_to=0, rewind="weights", seed=start.origin.seed, tied={}
    )
    mask = Mask({name: portable.mask[name] for name in start.mask})
    mask = mask.to(next(iter(weights.values())).device)
    return Ticket(mask, weights, origin, constants=start.constants)


def signs_shuffled(portable: Portable, seed: int) -> Portable:
    """The control: the signs shuffled among the kept weights of each layer, so that only their number stays.

    In every layer that can differ they do. Raises TicketError (status FAILED) where none can.
    """
    signs = Mask({name: portable.positive[name][kept] for name, kept in portable.mask.items()})
    try:
        other = shuffled(signs, derive(seed, "signs"))
    except TicketError as error:
        message = "shuffling cannot change these signs: in each layer they are all the same"
        raise TicketError(message, Status.FAILED) from error
    positive = {name: torch.zeros_like(kept) for name, kept in portable.mask.items()}
    for name, kept in portable.mask.items():
        positive[name][kept] = other[name]
    return replace(portable, positive=positive)


def _check_norms(norms: Mapping[str, Tensor], weights: Tensors) -> None:
    for name, value in norms.items():
        if name not in weights:
            raise TicketError(f"the network has no norm parameter '{name}'. {nearest(name, weights)}", Status.TICKET)
        theirs, ours = tuple(value.shape), tuple(weights[name].shape)
        if theirs != ours:
            raise TicketError(f"the portable '{name}' has shape {theirs}, the network needs {ours}", Status.TICKET)
