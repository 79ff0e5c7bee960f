"""What a mask costs in a training step: dense, masked by us, masked by `torch.nn.utils.prune`.

All three are `gentickets.training.train` on copies of the same networks with the same batches and draws. They differ
in the masking alone: none; `train(mask=...)`; the layers handed to ``prune.custom_from_mask`` before training.

    python benchmarks/step.py [--threads 2] [--clock cpu] [--quick] [--only vae]
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from goals import goal
from measure import Clock, Stretches, in_turn, options, prepare, ratio, table
from torch.nn.utils import prune

from gentickets.data import Batches, Images
from gentickets.masks import Mask, full_mask, keep_top, prunable
from gentickets.tasks import GAN, VAE, Task
from gentickets.training import Plan, Training

SPARSITIES = (0.80, 0.95)


@dataclass(frozen=True)
class Case:
    """A task to time, and how many times the dense step a masked one may take."""

    title: str
    family: Callable[[], Task]
    batch: int
    most: float | None
    at_once: int
    """Steps of one arm before the next has its turn."""
    rounds: int = 30


_DCGAN = partial(GAN, (3, 32, 32), network="conv", width=128, latent=32)
_VAE = partial(VAE, (1, 28, 28), network="mlp", width=512, depth=2)
CASES = {
    "vae": Case("MLP VAE 28 x 28, batch 64", _VAE, 64, 1.12, 10),
    "dcgan": Case("DCGAN 32 x 32, batch 128", _DCGAN, 128, 1.03, 1),
    # A mask's milliseconds are the same at every batch size; here they stand out from the convolutions' noise.
    "dcgan-4": Case("DCGAN 32 x 32, batch 4", _DCGAN, 4, None, 3),
}


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
        layer = task.get_submodule(name.removesuffix(".weight"))
        prune.custom_from_mask(layer, "weight", kept)  # type: ignore[no-untyped-call]
    return task


def compare(case: Case, sparsity: float, rounds: int, clock: Clock) -> None:
    """Time the three arms of a task at one sparsity."""
    torch.manual_seed(0)
    task = case.family()
    batches = random_batches(task.image, case.batch)
    mask = smallest_pruned(task, sparsity)
    tasks = {
        "dense": (deepcopy(task), None),
        "masked": (deepcopy(task), mask),
        "torch.nn.utils.prune": (pruned_by_torch(deepcopy(task), mask), None),
    }
    arms = {
        name: Stretches(Training(task, Plan()), batches, case.at_once, clock, mask)
        for name, (task, mask) in tasks.items()
    }
    times = in_turn(arms, rounds)
    table(f"{case.title}, {mask.total:,} prunable weights, {sparsity:.0%} pruned", times, "dense")
    dense, *more = (1e3 * median(seconds) for seconds in times.values())
    print(f"  a mask's milliseconds: {more[0] - dense:.1f} ours, {more[1] - dense:.1f} torch.nn.utils.prune's")
    if case.most is not None:
        goal("masked / dense", ratio(times, "masked", "dense"), case.most)
    goal("masked / torch.nn.utils.prune", ratio(times, "masked", "torch.nn.utils.prune"), 1.0)


def main() -> None:
    """Time the arms of every case at both sparsities."""
    parser = options("Time of a masked training step against a dense one.")
    parser.add_argument("--only", choices=list(CASES), help="one of the cases")
    chosen = parser.parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    for name, case in CASES.items():
        for sparsity in SPARSITIES if chosen.only in (None, name) else ():
            compare(case, sparsity, 3 if chosen.quick else case.rounds, clock)


if __name__ == "__main__":
    main()
