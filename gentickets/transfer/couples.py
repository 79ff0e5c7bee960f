"""Couples: the layers of two sides put side by side, by name or in order; who has no partner stands alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TypeVar

from .sides import Layer

T = TypeVar("T")
Couple = tuple[T | None, T | None]
"""Of the source, of the target: at least one of the two is there."""


def by_name(ours: Sequence[Layer], theirs: Sequence[Layer]) -> list[Couple[Layer]]:
    """Layers with the same path below the routed modules."""
    here = {layer.inner: layer for layer in ours}
    there = {layer.inner: layer for layer in theirs}
    couples: list[Couple[Layer]] = [(here.get(inner), layer) for inner, layer in there.items()]
    return couples + [(layer, None) for inner, layer in here.items() if inner not in there]


def in_order(ours: Sequence[Layer], theirs: Sequence[Layer]) -> list[Couple[Layer]]:
    """The i-th with the i-th, whatever they are."""
    return list(zip_longest(ours, theirs))


def longest(
    ours: Sequence[T], theirs: Sequence[T], fit: Callable[[T, T], bool], same: Callable[[T, T], bool]
) -> list[Couple[T]]:
    """The longest common run in order of things that fit (gaps allowed: a longest common subsequence).

    Of several equally long ones that with the most couples that are also the ``same``; then that which starts first.
    """
    best = [[(0, 0)] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in reversed(range(len(ours))):
        for j in reversed(range(len(theirs))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if fit(ours[i], theirs[j]):
                best[i][j] = max(best[i][j], _with(best[i + 1][j + 1], same(ours[i], theirs[j])))
    couples: list[Couple[T]] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        together = fit(ours[i], theirs[j])
        if together and best[i][j] == _with(best[i + 1][j + 1], same(ours[i], theirs[j])):
            couples.append((ours[i], theirs[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            couples.append((ours[i], None))
            i += 1
        else:
            couples.append((None, theirs[j]))
            j += 1
    return couples + [(one, None) for one in ours[i:]] + [(None, one) for one in theirs[j:]]


def _with(rest: tuple[int, int], same: bool) -> tuple[int, int]:
    return rest[0] + 1, rest[1] + int(same)
