"""Tries everything that a run will need on one batch, before anything is trained. It changes nothing of the run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import torch

from gentickets.accounting import dense_flops, step_flops
from gentickets.accounting.meters import peak_memory
from gentickets.arms import SEARCH, ArmKind
from gentickets.criteria import CRITERIA, Criterion
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms.early_bird import EarlyBirdArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.early_bird_job import EarlyBirdJob
from gentickets.experiment.plan import Unit, unit_of
from gentickets.experiment.plugin_errors import describe_error, figures_of_images
from gentickets.experiment.trial_masks import LikelyError, trial_mask, try_control
from gentickets.masks import Mask, full_mask
from gentickets.quality import reconstruction_grid, sample_grid
from gentickets.runs.folder import RunFolder
from gentickets.tasks import Task
from gentickets.training import Training, train
from gentickets.untouched import untouched

FEW = 16
"""Images of each split that figures are tried on."""
TIMES_OVER = 4
"""The disk estimate is one at most: where it is so many times what is free, the run is refused."""


@dataclass
class Preflight:
    """What was tried. `troubles` end the run before it begins; `notes` are worth knowing, and end nothing."""

    troubles: list[tuple[str, Status]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    memory: int | None = None
    """Bytes at the peak of a training step, beyond what was held before; None where the device does not tell."""

    def require(self) -> None:
        """Raise TicketError with a line for each trouble."""
        if self.troubles:
            lines = [line for line, _ in self.troubles]
            head = "" if len(lines) == 1 else f"{len(lines)} things that this run needs do not work:\n  "
            raise TicketError(head + "\n  ".join(lines), self.troubles[0][1])


@dataclass(frozen=True)
class PendingWork:
    """What a run still has to do."""

    units: Sequence[Unit]
    """One seed's, or all."""
    rounds: int = 1
    """Units of all seeds."""
    seeds: int = 1
    jobs: int = 1
    """Workers side by side."""
    keep_all: bool = False


def pending_from(record: Mapping[str, Any]) -> PendingWork:
    """The same as it went through JSON."""
    return PendingWork(**{**record, "units": [unit_of(unit) for unit in record["units"]]})


def preflight(assembly: Assembly, folder: Path, wanted: PendingWork) -> Preflight:
    """Try everything that a run in ``folder`` will need, on networks that are thrown away.

    Random states are put back, and nothing is written. Takes about as long as a few steps of training.
    """
    if not wanted.units:
        return Preflight()
    trial = _Trial(assembly, wanted.units, RunFolder(folder))
    with _random_states_kept(assembly.device):
        for what, check in trial.checks():
            trial.attempt(what, check)
    found = trial.found
    _memory(found, wanted.jobs, assembly.device)
    if not found.troubles:
        weights = sum(parameter.numel() * parameter.element_size() for parameter in trial.task.parameters())
        _room(found, folder, disk_needed(weights, wanted.rounds, wanted.keep_all, wanted.seeds))
    return found


def disk_needed(weights: int, units: int, keep_all: bool, seeds: int) -> float:
    """Bytes at most: each ticket holds ``weights`` bytes and two moments, each trained state the same."""
    state = 3.2 * weights
    trained = units if keep_all else units / 2 + 3 * seeds
    return units * state + trained * state + units * 60_000


class _Trial:
    """The tries, in the order in which a run meets what it needs."""

    def __init__(self, assembly: Assembly, units: Sequence[Unit], run: RunFolder) -> None:
        self.assembly, self.units, self.run = assembly, units, run
        self.recipe, self.search = assembly.recipe, assembly.recipe.search
        self.arms = list(dict.fromkeys(unit.kind for unit in units))
        self.seed = units[0].random_seed if units else 0
        self.found = Preflight()

    def attempt(self, what: str, check: Callable[[], object]) -> None:
        """One try; what it raises becomes a line. That a network diverges at once is for the run to find."""
        try:
            check()
        except TicketError as error:
            if error.status is not Status.DIVERGED:
                line = str(error) if what in str(error) or not what else f"{what}: {error}"
                status = error.status if error.status in (Status.TICKET, Status.STORAGE) else Status.REQUEST
                self.found.troubles.append((line, status))
        except OSError:
            raise
        except Exception as error:
            plugins = self.assembly.plugin_files
            self.found.troubles.append((f"{what} does not work with these networks: {describe_error(error, plugins)}",
                                        Status.REQUEST))  # fmt: skip

    def checks(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What is tried, by name; a later one may rest on what an earlier one has made."""
        yield "", self._build
        if self.found.troubles:
            return
        yield "a training step", self._step
        yield "counting FLOPs", self._flops
        yield "the figures", self._figures
        if self.prunes:
            if not self.recipe.removes_channels:
                yield f"the criterion '{self.search.criterion}'", lambda: self._scored(self.assembly.criterion)
            for kind in self.arms:
                if kind.criterion is not None:
                    yield f"the control '{kind.name}'", partial(self._control, kind)
                elif kind.equal is not None:
                    yield f"the control '{kind.name}'", self._narrow
        if any(kind.role == "search" for kind in self.arms):
            yield "the early bird", self._early_bird
        if own := [unit for unit in self.units if unit.kind.of_channels and unit.kind.own_start]:
            start = EarlyBirdArm(self.assembly, self.run, own[0]).require_own_start
            yield f"the control '{own[0].arm}'", lambda: self._alone(own[0].arm, start)

    @property
    def prunes(self) -> bool:
        """Whether some unit has a ticket of its own."""
        return self.recipe.prunes and any(unit.round for unit in self.units)

    def _build(self) -> None:
        self.task: Task = self.assembly.task(self.seed)
        self.plan = self.assembly.plan(self.recipe.train.steps)
        self.training = Training(self.task, self.plan)
        self.batches = self.assembly.batches(self.seed)
        if self.recipe.prunes:
            self.full: Mask = full_mask(self.task, exempt=self.search.exempt, components=self.assembly.components)

    def _step(self) -> None:
        with peak_memory(self.assembly.device) as peak:
            train(self.training, self.batches, range(1), seed=self.seed)
        self.found.memory = peak.above

    def _flops(self) -> None:
        step_flops(self.task, self.recipe.data.batch_size)
        dense_flops(self.task)

    def _scored(self, criterion: Criterion) -> None:
        """The criterion's scores on one batch, and whether what is left at the last round lies in every layer."""
        scores = criterion(self.task, self.batches.first(1), self.seed)
        missing = [name for name in self.full if name not in scores]
        if missing:
            raise TicketError(f"it gave no scores for '{missing[0]}'")
        read = {name: scores[name] for name in self.full}  # scores raise when they are looked at
        for round in {min(self.recipe.rounds), max(self.recipe.rounds)}:
            try:
                mask = trial_mask(read, self.full, self.search.keep**round, self.search.scope, self.seed)
            except LikelyError as error:
                self.found.notes.append(f"as the weights are before training, {error}")
            else:
                self._made_controls(mask)

    def _made_controls(self, mask: Mask) -> None:
        """Controls that are made of the ticket's mask."""
        for kind in self.arms:
            self._alone(kind.name, partial(
                try_control, kind.name, self.task, mask, self.full, self.seed, self.search.scope,
                self.assembly.definitions,
            ))  # fmt: skip

    def _control(self, kind: ArmKind) -> None:
        def score() -> None:
            scores = CRITERIA[str(kind.criterion)](self.task, self.batches.first(1), self.seed)
            for tensor in self.full:
                scores[tensor]  # scores raise when they are looked at

        self._alone(kind.name, score)

    def _alone(self, name: str, work: Callable[[], object]) -> None:
        """Something that fails one control, and the run goes on without it: worth a note."""
        try:
            work()
        except TicketError as error:
            if error.status is not Status.DIVERGED:
                self.found.notes.append(f"control '{name}' will fail: {error}; leave it out of search.controls")

    def _narrow(self) -> None:
        width = self.recipe.task.width
        if width is None:
            raise TicketError("needs a family with a whole-number keyword 'width'; leave it out of search.controls")
        self.assembly.task(self.seed, width=max(1, width // 2))

    def _early_bird(self) -> None:
        """The networks with half of the channels, and whether the rule can tell anything from noise here."""
        unit = next(unit for unit in self.units if unit.arm == SEARCH)
        work = EarlyBirdJob(self.assembly, self.run, unit, EarlyBirdArm(self.assembly, self.run, unit))
        work.training = Training(work.arm.task(), work._plan())
        bird = work._bird()
        work.ranked.try_out()
        bird.begin()
        self.found.notes += bird.vacuous

    def _figures(self) -> None:
        """Figures of few images, pictures, and whether the claim's metric is among what will be measured."""
        valid = self.assembly.splits.valid
        images = valid.batch(torch.arange(min(FEW, valid.n))).to(self.task.device)
        rng = torch.Generator(self.task.device).manual_seed(self.seed)
        with untouched(self.task, self.seed):
            own = self.task.figures(images, self.task.draw(len(images), rng))
        figures = [*own, *figures_of_images(self.assembly, self.task)]
        if odd := [name for name, values in own.items() if not torch.isfinite(values).all()]:
            self.found.notes.append(f"the figure '{odd[0]}' is not finite before training: check figures()")
        if not figures:
            raise TicketError("nothing to measure: the family has no metrics of its own, and no Frechet distance")
        claim = self.recipe.claim
        if claim and claim.metric not in figures:
            raise TicketError(f"claim.metric '{claim.metric}' is not among them: {', '.join(figures)}")
        sample_grid(self.task, self.seed)
        reconstruction_grid(self.task, images)


@contextmanager
def _random_states_kept(device: torch.device) -> Iterator[None]:
    """Every global random state that a network, criterion or plugin may draw from, put back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def _room(found: Preflight, folder: Path, disk: float) -> None:
    """Whether the disk has room for what the run writes."""
    place = next(parent for parent in [folder.resolve(), *folder.resolve().parents] if parent.exists())
    free = disk_usage(place).free
    if disk <= free:
        return
    line = f"{folder} needs up to {disk / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
    line += "; free some, choose another --out, or ask for fewer seeds, rounds or controls"
    if disk > TIMES_OVER * free:
        found.troubles.append((line, Status.STORAGE))
    else:
        found.notes.append(line)


def _memory(found: Preflight, jobs: int, device: torch.device) -> None:
    """Whether memory has room for so many workers at a step each."""
    free = _memory_free(device)
    if found.memory is None or free is None or found.memory * jobs <= free:
        return
    one = f"a training step takes {found.memory / 1e6:,.0f} MB"
    if found.memory > free:
        line = f"{one} beyond the networks, and {free / 1e6:,.0f} MB are free: choose a smaller data.batch_size"
        found.troubles.append((line, Status.REQUEST))
    else:
        many = max(1, free // found.memory)
        found.notes.append(f"{one} in each of {jobs} workers, and {free / 1e6:,.0f} MB are free: try --jobs {many}")


def _memory_free(device: torch.device) -> int | None:
    """Bytes that are free on the device; None where it does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None
