"""How much faster bfloat16 in channels-last memory trains than the plain PyTorch examples, and what compiling adds.

The engine's whole step (`gentickets.training.train`) in fp32 and in bf16 against the plain examples in loops.py: fp32,
memory as PyTorch lays it out, plain Adam, ``backward()`` on every loss. A DCGAN at 32 x 32, and a convolutional VAE of
the paper's size. Beside the time stands how far the gradients are from those of fp32.

    python benchmarks/fast.py [--threads 1] [--quick] [--only vae] [--compile]
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from engine import DCGAN, by_hand
from goals import goal
from loops import PlainGAN, PlainVAE, Step, pixels_in_memory
from measure import Arm, Clock, Stretches, Times, in_turn, options, prepare, ratio, table
from step import random_batches

from gentickets.tasks import VAE, Task
from gentickets.training import Plan, Training

PLAIN, FP32, BF16, COMPILED = "plain PyTorch", "engine, fp32", "engine, bf16", ", compiled"
USEFUL = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""What a processor may have for such products, as Linux names it."""


@dataclass(frozen=True)
class Case:
    """A task to time, its plain example, and how many times faster bf16 must be."""

    title: str
    family: Callable[[], Any]
    plain: Callable[..., Step]
    least: float
    batch: int = 128
    rounds: int = 40


CASES = {
    "dcgan": Case("DCGAN 32 x 32, width 128, latent 32, batch 128", DCGAN, PlainGAN, 2.5),
    "vae": Case(
        "VAE 32 x 32, width 64, latent 32, batch 128",
        partial(VAE, (3, 32, 32), network="conv", width=64, bottleneck=2, latent=32), PlainVAE, 2.1,
    ),
}  # fmt: skip


def plans(compiled: bool) -> dict[str, Plan]:
    """Arm -> how it trains."""
    eager = {FP32: Plan(), BF16: Plan(precision="bf16")}
    if not compiled:
        return eager
    return {**eager, **{name + COMPILED: Plan(precision=plan.precision, compile=True) for name, plan in eager.items()}}


def measure(case: Case, rounds: int, compiled: bool, clock: Clock) -> Times:
    """Seconds of every arm's steps, in turn, in one process."""
    torch.manual_seed(0)
    task, batches = case.family(), random_batches((3, 32, 32), case.batch)
    plain = case.plain(deepcopy(task), pixels_in_memory(batches.images.all(), case.batch))
    arms: dict[str, Arm] = {PLAIN: by_hand(plain, 1, clock)}
    for name, plan in plans(compiled).items():
        arms[name] = Stretches(Training(deepcopy(task), plan), batches, 1, clock)
    return in_turn(arms, rounds, warmup=3)


def report(case: Case, times: Times, compiled: bool) -> None:
    """Print the table, how many times faster, and the goal."""
    table(case.title, times, PLAIN)
    for name in times:
        if name != PLAIN:
            print(f"  {PLAIN} / {name}: {ratio(times, PLAIN, name)}")
    goal(f"{BF16} / {PLAIN}, for {case.least} x", ratio(times, BF16, PLAIN), 1 / case.least)
    for name in (FP32, BF16) if compiled else ():
        gained = ratio(times, name, name + COMPILED)
        print(f"  compiling {name}: {gained.value - 1:+.1%} ({gained.low - 1:+.1%} to {gained.high - 1:+.1%})")


def distances(task: Task, batch: int) -> None:
    """Print how far the gradients in bf16 are from those in fp32, at the first weights."""
    images = random_batches((3, 32, 32), batch)(0)
    draw = task.draw(batch, torch.Generator().manual_seed(0))
    single, half = (Training(deepcopy(task), plan) for plan in plans(False).values())
    for one, other in zip(single.turns, half.turns, strict=True):
        found = []
        for turn in (one, other):
            draw.shared.clear()
            parameters = list(turn.parameters.values())
            found.append(turn.arithmetic.gradients(partial(turn.objective.loss, images, draw), parameters)[1])
        apart = [float((a - b).norm()) for a, b in zip(*found, strict=True) if a is not None and b is not None]
        long = [float(a.norm()) for a in found[0] if a is not None]
        whole = torch.tensor(apart).norm() / torch.tensor(long).norm()
        worst = max(a / n for a, n in zip(apart, long, strict=True) if n > 0)
        print(f"  gradients of {one.objective.name}, bf16 against fp32: all {whole:.1%}, the worst tensor {worst:.1%}")


def abilities() -> str:
    """What of `USEFUL` the processor has, where Linux says so, and what PyTorch uses of it."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text(encoding="utf-8").split()) if info.is_file() else set()
    found = ", ".join(name for name in USEFUL if name in words) or "nothing known"
    return f"processor: {found}; PyTorch's kernels: {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    """Measure every case, or one."""
    parser = options("Time of training in bfloat16 against the plain PyTorch examples.")
    parser.set_defaults(threads=2)
    parser.add_argument("--only", choices=list(CASES), help="one of the cases")
    parser.add_argument("--compile", action="store_true", help="torch.compile beside each (starts a minute later)")
    chosen = parser.parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    print(abilities())
    for name, case in CASES.items():
        if chosen.only in (None, name):
            times = measure(case, 6 if chosen.quick else case.rounds, chosen.compile, clock)
            report(case, times, chosen.compile)
            torch.manual_seed(0)
            distances(case.family(), case.batch)


if __name__ == "__main__":
    main()
