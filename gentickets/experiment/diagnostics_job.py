"""A look at the stored networks of one seed as a unit of work: it trains none, and has figures of none of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gentickets.experiment.job import Job
from gentickets.experiment.plan import Key
from gentickets.results import Result


class DiagnosticsJob(Job):
    """The unit of the arm ``beside``. It waits for all that it looks at, and looks at what has come of it."""

    def _required(self) -> Sequence[Key]:
        """The dense run and the ticket: without them there is nothing to look at. A control that failed is left out."""
        return [need for need in self.unit.needs if need[1] == "ticket"]

    def _worked_out(self) -> Result:
        from gentickets.experiment.diagnostics import diagnose

        with self.progress.counted("evaluate", self.assembly.device):
            found = diagnose(self.assembly, self.run, self.unit)
        return replace(self._blank(), beside=found, **self.progress.costs())
