"""Ticket, Snapshot, Origin: the nouns that a search passes from round to round, and that disks hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType

import torch
from torch import Tensor, nn

from gentickets.effective import steady
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels, Mask, named_tensors, prunable_layers, require_maskable, require_prunable
from gentickets.shapes import take_shapes
from gentickets.spectral import settle
from gentickets.storage import laid_out, memory_of

Tensors = Mapping[str, Tensor]
"""Name -> tensor. Optimizer state is flat: ``objective/parameter/slot``, as in ``generator/net.0.weight/exp_avg``."""


@dataclass(frozen=True)
class Origin:
    """Where a ticket came from."""

    method: str
    """``iterative``, ``at_start``, ``early_bird``, or the control's name."""
    rewind_to: int
    """The step whose state the ticket starts from."""
    round: int
    """0 is the dense run."""
    seed: int
    rewind: str = "weights"
    """``weights``, ``lr`` (learning-rate rewinding) or ``none`` (fine-tuning)."""
    arm: str = "ticket"
    tied: Mapping[str, float] = field(default_factory=dict)
    """Group that competed -> fraction of it whose score is that of the last one kept, where that is not tiny."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that training changes, at one step: enough to go on bit for bit."""

    step: int
    weights: Tensors
    """Parameters and buffers, as `state_of` names them."""
    optim: Tensors = field(default_factory=dict)
    ema: Tensors = field(default_factory=dict)
    constants: frozenset[str] = frozenset()
    """Buffers and frozen weights that hold infinities by design, as masks of attention do."""

    def __repr__(self) -> str:
        numbers = sum(value.numel() for value in self.weights.values())
        return f"Snapshot(step {self.step}: {len(self.weights)} tensors of {numbers:,} numbers)"


@dataclass(frozen=True)
class Ticket:
    """A mask, the weights to start from (parameters and buffers), and where they came from.

    ``optim`` holds the optimizer state of the step that the ticket starts from, and is empty for a fresh start; so does
    ``ema`` for averages, which start anew unless training goes on. A compact ticket's weights, and the mask over them,
    have the shapes that are left when only ``channels`` of the recipe's networks are kept. ``constants`` are buffers
    and frozen weights that hold infinities by design; no other number of a stored ticket is infinite or NaN.
    """

    mask: Mask
    weights: Tensors
    origin: Origin
    optim: Tensors = field(default_factory=dict)
    ema: Tensors = field(default_factory=dict)
    channels: Channels | None = None
    constants: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        at = self.origin
        where = f"{at.method}, arm {at.arm}, round {at.round}, seed {at.seed}, from step {at.rewind_to}"
        return f"Ticket({where}; {self.mask if self.channels is None else self.channels})"

    def _repr_html_(self) -> str:
        shown = self.mask if self.channels is None else self.channels
        return f"<p><b>{escape(repr(self))}</b></p>{shown._repr_html_()}"

    def load_into(self, task: nn.Module) -> None:
        """Copy the masked starting weights into a network, in place; checked whole before the first copy.

        The recipe's networks take a compact ticket's shapes; an optimizer has to be built after that.
        Spectral norms are estimated anew for them: those of the dense weights are off by up to a factor of two.
        Raises TicketError (status 3) naming the first tensor that does not fit or cannot be pruned; the network is then
        untouched.
        """
        if self.channels is not None:
            take_shapes(task, self.weights)
        state = state_of(task)
        self.mask.require_same_names({name: state[name] for name in self.mask if name in state}, "the network")
        require_maskable(task, self.mask)
        require_prunable(task, self.mask, self.weights)
        load_weights(task, zeroed(fitted(self.weights, state), self.mask))
        settle(task)

    def masked_weights(self) -> dict[str, Tensor]:
        """The starting weights with pruned entries at +0.0."""
        return zeroed(self.weights, self.mask)


def zeroed(tensors: Tensors, mask: Tensors) -> dict[str, Tensor]:
    """The tensors, with +0.0 wherever a mask of the same name prunes."""
    return {
        name: value if name not in mask else torch.where(mask[name].to(value.device), value, 0.0)
        for name, value in tensors.items()
    }


class State(dict[str, Tensor]):
    """Name -> tensor, one name for all tied tensors; ``others`` holds what stands under their further names."""

    def __init__(self, tensors: Tensors = MappingProxyType({})) -> None:
        super().__init__(tensors)
        self.others: dict[str, tuple[str, Tensor]] = {}
        """Further name -> the first name of the same numbers, and the tensor: a transpose, say."""

    def first(self, name: str) -> str:
        """The first name of the tensor that has this name."""
        return self.others[name][0] if name in self.others else name

    def only(self, names: Iterable[str]) -> State:
        """The part with these first names."""
        part = State({name: self[name] for name in names})
        part.others = {name: (first, tensor) for name, (first, tensor) in self.others.items() if first in part}
        return part


def state_of(module: nn.Module) -> State:
    """The state dict with one name for all tied tensors, transposes included (Trap 6, see `masks.first_names`)."""
    state = State()
    named = named_tensors(module)
    for name, (first, tensor) in named.items():
        state.setdefault(first, named[first][1])
        if name != first:
            state.others[name] = first, tensor
    return state


def load_weights(module: nn.Module, weights: Tensors) -> None:
    """Copy a whole state (see `state_of`) in place, keeping strides; all of it is checked before the first copy.

    Tied tensors may stand in it under any of their names, or all of them, as in a plain state dict.
    """
    target = state_of(module)
    values = fitted(weights, target)
    with torch.no_grad():
        for name, value in target.items():
            value.copy_(values[name])
    steady(module)


def check_fit(weights: Tensors, target: Tensors) -> None:
    """Raise TicketError (status 3) unless both hold the same names, shapes and kinds of number (see `fitted`)."""
    fitted(weights, target)


def fitted(weights: Tensors, target: Tensors) -> dict[str, Tensor]:
    """The weights under the names of a `state_of`, in its layout; TicketError (status 3) where they do not fit.

    What stands there under a further name of tied tensors is taken where the first is missing. Where both are there
    they must agree, but for what is zero under the first: earlier versions masked that one alone.
    """
    others = target.others if isinstance(target, State) else {}
    found: dict[str, Tensor] = {}
    for name, value in target.items():
        under = next((other for other, (first, _) in others.items() if first == name and other in weights), name)
        under = name if name in weights else under
        if under not in weights:
            message = f"the weights have no '{name}', which the network needs. {nearest(name, weights)}"
            raise TicketError(message, Status.TICKET)
        wanted = value if under == name else others[under][1]
        _require_like(under, weights[under], wanted)
        found[name] = laid_out(weights[under], wanted, value)
    for name, value in weights.items():
        if name not in target and name not in others:
            message = f"the weights have '{name}', which the network lacks. {nearest(name, target)}"
            raise TicketError(message, Status.TICKET)
        if name in others:
            first, tensor = others[name]
            _require_like(name, value, tensor)
            _require_same(name, laid_out(value, tensor, target[first]), first, found[first])
    return found


def _require_like(name: str, value: Tensor, target: Tensor) -> None:
    theirs, ours = tuple(value.shape), tuple(target.shape)
    if theirs != ours:
        raise TicketError(f"'{name}' has shape {theirs}, the network needs {ours}", Status.TICKET)
    if (value.is_floating_point(), value.is_complex()) != (target.is_floating_point(), target.is_complex()):
        raise TicketError(f"'{name}' holds {value.dtype}, the network needs {target.dtype}", Status.TICKET)


def _require_same(name: str, value: Tensor, first: str, kept: Tensor) -> None:
    """Refuse two values for the same numbers; averages may be off by rounding."""
    kept = kept.to(value.device)
    if not bool((torch.isclose(value, kept.to(value.dtype), rtol=1e-4, equal_nan=True) | (kept == 0)).all()):
        message = f"'{first}' and '{name}' are the same numbers in this network, but differ in the weights"
        raise TicketError(message, Status.TICKET)


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Detached copies that later training does not change, strides kept."""
    return {name: value.detach().clone(memory_format=torch.preserve_format) for name, value in tensors.items()}


def weights_of(ticket: Ticket, dense: nn.Module) -> dict[str, int]:
    """How many: ``kept`` and ``total`` prunable weights of a ticket, and ``all`` parameters of its ``dense`` networks.

    Of a compact ticket ``total`` and ``all`` are those of the networks that it was cut out of.
    """
    known = dict(prunable_layers(dense).values())
    distinct = {memory_of(parameter): parameter for parameter in dense.parameters()}
    total = sum(known[name].numel() if name in known else kept.numel() for name, kept in ticket.mask.items())
    return {"kept": ticket.mask.kept, "total": total, "all": sum(one.numel() for one in distinct.values())}
