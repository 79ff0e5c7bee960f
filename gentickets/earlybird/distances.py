"""How far two masks are from each other: Hamming's distance, and the same in units of what chance would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gentickets.masks import Mask, component_of

Bytes = NDArray[np.uint8]
POOL = "all"
"""What the pooled components are called."""
_ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)


@dataclass(frozen=True)
class Packed:
    """The mask of one component in an eighth of its memory, so that a queue of masks of millions is small and fast."""

    bits: Bytes
    """Eight entries to a byte, tensor after tensor in the order of their names; the last byte is filled with zeros."""
    size: int
    kept: int

    @property
    def density(self) -> float:
        """Kept fraction."""
        return self.kept / self.size if self.size else 1.0


def members(names: Iterable[str], pooled: bool) -> dict[str, list[str]]:
    """Component -> the names of its tensors, sorted; ``pooled``: one component of all."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(POOL if pooled else component_of(name), []).append(name)
    return found


def packed(mask: Mask, *, pooled: bool = False) -> dict[str, Packed]:
    """The mask by component, packed."""
    return {component: _pack(mask, names) for component, names in members(mask, pooled).items()}


def _pack(mask: Mapping[str, Tensor], names: Iterable[str]) -> Packed:
    entries = np.concatenate([mask[name].cpu().contiguous().numpy().reshape(-1) for name in names])
    return with_bits(np.packbits(entries), entries.size)


def with_bits(bits: Bytes, size: int) -> Packed:
    """A mask of ``size`` entries from its bits."""
    return Packed(bits, size, _ones(bits))


def _ones(bits: Bytes) -> int:
    return int(_ONES[bits].sum(dtype=np.int64))


def hamming(one: Packed, other: Packed) -> float:
    """The fraction of entries on which two masks of a component differ."""
    return _ones(one.bits ^ other.bits) / one.size if one.size else 0.0


def corrected(one: Packed, other: Packed) -> float:
    """Hamming's distance over that of independent masks of the same densities: 0 is equal, 1 is chance.

    With both at sparsity s that is distance / (2 s (1 - s)) (Trap 19). Masks that keep all or nothing are equal.
    """
    p, q = one.density, other.density
    chance = p * (1 - q) + q * (1 - p)
    return hamming(one, other) / chance if chance else 0.0
