"""What a watcher remembers: of each level its masks, of each component its ranking."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gentickets.earlybird.distances import Packed, with_bits
from gentickets.earlybird.null import RATE, Null, calibrated, later_half, least_units, share
from gentickets.earlybird.ranks import Ranks, Sample, moved
from gentickets.earlybird.rules import Settings, vacuous_by_width
from gentickets.earlybird.walks import Looks

Masks = dict[str, Packed]
"""One mask, by component."""
Distance = Callable[[Packed, Packed], float]


class Level:
    """One density: the mask before training, and the newest ones."""

    def __init__(self, density: float, patience: int) -> None:
        self.density = density
        self.initial: Masks | None = None
        self.queue: deque[Masks] = deque(maxlen=patience)
        self.refused = ""
        """Why there was no mask at the last look."""
        self.lowest: dict[str, float] = {}
        """The smallest distance that a component had at any look."""

    def distances(self, distance: Distance) -> dict[str, tuple[float | None, float | None]]:
        """Component -> the largest distance of the newest mask to the older ones, if the queue is full; to the first.

        Empty without a newest mask.
        """
        if not self.queue:
            return {}
        newest, first = self.queue[-1], self.initial
        found: dict[str, tuple[float | None, float | None]] = {}
        for component, mask in newest.items():
            furthest = None
            if len(self.queue) == self.queue.maxlen:
                furthest = max(distance(mask, masks[component]) for masks in list(self.queue)[:-1])
                self.lowest[component] = min(furthest, self.lowest.get(component, furthest))
            found[component] = furthest, None if first is None else distance(mask, first[component])
        return found

    def told(self) -> dict[str, Any]:
        """What is remembered besides masks, for JSON."""
        masks = [masks for masks in (self.initial, *self.queue) if masks is not None]
        sizes = {component: mask.size for each in masks for component, mask in each.items()}
        return {"sizes": sizes, "refused": self.refused, "lowest": dict(self.lowest)}

    def tensors(self) -> dict[str, Tensor]:
        """All masks as packed bits, by name."""
        named: dict[str, Masks] = {str(place): masks for place, masks in enumerate(self.queue)}
        if self.initial is not None:
            named["initial"] = self.initial
        return {
            f"{place}/{component}": torch.from_numpy(mask.bits.copy())
            for place, masks in named.items()
            for component, mask in masks.items()
        }

    def take(self, told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Remember what `told` and `tensors` gave."""
        self.refused, self.lowest = told["refused"], dict(told["lowest"])
        found: dict[str, Masks] = {}
        for key, value in tensors.items():
            place, component = key.split("/", 1)
            bits = value.cpu().numpy().copy()
            found.setdefault(place, {})[component] = with_bits(bits, told["sizes"][component])
        self.initial = found.pop("initial", None)
        self.queue.extend(found[place] for place in sorted(found, key=int))


class Order:
    """One component: its ranking before training and at each look, and what chance would make of such rankings."""

    def __init__(self, component: str, sample: Sample, first: Ranks, settings: Settings) -> None:
        self.component, self.sample = component, sample
        self.history = [first]
        """The ranking before training, then that of each look."""
        self.shown: int | None = None
        """The step at which it was first quieter than chance."""
        self.share: float | None = None
        self.limit: float | None = None
        self.looks = Looks(settings.checks, settings.patience, settings.every, settings.momentum)
        self.tied = not first.any()
        self.null: Null = calibrated(sample.units, self.looks, self.tied)

    @property
    def passed(self) -> bool:
        """Whether it has been quieter than chance, or cannot be told from it, so that others decide."""
        return self.shown is not None or self.null.vacuous

    @property
    def vacuous(self) -> str:
        """A sentence where noise may stand still as long as is looked; else empty."""
        if not self.null.vacuous:
            return ""
        return vacuous_by_width(self.component, self.sample.size, least_units(self.looks, self.tied), self.looks.checks)

    @property
    def noise(self) -> dict[str, Any]:
        """Units, those followed, looks, how often noise passes (``rate``), by how much (``factor``); where it passed.

        ``factor`` is what the share of a walk has to fall to, as a fraction of its usual one; ``shown`` the step at
        which this component's did; ``vacuous`` a sentence or None.
        """
        return {
            "units": self.sample.size, "followed": self.sample.units, "checks": self.looks.checks, "rate": RATE,
            "factor": self.null.factor, "shown": self.shown, "vacuous": self.vacuous or None,
        }  # fmt: skip

    def look(self, ranks: Ranks, step: int) -> None:
        """Remember a ranking, and hold it against chance."""
        number = len(self.history)
        self.history.append(ranks)
        self.share = self.limit = None
        if number < self.looks.first:
            return
        recent = float(np.mean([moved(ranks, self.history[look]) for look in later_half(number)]))
        found, limit = share(recent, moved(ranks, self.history[0])), self.null.limit(number)
        self.limit = limit if limit > 0 else None
        self.share = found if np.isfinite(found) else None
        if self.shown is None and self.share is not None and limit > 0 and self.share <= limit:
            self.shown = step

    def told(self) -> dict[str, Any]:
        """What is remembered besides rankings, for JSON."""
        return {"shown": self.shown, "share": self.share, "limit": self.limit}

    def tensor(self) -> Tensor:
        """All rankings, (looks + 1, units)."""
        return torch.from_numpy(np.stack(self.history))

    def take(self, told: Mapping[str, Any], rankings: Tensor) -> None:
        """Remember what `told` and `tensor` gave."""
        self.shown, self.share, self.limit = told["shown"], told["share"], told["limit"]
        self.history = list(rankings.cpu().numpy().copy())
