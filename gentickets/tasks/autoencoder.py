"""Autoencoders and variational autoencoders: one-player games."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets.errors import TicketError, nearest
from gentickets.tasks.base import Batch, Draw, Objective, Task
from gentickets.tasks.networks import Image, Style, down, kind, up

LIKELIHOODS = ("bernoulli", "gaussian")


class Autoencoder(Task):
    """An autoencoder: encoder to ``latent`` numbers, decoder back with a tanh, mean squared error.

    ``reconstruction`` is the mean squared error per pixel, with pixels in [-1, 1] (Kalibhat et al., 2021). The code
    of ``maxpool`` is its map, whatever ``latent`` says. Initial weights are PyTorch's defaults.
    """

    family = "ae"

    def __init__(
        self,
        image: Image,
        network: str = "mlp",
        width: int = 64,
        depth: int = 2,
        bottleneck: int = 4,
        latent: int = 16,
    ) -> None:
        super().__init__()
        self.image = image
        style = Style(width, depth, bottleneck, norm=kind(network).norm)
        length = kind(network).code
        code = latent if length is None else length(image, style)
        self.encoder = down(network, image, code, style)
        self.decoder = nn.Sequential(*up(network, code, image, style), nn.Tanh())

    def objectives(self) -> Sequence[Objective]:
        """One turn: both components learn to reconstruct."""
        return [Objective("ae", self.loss, ("encoder", "decoder"))]

    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        """Mean squared error per pixel."""
        return F.mse_loss(self.reconstruct(batch), batch)

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Images for the encoder, their codes for the decoder."""
        return {"encoder": (batch,), "decoder": (self.encoder(batch),)}

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """``reconstruction``: mean squared error per pixel of each image."""
        return {"reconstruction": (self.reconstruct(batch) - batch).square().flatten(1).mean(1)}

    def reconstruct(self, batch: Batch) -> Tensor:
        """The decoded codes of the images."""
        image: Tensor = self.decoder(self.encoder(batch))
        return image


class VAE(Task):
    """A variational autoencoder (Kingma and Welling, 2014), with a weight ``beta`` on the KL part (Higgins, 2017).

    ``likelihood`` is ``gaussian`` (sum of squared errors on [-1, 1], as in the paper: a variance of 1/2, its
    constant left out) or ``bernoulli`` (cross-entropy on pixels in [0, 1], in nats, where the decoder gives logits).
    The figures are taken at beta = 1 whatever the training's beta. Initial weights are PyTorch's defaults.
    """

    family = "vae"

    def __init__(
        self,
        image: Image,
        network: str = "mlp",
        width: int = 64,
        depth: int = 2,
        bottleneck: int = 4,
        latent: int = 16,
        beta: float = 1.0,
        likelihood: str = "gaussian",
    ) -> None:
        super().__init__()
        if likelihood not in LIKELIHOODS:
            raise TicketError(f"unknown likelihood '{likelihood}'. {nearest(likelihood, LIKELIHOODS)}")
        self.image, self.latent, self.beta, self.likelihood = image, latent, beta, likelihood
        style = Style(width, depth, bottleneck, norm=kind(network).norm)
        self.encoder = down(network, image, 2 * latent, style)
        self.decoder = up(network, latent, image, style)

    def objectives(self) -> Sequence[Objective]:
        """One turn: both components maximize the evidence lower bound."""
        return [Objective("vae", self.loss, ("encoder", "decoder"))]

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """The noise of the reparametrization, (n, latent)."""
        return Draw(noise=torch.randn(n, self.latent, generator=rng, device=self.device))

    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        """Distortion plus beta times KL, in nats per image, averaged over the batch."""
        distortion, kl = self._parts(batch, draw)
        return (distortion + self.beta * kl).mean()

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """``negative_elbo`` and its parts ``reconstruction`` and ``kl``, nats per image, one draw each."""
        distortion, kl = self._parts(batch, draw)
        return {"negative_elbo": distortion + kl, "reconstruction": distortion, "kl": kl}

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Images for the encoder, their posterior means for the decoder."""
        return {"encoder": (batch,), "decoder": (self.posterior(batch)[0],)}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Decoded draws from the prior N(0, 1)."""
        return self._image(self.decoder(self.draw(n, rng)["noise"]))

    def reconstruct(self, batch: Batch) -> Tensor:
        """The decoded posterior means."""
        return self._image(self.decoder(self.posterior(batch)[0]))

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the Gaussian posterior of each image's latents, (n, latent) each."""
        mean, log_variance = self.encoder(batch).chunk(2, dim=1)
        return mean, log_variance

    def _parts(self, batch: Batch, draw: Draw) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.posterior(batch)
        decoded = self.decoder(mean + (0.5 * log_variance).exp() * draw["noise"])
        if self.likelihood == "bernoulli":
            distortion = F.binary_cross_entropy_with_logits(decoded, (batch + 1) / 2, reduction="none")
        else:
            distortion = (torch.tanh(decoded) - batch).square()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return distortion.flatten(1).sum(1), kl

    def _image(self, decoded: Tensor) -> Tensor:
        return 2 * torch.sigmoid(decoded) - 1 if self.likelihood == "bernoulli" else torch.tanh(decoded)
