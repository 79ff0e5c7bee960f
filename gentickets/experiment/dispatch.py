"""Dispatch: which class works on a unit, and which makes the ticket that it trains."""

from __future__ import annotations

from typing import Any

from gentickets.arms import BESIDE, SEARCH
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.arms.early_bird import EmergedArm
from gentickets.experiment.arms.transfer import TransferredArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.diagnostics_job import LookingBeside
from gentickets.experiment.early_bird_job import Searching
from gentickets.experiment.job import Work
from gentickets.experiment.plan import Unit
from gentickets.runs.folder import RunFolder

WORKS: dict[str, type[Work]] = {SEARCH: Searching, BESIDE: LookingBeside}
"""Arm -> what works on it; a `Work`, which trains a ticket, unless it stands here."""


def work_of(assembly: Assembly, run: RunFolder, unit: Unit, **how: Any) -> Work:
    """The work on a unit of a run."""
    return WORKS.get(unit.kind.name, Work)(assembly, run, unit, arm_of(assembly, run, unit), **how)


def arm_of(assembly: Assembly, run: RunFolder, unit: Unit) -> Arm:
    """What a unit of the recipe's run trains."""
    if unit.kind.of_transfer:
        return TransferredArm(assembly, run, unit)
    kind = EmergedArm if assembly.recipe.method.watches else Arm
    return kind(assembly, run, unit)
