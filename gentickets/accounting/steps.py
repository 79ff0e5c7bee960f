"""FLOPs of a whole training step: every objective's turn with its backward pass, as `gentickets.training` takes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

import torch

from gentickets.accounting.counter import LayerCounter
from gentickets.accounting.flops import densities_in, owners_in
from gentickets.accounting.formulas import KINDS
from gentickets.errors import TicketError
from gentickets.masks import Mask
from gentickets.seeds import derive
from gentickets.tasks import Objective, Task
from gentickets.untouched import eager, untouched

SIZES = (2, 3, 4)
"""Batches that are counted. One image would be too few for batch norms over 1x1 maps."""
Part = tuple[str, str, str | None]
"""(objective, kind, the parameter that the work is done for): of what a count is."""


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of one training step on a batch of ``images``. Under a mask they are *theoretical* (Trap 24).

    ``turns``: objective -> one turn of it; ``total``: a step, the mean over steps, since an objective may act in every
    n-th alone (a GAN's generator). ``kinds`` and ``layers`` are shares of that mean, by kind of work and by the
    parameter that it is done for; ``""`` stands for work that multiplies none.
    """

    images: int
    turns: Mapping[str, float]
    kinds: Mapping[str, float]
    layers: Mapping[str, float]
    uncounted: frozenset[str] = frozenset()
    """Operators whose FLOPs are not known: where there are any, all that is counted is a lower bound."""

    @property
    def total(self) -> float:
        """FLOPs of a step, the mean over steps."""
        return sum(self.kinds.values())

    @property
    def per_image(self) -> float:
        """FLOPs of a step for each of its images."""
        return self.total / self.images


def step_flops(task: Task, batch_size: int, mask: Mask | None = None) -> StepFlops:
    """FLOPs of a training step on ``batch_size`` images, exactly; the task stays as it is, its optimizers untold.

    Every objective takes its turns in order, in training mode: its loss, and the gradients of what it trains alone. A
    discriminator's turn sees real and fake; a generator's goes through the discriminator, whose weights' gradients
    are not asked for and cost nothing; a fake that both see is made once; a gradient penalty is differentiated again
    (Trap 23). Optimizers, clipping, masks and averages go number by number and count nothing. Power iterations of
    spectral norm cost the same for any batch.

    Counted are batches of 2, 3 and 4 images, which tell the count of any other one where it grows with their number.
    Where a loss multiplies images with each other it grows faster, nobody knows how fast: the batch itself is counted.

    With a mask, each layer's work, forward and for both gradients, is multiplied by the density of its weight: what a
    kernel would do that skips pruned weights, which no common one does. Norms stay as they are.

    Raises TicketError for a batch without images, and for a mask that is not the task's.
    """
    if batch_size < 1:
        raise TicketError(f"a batch of {batch_size} images: give at least 1")
    objectives = list(task.objectives())
    density = {} if mask is None else densities_in(task, mask)
    steps = lcm(*(objective.every for objective in objectives))
    parts: dict[Part, float] = defaultdict(float)
    acted: dict[str, int] = defaultdict(int)
    uncounted: set[str] = set()
    for acting, times in _phases(objectives, steps).items():
        for part, flops in _of_batch(task, batch_size, acting, uncounted).items():
            parts[part] += times * flops
        for name in acting:
            acted[name] += times
    parts = {part: flops * density.get(part[2] or "", 1.0) for part, flops in parts.items()}
    return StepFlops(
        batch_size,
        {name: sum(f for part, f in parts.items() if part[0] == name) / times for name, times in acted.items()},
        {kind: sum(f for part, f in parts.items() if part[1] == kind) / steps for kind in KINDS},
        {
            owner: sum(f for part, f in parts.items() if (part[2] or "") == owner) / steps
            for owner in dict.fromkeys(part[2] or "" for part in parts)
        },
        frozenset(uncounted),
    )


def _phases(objectives: Sequence[Objective], steps: int) -> dict[tuple[str, ...], int]:
    """The objectives that act together in a step -> in how many of these steps they do."""
    phases: dict[tuple[str, ...], int] = defaultdict(int)
    for step in range(steps):
        acting = tuple(objective.name for objective in objectives if objective.acts_at(step))
        phases[acting] += 1
    return phases


def _count(task: Task, n: int, acting: Sequence[str], uncounted: set[str]) -> dict[Part, int]:
    """What these objectives' turns cost in one step on n images; adds the operators that have no known count."""
    counts: dict[Part, int] = defaultdict(int)
    with eager(task), untouched(task, 0), torch.enable_grad():
        task.train()
        batch = torch.zeros(n, *task.image, device=task.device)
        draw = task.draw(n, torch.Generator(task.device).manual_seed(derive(0, "flops")))
        counter = LayerCounter(owners_in(task), task.buffers())
        for objective in task.objectives():
            if objective.name not in acting:
                continue
            before, trained = len(counter.works), list(task.trained_by(objective).values())
            with counter:
                loss = objective.value(batch, draw)
                asked = bool(trained) and loss.requires_grad  # else all that it trains is frozen, or has no part in it
                gradients = torch.autograd.grad(loss, trained, allow_unused=True) if asked else [None] * len(trained)
            for parameter, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    counter.claim(parameter, gradient)
            draw.updates.update(objective.trains)  # its optimizer would step now: what was made of them is made anew
            for work in counter.works[before:]:
                counts[objective.name, work.kind, work.owner] += work.flops
        uncounted |= counter.uncounted
    return counts


def _of_batch(task: Task, n: int, acting: Sequence[str], uncounted: set[str]) -> dict[Part, int]:
    """The count at n images: from those of few, or of n where few do not tell it."""
    counts = [_count(task, few, acting, uncounted) for few in SIZES]
    parts = dict.fromkeys(part for count in counts for part in count)
    two, three, four = ([count.get(part, 0) for part in parts] for count in counts)
    grows_faster = any(a - 2 * b + c for a, b, c in zip(two, three, four, strict=True))
    return _count(task, n, acting, uncounted) if grows_faster and n not in SIZES else _at(n, counts)


def _at(n: int, counts: Sequence[Mapping[Part, int]]) -> dict[Part, int]:
    """The polynomial of second degree through the counts at 2, 3 and 4, taken at n."""
    found: dict[Part, int] = {}
    for part in dict.fromkeys(part for count in counts for part in count):
        two, three, four = (count.get(part, 0) for count in counts)
        beyond = n - SIZES[0]
        found[part] = two + beyond * (three - two) + beyond * (beyond - 1) // 2 * (four - 2 * three + two)
    return found
