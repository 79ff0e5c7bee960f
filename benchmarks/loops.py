"""Training loops written by hand, to compare the engine with: a VAE's, a GAN's, and the plain PyTorch examples'.

Each takes the networks of one of our tasks and does its own steps. The bare two are as fast as the engine means
to be (channels-last, fused Adam, gradients of what is trained alone, one fake for both players) and have nothing
that a loop can do without: no masks, checks, watchers, schedules or numbered steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets.tasks import GAN, VAE

Step = Callable[[], None]
Gradients = list[Tensor]

LR = 1e-3


def pixels_in_memory(images: Tensor, size: int) -> Callable[[], Tensor]:
    """Batches at random out of float images that are all in memory."""
    return lambda: images.index_select(0, torch.randint(len(images), (size,)))


def bare_vae(task: VAE, batch: Callable[[], Tensor]) -> Step:
    """A convolutional VAE with Bernoulli pixels."""
    encoder, decoder = (net.to(memory_format=torch.channels_last) for net in (task.encoder, task.decoder))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, LR, fused=True)

    def step() -> None:
        x = batch()
        mean, log_variance = encoder(x).chunk(2, 1)
        logits = decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        wrong = F.binary_cross_entropy_with_logits(logits, (x + 1) / 2, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        _update(adam, parameters, torch.autograd.grad((wrong + kl) / len(x), parameters))

    return step


def bare_gan(task: GAN, batch: Callable[[], Tensor]) -> Step:
    """A DCGAN with the non-saturating loss."""
    generator, discriminator = (
        net.to(memory_format=torch.channels_last) for net in (task.generator, task.discriminator)
    )
    of_g, of_d = list(generator.parameters()), list(discriminator.parameters())
    adam_g, adam_d = torch.optim.Adam(of_g, LR, fused=True), torch.optim.Adam(of_d, LR, fused=True)

    def step() -> None:
        x = batch()
        fake = generator(torch.randn(len(x), task.latent))
        loss = F.softplus(-discriminator(x)).mean() + F.softplus(discriminator(fake.detach())).mean()
        _update(adam_d, of_d, torch.autograd.grad(loss, of_d))
        loss = F.softplus(-discriminator(fake)).mean()
        _update(adam_g, of_g, torch.autograd.grad(loss, of_g))

    return step


class PlainGAN:
    """The plain PyTorch DCGAN example: ``backward()`` three times a step, plain Adam, memory as PyTorch lays it out.

    The fake is made once a step. The generator's turn fills the discriminator's gradients too, and the next step
    throws them away.
    """

    def __init__(self, task: GAN, batch: Callable[[], Tensor]) -> None:
        self.batch, self.latent = batch, task.latent
        self.generator, self.discriminator = task.generator, task.discriminator
        self.criterion = nn.BCELoss()
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), LR)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), LR)

    def __call__(self) -> None:
        """One step of both players."""
        real = self.batch()
        fake = self.generator(torch.randn(len(real), self.latent))
        self.judge(real, fake)
        self.adam_d.step()
        self.fool(fake)
        self.adam_g.step()

    def judge(self, real: Tensor, fake: Tensor) -> None:
        """The discriminator's gradients."""
        self.discriminator.zero_grad()
        torch.autograd.backward(self._loss(real, 1.0))
        torch.autograd.backward(self._loss(fake.detach(), 0.0))

    def fool(self, fake: Tensor) -> None:
        """The generator's gradients."""
        self.generator.zero_grad()
        torch.autograd.backward(self._loss(fake, 1.0))

    def _loss(self, images: Tensor, label: float) -> Tensor:
        believed = torch.sigmoid(self.discriminator(images)).view(-1)
        loss: Tensor = self.criterion(believed, torch.full_like(believed, label))
        return loss


class PlainVAE:
    """The plain PyTorch VAE example, with squared errors: plain Adam, memory as PyTorch lays it out."""

    def __init__(self, task: VAE, batch: Callable[[], Tensor]) -> None:
        self.batch, self.encoder, self.decoder = batch, task.encoder, task.decoder
        self.adam = torch.optim.Adam(task.parameters(), LR)

    def __call__(self) -> None:
        """One step."""
        x = self.batch()
        self.adam.zero_grad()
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        wrong = F.mse_loss(torch.tanh(self.decoder(z)), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        torch.autograd.backward((wrong + kl) / len(x))
        self.adam.step()


def _update(adam: torch.optim.Adam, parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Fused Adam reads memory in raw order: a gradient of other strides would update the wrong weights.
        parameter.grad = gradient if gradient.stride() == parameter.stride() else _like(gradient, parameter)
    adam.step()


def _like(gradient: Tensor, parameter: nn.Parameter) -> Tensor:
    return torch.empty_like(parameter, requires_grad=False).copy_(gradient)
