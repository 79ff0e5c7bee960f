"""How much of a ranking has moved. All of a component's order says more than the line that a mask draws through it.

A mask of 48 channels has a handful of entries that can swap, too few to tell a ranking that settles from one that
drifts; their order has 48 places. So the mask says whether the ticket stands still, and the ranking whether that
means anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gentickets.seeds import derive

Ranks = NDArray[np.float32]

SAMPLE = 256
"""Units of a component whose ranking is followed, at most."""


def followed(checks: int) -> int:
    """How many units of a component to follow: fewer over very many looks, so that chance is simulated in seconds."""
    return max(SAMPLE // 4, min(SAMPLE, 100 * SAMPLE // checks))


class Sample:
    """The units of a component whose ranking is followed: all, or ``most`` of them spread evenly over it."""

    def __init__(
        self, scores: Mapping[str, Tensor], names: Sequence[str], component: str, seed: int, most: int = SAMPLE
    ) -> None:
        sizes = [scores[name].numel() for name in names]
        self.size = sum(sizes)
        self.units = min(self.size, most)
        rng = torch.Generator().manual_seed(derive(seed, "early bird", component))
        edges = torch.arange(self.units + 1) * self.size // self.units
        chosen = edges[:-1] + (torch.rand(self.units, generator=rng) * edges.diff()).long()
        self._places: dict[str, tuple[Tensor, ...]] = {}
        start = 0
        for name, size in zip(names, sizes, strict=True):
            inside = chosen[(chosen >= start) & (chosen < start + size)] - start
            if len(inside):
                self._places[name] = torch.unravel_index(inside, scores[name].shape)
            start += size

    def ranks(self, scores: Mapping[str, Tensor]) -> Ranks:
        """The standardized ranks of the sampled units, (units,)."""
        values = [scores[name].detach().cpu()[places] for name, places in self._places.items()]
        return standardized(torch.cat([value.double() for value in values]).numpy())


def standardized(values: NDArray[np.float64]) -> Ranks:
    """Ranks of mean 0 and length 1, equal values sharing theirs; zeros where all are equal, as there is no order."""
    from scipy.stats import rankdata  # it takes longer to import than all else of a worker but PyTorch

    ranks = rankdata(values)
    ranks -= ranks.mean()
    length = np.linalg.norm(ranks)
    return np.asarray(ranks / length if length else ranks, dtype=np.float32)


def moved(one: Ranks, other: Ranks) -> float:
    """How much of a ranking is new: 1 - rho^2, 0 for the same order and 1 for unrelated or opposite ones.

    rho is Pearson's correlation of normal variables with Spearman's rank correlation S: 2 sin(pi S / 6) (Pearson,
    1907). Of a random walk from any spread of values, the last k of n steps have made the same share, k / n, of what
    has moved since its beginning.
    """
    return float(moved_by(np.dot(one.astype(np.float64), other.astype(np.float64))))


def moved_by(spearman: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """`moved`, from rank correlations."""
    rho = np.clip(2 * np.sin(np.pi / 6 * np.asarray(spearman, dtype=np.float64)), 0, 1)
    found: NDArray[np.float64] = 1 - rho**2
    return found
