"""Widths: tickets stretched to wider networks, shrunk to narrower ones, and their copies parted by noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from gentickets.channels import rearranged
from gentickets.channels.group import Group, Groups
from gentickets.channels.rearranging import reread, unstretchable
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels, Mask, keep_top
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task
from gentickets.tickets import Tensors, Ticket, check_fit, state_of
from gentickets.transfer.fitting import fit
from gentickets.transfer.pairing import Pairing


def stretched(ticket: Ticket, groups: Groups, sizes: Mapping[str, int]) -> Ticket:
    """A ticket for wider networks, which compute what the narrow ones do (Chen et al., 2016, Net2Net).

    ``groups`` are those of the ticket's own networks, ``sizes`` the wider networks' channels: group -> number; groups
    that are not named stay. Channel j copies channel j % (old size): the first channels are the old network, so that
    `shrunk` finds them, copies are as even as they can be, and stretching by way of a multiple of the old size comes to
    the same. Weights that read a channel are divided by its number of copies; in evaluation mode, and in training mode
    too, outputs are the same but for rounding. The mask is copied with its weights: each tensor's density stays exactly
    where every channel has as many copies as the others, and else counts those that are copied once more.

    Copies get equal gradients and never part by themselves: see `perturbed`. Averages follow; optimizer state does not,
    so that the result starts fresh. Raises TicketError (status 3): unknown groups, fewer channels than there are, and
    channels that cannot be copied (see `channels.rearranging.unstretchable`), all of them at once, a line each.
    """
    problems = [
        f"the channels of '{name}' cannot be stretched from {groups[name].size} to {size}: that is fewer"
        for name, size in sizes.items()
        if name in groups and size < groups[name].size
    ]
    return _resized(ticket, groups, sizes, problems)


def shrunk(ticket: Ticket, groups: Groups, sizes: Mapping[str, int]) -> Ticket:
    """A ticket for narrower networks; of a stretched ticket, the one that was stretched.

    ``groups`` are those of the ticket's own networks, ``sizes`` the narrower networks' channels: group -> number. Where
    each channel j is an exact copy of channel j % (new size), in weights, averages and mask, the first ones stay, and
    weights that read them are multiplied by their number of copies. The mask comes back bit for bit, and so do weights
    where that number is a power of two; else the two roundings leave some of those that read copies off by a last bit.

    Other channels are no copies, and those with the highest scores stay, in their order. A score is the L2 norm of the
    kept weights that make the channel: as `channels.channel_scores`, but without norms' scales, which are all alike
    near initialization, where tickets start. Weights that read the group are multiplied by (new / old size)^-1/2, so
    that sums over channels that say different things keep their variance, and initial weights the scale of a narrower
    network's. What is cut off takes its kept weights with it, so densities change.

    Averages follow, optimizer state does not. Raises TicketError (status 3) as `stretched` does.
    """
    problems = [
        f"the channels of '{name}' cannot be shrunk from {groups[name].size} to {size}: "
        + ("that is more" if size > 0 else "at least one must be left")
        for name, size in sizes.items()
        if name in groups and not 0 < size <= groups[name].size
    ]
    return _resized(ticket, groups, sizes, problems)


def fitted(ticket: Ticket, source: Task, target: Task, pairing: Pairing, batch: Batch | None = None) -> Ticket:
    """A source's ticket in the sizes of the target's layers, as they are paired; names stay the source's.

    ``source`` has the ticket's shapes; neither task changes. Each tied group of the source gets the number of channels
    that the paired layers of the target have, as `stretched` and `shrunk` do it; groups that fit stay as they are, and
    a ticket that fits whole is returned as it is. ``batch`` serves to trace the source; by default blank images.

    Raises TicketError (status 3), all reasons at once, a line each: layers that ask one group for different sizes,
    dimensions that differ and are no channels (images, latents, codes, kernels), layers of other kinds, grouped
    convolutions, spectral norm in the source on channels that would change, channels that do not stand side by side.
    A source that cannot be traced raises what `channels.groups_of` does.
    """
    check_fit(ticket.weights, state_of(source))
    found = fit(source, target, pairing, batch)
    return _resized(ticket, found.groups, found.sizes, list(found.problems))


def perturbed(ticket: Ticket, noise: float, seed: int) -> Ticket:
    """The ticket with Gaussian noise on its kept weights, so that copies part and can learn different things.

    The standard deviation is ``noise`` times that of the layer's kept weights, taken about zero: a layer of equal
    weights, copies of a single one, gets noise too. Each tensor's noise follows from the seed and its name. Weights
    outside the mask's tensors, biases and norms stay. Raises TicketError for a negative noise.
    """
    if not (noise >= 0 and math.isfinite(noise)):
        raise TicketError(f"noise is a factor of each layer's standard deviation, at least 0, not {noise}")
    weights = dict(ticket.weights)
    for name, kept in ticket.mask.items() if noise else ():
        value = weights[name]
        rng = torch.Generator().manual_seed(derive(seed, "width noise", name))
        here = kept.to(value.device)
        deviation = value[here].detach().cpu().double().square().mean().sqrt() if here.any() else 0.0
        drawn = torch.randn(value.shape, generator=rng).to(value) * (noise * float(deviation))
        weights[name] = torch.where(here, value + drawn, value)
    return replace(ticket, weights=weights)


def _resized(ticket: Ticket, groups: Groups, sizes: Mapping[str, int], problems: list[str]) -> Ticket:
    """The ticket in other sizes, wider ones and narrower ones; the given problems and those of its own are raised."""
    unknown = [f"the networks have no group of channels '{n}'. {nearest(n, groups)}" for n in sizes if n not in groups]
    changed = {name: size for name, size in sizes.items() if name in groups and size != groups[name].size}
    reasons = [unstretchable(groups[name], count=size) for name, size in changed.items()]
    if found := [*unknown, *problems, *filter(None, reasons)]:
        raise TicketError("\n".join(found), Status.TICKET)
    if not changed:
        return ticket
    sources, factors = {}, {}
    for name, size in changed.items():
        group = groups[name]
        sources[name] = torch.arange(size) % group.size
        if size < group.size and _copied(ticket, group, size):
            factors[name] = torch.bincount(torch.arange(group.size) % size, minlength=size)
        elif size < group.size:
            sources[name] = _strongest(ticket, group, size)
            factors[name] = torch.full((size,), (size / group.size) ** -0.5, dtype=torch.float64)

    def moved(tensors: Tensors) -> dict[str, Tensor]:
        return reread(rearranged(tensors, groups, sources), groups, factors)

    # sizes are no longer those of the recipe's networks, of which a compact ticket keeps some channels
    return replace(
        ticket,
        mask=Mask(moved(ticket.mask)),
        weights=moved(ticket.weights),
        ema=moved(ticket.ema),
        optim={},
        channels=None,
    )


def _copied(ticket: Ticket, group: Group, size: int) -> bool:
    """Whether each channel j is an exact copy of channel j % size, wherever the group stands."""
    first = torch.arange(group.size) % size
    for tensors in (ticket.weights, ticket.ema, ticket.mask):
        for member in group.members:
            value = tensors.get(member.tensor)
            if value is not None:
                rows = value.movedim(member.dim, 0)[member.index.to(value.device)]
                if not torch.equal(rows, rows[first.to(value.device)]):
                    return False
    return True


def _strongest(ticket: Ticket, group: Group, size: int) -> Tensor:
    """The numbers of the channels with the highest scores, in order."""
    kept = ticket.masked_weights()
    squares = torch.zeros(group.size, dtype=torch.float64)
    for member in group.of("weight"):
        each = kept[member.tensor].detach().cpu().double().square().movedim(member.dim, 0).flatten(1).sum(1)
        squares += each[member.index].sum(1)
    whole = Channels({group.name: torch.ones(group.size, dtype=torch.bool)})
    best = keep_top({group.name: squares.sqrt()}, {group.name: size / group.size}, within=whole)
    return best[group.name].nonzero().flatten()
