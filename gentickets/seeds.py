"""Seeds that follow from names and numbers, so that a step is a function of its number."""

from __future__ import annotations

import hashlib


def derive(seed: int, *parts: str | int) -> int:
    """A 63-bit seed for one purpose, independent of every other (seed, parts).

    The same arguments give the same seed on every machine and in every process: BLAKE2 of their text.
    """
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
