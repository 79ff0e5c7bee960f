"""Criteria: a score for every prunable weight; the highest are kept. None of them touches the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gentickets.masks import Magnitudes, prunable
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task

Scores = Mapping[str, Tensor]
Criterion = Callable[[Task, Sequence[Batch], int], Scores]
"""(task, batches, seed) -> scores, one tensor per prunable weight, of its shape."""


def magnitude(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """|w| (Han et al., 2015; Frankle and Carbin, 2019), read from the raw weights block by block, not copied."""
    return Magnitudes({name: weight.detach() for name, weight in prunable(task).items()})


def random(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """Independent uniform scores, the same for the same seed and names."""
    scores: dict[str, Tensor] = {}
    for name, weight in prunable(task).items():
        rng = torch.Generator().manual_seed(derive(seed, "random scores", name))
        scores[name] = torch.rand(weight.shape, generator=rng).to(weight.device)
    return scores


CRITERIA: dict[str, Criterion] = {"magnitude": magnitude, "random": random}
