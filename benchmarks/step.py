"""What a mask costs in a training step: dense, masked by us, masked by `torch.nn.utils.prune`.

All three are `gentickets.training.train` on copies of the same networks with the same batches and draws. They differ
in the masking alone: none; `train(mask=...)`; the layers handed to ``prune.custom_from_mask`` before training.

    python benchmarks/step.py [--threads 2] [--clock cpu] [--quick]
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from measure import Arm, Stretches, goal, in_turn, options, prepare, ratio, table
from torch.nn.utils import prune

from gentickets.data import Batches, Images
from gentickets.masks import Mask, full_mask, keep_top, prunable
from gentickets.tasks import GAN, VAE, Task
from gentickets.training import Plan, Training

SPARSITIES = (0.80, 0.95)
TASKS = {
    "DCGAN 32 x 32, batch 128": (partial(GAN, network="conv", width=128, latent=32), (3, 32, 32), 128, 1.03),
    "MLP VAE 28 x 28, batch 64": (partial(VAE, network="mlp", width=512, depth=2), (1, 28, 28), 64, 1.12),
}
"""Title -> task, image, batch size, how many times the dense step a masked step may take."""


def random_batches(image: tuple[int, int, int], size: int) -> Batches:
    """Batches of noise: what the pixels are makes no difference to time."""
    pixels = torch.randint(0, 256, (8 * size, *image), generator=torch.Generator().manual_seed(0))
    return Batches(Images(pixels.to(torch.uint8)), size, seed=0)


def smallest_pruned(task: Task, sparsity: float) -> Mask:
    """The magnitude mask at one sparsity in every layer."""
    scores = {name: weight.detach().abs() for name, weight in prunable(task).items()}
    return keep_top(scores, 1 - sparsity, within=full_mask(task), scope="layer")


def pruned_by_torch(task: Task, mask: Mask) -> Task:
    """The task with the same mask held by `torch.nn.utils.prune`."""
    for name, kept in mask.items():
        prune.custom_from_mask(task.get_submodule(name.removesuffix(".weight")), "weight", kept)
    return task


def main() -> None:
    """Time the arms of both tasks at both sparsities."""
    chosen = options("Time of a masked training step against a dense one.").parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    for title, (family, image, size, most) in TASKS.items():
        conv = "DCGAN" in title
        stretch = 1 if conv else 10
        rounds = 5 if chosen.quick else 30
        for sparsity in SPARSITIES:
            torch.manual_seed(0)
            task, batches = family(image), random_batches(image, size)
            mask = smallest_pruned(task, sparsity)

            def arm(task: Task, mask: Mask | None = None, batches: Batches = batches, steps: int = stretch) -> Arm:
                return Stretches(Training(task, Plan()), batches, steps, clock, mask)

            arms = {
                "dense": arm(deepcopy(task)),
                "masked": arm(deepcopy(task), mask),
                "torch.nn.utils.prune": arm(pruned_by_torch(deepcopy(task), mask)),
            }
            times = in_turn(arms, rounds)
            table(f"{title}, {mask.total:,} prunable weights, {sparsity:.0%} pruned", times, "dense")
            goal("masked / dense", ratio(times, "masked", "dense"), most)
            goal("masked / torch.nn.utils.prune", ratio(times, "masked", "torch.nn.utils.prune"), 1.0)


if __name__ == "__main__":
    main()
