"""Masks in from torch.nn.utils.prune, and plain masked state dicts out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.storage import laid_out, memory_of

from .mask import Mask, plain_name, prunable

_RAW, _MASK = "_orig", "_mask"  # prune keeps `weight` as parameter `weight_orig` and buffer `weight_mask`


def from_torch_prune(module: nn.Module) -> Mask:
    """The mask of a network that `torch.nn.utils.prune` has pruned, before its ``prune.remove``.

    Reads the ``weight_mask`` buffers under the parameters' plain names (``net.0.weight``, as in the network
    without prune); other prunable layers are kept whole. Zeros are not pruned weights and are not looked at.

    Raises TicketError when there is no such buffer at all, or one that no mask here can hold (a bias's).
    """
    masks = _prune_masks(module)
    if not masks:
        raise TicketError("no layer has a 'weight_mask': prune.remove() drops it, so read the mask before that")
    found: dict[str, Tensor] = {}
    for name, weight in prunable(module).items():
        if id(weight) in masks:
            found[name.removesuffix(_RAW)] = masks.pop(id(weight))[1].bool()
        else:
            found[name] = torch.ones_like(weight, dtype=torch.bool)
    for name, _ in masks.values():
        raise TicketError(f"'{name}' is pruned, but only weights of linear and convolutional layers can be here")
    return Mask(found)


def masked_state_dict(module: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """The network's state dict as plain copies, with +0.0 wherever the mask prunes.

    What `torch.nn.utils.prune` made of a weight becomes one plain, pruned weight again; ``module.`` and
    ``_orig_mod.`` go; tied weights are masked under each of their names. What comes out loads into the
    unpruned network with a strict ``load_state_dict``.

    Raises TicketError (status 3) when the module lacks a tensor of the mask, or when a shape differs.
    """
    state = module.state_dict()
    raw = {name for name in state if name.endswith(_RAW) and name.removesuffix(_RAW) + _MASK in state}
    drop = {name.removesuffix(_RAW) + _MASK for name in raw}
    plain, sources = {}, {}
    for name, value in state.items():
        if name in drop:
            continue
        key = plain_name(name.removesuffix(_RAW) if name in raw else name)
        sources[key] = value
        plain[key] = value.detach().clone(memory_format=torch.preserve_format)
        if name in raw:
            plain[key].masked_fill_(state[name.removesuffix(_RAW) + _MASK] == 0, 0.0)
    for name, kept in mask.items():
        key = name if name in plain else name.removesuffix(_RAW)
        if key not in plain:
            raise TicketError(f"the module has no tensor '{name}'. {nearest(name, plain)}", Status.TICKET)
        if plain[key].shape != kept.shape:
            theirs, ours = tuple(plain[key].shape), tuple(kept.shape)
            raise TicketError(f"'{name}' has shape {theirs}, its mask {ours}", Status.TICKET)
        plain[key].masked_fill_(~kept.to(plain[key].device), 0.0)
        for twin in _tied(key, sources):
            plain[twin] = laid_out(plain[key], sources[key], sources[twin]).clone()
    return plain


def _prune_masks(module: nn.Module) -> dict[int, tuple[str, Tensor]]:
    """Identity of each parameter that prune holds -> its plain name and mask buffer."""
    found = {}
    for layer_name, layer in module.named_modules():
        raw = dict(layer.named_parameters(recurse=False))
        for name, buffer in layer.named_buffers(recurse=False):
            own = name.removesuffix(_MASK)
            if name.endswith(_MASK) and own + _RAW in raw:
                found[id(raw[own + _RAW])] = (f"{layer_name}.{own}".lstrip("."), buffer)
    return found


def _tied(name: str, tensors: dict[str, Tensor]) -> list[str]:
    """The other names of a tensor's storage, transposed views included."""

    own = memory_of(tensors[name])
    return [n for n, tensor in tensors.items() if n != name and memory_of(tensor) == own]
