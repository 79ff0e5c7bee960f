"""Tensors' scores as streams of blocks that fit a cache, in logical order whatever the strides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.seeds import derive

from . import blockwise
from .blockwise import Number
from .kth import Block, Cut, joined
from .mask import Mask

_BLOCK = {"cpu": 1 << 18}
_BLOCK_ELSEWHERE = 1 << 20
"""Entries of a block: about 1 MB on a CPU (its cache), more where starting a kernel is dear."""

Index = tuple[int | slice, ...]


class ScoredTensor:
    """One tensor's scores and what may be kept of them. A weight's position is its index in logical order."""

    def __init__(self, name: str, scores: Tensor, within: Mask, *, magnitude: bool, seed: int) -> None:
        if scores.is_complex() and not magnitude:
            raise TicketError(f"the scores of '{name}' are complex, and complex numbers have no order: give real ones")
        scores = scores.detach().abs() if scores.is_complex() else scores
        self.name = name
        self.size = scores.numel()
        self.kept = within.kept_in(name)
        self.device = scores.device
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

    def pieces(self, buffer: Tensor, count: Iterator[int], wanted: frozenset[int] | None) -> Iterator[Piece]:
        """The tensor's pieces, as numbers of the buffer's dtype, which the next piece may overwrite.

        ``count`` numbers them, and of these ``wanted`` come (None: all). The first whole pass raises
        TicketError (DIVERGED) when a kept weight's score is NaN or infinite.
        """
        for start, index in _spans(tuple(self._scores.shape), buffer.numel(), 0):
            number = next(count)
            if wanted is not None and number not in wanted:
                continue
            scores = self._scores[index]
            numbers = self._numbers(scores, buffer[: scores.numel()])
            kept = None if self.kept == self.size else self._mask[index].reshape(-1)
            if not self._checked:
                self._require_finite(numbers, kept)
            yield Piece(number, self, start, index, numbers, kept)
        self._checked |= wanted is None

    def sample(self, n: int, rng: torch.Generator, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Positions and scores of the kept ones among n random positions."""
        positions = torch.randint(self.size, (n,), generator=rng).to(self.device)
        flat = self._scores.ndim == 1
        where = (positions,) if flat else torch.unravel_index(positions, self._scores.shape)
        if self.kept < self.size:
            chosen = self._mask[where]
            positions, where = positions[chosen], tuple(axis[chosen] for axis in where)
        scores = self._scores[where]
        return positions, self._numbers(scores, torch.empty(scores.shape, dtype=dtype, device=self.device))

    def hashes(self, positions: Tensor) -> Tensor:
        """A hash of each position, int64: the order of equal scores, without duplicates inside a tensor."""
        return blockwise.hashes(positions, self._salt)

    def empty_mask(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """A new mask with the strides and device of ``like``, and the view of it that pieces' indices fit."""
        mask = torch.empty_like(like)
        return mask, mask.view(-1) if self._scores.ndim == 1 else mask

    def _numbers(self, scores: Tensor, buffer: Tensor) -> Tensor:
        """The scores, flat: themselves where they can be read as they are, else a copy in the buffer."""
        if scores.dtype == buffer.dtype and scores.is_contiguous():
            return blockwise.absolute(scores.view(-1), buffer) if self._magnitude else scores.view(-1)
        buffer.view(scores.shape).copy_(scores)
        return blockwise.absolute(buffer, buffer) if self._magnitude else buffer

    def _require_finite(self, numbers: Tensor, kept: Tensor | None) -> None:
        fine = blockwise.finite(numbers)
        if blockwise.count(fine) < numbers.numel() and not torch.all(fine if kept is None else fine | ~kept):
            message = f"'{self.name}' has NaN or infinite scores: the training that gave them has diverged"
            raise TicketError(message, Status.DIVERGED)


@dataclass(frozen=True)
class Piece:
    """A piece of a tensor: number in the group, first position, index, scores, what is kept (None: all)."""

    number: int
    part: ScoredTensor
    start: int
    index: Index
    numbers: Tensor
    kept: Tensor | None

    def equal(self, value: Number) -> Tensor:
        """Places inside the piece of the kept scores that equal a value."""
        return blockwise.places(blockwise.narrow(blockwise.equal(self.numbers, value), self.kept))

    def hashes(self, places: Tensor) -> Tensor:
        """The hashes of places inside the piece."""
        return self.part.hashes(places + self.start)


class Group:
    """Parts that compete, as a stream of scores (see `kth.Stream`)."""

    low: Number = -math.inf
    high: Number = math.inf

    def __init__(self, parts: Sequence[ScoredTensor]) -> None:
        self.parts = [part for part in parts if part.size]
        self.size = sum(part.size for part in parts)
        self.kept = sum(part.kept for part in parts)
        single = all(part.dtype == torch.float32 for part in parts)
        self.dtype = torch.float32 if single else torch.float64
        self._buffers: dict[torch.device, Tensor] = {}

    def pieces(self, wanted: frozenset[int] | None = None) -> Iterator[Piece]:
        """The pieces of all parts, in order, or the ``wanted`` ones by number; one is valid at a time."""
        count = itertools.count()
        for part in self.parts:
            if part.device not in self._buffers:
                length = min(_BLOCK.get(part.device.type, _BLOCK_ELSEWHERE), self.size)
                self._buffers[part.device] = torch.empty(length, dtype=self.dtype, device=part.device)
            yield from part.pieces(self._buffers[part.device], count, wanted)

    def blocks(self) -> Iterator[Block]:
        """All scores."""
        return ((piece.numbers, piece.kept) for piece in self.pieces())

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Scores at random positions, as many from each tensor as its size demands."""
        return joined([part.sample(_share(n, part, self), rng, self.dtype)[1] for part in self.parts])


class Ties:
    """The hashes of a group's positions whose score is the cut's value, as a stream (see `kth.Stream`)."""

    low: Number = -(2**63)
    high: Number = 2**63 - 1

    def __init__(self, group: Group, cut: Cut) -> None:
        self.group, self.cut = group, cut

    def blocks(self) -> Iterator[Block]:
        """All hashes."""
        for piece in self.group.pieces(self.cut.blocks):
            yield piece.hashes(piece.equal(self.cut.value)), None

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Hashes of the tied ones among n random positions."""
        found = []
        for part in self.group.parts:
            positions, numbers = part.sample(_share(n, part, self.group), rng, self.group.dtype)
            found.append(part.hashes(positions[numbers == self.cut.value]))
        return joined(found)


def _share(n: int, part: ScoredTensor, group: Group) -> int:
    return math.ceil(n * part.size / group.size)


def _spans(shape: tuple[int, ...], limit: int, start: int) -> Iterator[tuple[int, Index]]:
    """First positions and indices of pieces of at most ``limit`` entries that make up a tensor in order."""
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
