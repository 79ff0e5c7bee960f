"""Hold: keeps pruned weights at zero while an optimizer trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest

from .mask import Mask, plain_name


class Hold:
    """A mask over parameters, ready to be applied after every optimizer step."""

    def __init__(self, mask: Mask, parameters: Mapping[str, nn.Parameter]) -> None:
        names = [name for name in parameters if name in mask]
        self._weights: list[Tensor] = [parameters[name].detach() for name in names]
        self._masks = [
            torch.empty_like(weight).copy_(mask[name])
            for name, weight in zip(names, self._weights, strict=True)
        ]

    def apply(self) -> None:
        """Multiply the weights by the mask, in place."""
        if self._weights:
            with torch.no_grad():
                torch._foreach_mul_(self._weights, self._masks)


class Held:
    """What `hold` returns."""

    def __init__(self, hold: Hold, handle: Any) -> None:
        self._hold = hold
        self._handle = handle

    def remove(self) -> None:
        """Stop masking after steps."""
        self._handle.remove()


def hold(mask: Mask, module: nn.Module, optimizer: torch.optim.Optimizer) -> Held:
    """Quick version."""
    named = {plain_name(name): parameter for name, parameter in module.named_parameters()}
    for name in mask:
        if name not in named:
            raise TicketError(f"the module has no parameter '{name}'. {nearest(name, named)}", Status.TICKET)
    Hold(mask, named).apply()
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    mine = Hold(mask, {name: p for name, p in named.items() if id(p) in own})
    return Held(mine, optimizer.register_step_post_hook(lambda *_: mine.apply()))
