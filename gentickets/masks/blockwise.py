"""What a pass over blocks does again and again: NumPy on the CPU, torch elsewhere.

NumPy compares and counts ten times as fast as torch does with one thread, and no thread pool can stall it.
Tensors share their memory with the arrays. They are flat, contiguous and need no gradient, unless a function
says otherwise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Number = float | int

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _by_numpy(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def above(numbers: Tensor, value: Number, out: Tensor | None = None) -> Tensor:
    """``numbers > value``, into ``out`` if given."""
    if not _by_numpy(numbers):
        return torch.gt(numbers, value, out=out)
    return torch.from_numpy(np.greater(numbers.numpy(), value, out=None if out is None else out.numpy()))


def at_least(numbers: Tensor, value: Number, out: Tensor | None = None) -> Tensor:
    """``numbers >= value``, into ``out`` if given."""
    if not _by_numpy(numbers):
        return torch.ge(numbers, value, out=out)
    return torch.from_numpy(np.greater_equal(numbers.numpy(), value, out=None if out is None else out.numpy()))


def equal(numbers: Tensor, value: Number) -> Tensor:
    """``numbers == value``."""
    if not _by_numpy(numbers):
        return torch.eq(numbers, value)
    return torch.from_numpy(np.equal(numbers.numpy(), value))


def absolute(numbers: Tensor, out: Tensor) -> Tensor:
    """``|numbers|`` in ``out``, which may be the numbers themselves."""
    if not _by_numpy(numbers):
        return torch.abs(numbers, out=out)
    np.abs(numbers.numpy(), out=out.numpy())
    return out


def ordered(numbers: Tensor) -> Tensor:
    """The numbers from small to large, a copy."""
    if not _by_numpy(numbers):
        return numbers.sort().values
    return torch.from_numpy(np.sort(numbers.numpy()))


def largest(numbers: Tensor, k: int) -> Number:
    """The k-th largest of numbers in memory."""
    if not _by_numpy(numbers):
        return ordered(numbers)[-k].item()
    found: Number = np.partition(numbers.numpy(), numbers.numel() - k)[-k].item()
    return found


def multiply(weights: Tensor, mask: Tensor) -> None:
    """``weights *= mask``, in place, for any shape and strides; autograd is told that they changed."""
    if not _by_numpy(weights) or weights.dtype not in (torch.float32, torch.float64):
        weights.mul_(mask)
        return
    array = weights.numpy()
    np.multiply(array, mask.numpy(), out=array)
    torch.autograd.graph.increment_version(weights)


def narrow(mask: Tensor, counted: Tensor | None) -> Tensor:
    """``mask & counted``, in place; None means that all count."""
    if counted is None:
        return mask
    if not _by_numpy(mask):
        return mask.logical_and_(counted)
    np.logical_and(mask.numpy(), counted.numpy(), out=mask.numpy())
    return mask


def without(mask: Tensor, part: Tensor) -> Tensor:
    """The mask less a part of it, in place."""
    if not _by_numpy(mask):
        return mask.logical_xor_(part)
    np.not_equal(mask.numpy(), part.numpy(), out=mask.numpy())
    return mask


def count(mask: Tensor) -> int:
    """How many are True."""
    if not _by_numpy(mask):
        return int(torch.count_nonzero(mask))
    return int(np.count_nonzero(mask.numpy()))


def pick(numbers: Tensor, mask: Tensor) -> Tensor:
    """``numbers[mask]``, a copy."""
    if not _by_numpy(numbers):
        return numbers[mask]
    return torch.from_numpy(numbers.numpy()[mask.numpy()])


def places(mask: Tensor) -> Tensor:
    """Where it is True, int64."""
    if not _by_numpy(mask):
        return torch.nonzero(mask).squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def finite(numbers: Tensor) -> Tensor:
    """Which are neither NaN nor infinite."""
    if not _by_numpy(numbers):
        return torch.isfinite(numbers)
    return torch.from_numpy(np.isfinite(numbers.numpy()))


def put(mask: Tensor, places: Tensor, values: Tensor) -> None:
    """``mask[places] = values``."""
    if not _by_numpy(mask):
        mask[places] = values
    else:
        mask.numpy()[places.numpy()] = values.numpy()


def hashes(positions: Tensor, salt: int) -> Tensor:
    """SplitMix64's output for each position, int64: a bijection of 64-bit integers. (Steele et al., 2014)"""
    if _by_numpy(positions):
        words = positions.numpy().view(np.uint64) * np.uint64(_STEP)
        words += np.uint64(salt)
        for bits, factor in ((30, _FIRST), (27, _SECOND)):
            words ^= words >> np.uint64(bits)
            words *= np.uint64(factor)
        words ^= words >> np.uint64(31)
        return torch.from_numpy(words.view(np.int64))
    x = positions * _signed(_STEP) + salt
    x = (x ^ _shifted(x, 30)) * _signed(_FIRST)
    x = (x ^ _shifted(x, 27)) * _signed(_SECOND)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A right shift that brings in zeros; torch's own copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
