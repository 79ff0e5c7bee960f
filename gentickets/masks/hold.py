"""Hold: keeps pruned weights at zero while an optimizer trains, in our loop or in a user's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from gentickets.effective import steady
from gentickets.errors import Status, TicketError, nearest
from gentickets.spectral import settle
from gentickets.storage import laid_out

from . import stepping
from .blockwise import multiply
from .entry import local, mask_like, memory
from .held import Held, holds_on
from .mask import Mask, plain_name, require_maskable
from .unprunable import require_prunable

_T = TypeVar("_T", bound=Tensor)


def apply_mask(mask: Mask, parameters: Mapping[str, Tensor]) -> None:
    """Multiply weights by a mask once, in place, for the names in both; no copy of the mask is made.

    A product keeps NaN, so that divergence stays visible, and gives -0.0 for pruned negative weights.
    Raises TicketError (status 3) where a shape differs.
    """
    for name, weight in _masked(mask, parameters).items():
        own = local(weight)
        multiply(own.detach(), mask[name].to(weight.device) if own is weight else mask_like(weight, mask[name]))


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


class Holding(RemovableHandle):
    """What `hold` gives back: ``remove()`` lets the weights go, ``check()`` counts pruned weights that are alive.

    Usable wherever PyTorch's handles are, in a ``with`` statement too.
    """

    def __init__(self, held: Sequence[Held], optimizers: Sequence[Optimizer]) -> None:
        super().__init__(OrderedDict())
        self._held, self._optimizers = list(held), list(optimizers)
        names = [held[0].trained_by(optimizers[0]), *(set(one.places) for one in held[1:])]
        for one, own in zip(held, names, strict=True):
            one.claim(id(self), own)
        self._hooks = [optimizer.register_step_post_hook(self._after) for optimizer in optimizers]
        held[0].own.update(optimizers)

    def check(self) -> int:
        """How many pruned weights are not zero, in the module and its averages; NaN counts. Waits for the device."""
        return sum(held.alive() for held in self._held)

    def remove(self) -> None:
        """Hold nothing any more: the optimizer's steps may bring pruned weights back to life."""
        for hook in self._hooks:
            hook.remove()
        for held in self._held:
            held.own.difference_update(self._optimizers)
            held.disclaim(id(self))
        self._held = []

    def _after(self, optimizer: Optimizer, *_: object) -> None:
        module, *averages = self._held
        module.after(optimizer)
        for average in averages:
            average.check()


def hold(mask: Mask, module: nn.Module, optimizer: Optimizer, *, averages: Sequence[nn.Module] = ()) -> Holding:
    """Mask a network now, after every step of an optimizer, and before any forward pass that would see other weights.

        with hold(mask, model, optimizer, averages=[ema]) as handle:
            ...  # any loop
            assert handle.check() == 0

    Names are those of ``module.named_parameters()``; every weight of the mask is zeroed at once, so that even the first
    forward pass is masked. After a step only what that optimizer trains is touched: call `hold` once for each optimizer
    (the two of a GAN). Parameters that are added to the optimizer, replaced or loaded are masked before the module, or
    the part that holds them, is next called or its state taken; deep copies of the module are held by themselves,
    whatever optimizer trains them (`unhold` frees one). ``averages`` are modules of the same names (`AveragedModel`, a
    copy), whose pruned weights are zeroed too. Spectral norms are estimated anew for the masked weights, once (Trap
    11).

    Kept weights train as with masked gradients. Where an optimizer's step of one weight may depend on the gradients of
    others (LBFGS, Muon, Adafactor, all that are not PyTorch's), the gradients of pruned weights are zeroed as well. A
    loop that clips by the gradients' norm counts those of pruned weights, unless it zeroes them itself.

    Raises TicketError (status 3), before anything changes: the module or an average lacks a tensor of the mask, a shape
    differs, a zero of a masked tensor would be no zero of its layer's weight, the optimizer is of another kind than
    PyTorch's, or it trains none of the masked weights.
    """
    optimizers = stepping.wrapped(optimizer)
    modules = [module, *averages]
    named = [_named(mask, one) for one in modules]
    trained = {memory(parameter) for group in optimizers[0].param_groups for parameter in group["params"]}
    if not any(plain_name(name) in mask and memory(weight) in trained for name, weight in named[0].items()):
        message = "the optimizer trains none of the masked weights; was it built from another module's parameters?"
        raise TicketError(message, Status.TICKET)
    held = [_held(mask, one, parameters) for one, parameters in zip(modules, named, strict=True)]
    for one, parameters in zip(modules, named, strict=True):
        apply_mask(mask, parameters)
        steady(one)
        settle(one)
    for each in held:
        each.bind()
        each.note()
    if not all(map(stepping.elementwise, optimizers)):
        held[0].mask_gradients()
    return Holding(held, optimizers)


def _named(mask: Mask, module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a module under all their names, checked."""
    if not isinstance(module, nn.Module):
        raise TicketError(f"averages are modules (AveragedModel, a copy), not {type(module).__name__}", Status.TICKET)
    named = dict(module.named_parameters(remove_duplicate=False))
    plain = {plain_name(name): weight for name, weight in named.items()}
    for name in mask:
        if name not in plain:
            message = f"the module has no parameter '{name}' for the mask. {nearest(name, plain)}"
            raise TicketError(message, Status.TICKET)
    _masked(mask, named)
    require_maskable(module, mask)
    require_prunable(module, mask)
    return named


def _held(mask: Mask, module: nn.Module, named: Mapping[str, nn.Parameter]) -> Held:
    """The Held of this mask on a module, tied tensors included: another optimizer's that is there, or a new one."""
    masked = {
        memory(weight): (weight, mask[plain]) for name, weight in named.items() if (plain := plain_name(name)) in mask
    }
    places = {}
    for name, weight in named.items():
        if (found := masked.get(memory(weight))) is not None:
            first, kept = found
            places[name] = laid_out(kept, first, weight)
    for hook in holds_on(module):
        theirs = hook.held.places
        same = hook.module is module and not hook.path and theirs.keys() == places.keys()
        if same and all(kept is theirs[name] or torch.equal(kept, theirs[name]) for name, kept in places.items()):
            return hook.held
    return Held(places, module)


def _masked(mask: Mask, parameters: Mapping[str, _T]) -> dict[str, _T]:
    """The parameters that a mask names, checked."""
    found = {plain: weight for name, weight in parameters.items() if (plain := plain_name(name)) in mask}
    for name, weight in found.items():
        if weight.shape != mask[name].shape:
            theirs, ours = tuple(weight.shape), tuple(mask[name].shape)
            raise TicketError(f"'{name}' has shape {theirs}, its mask {ours}", Status.TICKET)
    return found
