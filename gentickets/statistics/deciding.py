"""Deciding: from what each level shows to its word, with the chance of any false WINS kept at most alpha.

A level's claim to win is an intersection-union test (Berger, 1982): all of its parts must be shown, each at the same
size, so that several controls need no correction. Over the levels Holm's (1979) correction holds the chance of any
false WINS. Where the declared level was also trained longer, that is a part of its claim like the others. The other
levels are corrected together with that whole claim: corrected with its win at equal steps, a true one of those would
leave more of alpha to them while the whole claim may be false besides: half as much again of alpha at two levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.statistics.paired import holm, holm_sizes
from gentickets.statistics.shown import Shown

Array = NDArray[np.float64]
Words = NDArray[np.str_]

WINS = "WINS"
EQUAL_STEPS = "WINS AT EQUAL STEPS"
"""Longer training was not tried, or does not tell yet."""
FASTER = "FASTER"
MATCHES = "MATCHES"
HOLDS = "HOLDS"
"""Not worse than dense, and there are no controls to ask more of."""
LOSES = "LOSES"
UNDECIDED = "UNDECIDED"
WORDS = (WINS, EQUAL_STEPS, FASTER, MATCHES, HOLDS, LOSES, UNDECIDED)
LEAST_SEEDS = 3
"""With fewer, nothing is decided."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of single tests: arrays (..., levels). What they show together is the level's word."""

    holds: Array
    """Against the dense model."""
    equal: Array
    """Against the controls, at equal steps."""
    longer: Array
    """Against everything, trained longer."""


@dataclass(frozen=True)
class Decided:
    """Words and adjusted p-values of all levels: arrays (..., levels)."""

    words: Words
    wins: Array
    """Holm's p-values of WINS, or of a win at equal steps where nothing was trained longer."""
    equal: Array
    """Those that a win at equal steps is judged by: beside a longer trained level, the others' are those above."""
    holds: Array
    """Those of being no worse than dense."""
    sizes: Sizes
    """At which sizes that tests the levels' parts, so that they can be told one by one."""


def decide(levels: Sequence[Shown], alpha: float, *, longer: Shown | None = None, declared: int = 0) -> Decided:
    """The word of each level at error rate ``alpha``; ``longer`` is what the longer arms of level ``declared`` show.

    WINS: holds and beats every control, also when trained longer. FASTER: that win vanishes there: the ticket is shown
    to be worse than dense, or a control to do as well. MATCHES: holds, and a control is shown to do as well. LOSES:
    shown to be worse than the margin allows. UNDECIDED: nothing of that is shown.
    """
    equal = holm(np.stack([one.wins for one in levels], -1))
    equal_sizes = holm_sizes(equal, alpha)
    holds = holm(np.stack([one.holds for one in levels], -1))
    whole = [one.wins for one in levels]
    if longer is not None:
        whole[declared] = np.maximum(whole[declared], longer.wins)
    wins = holm(np.stack(whole, -1))
    if longer is not None:
        own = np.arange(len(levels)) == declared
        equal_sizes = np.where(own, equal_sizes, holm_sizes(wins, alpha))
        equal = np.where(own, equal, wins)
    words = [_short(one, holds[..., place] <= alpha, alpha) for place, one in enumerate(levels)]
    for place in range(len(levels)):
        found = np.where(equal[..., place] <= alpha, EQUAL_STEPS, words[place])
        if longer is not None and place == declared:
            gone = (longer.worse <= alpha) | _any(longer, alpha)
            found = np.where((found == EQUAL_STEPS) & gone, FASTER, found)
            found = np.where(wins[..., place] <= alpha, WINS, found)
        words[place] = found
    sizes = Sizes(holm_sizes(holds, alpha), equal_sizes, holm_sizes(wins, alpha))
    return Decided(np.stack(words, -1), wins, equal, holds, sizes)


def _short(one: Shown, holds: NDArray[np.bool_], alpha: float) -> Words:
    """The word of a level that does not win."""
    even = np.where(_any(one, alpha), MATCHES, UNDECIDED) if one.beats else np.asarray(HOLDS)
    words: Words = np.where(holds, even, np.where(one.worse <= alpha, LOSES, UNDECIDED))
    return words


def _any(one: Shown, alpha: float) -> NDArray[np.bool_]:
    """Whether some control is shown to do as well."""
    found = one.unbeaten(alpha).values()
    return np.logical_or.reduce(list(found)) if found else np.zeros(one.holds.shape, dtype=bool)
