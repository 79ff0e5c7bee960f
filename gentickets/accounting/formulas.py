"""How many FLOPs each operation of PyTorch does, from the shapes that it is given. 1 multiply-add = 2 FLOPs.

**Products** (convolutions, matrix products): a multiply-add for every pair of numbers that are multiplied and summed,
those on padding included. Every weight of a convolution is used once at each point of its output, or of its *input*
where it is transposed (Trap 22); groups make the weight smaller. Biases are not counted.

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

**Nothing** is counted for what is done number by number: activations, losses, sums and means, optimizers, masks,
averages; nor for the second derivative of a norm, which PyTorch puts together of such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

CONVOLUTION, LINEAR, NORM = "convolution", "linear", "norm"
KINDS = (CONVOLUTION, LINEAR, NORM)
"""Kinds of work. Products with patches, which stand in for convolutions in bfloat16, are linear."""

Given = Mapping[str, Any]
"""An operation's arguments by their names in its schema."""
Formula = Callable[[Given, Any], int]
"""(arguments, result) -> FLOPs."""


def _convolution(given: Given, out: Tensor) -> int:
    grid = given["input"] if given["transposed"] else out
    return _each_weight(given["weight"], grid)


def _convolution_backward(given: Given, out: object) -> int:
    grid = given["input"] if given["transposed"] else given["grad_output"]
    asked = sum(given["output_mask"][:2])  # of input, weight and bias, only what is computed
    return int(asked * _each_weight(given["weight"], grid))


def _each_weight(weight: Tensor, grid: Tensor) -> int:
    return 2 * weight.numel() * grid.shape[0] * prod(grid.shape[2:])


def _matrices(one: str, other: str) -> Formula:
    """Of two matrices, or of batches of them."""
    return lambda given, out: 2 * int(given[one].numel()) * int(given[other].shape[-1])


def _vector(one: str) -> Formula:
    """Of a matrix or a vector with a vector."""
    return lambda given, out: 2 * int(given[one].numel())


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


def _asked(given: Given) -> tuple[bool, bool, bool]:
    """Which gradients are computed: input, scale, shift. cuDNN always computes all."""
    input, scale, shift = given.get("output_mask", (True, True, True))
    return bool(input), bool(scale), bool(shift)


def _by_the_batch(given: Given) -> bool:
    """Whether the batch's own statistics are taken: schemas call it differently, or leave it to their name."""
    return bool(next((given[name] for name in ("training", "train", "update") if name in given), True))


_ATEN: dict[str, tuple[str, Formula]] = {
    "convolution": (CONVOLUTION, _convolution),
    "convolution_backward": (CONVOLUTION, _convolution_backward),
    "mm": (LINEAR, _matrices("self", "mat2")),
    "addmm": (LINEAR, _matrices("mat1", "mat2")),
    "_addmm_activation": (LINEAR, _matrices("mat1", "mat2")),
    "bmm": (LINEAR, _matrices("self", "mat2")),
    "baddbmm": (LINEAR, _matrices("batch1", "batch2")),
    "addbmm": (LINEAR, _matrices("batch1", "batch2")),
    "mv": (LINEAR, _vector("self")),
    "addmv": (LINEAR, _vector("mat")),
    "dot": (LINEAR, _vector("self")),
    "vdot": (LINEAR, _vector("self")),
    "native_batch_norm": (NORM, _batch_norm),
    "_native_batch_norm_legit": (NORM, _batch_norm),
    "_native_batch_norm_legit_no_training": (NORM, _fixed_norm),
    "_batch_norm_no_update": (NORM, _fixed_norm),
    "_batch_norm_with_update": (NORM, _batch_norm),
    "batch_norm_with_update": (NORM, _batch_norm),
    "cudnn_batch_norm": (NORM, _batch_norm),
    "miopen_batch_norm": (NORM, _batch_norm),
    "native_batch_norm_backward": (NORM, _batch_norm_backward),
    "batch_norm_backward": (NORM, _batch_norm_backward),
    "cudnn_batch_norm_backward": (NORM, _batch_norm_backward),
    "miopen_batch_norm_backward": (NORM, _batch_norm_backward),
    "native_group_norm": (NORM, _own_norm),
    "native_group_norm_backward": (NORM, _own_norm_backward),
    "native_layer_norm": (NORM, _layer_norm),
    "native_layer_norm_backward": (NORM, _layer_norm_backward),
}

FORMULAS: dict[object, tuple[str, Formula]] = {
    getattr(torch.ops.aten, name): formula for name, formula in _ATEN.items() if hasattr(torch.ops.aten, name)
}
"""Operation (all its overloads) -> kind and formula."""
