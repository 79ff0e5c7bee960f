"""The exact k-th largest of many numbers that pass by in blocks, with little memory.

A random sample brackets the k-th value, one pass counts what lies above the bracket and collects what lies inside
it, and the collected few contain the answer. A bracket that misses is known to miss, and the search goes on in the
part that is left, so the result is exact whatever the sample. (Floyd and Rivest, 1975)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SAMPLE = 1 << 16
"""Numbers drawn for a bracket; so few are sorted at once."""
_SIGMAS = 4.0
_FEW = 1 << 3
"""Numbers that are collected together, as one word of the comparison's bytes."""

Number = float | int
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


def kth_largest(stream: Stream, k: int, count: int, rng: torch.Generator) -> Cut:
    """The k-th largest of the ``count`` numbers of a stream, 1 <= k <= count."""
    low, high = stream.low, stream.high
    over, between = 0, count  # numbers at or above `high`; numbers strictly between `low` and `high`
    while True:
        lower, upper = _bracket(stream, low, high, k - over, between, rng)
        top, inside = _scan(stream, lower, upper)
        if top < k <= top + inside.numel():
            return _within(_Collected(inside, lower, upper), k, top, rng)
        if k <= top:
            above = _count_above(stream, upper)
            if k > above:
                return Cut(upper, above, top - above)
            low, between = upper, above - over
        else:
            above = top + inside.numel() if lower < upper else _count_above(stream, lower)
            at_least = above + _count_equal(stream, lower) if lower < upper else top
            if k <= at_least:
                return Cut(lower, above, at_least - above)
            high, over, between = lower, at_least, over + between - at_least


class _Collected:
    """Numbers in memory as a stream."""

    def __init__(self, numbers: Tensor, low: Number, high: Number) -> None:
        self.numbers, self.low, self.high = numbers, low, high

    def blocks(self) -> Iterator[Block]:
        for block in self.numbers.split(4 * SAMPLE):
            yield block, None

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return self.numbers[torch.randint(self.numbers.numel(), (n,), generator=rng).to(self.numbers.device)]


def _bracket(
    stream: Stream, low: Number, high: Number, k: int, between: int, rng: torch.Generator
) -> tuple[Number, Number]:
    """Two values that very likely enclose the k-th largest of the ``between`` numbers inside (low, high)."""
    if between <= SAMPLE:
        return low, high
    drawn = stream.sample(SAMPLE, rng)
    drawn = drawn[(drawn > low) & (drawn < high)].sort(descending=True).values
    n, share = drawn.numel(), (k - 0.5) / between
    slack = _SIGMAS * (n * share * (1 - share)) ** 0.5 + 2
    first, last = int(share * n - slack), int(share * n + slack) + 1
    return drawn[last].item() if last < n else low, drawn[first].item() if first > 0 else high


def _scan(stream: Stream, lower: Number, upper: Number) -> tuple[int, Tensor]:
    """How many numbers are at least ``upper``, and those strictly between the two."""
    top, inside = 0, []
    for numbers, counted in stream.blocks():
        at_least = numbers >= upper
        over = numbers > lower
        if counted is not None:
            at_least &= counted
            over &= counted
        top += int(torch.count_nonzero(at_least))
        if lower < upper:
            inside.append(_select(numbers, over ^ at_least))
        else:
            inside.append(numbers[:0])
    return top, torch.cat([part.to(inside[0].device) for part in inside])


def _select(numbers: Tensor, chosen: Tensor) -> Tensor:
    """``numbers[chosen]`` for a rare choice, in any order: four times faster, as it skips 8 refusals at a time."""
    whole = numbers.numel() // _FEW * _FEW
    words = torch.nonzero(chosen[:whole].view(torch.int64)).squeeze(1)
    near = numbers[:whole].view(-1, _FEW)[words][chosen[:whole].view(-1, _FEW)[words]]
    return torch.cat([near, numbers[whole:][chosen[whole:]]])


def _within(inside: _Collected, k: int, top: int, rng: torch.Generator) -> Cut:
    """The k-th largest, known to be among ``inside``, with ``top`` numbers above all of these."""
    if (count := inside.numbers.numel()) > SAMPLE:
        cut = kth_largest(inside, k - top, count, rng)
        return Cut(cut.value, cut.above + top, cut.tied)
    ordered = inside.numbers.sort(descending=True).values
    value = ordered[k - top - 1].item()
    above = int(torch.count_nonzero(ordered > value))
    return Cut(value, top + above, int(torch.count_nonzero(ordered == value)))


def _count_above(stream: Stream, value: Number) -> int:
    return sum(_count(numbers > value, counted) for numbers, counted in stream.blocks())


def _count_equal(stream: Stream, value: Number) -> int:
    return sum(_count(numbers == value, counted) for numbers, counted in stream.blocks())


def _count(chosen: Tensor, counted: Tensor | None) -> int:
    return int(torch.count_nonzero(chosen if counted is None else chosen & counted))
