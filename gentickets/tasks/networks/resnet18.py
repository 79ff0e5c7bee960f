"""The ResNet-VAE's networks (Kalibhat et al., 2021): after ResNet-18 (He et al., 2016), one basic block per stage.

Stages of width 32-32-64-128-256 times width / 32. The side is halved, rounding up, by the stem and the last three
stages, and the way up goes through the same sides in reverse, with nearest resizing before 3x3 convolutions.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from gentickets.tasks.networks.layers import Image, Mean, Residual, Style, View, convolution

STAGES = (1, 1, 2, 4, 8)
"""Channels of the stem and the four stages, in widths."""


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out): stem, four basic blocks, the mean over the map, and a dense layer."""
    wide = [style.width * factor for factor in STAGES]
    layers = convolution(0, style, image[0], wide[0], 3, 2, 1)
    for stage, (before, after) in enumerate(pairwise(wide)):
        layers.append(_smaller(before, after, 1 if stage == 0 else 2, style))
    return nn.Sequential(*layers, Mean(), nn.Linear(wide[-1], out))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w): the mirror, from a dense layer that is spread over the smallest side."""
    wide = [style.width * factor for factor in STAGES]
    sides = [(image[1], image[2])]
    for _ in range(4):
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    layers: list[nn.Module] = [nn.Linear(latent, wide[4]), View(-1, 1, 1), nn.Upsample(sides[4])]
    for stage in (4, 3, 2):
        layers.append(_larger(wide[stage], wide[stage - 1], sides[stage - 1]))
    layers.append(_larger(wide[1], wide[0], None))
    return nn.Sequential(*layers, *_resized(wide[0], image[0], sides[0], bias=True))


def _smaller(before: int, after: int, stride: int, style: Style) -> Residual:
    main = convolution(1, style, before, after, 3, stride, 1) + convolution(1, style, after, after, 3, 1, 1)[:-1]
    same = before == after and stride == 1
    shortcut = nn.Identity() if same else nn.Sequential(*convolution(1, style, before, after, 1, stride, 0)[:-1])
    return Residual(nn.Sequential(*main), shortcut, style.activation())


def _larger(before: int, after: int, side: tuple[int, int] | None) -> Residual:
    def last() -> nn.Sequential:
        return nn.Sequential(*_resized(before, after, side), nn.BatchNorm2d(after))

    main = nn.Sequential(*_resized(before, before, None), nn.BatchNorm2d(before), nn.ReLU(), *last())
    return Residual(main, nn.Identity() if side is None else last(), nn.ReLU())


def _resized(before: int, after: int, side: tuple[int, int] | None, *, bias: bool = False) -> list[nn.Module]:
    """A 3x3 convolution, after a nearest resizing to the side where one is given."""
    resize: list[nn.Module] = [] if side is None else [nn.Upsample(side)]
    return [*resize, nn.Conv2d(before, after, 3, 1, 1, bias=bias)]
