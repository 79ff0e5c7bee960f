"""How many FLOPs each operation of PyTorch does, from the shapes that it is given. 1 multiply-add = 2 FLOPs.

**Products** (convolutions, matrix products): a multiply-add for every pair of numbers that are multiplied and summed,
those on padding included. Every weight of a convolution is used once at each point of its output, or of its *input*
where it is transposed (Trap 22); groups make the weight smaller. Biases are not counted. Of complex numbers a
multiply-add is four of real ones.

**Norms**, for each number that is normalized, in as few operations as it can be done with; what is done once a channel
or once an image is not counted:

| | FLOPs |
|---|---|
| normalize, and scale and shift, by coefficients of the channel | 2: one multiply-add |
| statistics of the batch (of the image, of the group) | 3: a sum, a sum of squares |
| backward, fixed statistics: input; scale; shift | 1; 2; 1 |
| backward, the batch's statistics: input; the two sums that scale and shift are given by as well | 4; 3 |

So a batch norm costs 2 forward and 4 backward in evaluation mode, 5 and 7 in training mode. Group and instance norms
cost what a batch norm does in training mode. A layer norm's scale and shift are not the channel's: 2 more forward, 1
more for the input, and 4 and 1 for scale and shift.

Attention, recurrent and bilinear layers, bags, distances and resampling: see `gentickets.accounting.attention` and
`gentickets.accounting.layers`; they are of the kind *linear*.

**Nothing** is counted for what is done number by number: activations, losses, sums and means, optimizers, masks,
averages; nor for the second derivative of a norm, which PyTorch puts together of such. Operators that count nothing
stand in a table of their own, `gentickets.accounting.free`. One that stands in neither has no known count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from gentickets.accounting.attention import ATTENTION
from gentickets.accounting.free import plain
from gentickets.accounting.layers import LAYERS

CONVOLUTION, LINEAR, NORM = "convolution", "linear", "norm"
KINDS = (CONVOLUTION, LINEAR, NORM)
"""Kinds of work. Products with patches, which stand in for convolutions in bfloat16, are linear."""

COMPLEX = 4
"""Multiply-adds of real numbers in one of complex ones."""

Given = Mapping[str, Any]
"""An operation's arguments by their names in its schema."""
Formula = Callable[[Given, Any], int | None]
"""(arguments, result) -> FLOPs; None where they cannot be told."""


def _convolution(given: Given, out: Tensor) -> int:
    return _each_weight(given["weight"], _input(given) if given.get("transposed") else out)


def _transposed(given: Given, out: object) -> int:
    return _each_weight(given["weight"], _input(given))


def _input(given: Given) -> Tensor:
    found: Tensor = given["input"] if "input" in given else given["self"]
    return found


def _in_time(given: Given, out: Tensor) -> int:
    """`conv_tbc`: time, batch, channels."""
    return 2 * int(given["weight"].numel()) * prod(out.shape[:2])


def _convolution_backward(given: Given, out: object) -> int:
    grid = _input(given) if given.get("transposed") else given["grad_output"]
    asked = sum(given["output_mask"][:2])  # of input, weight and bias, only what is computed
    return int(asked * _each_weight(given["weight"], grid))


def _each_weight(weight: Tensor, grid: Tensor) -> int:
    return 2 * weight.numel() * grid.shape[0] * prod(grid.shape[2:])


def _matrices(one: str, other: str) -> Formula:
    """Of two matrices, or of batches of them; of a sparse one only what is stored."""

    def product(given: Given, out: object) -> int | None:
        left, right = given[one], given[other]
        if _is_sparse(left) and _is_sparse(right):
            return None
        if _is_sparse(right):
            return 2 * int(left.shape[-2]) * _stored(right)
        return 2 * _stored(left) * int(right.shape[-1])

    return product


def _vector(one: str) -> Formula:
    """Of a matrix or a vector with a vector."""
    return lambda given, out: 2 * _stored(given[one])


def _is_sparse(tensor: Tensor) -> bool:
    return tensor.is_sparse or tensor.layout in _COMPRESSED


def _stored(tensor: Tensor) -> int:
    """How many numbers a tensor holds."""
    if tensor.layout in _COMPRESSED:
        return int(tensor.values().numel())
    return int((tensor._values() if tensor.is_sparse else tensor).numel())


def _outer(given: Given, out: Tensor) -> int:
    return 2 * int(out.numel())


def _linear(given: Given, out: Tensor) -> int:
    return 2 * int(out.numel()) * int(given["weight"].shape[-1])


def _fixed_norm(given: Given, out: object) -> int:
    return 2 * int(given["input"].numel())


def _own_norm(given: Given, out: object) -> int:
    return 5 * int(given["input"].numel())


def _batch_norm(given: Given, out: object) -> int:
    return _own_norm(given, out) if _by_the_batch(given) else _fixed_norm(given, out)


def _batch_norm_backward(given: Given, out: object) -> int:
    if _by_the_batch(given):
        return _own_norm_backward(given, out)
    input, scale, shift = _asked(given)
    return int(given["input"].numel()) * (input + 2 * scale + shift)


def _own_norm_backward(given: Given, out: object) -> int:
    input, scale, shift = _asked(given)
    return int(given["input"].numel()) * (4 * input + 3 * (input or scale or shift))


def _layer_norm(given: Given, out: object) -> int:
    return int(given["input"].numel()) * (5 if given["weight"] is None else 7)


def _layer_norm_backward(given: Given, out: object) -> int:
    input, scale, shift = _asked(given)
    scaled = given["weight"] is not None
    return int(given["input"].numel()) * ((7 + scaled) * input + 4 * scale + shift)


def _each(times: int) -> Formula:
    """So much for each number that is normalized: parts of a norm over several machines."""
    return lambda given, out: times * int(given["input"].numel())


def _asked(given: Given) -> tuple[bool, bool, bool]:
    """Which gradients are computed: input, scale, shift. cuDNN always computes all."""
    input, scale, shift = given.get("output_mask", (True, True, True))
    return bool(input), bool(scale), bool(shift)


def _by_the_batch(given: Given) -> bool:
    """Whether the batch's own statistics are taken: schemas call it differently, or leave it to their name."""
    return bool(next((given[name] for name in ("training", "train", "update") if name in given), True))


_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)

_CONVOLUTIONS: dict[str, Formula] = {
    **dict.fromkeys(
        (
            "convolution", "_convolution", "convolution_overrideable", "cudnn_convolution", "cudnn_convolution_relu",
            "cudnn_convolution_add_relu", "miopen_convolution", "miopen_convolution_relu",
            "miopen_convolution_add_relu", "miopen_depthwise_convolution", "mkldnn_convolution", "_mps_convolution",
            "_nnpack_spatial_convolution", "_slow_conv2d_forward", "slow_conv3d_forward", "slow_conv_dilated2d",
            "slow_conv_dilated3d", "_conv_depthwise2d", "conv_depthwise3d",
        ),
        _convolution,
    ),
    **dict.fromkeys(
        (
            "cudnn_convolution_transpose", "miopen_convolution_transpose", "_mps_convolution_transpose",
            "slow_conv_transpose2d", "slow_conv_transpose3d",
        ),
        _transposed,
    ),
    "convolution_backward": _convolution_backward,
    "convolution_backward_overrideable": _convolution_backward,
    "_slow_conv2d_backward": _convolution_backward,
    "conv_tbc": _in_time,
}  # fmt: skip
_PRODUCTS: dict[str, Formula] = {
    "mm": _matrices("self", "mat2"),
    "addmm": _matrices("mat1", "mat2"),
    "_addmm_activation": _matrices("mat1", "mat2"),
    "bmm": _matrices("self", "mat2"),
    "baddbmm": _matrices("batch1", "batch2"),
    "addbmm": _matrices("batch1", "batch2"),
    "_sparse_addmm": _matrices("mat1", "mat2"),
    "_scaled_mm": _matrices("self", "mat2"),
    "_int_mm": _matrices("self", "mat2"),
    "mkldnn_linear": _linear,
    "mv": _vector("self"),
    "addmv": _vector("mat"),
    "dot": _vector("self"),
    "vdot": _vector("self"),
    "addr": _outer,
}
_NORMS: dict[str, Formula] = {
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_functional": _batch_norm,
    "_native_batch_norm_legit_no_training": _fixed_norm,
    "_batch_norm_no_update": _fixed_norm,
    "_batch_norm_with_update": _batch_norm,
    "_batch_norm_with_update_functional": _batch_norm,
    "batch_norm_with_update": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "miopen_batch_norm": _batch_norm,
    "native_batch_norm_backward": _batch_norm_backward,
    "batch_norm_backward": _batch_norm_backward,
    "cudnn_batch_norm_backward": _batch_norm_backward,
    "miopen_batch_norm_backward": _batch_norm_backward,
    "batch_norm_stats": _each(3),
    "batch_norm_elemt": _each(2),
    "batch_norm_backward_reduce": _each(3),
    "batch_norm_backward_elemt": _each(4),
    "native_group_norm": _own_norm,
    "native_group_norm_backward": _own_norm_backward,
    "native_layer_norm": _layer_norm,
    "native_layer_norm_backward": _layer_norm_backward,
}
FORMULAS: dict[str, tuple[str, Formula]] = {
    name: (kind, formula)
    for kind, formulas in (
        (CONVOLUTION, _CONVOLUTIONS),
        (LINEAR, _PRODUCTS),
        (LINEAR, ATTENTION),
        (LINEAR, LAYERS),
        (NORM, _NORMS),
    )
    for name, formula in formulas.items()
}
"""Operator in the namespace ``aten``, without the ``_`` of one in place -> kind and formula."""


def formula_of(name: str) -> tuple[str, Formula] | None:
    """Kind and formula of an operator; its name with its namespace, ``aten::mm``. None where there is none."""
    own = name.removeprefix("aten::")
    return FORMULAS.get(plain(own)) if own != name else None
