"""Entry: one held weight, and what can be asked of it without waiting for a device."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gentickets.storage import laid_out, memory_of

_ASKED = 8


@dataclass(eq=False)
class HeldWeight:
    """A parameter of a module with its mask, and what it was when it was last masked."""

    name: str
    owner: nn.Module
    key: str
    weight: Tensor
    kept: Tensor
    source: HeldWeight | None = None
    """The held weight on whose memory this parameter lies, under another name or as a transpose: it is masked there."""
    seen: tuple[int, int] | None = None
    probe: Probe | None = None
    gradient_hook: RemovableHandle | None = field(default=None, repr=False)
    _numbers: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.sharded = local(self.weight) is not self.weight

    @property
    def numbers(self) -> Tensor:
        """The mask as numbers of the weight's dtype and strides, of this process's part; made when first asked for."""
        if self._numbers is None:
            self._numbers = mask_like(self.weight, self.kept)
        return self._numbers

    def replaced(self) -> bool:
        """Whether another parameter stands in its place; what is lent for one forward pass is none.

        That is a plain tensor (`torch.func.functional_call`) or a gathered shard (FSDP).
        """
        now = self.owner._parameters.get(self.key)
        if now is self.weight:
            return False
        lent = now is not None and not isinstance(now, nn.Parameter)
        return not lent and not (local(self.weight) is not self.weight and local(now) is now)

    def moved(self) -> bool:
        """Whether something may have written to the weight since it was last masked."""
        own = local(self.weight) if self.sharded else self.weight
        return self.seen != (_version(own), own.data_ptr()) or (self.probe is not None and self.probe.alive())

    def note(self) -> None:
        """Remember the weight as it is now: masked."""
        own = local(self.weight) if self.sharded else self.weight
        place = own.data_ptr()
        if self.seen is None or self.seen[1] != place:
            self.probe = Probe.of(own, self.kept)
        self.seen = _version(own), place

    def alive(self) -> int:
        """How many pruned weights are not zero; NaN is not."""
        return int(torch.count_nonzero(local(self.weight).detach()[self.numbers == 0]))

    def mask_gradient(self) -> None:
        """Zero the gradient of pruned weights, unless it is sparse."""
        _mask_gradient(self.numbers, self.weight)

    def watch_gradient(self) -> None:
        """Zero it from now on as soon as it is there."""
        if self.gradient_hook is None and self.weight.requires_grad and self.weight.is_leaf:
            hook = partial(_mask_gradient, self.numbers)  # not of this entry: no garbage collector sees through tensors
            self.gradient_hook = self.weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]

    def let_go(self) -> None:
        """Leave the gradient alone."""
        if self.gradient_hook is not None:
            self.gradient_hook.remove()
            self.gradient_hook = None


class Probe:
    """A few pruned numbers of a weight in the CPU's memory: writes through ``.data`` are counted nowhere."""

    def __init__(self, numbers: np.ndarray[Any, Any], places: list[int]) -> None:
        self.numbers, self.places = numbers, places

    @staticmethod
    def of(weight: Tensor, kept: Tensor) -> Probe | None:
        """A probe, where NumPy can look at the weight and something of it is pruned."""
        if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
            return None
        if weight.shape != kept.shape or bool(kept.all()):
            return None
        pruned = np.flatnonzero(~kept.cpu().numpy())
        return Probe(weight.detach().numpy(), pruned[np.linspace(0, len(pruned) - 1, _ASKED).astype(int)].tolist())

    def alive(self) -> bool:
        """Whether one of them is not zero."""
        return any(map(self.numbers.item, self.places))


def local(tensor: Any) -> Any:
    """The part of a tensor that lies in this process: of a DTensor its shard, else the tensor."""
    return getattr(tensor, "_local_tensor", tensor)


def mask_like(weight: Tensor, kept: Tensor) -> Tensor:
    """A bool mask as numbers of a weight's dtype, device and strides; of a DTensor, those of its shard."""
    own = local(weight)
    if own is not weight:
        from torch.distributed.tensor import distribute_tensor

        sharded: Any = weight
        kept = kept.to(own.device)
        kept = local(distribute_tensor(kept, sharded.device_mesh, sharded.placements, src_data_rank=None))
    numbers: Tensor = torch.empty_like(own, requires_grad=False).copy_(kept)
    return numbers


def memory(tensor: Tensor) -> Hashable:
    """What tied tensors have in common (see `storage.memory_of`), of DTensors their shards."""
    return memory_of(local(tensor))


def twins(root: nn.Module, entries: Sequence[HeldWeight]) -> Iterator[HeldWeight]:
    """Other places of a module where a held weight stands, or a parameter on its memory, its mask laid out for it."""
    held = {memory(entry.weight): entry for entry in entries if entry.source is None}
    known = {(id(entry.owner), entry.key) for entry in entries}
    for path, part in root.named_modules():
        for key, parameter in part._parameters.items():
            if parameter is None or (id(part), key) in known or isinstance(parameter, nn.UninitializedParameter):
                continue
            source = held.get(memory(parameter))
            if source is not None:
                kept = laid_out(source.kept, source.weight, parameter)
                yield HeldWeight(f"{path}.{key}".lstrip("."), part, key, parameter, kept, source)


def _mask_gradient(numbers: Tensor, weight: Tensor) -> None:
    gradient = weight.grad
    if gradient is not None and gradient.layout == torch.strided:
        local(gradient).detach().mul_(numbers)


def _version(tensor: Tensor) -> int:
    """Autograd's count of writes to a tensor; fused steps are not counted, nor is what goes through ``.data``."""
    return -1 if tensor.is_inference() else tensor._version
