"""Chooses the class that works on a unit, and the one that makes its ticket."""

from __future__ import annotations

from typing import Any

from gentickets.arms import BESIDE, SEARCH
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.arms.early_bird import EarlyBirdArm
from gentickets.experiment.arms.transfer import TransferredArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.diagnostics_job import DiagnosticsJob
from gentickets.experiment.early_bird_job import EarlyBirdJob
from gentickets.experiment.job import Job
from gentickets.experiment.plan import Unit
from gentickets.experiment.training_job import TrainingJob
from gentickets.runs.folder import RunFolder

JOBS: dict[str, type[Job]] = {SEARCH: EarlyBirdJob, BESIDE: DiagnosticsJob}
"""Arm -> the class that works on it; a `TrainingJob` where none is given."""


def job_of(assembly: Assembly, run: RunFolder, unit: Unit, **how: Any) -> Job:
    """The job for a unit of a run."""
    return JOBS.get(unit.kind.name, TrainingJob)(assembly, run, unit, arm_of(assembly, run, unit), **how)


def arm_of(assembly: Assembly, run: RunFolder, unit: Unit) -> Arm:
    """What a unit of the recipe's run trains."""
    if unit.kind.of_transfer:
        return TransferredArm(assembly, run, unit)
    kind = EarlyBirdArm if assembly.recipe.method.watches else Arm
    return kind(assembly, run, unit)
