"""What a watcher remembers of each component: its ranking at each look, held against what chance makes of such ones."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gentickets.earlybird.null import RATE, Null, calibrated, later_half, least_units, share
from gentickets.earlybird.ranks import Ranks, Sample, followed, moved
from gentickets.earlybird.rules import Settings, vacuous_by_chance, vacuous_by_noise
from gentickets.earlybird.walks import Looks
from gentickets.errors import TicketError


class Chance:
    """What noise that walks at one pace makes of a ranking, and whether the ranking has been quieter than that."""

    def __init__(self, units: int, looks: Looks, tied: bool) -> None:
        self.looks, self.tied = looks, tied
        self.null: Null = calibrated(units, looks, tied)
        self.share: float | None = None
        self.limit: float | None = None
        self.shown: int | None = None
        """The step at which it was first quieter."""

    def look(self, history: Sequence[Ranks], step: int) -> None:
        """Hold the newest ranking against the older ones, the first of which is that before training."""
        number = len(history) - 1
        self.share = self.limit = None
        if number < self.looks.first:
            return
        recent = [moved(history[-1], history[look]) for look in later_half(number, self.looks.ages)]
        found, limit = share(float(np.mean(recent)), moved(history[-1], history[0])), self.null.limit(number)
        self.limit = limit if limit > 0 else None
        self.share = found if np.isfinite(found) else None
        if self.shown is None and self.share is not None and limit > 0 and self.share <= limit:
            self.shown = step

    @property
    def excess(self) -> float:
        """By how much the share is over its limit; infinite where one of them is missing."""
        return self.share / self.limit if self.share is not None and self.limit else float("inf")

    def vacuous(self, component: str, units: int) -> str:
        """A sentence where noise at this pace may stand still as long as is looked; else empty."""
        if not self.null.vacuous:
            return ""
        least = least_units(self.looks, self.tied)
        return vacuous_by_noise(component, units, least, self.looks.checks, str(self.looks.pace))


def chances(settings: Settings, component: str, units: int, tied: bool) -> list[Chance]:
    """What chance makes of a component's ranking of so many units that are followed, pace by pace."""
    found = [Looks(settings.checks, settings.patience, settings.every, pace) for pace in settings.paces_of(component)]
    return [Chance(units, looks, tied) for looks in found]


def most_followed(settings: Settings, component: str) -> int:
    """How many of a component's units are followed at most: fewer where many walks have to be simulated."""
    return followed(settings.checks * len(settings.paces_of(component)))


def vacuous_before(settings: Settings, units: Mapping[str, int], tied: Container[str] = ()) -> list[str]:
    """Sentences on what an early bird could never tell, known before training from its settings alone.

    ``units``: component -> how many of it are ranked (``all`` for pooled ones); ``tied``: components whose scores are
    all equal at the beginning, as scales of norms are. Takes up to seconds a component, once in a process.
    Raises TicketError where none of the components can be told from noise, as `EarlyBird.begin` does.
    """
    if not settings.corrects:
        return [said for density in settings.densities if (said := vacuous_by_chance(density, settings.tolerance))]
    found = []
    for component, size in units.items():
        most = min(size, most_followed(settings, component))
        found.append(_first_vacuous(chances(settings, component, most, component in tied), component, size))
    require_some_told(found)
    return [said for said in found if said]


def require_some_told(vacuous: Sequence[str]) -> None:
    """Raise TicketError where every component has a sentence on why it cannot be told from noise."""
    if vacuous and all(vacuous):
        message = "no early bird can be told from noise here: " + "; ".join(vacuous)
        raise TicketError(f"{message}; rule = 'published' looks for none of this")


def _first_vacuous(held: Iterable[Chance], component: str, units: int) -> str:
    return next(filter(None, (chance.vacuous(component, units) for chance in held)), "")


class Order:
    """One component: its ranking before training and at each look, and what chance would make of such rankings."""

    def __init__(self, component: str, sample: Sample, first: Ranks, settings: Settings) -> None:
        self.component, self.sample = component, sample
        self.history = [first]
        """The ranking before training, then that of each look."""
        self.chances = chances(settings, component, sample.units, not first.any())
        self.vacuous = _first_vacuous(self.chances, component, sample.size)
        """A sentence where noise may stand still as long as is looked; else empty."""

    @property
    def shown(self) -> int | None:
        """The step at which it had been quieter than noise at each pace that it may have."""
        steps = [chance.shown for chance in self.chances]
        known = [step for step in steps if step is not None]
        return max(known) if len(known) == len(steps) else None

    @property
    def passed(self) -> bool:
        """Whether it has been quieter than chance, or cannot be told from it, so that others decide."""
        return self.shown is not None or bool(self.vacuous)

    @property
    def nearest(self) -> Chance:
        """The chance that explains the newest look best, of those that still might."""
        return max(self.chances, key=lambda chance: (chance.shown is None, chance.excess))

    @property
    def noise(self) -> dict[str, Any]:
        """Units, those followed, looks, how often noise passes (``rate``), by how much (``factor``); where it passed.

        ``factor`` is what the share of a walk has to fall to, as a fraction of its usual one, the smallest of all
        ``paces``; ``shown`` the step at which this component's did; ``vacuous`` a sentence or None.
        """
        return {
            "units": self.sample.size, "followed": self.sample.units, "checks": self.chances[0].looks.checks,
            "rate": RATE, "factor": min(chance.null.factor for chance in self.chances), "shown": self.shown,
            "paces": [str(chance.looks.pace) for chance in self.chances], "vacuous": self.vacuous or None,
        }  # fmt: skip

    def look(self, ranks: Ranks, step: int) -> None:
        """Remember a ranking, and hold it against chance."""
        self.history.append(ranks)
        for chance in self.chances:
            chance.look(self.history, step)

    def told(self) -> dict[str, Any]:
        """What is remembered besides rankings, for JSON."""
        return {
            "shown": [chance.shown for chance in self.chances],
            "share": [chance.share for chance in self.chances],
            "limit": [chance.limit for chance in self.chances],
        }

    def tensor(self) -> Tensor:
        """All rankings, (looks + 1, units)."""
        return torch.from_numpy(np.stack(self.history))

    def take(self, told: Mapping[str, Any], rankings: Tensor) -> None:
        """Remember what `told` and `tensor` gave; earlier versions told of one pace alone, without a list."""
        for name in ("shown", "share", "limit"):
            values = told[name] if isinstance(told[name], list) else [told[name]]
            for chance, value in zip(self.chances, values, strict=True):
                setattr(chance, name, value)
        self.history = list(rankings.cpu().numpy().copy())
