"""What a gradient penalty costs: its value and its gradient for the critic's weights, the plain way and ours.

Both are `gentickets.tasks.adversarial.gradient_penalty` on copies of one critic with the same images. They differ in
activations and pooling alone: PyTorch's own, or `PiecewiseLinear` and `Halve`, which leave no way back through the
forward pass. The gradients are compared first.

    python benchmarks/penalty.py [--threads 2] [--clock cpu] [--quick] [--only conv]
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from goals import goal
from measure import Arm, Clock, in_turn, options, prepare, ratio, table
from torch import Tensor, nn

from gentickets.tasks import GAN
from gentickets.tasks.adversarial import gradient_penalty
from gentickets.tasks.networks.layers import Halve, PiecewiseLinear

IMAGE = (3, 32, 32)
FASTER = 1.25
Images = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """A critic to time."""

    title: str
    network: str
    batch: int
    rounds: int = 30


CASES = {
    "conv": Case("DCGAN's critic, h = 128, batch 16", "conv", 16),
    "resnet": Case("Gulrajani's residual critic, h = 128, batch 8", "resnet", 8, 15),
}


def plain_way(critic: nn.Module) -> nn.Module:
    """The same critic with PyTorch's own activations and pooling."""
    plain = deepcopy(critic)
    for module in plain.modules():
        for name, child in module.named_children():
            if isinstance(child, PiecewiseLinear):
                setattr(module, name, nn.LeakyReLU(child.slope) if child.slope else nn.ReLU())
            elif isinstance(child, Halve):
                setattr(module, name, nn.AvgPool2d(2))
    return plain


def of_penalty(critic: nn.Module, images: Images) -> list[Tensor]:
    """The penalty and its gradients; zeros where it does not depend on a parameter (biases)."""
    penalty = gradient_penalty(critic, *images).mean()
    parameters = list(critic.parameters())
    found = torch.autograd.grad(penalty, parameters, allow_unused=True)
    return [penalty.detach(), *(p * 0 if g is None else g for p, g in zip(parameters, found, strict=True))]


def largest_difference(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest relative difference of two lists of tensors, each against its largest entry."""
    pairs = [(a.detach(), b.detach()) for a, b in zip(one, other, strict=True)]
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) for a, b in pairs)


def arm(critic: nn.Module, images: Images, clock: Clock) -> Arm:
    """One evaluation of the penalty and its gradients, timed."""

    def run() -> list[float]:
        before = clock()
        of_penalty(critic, images)
        return [clock() - before]

    return run


def compare(case: Case, rounds: int, clock: Clock) -> None:
    """Check that the gradients agree, then time both ways."""
    torch.manual_seed(0)
    task = GAN(IMAGE, network=case.network, width=128, latent=128, loss="wasserstein-gp")
    critic = task.discriminator.to(memory_format=torch.channels_last)
    images = (torch.rand(case.batch, *IMAGE) * 2 - 1, torch.rand(case.batch, *IMAGE) * 2 - 1)
    mixed = (*images, torch.rand(case.batch, 1, 1, 1))
    critics = {"ours": critic, "plain": plain_way(critic)}
    off = largest_difference(*(of_penalty(one, mixed) for one in critics.values()))
    times = in_turn({name: arm(one, mixed, clock) for name, one in critics.items()}, rounds)
    table(case.title, times, "ours")
    print(f"  gradients differ by at most {off:.1e} of each tensor's largest entry")
    print(f"  {ratio(times, 'plain', 'ours')} times as fast as the plain way, at least {FASTER}")
    goal("ours / plain", ratio(times, "ours", "plain"), 1 / FASTER)


def main() -> None:
    """Time both ways for every critic."""
    parser = options("Time of a gradient penalty, differentiated twice.")
    parser.add_argument("--only", choices=list(CASES), help="one of the cases")
    chosen = parser.parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    for name, case in CASES.items():
        if chosen.only in (None, name):
            compare(case, 6 if chosen.quick else case.rounds, clock)


if __name__ == "__main__":
    main()
