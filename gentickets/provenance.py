"""Provenance: the sentence beside a number that says how it was measured, and whether two numbers compare.

Torch-free, so that reports can ask.
"""

from __future__ import annotations

SEPARATOR = "; "
REMARKS = ("floor ", "unreliable")
"""Parts that begin so describe a measurement; all others define it."""


def provenance(*parts: str | None) -> str:
    """One sentence of the parts that there are, e.g. ``features a; N = 5 samples against 9 test images``."""
    return SEPARATOR.join(part for part in parts if part)


def comparable(one: str, other: str) -> bool:
    """Whether two numbers of one figure may stand in one column, by their provenance.

    They do when everything that defines the measurement is the same: features and their hash, N of both sides, split,
    latents, mode of batch norm, averaged weights. Floors and remarks follow from these and do not count.
    """
    return _definition(one) == _definition(other)


def _definition(told: str) -> frozenset[str]:
    parts = (part.strip() for part in told.split(SEPARATOR))
    return frozenset(part for part in parts if part and not part.startswith(REMARKS))
