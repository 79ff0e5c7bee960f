"""What a watcher remembers of each level: its masks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from gentickets.earlybird.distances import Packed, with_bits

Masks = dict[str, Packed]
"""One mask, by component."""
Distance = Callable[[Packed, Packed], float]


class RememberedMasks:
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
