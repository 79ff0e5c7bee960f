"""Multilayer perceptrons: ``depth`` hidden layers of ``width`` units."""

from __future__ import annotations

from torch import nn

from gentickets.tasks.networks.layers import Image, Style, View, dense, pixels


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out)."""
    return nn.Sequential(nn.Flatten(), *dense([pixels(image), *[style.width] * style.depth, out], style))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w)."""
    return nn.Sequential(*dense([latent, *[style.width] * style.depth, pixels(image)], style), View(*image))
