"""Names: the one name that stands for all tensors which cover the same numbers, and masks under all of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.storage import laid_out, memory_of

from .mask import plain_name, prunable_layers, require_initialized


def first_names(module: nn.Module) -> dict[str, str]:
    """Every stored tensor's name -> the one by which masks, tickets, averages and files hold its numbers.

    Tied tensors (see `storage.memory_of`) have one: that of the prunable set where one of them is in it, else a
    parameter's, else the first in the order of the state dict. An empty tensor has its own.
    """
    return {name: first for name, (first, _) in named_tensors(module).items()}


def named_tensors(module: nn.Module) -> dict[str, tuple[str, Tensor]]:
    """Every name of the state dict -> its first name (see `first_names`), and the tensor.

    Raises TicketError for a lazy layer, and for an entry that is no tensor, which no file of tensors could hold.
    """
    require_initialized(module)
    alike: dict[Hashable, list[str]] = {}
    state: dict[str, Tensor] = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise TicketError(
                f"'{name}' of the state dict is a {kind}, not a tensor: keep it in a buffer", Status.FAILED
            )
        alike.setdefault(memory_of(value), []).append(name)
    chosen = {memory_of(weight): name for name, weight in prunable_layers(module).values()}
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    found: dict[str, tuple[str, Tensor]] = {}
    for memory, names in alike.items():
        first = next((name for name in names if name in parameters), names[0])
        first = next((name for name in names if plain_name(name) == chosen.get(memory)), first)
        found |= {name: (first, state[name]) for name in names}
    return {name: found[name] for name in state}


def sharing(weights: Mapping[str, nn.Parameter], trained: Iterable[Tensor]) -> dict[str, nn.Parameter]:
    """Those of the weights whose numbers some tensors cover: an optimizer that trains a transpose trains the weight."""
    memories = {memory_of(tensor) for tensor in trained}
    return {name: weight for name, weight in weights.items() if memory_of(weight) in memories}


def under_all_names(mask: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A mask by every name of its tensors, each in the layout of the tensor of that name."""
    named = named_tensors(module)
    found = dict(mask)
    for name, (first, tensor) in named.items():
        if first in mask and name not in found and mask[first].shape == named[first][1].shape:
            found[name] = laid_out(mask[first].to(tensor.device), named[first][1], tensor)
    return found
