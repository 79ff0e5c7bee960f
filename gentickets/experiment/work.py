"""One unit of work: build, start, train, evaluate, store; stoppable at any step and resumed to the same bytes."""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch

from gentickets import controls
from gentickets.accounting import layer_flops, masked_flops, width_at
from gentickets.criteria import CRITERIA
from gentickets.disk import clear_drafts, write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.units import Unit
from gentickets.masks import Mask, prunable
from gentickets.quality import Evaluation, evaluate, reconstruction_grid, sample_grid
from gentickets.results import Figures, Result
from gentickets.runs.folder import RoundFolder, RunFolder, locked
from gentickets.runs.formats import read_snapshot, read_ticket, write_snapshot, write_ticket
from gentickets.search import first_ticket, next_ticket
from gentickets.tasks import Batch, Task
from gentickets.tickets import Snapshot, Tensors, Ticket, copied, load_weights
from gentickets.training import Losses, Training, train

EVALUATION_SEED = 0
"""One seed for all arms and seeds: the same latents and the same noise."""
NORM_BATCHES = 8
"""Training batches on which the norm statistics of averaged weights are estimated."""
CRITERION_BATCHES = 8
"""Training batches that a plugin's criterion is given."""
LOSS_POINTS = 50
"""Points of a training curve."""
LOCK_SECONDS = 15.0
"""How long to wait for a cell: the workers of a parent that was killed end within a moment."""


class Stopped(Exception):  # noqa: N818 - it is no error: the round's state is stored
    """The unit was asked to stop and has stored where it was."""


class Work:
    """A unit being worked on: where it is, and what it has found so far."""

    def __init__(
        self,
        assembly: Assembly,
        run: RunFolder,
        unit: Unit,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[int], object] = lambda steps: None,
        save_every: float = 30.0,
    ) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.recipe: Mapping[str, Any] = assembly.recipe
        self.search: Mapping[str, Any] = assembly.recipe["search"]
        self.folder: RoundFolder = run.round(*unit.key)
        self.stop, self.report, self.save_every = stop, report, save_every
        self.batches = assembly.batches(unit.seed)
        self.training: Training | None = None
        self.phase, self.taken = "start", 0
        self.notes: dict[str, Any] = {"checkpoints": [], "losses": [], "best": None}
        self.best: Tensors = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.saved_at = time.monotonic()
        self.changed: dict[str, object] = {}

    def do(self) -> Result:
        """The unit's result: stored already, or worked out now, from where it was left.

        Raises Stopped when asked to stop, with the state stored. A network that diverges, or a tensor that would be
        emptied, makes a failed result, which is stored too.
        """
        if (done := self.folder.read_result()) is not None:
            self._clear()
            return done
        with locked(self.run.cell(self.unit.seed, self.unit.arm), wait=LOCK_SECONDS):
            clear_drafts(self.folder.path) if self.folder.path.is_dir() else None
            try:
                result = self._unmet() or self._train()
            except TicketError as error:
                if error.status not in (Status.FAILED, Status.DIVERGED):
                    raise
                status = "diverged" if error.status == Status.DIVERGED else "failed"
                result = replace(self._blank(), status=status, why=str(error), losses=self.notes["losses"])
            write_whole(self.folder.result, result.to_json().encode())
            self._clear()
        return result

    def _unmet(self) -> Result | None:
        for key in self.unit.needs:
            need = self.run.round(*key).read_result()
            if need is None or need.status != "done":
                why = (
                    f"it needs {key[1]} round {key[2]} of seed {key[0]}, which is {need.status if need else 'not done'}"
                )
                return replace(self._blank(), status="not run", why=why)
        return None

    def _train(self) -> Result:
        task, ticket = self._start()
        for point in self._points(ticket):
            if point in [checkpoint["step"] for checkpoint in self.notes["checkpoints"]]:
                continue
            self._train_to(point, ticket.mask)
            self._evaluate(point)
        return self._finish(task, ticket)

    # -- the start: a task and the ticket that it trains ---------------------------------------------------------

    def _start(self) -> tuple[Task, Ticket]:
        snapshot = self._resume()
        task = self._task()
        self.training = self.assembly.training(task, self.unit.span)
        if not self.folder.ticket.is_file():
            scores = self.unit.base_arm == "ticket" and self.unit.round and not self.unit.longer
            with self._timed("score" if scores else "train"):  # others train dense to the rewind step
                ticket = self._make_ticket(snapshot if self.phase == "start" else None)
            with self._timed("store"):
                write_ticket(self.folder.ticket, ticket, self._stored_recipe())
            snapshot = None
        # what is trained is what was stored, in a run that goes on and in one that was never interrupted
        ticket, _ = read_ticket(self.folder.ticket)
        ticket = replace(ticket, mask=ticket.mask.to(self.assembly.device))
        if ticket.origin.rewind == "none":
            self.training.plan = self.training.plan.finetuning()
        if snapshot is not None and self.phase == "grow":
            self.training.load(snapshot)
            self.at = snapshot.step
        else:
            self.training.start(ticket)
            self.at, self.phase = ticket.origin.rewind_to, "grow"
            self.notes["losses"] = []  # curves begin at the ticket's start, in every arm and after any crash
        return task, ticket

    def _task(self) -> Task:
        unit = self.unit
        if unit.base_arm == "narrow":
            return self._narrow()
        return self.assembly.task(unit.seed, purpose="reinit" if unit.base_arm.startswith("reinit") else "init")

    def _narrow(self) -> Task:
        width = self.recipe["task"].get("width")
        if not isinstance(width, int):
            raise TicketError("control 'narrow' needs a family with a whole-number keyword 'width'")
        wide = self.assembly.task(self.unit.seed)
        mask = self._ticket_of("ticket", self.unit.round).mask
        found = width_at(lambda w: self.assembly.task(self.unit.seed, width=w), width, masked_flops(wide, mask))
        self.changed = {"width": found}
        return self.assembly.task(self.unit.seed, width=found)

    def _make_ticket(self, since: Snapshot | None) -> Ticket:
        unit, arm, training = self.unit, self.unit.base_arm, self._training
        if arm == "dense":
            return self._ticket_of("ticket", 0)
        if arm == "ticket":
            if unit.longer:
                return self._ticket_of("ticket", unit.round)
            return self._next_ticket() if unit.round else self._dense_ticket(self.search["rewind_to"], since)
        if arm in ("budget", "narrow"):
            return replace_arm(self._dense_ticket(0, since), arm)
        own = self._ticket_of("ticket", unit.round)
        dense = self._ticket_of("ticket", 0)
        if arm in ("reinit", "reinit0"):
            rewind = self.search["rewind_to"] if arm == "reinit" else 0
            made = controls.reinitialized(own, self._dense_ticket(rewind, since), arm)
        elif arm == "shuffle":
            made = controls.shuffle(own, dense, unit.seed)
        elif arm.startswith("random-"):
            made = controls.random_pruning(training.task, own, dense, arm.removeprefix("random-"), unit.seed)
        else:
            raise TicketError(f"unknown arm '{unit.arm}'")
        return controls.scaled(made) if unit.scaled else made

    def _dense_ticket(self, rewind_to: int, since: Snapshot | None) -> Ticket:
        ticket = first_ticket(
            self._training, self.batches, rewind_to=rewind_to, optimizer_state=self.search["optimizer_state"],
            components=self.assembly.components, exempt=self.search["exempt"], seed=self.unit.seed, since=since,
            watch=[self._watch],
        )  # fmt: skip
        if self._stopping:
            self._save()
            raise Stopped
        return ticket

    def _next_ticket(self) -> Ticket:
        search, before = self.search, self.run.round(self.unit.seed, "ticket", self.unit.round - 1)
        trained, _, _ = read_snapshot(before.trained)
        self._training.load(trained)
        ticket, _ = read_ticket(before.ticket)
        return next_ticket(
            self._training, replace(ticket, mask=ticket.mask.to(self.assembly.device)),
            density=search["keep"] ** self.unit.round, rewind=search["rewind"],
            optimizer_state=search["optimizer_state"], criterion=self.assembly.criterion, scope=search["scope"],
            seed=self.unit.seed, batches=self._criterion_batches(),
        )  # fmt: skip

    def _criterion_batches(self) -> list[Batch]:
        """What a plugin's criterion may look at: the first training batches. The built-in ones look at none."""
        own = self.search["criterion"] not in CRITERIA
        return [self.batches(step) for step in range(CRITERION_BATCHES)] if own else []

    def _ticket_of(self, arm: str, round: int) -> Ticket:
        return read_ticket(self.run.round(self.unit.seed, arm, round).ticket)[0]

    # -- on the way -----------------------------------------------------------------------------------------------

    def _points(self, ticket: Ticket) -> list[int]:
        """Steps at which to evaluate: all along for arms that pick their best, else the last few."""
        span, steps = self.unit.span, self.recipe["train"]["steps"]
        if self.unit.picks_best:
            every = max(1, steps // 2)
            return [*range(every, span - every // 2, every), span]
        count, gap = self.recipe["quality"]["checkpoints"], max(1, steps // 20)
        return sorted({max(ticket.origin.rewind_to + 1, span - gap * back) for back in range(count)})

    def _train_to(self, point: int, mask: Mask) -> None:
        with self._timed("train"):
            self.at = train(
                self._training, self.batches, range(self.at, point), mask=mask, seed=self.unit.seed,
                watch=[self._watch],
            )  # fmt: skip
        if self.at < point or self._stopping:
            self._save()
            raise Stopped

    def _watch(self, step: int, losses: Losses) -> bool:
        self.at = step
        self.taken += 1
        self.report(self.taken)
        if step % max(1, self.unit.span // LOSS_POINTS) == 0:
            values = {name: float(loss) for name, loss in losses.items()}
            if all(math.isfinite(value) for value in values.values()):
                self.notes["losses"].append({"step": step, **values})
        if time.monotonic() - self.saved_at > self.save_every:
            self._save()
        self._stopping = self.stop()
        return self._stopping

    _stopping = False
    at = 0

    def _evaluate(self, step: int) -> None:
        best_only = self.unit.picks_best
        with self._timed("evaluate"), self._averaged() as task:
            valid = self._figures(task, "valid")
            checkpoint: dict[str, Any] = {"step": step, "valid": valid.figures}
            if not best_only:
                test = self._figures(task, "test")
                checkpoint["test"] = test.figures
                self.notes["provenance"], self.notes["collapsed"] = test.provenance, test.collapsed
            else:
                value = valid.figures[self._metric(valid.figures)]
                if self.notes["best"] is None or value < self.notes["best"]["value"]:
                    self.notes["best"] = {"step": step, "value": value}
                    self.best = copied(task.state_dict())
        self.notes["checkpoints"].append(checkpoint)

    def _figures(self, task: Task, split: Literal["valid", "test"]) -> Evaluation:
        quality = self.recipe["quality"]
        extractor = self.assembly.extractor(self.run.path) if task.can("sample") else None
        found = evaluate(
            task,
            self.assembly.splits,
            split,
            seed=EVALUATION_SEED,
            extractor=extractor,
            samples=quality["samples"],
        )
        if not found.figures:
            raise TicketError(
                "nothing to measure: the family has no figures of its own, and there is no Frechet distance"
            )
        if self._training.ema:
            named = ", ".join(f"{component} {decay}" for component, decay in self._training.plan.ema.items())
            told = {name: f"{text}; averaged weights ({named})" for name, text in found.provenance.items()}
            return replace(found, provenance=told)
        return found

    def _metric(self, figures: Figures) -> str:
        claim = self.recipe["claim"]
        metric = str(claim["metric"]) if claim else next(iter(figures))
        if metric not in figures:
            raise TicketError(f"claim.metric '{metric}' is not among the figures: {', '.join(figures)}")
        return metric

    @contextmanager
    def _averaged(self) -> Iterator[Task]:
        some = [self.batches(step) for step in range(NORM_BATCHES)] if self._training.ema else []
        with self._training.averaged(some) as task:
            yield task

    # -- the end --------------------------------------------------------------------------------------------------

    def _finish(self, task: Task, ticket: Ticket) -> Result:
        training = self._training
        snapshot = training.snapshot(self.unit.span)
        if self.unit.picks_best:
            load_weights(task, self.best)
            with self._timed("evaluate"):
                test = self._figures(task, "test")
            self.notes["provenance"], self.notes["collapsed"] = test.provenance, test.collapsed
            step = self.notes["best"]["step"]
            chosen = [{**c, "test": test.figures} for c in self.notes["checkpoints"] if c["step"] == step]
            selection = f"best on validation, step {step} of {self.unit.span}"
            snapshot = Snapshot(step, copied(task.state_dict()))
        else:
            chosen = self.notes["checkpoints"]
            selection = "last" if len(chosen) == 1 else f"mean of last {len(chosen)}"
        with self._timed("store"):
            write_snapshot(self.folder.trained, snapshot)
            with self._averaged() as shown:
                self._store_pictures(shown)
        flops = layer_flops(task)
        densities = {name: ticket.mask.densities[name] for name in prunable(task) if name in ticket.mask}
        return replace(
            self._blank(),
            sparsity=1 - ticket.mask.density,
            selection=selection,
            valid=_mean([checkpoint["valid"] for checkpoint in chosen]),
            test=_mean([checkpoint["test"] for checkpoint in chosen]),
            provenance=self.notes["provenance"],
            collapsed=self.notes["collapsed"],
            checkpoints=self.notes["checkpoints"],
            losses=self.notes["losses"],
            densities=densities,
            weights={
                "kept": ticket.mask.kept,
                "total": ticket.mask.total,
                "all": sum(parameter.numel() for parameter in task.parameters()),
            },
            flops={
                "dense": sum(flops.values()),
                "masked": sum(count * densities.get(name, 1.0) for name, count in flops.items()),
            },
            seconds={name: round(value, 3) for name, value in self.seconds.items()},
        )

    def _store_pictures(self, task: Task) -> None:
        images = next(iter(self.assembly.splits.test.chunks(32)))
        pictures = {"samples.png": sample_grid(task, EVALUATION_SEED), "reconstructions.png": None}
        pictures["reconstructions.png"] = reconstruction_grid(task, images)
        for name, png in pictures.items():
            if png is not None:
                write_whole(self.folder.path / name, png)

    def _blank(self) -> Result:
        unit = self.unit
        sparsity = 0.0
        if unit.base_arm not in ("budget", "narrow", "dense"):
            sparsity = 1 - self.search["keep"] ** unit.round
        return Result(unit.arm, unit.seed, unit.round, sparsity, unit.span, unit.steps, "last")

    def _stored_recipe(self) -> dict[str, Any]:
        task = {**self.recipe["task"], **self.changed}
        return {
            **self.recipe,
            "task": task,
            "plugins": self.assembly.plugin_names,
            "saw": self.assembly.splits.fingerprint,
        }

    # -- state ----------------------------------------------------------------------------------------------------

    @property
    def _training(self) -> Training:
        if self.training is None:
            raise RuntimeError("the unit has not started")
        return self.training

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        before = time.perf_counter()
        try:
            yield
        finally:
            if self.assembly.device.type == "cuda":
                torch.cuda.synchronize(self.assembly.device)
            self.seconds[phase] += time.perf_counter() - before

    def _save(self) -> None:
        """Store the state, keeping the one before."""
        extra = {"phase": self.phase, "taken": self.taken, "notes": self.notes, "seconds": dict(self.seconds)}
        if self.folder.progress.is_file():
            os.replace(self.folder.progress, self.folder.older_progress)
        write_snapshot(self.folder.progress, self._training.snapshot(self.at), extra, self.best)
        self.saved_at = time.monotonic()

    def _resume(self) -> Snapshot | None:
        """The newest sound stored state of this round, if there is one."""
        for path in (self.folder.progress, self.folder.older_progress):
            if not path.is_file():
                continue
            try:
                snapshot, extra, best = read_snapshot(path)
            except TicketError:
                continue
            self.phase, self.taken, self.notes, self.best = (
                extra["phase"],
                extra["taken"],
                extra["notes"],
                best,
            )
            self.seconds.update(extra["seconds"])
            return snapshot
        return None

    def _clear(self) -> None:
        for path in (self.folder.progress, self.folder.older_progress):
            path.unlink(missing_ok=True)


def replace_arm(ticket: Ticket, arm: str) -> Ticket:
    """The same ticket under another arm's name."""
    return replace(ticket, origin=replace(ticket.origin, method=arm, arm=arm))


def _mean(figures: list[Figures]) -> Figures:
    return {name: sum(found[name] for found in figures) / len(figures) for name in figures[0]}
