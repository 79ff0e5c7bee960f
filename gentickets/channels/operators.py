"""Operators: how each of PyTorch's moves the labels of channels, and which channels it ties. One table, `RULES`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from gentickets.channels.labels import NOBODY, compressed, spread
from gentickets.channels.norming import batch_norm, group_norm, layer_norm
from gentickets.channels.products import attended, batched, linear, multiplied
from gentickets.channels.tracing import Call, Made, Rule, Tracer, Weight, one_each, whole

_MOVED = """permute transpose t expand slice select split split_with_sizes unbind chunk squeeze unsqueeze repeat flip
roll unfold index index_select gather movedim narrow diagonal repeat_interleave tile unsafe_split
unsafe_split_with_sizes rot90 detach alias"""
_RESHAPED = "view _unsafe_view reshape _reshape_alias flatten unflatten view_copy _shape_as_tensor"
_SHUFFLED = "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle"
_SAME = "clone contiguous _to_copy lift_fresh lift_fresh_copy dropout native_dropout _conj conj resolve_conj"
_POINTWISE = """add sub mul div relu relu6 gelu silu sigmoid tanh exp expm1 log log1p sqrt rsqrt pow neg abs sin cos
leaky_relu elu hardtanh clamp clamp_min clamp_max softplus where maximum minimum addcmul addcdiv lerp hardswish
hardsigmoid mish reciprocal rsub square erf lt gt le ge eq ne masked_fill logical_not logical_and logical_or bitwise_not
bitwise_and bitwise_or copy prelu _prelu_kernel log_sigmoid_forward celu selu threshold sign floor round fmod remainder
nan_to_num isnan isfinite tan atan2 exp2 hardshrink softshrink"""
_SUMMED = "sum linalg_vector_norm norm nansum count_nonzero"
_MET = "mean var var_mean std amax amin max min logsumexp prod all any argmax argmin std_mean median"
_NORMALIZED = "_softmax _log_softmax softmax log_softmax _safe_softmax cumsum cumprod sort"
_POOLED = """max_pool avg_pool adaptive_avg_pool _adaptive_avg_pool adaptive_max_pool upsample_nearest upsample_bilinear
upsample_bicubic upsample_linear upsample_trilinear _upsample_nearest_exact reflection_pad replication_pad
_upsample_bilinear2d_aa _upsample_bicubic2d_aa"""
_UNLABELLED = """zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_empty new_full
zero fill bernoulli sym_size normal uniform random"""


def _moved(tracer: Tracer, call: Call) -> Made:
    """What only moves numbers moves their labels; a weight stays a weight where its dimensions change places."""
    x = call.given[0]
    known = tracer.weight(x)
    if (
        known is not None
        and call.made[0].ndim == x.ndim
        and call.op in ("t", "transpose", "permute", "detach", "alias")
    ):
        order = call.function(torch.empty(tuple(range(2, 2 + x.ndim)), device="meta"), *call.args[1:]).shape
        tracer.known[call.made[0]] = Weight(known.name, tuple(known.dims[size - 2] for size in order))
        return [None]
    if call.op in ("detach", "alias"):
        return [tracer.of(x)]
    more = tree_map(lambda one: one.cpu() if isinstance(one, Tensor) else one, call.args[1:])  # indices
    result = call.function(whole(tracer.of(x), x), *more, **call.keywords)
    return one_each(result if isinstance(result, tuple | list) else [result])


def _reshaped(tracer: Tracer, call: Call) -> Made:
    x, made = call.given[0], call.made[0]
    labels = tracer.of(x)
    if labels.numel() == 1:
        return [labels.reshape((1,) * made.ndim)]
    return [compressed(whole(labels, x).reshape(made.shape))]


def _shuffled(tracer: Tracer, call: Call) -> Made:
    labels = whole(tracer.of(call.given[0]), call.given[0]).double()  # the operators take no whole numbers
    return [compressed(call.function(labels, *call.args[1:], **call.keywords).long())]


def _same(tracer: Tracer, call: Call) -> Made:
    known = tracer.weight(call.given[0])
    if known is not None:
        tracer.known[call.made[0]] = known
        return [None]
    return [tracer.of(call.given[0])] * len(call.made)


def _unlabelled(tracer: Tracer, call: Call) -> Made:
    return [torch.zeros((1,) * made.ndim, dtype=torch.long) for made in call.made]


def _pointwise(tracer: Tracer, call: Call) -> Made:
    """Numbers that are brought together are of one channel."""
    made = call.made[0]
    labels = [_aligned(tracer.of(one), made.ndim) for one in call.given]
    sizes = [_aligned_shape(one, made.ndim) for one in call.given]
    together = torch.zeros((1,) * made.ndim, dtype=torch.long)
    for number, (label, size) in enumerate(zip(labels, sizes, strict=True)):
        others = [other for place, other in enumerate(labels) if place != number]
        if _is_spread(label, size, others):
            tracer.labels.wall(label, f"they are spread over others in {tracer.module}")
            continue
        one, other = spread(together, label)
        both = (one > NOBODY) & (other > NOBODY)
        tracer.labels.tie(one[both], other[both])
        together = torch.maximum(one, other)
    return [compressed(together)] * len(call.made)


def _aligned(labels: Tensor, ndim: int) -> Tensor:
    return labels.reshape((1,) * (ndim - labels.ndim) + labels.shape)


def _aligned_shape(tensor: Tensor, ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - tensor.ndim) + tuple(tensor.shape)


def _is_spread(labels: Tensor, size: Sequence[int], others: Sequence[Tensor]) -> bool:
    """Whether one number meets several channels: a gate over all of them, say, or a scale for the whole sample."""
    return bool((labels > NOBODY).any()) and any(
        size[dim] == 1 and any(other.shape[dim] > 1 for other in others) for dim in range(len(size))
    )


def _joined(tracer: Tracer, call: Call) -> Made:
    """Concatenated or stacked."""
    parts = [one for one in call.given if one.numel() or one.ndim > 1]
    dim = call.argument(1, "dim", 0) % call.made[0].ndim
    labels = [tracer.of(one) for one in parts]
    if call.op == "stack":
        labels = [label.unsqueeze(dim) for label in labels]
        widths = [1] * len(parts)
    else:
        widths = [one.shape[dim] for one in parts]
    shape = [max(label.shape[place] for label in labels) for place in range(call.made[0].ndim)]
    parts_of = [
        label.expand([width if place == dim else size for place, size in enumerate(shape)])
        for label, width in zip(labels, widths, strict=True)
    ]
    return [compressed(torch.cat(parts_of, dim))]


def _padded(tracer: Tracer, call: Call) -> Made:
    """With zeros, which are of the channel that they stand beside."""
    x, labels = call.given[0], tracer.of(call.given[0])
    pad = list(call.args[1])
    for place in range(len(pad) // 2):
        dim = x.ndim - 1 - place
        if (pad[2 * place] or pad[2 * place + 1]) and (labels.shape[dim] > 1 or x.shape[dim] == 1):
            sizes = [x.shape[other] if other == dim else labels.shape[other] for other in range(x.ndim)]
            around = [0] * (2 * place) + pad[2 * place : 2 * place + 2]
            labels = F.pad(labels.expand(sizes), around)
    return [labels]


def _pooled(tracer: Tracer, call: Call) -> Made:
    """Over places, the last dimensions: those of a map are of one channel."""
    labels = tracer.of(call.given[0])
    maps = labels.ndim - (1 if call.op.endswith("1d") else 3 if call.op.endswith("3d") else 2)
    if any(size > 1 for size in labels.shape[maps:]):
        lead = labels.shape[:maps]
        rows = tracer.labels.canonical(labels).reshape(lead.numel(), -1)
        labels = tracer.labels.gather(rows, tracer.meeting("a map")).view(*lead, *(1,) * (labels.ndim - maps))
    return [labels] * len(call.made)


def _dims(call: Call) -> list[int]:
    """The dimensions that a reduction is over."""
    names = {"linalg_vector_norm": 2, "norm": 2}
    dims = call.argument(names.get(call.op, 1), "dim")
    ndim = call.given[0].ndim
    if isinstance(dims, int) and not isinstance(dims, bool):
        return [dims % ndim]
    return [dim % ndim for dim in dims] if isinstance(dims, list | tuple) and dims else list(range(ndim))


def _reduced(tracer: Tracer, call: Call) -> Made:
    """A sum or a length over channels is of none, since silent ones add nothing; in a mean all go only together."""
    labels, dims = tracer.of(call.given[0]), _dims(call)
    if any(labels.shape[dim] > 1 for dim in dims):
        labels = compressed(tracer.labels.canonical(labels))
    if any(labels.shape[dim] > 1 for dim in dims):
        rest = [dim for dim in range(labels.ndim) if dim not in dims]
        kept = [1 if dim in dims else labels.shape[dim] for dim in range(labels.ndim)]
        rows = labels.permute(*rest, *dims).reshape(-1, int(torch.tensor([labels.shape[d] for d in dims]).prod()))
        if call.op in _SUMMED.split():
            labels = torch.zeros(kept, dtype=torch.long)
        else:
            labels = tracer.labels.gather(rows, tracer.meeting(f"'{call.op}'")).view(kept)
    if call.made[0].ndim < labels.ndim:
        labels = labels.reshape([labels.shape[dim] for dim in range(labels.ndim) if dim not in dims])
    return [compressed(labels)] * len(call.made)


def _normalized(tracer: Tracer, call: Call) -> Made:
    """Over one dimension, whose channels go only together."""
    labels, dim = tracer.of(call.given[0]), call.argument(1, "dim", -1)
    if labels.shape[dim] > 1:
        rows = tracer.labels.canonical(labels).movedim(dim, -1).reshape(-1, labels.shape[dim])
        tracer.labels.gather(rows, tracer.meeting(f"'{call.op.strip('_')}'"))
    return [labels] * len(call.made)


def _gated(tracer: Tracer, call: Call) -> Made:
    """Gated linear units: one half times the other's sigmoid."""
    x, dim = call.given[0], call.argument(1, "dim", -1)
    one, other = whole(tracer.of(x), x).chunk(2, dim)
    tracer.labels.tie(one, other)
    return [compressed(one)]


def _embedded(tracer: Tracer, call: Call) -> Made | None:
    weight = tracer.weight(call.args[0])
    if weight is None:
        return None
    return [tracer.side(weight, 1).view(*(1,) * (call.made[0].ndim - 1), -1)]


def _convolved(tracer: Tracer, call: Call) -> Made | None:
    x, kernel, bias = call.args[:3]
    transposed, groups = bool(call.args[6]), int(call.args[8])
    weight = tracer.weight(kernel)
    if weight is None:
        return None
    channels = tracer.along(tracer.of(x), 1, x)
    if groups > 1:
        out = _by_groups(tracer, weight, channels, groups)
        if transposed and kernel.shape[1] != 1:
            return None
    else:
        tracer.labels.tie(channels, tracer.side(weight, 0 if transposed else 1, reads=True))
        out = tracer.side(weight, 1 if transposed else 0)
    if bias is not None:
        tracer.labels.tie(tracer.of(bias), out)
    return [out.view(1, -1, *(1,) * (call.made[0].ndim - 2))]


def _by_groups(tracer: Tracer, weight: Weight, channels: Tensor, groups: int) -> Tensor:
    """Grouped convolutions lose whole groups; depthwise ones have one channel in each."""
    out = tracer.side(weight, 0)
    rows = torch.cat([channels.reshape(groups, -1), out.view(groups, -1)], 1)
    if rows.shape[1] == 2:
        tracer.labels.tie(rows[:, 0], rows[:, 1])
    else:
        tracer.labels.gather(rows, tracer.meeting("a group of the convolution"))
    return out


def _table() -> dict[str, Rule]:
    kinds: dict[Rule, str] = {
        _moved: _MOVED, _reshaped: _RESHAPED, _shuffled: _SHUFFLED, _same: _SAME, _pointwise: _POINTWISE,
        _reduced: f"{_SUMMED} {_MET}", _normalized: _NORMALIZED, _unlabelled: _UNLABELLED, _joined: "cat stack",
        _padded: "constant_pad_nd", _gated: "glu", group_norm: "native_group_norm",
        layer_norm: "native_layer_norm _fused_rms_norm", _embedded: "embedding",
        batch_norm: "native_batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit cudnn_batch_norm",
        _convolved: "convolution _convolution", linear: "linear", multiplied: "mm addmm", batched: "bmm baddbmm",
        attended: " ".join(f"_scaled_dot_product_{kind}" for kind in (
            "flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention", "attention_math",
        )),
    }  # fmt: skip
    table = {name: rule for rule, names in kinds.items() for name in names.split()}
    pools = {f"{name}{d}d": _pooled for name in _POOLED.split() for d in (1, 2, 3)}
    extra: dict[str, Rule] = {name: _pooled for name in _POOLED.split() if name.endswith("_aa")}
    extra |= {f"max_pool{d}d_with_indices": _pooled for d in (1, 2, 3)}
    return {**table, **pools, **extra}


RULES: dict[str, Rule] = _table()
"""Operator -> its rule."""
