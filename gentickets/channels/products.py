"""Products: how linear layers, batched products and attention tie channels and heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gentickets.channels.labels import NOBODY, compressed, spread

if TYPE_CHECKING:
    from gentickets.channels.tracing import Call, Made, Tracer


def linear(tracer: Tracer, call: Call) -> Made | None:
    """(..., in) by (out, in)."""
    return _dense(tracer, call, call.args[0], call.args[1], call.argument(2, "bias"), reads=1)


def multiplied(tracer: Tracer, call: Call) -> Made | None:
    """``mm`` and ``addmm``: an activation by a weight; (n, in) by (in, out)."""
    *bias, one, other = call.args[: 3 if call.op == "addmm" else 2]
    if tracer.weight(other) is None and tracer.weight(one) is None:
        labels = _product(tracer, tracer.of(one)[None], tracer.of(other)[None])
        return None if bias else [labels[0]]
    return _dense(tracer, call, one, other, bias[0] if bias else None, reads=0)


def _dense(tracer: Tracer, call: Call, x: Tensor, matrix: Tensor, bias: Tensor | None, reads: int) -> Made | None:
    weight = tracer.weight(matrix)
    if weight is None or tracer.weight(x) is not None:
        return None
    tracer.labels.tie(tracer.along(tracer.of(x), x.ndim - 1, x), tracer.side(weight, reads, reads=True))
    out = tracer.side(weight, 1 - reads)
    if bias is not None and tracer.is_labelled(bias):
        tracer.labels.tie(tracer.of(bias), out)
    return [out.view(*(1,) * (call.made[0].ndim - 1), -1)]


def batched(tracer: Tracer, call: Call) -> Made | None:
    """``bmm`` and ``baddbmm``."""
    one, other = call.args[-2:] if call.op == "bmm" else call.args[1:3]
    labels = _product(tracer, tracer.of(one), tracer.of(other))
    if call.op == "baddbmm" and bool((tracer.of(call.args[0]) != NOBODY).any()):
        added, labels = spread(tracer.of(call.args[0]), labels)
        both = (added > NOBODY) & (labels > NOBODY)
        tracer.labels.tie(added[both], labels[both])
        labels = torch.maximum(added, labels)
    return [compressed(labels)]


def attended(tracer: Tracer, call: Call) -> Made | None:
    """Fused attention of (n, heads, places, width)."""
    query, key, value = (tracer.of(tensor) for tensor in call.args[:3])
    if call.args[0].ndim == 4 and call.args[0].shape[1] != call.args[1].shape[1]:
        return None
    scores = _product(tracer, query, key.transpose(-1, -2))
    return [compressed(_product(tracer, scores, value)), *[None] * (len(call.made) - 1)]


def _product(tracer: Tracer, one: Tensor, other: Tensor) -> Tensor:
    """Labels of (..., n, k) times (..., k, m).

    Where channels of several heads meet, all of a head go together. In a product over channels of one head their width
    stays, since it is in the attention's scale. A product over places passes channels on.
    """
    one, other = tracer.labels.canonical(one), tracer.labels.canonical(other)
    lead = torch.broadcast_shapes(one.shape[:-2], other.shape[:-2])  # type: ignore[no-untyped-call]
    a = one.expand(*lead, *one.shape[-2:]).reshape(-1, *one.shape[-2:])
    b = other.expand(*lead, *other.shape[-2:]).reshape(-1, *other.shape[-2:])
    both = torch.cat([a.flatten(1), b.flatten(1)], 1)
    if _are_heads(both):
        heads = tracer.labels.gather(both, tracer.meeting("a head"))
        tracer.labels.wall(heads, f"the heads of {tracer.module} stay")
        return heads.view(*lead, 1, 1)
    if a.shape[2] > 1 or b.shape[1] > 1:
        why = f"{tracer.module} has one head, whose width is in its scale"
        tracer.labels.wall(both, why)
        return torch.zeros((*lead, 1, 1), dtype=torch.long)
    if bool((a > NOBODY).any()) and bool((b > NOBODY).any()):
        heads = tracer.labels.gather(both, tracer.meeting("a head"))
        return heads.view(*lead, 1, 1)
    return torch.maximum(a, b).view(*lead, a.shape[1], b.shape[2])


def _are_heads(rows: Tensor) -> bool:
    """Whether the entries of a batch are of different channels, each of some."""
    sets = {tuple(torch.unique(row[row > NOBODY]).tolist()) for row in rows}
    return len(sets) > 1 and all(sets)
