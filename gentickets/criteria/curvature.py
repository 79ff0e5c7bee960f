"""Criteria by second derivatives of the loss: GraSP, signed and absolute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from gentickets.criteria.judged import judge
from gentickets.criteria.losses import Player, Tensors, looking, summed
from gentickets.errors import TicketError
from gentickets.masks import Scores, prunable
from gentickets.tasks import Batch, Draw, Task

STRAIGHT = (
    "the gradient is zero, or does not change with these weights (a single layer under a linear loss such as "
    "'wasserstein' has no second derivatives; a hinge loss is flat past its margin); use snip or magnitude"
)


def grasp(
    task: Task,
    batches: Sequence[Batch] = (),
    seed: int = 0,
    *,
    pooled: bool = False,
    temperature: float = 1.0,
    evaluation: bool = False,
    chunk: int | None = None,
) -> Scores:
    """w (H g), signed: the negative of the paper's score -w (H g), whose highest go (Wang, Zhang and Grosse, 2020).

    g and H are the first and second derivatives of the loss, averaged over all images, with respect to the prunable
    weights that its objective trains. Removing a weight changes |g|^2 by -2 w (H g) to first order; so to keep the
    highest of w (H g) is to keep the gradient's flow. The two passes see the same draws, buffers and modules' own
    draws. A weight that several objectives train gets the sum of their scores.

    ``temperature`` divides the logits while scoring (the paper's T = 200): those of a discriminator; a mean squared
    error, a KL term and a hinge have no counterpart. ``pooled``, ``evaluation``, ``chunk``: as in `snip`, whose errors
    it shares. The loss must be differentiable twice.
    """
    return judge(_grasp(task, batches, seed, pooled, temperature, evaluation, chunk), "GraSP", STRAIGHT)


def grasp_abs(
    task: Task,
    batches: Sequence[Batch] = (),
    seed: int = 0,
    *,
    pooled: bool = False,
    temperature: float = 1.0,
    evaluation: bool = False,
    chunk: int | None = None,
) -> Scores:
    """|w (H g)|: GraSP's score without its sign, the smallest removed (Frankle et al., 2021). See `grasp`."""
    signed = _grasp(task, batches, seed, pooled, temperature, evaluation, chunk)
    absolute = {name: found.abs() if isinstance(found, Tensor) else found for name, found in signed.items()}
    return judge(absolute, "GraSP", STRAIGHT)


def _grasp(
    task: Task,
    batches: Sequence[Batch],
    seed: int,
    pooled: bool,
    temperature: float,
    evaluation: bool,
    chunk: int | None,
) -> dict[str, Tensor | TicketError]:
    looked = looking(task, batches, seed, pooled=pooled, evaluation=evaluation, chunk=chunk)
    with _at_temperature(task, temperature), looked as sight:
        gradients = sight.mean(Player.gradients)

        def ask(player: Player, batch: Batch, draw: Draw, retain: bool) -> Tensors:
            return player.curvature(batch, draw, retain, along=gradients[player])

        curved = summed(sight.mean(ask))
    weights = prunable(task)
    return sight.scored({name: weights[name].detach() * found for name, found in curved.items()})


@contextmanager
def _at_temperature(task: Task, temperature: float) -> Iterator[None]:
    """The task's logits divided by ``temperature`` inside."""
    if not temperature > 0:
        raise TicketError(f"the temperature divides logits, so it must be above 0, not {temperature}")
    if temperature == 1:
        yield
        return
    own = vars(task).get("temperature")
    task.temperature = temperature
    try:
        yield
    finally:
        if own is None:
            del task.temperature
        else:
            task.temperature = own
