"""Ticket, Snapshot, Origin: the nouns that a search passes from round to round, and that disks hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels, Mask, require_prunable
from gentickets.shapes import take_shapes
from gentickets.spectral import settle

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

    def load_into(self, task: nn.Module) -> None:
        """Copy the masked starting weights into a network, in place; checked whole before the first copy.

        The recipe's networks take a compact ticket's shapes; an optimizer has to be built after that.
        Spectral norms are estimated anew for them: those of the dense weights are off by up to a factor of two.
        Raises TicketError (status 3) naming the first tensor that does not fit or cannot be pruned; the network is then
        untouched.
        """
        if self.channels is not None:
            take_shapes(task, self.weights)
        require_prunable(task, self.mask, self.weights)
        load_weights(task, self.masked_weights())
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


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with one name for each storage, the first: tied weights stand there once (Trap 6)."""
    seen: set[tuple[object, ...]] = set()
    state: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        key = (value.untyped_storage().data_ptr(), value.storage_offset(), tuple(value.shape), value.stride())
        if not value.numel() or key not in seen:
            state[name] = value
        seen.add(key)
    return state


def load_weights(module: nn.Module, weights: Tensors) -> None:
    """Copy a whole state (see `state_of`) in place, keeping strides; all of it is checked before the first copy."""
    target = state_of(module)
    check_fit(weights, target)
    with torch.no_grad():
        for name, value in target.items():
            value.copy_(weights[name])


def check_fit(weights: Tensors, target: Tensors) -> None:
    """Raise TicketError (status 3) unless both hold the same names, shapes and kinds of number."""
    for name, value in target.items():
        if name not in weights:
            message = f"the weights have no '{name}', which the network needs. {nearest(name, weights)}"
            raise TicketError(message, Status.TICKET)
        theirs, ours = tuple(weights[name].shape), tuple(value.shape)
        if theirs != ours:
            raise TicketError(f"'{name}' has shape {theirs}, the network needs {ours}", Status.TICKET)
        if weights[name].is_floating_point() != value.is_floating_point():
            message = f"'{name}' holds {weights[name].dtype}, the network needs {value.dtype}"
            raise TicketError(message, Status.TICKET)
    for name in weights:
        if name not in target:
            message = f"the weights have '{name}', which the network lacks. {nearest(name, target)}"
            raise TicketError(message, Status.TICKET)


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Detached copies that later training does not change, strides kept."""
    return {name: value.detach().clone(memory_format=torch.preserve_format) for name, value in tensors.items()}
