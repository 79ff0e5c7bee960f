"""Classifier: the small network whose 64 features samples and real images are compared in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gentickets.data import Images
from gentickets.seeds import derive
from gentickets.untouched import one_thread, seeded

FEATURES = 64
_SEED = 20260101
"""Never the run's: every run on the same data has the same features."""
STEPS = 1000
_BATCH = 64
_RATE = 3e-3
_NOISE = 0.2
BLOCK = 512
_CPU = torch.device("cpu")


def architecture_for(shape: Sequence[int], classes: int | None) -> str:
    """The network that fits an image (c, h, w).

    ``mlp64`` for labelled grey images of at most 16x16, ``conv64`` for other labelled ones, and
    ``random-conv64`` without labels.
    """
    channels, height, width = shape
    if classes is None:
        return "random-conv64"
    return "mlp64" if channels == 1 and max(height, width) <= 16 else "conv64"


def build(architecture: str, shape: Sequence[int], classes: int | None) -> nn.Sequential:
    """The network, on the CPU: the body gives 64 features (n, 64), the head ``classes`` logits, if any.

    No layer behaves differently in training.
    Weights are He-uniform from a fixed seed, biases zero (He, 2015).
    """
    channels, height, width = shape
    with seeded(_CPU, 0):
        if architecture == "mlp64":
            body: list[nn.Module] = [nn.Flatten(), nn.Linear(channels * height * width, 128), nn.ReLU()]
            body += [nn.Linear(128, FEATURES), nn.ReLU()]
        else:
            body = _convolutions(channels, height, width)
        parts = {
            "body": nn.Sequential(*body),
            "head": nn.Linear(FEATURES, classes) if classes else nn.Identity(),
        }
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    rng = torch.Generator().manual_seed(derive(_SEED, "features", "weights"))
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=rng)
        else:
            nn.init.zeros_(parameter)
    return network


def fitted(
    architecture: str,
    batch: Callable[[Tensor], Tensor],
    labels: Tensor,
    shape: Sequence[int],
    classes: int,
    steps: int = STEPS,
) -> nn.Sequential:
    """The network trained on images and their labels, int64 (n,); ``batch`` gives the images at indices (k,).

    1,000 steps of AdamW on batches of 64 with a little noise on the pixels, on one CPU thread, whatever the
    device and the threads of the run: the same bits for the same data on one machine. About a second for
    digits, a quarter of a minute for 32x32 colour images.
    """
    network = build(architecture, shape, classes)
    answers = labels.cpu()
    rng = torch.Generator().manual_seed(derive(_SEED, "features", "batches"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE)
    with one_thread(), seeded(_CPU, 0), torch.enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = _RATE * _schedule(step / STEPS)
            chosen = torch.randint(len(answers), (_BATCH,), generator=rng)
            images = batch(chosen).cpu()
            images = images + _NOISE * torch.randn(images.shape, generator=rng)
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(network(images), answers[chosen]))
            optimizer.step()
    return network


def accuracy_on(network: nn.Sequential, images: Images) -> float | None:
    """Fraction of a split that the network classifies correctly; None without labels."""
    if images.labels is None:
        return None
    labels = images.labels.cpu()
    right, start = 0, 0
    with torch.no_grad():
        for batch in images.chunks(BLOCK):
            guesses = network(batch.cpu()).argmax(1)
            right += int((guesses == labels[start : start + len(batch)]).sum())
            start += len(batch)
    return right / images.n


def shares(classes: Tensor, count: int) -> list[float]:
    """The share of each of ``count`` classes among predicted ones, int64 (n,), n >= 1: a histogram that sums to 1."""
    found: list[float] = (torch.bincount(classes, minlength=count).double() / len(classes)).tolist()
    return found


def _convolutions(channels: int, height: int, width: int) -> list[nn.Module]:
    """3x3 stride-2 convolutions, 64 channels at the end, down to a side of at most 4; then 64 features."""
    stages = max(1, math.ceil(math.log2(max(height, width) / 4)))
    layers: list[nn.Module] = []
    for stage in range(stages):
        wide = max(8, FEATURES >> max(0, stages - 2 - stage))
        layers += [nn.Conv2d(channels, wide, 3, 2, 1), nn.ReLU()]
        channels, height, width = wide, (height + 1) // 2, (width + 1) // 2
    return [*layers, nn.Flatten(), nn.Linear(channels * height * width, FEATURES), nn.ReLU()]


def _schedule(part: float) -> float:
    """Warm-up over the first tenth, then half a cosine down."""
    return part / 0.1 if part < 0.1 else 0.5 * (1.0 + math.cos(math.pi * (part - 0.1) / 0.9))
