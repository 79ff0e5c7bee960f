"""What the players of a GAN are judged by: losses per image, and the gradient penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Judge = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(what the discriminator says of real images, of fake ones) -> its loss on each of them."""


def nonsaturating(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy on logits (Goodfellow et al., 2014)."""
    return F.softplus(-real), F.softplus(fake)


def hinge(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """How far each falls short of a margin of 1 (Lim and Ye, 2017; Miyato et al., 2018)."""
    return F.relu(1 - real), F.relu(1 + fake)


def wasserstein(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's values themselves (Arjovsky et al., 2017)."""
    return -real, fake


JUDGES: dict[str, Judge] = {
    "nonsaturating": nonsaturating,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "wasserstein-gp": wasserstein,
}
"""Loss in a recipe -> the discriminator's."""


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """(|gradient| - 1)^2 of the critic at a point between each real and fake image, (n,) (Gulrajani et al., 2017).

    ``mix`` is the share of the real image in each point, (n, 1, 1, 1). To be differentiated again: a critic of
    `PiecewiseLinear` activations does that without convolutions on zeros.
    """
    with torch.enable_grad():
        between = (mix * real + (1 - mix) * fake.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return torch.square(length - 1)
