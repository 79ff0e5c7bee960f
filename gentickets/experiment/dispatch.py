"""Dispatch: which class works on a unit, and which makes the ticket that it trains."""

from __future__ import annotations

from typing import Any

from gentickets.arms import BESIDE, SEARCH
from gentickets.experiment.arms import Arm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.emerged import EmergedArm
from gentickets.experiment.looking import LookingBeside
from gentickets.experiment.transferred import TransferredArm
from gentickets.experiment.units import Unit
from gentickets.experiment.watching import Searching
from gentickets.experiment.work import Work
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
