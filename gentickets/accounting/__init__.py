"""Accounting: what networks cost, in FLOPs, seconds, memory and energy."""

from gentickets.accounting.clock import Timing, interleaved, synchronize
from gentickets.accounting.counter import Counter
from gentickets.accounting.flops import (
    FlopTable,
    LayerFlops,
    NetworkFlops,
    dense_flops,
    forward_flops,
    layer_flops,
    masked_flops,
    network_flops,
    weights,
    width_at,
)
from gentickets.accounting.meters import energy, peak_memory
from gentickets.accounting.steps import StepFlops, step_flops

__all__ = [
    "Counter",
    "FlopTable",
    "LayerFlops",
    "NetworkFlops",
    "StepFlops",
    "Timing",
    "dense_flops",
    "energy",
    "forward_flops",
    "interleaved",
    "layer_flops",
    "masked_flops",
    "network_flops",
    "peak_memory",
    "step_flops",
    "synchronize",
    "weights",
    "width_at",
]
