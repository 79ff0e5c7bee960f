"""Gradient descent-ascent with a linear discriminator: the theory's proxy of a GAN, where width decides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets.tasks.base import Batch, Draw, Objective, Task, fixed_latents
from gentickets.tasks.networks import Image, View
from gentickets.tasks.networks.layers import pixels


class Fixed(nn.Module):
    """A linear layer that is never trained: V, of random signs times width^-1/2."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        signs = 2.0 * torch.randint(0, 2, (out, width)) - 1
        self.signs = nn.Parameter(signs / math.sqrt(width), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) to (n, out)."""
        return F.linear(x, self.signs)


class GDA(Task):
    """A generator of one hidden layer against a linear discriminator (Balaji, Sajedi et al., 2021).

    min over W, max over d of <d, mean(x) - mean(V relu(W z))> - |d|^2 / 2, by *simultaneous* gradient descent-ascent:
    one objective, in which each player's gradient is that of its own side. V is fixed. At the saddle the means of
    real and generated images are equal; a wide generator gets there at a geometric rate, while one with fewer than
    as many hidden units as pixels may stall, having too few directions to move its mean in.

    W starts from N(0, 1 / latent), V is of random signs times width^-1/2, so that the rate does not follow the width.
    """

    family = "gda"

    def __init__(self, image: Image, width: int = 64, latent: int = 16) -> None:
        super().__init__()
        self.image, self.latent = image, latent
        hidden = nn.Linear(latent, width, bias=False)
        nn.init.normal_(hidden.weight, 0.0, latent**-0.5)
        self.generator = nn.Sequential(hidden, nn.ReLU(), Fixed(width, pixels(image)), View(*image))
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(pixels(image), 1, bias=False))

    def objectives(self) -> Sequence[Objective]:
        """One turn: both players move at once, each from where both stand."""
        return [Objective("game", self.game, ("generator", "discriminator"))]

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """Latents, (n, latent)."""
        return Draw(latent=torch.randn(n, self.latent, generator=rng, device=self.device))

    def game(self, batch: Batch, draw: Draw) -> Tensor:
        """A scalar whose gradient is the game's for W and its negative for d; its own value is |d|^2 / 2."""
        direction = self.discriminator.get_parameter("1.weight")
        gap = self._gap(batch, draw)
        descent = (direction.detach() @ gap).sum()
        ascent: Tensor = self.discriminator(gap.detach()[None]).sum() - 0.5 * direction.square().sum()
        return descent - ascent

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """``mean_gap``: the squared distance of the means of real and generated images, the same for each of them."""
        return {"mean_gap": self._gap(batch, draw).square().sum().expand(len(batch))}

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Fixed latents for the generator, images for the discriminator."""
        return {"generator": (fixed_latents(self, len(batch)),), "discriminator": (batch,)}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Generated images, cut to [-1, 1]: the generator does not squash."""
        image: Tensor = self.generator(self.draw(n, rng)["latent"])
        return image.clamp(-1, 1)

    def _gap(self, batch: Batch, draw: Draw) -> Tensor:
        fake: Tensor = self.generator(draw["latent"])
        return batch.flatten(1).mean(0) - fake.flatten(1).mean(0)
