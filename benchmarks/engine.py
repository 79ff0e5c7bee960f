"""What the engine adds to a training step, and what it saves against the plain PyTorch DCGAN example.

A whole step of `gentickets.training.train` (batch, draw, turns, checks, watchers, and a mask where it says so)
against a bare loop written by hand (loops.py) on the same networks with the same tricks: a tiny one, where every
call counts, and a DCGAN. Then that DCGAN against the plain PyTorch example, with the gradients of both beside
float64 ones. Last, what channels-last memory does to convolutional networks of both sizes.

    python benchmarks/engine.py [--threads 2] [--clock cpu] [--quick]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from loops import PlainGAN, Step, bare_gan, bare_vae, pixels_in_memory
from measure import Arm, Clock, Stretches, goal, in_turn, options, prepare, ratio, table
from step import random_batches, smallest_pruned
from torch import Tensor

from gentickets.data import Batches, load
from gentickets.tasks import GAN, VAE, Autoencoder, Draw, Task
from gentickets.training import Plan, Training

MOST, FASTER, CLOSE = 1.05, 1.10, 1e-5
DCGAN = partial(GAN, (3, 32, 32), network="conv", width=128, latent=32)
TINY = {
    "digits conv VAE": partial(VAE, network="conv", width=16, latent=16, likelihood="bernoulli"),
    "digits conv AE": partial(Autoencoder, network="conv", width=16, latent=16),
    "digits conv GAN": partial(GAN, network="conv", width=16, latent=16),
}
BATCH = {"digits": 64, "DCGAN": 128}


def by_hand(step: Step, steps: int, clock: Clock) -> Arm:
    """An arm out of a step by hand."""

    def arm() -> list[float]:
        seconds = []
        for _ in range(steps):
            before = clock()
            step()
            seconds.append(clock() - before)
        return seconds

    return arm


def overhead(title: str, task: Task, bare: Step, batches: Batches, rounds: int, steps: int, clock: Clock) -> None:
    """The engine's step, dense and masked, against a bare one."""
    mask = smallest_pruned(task, 0.8)
    arms = {
        "bare loop": by_hand(bare, steps, clock),
        "engine": Stretches(Training(deepcopy(task), Plan()), batches, steps, clock),
        "engine, masked (80 %)": Stretches(Training(deepcopy(task), Plan()), batches, steps, clock, mask),
    }
    times = in_turn(arms, rounds)
    table(title, times, "bare loop")
    goal("engine / bare loop", ratio(times, "engine", "bare loop"), MOST)
    goal("engine, masked / bare loop", ratio(times, "engine, masked (80 %)", "bare loop"), MOST)


def against_plain(batches: Batches, rounds: int, clock: Clock) -> None:
    """Our DCGAN step against the plain PyTorch example's, without a mask in either."""
    task, images = DCGAN(), batches.images.all()
    arms = {
        "plain PyTorch": by_hand(PlainGAN(deepcopy(task), pixels_in_memory(images, 128)), 1, clock),
        "engine": Stretches(Training(deepcopy(task), Plan()), batches, 1, clock),
    }
    times = in_turn(arms, rounds)
    table("DCGAN 32 x 32, batch 128, against the plain PyTorch example", times, "plain PyTorch")
    goal("engine / plain PyTorch", ratio(times, "engine", "plain PyTorch"), 1 / FASTER)
    batch = batches(0)
    print("  gradients against float64 ones (norm of the difference / norm; all weights, worst tensor):")
    exact = our_gradients(deepcopy(task).double(), batch.double())
    for name, found in {
        "engine": our_gradients(Training(deepcopy(task), Plan()).task, batch),
        "plain PyTorch": plain_gradients(deepcopy(task), batch),
    }.items():
        for player, ours, true in zip(("discriminator", "generator"), found, exact, strict=True):
            whole, worst = distances(ours, true)
            print(f"    {name:<14} {player:<14} {whole:.1e}  {worst:.1e}")
            goal(f"{name}, {player}, times 1e5", whole * 1e5, CLOSE * 1e5)


def our_gradients(task: Task, batch: Tensor) -> list[list[Tensor]]:
    """The gradients of both objectives at the same weights, as a turn takes them."""
    draw = latents(task, batch)
    return [
        list(torch.autograd.grad(objective.loss(batch, draw), list(task.trained_by(objective).values())))
        for objective in task.objectives()
    ]


def plain_gradients(task: GAN, batch: Tensor) -> list[list[Tensor]]:
    """The same out of the plain example."""
    plain = PlainGAN(task, lambda: batch)
    fake = task.generator(latents(task, batch)["latent"])
    plain.judge(batch, fake)
    of_d = [p.grad.clone() for p in task.discriminator.parameters() if p.grad is not None]
    plain.fool(fake)
    return [of_d, [p.grad.clone() for p in task.generator.parameters() if p.grad is not None]]


def latents(task: Task, batch: Tensor) -> Draw:
    """One draw, the same in every precision."""
    draw = task.draw(len(batch), torch.Generator().manual_seed(0))
    return Draw(**{name: value.to(batch.dtype) for name, value in draw.items()})


def distances(found: Sequence[Tensor], exact: Sequence[Tensor]) -> tuple[float, float]:
    """Relative distance of all gradients as one vector, and of the worst tensor."""
    apart = [float((one.double() - other).norm()) for one, other in zip(found, exact, strict=True)]
    long = [float(other.norm()) for other in exact]
    whole = sum(a * a for a in apart) ** 0.5 / sum(n * n for n in long) ** 0.5
    return whole, max(a / n for a, n in zip(apart, long, strict=True))


def layouts(title: str, make: Callable[[], Task], batches: Batches, rounds: int, steps: int, clock: Clock) -> None:
    """The engine's step in channels-last memory, where it puts convolutions, against PyTorch's own layout."""
    trainings = {"contiguous": Training(make(), Plan()), "channels-last": Training(make(), Plan())}
    trainings["contiguous"].task.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    arms = {name: Stretches(training, batches, steps, clock) for name, training in trainings.items()}
    table(title, in_turn(arms, rounds), "contiguous")


def main() -> None:
    """All three parts."""
    chosen = options("Time of the engine's whole step.").parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    torch.manual_seed(0)
    tiny, few = (4, 3) if chosen.quick else (20, 25)
    digits = Batches(load("digits", size=16).train, BATCH["digits"], seed=0)
    noise = random_batches((3, 32, 32), BATCH["DCGAN"])

    vae = TINY["digits conv VAE"](digits.images.shape)
    bare = bare_vae(deepcopy(vae), pixels_in_memory(digits.images.all(), digits.batch_size))
    overhead("digits conv VAE 16 x 16, batch 64", vae, bare, digits, tiny, 50, clock)
    gan = DCGAN()
    bare = bare_gan(deepcopy(gan), pixels_in_memory(noise.images.all(), noise.batch_size))
    overhead("DCGAN 32 x 32, batch 128", gan, bare, noise, few, 1, clock)

    against_plain(noise, few, clock)

    for name, family in TINY.items():
        layouts(f"memory: {name}", partial(family, digits.images.shape), digits, tiny, 50, clock)
    layouts("memory: DCGAN 32 x 32", DCGAN, noise, few, 1, clock)


if __name__ == "__main__":
    main()
