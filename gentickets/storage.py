"""Storage: what memory a tensor covers. Masks, states, tickets, averages and files all ask here.

Two tensors are *tied* where they cover the same numbers, in whatever shape and order: one parameter under two names, a
transpose, another view. Then one name stands for both. Where they share some numbers only, they overlap, and no mask
could hold in one of them without the other knowing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

Runs = tuple[tuple[int, int], ...]
"""(size, stride) of each dimension, from the widest stride to the narrowest; dense dimensions are one."""

_LAZY = (UninitializedParameter, UninitializedBuffer)
LAZY = "has no shape yet, as its layer is lazy: run one batch through the network first"
"""What to say of what `lazy_in` finds."""


def memory_of(tensor: Tensor) -> Hashable:
    """What tensors that cover the same numbers have in common, and no others; an empty tensor covers none.

    Where the numbers begin, their kind, and how they are spread: a transpose has the same memory, a slice has not.
    Works on every device, ``meta`` too, and costs nothing by size.
    """
    if not tensor.numel():
        return "empty", id(tensor)
    return *_start(tensor), tensor.dtype, _runs(tensor)


def repeats(tensor: Tensor) -> bool:
    """Whether some numbers stand at several places of the tensor, as `expand` makes it: it cannot be masked."""
    return bool(tensor.numel()) and any(stride == 0 for _, stride in _runs(tensor))


def overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors share numbers at all."""
    if not one.numel() or not other.numel():
        return False
    (space, first), (their_space, their_first) = _start(one), _start(other)
    if space != their_space or first + _bytes(one) <= their_first or their_first + _bytes(other) <= first:
        return False
    if one.dtype != other.dtype:
        return True  # views of other kinds of number, which nobody masks
    return bool(torch.isin(_places(one, first), _places(other, their_first)).any())


def overlapping(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose tensors share numbers without being tied."""
    spread = [
        (str(space), first, first + _bytes(tensor), name)
        for name, tensor in tensors.items()
        if tensor.numel() and tensor.layout == torch.strided
        for space, first in [_start(tensor)]
    ]
    spread.sort()
    for place, (space, _, end, name) in enumerate(spread):
        for their_space, their_first, _, other in spread[place + 1 :]:
            if their_space != space or their_first >= end:
                break
            one, two = tensors[name], tensors[other]
            if memory_of(one) != memory_of(two) and overlap(one, two):
                yield name, other


def laid_out(values: Tensor, given: Tensor, wanted: Tensor) -> Tensor:
    """Values of one tensor's entries in the layout of another on the same memory: of a transpose, transposed back."""
    if given.shape == wanted.shape and given.stride() == wanted.stride():
        return values
    own = torch.empty_strided(given.shape, given.stride(), dtype=values.dtype, device=values.device)
    return own.copy_(values).as_strided(wanted.shape, wanted.stride())


def lazy_in(module: nn.Module) -> str | None:
    """The name of a tensor whose lazy layer has not seen a batch yet, so that it has no shape; None where all have."""
    named = chain(module.named_parameters(), module.named_buffers())
    return next((name for name, tensor in named if isinstance(tensor, _LAZY)), None)


@contextmanager
def ties_kept(module: nn.Module) -> Iterator[None]:
    """Inside, a module may be moved or converted (``module.to(...)``); parameters share memory afterwards as before.

    PyTorch gives each parameter object memory of its own then, so that the transpose of a weight would be untied.
    """
    shared = [[(one, one.detach()) for one in several] for several in _sharing(module.parameters())]
    yield
    for several in shared:
        like, old = several[0]
        if like.device != old.device or like.dtype != old.dtype:
            _tie([one for one, _ in several], [before for _, before in several], like)
        else:
            for one, before in several:
                one.data = before


def tie_copies(originals: list[Tensor], copies: list[Tensor]) -> None:
    """Let copies of tensors share memory as the originals do, copy by copy; `copy.deepcopy` parts parameters."""
    place = {id(original): number for number, original in enumerate(originals)}
    for several in _sharing(originals):
        made = [copies[place[id(one)]] for one in several]
        _tie(made, several, made[0])


def _tie(tensors: list[Tensor], views: list[Tensor], like: Tensor) -> None:
    """Give tensors a new memory, shared as that of some views is, in the place and kind of number of ``like``."""
    storage = views[0].untyped_storage()
    whole = torch.empty(0, dtype=views[0].dtype, device=views[0].device).set_(storage)
    moved = whole.detach().clone().to(like.device, like.dtype)
    for tensor, view in zip(tensors, views, strict=True):
        tensor.data = moved.as_strided(view.shape, view.stride(), view.storage_offset())


def _sharing(tensors: Iterator[nn.Parameter] | list[Tensor]) -> list[list[Tensor]]:
    """The tensors that lie in a storage with others, storage by storage."""
    found: dict[Hashable, list[Tensor]] = {}
    for tensor in {id(one): one for one in tensors}.values():
        if tensor.numel() and tensor.layout == torch.strided:
            found.setdefault((tensor.untyped_storage()._cdata, tensor.dtype), []).append(tensor)
    return [several for several in found.values() if len(several) > 1]


def _start(tensor: Tensor) -> tuple[Hashable, int]:
    """Where a tensor lies, and the first of its bytes there."""
    if address := tensor.data_ptr():
        return tensor.device, address
    return tensor.untyped_storage()._cdata, int(tensor.storage_offset()) * tensor.element_size()


def _bytes(tensor: Tensor) -> int:
    """From the first byte to behind the last one."""
    last = sum((size - 1) * stride for size, stride in _runs(tensor))
    return (last + 1) * tensor.element_size()


def _runs(tensor: Tensor) -> Runs:
    dims = sorted(zip(tensor.stride(), tensor.shape, strict=True), reverse=True)
    runs: list[tuple[int, int]] = []
    for stride, size in dims:
        if size == 1:
            continue
        if runs and stride and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    return tuple(runs)


def _places(tensor: Tensor, first: int) -> Tensor:
    """The address of every number."""
    places = torch.full((1,), first)
    for size, stride in _runs(tensor):
        places = (places[:, None] + torch.arange(size) * (stride * tensor.element_size())).flatten()
    return places
