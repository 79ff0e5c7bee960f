"""Records units whose worker died or stalled twice, in the run's own state. Torch-free.

`state.json` of a run: ``format`` 1; ``lost``, a list of ``{"seed", "arm", "round", "why"}``. It is of the last attempt:
the same command tries the units again. A result never says so, since nothing is known of the unit itself.
"""

from __future__ import annotations

import json

from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.plan import Unit
from gentickets.runs.folder import RunFolder

FORMAT = 1


class LostJobs:
    """The units that this attempt at a run has lost so far; those of earlier attempts are forgotten."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.units = run, dict[Unit, str]()
        run.state.unlink(missing_ok=True)

    def add(self, unit: Unit, why: str) -> None:
        """Take note of one."""
        self.units[unit] = why
        told = [
            {"seed": unit.seed, "arm": unit.arm, "round": unit.round, "why": why} for unit, why in self.units.items()
        ]
        write_whole(self.run.state, (json.dumps({"format": FORMAT, "lost": told}, indent=1) + "\n").encode())

    def check(self) -> None:
        """Raise TicketError (status 1) where a unit was lost."""
        if not self.units:
            return
        told = "; ".join(f"{unit}: the worker {why}" for unit, why in self.units.items())
        message = (
            f"lost after two tries: {told}. Everything that does not need it is done; the same command tries again"
        )
        raise TicketError(message, Status.FAILED)
