"""The record: every test that a verdict rests on, so that a reader recomputes it with SciPy's t distribution alone.

A part is shown where its smallest repeated p-value times ``factor`` is at most ``size``; that is the same as: at some
analysis its p-value is at most that analysis' entry of ``sizes``. A verdict of praise needs all of its parts shown, one
of blame needs one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.statistics.evidence import Evidence
from gentickets.statistics.tree import EQUAL_STEPS, HEAD_START, MATCHES, NO_BETTER, WINS, WORSE, Judgement, Terms

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One test of one level."""

    verdict: str
    """The verdict that it is a part of."""
    arm: str
    """``dense``, or the control's name."""
    longer: bool
    """Whether it is of the longer trained arms."""
    p: tuple[float, ...]
    """One-sided, at each analysis so far."""
    repeated: float
    """Over the analyses so far, before Bonferroni's factor."""
    factor: int
    """Bonferroni's: how many tests could each have shown this verdict; 1 for praise, where all must."""
    size: float
    """At which the repeated p-value times the factor is tested: the level's part of alpha."""
    sizes: tuple[float, ...]
    """At which the test itself is made at each analysis so far."""
    shown: bool


def parts(judgement: Judgement, place: int) -> list[Part]:
    """All tests of level ``place`` of a single judgement (no leading axes), in the order of the tree."""
    level, terms = judgement.levels[place], judgement.terms
    praise, blame = float(judgement.praise[..., place]), float(judgement.blame[place])
    count = len(level.opponents)
    found = [_part(MATCHES, "dense", level.within, 1, praise, terms)]
    found += [_part(WORSE, "dense", level.worse, 1, blame, terms)]
    found += _controls(EQUAL_STEPS, level.ahead, 1, praise, terms)
    found += _controls(NO_BETTER, level.behind, count, blame, terms)
    if place == judgement.declared and judgement.longer is not None:
        found += _of_longer(judgement.longer, praise, blame, terms)
    return found


def _of_longer(longer: Evidence, praise: float, blame: float, terms: Terms) -> list[Part]:
    count = len(longer.opponents) + 1
    found = [_part(WINS, "dense", longer.within, 1, praise, terms, longer=True)]
    found += _controls(WINS, longer.ahead, 1, praise, terms, longer=True)
    found += [_part(HEAD_START, "dense", longer.worse, count, blame, terms, longer=True)]
    return found + _controls(HEAD_START, longer.behind, count, blame, terms, longer=True)


def _controls(
    verdict: str, tests: Mapping[str, Array], factor: int, size: float, terms: Terms, longer: bool = False
) -> list[Part]:
    return [_part(verdict, name, p, factor, size, terms, longer=longer) for name, p in tests.items()]


def _part(verdict: str, arm: str, p: Array, factor: int, size: float, terms: Terms, *, longer: bool = False) -> Part:
    repeated = float(terms.plan.repeated(p))
    sizes = terms.plan.nominal(size / factor)[: p.shape[-1]]
    return Part(
        verdict=verdict,
        arm=arm,
        longer=longer,
        p=tuple(p.tolist()),
        repeated=repeated,
        factor=factor,
        size=size,
        sizes=tuple(sizes.tolist()),
        shown=factor * repeated <= size,
    )
