"""The convolutional GAN of spectral normalization (Miyato et al., 2018, table 3).

Width is the number of channels next to the image, 64 in the original, with latent = 128. Up to three halvings, as far
as the side is even; larger images have a larger map at the dense layers (as the original's 48x48 has), not more
stages. The published table has the dense layer of the generator alone; batch norm and ReLU follow it here, as in the
code that the authors' group published.
"""

from __future__ import annotations

from torch import nn

from gentickets.tasks.networks.layers import Image, Style, View, convolution, even_side, transposed

STAGES = 3


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out): pairs of 3x3 and 4x4 stride-2 convolutions, one more 3x3, and a dense layer."""
    channels, side = image[0], even_side(image)
    stages = _stages(side)
    layers: list[nn.Module] = []
    for stage in range(stages):
        wide = style.width * 2**stage
        layers += convolution(2 * stage, style, channels, wide, 3, 1, 1)
        layers += convolution(2 * stage + 1, style, wide, wide, 4, 2, 1)
        channels, side = wide, side // 2
    layers += convolution(2 * stages, style, channels, 2 * channels, 3, 1, 1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2 * channels * side * side, out))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w): a dense layer to the map, 4x4 stride-2 transposed convolutions, a 3x3 one."""
    stages = _stages(even_side(image))
    side, wide = image[1] >> stages, style.width * 2**stages
    layers: list[nn.Module] = [nn.Linear(latent, wide * side * side, bias=False), View(-1, side, side)]
    layers += [nn.BatchNorm2d(wide), nn.ReLU()]
    for _ in range(stages):
        layers += transposed(wide, wide // 2, 4, 2, 1)
        wide //= 2
    return nn.Sequential(*layers, nn.Conv2d(wide, image[0], 3, 1, 1))


def _stages(side: int) -> int:
    """Halvings while the side is even, at most three."""
    stages = 0
    while stages < STAGES and (side >> stages) % 2 == 0:
        stages += 1
    return stages
