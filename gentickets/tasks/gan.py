"""Generative adversarial networks: a two-player game."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets import spectral
from gentickets.errors import TicketError, nearest
from gentickets.masks import PRUNABLE
from gentickets.tasks import initial
from gentickets.tasks.adversarial import JUDGES, gradient_penalty
from gentickets.tasks.base import Batch, Draw, Objective, Task, fixed_latents
from gentickets.tasks.networks import Image, PiecewiseLinear, Style, down, kind, up

PENALIZED = "wasserstein-gp"
NORMS = ("auto", "batch", "batch-all", "spectral", "none")


class GAN(Task):
    """A GAN (Goodfellow, 2014) with the ``nonsaturating``, ``hinge``, ``wasserstein`` or ``wasserstein-gp`` loss.

    The discriminator acts in every step, the generator in every ``critic_steps``-th. ``wasserstein`` clips the
    critic's weights to ``clip`` after each of its steps (Arjovsky, 2017); ``wasserstein-gp`` adds ``penalty`` times
    the gradient penalty (Gulrajani, 2017).

    ``norm`` is the discriminator's: ``batch`` on all layers but the first (Radford, 2016), ``batch-all`` on the first
    too, ``spectral`` (Miyato, 2018), ``none``. ``auto``: ``batch`` for conv, ``batch-all`` for resnet18, ``spectral``
    for sngan, else none; never any under a gradient penalty, which is each image's own. Its activations are ReLUs
    with ``slope`` on the negative side; those of resnet are plain. ``critic_width`` is the discriminator's width.

    Initial weights: N(0, 0.02) with norm scales N(1, 0.02) for conv and sngan; Gulrajani's for resnet, and for conv
    under a gradient penalty; PyTorch's defaults for the others. See `gentickets.tasks.initial`.
    """

    family = "gan"

    def __init__(
        self,
        image: Image,
        network: str = "mlp",
        width: int = 64,
        depth: int = 2,
        bottleneck: int = 4,
        latent: int = 16,
        critic_width: int | None = None,
        loss: str = "nonsaturating",
        critic_steps: int = 1,
        clip: float = 0.01,
        penalty: float = 10.0,
        norm: str = "auto",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        if loss not in JUDGES:
            raise TicketError(f"unknown GAN loss '{loss}'. {nearest(loss, JUDGES)}")
        self.image, self.latent, self.loss, self.critic_steps = image, latent, loss, critic_steps
        self.clip, self.penalty = clip, penalty
        norm = _norm(network, loss, norm)
        slope = 0.0 if network == "resnet" else slope
        style = Style(width, depth, bottleneck)
        self.generator = nn.Sequential(*up(network, latent, image, style), nn.Tanh())
        batch = norm if norm.startswith("batch") else "none"
        critic = Style(critic_width or width, depth, bottleneck, batch, _activation(slope, loss))
        self.discriminator = down(network, image, 1, critic)
        self.norm, self._own_initial = norm, _initial(network, loss)
        self._dress()

    def initialize(self) -> None:
        """Draw all weights anew, in place; spectral norms are taken off for it, and put on again."""
        spectral.release(self.discriminator)
        super().initialize()
        self._dress()

    def _dress(self) -> None:
        if self._own_initial is not None:
            self._own_initial(self)
        if self.norm == "spectral":
            spectral.normalize(self.discriminator, PRUNABLE)

    def objectives(self) -> Sequence[Objective]:
        """The discriminator's turn, then the generator's."""
        after = self._clip if self.loss == "wasserstein" else None
        return [
            Objective("discriminator", self.discriminator_loss, ("discriminator",), after_step=after),
            Objective("generator", self.generator_loss, ("generator",), every=self.critic_steps),
        ]

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """Latents, (n, latent), for the fake that both players see; for the penalty ``mix``, (n, 1, 1, 1)."""
        latent = torch.randn(n, self.latent, generator=rng, device=self.device)
        if self.loss != PENALIZED:
            return Draw(latent=latent)
        return Draw(latent=latent, mix=torch.rand(n, 1, 1, 1, generator=rng, device=self.device))

    def discriminator_loss(self, batch: Batch, draw: Draw) -> Tensor:
        """Real against fake, and the penalty; the fake is detached (Trap 31)."""
        fake = self._fake(draw).detach()
        of_real, of_fake = JUDGES[self.loss](self._judged(batch), self._judged(fake))
        loss = of_real.mean() + of_fake.mean()
        if self.loss != PENALIZED:
            return loss
        return loss + self.penalty * gradient_penalty(self.discriminator, batch, fake, draw["mix"]).mean()

    def generator_loss(self, batch: Batch, draw: Draw) -> Tensor:
        """How little the discriminator believes the fake."""
        logit = self._judged(self._fake(draw))
        return F.softplus(-logit).mean() if self.loss == "nonsaturating" else -logit.mean()

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """``discriminator_loss``: on each image and the fake beside it, without the penalty."""
        of_real, of_fake = JUDGES[self.loss](self._judged(batch), self._judged(self.generator(draw["latent"])))
        return {"discriminator_loss": (of_real + of_fake).flatten()}

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Fixed latents for the generator, images for the discriminator."""
        return {"generator": (fixed_latents(self, len(batch)),), "discriminator": (batch,)}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Generated images from the prior N(0, 1)."""
        image: Tensor = self.generator(self.draw(n, rng)["latent"])
        return image

    @property
    def compiles(self) -> list[str]:
        """Without the critic under a gradient penalty: compiled code cannot be differentiated twice."""
        return [name for name in self.components if name != "discriminator" or self.loss != PENALIZED]

    def _judged(self, images: Tensor) -> Tensor:
        logit: Tensor = self.discriminator(images)
        return logit if self.temperature == 1.0 else logit / self.temperature

    def _fake(self, draw: Draw) -> Tensor:
        return self.share(draw, "fake", "generator", lambda: self.generator(draw["latent"]))

    def _clip(self) -> None:
        with torch.no_grad():
            for parameter in self.discriminator.parameters():
                parameter.clamp_(-self.clip, self.clip)


def _norm(network: str, loss: str, norm: str) -> str:
    """The discriminator's norm, ``auto`` made out."""
    if norm not in NORMS:
        raise TicketError(f"unknown norm '{norm}'. {nearest(norm, NORMS)}")
    if loss == PENALIZED and norm.startswith("batch"):
        message = f"norm '{norm}' mixes the images of a batch, and the gradient penalty is taken for each by itself"
        raise TicketError(f"{message}: use 'none' or 'spectral' with loss '{PENALIZED}'")
    if norm != "auto":
        return norm
    own = "spectral" if network == "sngan" else kind(network).norm
    return "none" if loss == PENALIZED else own


def _activation(slope: float, loss: str) -> Callable[[], nn.Module]:
    if loss == PENALIZED:
        return partial(PiecewiseLinear, slope)
    return partial(nn.LeakyReLU, slope) if slope else nn.ReLU


def _initial(network: str, loss: str) -> initial.Initial | None:
    convolutional = initial.strided if loss == PENALIZED else initial.dcgan
    return {"conv": convolutional, "sngan": initial.sngan, "resnet": initial.gulrajani}.get(network)
