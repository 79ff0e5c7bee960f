"""Initial weights of the GANs, as their originals have them: magnitude pruning feels them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from gentickets.tasks.networks.layers import Residual

Initial = Callable[[nn.Module], object]


def dcgan(module: nn.Module) -> None:
    """Weights from N(0, 0.02), norm scales from N(1, 0.02) (Radford et al., 2016)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)


def sngan(module: nn.Module) -> None:
    """As `dcgan`, with biases at zero (Miyato et al., 2018)."""
    dcgan(module)
    _zero_biases(module)


def gulrajani(module: nn.Module) -> None:
    """Glorot's uniform weights, with a gain of sqrt 2 on the way through a block, biases at zero (Gulrajani, 2017).

    Shortcuts, dense layers and the last convolution have a gain of 1.
    """
    inside = {id(layer) for block in module.modules() if isinstance(block, Residual) for layer in block.main.modules()}
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if id(layer) in inside else 1.0)
    _zero_biases(module)


def strided(module: nn.Module) -> None:
    """He-like uniform weights of variance 4 / (fan in + fan out), biases at zero (Gulrajani et al., 2017).

    A fan counts the weights that meet in one value: a stride thins one of the two out by its square.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            field = math.prod(layer.kernel_size)
            fans = layer.in_channels * field, layer.out_channels * field
            thin = math.prod(layer.stride)
            transposed = isinstance(layer, nn.ConvTranspose2d)
            both = fans[0] / thin + fans[1] if transposed else fans[0] + fans[1] / thin
            bound = math.sqrt(3 * 4 / both)
            nn.init.uniform_(layer.weight, -bound, bound)
    _zero_biases(module)


def _zero_biases(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
