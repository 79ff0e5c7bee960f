"""FLOPs of a forward pass, exactly, per layer and component; and networks of equal FLOPs. 1 multiply-add = 2 FLOPs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gentickets.accounting.counter import LayerCounter
from gentickets.accounting.formulas import NORM
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Mask, plain_name, prunable, prunable_layers
from gentickets.storage import memory_of
from gentickets.tasks import Task
from gentickets.untouched import eager, untouched

SIZES = (2, 3)
"""Batches that are counted: what one image costs is their difference."""


@dataclass(frozen=True)
class LayerFlops:
    """Forward FLOPs per image of one kind of work that a component does for one parameter.

    ``layer`` is the parameter's name (a norm's: its scale), ``""`` for work that multiplies none. ``masked`` is
    ``dense`` times the kept fraction of the weight: *theoretical*, as no common kernel skips pruned weights.
    """

    component: str
    layer: str
    kind: str
    dense: float
    masked: float


@dataclass(frozen=True)
class FlopTable:
    """Forward FLOPs per image of a task's networks, each component run once, in evaluation mode."""

    rows: tuple[LayerFlops, ...]
    unknown: tuple[tuple[str, str], ...] = ()
    """(component, operator) of what was met and has no known count."""

    @property
    def uncounted(self) -> frozenset[str]:
        """Operators whose FLOPs are not known: where there are any, all that is counted is a lower bound."""
        return frozenset(operator for _, operator in self.unknown)

    @property
    def dense(self) -> float:
        """Of all components; of a compact task, what it costs."""
        return sum(row.dense for row in self.rows)

    @property
    def masked(self) -> float:
        """Of all components under the mask, *theoretically*; without one, as dense."""
        return sum(row.masked for row in self.rows)

    def of(self, component: str) -> FlopTable:
        """One component's part."""
        known = list(dict.fromkeys([row.component for row in self.rows] + [one for one, _ in self.unknown]))
        if component not in known:
            raise TicketError(f"no FLOPs of component '{component}' are counted. {nearest(component, known)}")
        unknown = tuple(one for one in self.unknown if one[0] == component)
        return replace(self, rows=tuple(row for row in self.rows if row.component == component), unknown=unknown)

    def kind(self, kind: str) -> FlopTable:
        """One kind's part: ``convolution``, ``linear`` or ``norm``."""
        return replace(self, rows=tuple(row for row in self.rows if row.kind == kind))


@dataclass(frozen=True)
class NetworkFlops:
    """Forward FLOPs per image of all products but those of layers that are never trained; norms are left out."""

    dense: float
    masked: float
    """*Theoretical*: each layer's times the kept fraction of its weight; what is done for no masked weight is dense."""
    uncounted: frozenset[str]
    """Operators whose FLOPs are not known: where there are any, both are lower bounds."""


def forward_flops(task: Task, mask: Mask | None = None) -> FlopTable:
    """Forward FLOPs per image of every layer of every component, dense and under a mask.

    Every component runs once on the inputs that `Task.inputs` gives it, in evaluation mode. Work that does not grow
    with the batch (spectral norm's) is no image's and left out; `gentickets.accounting.step_flops` has it. For a
    compact network give the compact task. Under a mask, work that is done for no masked weight (attention's products,
    a parameter that is not prunable) stays dense. Raises TicketError for a mask that is not the task's.
    """
    density = {} if mask is None else densities_in(task, mask)
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    unknown: set[tuple[str, str]] = set()
    for sign, n in zip((-1, 1), SIZES, strict=True):
        with eager(task), untouched(task, 0):
            inputs = task.inputs(torch.zeros(n, *task.image, device=task.device))
            for component, arguments in inputs.items():
                with LayerCounter(owners_in(task), task.buffers()) as counter:
                    getattr(task, component)(*arguments)
                unknown |= {(component, operator) for operator in counter.uncounted}
                for work in counter.works:
                    counts[component, work.owner or "", work.kind] += sign * work.flops
    rows = (LayerFlops(*key, float(flops), flops * density.get(key[1], 1.0)) for key, flops in counts.items())
    return FlopTable(tuple(row for row in rows if row.dense), tuple(sorted(unknown)))


def network_flops(task: Task, mask: Mask | None = None) -> NetworkFlops:
    """Forward FLOPs per image, dense and under a mask, as results hold them; `forward_flops` has norms as well.

    Raises TicketError for a mask that is not the task's.
    """
    density = {} if mask is None else densities_in(task, mask)
    counts = dict.fromkeys(weights_in(task), 0.0)
    counts |= {name: 0.0 for name, parameter in owners_in(task).items() if parameter.requires_grad} | {"": 0.0}
    table = forward_flops(task)
    for row in table.rows:
        if row.kind != NORM and row.layer in counts:
            counts[row.layer] += row.dense
    masked = sum(flops * density.get(name, 1.0) for name, flops in counts.items())
    return NetworkFlops(sum(counts.values()), masked, table.uncounted)


def layer_flops(task: Task) -> dict[str, float]:
    """Forward FLOPs per image of the layers with each prunable weight, by the weight's name in the prunable set."""
    counts = dict.fromkeys(weights_in(task), 0.0)
    for row in forward_flops(task).rows:
        if row.layer in counts:
            counts[row.layer] += row.dense
    return counts


def densities_in(task: Task, mask: Mask) -> dict[str, float]:
    """The kept fraction of each weight in a mask; TicketError where it is not a mask of this task's weights."""
    known = weights_in(task)
    for name, kept in mask.items():
        if name not in known:
            message = f"the mask has '{name}', which is no prunable weight. {nearest(name, known)}"
            raise TicketError(message, Status.TICKET)
        if kept.shape != known[name].shape:
            theirs, ours = tuple(kept.shape), tuple(known[name].shape)
            raise TicketError(f"the mask has '{name}' with shape {theirs}, not {ours}", Status.TICKET)
    return mask.densities


def owners_in(task: Task) -> dict[str, Tensor]:
    """All parameters by name; those that are tied to a prunable weight bear its name in the prunable set."""
    pruned = {memory_of(weight): (name, weight) for name, weight in weights_in(task).items()}
    named = ((plain_name(name), parameter) for name, parameter in task.named_parameters())
    return dict(pruned.get(memory_of(parameter), (name, parameter)) for name, parameter in named)


def weights_in(task: Task) -> dict[str, Tensor]:
    """The prunable weights by name; unlike in `prunable`, there may be none."""
    found: dict[str, Tensor] = {}
    for layer in prunable_layers(task).values():
        found.setdefault(*layer)
    return found


def dense_flops(task: Task) -> float:
    """Forward FLOPs per image of all products but those of layers that are never trained; norms are left out.

    At least so many, where ``network_flops(task).uncounted`` has names.
    """
    return network_flops(task).dense


def masked_flops(task: Task, mask: Mask) -> float:
    """*Theoretical* forward FLOPs per image under a mask: what a kernel that skipped every pruned weight would do.

    No such kernel gains time on common hardware (Trap 24). Of the same products as `dense_flops`; those of no masked
    weight stay dense.
    """
    return network_flops(task, mask).masked


def weights(task: Task) -> float:
    """The number of prunable weights."""
    return float(sum(weight.numel() for weight in prunable(task).values()))


def width_at(
    build: Callable[[int], Task], width: int, wanted: float, *, measure: Callable[[Task], float] = dense_flops
) -> int:
    """The width whose dense network's ``measure`` is nearest to ``wanted``: a narrow control's, at most ``width``."""
    if wanted <= 0:
        raise TicketError("a network without FLOPs has no narrower equal")
    low, high = 1, width
    while low < high:
        middle = (low + high + 1) // 2
        if measure(build(middle)) <= wanted:
            low = middle
        else:
            high = middle - 1
    above = min(low + 1, width)
    gaps = {candidate: abs(measure(build(candidate)) - wanted) for candidate in (low, above)}
    return min(gaps, key=lambda candidate: gaps[candidate])
