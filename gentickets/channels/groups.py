"""groups_of: the tied groups of channels of a task's networks."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm
from torch.nn.utils.spectral_norm import SpectralNorm

from gentickets.channels.group import INSTEAD, Found, twin
from gentickets.channels.operators import RULES
from gentickets.channels.tracing import trace
from gentickets.channels.units import grouped
from gentickets.errors import Status, TicketError
from gentickets.masks import component_of, prunable
from gentickets.shapes import axes_of
from gentickets.spectral import bare
from gentickets.tasks import Task
from gentickets.tasks.base import Batch
from gentickets.tickets import state_of
from gentickets.untouched import eager, looking_only, seeded, untouched


@looking_only
def groups_of(
    task: Task,
    batch: Batch,
    *,
    exempt: Iterable[str] = (),
    components: Iterable[str] | None = None,
    counted: bool = True,
) -> Found:
    """The tied groups of channels that a task's networks can lose, in the order of their layers.

    Each component is run once, by itself, on its part of ``task.inputs(batch)``, on a copy; the task is untouched.
    Channels that lead in or out of a component stay: images, latents, codes, means and log-variances, logits (Trap 16).
    So do those that meet an operator which is not understood, and those that a weight makes or reads which is outside
    the prunable set of ``exempt`` and ``components`` (see `masks.prunable`): an exempt weight loses nothing. What stays
    and why is in the result's ``stays``; one sentence of it is its ``sentence``.

    A channel is whatever can only go as one: a dense layer in front of a map loses all rows of a channel (Trap 14), an
    attention whole heads, a grouped convolution whole groups, spectral norm its vectors' entries. Under a norm whose
    statistics are over several channels, the norm counts what is gone (see `counted`); such groups are left out where
    ``counted`` is false, since their channels cannot change places.

    Raises TicketError: tied weights, or a network that cannot be traced.
    """
    allowed = prunable(task, exempt=exempt, components=components)
    able = set(prunable(task))
    wanted = dict.fromkeys(component_of(name) for name in allowed)
    _require_untied(task)
    with untouched(task, 0):
        inputs = {name: tuple(x.clone() for x in given) for name, given in task.inputs(batch[:2]).items()}
    copy = twin(task)
    _strip(copy)
    found = Found()
    for component in (name for name in task.components if name in wanted):
        try:
            with seeded(task.device, 0), eager(copy):
                shown = trace(copy.get_submodule(component), inputs[component], RULES)
        except Exception as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            message = f"'{component}' cannot be traced, so its tied channels are not known ({said}): {INSTEAD}"
            raise TicketError(message, Status.FAILED) from error
        part = grouped(shown, component, task)
        found.stays |= part.stays
        for name, group in part.items():
            exempted = [m.tensor for m in group.members if m.tensor in able and m.tensor not in allowed]
            if exempted:
                found.stays[name] = group.size, f"'{exempted[0]}' is exempt"
            elif counted or not any(group.of("count")):
                found[name] = group
    return found


def _require_untied(task: Task) -> None:
    state = state_of(task)
    if tied := [name for name in task.state_dict() if name not in state]:
        message = f"'{tied[0]}' shares its numbers with another weight, so its channels cannot be removed: {INSTEAD}"
        raise TicketError(message, Status.FAILED)


def _strip(module: nn.Module) -> None:
    """Plain weights in place of spectrally normalized ones, whose axes are the layer's own."""
    for layer in module.modules():
        if axes_of(layer) is None:
            continue
        if parametrize.is_parametrized(layer, "weight"):
            layer.register_parameter("weight", bare(layer)["weight"].original)
        elif any(isinstance(hook, SpectralNorm) for hook in layer._forward_pre_hooks.values()):
            remove_spectral_norm(layer)
