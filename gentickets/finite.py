"""Which tensors hold finite numbers alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError

_SUMMABLE = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
_SMALL = 4096
"""Numbers of a tensor that is summed together with others: calls cost more than copies there."""


def counts(value: object) -> bool:
    """Whether something can hold an infinity at all: a tensor of floating-point or complex numbers, not empty."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
        return False
    return value.numel() > 0 and (value.is_floating_point() or value.is_complex())


def are_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Whether each tensor (for which `counts` holds) is finite throughout: bools (n,), on their device.

    Exact: finite numbers whose sum or square is too large are finite. An accelerator is not waited for.
    """
    with torch.no_grad():
        plain = [_plain(tensor) for tensor in tensors]
        if all(tensor.is_cpu for tensor in plain):
            return _on_cpu(plain)
        device = next(tensor.device for tensor in plain if not tensor.is_cpu)
        return torch.stack([norm.to(device) for norm in torch._foreach_norm(plain, inf)]).isfinite()


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether `are_finite` all, for tensors on a CPU; much faster where they are."""
    with torch.no_grad():
        plain = [_plain(tensor) for tensor in tensors]
        sums = [tensor.sum() for tensor in plain if tensor.numel() > _SMALL]
        if small := [tensor for tensor in plain if tensor.numel() <= _SMALL]:
            sums.append(torch._C._nn.flatten_dense_tensors(small).sum())
    return bool(torch.stack(sums).isfinite().all()) if sums else True


def infinite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold an infinity or NaN."""
    named = {name: value for name, value in tensors.items() if counts(value)}
    return [name for name, good in zip(named, are_finite(list(named.values())).tolist(), strict=True) if not good]


def refuse_infinite(what: str, tensors: Mapping[str, Tensor], constants: Collection[str] = ()) -> None:
    """Raise TicketError (status 4) naming the first tensor that is not finite and not among the ``constants``."""
    for name in infinite(tensors):
        if name not in constants:
            message = f"diverged: {what} '{name}' holds values that are not finite, which are not stored"
            raise TicketError(message, Status.DIVERGED)


def _on_cpu(tensors: Sequence[Tensor]) -> Tensor:
    """By sums, which are five to forty times faster than other ways; where one is not finite, by its ends."""
    if not tensors:
        return torch.ones(0, dtype=torch.bool)
    found = torch.stack([tensor.sum() for tensor in tensors]).isfinite()
    if not bool(found.all()):
        for place in (~found).nonzero().flatten().tolist():
            found[place] = bool(torch.stack(torch.aminmax(tensors[place])).isfinite().all())
    return found


def _plain(tensor: Tensor) -> Tensor:
    """The numbers of a tensor in a type that can be summed; mostly the tensor itself."""
    if tensor.dtype in _SUMMABLE:
        return tensor
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor.float()
