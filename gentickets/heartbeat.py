"""Heartbeat: how far this process has come, for a thread that tells whoever watches over it. Torch-free.

Work that takes long counts its parts as it goes:

    with during("evaluate"):
        for block in images.chunks(256):
            beat()
            ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Process:
    phase: str = "start"
    parts: int = 0


_process = _Process()


def beat() -> None:
    """Count one more part of the work as done: a step, a batch, a block of images."""
    _process.parts += 1


@contextmanager
def during(phase: str) -> Iterator[None]:
    """Inside, the process is in this phase; afterwards in the one before."""
    before, _process.phase = _process.phase, phase
    beat()
    try:
        yield
    finally:
        _process.phase = before
        beat()


def reached() -> tuple[str, int]:
    """The phase, and how many parts of the work are done since the process began; it only grows."""
    return _process.phase, _process.parts
