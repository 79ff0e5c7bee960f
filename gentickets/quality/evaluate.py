"""Evaluate: every figure of a task on one split, each with where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from gentickets.data import Splits
from gentickets.errors import Status, TicketError, nearest
from gentickets.quality.collapse import NEIGHBOURS, collapsed, coverage_gap, missing_classes, spread
from gentickets.quality.features import Extractor
from gentickets.quality.figures import averages
from gentickets.quality.frechet import distance, fit
from gentickets.quality.reference import reference
from gentickets.seeds import derive
from gentickets.tasks.base import Task
from gentickets.untouched import untouched

MODE = "evaluation-mode batch norm"
BLOCK = 256
"""Samples drawn from one generator, whatever the number wanted: the first 500 of 1,000 are the 500 of 500."""


@dataclass(frozen=True)
class Evaluation:
    """Figures on one split (lower is better), where each came from, and a sentence on collapse."""

    figures: dict[str, float]
    provenance: dict[str, str] = field(default_factory=dict)
    collapsed: str | None = None


def evaluate(
    task: Task,
    splits: Splits,
    split: Literal["valid", "test"],
    *,
    seed: int,
    extractor: Extractor | None = None,
    samples: int | None = None,
) -> Evaluation:
    """Averages of the task's own figures; with an extractor and a prior ``frechet`` and ``coverage_gap`` too.

    Samples are from the task's true prior (Trap 26), ``samples`` of them or as many as the split has images,
    with latents that follow from ``seed`` alone, so that all arms get the same. Evaluation mode throughout;
    the task and the global random state are left as they were. A figure that is not finite raises TicketError
    with status DIVERGED.
    """
    if split not in ("valid", "test"):
        hint = nearest(split, ("valid", "test"))
        raise TicketError(f"figures are taken on the split 'valid' or 'test', not on '{split}'. {hint}")
    images = splits.valid if split == "valid" else splits.test
    figures = averages(task, images, seed=seed)
    provenance = dict.fromkeys(figures, f"mean over {images.n} {split} images, {MODE}")
    if extractor is None or not task.can("sample"):
        return Evaluation(figures, provenance)
    if samples is not None and samples < 2:
        raise TicketError(f"samples must be at least 2 for a distance, not {samples}")
    fakes = drawn(task, images.n if samples is None else samples, derive(seed, split), tuple(images.shape))
    return _compared(fakes, splits, split, extractor, Evaluation(figures, provenance))


def drawn(task: Task, n: int, seed: int, shape: tuple[int, ...]) -> Tensor:
    """n samples of the task's prior on the CPU, (n, c, h, w), in evaluation mode, in blocks of 256."""
    blocks: list[Tensor] = []
    with untouched(task, derive(seed, "samples", "global")):
        for block in range(-(-n // BLOCK)):
            rng = torch.Generator(task.device).manual_seed(derive(seed, "samples", block))
            blocks.append(task.sample(BLOCK, rng)[: n - block * BLOCK].cpu())
            if tuple(blocks[-1].shape[1:]) != shape:
                found = tuple(blocks[-1].shape[1:])
                raise TicketError(f"samples have shape {found}, the images have {shape}")
            if not torch.isfinite(blocks[-1]).all():
                raise TicketError("samples are not finite: the network has diverged", Status.DIVERGED)
    return torch.cat(blocks)


def _compared(fakes: Tensor, splits: Splits, split: str, extractor: Extractor, so_far: Evaluation) -> Evaluation:
    """The Evaluation with the figures of samples against the split's images added."""
    real = reference(extractor, splits, split, len(fakes))
    fake, fake_classes = extractor.both(fakes)
    gap = coverage_gap(fake, real.features, reach=real.radii)
    figures = {"frechet": distance(fit(fake, "samples"), real.gaussian), "coverage_gap": gap}
    sides = f"N = {len(fake)} samples against {real.gaussian.n} {split} images"
    told = [extractor.described, sides, real.floor_told]
    if (few := min(len(fake), real.gaussian.n)) <= (count := fake.shape[1]):
        told.append(f"unreliable, as {few} images give {count} features a singular covariance")
    provenance = {
        "frechet": ", ".join([*told, MODE]),
        "coverage_gap": f"{extractor.described}, {sides}, k = {NEIGHBOURS}, {MODE}",
    }
    missing: list[int] = []
    if fake_classes is not None and real.classes is not None:
        missing = missing_classes(fake_classes, real.classes)
    sentence = collapsed(
        missing=missing,
        classes=0 if real.classes is None else len(set(real.classes.tolist())),
        relative_spread=spread(fake) / max(real.spread, 1e-12),
        gap=gap,
    )
    return Evaluation(so_far.figures | figures, so_far.provenance | provenance, sentence)
