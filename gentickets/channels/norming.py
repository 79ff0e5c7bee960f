"""Norming: how norms tie their channels, and which statistics are over several of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gentickets.channels.labels import NOBODY

if TYPE_CHECKING:
    from gentickets.channels.tracing import Call, Made, Tracer


def batch_norm(tracer: Tracer, call: Call) -> Made:
    """Batch norms, and what InstanceNorm becomes: each channel by itself."""
    return _normed(tracer, call, 1, call.args[1:5], ())


def group_norm(tracer: Tracer, call: Call) -> Made:
    channels, groups = call.given[0].shape[1], int(call.args[6])
    return _normed(tracer, call, 1, call.args[1:3], (channels // groups,) * groups)


def layer_norm(tracer: Tracer, call: Call) -> Made | None:
    """LayerNorm and RMSNorm over the last dimension."""
    x = call.given[0]
    if len(call.args[1]) != 1:
        return None
    if (inside := _inside_heads(tracer, call)) is not None:
        return inside
    own = call.args[2:4] if call.op == "native_layer_norm" else call.args[2:3]
    return _normed(tracer, call, x.ndim - 1, own, (x.shape[-1],))


def _inside_heads(tracer: Tracer, call: Call) -> Made | None:
    """Where each head is normalized by itself, by weights that all share: all of a head go together, the weights stay.

    Told from tokens of several origins by this: what differs comes from one axis of one weight.
    """
    x, labels = call.given[0], tracer.labels.canonical(tracer.of(call.given[0]))
    rows = torch.unique(labels.reshape(-1, labels.shape[-1]), dim=0)
    axes = tracer.labels.axis_of(rows)
    if len(rows) == 1 or rows.shape[1] != x.shape[-1] or _nobody_in(rows) or not bool((axes == axes[:1, :1]).all()):
        return None
    tracer.labels.gather(rows, tracer.meeting("a norm inside heads"))
    return [tracer.of(x)] + [None] * (len(call.made) - 1)


def _nobody_in(labels: Tensor) -> bool:
    """Whether some labels are of no channel."""
    return bool((labels == NOBODY).any())


def _normed(tracer: Tracer, call: Call, dim: int, own: Sequence[Tensor | None], runs: tuple[int, ...]) -> Made:
    x = call.given[0]
    labels = tracer.of(x)
    channels = tracer.along(labels, dim, x)
    for tensor in own:
        if isinstance(tensor, Tensor) and tracer.is_labelled(tensor):
            tracer.labels.tie(tracer.of(tensor), channels)
    if runs:
        tracer.trace.norms[tracer.path[-1]] = (runs, channels)
    return [labels] + [None] * (len(call.made) - 1)
