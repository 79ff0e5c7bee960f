"""Random walks as an optimizer takes them that sees nothing but noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Looks:
    """How something is looked at."""

    checks: int
    """Looks in the whole training."""
    first: int
    """The first look that counts."""
    every: int = 1
    """Steps from one to the next."""
    momentum: float = 0.0
    """How much of a step the optimizer carries into the next (Adam's first beta)."""


def walks(number: int, units: int, looks: Looks, spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random walks at each look, (number, checks + 1, units): Adam's steps on independent normal gradients.

    ``spread`` is the variance before the first step, as a multiple of what the whole walk adds. A velocity goes on as
    beta velocity + (1 - beta) noise, and step t is velocity / (1 - beta^t). Over the steps between two looks both are
    linear in the velocity before and in the noise, so that they are drawn at once, and as exactly as step by step.
    """
    beta, every = looks.momentum, looks.every
    found = np.empty((number, looks.checks + 1, units), dtype=np.float32)
    place = np.sqrt(spread * looks.checks * every, dtype=np.float32) * rng.standard_normal((number, units), np.float32)
    velocity = np.zeros_like(place)
    found[:, 0] = place
    own = (1 - beta) * beta ** np.arange(every - 1, -1, -1.0)
    for look in range(looks.checks):
        carried, together, rest = _between(look * every, every, beta, own)
        push = np.float32(np.linalg.norm(own)) * rng.standard_normal(place.shape, np.float32)
        place += np.float32(carried) * velocity + np.float32(together) * push
        if rest > 0:
            place += np.float32(rest) * rng.standard_normal(place.shape, np.float32)
        velocity = np.float32(beta**every) * velocity + push
        found[:, look + 1] = place
    return found


def _between(step: int, every: int, beta: float, own: Floats) -> tuple[float, float, float]:
    """What ``every`` steps after ``step`` add to a place.

    As factors of the velocity before, of the noise that ends up in the velocity after (through ``own``, by the step at
    which it came), and of noise of its own.
    """
    weights = 1 / (1 - beta ** np.arange(step + 1.0, step + every + 1))
    reached = weights.copy()
    for place in range(every - 2, -1, -1):
        reached[place] += beta * reached[place + 1]
    noise = (1 - beta) * reached
    together = float(np.dot(noise, own) / np.dot(own, own))
    rest = float(np.dot(noise, noise)) - together**2 * float(np.dot(own, own))
    return beta * float(reached[0]), together, float(np.sqrt(max(0.0, rest)))
