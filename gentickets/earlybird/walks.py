"""Random walks as an optimizer takes them that sees nothing but noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gentickets.earlybird.pace import Floats, Pace, ages, stretches


@dataclass(frozen=True)
class Looks:
    """How something that walks is looked at."""

    checks: int
    """Looks in the whole training."""
    first: int
    """The first look that counts."""
    every: int = 1
    """Steps from one to the next."""
    pace: Pace = field(default_factory=Pace)

    @property
    def ages(self) -> Floats:
        """How old the walk is at each look, (checks + 1,): see `pace`."""
        return ages(self.pace, self.checks, self.every)

    @property
    def name(self) -> str:
        """Names the seed of its simulation; as it has always been where the pace is plain."""
        plain = f"Looks(checks={self.checks}, first={self.first}, every={self.every}, momentum={self.pace.momentum})"
        return plain if self.pace.is_plain else f"{plain} {self.pace!r}"


def walks(number: int, units: int, looks: Looks, spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random walks at each look, (number, checks + 1, units): an optimizer's steps on independent normal gradients.

    ``spread`` is the variance before the first step, as a multiple of what the whole walk adds. A velocity goes on as
    beta velocity + (1 - beta) noise, and a step is the velocity times its size (see `Pace`). Over the steps between two
    looks both are linear in the velocity before and in the noise, so that they are drawn at once, and as exactly as
    step by step. How large Adam's mean square is by chance is left out.
    """
    parts = stretches(looks.pace, looks.checks, looks.every)
    shape, added = (number, units), sum(part.grown for part in parts)
    found = np.empty((number, looks.checks + 1, units), dtype=np.float32)
    place = np.sqrt(spread * added, dtype=np.float32) * rng.standard_normal(shape, np.float32)
    velocity = np.zeros_like(place)
    found[:, 0] = place
    for look, part in enumerate(parts):
        push = np.float32(part.push) * rng.standard_normal(shape, np.float32)
        place *= np.float32(part.kept)
        place += np.float32(part.carried) * velocity + np.float32(part.together) * push
        if part.rest > 0:
            place += np.float32(part.rest) * rng.standard_normal(shape, np.float32)
        velocity = np.float32(part.lasting) * velocity + push
        found[:, look + 1] = place
    return found
