"""FLOPs of a forward pass, per layer, exactly: 1 multiply-add = 2 FLOPs.

Counted by `torch.utils.flop_counter`, which multiplies a transposed convolution on its *input* grid, as it must be;
counters that use the output grid overcount it by the ratio of areas (Trap 22).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from gentickets.errors import TicketError
from gentickets.masks import Mask, component_of, prunable, prunable_layers
from gentickets.tasks import Task
from gentickets.untouched import untouched


def layer_flops(task: Task) -> dict[str, float]:
    """Forward FLOPs per image of the layers with each prunable weight, by the weight's name in the prunable set.

    Every component is run once on the inputs that `Task.inputs` gives it, in evaluation mode.
    """
    counts: dict[str, float] = {}
    layers = prunable_layers(task)
    with untouched(task, 0):
        inputs = task.inputs(torch.zeros(2, *task.image, device=task.device))
        for component, arguments in inputs.items():
            module = getattr(task, component)
            with FlopCounterMode(display=False) as counter:
                module(*arguments)
            by_module = counter.get_flop_counts()
            for path, (name, _) in layers.items():
                if component_of(path) == component:
                    inside = path.replace(component, type(module).__name__, 1)
                    counts[name] = counts.get(name, 0.0) + sum(by_module.get(inside, {}).values()) / 2
    return counts


def dense_flops(task: Task) -> float:
    """Forward FLOPs per image of all components."""
    return sum(layer_flops(task).values())


def masked_flops(task: Task, mask: Mask) -> float:
    """*Theoretical* forward FLOPs per image under a mask: what a kernel that skipped every pruned weight would do.

    No such kernel gains time on common hardware (Trap 24).
    """
    densities = mask.densities
    return sum(flops * densities.get(name, 1.0) for name, flops in layer_flops(task).items())


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
