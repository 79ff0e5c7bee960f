"""[train] of a recipe: one training, its optimizers and their settings; torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from gentickets.recipe.bounds import Count, Decay, Listed, Many, Natural, NonNegative, Positive, Section, Share, Word

Optimizer = Literal["adam", "adamw", "sgd", "rmsprop"]
USES: dict[str, tuple[str, ...]] = {
    "betas": ("adam", "adamw"),
    "eps": ("adam", "adamw", "rmsprop"),
    "momentum": ("sgd", "rmsprop"),
    "alpha": ("rmsprop",),
}
"""Optimizer setting -> the optimizers that have it."""


class Objective(Section):
    """[train.objectives.<name>]: an objective's own optimizer settings; none: the run's."""

    optimizer: Optimizer | None = None
    lr: Positive | None = None
    betas: Annotated[tuple[Decay, Decay], Listed] | None = None
    eps: Positive | None = None
    weight_decay: NonNegative | None = None
    momentum: Decay | None = None
    alpha: Decay | None = None


class Train(Section):
    """[train]: one training, from step 0 to ``steps``."""

    steps: Count = Field(examples=[1])
    """Training steps; in a GAN, steps of the discriminator."""
    optimizer: Optimizer = "adam"
    """PyTorch's optimizer of that name."""
    lr: Positive = 1e-3
    """Learning rate."""
    betas: Annotated[tuple[Decay, Decay], Listed] = (0.9, 0.999)
    """Decays of Adam's and AdamW's moments."""
    eps: Positive = 1e-8
    """Added to the denominator of Adam, AdamW and RMSprop."""
    weight_decay: NonNegative = 0.0
    """As PyTorch's optimizer has it: decoupled in AdamW, else added to the gradient."""
    momentum: Decay = 0.0
    """Of SGD and RMSprop."""
    alpha: Decay = 0.99
    """Decay of RMSprop's mean square."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """How the learning rate falls after the warm-up; cosine and linear end at 0."""
    warmup: Natural = 0
    """Steps in which the learning rate rises linearly."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient of one player; none: no clipping."""
    ema: Annotated[dict[Word, Share], Many] = Field(default={})
    """Component -> decay of its exponential moving average; metrics are then those of the averaged weights."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the networks' arithmetic in training; weights, optimizers, scores and figures stay in fp32."""
    compile: bool = False
    """Whether components are compiled by `torch.compile`."""
    objectives: Annotated[dict[Word, Objective], Many] = Field(default={})
    """Settings of one objective's own optimizer, by the objective's name."""

    def settings(self, objective: str | None = None) -> dict[str, Any]:
        """The optimizer of an objective (or the run's): ``name`` and numbers, the objective's own first."""
        settings = {name: getattr(self, name) for name in Objective.model_fields}
        if own := self.objectives.get(objective or ""):
            settings |= {name: value for name, value in own if value is not None}
        return {"name": settings.pop("optimizer"), **settings}

    def unused(self) -> Iterator[tuple[str, str]]:
        """Settings given to optimizers that do not have them: (key below [train], the optimizers)."""
        used = {self.optimizer, *(own.optimizer or self.optimizer for own in self.objectives.values())}
        for name in sorted(self.model_fields_set & USES.keys()):
            if used.isdisjoint(USES[name]):
                yield name, ", ".join(sorted(used))
        for objective, own in self.objectives.items():
            optimizer = own.optimizer or self.optimizer
            for name in sorted(own.model_fields_set & USES.keys()):
                if optimizer not in USES[name]:
                    yield f"objectives.{objective}.{name}", optimizer
