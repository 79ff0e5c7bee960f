"""Measures how long the parts of a run take here, on networks that are thrown away. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gentickets.accounting import dense_flops, masked_flops, step_flops
from gentickets.arms import BESIDE, SEARCH
from gentickets.data import Images, Splits
from gentickets.errors import TicketError
from gentickets.experiment.arms.early_bird import EarlyBirdArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.checkpoint import JobProgress
from gentickets.experiment.early_bird_job import EarlyBirdJob
from gentickets.experiment.evaluation import Examiner
from gentickets.experiment.plan import Key, Unit
from gentickets.masks import full_mask, keep_top
from gentickets.quality import reconstruction_grid, sample_grid
from gentickets.quality.features import has_own, seconds_to_fit, untrained
from gentickets.runs.folder import RunFolder
from gentickets.scoring import SCORINGS
from gentickets.training import Training, train

TRIAL_SECONDS = 2.0
"""For steps of training."""
FEW = 1000
"""Images on which an evaluation is timed; of more, what it takes is drawn out from this number and from `MANY`."""
MANY = 4 * FEW
REPORTING = 3.0
"""Seconds for the report at the end."""


@dataclass(frozen=True)
class Rates:
    """Seconds that each part takes on one worker."""

    step: float
    build: float
    """To set a unit up: networks, FLOPs, pictures."""
    evaluation: tuple[float, float]
    """Of n images: the first times n and the second times n squared."""
    metric: float
    """Of an image, where the claim's figure alone is taken."""
    score: float = 0.0
    """Of one batch by the criterion, and the cut."""
    begin: float = 0.0
    """To begin a search of early birds."""
    check: float = 0.0
    """One of its checks."""
    once: float = 0.0
    """For the whole run, or each worker: the features that samples are compared in, and those of the real images."""

    def evaluating(self, images: int) -> float:
        """Of one evaluation."""
        linear, square = self.evaluation
        return linear * images + square * images**2


def run_seconds(assembly: Assembly, units: Sequence[Unit], folder: Path, jobs: int, starting: float) -> float:
    """About how long some units take on so many workers: their sum shared out, or the longest chain of needs.

    ``starting`` is how long a worker needs until it works on its first unit.
    """
    if not units:
        return 0.0
    rates = rates_of(assembly, units, folder)
    each = {unit.key: _seconds(assembly, unit, rates, folder) for unit in units}
    chains: dict[Key, float] = {}
    for unit in units:  # in the order of the plan, needs first
        chains[unit.key] = each[unit.key] + max((chains.get(need, 0.0) for need in unit.needs), default=0.0)
    return starting + REPORTING + rates.once + max(sum(each.values()) / jobs, *chains.values())


def _seconds(assembly: Assembly, unit: Unit, rates: Rates, folder: Path) -> float:
    """Of one unit."""
    valid, test = assembly.splits.valid.n, assembly.splits.test.n
    if unit.arm == BESIDE:
        return rates.build + len(unit.needs) * rates.evaluating(test)
    recipe = assembly.recipe
    seconds = rates.build + unit.steps * rates.step
    if unit.arm == SEARCH:
        return seconds + rates.begin + unit.span // recipe.every * rates.check
    examiner, start = _examiner(assembly, unit, folder), unit.span - unit.steps
    looks = len(examiner.evaluation_steps(start))
    seconds += looks * rates.evaluating(valid) + (1 if unit.name.picks_best else looks) * rates.evaluating(test)
    seconds += len(examiner.curve_steps(start)) * rates.metric * valid
    seconds += rates.evaluating(test) if recipe.quality.train else 0.0
    if unit.prunes:
        cuts = SCORINGS[own].cuts if (own := unit.kind.criterion) else recipe.cuts
        seconds += cuts * recipe.search.score_batches * rates.score
    return seconds


def rates_of(assembly: Assembly, units: Sequence[Unit], folder: Path) -> Rates:
    """What each part of these units takes here."""
    splits, small = assembly.splits, min(FEW, assembly.splits.test.n)
    first, real = _evaluation(assembly, units[0], folder, small)
    real *= (splits.valid.n + splits.test.n) / small
    if splits.test.n > small:
        large = min(MANY, splits.test.n)
        second, more = _evaluation(assembly, units[0], folder, large)
        real = more * (splits.valid.n + splits.test.n) / large
        square = max(0.0, (second / large - first / small) / (large - small))
    else:
        square = 0.0
    search = next((unit for unit in units if unit.arm == SEARCH), None)
    begin, check = (0.0, 0.0) if search is None else _early_bird(assembly, search, folder)
    return Rates(
        _step(assembly, units[0].random_seed), _build(assembly, units[0].random_seed),
        (first / small - square * small, square),
        _evaluation(assembly, units[0], folder, small, only_metric=True)[0] / small, _score(assembly, units),
        begin, check, _once(assembly, folder) + real,
    )  # fmt: skip


def _timed(device: torch.device, work: Callable[[], object]) -> float:
    """Seconds of some work, what was begun before being over."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _step(assembly: Assembly, seed: int) -> float:
    """A masked training step, over a few of them."""
    steps = assembly.recipe.train.steps
    training, batches = assembly.training(assembly.task(seed), steps), assembly.batches(seed)
    mask, reached = full_mask(training.task), [3]
    train(training, batches, range(3), mask=mask, seed=seed)
    started = time.perf_counter()

    def enough(step: int, losses: object) -> bool:
        return time.perf_counter() - started > TRIAL_SECONDS

    def go() -> None:
        reached[0] = train(training, batches, range(3, max(4, steps)), mask=mask, seed=seed, watch=[enough])

    return _timed(assembly.device, go) / (reached[0] - 3)


def _build(assembly: Assembly, seed: int) -> float:
    """Setting a unit up and closing it: networks, what they cost, pictures."""

    def go() -> None:
        task = assembly.task(seed)
        step_flops(task, assembly.recipe.data.batch_size)
        dense_flops(task)
        masked_flops(task, full_mask(task))
        sample_grid(task, seed)
        reconstruction_grid(task, next(iter(assembly.splits.test.chunks(32))))

    return min(_timed(assembly.device, go) for _ in range(2))  # the first may load code


def _evaluation(
    assembly: Assembly, unit: Unit, folder: Path, images: int, *, only_metric: bool = False
) -> tuple[float, float]:
    """An evaluation on so many images, and what the first takes beyond that: the real images' side is remembered."""
    part = _with_images(assembly, folder, images)
    examiner = _examiner(part, unit, folder)

    def go() -> None:
        # networks that were never trained may give figures that are none
        with JobProgress().counted("evaluate", assembly.device), suppress(TicketError):
            examiner.figures(examiner.training.task, "test", only_metric=only_metric)

    first, again = _timed(assembly.device, go), _timed(assembly.device, go)
    return again, max(0.0, first - again)


def _examiner(assembly: Assembly, unit: Unit, folder: Path) -> Examiner:
    training = Training(assembly.task(unit.random_seed), assembly.plan(unit.span))
    return Examiner(assembly, RunFolder(folder), unit, training, assembly.batches(unit.random_seed), JobProgress())


def _with_images(assembly: Assembly, folder: Path, images: int) -> Assembly:
    """The assembly with so many test images, as large a part of the samples, and features that were not trained."""
    splits, part = assembly.splits, copy(assembly)
    share = images / splits.test.n
    fewer = Splits(splits.name, splits.train, splits.valid, _some(splits.test, images), splits.classes, splits.source)
    quality = assembly.recipe.quality
    samples = quality.samples and max(2, round(share * quality.samples))
    fewer_samples = quality.model_copy(update={"samples": samples, "downstream": False})
    part.recipe = assembly.recipe.model_copy(update={"quality": fewer_samples})
    part.__dict__["splits"] = fewer
    part._own_features = {folder: untrained(splits)}
    return part


def _some(images: Images, number: int) -> Images:
    if number >= images.n:
        return images
    labels = None if images.labels is None else images.labels[:number]
    if isinstance(images.source, Tensor):
        return Images(images.source[:number], labels, device=images.device)
    return Images(replace(images.source, names=images.source.names[:number]), labels, device=images.device)


def _score(assembly: Assembly, units: Sequence[Unit]) -> float:
    """A batch's scores by the criterion, and the cut of all weights by them."""
    if not assembly.recipe.prunes or not any(unit.round for unit in units):
        return 0.0
    seed = units[0].random_seed
    task, batches = assembly.task(seed), assembly.batches(seed).first(1)
    full = full_mask(task, exempt=assembly.recipe.search.exempt, components=assembly.components)

    def go() -> None:
        with JobProgress().counted("score", assembly.device), suppress(TicketError):
            scores = assembly.criterion(task, batches, seed)
            keep_top({name: scores[name] for name in full}, 0.5, within=full, scope="component", seed=seed)

    return _timed(assembly.device, go)


def _early_bird(assembly: Assembly, unit: Unit, folder: Path) -> tuple[float, float]:
    """Beginning a search of early birds, and one of its checks."""
    run = RunFolder(folder)
    work = EarlyBirdJob(assembly, run, unit, EarlyBirdArm(assembly, run, unit))
    work.training = Training(work.arm.task(), work._plan())
    bird = work._bird()
    begin = _timed(assembly.device, bird.begin)
    return begin, _timed(assembly.device, lambda: bird.look(bird.every))


def _once(assembly: Assembly, folder: Path) -> float:
    """Training the data's own classifier, where no one has done so before."""
    quality = assembly.recipe.quality
    wanted = quality.frechet and (quality.features == "own" or assembly.splits.train.labels is not None)
    return seconds_to_fit(assembly.splits) if wanted and not has_own(assembly.splits, folder) else 0.0
