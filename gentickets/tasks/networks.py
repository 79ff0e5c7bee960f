"""Networks: multilayer perceptrons and convolutional stacks, down to a vector and up to an image.

Sizes are inferred from the image and never repeated (Trap 15). Convolutions halve or double the side with 4x4
kernels, stride 2, as in DCGAN (Radford, 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gentickets.errors import TicketError, nearest

Image = tuple[int, int, int]
NETWORKS = ("mlp", "conv")


class View(nn.Module):
    """Reshape each sample: (n, ...) to (n, *shape)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to (n, *shape)."""
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self) -> str:
        """The shape, for printing."""
        return str(self.shape)


def down(
    network: str,
    image: Image,
    out: int,
    *,
    width: int,
    depth: int,
    norm: bool = False,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """A network from an image to a vector, (n, c, h, w) to (n, out).

    ``mlp``: ``depth`` hidden layers of ``width`` units, no norm. ``conv``: 4x4 stride-2 convolutions of width,
    2 width, ... until the side is odd or at most 4, then one convolution over what is left; batch norm, where
    asked, on all but the first.
    """
    activation = activation or nn.ReLU()
    if _kind(network) == "mlp":
        return nn.Sequential(nn.Flatten(), *_dense([_pixels(image), *[width] * depth, out], activation))
    channels, side = image[0], _square(image)
    layers: list[nn.Module] = []
    for stage in range(_stages(side)):
        wide, normed = width * 2**stage, norm and stage > 0
        layers.append(nn.Conv2d(channels, wide, 4, 2, 1, bias=not normed))
        layers += [nn.BatchNorm2d(wide), activation] if normed else [activation]
        channels, side = wide, side // 2
    return nn.Sequential(*layers, nn.Conv2d(channels, out, side), nn.Flatten())


def up(network: str, latent: int, image: Image, *, width: int, depth: int) -> nn.Sequential:
    """A network from a vector to an image, (n, latent) to (n, c, h, w), without squashing: the mirror of `down`.

    ``conv``: transposed convolutions with batch norm and ReLU after each but the last, ending at ``width``.
    """
    if _kind(network) == "mlp":
        return nn.Sequential(*_dense([latent, *[width] * depth, _pixels(image)], nn.ReLU()), View(*image))
    side = _square(image)
    stages = _stages(side)
    wide = width * 2 ** (stages - 1)
    first = nn.ConvTranspose2d(latent, wide, side >> stages, bias=False)
    layers: list[nn.Module] = [View(latent, 1, 1), first, nn.BatchNorm2d(wide), nn.ReLU()]
    for _ in range(stages - 1):
        layers += [
            nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide // 2),
            nn.ReLU(),
        ]
        wide //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(wide, image[0], 4, 2, 1))


def _kind(network: str) -> str:
    if network not in NETWORKS:
        raise TicketError(f"unknown network '{network}'. {nearest(network, NETWORKS)}")
    return network


def _pixels(image: Image) -> int:
    return image[0] * image[1] * image[2]


def _dense(sizes: Sequence[int], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return layers[:-1]


def _square(image: Image) -> int:
    _, height, width = image
    if height != width or height < 4 or height % 2:
        raise TicketError(
            f"convolutional networks need square images with an even side of at least 4, not {height}x{width}: "
            "set [data] size"
        )
    return height


def _stages(side: int) -> int:
    """Halvings until the side is odd or at most 4; at least one."""
    stages = 1
    while (side >> stages) % 2 == 0 and side >> stages > 4:
        stages += 1
    return stages
