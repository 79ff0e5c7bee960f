"""Carrying: a source's ticket becomes a ticket of the target, along pairs of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError, nearest
from gentickets.finite import infinite
from gentickets.masks import (
    Magnitudes,
    Mask,
    component_of,
    first_names,
    full_mask,
    keep_top,
    prunable,
    prunable_layers,
)
from gentickets.portable import positive_in, signed
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Origin, Tensors, Ticket, check_fit, copied, state_of, zeroed

from .pairing import Pairing, paired
from .table import LayerTransfer, Table
from .widths import fitted, perturbed

MOVES = ("weights", "mask", "signs", "trained")
_GOT = {"weights": "mask and weights", "trained": "mask and weights", "mask": "mask", "signs": "mask and signs"}


def transfer(
    ticket: Ticket,
    source: Task,
    target: Task,
    routes: Mapping[str, str] | None = None,
    *,
    match: str = "name",
    partial: bool = False,
    deepen: str | None = None,
    widths: bool = False,
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    moves: str = "weights",
    trained: Tensors | None = None,
    rest: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[Ticket, Table]:
    """A source's ticket as a ticket of the target, whose present weights are the start of all that receives nothing.

    ``routes`` to ``widths`` are those of `paired` (with ``widths`` the ticket is fitted first: see `fitted`),
    ``components`` and ``exempt`` say what of the target is prunable (`masks.prunable`), the others are those of
    `carried`. Neither network changes: ``load_into`` plants the ticket. Raises TicketError as all of these do.
    """
    pairing = paired(
        source, target, routes, match=match, partial=partial, deepen=deepen, widths=widths, components=components
    )
    mask = full_mask(target, components=components, exempt=exempt)
    weights = copied(state_of(target))
    start = Ticket(mask, weights, Origin("transfer", 0, 0, seed), constants=frozenset(infinite(weights)))
    if widths and trained is not None and moves in ("signs", "trained"):  # the channels of the weights that move
        ticket = fitted(replace(ticket, weights=trained), source, target, pairing)
        trained = ticket.weights
    elif widths:
        ticket = fitted(ticket, source, target, pairing)
    return carried(
        ticket, target, start, pairing, source=source, moves=moves, trained=trained, rest=rest, noise=noise, seed=seed
    )


def carried(
    ticket: Ticket,
    target: Task,
    start: Ticket,
    pairing: Pairing,
    *,
    source: Task,
    moves: str = "weights",
    trained: Tensors | None = None,
    rest: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[Ticket, Table]:
    """The target's ticket: paired layers with what the source's ticket has, all others as the target starts.

    ``start`` is the target's own dense ticket. Paired prunable layers take the source's mask and, by ``moves``:

    - ``weights``: the weights and biases that the source's ticket starts from, and the paired norms whole
    - ``trained``: the same from ``trained``, the weights that it grew into
    - ``signs``: nothing but the trained signs, on the target's own magnitudes (see `portable.signed`), and the scale
      and shift of paired norms
    - ``mask``: nothing else

    A dense source (its mask is full) so gives the same weights without the mask. Prunable layers that get nothing stay
    dense, or keep the largest of their starting weights at density ``rest``, each. ``noise``: Gaussian noise on kept
    weights that move, relative to the standard deviation of each layer's (`perturbed`); where none move there is none.

    Source and target are looked at for their names alone. Optimizers and averages start fresh. Each tensor lies where
    the same one of ``start`` does, and none is shared with the source's. All is checked before anything is made.

    Raises TicketError (status 3) for a layer whose weights are not in ``start``'s mask, for tensors that a ticket or
    ``trained`` lacks or has in another shape; (status 2) for unknown ``moves``, and where ``trained`` is missing.
    """
    _require(moves, trained)
    check_fit(start.weights, state_of(target))
    values: Tensors = trained if trained is not None and moves in ("signs", "trained") else ticket.weights
    givers, beside = _layers(pairing, source, target), _beside(pairing, source, target, moves)
    _require_prunable(givers, start, target)
    _require_tensors(ticket, values, start, givers, beside, moves)

    masks = _carried_masks(ticket, start, givers, rest, seed)
    mask = Mask({name: masks[name] for name in prunable(target) if name in masks})
    weights = {name: values[giver].detach().to(start.weights[name], copy=True) for name, giver in beside.items()}
    weights |= {} if moves == "mask" else _carried_weights(values, start, givers, masks if moves == "signs" else None)
    if noise and moves in ("weights", "trained"):
        moved = Mask({name: masks[name] for name in givers})
        weights = dict(perturbed(Ticket(moved, weights, start.origin), noise, derive(seed, "transfer")).weights)
    whole = {name: weights.get(name, value) for name, value in start.weights.items()}
    origin = replace(start.origin, method="transfer", tied={})
    made = Ticket(mask, zeroed(whole, mask), origin, channels=start.channels, constants=start.constants)
    return made, _table(made, ticket, givers, pairing, moves, target)


def _carried_masks(
    ticket: Ticket, start: Ticket, givers: Mapping[str, str], rest: float | None, seed: int
) -> dict[str, Tensor]:
    """The source's mask of layers with a giver; all others' dense, or their largest at density ``rest``."""
    masks = {name: _mask_of(ticket, giver).to(start.mask[name].device, copy=True) for name, giver in givers.items()}
    left = Mask({name: kept for name, kept in start.mask.items() if name not in givers})
    if rest is not None and left:
        scores = Magnitudes({name: start.weights[name] for name in left})
        left = keep_top(scores, dict.fromkeys(left, rest), within=left, seed=seed)
    return {**left, **masks}


def _carried_weights(
    values: Tensors, start: Ticket, givers: Mapping[str, str], signs_within: Mapping[str, Tensor] | None
) -> Tensors:
    """The givers' weights; with masks ``signs_within``, nothing but their signs, on the target's own magnitudes."""
    if signs_within is None:
        return {name: values[giver].detach().to(start.weights[name]) for name, giver in givers.items()}
    weights: dict[str, Tensor] = {}
    for name, giver in givers.items():
        fresh = start.weights[name]
        positive = positive_in(giver, values[giver]).to(fresh.device)
        weights[name] = signed(fresh, signs_within[name].to(fresh.device), positive)
    return weights


def _require(moves: str, trained: Tensors | None) -> None:
    """Raise TicketError for a request that makes no sense, whatever the networks."""
    if moves not in MOVES:
        raise TicketError(f"unknown moves '{moves}'. {nearest(moves, MOVES)}")
    if trained is None and moves in ("signs", "trained"):
        raise TicketError(f"moves = '{moves}' needs the trained weights that the ticket grew into")


def _layers(pairing: Pairing, source: Task, target: Task) -> dict[str, str]:
    """Prunable weight of the target -> that of the source, for paired layers."""
    ours, theirs = prunable_layers(source), prunable_layers(target)
    pairs = [pair for pair in pairing.pairs if pair.target in theirs and pair.source in ours]
    for pair in pairs:
        if _turned(ours, pair.source) != _turned(theirs, pair.target):
            message = f"'{pair.target}' cannot take from '{pair.source}': one of the two is a transposed tie"
            raise TicketError(f"{message}, the other has a weight of its own; leave it out", Status.TICKET)
    return {theirs[pair.target][0]: ours[pair.source][0] for pair in pairs}


def _turned(layers: Mapping[str, tuple[str, Tensor]], path: str) -> bool:
    """Whether a layer's weight is tied to one of another layout, by whose name tickets hold it."""
    name, weight = layers[path]
    first = next(tensor for other, tensor in layers.values() if other == name)
    return first.shape != weight.shape or first.stride() != weight.stride()


def _beside(pairing: Pairing, source: Task, target: Task, moves: str) -> dict[str, str]:
    """Other tensor of the target -> that of the source that moves with the weights: biases and norms."""
    if moves == "mask":
        return {}
    ours, theirs = first_names(source), first_names(target)
    layers, found = prunable_layers(target), {}
    for pair in pairing.pairs:
        module = target.get_submodule(pair.target)
        names = list(dict(module.named_parameters()) if moves == "signs" else module.state_dict())
        if pair.target in layers:
            names = [] if moves == "signs" else ["bias"]
        for name in names:
            here, there = f"{pair.source}.{name}", f"{pair.target}.{name}"
            if here in ours and there in theirs:
                found[theirs[there]] = ours[here]
    return found


def _require_prunable(givers: Mapping[str, str], start: Ticket, target: Task) -> None:
    """Raise TicketError unless the target prunes every layer that a mask is carried to."""
    if missing := [name for name in givers if name not in start.mask]:
        names = ", ".join(f"'{name}'" for name in missing)
        message = f"{names} would get a mask, but the target does not prune it: name its component in search.prune, "
        raise TicketError(f"{message}take it out of search.exempt, or choose other routes", Status.TICKET)
    known = prunable(target)
    for name in start.mask:
        if name not in known:
            message = f"the target's ticket has a mask of '{name}', which the target lacks. {nearest(name, known)}"
            raise TicketError(message, Status.TICKET)


def _require_tensors(
    ticket: Ticket, values: Tensors, start: Ticket, givers: Mapping[str, str], beside: Mapping[str, str], moves: str
) -> None:
    """Raise TicketError, once for all of them, for tensors that are not there or do not fit the target's."""
    held = {**ticket.weights, **ticket.mask}
    wanted = [(f"the mask of '{giver}'", held.get(giver), name) for name, giver in givers.items()]
    if moves != "mask":
        wanted += [(f"'{giver}'", values.get(giver), name) for name, giver in {**givers, **beside}.items()]
    wrong = []
    for what, value, name in wanted:
        needed = tuple(start.weights[name].shape)
        if value is None:
            wrong.append(f"{what} is not there")
        elif tuple(value.shape) != needed:
            wrong.append(f"{what} has shape {tuple(value.shape)}, '{name}' {needed}")
    if wrong:
        kind, hint = "ticket", ""
        if ticket.channels is not None:
            kind = "compact ticket"
            hint = ": load it into the source and pair with widths, or carry the one it was cut from"
        raise TicketError(f"the source's {kind} does not fit the pairs: {'; '.join(wrong)}{hint}", Status.TICKET)


def _mask_of(ticket: Ticket, name: str) -> Tensor:
    """The mask of one weight: full where the source does not prune it."""
    return ticket.mask[name] if name in ticket.mask else torch.ones_like(ticket.weights[name], dtype=torch.bool)


def _table(
    made: Ticket, ticket: Ticket, givers: Mapping[str, str], pairing: Pairing, moves: str, target: Task
) -> Table:
    """What every prunable weight got, in the target's order; layers outside the prunable set are told in words."""
    entries, densities = [], ticket.mask.densities
    for name, kept in made.mask.items():
        giver = givers.get(name)
        density = None if giver is None else densities.get(giver, 1.0)
        got = "nothing" if giver is None else _GOT[moves]
        if density == 1.0 and moves in ("weights", "trained"):
            got = "weights"
        entries.append(LayerTransfer(name, giver, got, kept.numel(), made.mask.kept_in(name), density))
    pruned = made.mask.components
    outside = [name for name in prunable(target) if name not in made.mask and component_of(name) in pruned]
    left = (*pairing.left, *(f"'{name}' is exempt from pruning in the target" for name in outside))
    return Table(dict(pairing.routes), pairing.match, moves, pairing.partial, tuple(entries), left)
