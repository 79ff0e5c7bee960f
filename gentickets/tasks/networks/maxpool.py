"""The convolutional autoencoder's networks (Kalibhat et al., 2021): five 3x3 convolutions with two max-pools.

Fully convolutional, without norms: the code is the map of 16 width channels at a quarter of the side, which an
autoencoder takes as it is, so that its ``latent`` means nothing. Where another length is asked for (a VAE's latent, a
discriminator's one number), a dense layer stands between vector and map. width = 32 is the paper's.
"""

from __future__ import annotations

from math import prod

from torch import nn

from gentickets.errors import TicketError
from gentickets.tasks.networks.layers import Image, Style, View, convolution


def code(image: Image, style: Style) -> int:
    """The length of the code: the numbers in the map."""
    return prod(_map(image, style))


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out); the pools come before the third and the fourth convolution."""
    sizes = [image[0], *(style.width * 2**stage for stage in range(5))]
    layers: list[nn.Module] = []
    for place in range(4):
        layers += [nn.MaxPool2d(2)] if place in (2, 3) else []
        layers += convolution(place, style, sizes[place], sizes[place + 1], 3, 1, 1)
    if out == code(image, style):
        return nn.Sequential(*layers, nn.Conv2d(sizes[4], sizes[5], 3, 1, 1), nn.Flatten())
    layers += convolution(4, style, sizes[4], sizes[5], 3, 1, 1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(code(image, style), out))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w): 3x3 transposed convolutions, and 2x2 ones of stride 2 where the pools are undone."""
    layers: list[nn.Module] = [] if latent == code(image, style) else [nn.Linear(latent, code(image, style))]
    _, *sides = _map(image, style)
    layers.append(View(-1, *sides))
    wide = 16 * style.width
    for geometry in ((3, 1, 1), (2, 2, 0), (2, 2, 0), (3, 1, 1)):
        layers += [nn.ReLU(), nn.ConvTranspose2d(wide, wide // 2, *geometry)]
        wide //= 2
    return nn.Sequential(*layers, nn.ReLU(), nn.ConvTranspose2d(wide, image[0], 3, 1, 1))


def _map(image: Image, style: Style) -> tuple[int, int, int]:
    _, height, width = image
    if height % 4 or width % 4:
        raise TicketError(
            f"network 'maxpool' halves the image twice: its sides must be multiples of 4, not {height}x{width}: "
            "set [data] size"
        )
    return 16 * style.width, height // 4, width // 4
