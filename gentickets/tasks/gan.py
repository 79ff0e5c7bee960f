"""Generative adversarial networks: a two-player game."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets.errors import TicketError, nearest
from gentickets.seeds import derive
from gentickets.tasks.base import Batch, Draw, Objective, Task
from gentickets.tasks.networks import Image, down, up

Critic = Callable[[Tensor, Tensor], Tensor]


def _nonsaturating(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def _hinge(real: Tensor, fake: Tensor) -> Tensor:
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


CRITICS: dict[str, Critic] = {
    "nonsaturating": _nonsaturating,
    "hinge": _hinge,
    "wasserstein": _wasserstein,
}


class GAN(Task):
    """A GAN (Goodfellow, 2014) with the ``nonsaturating``, ``hinge`` or ``wasserstein`` loss.

    The convolutional pair is DCGAN's (Radford, 2016): no norm on the discriminator's first layer, leaky ReLU,
    weights from N(0, 0.02), norm scales from N(1, 0.02). The discriminator acts in every step, the generator in
    every ``critic_steps``-th. With ``wasserstein``, the critic's weights are clipped to ``clip`` after each of its
    steps (Arjovsky, 2017).
    """

    def __init__(
        self,
        image: Image,
        network: str = "mlp",
        width: int = 64,
        depth: int = 2,
        latent: int = 16,
        loss: str = "nonsaturating",
        critic_steps: int = 1,
        clip: float = 0.01,
    ) -> None:
        super().__init__()
        if loss not in CRITICS:
            raise TicketError(f"unknown GAN loss '{loss}'. {nearest(loss, CRITICS)}")
        self.image, self.latent, self.loss, self.critic_steps, self.clip = (
            image,
            latent,
            loss,
            critic_steps,
            clip,
        )
        self.generator = nn.Sequential(*up(network, latent, image, width=width, depth=depth), nn.Tanh())
        leaky = nn.LeakyReLU(0.2)
        self.discriminator = down(network, image, 1, width=width, depth=depth, norm=True, activation=leaky)
        if network == "conv":
            self.apply(_dcgan_weights)

    def objectives(self) -> Sequence[Objective]:
        """The discriminator's turn, then the generator's."""
        after = self._clip if self.loss == "wasserstein" else None
        return [
            Objective("discriminator", self.discriminator_loss, ("discriminator",), after_step=after),
            Objective("generator", self.generator_loss, ("generator",), every=self.critic_steps),
        ]

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """Latents, (n, latent), for the fake that both players see."""
        return Draw(latent=torch.randn(n, self.latent, generator=rng, device=self.device))

    def discriminator_loss(self, batch: Batch, draw: Draw) -> Tensor:
        """Real against fake; the fake is detached (Trap 31)."""
        fake = self._fake(draw).detach()
        return CRITICS[self.loss](self.discriminator(batch), self.discriminator(fake))

    def generator_loss(self, batch: Batch, draw: Draw) -> Tensor:
        """How little the discriminator believes the fake."""
        logit = self.discriminator(self._fake(draw))
        return F.softplus(-logit).mean() if self.loss == "nonsaturating" else -logit.mean()

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Fixed latents for the generator, images for the discriminator."""
        rng = torch.Generator(self.device).manual_seed(derive(0, "fixed latents"))
        return {"generator": (self.draw(len(batch), rng)["latent"],), "discriminator": (batch,)}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Generated images from the prior N(0, 1)."""
        image: Tensor = self.generator(self.draw(n, rng)["latent"])
        return image

    def _fake(self, draw: Draw) -> Tensor:
        return self.share(draw, "fake", "generator", lambda: self.generator(draw["latent"]))

    def _clip(self) -> None:
        with torch.no_grad():
            for parameter in self.discriminator.parameters():
                parameter.clamp_(-self.clip, self.clip)


def _dcgan_weights(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
