"""Planted tickets: the one setting in which it is known which weights a method ought to find.

A sparse decoder, the teacher, makes the data and hides in a wider one, the student: the student's initialization holds
the teacher's weights at known places. With everything else pruned, the student *is* the teacher before its first step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import floor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gentickets.data import Images
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Mask, prunable
from gentickets.seeds import derive
from gentickets.tasks import VAE, Batch, Draw, Objective, Task
from gentickets.tasks.networks import Style, up
from gentickets.tickets import load_weights, state_of
from gentickets.untouched import seeded

SETTINGS = ("regression", "vae")
"""What the student learns from: the codes behind the images, or the images alone."""
_CODES = 4096
"""Codes on which a teacher is looked at."""
_LEAST_ACTIVE = 0.05
"""Share of the codes at which each unit of a teacher is active at the least: a silent unit's weights do nothing."""
_TRIES = 100


class Teacher(nn.Module):
    """A multilayer perceptron from codes (n, latent) to pixels (n, pixels), with ReLUs and a fixed gain.

    Its weights are buffers, so that nothing trains or prunes them.
    """

    def __init__(self, weights: Sequence[Tensor], gain: float = 1.0) -> None:
        super().__init__()
        self.gain, self.depth = gain, len(weights) - 1
        for place, weight in enumerate(weights):
            self.register_buffer(f"weight{place}", weight)

    def hidden(self, codes: Tensor) -> list[Tensor]:
        """What each hidden layer passes on, (n, units)."""
        layers = [codes]
        for place in range(self.depth):
            layers.append(F.relu(F.linear(layers[-1], self.get_buffer(f"weight{place}"))))
        return layers[1:]

    def forward(self, codes: Tensor) -> Tensor:
        """The pixels before their tanh, of variance 1 over codes from N(0, 1) once the gain is set."""
        return self.gain * F.linear(self.hidden(codes)[-1], self.get_buffer(f"weight{self.depth}"))


class Gain(nn.Module):
    """A factor that does not train: what a sparse network of small weights needs for images with contrast."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The input times the factor."""
        return x * self.factor


class Imitation(Task):
    """A decoder that learns to make a teacher's images, told their codes: regression, with new codes in every step.

    ``imitation`` is the squared error before the tanh that makes pixels, in units of the teacher's variance: 0 is the
    teacher's function, 1 no better than its mean image. Batches matter by their size alone.
    """

    def __init__(self, teacher: Teacher, latent: int, pixels: int, style: Style) -> None:
        super().__init__()
        self.image, self.latent = (1, 1, pixels), latent
        self.decoder = nn.Sequential(*up("mlp", latent, self.image, style), Gain(teacher.gain))
        self.teacher = copy.deepcopy(teacher)  # moving a student to a device moves its own

    def objectives(self) -> Sequence[Objective]:
        """One turn: the decoder learns."""
        return [Objective("imitation", self.loss, ("decoder",))]

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """Codes from N(0, 1), (n, latent)."""
        return Draw(latent=torch.randn(n, self.latent, generator=rng, device=self.device))

    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        """The mean of ``imitation`` over the codes."""
        return self.figures(batch, draw)["imitation"].mean()

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """``imitation`` of each code: the error per pixel."""
        codes = draw["latent"]
        return {"imitation": (self.decoder(codes).flatten(1) - self.teacher(codes)).square().mean(1)}

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Codes for the decoder, the same at every call."""
        rng = torch.Generator(self.device).manual_seed(derive(0, "inputs"))
        return {"decoder": (self.draw(len(batch), rng)["latent"],)}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """The student's images of codes from N(0, 1)."""
        return torch.tanh(self.decoder(self.draw(n, rng)["latent"]))


class PlantedVAE(VAE):
    """A VAE with a Gaussian likelihood whose decoder ends in the teacher's gain."""

    def __init__(self, teacher: Teacher, latent: int, pixels: int, style: Style, beta: float) -> None:
        super().__init__((1, 1, pixels), width=style.width, depth=style.depth, latent=latent, beta=beta)
        self.decoder.append(Gain(teacher.gain))


@dataclass(frozen=True)
class Planted:
    """A student in whose initialization a teacher hides."""

    task: Callable[[], Task]
    """Makes the student at its initialization, the same at every call; its component ``decoder`` holds the teacher."""
    mask: Mask
    """The planted weights: of every layer of the decoder the same density."""
    data: Images
    """The teacher's images, (n, 1, 1, pixels)."""
    teacher: Teacher
    units: tuple[Tensor, ...]
    """The places of the teacher's units in each hidden layer, ascending."""


def plant(
    seed: int,
    *,
    latent: int = 8,
    hidden: int = 24,
    pixels: int = 32,
    width: int = 64,
    density: float = 0.15,
    depth: int = 1,
    setting: str = "regression",
    images: int = 4096,
    beta: float = 1.0,
) -> Planted:
    """Hide a sparse teacher with ``hidden`` units a layer in a student with ``width``, as ``density`` of its weights.

    The student's weights are PyTorch's usual initialization and its biases zero. The teacher is carved out of them:
    ``hidden`` of each layer's units and, in every layer alike, floor(density * n + 0.5) of its n weights, all at random
    among those between planted units, so that each unit, code and pixel has one at least. Planted values are then
    draws from the same distribution as all others, and no sizes tell them apart. Sparse networks of such weights have
    outputs too small for images, so a fixed gain, the student's and the teacher's alike, brings the teacher's to
    variance 1. (After Fischer and Burkholz, 2022, whose planted targets are given and scaled to their surroundings.)

    ``setting``: ``regression`` gives an `Imitation`, ``vae`` a `PlantedVAE` of that ``beta``, to be trained on
    ``data``. Wirings in which a unit is active at under 5 % of the codes are drawn again. Raises TicketError: sizes
    that do not fit each other, an unknown setting; with status FAILED, no wiring in which all units are active.
    """
    if setting not in SETTINGS:
        raise TicketError(f"unknown setting '{setting}'. {nearest(setting, SETTINGS)}")
    for name, value in {"latent": latent, "pixels": pixels, "depth": depth, "images": images}.items():
        if value < 1:
            raise TicketError(f"{name} is {value}; it must be 1 or more")
    if not 1 <= hidden <= width:
        raise TicketError(f"hidden = {hidden} units cannot hide in a width of {width}: give 1 to {width}")
    if not 0 < density <= 1:
        raise TicketError(f"density is {density}, but must be above 0 and at most 1")
    style = Style(width, depth)
    with seeded(torch.device("cpu"), derive(seed, "init")):
        network = up("mlp", latent, (1, 1, pixels), style)
    weights = {f"decoder.{name}": weight.detach() for name, weight in prunable(network).items()}
    units, mask, teacher = _hidden_in(weights, hidden, density, seed)
    make: Callable[[], Task] = partial(Imitation, teacher, latent, pixels, style)
    if setting == "vae":
        make = partial(PlantedVAE, teacher, latent, pixels, style, beta)
    rng = torch.Generator().manual_seed(derive(seed, "images"))
    shades = ((torch.tanh(teacher(torch.randn(images, latent, generator=rng))) + 1) * 127.5).round()
    data = Images(shades.to(torch.uint8).view(-1, 1, 1, pixels))
    return Planted(partial(_student, seed, make, weights), mask, data, teacher, units)


@dataclass(frozen=True)
class Found:
    """How much of a planted ticket a mask keeps."""

    all: float
    """Share of the planted weights that are kept: recall; of a mask of the planted one's size, precision as well."""
    by_layer: dict[str, float]
    """The same for each layer."""
    chance: float
    """What a random mask with the same number of weights in each layer keeps of the planted ones, on average."""
    chance_by_layer: dict[str, float]
    """The same for each layer: the mask's own density there."""


def share_found(mask: Mapping[str, Tensor], planted: Planted) -> Found:
    """The share of the planted weights that a mask keeps.

    Places are compared one by one: a network's units could be renamed without changing its function, but the student's
    initialization has fixed which unit is which, so that nothing needs to be matched. Tensors of ``mask`` in which
    nothing is planted (an encoder's) do not count. Raises TicketError (status 3) where a planted tensor is missing or
    has another shape.
    """
    own = Mask({name: kept.cpu() for name, kept in mask.items() if name in planted.mask})
    planted.mask.require_same_names(own, "the mask")
    of = {name: planted.mask.kept_in(name) for name in own}
    hits = {name: int((own[name] & planted.mask[name]).sum()) for name in own}
    expected = sum(of[name] * density for name, density in own.densities.items())
    total = planted.mask.kept
    by_layer = {name: hits[name] / of[name] for name in own}
    return Found(sum(hits.values()) / total, by_layer, expected / total, own.densities)


def _student(seed: int, make: Callable[[], Task], weights: Mapping[str, Tensor]) -> Task:
    """A student as made, with these weights in its decoder and no biases there."""
    with seeded(torch.device("cpu"), derive(seed, "init")):
        task = make()
    state = state_of(task)
    own = [name for name in state if name.startswith("decoder.") and name.endswith(".bias")]
    load_weights(task, {**state, **{name: torch.zeros_like(state[name]) for name in own}, **weights})
    return task


def _hidden_in(
    weights: Mapping[str, Tensor], hidden: int, density: float, seed: int
) -> tuple[tuple[Tensor, ...], Mask, Teacher]:
    """The first wiring in which every unit is active: the places of its units, its mask and its teacher."""
    rng = torch.Generator().manual_seed(derive(seed, "wiring"))
    first, *_ = weights.values()
    codes = torch.randn(_CODES, first.shape[1], generator=rng)
    for _ in range(_TRIES):
        units, mask, own = _wiring(weights, hidden, density, rng)
        unscaled = Teacher(own)
        if all(bool(((layer > 0).float().mean(0) >= _LEAST_ACTIVE).all()) for layer in unscaled.hidden(codes)):
            made = unscaled(codes)
            return units, mask, Teacher(own, float((made - made.mean(0)).square().mean() ** -0.5))
    raise TicketError(
        f"none of {_TRIES} wirings has all of the teacher's units active: give each more weights (a higher density, or "
        "fewer hidden units)",
        Status.FAILED,
    )


def _wiring(
    weights: Mapping[str, Tensor], hidden: int, density: float, rng: torch.Generator
) -> tuple[tuple[Tensor, ...], Mask, list[Tensor]]:
    """Random places of units, a random mask between them, and the weights that it keeps of those places alone."""
    layers = list(weights.values())
    units = tuple(torch.randperm(len(weight), generator=rng)[:hidden].sort().values for weight in layers[:-1])
    masks, own = {}, []
    inputs = [torch.arange(layers[0].shape[1]), *units]
    outputs = [*units, torch.arange(len(layers[-1]))]
    for (name, weight), columns, rows in zip(weights.items(), inputs, outputs, strict=True):
        count = floor(density * weight.numel() + 0.5)  # as `keep_top` rounds
        wired = _wired(name, len(rows), len(columns), count, rng)
        masks[name] = torch.zeros_like(weight, dtype=torch.bool)
        masks[name][rows[:, None], columns] = wired
        own.append(torch.where(wired, weight[rows[:, None], columns], 0.0))
    return units, Mask(masks), own


def _wired(name: str, rows: int, columns: int, count: int, rng: torch.Generator) -> Tensor:
    """``count`` random connections, bool (rows, columns): one in each row and column at least, the rest anywhere."""
    least = max(rows, columns)
    if not least <= count <= rows * columns:
        raise TicketError(
            f"{count} planted weights do not fit between the {columns} and {rows} units of '{name}', which take "
            f"{least} to {rows * columns}: change density, hidden or width"
        )
    wired = torch.zeros(rows, columns, dtype=torch.bool)
    once = torch.arange(least)  # goes round the shorter side, so that each of both sides has a part in it
    to_each, from_each = torch.randperm(rows, generator=rng), torch.randperm(columns, generator=rng)
    wired[to_each[once % rows], from_each[once % columns]] = True
    free = (~wired).flatten().nonzero().flatten()
    wired.view(-1)[free[torch.randperm(len(free), generator=rng)[: count - least]]] = True
    return wired
