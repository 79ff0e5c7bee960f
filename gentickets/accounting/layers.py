"""FLOPs of whole layers that arrive as one operation: recurrent and bilinear ones, bags, distances, resampling.

**Recurrent layers**: every weight matrix (input's, state's, projection's, of each layer and direction) multiplies every
step of every sequence once; gates count nothing. Backward the same for the gradients of inputs and states, and once
more for those of the weights.

**Bilinear layers**: input with weight, and the result with the other input. **Bags**: an addition for each number of
each row that is read, a multiply-add where rows have weights; backward the same. **Distances**, for each pair and
coordinate: 3 (a difference, its power, a sum), backward 3; by matrix products where PyTorch takes that way. **Linear
and cubic resampling**: a multiply-add for every neighbour of every point; the nearest one is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from torch import Tensor

Given = Mapping[str, Any]
Formulas = dict[str, Callable[[Given, Any], int | None]]


# -- recurrent -------------------------------------------------------------------------------------------------


def _recurrent(given: Given, matrices: Sequence[Tensor]) -> int:
    """Each matrix meets every step of every sequence; packed sequences have one behind the other."""
    return int(2 * prod(given["input"].shape[:-1]) * sum(matrix.numel() for matrix in matrices))


def _one_layer(given: Given, out: object, first: str, second: str, times: int) -> int:
    """oneDNN's, of one layer in one direction, with two matrices and two biases."""
    return times * _recurrent(given, [given[first], given[second]])


def _layers(given: Given, out: object, weights: str, times: int) -> int:
    """Of all layers and directions; the weights' gradients only where they are asked for."""
    asked = given.get("output_mask", (True,) * 4)
    return (times if asked[3] else 1) * _recurrent(given, [one for one in given[weights] if one.ndim == 2])


# -- bilinear --------------------------------------------------------------------------------------------------


def _trilinear(given: Given, out: object) -> int:
    """Two products of pairs for each slice; one that sums nothing goes number by number.

    Shapes are laid over each other with 1 where a factor lacks a dimension. Slices are added up.
    """
    apart, summed = given["unroll_dim"], given["sumdim"]
    one, two, three = (
        _spread(given[name].shape, given[lacks])
        for name, lacks in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3"))
    )
    slices = max(shape[apart] for shape in (one, two, three))
    for shape in (one, two, three):
        shape[apart] = 1
    early = [dim for dim in summed if dim != apart and dim in given["expand3"]]
    late = [dim for dim in summed if dim != apart and dim not in given["expand3"]]
    both = [max(sizes) for sizes in zip(one, two, strict=True)]
    flops = 2 * prod(both) if early else 0
    between = [1 if dim in early else size for dim, size in enumerate(both)]
    if late:
        flops += 2 * prod(max(sizes) for sizes in zip(between, three, strict=True))
    return int(slices * flops)


def _spread(shape: Sequence[int], lacks: Sequence[int]) -> list[int]:
    own = iter(shape)
    return [1 if dim in lacks else next(own) for dim in range(len(shape) + len(lacks))]


# -- bags and distances ----------------------------------------------------------------------------------------


def _bag(given: Given, out: object) -> int:
    """Rows of the weight, or of its gradient; ``grad`` is one row for each bag."""
    rows = given["weight"] if "weight" in given else given["grad"]
    weighted = given["per_sample_weights"] is not None
    return (1 + weighted) * int(given["indices"].numel()) * int(rows.shape[-1])


def _bag_weights(given: Given, out: object) -> int:
    """The gradient of a row's weight: a dot product."""
    return 2 * int(given["indices"].numel()) * int(given["weight"].shape[-1])


def _distances(given: Given, out: Tensor) -> int:
    return 3 * int(out.numel()) * int(given["x1"].shape[-1])


def _distances_backward(given: Given, out: object) -> int:
    return 3 * int(given["cdist"].numel()) * int(given["x1"].shape[-1])


def _euclidean(given: Given, out: Tensor) -> int:
    """One matrix product: squared lengths stand beside the coordinates."""
    return 2 * int(out.numel()) * (int(given["x1"].shape[-1]) + 2)


def _own_distances(given: Given, out: object) -> int:
    """Of all pairs of rows."""
    n, d = (int(size) for size in given["self"].shape)
    return 3 * d * (n * (n - 1) // 2)


# -- resampling ------------------------------------------------------------------------------------------------


def _resample(given: Given, out: object, neighbours: int) -> int:
    made = given.get("grad_output", out)
    return 2 * neighbours * int(made.numel())


NEAREST, CUBIC = 1, 2
"""Of `grid_sample`."""


def _grid(given: Given, out: Tensor) -> int:
    return 2 * _neighbours(given) * int(out.numel())


def _grid_backward(given: Given, out: object) -> int:
    """The input's gradient, and the grid's in each coordinate."""
    dims, asked = int(given["grid"].shape[-1]), given.get("output_mask", (True, True))
    return int(2 * _neighbours(given) * given["grad_output"].numel() * (asked[0] + dims * asked[1]))


def _neighbours(given: Given) -> int:
    mode, dims = given.get("interpolation_mode", 0), int(given["grid"].shape[-1])
    return 0 if mode == NEAREST else int((4 if mode == CUBIC else 2) ** dims)


def _affine_grid(given: Given, out: Tensor) -> int:
    """Every point of the grid times a matrix."""
    return 2 * int(out.numel()) * int(given["theta"].shape[-1])


_NEIGHBOURS = {"upsample_linear1d": 2, "upsample_bilinear2d": 4, "upsample_trilinear3d": 8, "upsample_bicubic2d": 16}
_GRIDS = ("grid_sampler_2d", "grid_sampler_3d", "_grid_sampler_2d_cpu_fallback")
LAYERS: Formulas = {
    "mkldnn_rnn_layer": partial(_one_layer, first="weight0", second="weight1", times=1),
    "mkldnn_rnn_layer_backward": partial(_one_layer, first="weight1", second="weight2", times=2),
    "_cudnn_rnn": partial(_layers, weights="weight", times=1),
    "_cudnn_rnn_backward": partial(_layers, weights="weight", times=2),
    "miopen_rnn": partial(_layers, weights="weight", times=1),
    "miopen_rnn_backward": partial(_layers, weights="weight", times=2),
    "_lstm_mps": partial(_layers, weights="params", times=1),
    "lstm_mps_backward": partial(_layers, weights="params", times=2),
    "_trilinear": _trilinear,
    "_embedding_bag": _bag,
    "_embedding_bag_forward_only": _bag,
    "_embedding_bag_backward": _bag,
    "_embedding_bag_dense_backward": _bag,
    "_embedding_bag_per_sample_weights_backward": _bag_weights,
    "_cdist_forward": _distances,
    "_cdist_backward": _distances_backward,
    "_euclidean_dist": _euclidean,
    "_pdist_forward": _own_distances,
    "_pdist_backward": _own_distances,
    **{name: partial(_resample, neighbours=count) for name, count in _NEIGHBOURS.items()},
    **{f"{name}_backward": partial(_resample, neighbours=count) for name, count in _NEIGHBOURS.items()},
    **dict.fromkeys((*_GRIDS, "cudnn_grid_sampler"), _grid),
    **dict.fromkeys([f"{name}_backward" for name in (*_GRIDS, "cudnn_grid_sampler")], _grid_backward),
    "affine_grid_generator": _affine_grid,
    "cudnn_affine_grid_generator": _affine_grid,
}
"""Operation -> formula."""
