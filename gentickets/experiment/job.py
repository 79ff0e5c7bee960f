"""Works on one unit of a run: checks what it needs, works it out, and stores its result."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from gentickets.disk import clear_drafts, write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.checkpoint import JobProgress, StatePlace, clear
from gentickets.experiment.plan import Key, Unit
from gentickets.files.belonging import pictures_of, sha256_of
from gentickets.results import NOT_RUN, Result, why_not_run
from gentickets.runs.folder import RoundFolder, RunFolder, locked

LOCK_SECONDS = 15.0
"""How long to wait for a round's folder: the workers of a parent that was killed end within a moment."""


class Stopped(Exception):  # noqa: N818 - it is no error: the round's state is stored
    """The unit was asked to stop and has stored where it was."""


class Job(ABC):
    """The work on one unit: how far it has come, and what it has found so far."""

    def __init__(
        self,
        assembly: Assembly,
        run: RunFolder,
        unit: Unit,
        arm: Arm,
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[int], object] = lambda steps: None,
        save_every: float = 30.0,
    ) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.folder: RoundFolder = run.round(*unit.key)
        self.arm = arm
        self.stop, self.report, self.save_every = stop, report, save_every
        self.progress, self.at, self.stopping = JobProgress(), 0, False
        self.saved_at = time.monotonic()

    def do(self) -> Result:
        """The unit's result: stored already, or worked out now, from where it was left.

        Raises Stopped when asked to stop, with the state stored; TicketError, with nothing stored, where what the unit
        needs is not done yet. A network that diverges, or a tensor that would be emptied, makes a failed result, which
        is stored too.
        """
        if (done := self.folder.read_result()) is not None and done.status != NOT_RUN:
            clear(self.folder)
            return done
        self.batches = self.assembly.batches(self.unit.random_seed)  # bad data is reported before a folder is made
        self.stream = self.assembly.batches(self.unit.order)
        with locked(self.folder.path, wait=LOCK_SECONDS):
            clear_drafts(self.folder.path)
            try:
                result = self._unmet() or self._worked_out()
            except TicketError as error:
                if error.status not in (Status.FAILED, Status.DIVERGED):
                    raise
                status = "diverged" if error.status == Status.DIVERGED else "failed"
                self._take_back()
                told = {"losses": self.progress.losses, **self.progress.costs()}
                result = replace(self._blank(), status=status, why=str(error), **told)
            result = self._signed(result)
            write_whole(self.folder.result, result.to_json().encode())
            clear(self.folder)
        return result

    def _signed(self, result: Result) -> Result:
        """The result, saying whose it is and of which files."""
        ticket, network = sha256_of(self.folder.ticket), sha256_of(self.folder.trained)
        pictures, images = pictures_of(self.folder.path), sha256_of(self.folder.images)
        own = self.place["run"]
        return replace(result, run=own, ticket=ticket, network=network, images=images, pictures=pictures)

    @cached_property
    def place(self) -> StatePlace:
        """What its stored states and its result say of where they belong."""
        owner = self.run.owner
        return StatePlace(run=owner and owner.identity, seed=self.unit.seed, arm=self.unit.arm, round=self.unit.round)

    def _required(self) -> Sequence[Key]:
        """The units that must have succeeded: all that this one needs, but for variants, of which one is enough."""
        return [need for need in self.unit.needs if need not in self.unit.variants]

    def _unmet(self) -> Result | None:
        """A result that says which need has failed, and None where all are there.

        Raises TicketError for a need without a result: it may yet succeed, so that nothing final can be said.
        """
        status = {need: self._status(need) for need in self.unit.needs}
        bad = [need for need in self._required() if status[need] != "done"]
        if self.unit.variants and all(status[twin] != "done" for twin in self.unit.variants):
            bad += self.unit.variants
        if not bad:
            return None
        return replace(self._blank(), status=NOT_RUN, why=why_not_run(*bad[0], status[bad[0]]))

    def _status(self, need: Key) -> str:
        if (result := self.run.round(*need).read_result()) is None:
            seed, arm, round = need
            message = f"{self.unit} needs {arm} round {round} of seed {seed}, which has no result yet"
            raise TicketError(f"{message}; work on that first")
        return result.status

    @abstractmethod
    def _worked_out(self) -> Result:
        """The unit's result, worked out from where it was left; it is neither signed nor stored."""

    def _take_back(self) -> None:  # noqa: B027 - only training books steps ahead
        """Take back what was booked for steps that do not count; called where the unit has failed."""

    def _blank(self) -> Result:
        unit, sparsity = self.unit, 0.0
        if unit.kind.sparse:
            sparsity = 1 - self.assembly.recipe.search.keep**unit.round
        blank = Result(unit.arm, unit.seed, unit.round, sparsity, unit.span, unit.steps, "last")
        return blank if unit.drawn is None else replace(blank, random_seed=unit.drawn)
