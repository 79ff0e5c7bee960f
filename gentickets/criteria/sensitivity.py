"""Criteria by first derivatives of the loss: SNIP and gradient-informed magnitude."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gentickets.criteria.judged import judge
from gentickets.criteria.losses import Player, looking, summed
from gentickets.masks import Scores, prunable
from gentickets.tasks import Batch, Task

FLAT = "the loss does not change with these weights (a hinge loss is flat past its margin); use magnitude or lamp"


def snip(
    task: Task,
    batches: Sequence[Batch] = (),
    seed: int = 0,
    *,
    pooled: bool = False,
    evaluation: bool = False,
    chunk: int | None = None,
) -> Scores:
    """|w dL/dw|, the gradient averaged over all images before the absolute value (Lee, Ajanthan and Torr, 2019).

    Each weight is scored by the loss that trains it: a discriminator's gradient has no part of the generator's loss
    (Trap 31). A weight that several objectives train is scored by the sum of their losses; objectives with ``every``
    above 1 like the others. Draws follow from ``seed``. The task is left as it was.

    ``pooled``: the sum of all objectives' losses scores every weight, as public scripts for GANs do.
    ``evaluation``: in evaluation mode, not as in a training step; ``chunk`` is then how many images are scored at once,
    which changes scores by rounding only (Trap 38). The paper scores the initial network on one batch of 100; two such
    batches agree on few weights, so give several.

    Raises TicketError: no images, an impossible ``chunk``; and for a weight when its score is asked for: it is frozen,
    no loss depends on it, all scores of its component are zero, or (DIVERGED) they are not finite.
    """
    with looking(task, batches, seed, pooled=pooled, evaluation=evaluation, chunk=chunk) as sight:
        gradients = summed(sight.mean(Player.gradients))
    weights = prunable(task)
    scores = {name: (weights[name].detach() * gradient).abs() for name, gradient in gradients.items()}
    return judge(sight.scored(scores), "SNIP", FLAT)


def gradient(
    task: Task,
    batches: Sequence[Batch] = (),
    seed: int = 0,
    *,
    pooled: bool = False,
    evaluation: bool = False,
    chunk: int | None = None,
) -> Scores:
    """|w| times the L2 norm of its gradients over the batches, after GBLM-Pruner (Das et al., 2023).

    For gradients g_b of the batches' mean losses: |w| sqrt(sum g_b^2). Unlike SNIP's, gradients of opposite sign do not
    cancel; with one batch the two are the same. The paper's method adds a term of activations, for language models'
    layers, which is left out. Options and errors are those of `snip`.
    """
    squares: dict[str, torch.Tensor] = {}
    with looking(task, batches, seed, pooled=pooled, evaluation=evaluation, chunk=chunk) as sight:
        for _, answers in sight.each(Player.gradients):
            for name, found in summed(answers).items():
                squares[name] = squares[name] + found.square() if name in squares else found.square()
    weights = prunable(task)
    scores = {name: weights[name].detach().abs() * total.sqrt() for name, total in squares.items()}
    return judge(sight.scored(scores), "gradient", FLAT)
