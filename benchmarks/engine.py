"""What the engine adds to a training step, and what it saves against the plain PyTorch DCGAN example.

A whole step of `gentickets.training.train` (batch, draw, turns, checks, watchers, and a mask where it says so)
against a bare loop written by hand (loops.py) on the same networks with the same tricks: a tiny one, where every
call counts, and a DCGAN. Then that DCGAN against the plain PyTorch example, with the gradients of both beside
float64 ones. Last, what channels-last memory does to convolutional networks of both sizes.

    python benchmarks/engine.py [--threads 2] [--clock cpu] [--quick]
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from goals import goal
from loops import PlainGAN, Step, bare_gan, bare_vae, pixels_in_memory
from measure import Arm, Clock, Stretches, in_turn, options, prepare, ratio, table
from step import random_batches, smallest_pruned
from torch import Tensor, nn

from gentickets.data import Batches, load
from gentickets.tasks import GAN, VAE, Autoencoder, Draw, Task
from gentickets.training import Plan, Training

MOST, FASTER, CLOSE = 1.05, 1.10, 1e-5
DCGAN = partial(GAN, (3, 32, 32), network="conv", width=128, latent=32)
CONV: dict[str, Any] = {"network": "conv", "width": 16, "latent": 16}
TINY: dict[str, Callable[..., Task]] = {
    "digits conv VAE": partial(VAE, **CONV, likelihood="bernoulli"),
    "digits conv AE": partial(Autoencoder, **CONV),
    "digits conv GAN": partial(GAN, **CONV),
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
    arms: dict[str, Arm] = {
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
    arms: dict[str, Arm] = {
        "plain PyTorch": by_hand(PlainGAN(deepcopy(task), pixels_in_memory(images, 128)), 1, clock),
        "engine": Stretches(Training(deepcopy(task), Plan()), batches, 1, clock),
    }
    times = in_turn(arms, rounds)
    table("DCGAN 32 x 32, batch 128, against the plain PyTorch example", times, "plain PyTorch")
    goal("engine / plain PyTorch", ratio(times, "engine", "plain PyTorch"), 1 / FASTER)
    print("  gradients against float64 ones, relative norm: the worst tensor, and all weights")
    for name, gradients in {"engine": our_gradients, "plain PyTorch": plain_gradients}.items():
        for player, (worst, whole) in compare(task, gradients, batches(0)).items():
            goal(f"{name}, {player} (worst tensor {worst:.1e}), millionths", whole * 1e6, CLOSE * 1e6)


Gradients = dict[str, list[Tensor]]
"""Player -> the gradients of its weights."""


def our_gradients(task: GAN, batch: Tensor) -> Gradients:
    """The gradients of both objectives at the same weights, as a turn takes them."""
    task.to(memory_format=torch.channels_last)
    draw = latents(task, batch)
    return {
        one.name: list(torch.autograd.grad(one.loss(batch, draw), list(task.trained_by(one).values())))
        for one in task.objectives()
    }


def plain_gradients(task: GAN, batch: Tensor) -> Gradients:
    """The same out of the plain example."""
    plain = PlainGAN(task, lambda: batch)
    fake = task.generator(latents(task, batch)["latent"])
    plain.judge(batch, fake)
    of_d = [p.grad.clone() for p in task.discriminator.parameters() if p.grad is not None]
    plain.fool(fake)
    return {"discriminator": of_d, "generator": [p.grad for p in task.generator.parameters() if p.grad is not None]}


def compare(task: GAN, gradients: Callable[[GAN, Tensor], Gradients], batch: Tensor) -> dict[str, tuple[float, float]]:
    """Relative distance of each player's gradients from float64 ones: of the worst tensor, and of all as one vector.

    The gradient of a ReLU jumps at 0, so that one of millions of units within rounding of 0 moves it by 1e-4 and
    more, in any float32 loop. So the float64 pass takes the side of 0 that the float32 pass took.
    """
    with sides_of_kinks(single := deepcopy(task)) as sides:
        found = gradients(single, batch)
    with sides_of_kinks(double := deepcopy(task).double(), sides):
        exact = our_gradients(double, batch.double())
    distances = {}
    for player in found:
        apart = [float((f.double() - e).norm()) for f, e in zip(found[player], exact[player], strict=True)]
        long = [float(tensor.norm()) for tensor in exact[player]]
        distances[player] = max(a / n for a, n in zip(apart, long, strict=True)), math.hypot(*apart) / math.hypot(*long)
    return distances


@contextlib.contextmanager
def sides_of_kinks(task: Task, given: Sequence[Tensor] | None = None) -> Iterator[list[Tensor]]:
    """Record on which side of 0 every ReLU's input is, call by call; or have them take the sides ``given``."""
    sides: list[Tensor] = list(given or ())
    replayed = iter(sides)

    def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        if given is None:
            sides.append(inputs[0] > 0)
            return None
        return inputs[0] * torch.where(next(replayed), 1.0, getattr(layer, "negative_slope", 0.0))

    kinks = {layer for layer in task.modules() if isinstance(layer, nn.ReLU | nn.LeakyReLU)}
    hooks = [layer.register_forward_hook(note) for layer in kinks]
    try:
        yield sides
    finally:
        for hook in hooks:
            hook.remove()


def latents(task: Task, batch: Tensor) -> Draw:
    """One draw, the same in every precision."""
    draw = task.draw(len(batch), torch.Generator().manual_seed(0))
    return Draw(**{name: value.to(batch.dtype) for name, value in draw.items()})


def layouts(title: str, make: Callable[[], Task], batches: Batches, rounds: int, steps: int, clock: Clock) -> None:
    """The engine's step in channels-last memory, where it puts convolutions, against PyTorch's own layout."""
    trainings = {"contiguous": Training(make(), Plan()), "channels-last": Training(make(), Plan())}
    trainings["contiguous"].task.to(memory_format=torch.contiguous_format)
    arms: dict[str, Arm] = {name: Stretches(training, batches, steps, clock) for name, training in trainings.items()}
    table(title, in_turn(arms, rounds), "contiguous")


def main() -> None:
    """All three parts."""
    chosen = options("Time of the engine's whole step.").parse_args()
    clock = prepare(chosen.threads, chosen.clock)
    torch.manual_seed(0)
    tiny, few = (2, 2) if chosen.quick else (20, 25)
    digits = Batches(load("digits", size=16).train, BATCH["digits"], seed=0)
    noise = random_batches((3, 32, 32), BATCH["DCGAN"])

    vae = VAE(digits.images.shape, **CONV, likelihood="bernoulli")
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
