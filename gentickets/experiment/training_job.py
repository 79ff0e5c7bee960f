"""Trains one unit: makes its ticket, trains, evaluates. It can stop at any step and resumes to the same bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from torch import Tensor

from gentickets.accounting import network_flops, step_flops
from gentickets.disk import write_whole
from gentickets.experiment.checkpoint import resume, save
from gentickets.experiment.evaluation import Examiner, mean
from gentickets.experiment.job import Job, Stopped
from gentickets.files import split_header
from gentickets.files.belonging import foreign, sha256_of
from gentickets.masks import by_reason, excluded, prunable
from gentickets.results import Result
from gentickets.runs.formats import pack_ticket, read_ticket, write_snapshot
from gentickets.tickets import Snapshot, Ticket, copied, state_of, weights_of, zeroed
from gentickets.training import Losses, Plan, Training, train

LOSS_POINTS = 50
"""Points of a training curve."""


class TrainingJob(Job):
    """Makes a unit's ticket and trains it."""

    def _worked_out(self) -> Result:
        snapshot, self.progress = resume(self.folder, self.place)
        self._build()
        ticket = self._start(snapshot)
        examiner = Examiner(self.assembly, self.run, self.unit, self.training, self.batches, self.progress)
        looks, traces = (
            examiner.evaluation_steps(ticket.origin.rewind_to),
            examiner.curve_steps(ticket.origin.rewind_to),
        )
        done = self.progress.evaluated(), self.progress.traced()
        for point in sorted({*looks, *traces}):
            look, trace = point in looks and point not in done[0], point in traces and point not in done[1]
            if look or trace:
                self._train_to(point, ticket)
            if look:
                examiner.evaluate(point)
            if trace:
                examiner.add_to_curve(point)
        return self._finished(examiner, ticket)

    def _build(self) -> None:
        """The networks, ready to train for as long as this unit does, and what a step of theirs costs."""
        progress, device = self.progress, self.assembly.device
        progress.spent.pop("compact", None)  # it is done again in a run that goes on, and counts once
        booked = progress.counted("compact", device) if self.arm.compacts else nullcontext()
        with booked:
            task = self.arm.task()
        self.unit = self.arm.settled()
        self.training = Training(task, self._plan())
        if self.training.plan.compile:
            with progress.timed("compile", device):
                self.training.compile(self.batches(0))
        step = step_flops(task, self.assembly.recipe.data.batch_size)
        self.step_flops = step.total
        progress.name("step", step.uncounted)

    def _plan(self) -> Plan:
        return self.assembly.plan(self.unit.span)

    def _start(self, snapshot: Snapshot | None) -> Ticket:
        """Make and store the ticket, unless that was done before; leave the training where it goes on from."""
        device = self.assembly.device
        if snapshot is None or not self.folder.ticket.is_file():  # one that is there may have no bill any more
            since = snapshot if self.progress.phase == "start" else None
            self.at = 0 if since is None else since.step
            if self.unit.prunes:
                self.progress.spent.pop("score", None)  # what was not stored is done again, and counts once
                with self.progress.counted("score", device):
                    made = self.arm.ticket(self.training, self.batches, since, [self._watch])
            else:
                with self.progress.timed("warm-up", device):
                    made = self.arm.ticket(self.training, self.batches, since, [self._watch])
            self._end_if_stopping()
            made = replace(made, constants=self.training.divergence.constants)
            self.progress.moved = self.arm.transfer_record()
            packed = pack_ticket(made, self.arm.recipe())
            self.progress.ticket = split_header(packed, self.folder.ticket).sha256
            self._save()  # what the ticket has cost, and which one it is, before it is there
            with self.progress.timed("store", device):
                write_whole(self.folder.ticket, packed)
            snapshot = None
        # what is trained is what was stored, in a run that goes on and in one that was never interrupted
        ticket = self._own_ticket()
        ticket = replace(ticket, mask=ticket.mask.to(device))
        if ticket.origin.rewind == "none":
            self.training.plan = self.training.plan.finetuning()
        if snapshot is not None and self.progress.phase == "grow":
            self.training.load(snapshot)
            self.at = snapshot.step
        else:
            self.training.start(ticket)
            self.at, self.progress.phase = ticket.origin.rewind_to, "grow"
            self.progress.losses = []  # curves begin at the ticket's start, in every arm and after any crash
        return ticket

    def _own_ticket(self) -> Ticket:
        """The unit's stored ticket; TicketError (status 3) where it is another one's."""
        path = self.folder.ticket
        stored, _ = read_ticket(path)
        if self.progress.ticket not in (None, sha256_of(path)) or stored.origin.seed != self.arm.seed:
            raise foreign(path, "it is not the one that this round has made")
        return stored

    def _train_to(self, point: int, ticket: Ticket) -> None:
        device = self.assembly.device
        with self.progress.timed("train", device), self.progress.weighed(device):
            steps = range(self.at, point)
            self.at = train(
                self.training, self.stream, steps, mask=ticket.mask, seed=self.unit.order, watch=[self._watch]
            )
        self._end_if_stopping()

    def _watch(self, step: int, losses: Losses) -> bool:
        self.at = step
        self.progress.taken += 1
        phase = "train" if self.progress.phase == "grow" else "warm-up"
        self.progress.spent[phase] += self.step_flops
        self.progress.name(phase, self.progress.uncounted.get("step", ()))
        self.report(self.progress.taken)
        if step % max(1, self.unit.span // LOSS_POINTS) == 0:
            values = {name: float(loss) for name, loss in losses.items()}
            if all(math.isfinite(value) for value in values.values()):
                self.progress.losses.append({"step": step, **values})
        if time.monotonic() - self.saved_at > self.save_every:
            self._save()
        self.stopping = self.stop()
        return self.stopping

    def _take_back(self) -> None:
        """Book no step from the first bad one on: an accelerator tells it late, and when depends on stops."""
        training: Training | None = getattr(self, "training", None)
        since = training.divergence.since if training is not None else None
        if since is None or (over := self.at - since + 1) <= 0:
            return
        self.progress.taken -= over
        self.progress.spent["train" if self.progress.phase == "grow" else "warm-up"] -= over * self.step_flops
        self.progress.losses = [point for point in self.progress.losses if point["step"] < since]

    def _end_if_stopping(self) -> None:
        if self.stopping:
            self._save()
            raise Stopped

    def _save(self) -> None:
        save(self.folder, self.training.snapshot(self.at), self.progress, self.place)
        self.saved_at = time.monotonic()

    def _finished(self, examiner: Examiner, ticket: Ticket) -> Result:
        task, progress, device = self.training.task, self.progress, self.assembly.device
        grown = self.training.snapshot(self.unit.span)
        chosen, selection = examiner.chosen()
        on_train = examiner.on_train()
        floors = examiner.floors(list(chosen[0]["valid"]))
        if progress.best is not None:
            grown = Snapshot(progress.best["step"], copied(state_of(task)), constants=grown.constants)
        grown = replace(grown, weights=zeroed(grown.weights, ticket.mask))  # +0.0, where a step may leave -0.0
        with progress.timed("store", device):
            write_snapshot(self.folder.trained, grown)
            examiner.store_images(self.folder, chosen)
            if progress.best is not None:
                examiner.pictures(self.folder, task)
            else:
                with examiner.averaged() as shown:
                    examiner.pictures(self.folder, shown)
        return replace(
            self._blank(),
            sparsity=1 - (ticket.channels or ticket.mask).density,
            selection=selection,
            valid=mean([checkpoint["valid"] for checkpoint in chosen]),
            test=mean([checkpoint["test"] for checkpoint in chosen]),
            train=on_train,
            curve=progress.curve,
            tied=dict(ticket.origin.tied) if self.unit.prunes else {},
            width=self._width(),
            provenance=progress.provenance,
            collapsed=progress.collapsed,
            checkpoints=progress.checkpoints,
            losses=progress.losses,
            transfer=progress.moved,
            excluded=self._excluded(),
            floors=floors,
            better=dict(task.better),
            **self._sizes(ticket),  # which names what it cannot count, for the costs
            **progress.costs(),
        )

    def _excluded(self) -> list[dict[str, Any]]:
        """What of the networks no mask covers; the dense run tells it for all arms."""
        if self.unit.arm != "ticket" or self.unit.round:
            return []
        exempt, components = self.assembly.recipe.search.exempt, self.assembly.components
        return by_reason(excluded(self.training.task, exempt=exempt, components=components))

    def _sizes(self, ticket: Ticket) -> dict[str, Any]:
        """Densities in the network's order, weights, FLOPs; of a compact ticket with those of the recipe's networks."""
        task, found = self.training.task, ticket.mask.densities
        wide = self.assembly.task(self.unit.random_seed) if ticket.channels is not None else task
        densities = {name: found[name] for name in prunable(task) if name in found}
        own = network_flops(task, ticket.mask)
        whole = own if wide is task else network_flops(wide)
        self.progress.name("forward", own.uncounted | whole.uncounted)
        flops = {"dense": whole.dense, "masked": own.masked, "own": own.dense, "masked_step": self._masked_step(ticket)}
        channels: Mapping[str, Tensor] = ticket.channels or {}
        return {
            "densities": densities,
            "weights": weights_of(ticket, wide),
            "flops": {**flops, "step": self.step_flops},
            "channels": {name: [int(kept.sum()), kept.numel()] for name, kept in channels.items()},
        }

    def _masked_step(self, ticket: Ticket) -> float:
        """FLOPs of a training step of kernels that skip pruned weights."""
        if ticket.mask.kept == ticket.mask.total:
            return self.step_flops
        return step_flops(self.training.task, self.assembly.recipe.data.batch_size, ticket.mask).total

    def _width(self) -> int | None:
        """The width, where the networks are not the recipe's."""
        own = self.arm.narrowed.values()
        return next((width for width in own if isinstance(width, int)), None)
