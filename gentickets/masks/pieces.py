"""Tensors' scores as streams of blocks that fit a cache, in logical order whatever the strides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.seeds import derive

from .kth import Block
from .mask import Mask

_BLOCK = {"cpu": 1 << 18}
_BLOCK_ELSEWHERE = 1 << 20
"""Entries of a block: about 1 MB on a CPU (its cache), more where starting a kernel is dear."""

Index = tuple[int | slice, ...]


class Part:
    """One tensor's scores and what may be kept of them. A weight's position is its index in logical order."""

    def __init__(self, name: str, scores: Tensor, within: Mask, *, magnitude: bool, seed: int) -> None:
        self.name = name
        self.size = scores.numel()
        self.kept = within.kept_in(name)
        self._salt = derive(seed, "ties", name)
        self._magnitude = magnitude
        self._checked = False
        mask = within[name].to(scores.device)
        flat = scores.is_contiguous() and mask.is_contiguous()
        self._scores = scores.detach().view(-1) if flat else scores.detach()
        self._mask = mask.view(-1) if flat else mask
        self.dtype = torch.float64
        if scores.dtype in (torch.float16, torch.bfloat16, torch.float32):
            self.dtype = torch.float32

    def blocks(self, dtype: torch.dtype) -> Iterator[tuple[int, Index, Tensor, Tensor | None]]:
        """First position, index, scores and kept entries of each block (None where the tensor is whole).

        The first pass raises TicketError (DIVERGED) when a kept weight's score is NaN or infinite.
        """
        limit = _BLOCK.get(self._scores.device.type, _BLOCK_ELSEWHERE)
        for start, index in _spans(tuple(self._scores.shape), limit, 0):
            numbers = self._numbers(self._scores[index].reshape(-1), dtype)
            kept = None if self.kept == self.size else self._mask[index].reshape(-1)
            if not self._checked:
                self._require_finite(numbers, kept)
            yield start, index, numbers, kept
        self._checked = True

    def sample(self, n: int, rng: torch.Generator, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Positions and scores of the kept ones among n random positions."""
        positions = torch.randint(self.size, (n,), generator=rng).to(self._scores.device)
        where = torch.unravel_index(positions, self._scores.shape)
        if self.kept < self.size:
            chosen = self._mask[where]
            positions, where = positions[chosen], tuple(axis[chosen] for axis in where)
        return positions, self._numbers(self._scores[where], dtype)

    def hashes(self, positions: Tensor) -> Tensor:
        """A hash of each position, int64: the order of equal scores, without duplicates inside a tensor."""
        return _splitmix(positions, self._salt)

    def empty_mask(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """A new mask tensor with the strides and device of ``like``, and the view that `blocks`' indices fit."""
        mask = torch.empty_like(like)
        return mask, mask.view(-1) if self._scores.ndim == 1 else mask

    def _numbers(self, scores: Tensor, dtype: torch.dtype) -> Tensor:
        return scores.to(dtype).abs() if self._magnitude else scores.to(dtype)

    def _require_finite(self, numbers: Tensor, kept: Tensor | None) -> None:
        if math.isfinite(numbers.sum().item()):  # a sum may overflow, but never hides a NaN or an infinity
            return
        bad = numbers.isfinite().logical_not_()
        if count := int(torch.count_nonzero(bad if kept is None else bad & kept)):
            message = (
                f"'{self.name}' has NaN or infinite scores ({count} in one block): the training diverged"
            )
            raise TicketError(message, Status.DIVERGED)


class Group:
    """Parts that compete, as a stream of scores (see `kth.Stream`)."""

    low, high = -math.inf, math.inf

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = [part for part in parts if part.size]
        self.size = sum(part.size for part in parts)
        self.kept = sum(part.kept for part in parts)
        self.dtype = torch.float64
        if all(part.dtype == torch.float32 for part in parts):
            self.dtype = torch.float32

    def blocks(self) -> Iterator[Block]:
        """All scores."""
        for part in self.parts:
            for _, _, numbers, kept in part.blocks(self.dtype):
                yield numbers, kept

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Scores at random positions, as many from each tensor as its size demands."""
        return _joined([part.sample(_share(n, part, self), rng, self.dtype)[1] for part in self.parts])


class Ties:
    """The hashes of all positions in a group whose score is ``value``, as a stream (see `kth.Stream`)."""

    low, high = -(2**63), 2**63 - 1

    def __init__(self, group: Group, value: float) -> None:
        self.group, self.value = group, value

    def blocks(self) -> Iterator[Block]:
        """All hashes."""
        for part in self.group.parts:
            for start, _, numbers, kept in part.blocks(self.group.dtype):
                tied = numbers == self.value
                yield (
                    part.hashes(torch.nonzero(tied if kept is None else tied & kept).squeeze(1) + start),
                    None,
                )

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Hashes of the tied ones among n random positions."""
        found = []
        for part in self.group.parts:
            positions, numbers = part.sample(_share(n, part, self.group), rng, self.group.dtype)
            found.append(part.hashes(positions[numbers == self.value]))
        return _joined(found)


def _share(n: int, part: Part, group: Group) -> int:
    return math.ceil(n * part.size / group.size)


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.to(tensors[0].device) for tensor in tensors])


def _spans(shape: tuple[int, ...], limit: int, start: int) -> Iterator[tuple[int, Index]]:
    """Indices that cut a tensor into pieces of at most ``limit`` entries, in logical order, with first positions."""
    if not shape:
        yield start, ()
        return
    row = math.prod(shape[1:])
    if row > limit:
        for i in range(shape[0]):
            for first, rest in _spans(shape[1:], limit, start + i * row):
                yield first, (i, *rest)
        return
    step = limit // max(1, row)
    for first in range(0, shape[0], step):
        yield start + first * row, (slice(first, first + step),)


def _splitmix(positions: Tensor, salt: int) -> Tensor:
    """SplitMix64's output for each position: a bijection of 64-bit integers. (Steele et al., 2014)"""
    x = positions * _signed(0x9E3779B97F4A7C15) + salt
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A right shift that brings in zeros; torch's own copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
