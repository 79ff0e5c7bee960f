"""Norm statistics, estimated anew for weights that no training step has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.untouched import modes_kept, seeded


def estimate_norms(task: Task, components: Sequence[str], batches: Sequence[Tensor]) -> None:
    """Set the running statistics of batch norms to those of these batches, taken as one."""
    norms = [
        layer
        for component in components
        for layer in getattr(task, component).modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats
    ]
    if not norms or not batches:
        return
    with modes_kept(task), _momenta_kept(norms), torch.no_grad(), seeded(task.device, derive(0, "norms")):
        task.eval()
        inputs = task.inputs(torch.cat(list(batches)))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for component in components:
            getattr(task, component).train()(*inputs[component])


@contextmanager
def _momenta_kept(norms: Sequence[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    momenta = [norm.momentum for norm in norms]
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
