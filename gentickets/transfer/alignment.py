"""Alignment: whose channel is whose in two networks of one architecture, so that a mask can move from one to the other.

Hidden channels have no order: another initialization trains into another permutation of them, and a mask that was found
in one network does not fit the next until it is permuted as well (Adnan et al., 2025). Which permutation that is can be
read from what the channels say to the same images (activation matching: Ainsworth et al., 2023, Git Re-Basin).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from gentickets.channels import groups_of, rearranged
from gentickets.channels.group import Group, Groups, twin
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task
from gentickets.tickets import Ticket, state_of
from gentickets.transfer.codes import code_group
from gentickets.transfer.likeness import likenesses
from gentickets.untouched import seeded

UNTRAINED = 5
"""Networks that have learned nothing, which the source is matched with to see what a match is worth."""


@dataclass(frozen=True)
class Match:
    """The channels of a group in two networks, matched. Correlations are means over channels, constant ones at 0."""

    permutation: Tensor
    """int64 (size,): channel j of the target is channel ``permutation[j]`` of the source."""
    before: float
    """Correlation of channels of the same number."""
    after: float
    """Correlation of matched channels."""
    untrained: tuple[float, ...]
    """Correlation of matched channels where the target is a network at initialization: one figure for each network."""
    constant: tuple[int, int]
    """How many channels say the same to every image, of the source and of the target."""


def alignment(
    source: Task, target: Task, batches: Sequence[Batch], *, groups: Groups | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """The permutation of each tied group, int64 (size,): channel j of the target is channel ``[j]`` of the source.

    See `matches`, which also tells how well they fit; `aligned` permutes a mask with it.
    """
    found = matches(source, target, batches, groups=groups, seed=seed, untrained=0)
    return {name: match.permutation for name, match in found.items()}


def matches(
    source: Task,
    target: Task,
    batches: Sequence[Batch],
    *,
    groups: Groups | None = None,
    seed: int = 0,
    untrained: int = UNTRAINED,
) -> dict[str, Match]:
    """Match the channels of each tied group by what they say to the same images (Ainsworth et al., 2023).

    Group by group the assignment whose summed correlation is largest; what a channel says is told by `likenesses`.
    ``groups`` are by default `movable_groups`; what is in none keeps its order, as images and a GAN's latents do. The
    source is also matched with ``untrained`` networks of the target's architecture at initialization. Equal arguments
    give equal permutations; both tasks and the global random state are untouched.

    Raises TicketError: status 3 for networks of different architectures, naming all that differs; FAILED for
    activations that are no numbers, and for networks that cannot be traced.
    """
    require_alike(source, target)
    if not batches:
        raise TicketError("channels are matched by what they say to images: give one batch or more")
    groups = movable_groups(source, batches[0]) if groups is None else groups
    chance: dict[str, list[float]] = {name: [] for name in groups}
    for number in range(untrained):
        fresh = _at_initialization(target, derive(seed, "untrained", number))
        for name, alike in likenesses(source, fresh, batches, groups, seed=seed).items():
            chance[name].append(_along(alike.correlation, _assignment(alike.correlation)))
    found = {}
    for name, alike in likenesses(source, target, batches, groups, seed=seed).items():
        permutation = _assignment(alike.correlation)
        before = _along(alike.correlation, torch.arange(len(permutation)))
        after = _along(alike.correlation, permutation)
        constant = int(alike.constant[0].sum()), int(alike.constant[1].sum())
        found[name] = Match(permutation, before, after, tuple(chance[name]), constant)
    return found


def movable_groups(task: Task, batch: Batch) -> dict[str, Group]:
    """All channels of a task's networks that have no order: those of `groups_of`, and codes where they are free."""
    return {**groups_of(task, batch, counted=False), **code_group(task, batch)}


def aligned(ticket: Ticket | Mask, groups: Groups, permutations: Mapping[str, Tensor]) -> Mask:
    """The mask of a source with its channels in the target's order (see `alignment`); groups not named keep theirs."""
    mask = ticket.mask if isinstance(ticket, Ticket) else ticket
    return Mask(rearranged(mask, groups, permutations))


def alignment_report(found: Mapping[str, Match]) -> dict[str, Any]:
    """How well channels were matched, as plain values: over all channels (``all``), and by group (``groups``).

    ``better_than_chance``: whether matched channels correlate more than with each of n networks at initialization,
    under the same assignment (a target that has learned nothing passes once in n + 1 times); None where n is 0.
    """
    sizes = [len(match.permutation) for match in found.values()]
    whole: dict[str, Any] = {"channels": sum(sizes), "better_than_chance": None}
    if sizes:
        chance = [_over(sizes, one) for one in zip(*(match.untrained for match in found.values()), strict=True)]
        whole["before"] = _over(sizes, [match.before for match in found.values()])
        whole["after"] = _over(sizes, [match.after for match in found.values()])
        if chance:
            whole |= {"untrained": mean(chance), "better_than_chance": whole["after"] > max(chance)}
    groups = {name: {"channels": len(match.permutation), **_figures(match)} for name, match in found.items()}
    return {"all": whole, "groups": groups}


def require_alike(source: Task, target: Task) -> None:
    """Raise TicketError (status 3) unless two tasks are of one architecture: one line that names all that differs."""
    ours, theirs = _described(source), _described(target)
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    if names:
        told = "; ".join(f"{name}: {ours.get(name, 'none')} and {theirs.get(name, 'none')}" for name in names)
        message = "channels can only be matched in networks of one architecture; of source and target differ"
        raise TicketError(f"{message} {told}", Status.TICKET)


def _described(task: Task) -> dict[str, str]:
    """Everything that must be the same: family, images, shapes, and the kinds of layers without tensors."""
    shapes = {f"'{name}'": str(tuple(value.shape)) for name, value in state_of(task).items()}
    bare = [(path, part) for path, part in task.named_modules() if path and not part.state_dict()]
    kinds = {f"'{path}'": type(part).__name__ for path, part in bare}
    return {"family": type(task).__name__, "images": str(tuple(task.image)), **shapes, **kinds}


def _at_initialization(task: Task, seed: int) -> Task:
    """A network of the same architecture that has learned nothing."""
    fresh = twin(task)
    with seeded(task.device, seed):
        fresh.initialize()
    return fresh


def _assignment(correlation: Tensor) -> Tensor:
    """For each channel of the target (a column) its own channel of the source (a row)."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and few runs need it

    return torch.from_numpy(linear_sum_assignment(correlation.T.numpy(), maximize=True)[1])


def _along(correlation: Tensor, permutation: Tensor) -> float:
    return float(correlation[permutation, torch.arange(len(permutation))].mean())


def _over(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The mean over channels of a figure for each group."""
    return sum(size * value for size, value in zip(sizes, values, strict=True)) / sum(sizes)


def _figures(match: Match) -> dict[str, Any]:
    untrained, constant = list(match.untrained), list(match.constant)
    return {"before": match.before, "after": match.after, "untrained": untrained, "constant": constant}
