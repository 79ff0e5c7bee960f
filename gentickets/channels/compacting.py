"""compact: a task whose networks are narrower for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from gentickets.channels.dead import dead_channels, fold_constants
from gentickets.channels.group import INSTEAD, Found, Groups, require_fit, twin
from gentickets.channels.groups import groups_of
from gentickets.channels.slicing import narrowed, silenced, sliced
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Mask
from gentickets.shapes import take_shapes
from gentickets.tasks import Task
from gentickets.tasks.base import Batch
from gentickets.tickets import load_weights, state_of
from gentickets.untouched import looking_only, tensors_in, untouched

TOLERANCE = 1e-3
"""How far compact outputs may be from silenced ones, relative to the largest: far above rounding, far below a fault."""


@looking_only
def compact(task: Task, channels: Channels, batch: Batch, *, groups: Groups | None = None) -> Task:
    """A new task with only these channels, which trains, samples and is saved as any other; the old one is untouched.

    In evaluation mode it computes what the network with the other channels silenced does (see `silenced`), which is
    checked here, component by component, on ``task.inputs(batch)``. Groups that ``channels`` leaves out keep all.
    ``groups`` are those of `groups_of`, if they are at hand. The tensors' names stay; their shapes are the narrower
    ones. Optimizer state and averages follow by `sliced`.

    Raises TicketError: status 3 for channels of other groups, FAILED for a network that cannot be traced, or that
    repeats a size which it could infer from its inputs, or whose other channels matter even when silent.
    """
    groups = groups_of(task, batch) if groups is None else groups
    require_fit(channels, groups)
    state = state_of(task)
    narrow = narrowed(state, groups, channels)
    small, silent = twin(task), twin(task)
    take_shapes(small, narrow)
    load_weights(small, narrow)
    load_weights(silent, silenced(state, groups, channels))
    _require_equal(small, silent, batch[:4])
    return small


@looking_only
def removable(
    task: Task, batch: Batch, *, exempt: Iterable[str] = (), components: Iterable[str] | None = None
) -> Found:
    """The groups of `groups_of` whose channels can really go, which is tried: one of each is removed.

    All at once; where that is refused, half of the groups and the other half, down to the one that is to blame, which
    then stays, with what was said of it, while the rest goes on.
    """
    groups = groups_of(task, batch, exempt=exempt, components=components)
    found = Found(groups, groups.stays)
    names = [name for name, group in groups.items() if group.size > 1]
    for name, why in _refused(task, batch, groups, names):
        del found[name]
        found.stays[name] = groups[name].size, why
    return found


def _refused(task: Task, batch: Batch, groups: Groups, names: list[str]) -> Iterator[tuple[str, str]]:
    """Those of the groups without a channel of which the networks do not work, and why."""
    if not names:
        return
    without = {name: torch.arange(groups[name].size) != groups[name].size // 2 for name in names}
    try:
        compact(task, Channels(without), batch, groups=groups)
    except TicketError as error:
        if len(names) == 1:
            yield names[0], str(error).partition(": ")[0]
            return
        half = len(names) // 2
        yield from _refused(task, batch, groups, names[:half])
        yield from _refused(task, batch, groups, names[half:])


@looking_only
def without_dead(task: Task, mask: Mask, batch: Batch) -> tuple[Task, Mask, Channels]:
    """A new task without the units that an unstructured mask has cut off, the mask over what is left, and the channels.

    Constants that only dense layers read are moved into their biases first (`fold_constants`), then what is dead goes
    (`dead_channels`). In evaluation mode the result computes exactly what the masked task does.
    """
    groups = removable(task, batch)
    mask, weights = fold_constants(task, mask, groups)
    masked = twin(task)
    load_weights(masked, weights)
    channels = dead_channels(masked, mask, groups)
    return compact(masked, channels, batch, groups=groups), Mask(sliced(mask, groups, channels)), channels


def _require_equal(small: Task, silent: Task, batch: Batch) -> None:
    expected = _outputs(silent, silent, batch)
    try:
        found = _outputs(small, silent, batch)
    except Exception as error:  # the networks' own code, which may assert its sizes
        said = next(iter(str(error).splitlines()), type(error).__name__)
        message = f"the networks do not run with fewer channels ({said}): let them infer sizes from what they are given"
        raise TicketError(f"{message}, or {INSTEAD}", Status.FAILED) from error
    for component, tensors in expected.items():
        for one, other in zip(tensors, found[component], strict=True):
            scale = float(one.abs().nan_to_num(0.0, 0.0, 0.0).max()) if one.numel() else 0.0
            equal = one.shape == other.shape
            if not equal or not torch.allclose(one, other, rtol=0.0, atol=TOLERANCE * max(1.0, scale), equal_nan=True):
                message = f"'{component}' computes something else once its channels are gone than while they are silent"
                raise TicketError(f"{message}: {INSTEAD}", Status.FAILED)


def _outputs(task: Task, giver: Task, batch: Batch) -> Mapping[str, list[Tensor]]:
    """What each component makes of the inputs that another task gives."""
    with untouched(giver, 0):
        inputs = giver.inputs(batch)
    with untouched(task, 0):
        return {name: list(tensors_in(task.get_submodule(name)(*inputs[name]))) for name in task.components}
