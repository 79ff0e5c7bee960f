"""Examines the trained networks of one seed. What it finds is reported with the verdict, never tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gentickets.arms import BESIDE, FORK, ArmName
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.checkpoint import JobProgress
from gentickets.experiment.evaluation import EVALUATION_SEED, Examiner
from gentickets.experiment.interpolation import interpolate
from gentickets.experiment.plan import Key, Unit
from gentickets.quality.classifier import shares
from gentickets.quality.evaluate import drawn
from gentickets.quality.latents import active_latents
from gentickets.quality.nearest import AT_MOST, distances, nearest
from gentickets.quality.reference import reference
from gentickets.recipe import Recipe, read_recipe
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.seeds import derive
from gentickets.shapes import take_shapes
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, Ticket


def diagnose(assembly: Assembly, run: RunFolder, unit: Unit) -> dict[str, Any]:
    """What the trained networks of a seed and a round show besides their metrics, as `Result.beside` holds it.

    ``arms``: of each arm what it has of ``classes`` (shares of each class among its samples, by the data's own
    classifier), ``latents`` (``active``, ``of``) and ``nearest`` (``samples``, ``test``, ``copies``: see
    `gentickets.quality.nearest`); ``classes``: the shares among the real test images, by the same classifier, empty
    without one; ``paths``: for each step with two forks its ``step`` and what `interpolate` finds; ``skipped``: the
    arms that could not be examined, with the reason.

    Samples are those of the evaluation on test. The networks are those that the unit needs; of a unit without needs,
    those in the folder. What is not there, failed or diverged is skipped, and never an error.
    """
    looks = _Looks(assembly, run, unit)
    arms = {arm: found for arm in looks.arms if (found := looks.tried(arm, looks.at)) is not None}
    forks = [str(ArmName(FORK, fork=step, other=True)) for step in looks.steps]
    paths = [found for arm in forks if (found := looks.tried(arm, looks.path_to)) is not None]
    return {"arms": arms, "classes": looks.real_classes, "paths": paths, "skipped": looks.skipped}


class _Looks:
    """Examines all arms of a seed; data and classifier are made once."""

    def __init__(self, assembly: Assembly, run: RunFolder, unit: Unit) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.batches, self.skipped = assembly.batches(unit.random_seed), dict[str, str]()
        self.classifier = assembly.classifier(run.path)
        self.keys: dict[str, Key] = {"dense": (unit.seed, "ticket", 0), "ticket": (unit.seed, "ticket", unit.round)}
        self.keys |= {key[1]: key for key in unit.needs or self._in_folder() if key[1] != "ticket"}

    def _in_folder(self) -> list[Key]:
        seed, round = self.unit.seed, self.unit.round
        found = self.run.cell(seed, BESIDE).parent.glob(f"*/round-{round:02d}")
        return [(seed, path.parent.name, round) for path in sorted(found)]

    @property
    def arms(self) -> list[str]:
        """Dense run, ticket, and every other arm that is as long as they are and no fork."""
        names = ((arm, ArmName.of(arm)) for arm in self.keys)
        return [arm for arm, name in names if name.kind.in_tables and not name.longer]

    @property
    def steps(self) -> list[int]:
        """Steps of the dense run that forks start from."""
        return sorted({step for arm in self.keys if (step := ArmName.of(arm).fork) is not None})

    def tried(self, arm: str, look: Callable[[str], dict[str, Any]]) -> dict[str, Any] | None:
        """What is found in an arm; None where it cannot be examined, and then the reason is recorded."""
        try:
            return look(arm)
        except TicketError as error:
            if error.status == Status.TICKET:
                raise  # damaged, or of another place: no reason to leave it out
            self.skipped[arm] = str(error)
            return None

    def at(self, arm: str) -> dict[str, Any]:
        """Classes, latents and nearest training images of what an arm has grown into; those that mean something."""
        ticket, recipe, snapshot = self._grown(arm)
        examiner = self._examiner(ticket, recipe)
        examiner.training.load(snapshot)
        with examiner.averaged() as task:
            latents = active_latents(task, self.assembly.splits.test)
            found: dict[str, Any] = {} if latents is None else {"latents": latents._asdict()}
            return found | (self._of_samples(task) if task.can("sample") else {})

    def path_to(self, arm: str) -> dict[str, Any]:
        """The path that ends in the fork of another order of data."""
        if (claim := self.assembly.recipe.claim) is None:
            raise TicketError("there is no [claim], and so no metric to interpolate")
        step = ArmName.of(arm).fork
        start = "ticket" if step == self.assembly.recipe.search.rewind_to else str(ArmName(FORK, fork=step))
        one, recipe, first = self._grown(start)
        other, _, last = self._grown(arm)
        if set(one.mask) != set(other.mask) or one.mask.distance(other.mask):
            raise TicketError(f"{start} and {arm} have different masks, and pruned weights would return between them")
        return {"step": step, **interpolate(self._examiner(one, recipe), first, last, claim.metric)}

    @cached_property
    def real_classes(self) -> list[float]:
        """The shares of the classes among the real test images, as the classifier sees them; empty without one."""
        if self.classifier is None:
            return []
        return self._shares(reference(self.classifier, self.assembly.splits, "test").seen.classes)

    def _of_samples(self, task: Task) -> dict[str, Any]:
        splits, found = self.assembly.splits, dict[str, Any]()
        n = self.assembly.recipe.quality.samples or splits.test.n
        samples = drawn(task, n, derive(EVALUATION_SEED, "test"), tuple(splits.image))
        if self.classifier is not None:
            found["classes"] = self._shares(self.classifier.classes(samples))
        found["nearest"] = asdict(nearest(distances(samples[:AT_MOST], splits.train), self._of_test))
        return found

    @cached_property
    def _of_test(self) -> Tensor:
        """How far test images are from the training images; always the same ones, where they are too many."""
        test = self.assembly.splits.test
        order = torch.randperm(test.n, generator=torch.Generator().manual_seed(derive(EVALUATION_SEED, "nearest")))
        return distances(test.batch(order[:AT_MOST]), self.assembly.splits.train)

    def _shares(self, classes: Tensor | None) -> list[float]:
        count = self.assembly.splits.classes
        return [] if classes is None or count is None else shares(classes, count)

    def _grown(self, arm: str) -> tuple[Ticket, Recipe | None, Snapshot]:
        """An arm's ticket with its recipe, and what it has grown into; TicketError where it has not."""
        folder = self.run.round(*self.keys.get(arm, (self.unit.seed, arm, self.unit.round)))
        result = folder.read_result()
        if result is None or result.status != "done":
            how = "is not done" if result is None else f"has no trained network: {result.status}, {result.why}"
            raise TicketError(f"{arm} {how}")
        if not (folder.trained.is_file() and folder.ticket.is_file()):
            raise TicketError(f"{arm} has no trained network any more: {folder.trained.name} is gone")
        ticket, stored = read_ticket(folder.ticket)
        return ticket, None if stored is None else read_recipe(stored), read_snapshot(folder.trained)[0]

    def _examiner(self, ticket: Ticket, recipe: Recipe | None) -> Examiner:
        """What measures the networks that a ticket was trained in; they are freshly initialized."""
        described = self.assembly if recipe is None else self.assembly.of(recipe)
        task = described.task(self.unit.random_seed)
        if ticket.channels is not None:
            take_shapes(task, ticket.weights)
        training = self.assembly.training(task, self.assembly.recipe.train.steps)
        return Examiner(self.assembly, self.run, self.unit, training, self.batches, JobProgress())
