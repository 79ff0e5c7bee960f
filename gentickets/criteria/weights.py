"""Criteria that read the weights alone, or nothing at all: magnitude, LAMP, random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gentickets.masks import Magnitudes, Scores, prunable
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task
from gentickets.untouched import has_float64


def magnitude(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """|w| (Han et al., 2015; Frankle and Carbin, 2019), read from the raw weights block by block, not copied.

    That of a complex weight is its absolute value.
    """
    return Magnitudes({name: weight.detach() for name, weight in prunable(task).items()})


def random(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """Independent uniform scores, the same for the same seed and names."""
    scores: dict[str, Tensor] = {}
    for name, weight in prunable(task).items():
        rng = torch.Generator().manual_seed(derive(seed, "random scores", name))
        scores[name] = torch.rand(weight.shape, generator=rng).to(weight.device)
    return scores


def lamp(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """w^2 / (sum of squares of all weights of its tensor at least as large) (Lee, Park, Mo, Ahn and Shin, 2021).

    Made for the global scope: the largest weight of every tensor scores exactly 1, so that no tensor is emptied as
    long as there is a weight to keep for each. Equal weights stand in the order of a seeded shuffle, and only those
    after it count as "at least as large"; so n equal weights score 1/n, ..., 1/2, 1, as in the paper, whose order
    among them is that of position. Zeros score 0. Float64, computed on the CPU, where sums come in one order.
    """
    scores: dict[str, Tensor] = {}
    for name, weight in prunable(task).items():
        made = _lamp(weight.detach().cpu().abs().double().square().flatten(), derive(seed, "lamp ties", name))
        exact = made if has_float64(weight.device) else made.float()
        scores[name] = exact.view(weight.shape).to(weight.device)
    return scores


def _lamp(squares: Tensor, seed: int) -> Tensor:
    shuffle = torch.randperm(squares.numel(), generator=torch.Generator().manual_seed(seed))
    order = shuffle[squares[shuffle].sort(stable=True).indices]
    ascending = squares[order]
    at_least_as_large = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(squares)
    scores[order] = torch.where(ascending > 0, ascending / at_least_as_large, 0.0)
    return scores
