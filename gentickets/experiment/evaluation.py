"""Evaluates a unit: at which steps, by which metrics, and which checkpoint represents it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from gentickets.arms import TICKET, TWICE
from gentickets.data import Batches
from gentickets.disk import write_whole
from gentickets.errors import TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.checkpoint import JobProgress
from gentickets.experiment.plan import Unit
from gentickets.files.single_images import KIND
from gentickets.metrics import COMPARED, as_loss, averaged, better, known
from gentickets.metrics import metric as metric_of
from gentickets.provenance import provenance
from gentickets.quality import Evaluation, evaluate, floors, reconstruction_grid, sample_grid
from gentickets.quality.samples import require_all
from gentickets.results import Figures
from gentickets.runs.folder import RoundFolder, RunFolder
from gentickets.tasks import Task
from gentickets.tensorfile import pack
from gentickets.tickets import copied, load_weights, state_of
from gentickets.training import Training

EVALUATION_SEED = 0
"""One seed for all arms and seeds: the same latents and the same noise."""
NORM_BATCHES = 8
"""Training batches on which the norm statistics of averaged weights are estimated."""


def check_measures(assembly: Assembly) -> None:
    """Raise TicketError, before anything is trained, for a measure that cannot be had at the end.

    The Inception weights are missing or damaged, or there are too few samples or images for a figure.
    """
    quality = assembly.recipe.quality
    if not quality.frechet or not assembly.task(0).can("sample"):
        return
    names: Sequence[str] = [name for name in COMPARED if "logits" not in metric_of(name).needs]
    names = names if quality.figures is None else quality.figures
    for images in (assembly.splits.valid, assembly.splits.test):
        require_all(names, quality.samples or images.n, images.n)
    if names and quality.features == "inception":
        assembly.extractor(Path())  # kept by the assembly; only features of one's own have a folder


class Examiner:
    """Evaluates one unit's training, and records it in its progress."""

    def __init__(
        self,
        assembly: Assembly,
        run: RunFolder,
        unit: Unit,
        training: Training,
        batches: Batches,
        progress: JobProgress,
    ) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.training, self.batches, self.progress = training, batches, progress

    def evaluation_steps(self, rewind_to: int) -> list[int]:
        """Steps at which to evaluate: all along for arms that pick their best, else the last few."""
        span, steps = self.unit.span, self.assembly.recipe.train.steps
        if self.unit.name.picks_best:
            every = max(1, steps // 2)
            return [*range(every, span - every // 2, every), span]
        count, gap = self.assembly.recipe.quality.checkpoints, max(1, steps // 20)
        return sorted({max(rewind_to + 1, span - gap * back) for back in range(count)})

    def evaluate(self, step: int) -> None:
        """Evaluate the training at its present step. Where the best is picked, test is not used (Trap 27)."""
        progress = self.progress
        with progress.counted("evaluate", self.assembly.device), self.averaged() as task:
            valid = self.figures(task, "valid")
            checkpoint: dict[str, Any] = {"step": step, "valid": valid.figures}
            if self.unit.name.picks_best:
                metric = self._metric(valid.figures)
                value = as_loss(metric, valid.figures[metric])
                if progress.best is None or value < progress.best["value"]:
                    progress.best = {"step": step, "value": value}
                    progress.beside = copied(state_of(task))
            else:
                checkpoint["test"] = self._on_test(task, step)
        progress.checkpoints.append(checkpoint)

    def curve_steps(self, rewind_to: int) -> list[int]:
        """Steps of the validation curve: evenly along the schedule, after the ticket's start.

        Of a dense model that is trained twice as long, those that show whether a dense run has converged when it ends.
        """
        count, span = self.assembly.recipe.quality.curve, self.unit.span
        if self.unit.name.picks_best:
            return []
        if self.unit.arm == TWICE:
            ends = span // 2
            return sorted({step for step in (ends * 3 // 4, ends * 7 // 8, ends, span) if step > rewind_to})
        return sorted({span * i // count for i in range(1, count + 1) if span * i // count > rewind_to})

    def add_to_curve(self, step: int) -> None:
        """Add a point to the validation curve."""
        progress = self.progress
        found = next((one["valid"] for one in progress.checkpoints if one["step"] == step), None)
        if found is None:
            with progress.counted("evaluate", self.assembly.device), self.averaged() as task:
                found = self.figures(task, "valid", only_metric=True).figures
        progress.curve.append({"step": step, "valid": found})

    def on_train(self) -> Figures:
        """Figures on the training split of the task as it is chosen; empty where they are not asked for."""
        if not self.assembly.recipe.quality.train:
            return {}
        with self.progress.counted("evaluate", self.assembly.device):
            if self.progress.best is not None:
                return self.figures(self.training.task, "train").figures
            with self.averaged() as task:
                return self.figures(task, "train").figures

    def chosen(self) -> tuple[list[dict[str, Any]], str]:
        """The checkpoints whose mean stands for the unit, and how they were chosen.

        Where the best is picked, its weights are put into the task, and only they are evaluated on test.
        """
        progress = self.progress
        if not self.unit.name.picks_best or progress.best is None:
            count = len(progress.checkpoints)
            return progress.checkpoints, "last" if count == 1 else f"mean of last {count}"
        load_weights(self.training.task, progress.beside)
        step = int(progress.best["step"])
        with progress.counted("evaluate", self.assembly.device):
            test = self._on_test(self.training.task, step)
        best = [{**found, "test": test} for found in progress.checkpoints if found["step"] == step]
        return best, f"best on validation, step {step} of {self.unit.span}"

    @contextmanager
    def averaged(self) -> Iterator[Task]:
        """The task as it is to be measured: with averaged weights, where there are any."""
        some = self.batches.first(NORM_BATCHES) if self.training.ema else []
        with self.training.averaged(some) as task:
            yield task

    def figures(self, task: Task, split: Literal["train", "valid", "test"], *, only_metric: bool = False) -> Evaluation:
        """The figures on one split, with where they come from; ``only_metric``: those that the claim needs."""
        assembly, quality, claim = self.assembly, self.assembly.recipe.quality, self.assembly.recipe.claim
        wanted: Sequence[str] | None = quality.figures
        downstream = quality.downstream
        if only_metric and claim:
            row = known(claim.metric)
            wanted = [row.alias_of or row.name] if row and row.compares else []
            downstream = row is not None and "downstream" in row.needs
        samples = task.can("sample") and (wanted is None or bool(wanted) or downstream)
        found = evaluate(
            task, assembly.splits, split, seed=EVALUATION_SEED, samples=quality.samples, downstream=downstream,
            extractor=assembly.extractor(self.run.path) if samples else None, figures=wanted if samples else None,
            classifier=assembly.classifier(self.run.path) if task.can("reconstruct") or downstream else None,
        )  # fmt: skip
        if not found.figures:
            raise TicketError("nothing to measure: the family has no metrics of its own, and no Frechet distance")
        if not self.training.ema:
            return found
        named = ", ".join(f"{component} {decay}" for component, decay in self.training.plan.ema.items())
        averaged = f"averaged weights ({named})"
        told = {name: provenance(text, averaged) for name, text in found.provenance.items()}
        return replace(found, provenance=told)

    def floors(self, figures: Sequence[str]) -> dict[str, Figures]:
        """``valid`` and ``test`` -> figure -> what it could reach at best there; of the dense run, for all arms."""
        if self.unit.arm != TICKET or self.unit.round:
            return {}
        assembly, task = self.assembly, self.training.task
        look = assembly.extractor(self.run.path) if task.can("sample") else None
        wanted, splits = assembly.recipe.quality.samples, assembly.splits
        kinds = {**assembly.recipe.task.options.floors(), **task.floor}
        with self.progress.timed("evaluate", assembly.device):
            valid = floors(kinds, splits, "valid", figures, extractor=look, samples=wanted)
            return {"valid": valid, "test": floors(kinds, splits, "test", figures, extractor=look, samples=wanted)}

    def pictures(self, folder: RoundFolder, task: Task) -> None:
        """Store samples and reconstructions, the same latents and the same test images for every arm."""
        images = next(iter(self.assembly.splits.test.chunks(32)))
        grids = {"samples": sample_grid(task, EVALUATION_SEED), "reconstructions": reconstruction_grid(task, images)}
        for name, png in grids.items():
            if png is not None:
                write_whole(folder.path / f"{name}.png", png)

    def store_images(self, folder: RoundFolder, chosen: Sequence[Mapping[str, Any]]) -> None:
        """Store the claim's metric of every single test image, the mean over the chosen checkpoints.

        Nothing where the metric is no mean over images, or an earlier version has evaluated some checkpoint.
        """
        values = [self.progress.single.get(int(checkpoint["step"])) for checkpoint in chosen]
        there = [one.double() for one in values if one is not None]
        if there and len(there) == len(values):
            metric = str(self._claimed())
            write_whole(folder.images, pack(KIND, {metric: torch.stack(there).mean(0).float()}, {"split": "test"}))

    def _claimed(self) -> str | None:
        """The claim's metric, where it is a mean over images."""
        claim = self.assembly.recipe.claim
        return claim.metric if claim is not None and averaged(claim.metric) else None

    def _on_test(self, task: Task, step: int) -> Figures:
        test = self.figures(task, "test")
        self.progress.provenance, self.progress.collapsed = test.provenance, test.collapsed
        if (single := test.single.get(str(self._claimed()))) is not None:
            self.progress.single[step] = single
        return test.figures

    def _metric(self, figures: Figures) -> str:
        claim = self.assembly.recipe.claim
        telling = [name for name in figures if better(name)] or list(figures)
        metric = claim.metric if claim else telling[0]
        if metric not in figures:
            raise TicketError(f"claim.metric '{metric}' is not among the metrics: {', '.join(figures)}")
        return metric


def mean(figures: list[Figures]) -> Figures:
    """The mean of each figure over checkpoints."""
    return {name: sum(found[name] for found in figures) / len(figures) for name in figures[0]}
