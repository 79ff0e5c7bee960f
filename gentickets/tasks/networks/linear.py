"""The linear autoencoder's networks (Kalibhat et al., 2021): 784-128-64-12-latent and its mirror, with ReLU.

``width`` is the largest hidden layer and scales the other two; 128 is the paper's, with latent = 3.
"""

from __future__ import annotations

from torch import nn

from gentickets.tasks.networks.layers import Image, Style, View, dense, pixels

HIDDEN = (128, 64, 12)


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out)."""
    return nn.Sequential(nn.Flatten(), *dense([pixels(image), *_hidden(style.width), out], style))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w)."""
    return nn.Sequential(*dense([latent, *_hidden(style.width)[::-1], pixels(image)], style), View(*image))


def _hidden(width: int) -> list[int]:
    return [max(1, round(size * width / HIDDEN[0])) for size in HIDDEN]
