"""Convolutional stacks: 4x4 kernels of stride 2, as in DCGAN (Radford, 2016).

The side is halved until it is odd or at most ``bottleneck``. With bottleneck = 4 and width = 128 that is DCGAN at
32x32; with bottleneck = 2, width = 64 and latent = 32 the paper's VAE: four stages, then a 2x2 convolution.
"""

from __future__ import annotations

from torch import nn

from gentickets.tasks.networks.layers import Image, Style, View, convolution, even_side, halvings, transposed


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out): width, 2 width, ... channels, then one convolution over what is left."""
    channels, side = image[0], even_side(image)
    layers: list[nn.Module] = []
    for stage in range(halvings(side, style.bottleneck)):
        layers += convolution(stage, style, channels, style.width * 2**stage, 4, 2, 1)
        channels, side = style.width * 2**stage, side // 2
    return nn.Sequential(*layers, nn.Conv2d(channels, out, side), nn.Flatten())


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w): the mirror, with batch norm and ReLU after each layer but the last."""
    side = even_side(image)
    stages = halvings(side, style.bottleneck)
    wide = style.width * 2 ** (stages - 1)
    layers: list[nn.Module] = [View(latent, 1, 1), *transposed(latent, wide, side >> stages)]
    for _ in range(stages - 1):
        layers += transposed(wide, wide // 2, 4, 2, 1)
        wide //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(wide, image[0], 4, 2, 1))
