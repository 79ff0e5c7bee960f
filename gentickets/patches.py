"""Convolutions over small maps as one matrix product, for bfloat16 on CPUs.

PyTorch's kernels for the gradients of weights (2.15; oneDNN's, with AVX-512 and AMX) are made for large maps. On small
ones with many channels they take up to eight times as long as a product with the patches of the map, measured on 32 to
512 channels. And where the stride is wider than the map, they leave the gradients of weights that meet nothing but
padding as they find them in memory: anything, and NaN at times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRODUCT_FROM = 16
"""Channels for each point of the smaller map from which on the product is the faster one."""
Convolution = nn.Conv2d | nn.ConvTranspose2d
Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """How a kernel is laid over a larger map, the image's, at each point of a smaller one."""

    kernel: Pair
    stride: Pair
    padding: Pair
    small: Pair
    large: Pair

    @property
    def overreaching(self) -> bool:
        """Whether the stride is wider than the map that it is laid over."""
        return self.large[0] < self.stride[0] or self.large[1] < self.stride[1]


def minding_maps(layer: Convolution, *, compiled: bool = False) -> Callable[..., Tensor]:
    """The layer's ``forward``, but a matrix product under autocast on a CPU where that is faster, or alone is right.

    ``compiled``: the product is kept out of compiled code, which takes twice as long for it.
    """
    plain: Callable[..., Tensor] = layer.forward
    multiply = torch.compiler.disable(product) if compiled else product  # type: ignore[no-untyped-call]
    simple = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    simple = simple and not isinstance(layer.padding, str)

    def forward(x: Tensor, *more: Any) -> Tensor:
        if not simple or more or x.ndim != 4 or not torch.is_autocast_enabled("cpu"):
            return plain(x, *more)
        geometry = geometry_of(layer, x.shape[-2], x.shape[-1])
        points = geometry.small[0] * geometry.small[1]
        if geometry.overreaching or layer.weight.shape[0] >= PRODUCT_FROM * points:
            return multiply(layer, x.to(torch.bfloat16), geometry)
        return plain(x)

    return forward


def geometry_of(layer: Convolution, height: int, width: int) -> Geometry:
    """The geometry of a layer on an input of these sides; the smaller map is a convolution's output."""
    kernel, stride, padding = (_pair(one) for one in (layer.kernel_size, layer.stride, layer.padding))
    given, sides = (height, width), zip((height, width), kernel, stride, padding, strict=True)
    if isinstance(layer, nn.Conv2d):
        made = [(side + 2 * p - k) // s + 1 for side, k, s, p in sides]
        return Geometry(kernel, stride, padding, _pair(made), given)
    more = _pair(layer.output_padding)
    made = [(side - 1) * s - 2 * p + k + e for (side, k, s, p), e in zip(sides, more, strict=True)]
    return Geometry(kernel, stride, padding, given, _pair(made))


def product(layer: Convolution, x: Tensor, geometry: Geometry) -> Tensor:
    """What the layer gives, in x's dtype: patches times weights; transposed, x times weights, laid over each other."""
    weight = layer.weight.to(x.dtype).permute(0, 2, 3, 1).flatten(1)  # free for channels-last weights
    if isinstance(layer, nn.Conv2d):
        patches: Tensor = _Gather.apply(x, geometry)
        y = (patches @ weight.t()).view(len(x), *geometry.small, -1).permute(0, 3, 1, 2)
    else:
        y = _Scatter.apply(x.permute(0, 2, 3, 1).flatten(0, 2) @ weight, geometry)
    return y if layer.bias is None else y + layer.bias.to(x.dtype)[:, None, None]


class _Gather(torch.autograd.Function):
    """(n, c, large) to (n * points of the small map, kernel * c): what the kernel meets at each point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry) -> Tensor:
        ctx.geometry = geometry
        (k, s, p), (m, t, q) = zip(geometry.kernel, geometry.stride, geometry.padding, strict=True)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, q, q, p, p))
        patches = padded.unfold(1, k, s).unfold(2, m, t).permute(0, 1, 2, 4, 5, 3)
        return patches.reshape(-1, k * m * x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        return _Scatter.apply(gradient[0], ctx.geometry), None


class _Scatter(torch.autograd.Function):
    """The transpose of `_Gather`: patches laid over each other and added up, at least in float32."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, geometry: Geometry) -> Tensor:
        ctx.geometry = geometry
        (k, s, p, high, top), (m, t, q, wide, left) = zip(
            geometry.kernel, geometry.stride, geometry.padding, geometry.small, geometry.large, strict=True
        )
        laid = patches.view(-1, high, wide, k, m, patches.shape[1] // (k * m))
        sides = max(top + 2 * p, (high - 1) * s + k), max(left + 2 * q, (wide - 1) * t + m)
        exact = torch.promote_types(patches.dtype, torch.float32)
        padded = patches.new_zeros(len(laid), *sides, laid.shape[-1], dtype=exact)
        for i in range(k):
            for j in range(m):
                padded[:, i : i + (high - 1) * s + 1 : s, j : j + (wide - 1) * t + 1 : t] += laid[:, :, :, i, j]
        return padded[:, p : p + top, q : q + left].permute(0, 3, 1, 2).to(patches.dtype)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        return _Gather.apply(gradient[0], ctx.geometry), None


def _pair(sides: Any) -> Pair:
    one, other = sides
    return int(one), int(other)
