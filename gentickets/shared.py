"""Shared: work that is done once for many rounds, by whoever comes first. It stands on no round's bill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_inside = 0


@contextmanager
def on_no_bill() -> Iterator[None]:
    """Inside, no FLOPs are counted: the bill of a round must not depend on who came first.

    For whatever a process remembers and would else compute again: statistics of the real images, the classifier of
    the data. Seconds are booked as always: they are of a run, with whatever happened in it.
    """
    global _inside
    _inside += 1
    try:
        yield
    finally:
        _inside -= 1


def billed() -> bool:
    """Whether work that is done now stands on a bill."""
    return _inside == 0
