"""Networks: an axis of every family. Each kind goes down from an image to a vector, and up from a vector to an image.

Sizes are inferred from the image and never repeated (Trap 15). `up` does not squash: that is the family's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from gentickets.errors import TicketError, nearest
from gentickets.tasks.networks import conv, linear, maxpool, mlp, resnet, resnet18, sngan
from gentickets.tasks.networks.layers import Image, PiecewiseLinear, Style, View

Down = Callable[[Image, int, Style], nn.Sequential]
"""(image, out, style) -> a network from (n, c, h, w) to (n, out)."""
Up = Callable[[int, Image, Style], nn.Sequential]
"""(latent, image, style) -> a network from (n, latent) to (n, c, h, w), without squashing."""


@dataclass(frozen=True)
class Network:
    """A kind of network: its two directions, and what comes with it."""

    down: Down
    up: Up
    norm: str = "none"
    """The norm of `down` in the original: a `Style`'s."""
    code: Callable[[Image, Style], int] | None = None
    """The length of an autoencoder's code, where the kind fixes it."""


NETWORKS: dict[str, Network] = {
    "mlp": Network(mlp.down, mlp.up),
    "linear": Network(linear.down, linear.up),
    "conv": Network(conv.down, conv.up, norm="batch"),
    "maxpool": Network(maxpool.down, maxpool.up, code=maxpool.code),
    "resnet18": Network(resnet18.down, resnet18.up, norm="batch-all"),
    "sngan": Network(sngan.down, sngan.up),
    "resnet": Network(resnet.down, resnet.up),
}
"""Name in a recipe -> the network."""


def kind(network: str) -> Network:
    """The network with a name; an unknown one is an error with the nearest."""
    if network not in NETWORKS:
        raise TicketError(f"unknown network '{network}'. {nearest(network, NETWORKS)}")
    return NETWORKS[network]


def down(network: str, image: Image, out: int, style: Style) -> nn.Sequential:
    """A network from an image to a vector, (n, c, h, w) to (n, out)."""
    return kind(network).down(image, out, style)


def up(network: str, latent: int, image: Image, style: Style) -> nn.Sequential:
    """A network from a vector to an image, (n, latent) to (n, c, h, w), without squashing.

    Its activations are ReLUs and its norms the kind's own: the style's are those of `down`.
    """
    return kind(network).up(latent, image, replace(style, norm="none", activation=nn.ReLU))


__all__ = ["NETWORKS", "Image", "Network", "PiecewiseLinear", "Style", "View", "down", "kind", "up"]
