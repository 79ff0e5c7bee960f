"""Evaluate: every figure of a task on one split, each with where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import torch
from torch import Tensor

from gentickets.data import Splits
from gentickets.errors import Status, TicketError, nearest
from gentickets.heartbeat import beat
from gentickets.provenance import provenance
from gentickets.quality.downstream import accuracy_on_reconstructions, accuracy_on_samples
from gentickets.quality.extractor import Extractor
from gentickets.quality.features import OwnFeatures
from gentickets.quality.figures import mean_of, of_single_images
from gentickets.quality.pictures import required
from gentickets.quality.reference import Reference, Split, images_of, reference
from gentickets.quality.samples import Compared, chosen, require_all
from gentickets.seeds import derive
from gentickets.tasks.base import Task
from gentickets.untouched import untouched

MODE = "evaluation-mode batch norm"
BLOCK = 256
"""Samples drawn from one generator, whatever the number wanted: the first 500 of 1,000 are the 500 of 500."""


@dataclass(frozen=True)
class Evaluation:
    """Figures on one split (`metrics.better`: which way is good), where each came from, a sentence on collapse."""

    figures: dict[str, float]
    provenance: dict[str, str] = field(default_factory=dict)
    collapsed: str | None = None
    single: Mapping[str, Tensor] = field(default_factory=dict, compare=False)
    """The task's own figures before they are averaged: one number per image of the split (n)."""


def evaluate(
    task: Task,
    splits: Splits,
    split: Split,
    *,
    seed: int,
    extractor: Extractor | None = None,
    samples: int | None = None,
    figures: Sequence[str] | None = None,
    downstream: bool = False,
    classifier: OwnFeatures | None = None,
) -> Evaluation:
    """The task's own averages; with an extractor figures of samples; with a classifier those downstream.

    ``figures`` chooses among `metrics.COMPARED`, by default all that the extractor allows; a family without a prior has
    none. Samples are from the true prior (Trap 26), ``samples`` of them or as many as the split has images, with
    latents that follow from ``seed`` alone, so that all arms get the same. ``classifier``, by default the extractor
    where it is one of the data's labels, gives ``accuracy_on_reconstructions`` where the task reconstructs, and with
    ``downstream`` a second one trained on samples gives ``accuracy_on_samples`` (seconds). On ``train`` as many
    images are taken as the test split has, with test's samples, so that both differ by the real images alone.

    Evaluation mode throughout; the task and the global random state are left as they were. Raises TicketError:
    status DIVERGED for a figure that is not finite, and a sentence naming the figure that cannot be had.
    """
    if split not in get_args(Split):
        hint = nearest(split, get_args(Split))
        raise TicketError(f"metrics are computed on the split 'train', 'valid' or 'test', not on '{split}'. {hint}")
    if classifier is None and isinstance(extractor, OwnFeatures) and extractor.classifies:
        classifier = extractor
    of = _Evaluated(task, splits, split, seed, classifier)
    of.averages()
    if classifier is not None and task.can("reconstruct"):
        of.reconstructions(classifier)
    if extractor is not None and task.can("sample"):
        of.samples(extractor, figures, samples, downstream)
    elif downstream:
        raise TicketError(f"accuracy_on_samples needs samples, and {_why_none(task)}")
    elif figures and extractor is not None:
        raise TicketError(f"{figures[0]} is a metric of samples, and {_why_none(task)}")
    return of.evaluation


def drawn(task: Task, n: int, seed: int, shape: tuple[int, ...]) -> Tensor:
    """n samples of the task's prior on the CPU, (n, c, h, w), in evaluation mode, in blocks of 256."""
    blocks: list[Tensor] = []
    with untouched(task, derive(seed, "samples", "global")):
        for block in range(-(-n // BLOCK)):
            beat()
            rng = torch.Generator(task.device).manual_seed(derive(seed, "samples", block))
            images = required(task.sample(BLOCK, rng), "samples", (BLOCK, *shape))
            blocks.append(images[: n - block * BLOCK].cpu())
            if not torch.isfinite(blocks[-1]).all():
                raise TicketError("samples are not finite: the network has diverged", Status.DIVERGED)
    return torch.cat(blocks)


class _Evaluated:
    """An evaluation that grows."""

    def __init__(self, task: Task, splits: Splits, split: Split, seed: int, classifier: OwnFeatures | None) -> None:
        self.task, self.splits, self.split, self.seed, self.classifier = task, splits, split, seed, classifier
        self.images = images_of(splits, split)
        self.evaluation = Evaluation({})

    def averages(self) -> None:
        """The task's own figures."""
        values = of_single_images(self.task, self.images, seed=self.seed)
        found = {name: mean_of(parts) for name, parts in values.items()}
        self.evaluation = replace(self.evaluation, single={name: torch.cat(parts) for name, parts in values.items()})
        text = provenance(f"mean over {self.images.n} {self.split} images", MODE, f"noise of seed {self.seed}")
        self._add(found, dict.fromkeys(found, text))

    def reconstructions(self, classifier: OwnFeatures) -> None:
        """What a classifier of real images makes of reconstructions."""
        if self.images.labels is None:
            return
        value = accuracy_on_reconstructions(self.task, self.images, classifier)
        told = provenance(self._judge(classifier), f"N = {self.images.n} reconstructions of {self.split} images", MODE)
        self._add({"accuracy_on_reconstructions": value}, {"accuracy_on_reconstructions": told})

    def samples(self, extractor: Extractor, asked: Sequence[str] | None, n: int | None, downstream: bool) -> None:
        """Figures of samples, and downstream accuracy where asked for."""
        names = chosen(asked, extractor)
        if downstream and self.classifier is None:
            raise TicketError(f"accuracy_on_samples needs labelled images, and '{self.splits.name}' has no classifier")
        n = self.images.n if n is None else n
        require_all(names, n, self.images.n)
        if not names and not downstream:
            return
        # train is seen by test's samples
        latents = derive(self.seed, "valid" if self.split == "valid" else "test")
        fakes = drawn(self.task, n, latents, tuple(self.images.shape))
        told = (MODE, f"latents of seed {self.seed}")
        if names:
            self._compare(fakes, extractor, names, told)
        if downstream and self.classifier is not None:
            value = accuracy_on_samples(fakes, self.images, self.classifier)
            sides = f"a second one trained on N = {len(fakes)} samples, tested on {self.images.n} {self.split} images"
            text = provenance(self._judge(self.classifier), sides, *told)
            self._add({"accuracy_on_samples": value}, {"accuracy_on_samples": text})

    def _compare(self, fakes: Tensor, extractor: Extractor, names: Sequence[str], told: tuple[str, ...]) -> None:
        real = reference(extractor, self.splits, self.split)
        seen = extractor.look(fakes)
        compared = Compared(seen, real, self.splits, names, told)
        fake_classes = real_classes = None
        if self.classifier is not None:
            fake_classes = (seen if self.classifier is extractor else self.classifier.look(fakes)).classes
            real_classes = self._real(self.classifier).seen.classes
        self._add(compared.figures, compared.provenance, compared.collapsed(fake_classes, real_classes))

    def _judge(self, classifier: OwnFeatures) -> str:
        accuracy = self._real(classifier).accuracy
        own = "" if accuracy is None else f" ({100 * accuracy:.1f} % on the real {self.split} images)"
        return f"classifier {classifier.name}{own}"

    def _real(self, classifier: OwnFeatures) -> Reference:
        return reference(classifier, self.splits, self.split)

    def _add(self, figures: dict[str, float], told: dict[str, str], collapsed: str | None = None) -> None:
        before = self.evaluation
        figures, told = before.figures | figures, before.provenance | told
        self.evaluation = replace(before, figures=figures, provenance=told, collapsed=collapsed or before.collapsed)


def _why_none(task: Task) -> str:
    if not task.can("sample"):
        return f"{type(task).__name__} has no prior to sample from"
    return "no features are given to compare them in"
