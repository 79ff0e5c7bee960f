"""How an optimizer walks that sees nothing but noise: the size of its steps, what they carry on, what pulls them back.

A walk with weight decay is a walk without, seen by another clock: what decays is the same for all units, and a ranking
does not see it. So every walk has an *age*, the variance that it has gathered, in which it is a plain random walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError
from gentickets.optimizers import SCHEDULES, Schedule
from gentickets.tasks import Optim

Floats = NDArray[np.float64]

_LEAST_KEPT = 1e-6


@dataclass(frozen=True)
class Pace:
    """What decides how a ranking moves under noise, and nothing else: optimizers that walk alike are equal here."""

    momentum: float = 0.0
    """How much of a step the optimizer carries into the next (Adam's first beta)."""
    schedule: Schedule = Schedule()  # noqa: RUF009 - frozen
    decay: float = 0.0
    """Which fraction of a value a step at the full learning rate takes away."""
    smoothing: float = 0.0
    """RMSprop's: its mean square begins at zero and is not corrected, so that its first steps are the largest."""
    corrected: bool = True
    """Whether the velocity is corrected for having begun at zero, as Adam's is."""
    every: int = 1
    """Steps from one turn of the optimizer to the next."""

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise TicketError(f"momentum is {self.momentum}, but must be 0 or more and less than 1")

    @classmethod
    def of(cls, optim: Optim, schedule: Schedule, every: int = 1) -> Pace:
        """The pace of an optimizer whose objective has a turn every so many steps.

        Weight decay counts where it is known against the noise: decoupled (AdamW), and in SGD. Adam and RMSprop divide
        it by the size of the gradients, which nobody knows beforehand; it is left out there, and errs on the safe side:
        whatever pulls all values back makes a walk forget its past sooner, and so look less settled.
        """
        schedule = Schedule() if _is_constant(schedule) else schedule
        if optim.name.startswith("adam"):
            decay = optim.lr * optim.weight_decay if optim.name == "adamw" else 0.0
            return cls(optim.betas[0], schedule, decay, every=every)
        plain = optim.momentum == 0
        if optim.name == "rmsprop":
            return cls(optim.momentum, schedule, 0.0, optim.alpha, plain, every)
        decay = optim.lr * optim.weight_decay / (1 - optim.momentum)
        return cls(optim.momentum, schedule, decay, 0.0, plain, every)

    @property
    def is_plain(self) -> bool:
        """Whether it is the pace of Adam at a constant learning rate, in every step."""
        return self == Pace(self.momentum)

    def __str__(self) -> str:
        """``cosine schedule with warm-up``, for sentences."""
        warm = " with warm-up" if self.schedule.warmup else ""
        return f"{self.schedule.name} schedule{warm}"


def supposed(steps: int, momentum: float, schedule: Schedule | None, optim: Optim | None) -> tuple[Pace, ...]:
    """The paces at which a training may walk of which not everything is told.

    Without an optimizer Adam's, with ``momentum`` as its first beta; without a schedule each that there is, over
    ``steps``. What is never seen in a training that is told to be another only makes the rule stricter.
    """
    optim = optim or Optim(betas=(momentum, 0.999))
    schedules = [Schedule(name, steps) for name in SCHEDULES] if schedule is None else [schedule]
    return tuple(dict.fromkeys(Pace.of(optim, one) for one in schedules))


def _is_constant(schedule: Schedule) -> bool:
    if schedule.frozen_at is not None:
        return schedule.factor(0) > 0
    return schedule.name == "constant" and not schedule.warmup


class Stretch(NamedTuple):
    """What the steps from one look to the next make of a value and of its velocity. Both are linear in the noise."""

    kept: float = 1.0
    """Of the value."""
    carried: float = 0.0
    """Of the velocity before, in the value."""
    lasting: float = 1.0
    """Of the velocity before, in that after."""
    push: float = 0.0
    """The size of the noise that ends up in the velocity."""
    together: float = 0.0
    """The share of that noise in the value."""
    rest: float = 0.0
    """The size of the noise in the value alone."""
    grown: float = 0.0
    """The variance that the steps add, momentum aside."""


@lru_cache(maxsize=64)
def stretches(pace: Pace, checks: int, every: int) -> tuple[Stretch, ...]:
    """What happens before each of ``checks`` looks, ``every`` steps from one to the next."""
    return tuple(_stretch(pace, look * every, every) for look in range(checks))


def _stretch(pace: Pace, start: int, every: int) -> Stretch:
    steps = [step for step in range(start, start + every) if (step + 1) % pace.every == 0]
    if not steps:
        return Stretch()
    beta, count = pace.momentum, len(steps)
    factors = np.array([pace.schedule.factor(step) for step in steps])
    turns = np.array([(step + 1.0) // pace.every for step in steps])
    begun, louder = 1 - beta**turns, 1 / np.sqrt(1 - pace.smoothing**turns)
    kept = np.maximum(_LEAST_KEPT, 1 - pace.decay * factors)
    after = np.append(np.cumprod(kept[:0:-1])[::-1], 1.0)
    reached = after * (factors / begun if pace.corrected else factors)
    grown = after * factors * louder * (1.0 if pace.corrected else begun)
    for place in range(count - 2, -1, -1):
        reached[place] += beta * reached[place + 1]
    own = (1 - beta) * beta ** np.arange(count - 1, -1, -1.0) * louder
    noise = (1 - beta) * reached * louder
    together = float(np.dot(noise, own) / np.dot(own, own))
    rest = float(np.dot(noise, noise)) - together**2 * float(np.dot(own, own))
    return Stretch(
        float(np.prod(kept)), beta * float(reached[0]), beta**count,
        float(np.linalg.norm(own)), together, float(np.sqrt(max(0.0, rest))), float(np.dot(grown, grown)),
    )  # fmt: skip


@lru_cache(maxsize=64)
def ages(pace: Pace, checks: int, every: int) -> Floats:
    """The variance gathered at each look, (checks + 1,), by the clock of the plain walk; any unit of its own."""
    parts = stretches(pace, checks, every)
    gone = -2 * np.cumsum([np.log(part.kept) for part in parts])
    found = np.append(0.0, np.cumsum(np.array([part.grown for part in parts]) * np.exp(gone - gone[-1])))
    found.setflags(write=False)
    return found
