"""Which channels stay: scores, the best of them by exact counts, and the controls' choices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gentickets.channels.group import Group, Groups
from gentickets.errors import Status, TicketError, nearest
from gentickets.masks import Channels, keep_top
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import state_of


@torch.no_grad()
def channel_scores(task: Task, groups: Groups) -> dict[str, Tensor]:
    """Group -> score of each channel, (size,); the highest are kept.

    |gamma| of the group's norm, the mean of several (Liu et al., 2017; You et al., 2020). A group without a
    norm: the L2 norm of all weights that make the channel, divided by the group's mean, so that scores are 1 on
    average, where norms' scales start. Under spectral norm it is the raw weights that count.
    """
    state = state_of(task)
    for group in groups.values():
        for member in group.members:
            if member.tensor not in state and member.part != "count":
                message = f"the task has no '{member.tensor}', which the group '{group.name}' names."
                raise TicketError(f"{message} {nearest(member.tensor, state)}", Status.TICKET)
    return {name: _score(group, state) for name, group in groups.items()}


def _score(group: Group, state: Mapping[str, Tensor]) -> Tensor:
    scales = [state[member.tensor].abs()[member.index.to(state[member.tensor].device)] for member in group.of("scale")]
    if scales:
        return torch.stack([scale.mean(1) for scale in scales]).mean(0)
    squares = []
    for member in group.of("weight"):
        weight = state[member.tensor].movedim(member.dim, 0).flatten(1)
        squares.append(weight.abs().square().sum(1)[member.index.to(weight.device)].sum(1))
    length = torch.stack(squares).sum(0).sqrt()
    mean = length.mean()
    return length / mean if mean > 0 else length


def keep_channels(
    scores: Mapping[str, Tensor],
    density: float,
    *,
    within: Channels,
    scope: str = "component",
    multiple: int = 1,
    seed: int = 0,
) -> Channels:
    """Keep the channels with the highest scores, among those that ``within`` keeps: `masks.keep_top` on channels.

    ``density`` is of all channels of a group, a component or the task (``scope``), counts are exact, and ties are
    broken by a seeded hash. With ``multiple``, each group's count is then rounded to the nearest multiple, at least one
    and at most the group's size (a whole group stays whole), and filled by the group's own ranking.

    Raises TicketError as `keep_top` does; status FAILED for a group that would lose all of its channels.
    """
    if multiple < 1:
        raise TicketError(f"channels are rounded to multiples of at least 1, not of {multiple}")
    try:
        kept = Channels(keep_top(scores, density, within=within, scope=scope, seed=seed))
    except TicketError as error:
        if error.status is not Status.FAILED:
            raise
        what = str(error).partition(": try")[0].replace(" weights of ", " channels of ")
        message = f"{what}: try scope='layer', a higher density, or leave its component out"
        raise TicketError(message, Status.FAILED) from error
    if multiple == 1:
        return kept
    counts = {name: _rounded(kept.kept_in(name), len(value), multiple) for name, value in kept.items()}
    return _best(scores, {name: min(count, within.kept_in(name)) for name, count in counts.items()}, within, seed)


def _rounded(count: int, size: int, multiple: int) -> int:
    return size if count == size else min(size, max(1, math.floor(count / multiple + 0.5)) * multiple)


def _best(scores: Mapping[str, Tensor], counts: Mapping[str, int], within: Channels, seed: int) -> Channels:
    densities = {name: count / len(within[name]) for name, count in counts.items()}
    return Channels(keep_top(scores, densities, within=within, seed=seed))


def random_channels(channels: Channels, seed: int) -> Channels:
    """As many channels of each group, drawn at random, and other ones wherever there are others to draw (Trap 8)."""
    drawn = {}
    for name, kept in channels.items():
        rng = torch.Generator().manual_seed(derive(seed, "random channels", name))
        count = channels.kept_in(name)
        chosen = kept.clone()
        while 0 < count < len(kept) and torch.equal(chosen, kept):
            chosen = torch.zeros_like(kept)
            chosen[torch.randperm(len(kept), generator=rng)[:count].to(kept.device)] = True
        drawn[name] = chosen
    return Channels(drawn)


def lowest_channels(scores: Mapping[str, Tensor], channels: Channels, seed: int = 0) -> Channels:
    """As many channels of each group, those with the lowest scores."""
    full = Channels({name: torch.ones_like(kept) for name, kept in channels.items()})
    return _best({name: -score for name, score in scores.items()}, channels.widths, full, seed)
