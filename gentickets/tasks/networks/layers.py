"""What the networks are made of: styles, small layers, and the sizes that images allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from gentickets.errors import TicketError

Image = tuple[int, int, int]
"""(channels, height, width)."""


@dataclass(frozen=True)
class Style:
    """What a network follows from, besides its image. Norm and activation are those of the way down."""

    width: int
    """Hidden units of an mlp; of a convolutional network the channels next to the image."""
    depth: int = 2
    """Hidden layers of an mlp."""
    bottleneck: int = 4
    """The side at which a conv network stops halving."""
    norm: str = "none"
    """Batch norm: ``none``, ``batch`` (on all layers but the first) or ``batch-all``; never on the last."""
    activation: Callable[[], nn.Module] = nn.ReLU

    def normed(self, place: int) -> bool:
        """Whether the layer in that place from the image is followed by a norm."""
        return self.norm == "batch-all" or (self.norm == "batch" and place > 0)


class View(nn.Module):
    """Reshape each sample: (n, ...) to (n, *shape). A first size of -1 follows from the others (Trap 15)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to (n, *shape)."""
        first, *rest = self.shape
        if first == -1:  # in numbers, as a batch of no samples leaves nothing to infer it from
            first = prod(x.shape[1:]) // prod(rest)
        return x.reshape(x.shape[0], first, *rest)

    def extra_repr(self) -> str:
        """The shape, for printing."""
        return str(self.shape)


class Mean(nn.Module):
    """The mean over each channel: (n, c, h, w) to (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c)."""
        return x.mean((2, 3))


class Residual(nn.Module):
    """Two ways whose results are added, and what comes after the sum."""

    def __init__(self, main: nn.Module, shortcut: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.main, self.shortcut, self.after = main, shortcut, after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Both ways, their sum, and what comes after it."""
        y: Tensor = self.after(self.main(x) + self.shortcut(x))
        return y


class Halve(nn.Module):
    """The mean over 2x2 pixels: (n, c, h, w) to (n, c, h/2, w/2).

    `nn.AvgPool2d` with a backward pass of its own, which autograd takes for what it is: linear in the gradient alone.
    See `PiecewiseLinear`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, h/2, w/2)."""
        y: Tensor = _Halved.apply(x)
        return y


class _Halved(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.set_materialize_grads(False)  # no gradient stays none: zeros would go back through every layer before

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor | None) -> Tensor | None:
        (gradient,) = gradients
        return None if gradient is None else F.interpolate(gradient, scale_factor=2.0, mode="nearest") / 4


class PiecewiseLinear(nn.Module):
    """A (leaky) ReLU whose slopes autograd takes as constants: the same values and the same derivatives.

    The plain one's second derivative is zero almost everywhere, but autograd does not know that: differentiating a
    gradient penalty, it carries tensors of zeros back through every convolution. Here there is no such way back.
    """

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """x where it is positive, ``slope`` times x elsewhere."""
        slopes = torch.full_like(x, self.slope, requires_grad=False).masked_fill_(x.detach() > 0, 1.0)
        return x * slopes

    def extra_repr(self) -> str:
        """The slope, for printing."""
        return str(self.slope)


def dense(sizes: Sequence[int], style: Style) -> list[nn.Module]:
    """Linear layers of these sizes, each but the last followed by its norm and activation."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(sizes[:-1])):
        normed = style.normed(place)
        layers.append(nn.Linear(before, after, bias=not normed))
        layers += [nn.BatchNorm1d(after), style.activation()] if normed else [style.activation()]
    return [*layers, nn.Linear(sizes[-2], sizes[-1])]


def convolution(
    place: int, style: Style, before: int, after: int, kernel: int, stride: int, padding: int
) -> list[nn.Module]:
    """A convolution with its norm and activation; no bias in front of a norm."""
    normed = style.normed(place)
    layers: list[nn.Module] = [nn.Conv2d(before, after, kernel, stride, padding, bias=not normed)]
    return [*layers, nn.BatchNorm2d(after), style.activation()] if normed else [*layers, style.activation()]


def transposed(before: int, after: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """A transposed convolution with batch norm and ReLU."""
    layer = nn.ConvTranspose2d(before, after, kernel, stride, padding, bias=False)
    return [layer, nn.BatchNorm2d(after), nn.ReLU()]


def pixels(image: Image) -> int:
    """Numbers in an image."""
    return prod(image)


def even_side(image: Image) -> int:
    """The side of a square image that can be halved; TicketError for others."""
    _, height, width = image
    if height != width or height < 4 or height % 2:
        raise TicketError(
            f"convolutional networks need square images with an even side of at least 4, not {height}x{width}: "
            "set [data] size"
        )
    return height


def halvings(side: int, least: int) -> int:
    """Halvings until the side is odd or at most ``least``; at least one."""
    stages = 1
    while (side >> stages) % 2 == 0 and side >> stages > least:
        stages += 1
    return stages
