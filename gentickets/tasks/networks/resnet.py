"""The residual GAN for CIFAR-10 (Gulrajani et al., 2017).

Width is the number of channels throughout, 128 in the original, with latent = 128. The generator doubles the side
from one that is odd or at most 4; the discriminator halves it once less often, at least once, and goes on with two
blocks that keep it. 1x1 shortcuts run on the smaller side, where they give the same at less cost.
"""

from __future__ import annotations

from torch import nn

from gentickets.tasks.networks.layers import Halve, Image, Mean, Residual, Style, View, even_side, halvings

START = 4


def down(image: Image, out: int, style: Style) -> nn.Sequential:
    """(n, c, h, w) to (n, out)."""
    wide = style.width
    first = [_conv(image[0], wide, style.norm == "batch-all"), *_active(wide, style, first=True)]
    smaller = nn.Sequential(*first, _conv(wide, wide), Halve())
    blocks: list[nn.Module] = [Residual(smaller, nn.Sequential(Halve(), nn.Conv2d(image[0], wide, 1)))]
    more = max(0, halvings(even_side(image), START) - 2)
    blocks += [_block(style, halve=True) for _ in range(more)]
    blocks += [_block(style, halve=False) for _ in range(2)]
    return nn.Sequential(*blocks, *_active(wide, style), Mean(), nn.Linear(wide, out))


def up(latent: int, image: Image, style: Style) -> nn.Sequential:
    """(n, latent) to (n, c, h, w)."""
    stages = halvings(even_side(image), START)
    side, wide = image[1] >> stages, style.width
    blocks = [_doubling(wide) for _ in range(stages)]
    last = [nn.BatchNorm2d(wide), nn.ReLU(), _conv(wide, image[0])]
    return nn.Sequential(nn.Linear(latent, wide * side * side), View(-1, side, side), *blocks, *last)


def _block(style: Style, *, halve: bool) -> Residual:
    wide = style.width
    pool: list[nn.Module] = [Halve()] if halve else []
    first = [*_active(wide, style), _conv(wide, wide, style.norm != "none")]
    main = nn.Sequential(*first, *_active(wide, style), _conv(wide, wide), *pool)
    return Residual(main, nn.Sequential(*pool, nn.Conv2d(wide, wide, 1)) if halve else nn.Identity())


def _doubling(wide: int) -> Residual:
    first = [nn.BatchNorm2d(wide), nn.ReLU(), nn.Upsample(scale_factor=2), _conv(wide, wide, True)]
    main = nn.Sequential(*first, nn.BatchNorm2d(wide), nn.ReLU(), _conv(wide, wide))
    return Residual(main, nn.Sequential(nn.Conv2d(wide, wide, 1), nn.Upsample(scale_factor=2)))


def _conv(before: int, after: int, normed: bool = False) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, 1, 1, bias=not normed)


def _active(wide: int, style: Style, *, first: bool = False) -> list[nn.Module]:
    """The norm, if any, and the activation in front of a convolution."""
    normed = style.normed(0 if first else 1)
    return [nn.BatchNorm2d(wide), style.activation()] if normed else [style.activation()]
