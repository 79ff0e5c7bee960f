"""Plan: how to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gentickets.optimizers import Schedule
from gentickets.tasks import Optim


@dataclass(frozen=True)
class Plan:
    """How to train: optimizer (and exceptions by objective), schedule, averages, gradient clipping."""

    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    per_objective: Mapping[str, Optim] = field(default_factory=dict)
    ema: Mapping[str, float] = field(default_factory=dict)
    """Component -> decay per step of its exponential moving average."""
    clip_norm: float | None = None
    """Largest norm of one objective's gradient."""
    precision: str = "fp32"
    """``fp32``, or ``bf16``: networks multiply in bfloat16, and all that is kept stays float32."""
    compile: bool = False
    """Whether networks are compiled; the first step of a process then takes half a minute or more."""
    gamma_l1: float = 0.0
    """L1 penalty on the scales of batch norms, which an early bird may be searched with (You et al., 2020)."""

    @property
    def steps(self) -> int:
        """The number of steps that the schedule spans."""
        return self.schedule.steps

    def finetuning(self) -> Plan:
        """The same with the learning rate held at its last value."""
        return replace(self, schedule=replace(self.schedule, frozen_at=self.schedule.steps - 1))
