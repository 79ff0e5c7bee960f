"""Overlap: images of one split that stand in another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gentickets.data.images import Images

AT_ONCE = 4096
"""Images whose pixels are looked at together."""


def shared(seen: Images, others: Images) -> int:
    """How many of ``others`` are, pixel for pixel, among those ``seen``; 0 for images of another shape."""
    if seen.shape != others.shape:
        return 0
    known = set(_names(seen))
    return sum(name in known for name in _names(others))


def _names(images: Images) -> Iterator[bytes]:
    for chunk in images.chunks(AT_ONCE):
        for row in chunk.cpu().contiguous().numpy():
            yield hashlib.blake2b(row.data, digest_size=16).digest()
