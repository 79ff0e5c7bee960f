"""What a compact network gains in a training step: the seconds that half the channels save, beside the FLOPs.

Dense and compact networks are trained by `gentickets.training.train` on the same batches, in turn. Of every tied
group of channels half is kept, chosen at random: which ones makes no difference to time. The gain in time over the
gain in FLOPs is what is *realized*; below 1, since a step also does work that does not shrink.

    python benchmarks/compact.py [--threads 2] [--clock cpu] [--quick] [--only dcgan] [--share 0.5]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from goals import goal
from measure import Stretches, Times, in_turn, options, prepare, ratio, table
from step import random_batches

from gentickets.accounting import step_flops
from gentickets.channels import compact, full_channels, groups_of, keep_channels
from gentickets.masks import prunable
from gentickets.seeds import derive
from gentickets.tasks import GAN, VAE, Task
from gentickets.training import Plan, Training

REALIZED = 0.8


@dataclass(frozen=True)
class Case:
    """A task to time; ``asked`` where a goal is set for it."""

    title: str
    family: Callable[[], Task]
    batch: int
    asked: bool = False
    rounds: int = 30


CASES = {
    "dcgan": Case(
        "DCGAN 32 x 32, h = 128, batch 128",
        partial(GAN, (3, 32, 32), network="conv", width=128, latent=32), 128, asked=True,
    ),
    "vae": Case(
        "VAE 32 x 32, d = 64, batch 128",
        partial(VAE, (3, 32, 32), network="conv", width=64, bottleneck=2, latent=32), 128,
    ),
    "resnet-vae": Case(
        "ResNet-VAE 32 x 32, batch 64", partial(VAE, (3, 32, 32), network="resnet18", width=32, latent=32), 64
    ),
    "small-vae": Case(
        "VAE 16 x 16, d = 16, batch 64",
        partial(VAE, (1, 16, 16), network="conv", width=16, bottleneck=2, latent=16), 64, rounds=200,
    ),
}  # fmt: skip


def narrowed(task: Task, share: float, multiple: int) -> Task:
    """The task with a share of every group's channels, at random."""
    groups = groups_of(task, torch.zeros(2, *task.image))
    everything = full_channels(groups)
    rng = torch.Generator().manual_seed(derive(0, "channels"))
    scores = {name: torch.rand(group.size, generator=rng) for name, group in groups.items()}
    kept = keep_channels(scores, share, within=everything, scope="layer", multiple=multiple)
    return compact(task, kept, torch.zeros(2, *task.image))


def compare(case: Case, share: float, rounds: int, clock: Callable[[], float]) -> None:
    """Time a step of the dense and of compact networks, with channels in multiples of 16 and without."""
    torch.manual_seed(0)
    task = case.family()
    batches = random_batches(task.image, case.batch)
    tasks = {"compact": narrowed(task, share, 1)}
    if share != 0.5:
        tasks["compact, multiples of 16"] = narrowed(task, share, 16)
    tasks["dense"] = task
    flops = {name: step_flops(one, case.batch).total for name, one in tasks.items()}
    sizes = {name: sum(weight.numel() for weight in prunable(one).values()) for name, one in tasks.items()}
    arms = {name: Stretches(Training(one, Plan()), batches, 1, clock) for name, one in tasks.items()}
    times: Times = in_turn(arms, rounds, warmup=2)
    table(f"{case.title}, {share:.0%} of the channels", times, "dense")
    for name in tasks:
        if name == "dense":
            continue
        fewer, faster = flops["dense"] / flops[name], ratio(times, "dense", name)
        print(
            f"  {name}: {sizes[name]:,} of {sizes['dense']:,} weights; FLOPs of a step {flops[name]:.4g} of "
            f"{flops['dense']:.4g}, {fewer:.2f} times fewer; {faster} times faster"
        )
        print(f"  realized: {median(times['dense']) / median(times[name]) / fewer:.3f} of the FLOPs' gain")
        if case.asked and name == "compact" and share == 0.5:
            goal("FLOPs' gain / time's gain", fewer / faster.value, 1 / REALIZED)


def main() -> None:
    """Time every case."""
    parser = options("Time of a compact network's training step against the dense one's.")
    parser.add_argument("--only", choices=list(CASES), help="one of the cases")
    parser.add_argument("--share", type=float, default=0.5, help="of the channels, kept (default 0.5)")
    chosen = parser.parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    for name, case in CASES.items():
        if chosen.only in (None, name):
            compare(case, chosen.share, 6 if chosen.quick else case.rounds, clock)


if __name__ == "__main__":
    main()
