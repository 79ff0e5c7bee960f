"""The exact k-th largest of many numbers that pass by in blocks, with little memory.

A random sample brackets the k-th value, one pass counts what lies above the bracket and collects what lies
inside it, and the collected few contain the answer. A bracket that misses is known to miss, and the search
goes on in the part that is left, so the result is exact whatever the sample. (Floyd and Rivest, 1975)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from . import blockwise
from .blockwise import Number

SAMPLE = 1 << 16
"""Numbers drawn for a bracket; so few are collected without one."""
_SIGMAS = 4.0
Block = tuple[Tensor, Tensor | None]
"""A flat tensor of numbers, and a bool tensor that says which of them count (None: all)."""


class Stream(Protocol):
    """Numbers that can be passed over several times, and sampled. None of the counted ones is NaN."""

    low: Number
    """Not above any number."""
    high: Number
    """Not below any number."""

    def blocks(self) -> Iterator[Block]:
        """All numbers, block by block."""
        ...

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Those that count among about n random positions."""
        ...


@dataclass(frozen=True)
class Cut:
    """The k-th largest value, how many numbers lie above it, and how many equal it."""

    value: Number
    above: int
    tied: int
    blocks: frozenset[int] | None = None
    """The blocks that hold a number equal to the value, by their order in the stream (None: any may)."""

    def in_block(self, number: int) -> bool:
        """Whether the block of that number may hold the value."""
        return self.blocks is None or number in self.blocks


def kth_largest(stream: Stream, k: int, count: int, rng: torch.Generator) -> Cut:
    """The k-th largest of the ``count`` numbers of a stream, 1 <= k <= count."""
    low, high = stream.low, stream.high
    over, between = 0, count  # numbers at or above `high`; numbers strictly between `low` and `high`
    while True:
        lower, upper = _bracket(stream, low, high, k - over, between, rng)
        top, inside = _scan(stream, lower, upper)
        above = top + sum(part.numel() for part in inside)  # of `lower`, unless the bracket is a single value
        if top < k <= above:
            return _within(inside, k, top)
        if k <= top:
            higher = _count_above(stream, upper)
            if k > higher:
                return Cut(upper, higher, top - higher)
            low, between = upper, higher - over
        else:
            at_least = _count_from(stream, lower)
            if k <= at_least:
                return Cut(lower, above, at_least - above)
            high, over, between = lower, at_least, over + between - at_least


def joined(tensors: list[Tensor]) -> Tensor:
    """The tensors, end to end, on the device of the first."""
    return torch.cat([tensor.to(tensors[0].device) for tensor in tensors])


def _bracket(
    stream: Stream, low: Number, high: Number, k: int, between: int, rng: torch.Generator
) -> tuple[Number, Number]:
    """Two values that very likely enclose the k-th largest of the ``between`` numbers inside (low, high)."""
    if between <= SAMPLE:
        return low, high
    drawn = stream.sample(SAMPLE, rng)
    drawn = blockwise.ordered(drawn[(drawn > low) & (drawn < high)])
    n, share = drawn.numel(), 1 - (k - 0.5) / between
    slack = _SIGMAS * (n * share * (1 - share)) ** 0.5 + 2
    first, last = int(share * n - slack), int(share * n + slack) + 1
    return drawn[first].item() if first > 0 else low, drawn[last].item() if last < n else high


def _scan(stream: Stream, lower: Number, upper: Number) -> tuple[int, list[Tensor]]:
    """How many numbers are at least ``upper``, and those strictly between the two, block by block."""
    top, inside = 0, []
    for numbers, counted in stream.blocks():
        high = blockwise.narrow(blockwise.at_least(numbers, upper), counted)
        top += blockwise.count(high)
        if lower < upper:
            over = blockwise.narrow(blockwise.above(numbers, lower), counted)
            inside.append(blockwise.pick(numbers, blockwise.without(over, high)))
        else:
            inside.append(numbers[:0])
    return top, inside


def _within(inside: list[Tensor], k: int, top: int) -> Cut:
    """The k-th largest, known to be ``inside`` the bracket, with ``top`` numbers above all of these."""
    numbers = joined(inside)
    value = blockwise.largest(numbers, k - top)
    tied = blockwise.places(blockwise.equal(numbers, value)).cpu()
    ends = torch.tensor([part.numel() for part in inside]).cumsum(0)
    blocks = frozenset(torch.bucketize(tied, ends, right=True).tolist())
    return Cut(value, top + blockwise.count(blockwise.above(numbers, value)), tied.numel(), blocks)


def _count_above(stream: Stream, value: Number) -> int:
    return sum(
        blockwise.count(blockwise.narrow(blockwise.above(numbers, value), counted))
        for numbers, counted in stream.blocks()
    )


def _count_from(stream: Stream, value: Number) -> int:
    return sum(
        blockwise.count(blockwise.narrow(blockwise.at_least(numbers, value), counted))
        for numbers, counted in stream.blocks()
    )
