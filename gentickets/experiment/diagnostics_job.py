"""Runs the diagnostics of one seed as a job: it examines stored networks, trains none, and measures none of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gentickets.experiment.job import Job
from gentickets.experiment.plan import Key
from gentickets.results import Result


class DiagnosticsJob(Job):
    """The job of the arm ``beside``. It waits for the networks that it examines."""

    def _required(self) -> Sequence[Key]:
        """The dense run and the ticket: without them there is nothing to examine. A control that failed is left out."""
        return [need for need in self.unit.needs if need[1] == "ticket"]

    def _worked_out(self) -> Result:
        from gentickets.experiment.diagnostics import diagnose

        with self.progress.counted("evaluate", self.assembly.device):
            found = diagnose(self.assembly, self.run, self.unit)
        return replace(self._blank(), beside=found, **self.progress.costs())
