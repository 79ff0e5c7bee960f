"""Turn: one objective of a step, with what it trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from gentickets.arithmetic import Arithmetic
from gentickets.errors import TicketError
from gentickets.masks import Hold
from gentickets.optimizers import build, like_parameter
from gentickets.tasks import Draw, Objective, Task
from gentickets.training.plan import Plan


class Turn:
    """One objective with the parameters that it trains and their optimizer."""

    def __init__(self, task: Task, objective: Objective, plan: Plan, arithmetic: Arithmetic) -> None:
        self.objective = objective
        self.parameters = task.trained_by(objective)
        if not self.parameters:
            what = " and ".join(map(repr, objective.trains)) or "no component"
            raise TicketError(f"objective '{objective.name}' has nothing to train: all of {what} is frozen")
        self.arithmetic = arithmetic
        self.passed: list[nn.Parameter] = []
        """Parameters that only earlier turns of the step train: this one asks nothing of them."""
        self.optim = plan.per_objective.get(objective.name) or objective.optim or plan.optim
        self.optimizer = build(self.optim, list(self.parameters.values()))
        self.clip_norm, self.gamma_l1 = plan.clip_norm, plan.gamma_l1
        trained = {id(parameter) for parameter in self.parameters.values()}
        self.scales = [scale for scale in _norm_scales(task) if id(scale) in trained] if plan.gamma_l1 else []

    def gradients(self, batch: Tensor, draw: Draw) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The loss, and its gradients by what is trained."""
        loss = self.objective.value
        return self.arithmetic.gradients(lambda: loss(batch, draw), list(self.parameters.values()), self.passed)

    def take(self, batch: Tensor, draw: Draw, factor: float, hold: Hold | None) -> Tensor:
        """One optimizer step: loss, gradients of what is trained alone, update, clip, mask. Returns the loss."""
        parameters = list(self.parameters.values())
        loss, gradients = self.gradients(batch, draw)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else like_parameter(gradient, parameter)
        for scale in self.scales:
            if scale.grad is not None:
                scale.grad = scale.grad + self.gamma_l1 * scale.detach().sign()
        if self.clip_norm is not None:
            _own_memory(parameters)
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * factor
        self.optimizer.step()
        increment_version(parameters)  # fused steps do not: a value shared between turns would go stale unseen
        for parameter in parameters:
            parameter.grad = None
        if self.objective.after_step is not None:
            self.objective.after_step()
        if hold is not None:
            hold.apply()
        return loss.detach()


def _norm_scales(task: Task) -> list[nn.Parameter]:
    """The scales of all batch norms, gamma."""
    norms = (layer for layer in task.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))
    return [norm.weight for norm in norms if isinstance(norm.weight, nn.Parameter)]


def _own_memory(parameters: Sequence[nn.Parameter]) -> None:
    """Give each gradient memory of its own: autograd may hand one tensor to two parameters, which clipping changes."""
    seen: set[int] = set()
    for parameter in parameters:
        if parameter.grad is not None:
            if parameter.grad.data_ptr() in seen:
                parameter.grad = parameter.grad.clone(memory_format=torch.preserve_format)
            seen.add(parameter.grad.data_ptr())
