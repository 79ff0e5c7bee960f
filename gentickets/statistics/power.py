"""Power: what a verdict would say with more seeds, if the arms' means and covariances were those of the seeds so far.

Samples of all arms are drawn jointly, normal, and go through the tests and words of a verdict itself. With s seeds the
draws are standard numbers times the centred seeds over sqrt(s - 1), whose covariance is that of the seeds whether
there are more arms than seeds or not. The same numbers serve every number of seeds, so that chances rise smoothly.

What is plugged in is known as badly as few seeds know it: see `chances`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError
from gentickets.seeds import derive
from gentickets.statistics.deciding import EQUAL_STEPS, LEAST_SEEDS, UNDECIDED, WORDS, Words, decide
from gentickets.statistics.shown import Values, not_known, shown

Array = NDArray[np.float64]

_CHUNK = 250
"""Draws at a time: what they take fits into a processor's cache."""


@dataclass(frozen=True)
class Forecast:
    """How likely so many seeds are to give each verdict on the declared level."""

    seeds: int
    words: Mapping[str, float]
    """Word -> its chance; all words of a verdict, adding up to 1."""
    decided: float
    """The chance of a word that ends the question."""


def chances(
    levels: Sequence[Values | None],
    margin: float,
    alpha: float,
    seeds: int,
    *,
    longer: Values | None = None,
    declared: int = 0,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, float]:
    """The chance of each word at level ``declared`` if ``seeds`` new seeds were run, by simulation.

    ``levels``: what all levels' arms reached with the s >= 3 seeds so far, None for one that shows nothing (it counts
    as p = 1); ``longer``: what the declared one's longer arms did. ``alpha`` is that of one look. With the default
    2,000 draws a chance is known to about 0.01.

    It is an estimate from s seeds and as uncertain as they are: of a true chance of 0.80 with 10 seeds, half of all
    first 3 seeds print less than 0.41 or more than 0.99, and half of all first 10 less than 0.57 or more than 0.96.

    Raises:
        TicketError: fewer than 3 seeds so far, levels with different seeds, or no such level.
    """
    return dict(_Arms(levels, longer, declared).forecast(seeds, margin, alpha, draws, seed).words)


def seeds_needed(
    levels: Sequence[Values | None],
    margin: float,
    alpha: float,
    *,
    longer: Values | None = None,
    declared: int = 0,
    power: float = 0.8,
    most: int = 200,
    draws: int = 2000,
    seed: int = 0,
) -> int | None:
    """The smallest number of seeds, above the s so far, whose chance to decide the declared level is ``power``.

    Decided is any word but UNDECIDED; where longer arms are given, WINS AT EQUAL STEPS is not decided either. The
    number counts all seeds, those so far included. None: more than ``most``. The chance is taken to grow with the
    seeds. Arguments and errors as of `chances`.
    """
    arms = _Arms(levels, longer, declared)
    if not 0 < power < 1:
        raise TicketError(f"power must be between 0 and 1, not {power}")

    def enough(number: int) -> bool:
        return arms.forecast(number, margin, alpha, draws, seed).decided >= power

    too_few, number = arms.seeds, arms.seeds + 1
    while number < most and not enough(number):
        too_few, number = number, min(2 * number, most)
    if number >= most and (number > most or not enough(most)):
        return None
    while number - too_few > 1:
        middle = (too_few + number) // 2
        too_few, number = (too_few, middle) if enough(middle) else (middle, number)
    return number


def power_curve(
    levels: Sequence[Values | None],
    margin: float,
    alpha: float,
    seeds: Sequence[int],
    *,
    longer: Values | None = None,
    declared: int = 0,
    draws: int = 2000,
    seed: int = 0,
) -> list[Forecast]:
    """The chance of each word for several numbers of seeds; arguments and errors as of `chances`."""
    arms = _Arms(levels, longer, declared)
    return [arms.forecast(number, margin, alpha, draws, seed) for number in seeds]


class _Arms:
    """All arms of all levels in one matrix, so that they are drawn together; equal arms are one column."""

    def __init__(self, levels: Sequence[Values | None], longer: Values | None, declared: int) -> None:
        if not 0 <= declared < len(levels):
            raise TicketError(f"the declared level is number {declared}, of {len(levels)} levels counted from 0")
        self.levels, self.longer, self.declared = levels, longer, declared
        self.rows: dict[bytes, int] = {}
        found = [arm for one in (*levels, longer) if one for arm in (one.ticket, one.dense, *one.controls.values())]
        sizes = {np.shape(arm) for arm in found}
        self.seeds = max((shape[-1] for shape in sizes if shape), default=0)
        if sizes != {(self.seeds,)} or self.seeds < LEAST_SEEDS:
            raise TicketError(
                f"what more seeds would show needs {LEAST_SEEDS} seeds at least, the same of every arm; "
                f"the arms have {', '.join(sorted(map(str, sizes))) or 'none'}"
            )
        unique: list[Array] = []
        for arm in found:
            if self.rows.setdefault(self._key(arm), len(unique)) == len(unique):
                unique.append(np.asarray(arm, dtype=float))
        seen = np.stack(unique)
        seen = np.where(np.isfinite(seen).all(-1, keepdims=True), seen, np.nan)
        self.means = seen.mean(-1)
        self.factor = (seen - self.means[:, None]) / np.sqrt(self.seeds - 1)

    def forecast(self, number: int, margin: float, alpha: float, draws: int, seed: int) -> Forecast:
        """The chances with so many seeds."""
        if number < LEAST_SEEDS or self.levels[self.declared] is None:
            return Forecast(number, dict.fromkeys(WORDS, 0.0) | {UNDECIDED: 1.0}, 0.0)
        words = np.concatenate([self._words(part, margin, alpha) for part in self._drawn(number, draws, seed)])
        found = {word: float(np.mean(words == word)) for word in WORDS}
        open_still = found[UNDECIDED] + (found[EQUAL_STEPS] if self.longer else 0.0)
        return Forecast(number, found, 1.0 - open_still)

    def _drawn(self, number: int, draws: int, seed: int) -> Iterator[Array]:
        """Arms (arms, draws, seeds), in parts; fewer seeds are the first ones of more."""
        for start in range(0, draws, _CHUNK):
            rng = np.random.default_rng(derive(seed, "power", start))
            standard = rng.standard_normal((number, min(_CHUNK, draws - start), self.seeds))
            moved = self.factor @ standard.reshape(-1, self.seeds).T
            arms = moved.reshape(len(self.means), *standard.shape[:2]) + self.means[:, None, None]
            yield arms.swapaxes(1, 2)

    def _words(self, arms: Array, margin: float, alpha: float) -> Words:
        """The declared level's word in each draw."""
        nothing = not_known({}, arms.shape[1:2])
        levels = [shown(self._of(one, arms), margin) if one else nothing for one in self.levels]
        longer = shown(self._of(self.longer, arms), margin) if self.longer else None
        decided = decide(levels, alpha, longer=longer, declared=self.declared)
        words: Words = decided.words[..., self.declared]
        return words

    def _of(self, one: Values, arms: Array) -> Values:
        """A level's arms among those drawn."""
        controls = {name: arms[self.rows[self._key(arm)]] for name, arm in one.controls.items()}
        return Values(arms[self.rows[self._key(one.ticket)]], arms[self.rows[self._key(one.dense)]], controls)

    @staticmethod
    def _key(arm: Array) -> bytes:
        return np.asarray(arm, dtype=float).tobytes()
