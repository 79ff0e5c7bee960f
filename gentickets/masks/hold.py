"""Hold: keeps pruned weights at zero while an optimizer trains, in our loop or in a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gentickets.errors import Status, TicketError, nearest
from gentickets.spectral import settle

from .blockwise import multiply
from .mask import Mask, plain_name, require_maskable
from .names import sharing
from .unprunable import require_prunable

_T = TypeVar("_T", bound=Tensor)


def apply_mask(mask: Mask, parameters: Mapping[str, Tensor]) -> None:
    """Multiply weights by a mask once, in place, for the names in both; no copy of the mask is made.

    A product keeps NaN, so that divergence stays visible, and gives -0.0 for pruned negative weights.
    Raises TicketError (status 3) where a shape differs.
    """
    for name, weight in _masked(mask, parameters).items():
        multiply(weight.detach(), mask[name].to(weight.device))


class Hold:
    """A mask over parameters, ready to be applied after every optimizer step in one fused product.

    Takes the names that are in both mappings, after stripping ``module.`` and ``_orig_mod.``. The masks are
    kept as numbers of each parameter's dtype, device and strides: build the Hold when the network is where it
    will be trained. Raises TicketError (status 3) where a shape differs.
    """

    def __init__(self, mask: Mask, parameters: Mapping[str, nn.Parameter]) -> None:
        held = _masked(mask, parameters)
        self.names = list(held)
        self._weights: list[Tensor] = list(held.values())
        self._masks: list[Tensor] = [
            torch.empty_like(weight, requires_grad=False).copy_(mask[name]) for name, weight in held.items()
        ]

    def apply(self) -> None:
        """Zero the pruned weights, in place. A NaN stays NaN, so divergence stays visible."""
        if self._weights:
            with torch.no_grad():
                torch._foreach_mul_(self._weights, self._masks)


def hold(mask: Mask, module: nn.Module, optimizer: torch.optim.Optimizer) -> RemovableHandle:
    """Mask a network now, and again after every step of an optimizer, in anybody's training loop.

    Names are those of ``module.named_parameters()``; every weight of the mask is zeroed at once, so that even
    the first forward pass is masked. The hook then touches only what this optimizer trains: call `hold` once
    for each optimizer (the two of a GAN). ``remove()`` on the handle that comes back lets the weights go.
    Spectral norms are estimated anew for the masked weights, once (Trap 11).

    Raises TicketError (status 3) when the module lacks a tensor of the mask, when a shape differs, or when
    the optimizer trains none of the masked weights.
    """
    named = {plain_name(name): weight for name, weight in module.named_parameters(remove_duplicate=False)}
    for name in mask:
        if name not in named:
            message = f"the module has no parameter '{name}' for the mask. {nearest(name, named)}"
            raise TicketError(message, Status.TICKET)
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    held = Hold(mask, sharing(named, trained))
    if not held.names:
        message = "the optimizer trains none of the masked weights; was it built from another module's parameters?"
        raise TicketError(message, Status.TICKET)
    require_maskable(module, mask)
    require_prunable(module, mask)
    apply_mask(mask, named)
    settle(module)
    return optimizer.register_step_post_hook(lambda *_: held.apply())


def _masked(mask: Mask, parameters: Mapping[str, _T]) -> dict[str, _T]:
    """The parameters that a mask names, checked."""
    found = {plain: weight for name, weight in parameters.items() if (plain := plain_name(name)) in mask}
    for name, weight in found.items():
        if weight.shape != mask[name].shape:
            theirs, ours = tuple(weight.shape), tuple(mask[name].shape)
            raise TicketError(f"'{name}' has shape {theirs}, its mask {ours}", Status.TICKET)
    return found
