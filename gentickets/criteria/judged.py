"""Scores that were looked at: a weight that cannot be scored says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.masks import Scores, component_of
from gentickets.tasks import Batch, Task

Criterion = Callable[[Task, Sequence[Batch], int], Scores]
"""(task, batches, seed) -> scores, one tensor per prunable weight, of its shape."""


class Judged(Mapping[str, Tensor]):
    """Scores by name; asking for those of a weight that has none raises its TicketError.

    So a player that cannot be scored, or a frozen weight, is in nobody's way as long as it is not to be pruned.
    """

    def __init__(self, scores: Mapping[str, Tensor | TicketError]) -> None:
        self._scores = dict(scores)

    def __getitem__(self, name: str) -> Tensor:
        found = self._scores[name]
        if isinstance(found, TicketError):
            raise found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores)

    def __len__(self) -> int:
        return len(self._scores)


def judge(scores: Mapping[str, Tensor | TicketError], criterion: str, if_zero: str) -> Judged:
    """The same scores, with a sentence in place of those that are no numbers or say nothing.

    A tensor with a NaN or an infinite score is DIVERGED. Where all scores of a component are zero, they are refused;
    ``if_zero`` says what that means for this criterion, and what to use.
    """
    judged: dict[str, Tensor | TicketError] = {}
    loud: set[str] = set()
    for name, found in scores.items():
        if isinstance(found, Tensor) and not bool(torch.isfinite(found).all()):
            judged[name] = TicketError(
                f"the {criterion} scores of '{name}' are not finite: the weights or the loss have diverged",
                Status.DIVERGED,
            )
        else:
            judged[name] = found
        if isinstance(judged[name], TicketError) or bool(torch.count_nonzero(found)):  # type: ignore[arg-type]
            loud.add(component_of(name))
    for name in judged:
        if (component := component_of(name)) not in loud:
            judged[name] = TicketError(f"all {criterion} scores of '{component}' are zero: {if_zero}", Status.FAILED)
    return Judged(judged)
