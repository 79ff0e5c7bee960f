"""Parts: what a trained task offers to those who run it: its components, and the ways from a latent to an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.seeds import derive
from gentickets.tasks import FAMILIES, GAN, GDA, VAE, Autoencoder, Batch, Draw, Task
from gentickets.untouched import looking_only

BATCH = 8
"""Images that inputs are made of: parts are compared on up to so many."""
SAMPLER, RECONSTRUCTOR = "sampler", "reconstructor"
IMAGE = "an image with pixels in [-1, 1]"
LATENT = "a latent; drawn from N(0, 1) it gives a sample"
CODE = "a code, as the encoder gives it"
Meaning = tuple[str, str]
"""(name of a tensor, what it is)."""


@dataclass(frozen=True)
class Part:
    """A module with what it takes and gives, and inputs to try it on."""

    name: str
    module: nn.Module
    takes: tuple[Meaning, ...]
    gives: Meaning
    examples: Callable[[int], tuple[Tensor, ...]]
    """The inputs of n images, n up to `BATCH`."""

    @torch.no_grad()
    def result(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the module gives; TicketError where that is not one tensor."""
        given = self.module(*inputs)
        if not isinstance(given, Tensor):
            what = f"'{self.name}' gives {type(given).__name__}, not a tensor"
            raise TicketError(f"{what}: only modules with one result are exported", Status.FAILED)
        return given

    def told(self) -> dict[str, list[dict[str, Any]]]:
        """``takes`` and ``gives``: name, meaning and shape of each tensor; ``n`` is the number of images."""
        inputs = self.examples(2)
        takes = [_told(*one, value) for one, value in zip(self.takes, inputs, strict=True)]
        return {"takes": takes, "gives": [_told(*self.gives, self.result(inputs))]}


@looking_only
def parts_of(task: Task, batch: Batch) -> tuple[dict[str, Part], dict[str, str]]:
    """The parts of a task by name, and what is not offered, with the reason.

    Each component as it is; ``sampler`` is `Task.sample` and ``reconstructor`` is `Task.reconstruct`, with images in
    [-1, 1] whatever the components give. What a sampler draws at random is its input. ``batch`` holds at least `BATCH`
    images to make inputs of.
    """
    if len(batch) < BATCH:
        raise TicketError(f"{len(batch)} images are too few to compare exported networks on; give {BATCH}")
    batch = batch[:BATCH].cpu()
    parts = {name: _component(task, name, batch) for name in task.components}
    left_out: dict[str, str] = {}
    if task.can("sample") and SAMPLER not in parts:
        found = _sampler(task, len(batch))
        if isinstance(found, Part):
            parts[SAMPLER] = found
        else:
            left_out[SAMPLER] = found
    if task.can("reconstruct") and RECONSTRUCTOR not in parts:
        parts[RECONSTRUCTOR] = Part(
            RECONSTRUCTOR, _Reconstructing(task), (("image", IMAGE),), ("reconstruction", IMAGE), lambda n: (batch[:n],)
        )
    return parts, left_out


def _told(name: str, means: str, value: Tensor) -> dict[str, Any]:
    return {"name": name, "means": means, "shape": ["n", *value.shape[1:]]}


class _Reconstructing(nn.Module):
    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, image: Tensor) -> Tensor:
        return self.task.reconstruct(image)


class _Sampling(nn.Module):
    """`Task.sample` with given numbers in place of those that it would draw."""

    def __init__(self, task: Task, names: tuple[str, ...]) -> None:
        super().__init__()
        self.task, self.names = task, names

    def forward(self, *drawn: Tensor) -> Tensor:
        given = dict(zip(self.names, drawn, strict=True))
        with _drawing(self.task, lambda n, rng: Draw(**given)):
            return self.task.sample(drawn[0].shape[0], torch.Generator().manual_seed(0))


class _Seen(Draw):
    """A draw that remembers which of its numbers were asked for, in the order of asking."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__(**values)
        self.names: dict[str, None] = {}

    def __getitem__(self, name: str) -> Tensor:
        self.names[name] = None
        return super().__getitem__(name)


@contextmanager
def _drawing(task: Task, draw: Callable[[int, torch.Generator], Draw]) -> Iterator[None]:
    """Another function in place of the task's own `draw`."""
    vars(task)["draw"] = draw
    try:
        yield
    finally:
        del vars(task)["draw"]


@torch.no_grad()
def _sampler(task: Task, n: int) -> Part | str:
    """The sampler, tried once against `Task.sample`; a sentence where it is no function of one draw."""
    seen: list[_Seen] = []
    own = task.draw

    def draw(n: int, rng: torch.Generator) -> Draw:
        seen.append(_Seen(own(n, rng)))
        return seen[-1]

    with _drawing(task, draw):
        wanted = task.sample(n, torch.Generator().manual_seed(derive(0, "export")))
    if len(seen) != 1 or not seen[0].names:
        return f"its samples follow from {len(seen)} draws, not from the numbers of one"
    numbers, names = seen[0], tuple(seen[0].names)
    inputs = tuple(numbers[name] for name in names)
    module = _Sampling(task, names)
    if not torch.allclose(module(*inputs), wanted, rtol=1e-5, atol=1e-5):
        return "its samples follow from more than what it draws by draw()"
    if len(names) == 1 and inputs[0].ndim == 2:
        built_in = type(task) in FAMILIES.values()
        takes: tuple[Meaning, ...] = (("latent", LATENT if built_in else "what the task's draw() gives"),)
    else:
        takes = tuple((name, f"'{name}' of what the task's draw() gives") for name in names)
    gives = "image" if "image" not in names else "sample"  # a graph has each name once
    return Part(SAMPLER, module, takes, (gives, IMAGE), lambda n: tuple(value[:n] for value in inputs))


def _component(task: Task, name: str, batch: Batch) -> Part:
    if name not in task.inputs(batch[:2]):
        raise TicketError(f"{type(task).__name__}.inputs() does not say what '{name}' takes", Status.FAILED)

    def examples(n: int) -> tuple[Tensor, ...]:
        return task.inputs(batch[:n])[name]

    module = task.get_submodule(name)
    if known := _MEANINGS.get((type(task), name)):
        takes, gives = known
        return Part(name, module, (takes,), _raw_image(task) if gives is _RAW else gives, examples)
    inputs = examples(2)
    names = ["input"] if len(inputs) == 1 else [f"input_{place}" for place in range(len(inputs))]
    made = tuple((one, f"as {type(task).__name__}.inputs() makes it") for one in names)
    return Part(name, module, made, ("output", f"what '{name}' gives"), examples)


def _raw_image(task: Task) -> Meaning:
    if getattr(task, "likelihood", None) == "bernoulli":
        return "logits", "logits of pixels in [0, 1]: 2 sigmoid(x) - 1 is the image in [-1, 1]"
    return "raw_image", "an image before its tanh: tanh(x) is the image in [-1, 1]"


_RAW: Meaning = ("", "")
_POSTERIOR = "means of the latent, and behind them as many logarithms of variances"
_MEANINGS: dict[tuple[type[Task], str], tuple[Meaning, Meaning]] = {
    (Autoencoder, "encoder"): (("image", IMAGE), ("code", "the image's code")),
    (Autoencoder, "decoder"): (("code", CODE), ("image", IMAGE)),
    (VAE, "encoder"): (("image", IMAGE), ("posterior", _POSTERIOR)),
    (VAE, "decoder"): (("latent", LATENT), _RAW),
    (GAN, "generator"): (("latent", LATENT), ("image", IMAGE)),
    (GAN, "discriminator"): (("image", IMAGE), ("score", "one number per image, the higher the more real it looks")),
    (GDA, "generator"): (("latent", LATENT), ("raw_image", "an image that may leave [-1, 1]: cut it there")),
    (GDA, "discriminator"): (("image", IMAGE), ("score", "one number per image, the higher the more real it looks")),
}
"""(family, component) -> what it takes and gives."""
