"""keep_top: which weights survive. Exact counts, ties by a seeded hash, and pruned stays pruned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError, nearest
from gentickets.seeds import derive

from .kth import Cut, kth_largest
from .mask import Mask, component_of
from .pieces import Group, Part, Ties

Scores = Mapping[str, Tensor]
"""Tensor name -> score of each weight, of the weight's shape. The highest are kept."""

SCOPES = ("layer", "component", "global")
"""What competes: the weights of a tensor, of a component, or of the whole network."""


class Magnitudes(Mapping[str, Tensor]):
    """|w| of each weight as scores, made when asked for: `keep_top` streams it without ever holding a copy."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: weight.detach() for name, weight in weights.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.weights[name].abs()

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)


def keep_top(
    scores: Scores,
    density: float | Mapping[str, float],
    *,
    within: Mask,
    scope: str = "component",
    seed: int = 0,
) -> Mask:
    """Keep the weights with the highest scores, among those that ``within`` keeps.

    ``density`` is the fraction to keep of ALL prunable weights of a group, pruned ones included, so a round's
    density does not depend on the rounds before. A group is a tensor, a component or everything (``scope``); a
    mapping gives each tensor its own density. Exactly floor(density * n + 0.5) weights of a group of n stay, or what
    ``within`` still keeps if that is less: pruned stays pruned. Scores are signed and may be of any real dtype
    (integers compare as float64). Equal scores are ordered by a hash of tensor name, position and ``seed``, which
    the order of the names, the device and the memory format do not change.

    Raises TicketError: a density outside (0, 1], an unknown scope, scores that do not fit ``within``; with status
    DIVERGED a NaN or infinite score of a kept weight; with status FAILED a tensor that would be emptied.
    """
    if isinstance(density, Mapping):
        _require_known(density, within)
        scope = "layer"
    kept: dict[str, Tensor] = {}
    for called, group in _groups(scores, within, scope, seed).items():
        wanted = density[called] if isinstance(density, Mapping) else density
        if not 0 < wanted <= 1:
            raise TicketError(f"the density of '{called}' is {wanted}, but must be above 0 and at most 1")
        k = min(math.floor(wanted * group.size + 0.5), group.kept)
        for part, mask in _kept(group, k, within, seed):
            if part.kept and not torch.count_nonzero(mask):
                raise TicketError(
                    _emptied(part.name, f"{k:,} of the {group.size:,} weights of '{called}'"), Status.FAILED
                )
            kept[part.name] = mask
    return Mask({name: kept.get(name, within[name]) for name in within})


def tied_share(scores: Scores, mask: Mask, *, within: Mask, scope: str = "component") -> dict[str, float]:
    """How much of each group hangs on ties: the fraction of the weights that competed whose score is the lowest kept.

    ``mask`` is what `keep_top` made of ``scores``, ``within`` and ``scope``. Near 0 for ordinary weights; WGAN
    clipping ties most of a critic's weights at the clip, and then magnitude says little about them.
    """
    mask.require_same_names(within, "the wider mask")
    groups = _groups(scores, within, scope, 0)
    shares = {}
    for called, survivors in _groups(scores, mask, scope, 0).items():
        lowest = min((_lowest(*block) for block in survivors.blocks()), default=math.inf)
        tied = sum(
            int(
                torch.count_nonzero((numbers == lowest) if counted is None else (numbers == lowest) & counted)
            )
            for numbers, counted in groups[called].blocks()
        )
        shares[called] = tied / max(1, groups[called].kept)
    return shares


def _groups(scores: Scores, within: Mask, scope: str, seed: int) -> dict[str, Group]:
    """The competing groups, by tensor name, component name or "the network"; sorted, so no order leaks in."""
    if scope not in SCOPES:
        raise TicketError(f"there is no scope '{scope}'. {nearest(scope, SCOPES)}")
    magnitude = isinstance(scores, Magnitudes)
    raw = scores.weights if isinstance(scores, Magnitudes) else scores
    within.require_same_names(raw, "the scores")
    parts: dict[str, list[Part]] = {}
    for name in sorted(within):
        key = {"layer": name, "component": component_of(name), "global": "the network"}[scope]
        parts.setdefault(key, []).append(Part(name, raw[name], within, magnitude=magnitude, seed=seed))
    return {key: Group(members) for key, members in parts.items()}


def _kept(group: Group, k: int, within: Mask, seed: int) -> Iterator[tuple[Part, Tensor]]:
    """The mask of each tensor of a group, of whose weights the k best stay."""
    rng = torch.Generator().manual_seed(
        derive(seed, "bracket")
    )  # the sample changes the time, not the result
    cut = Cut(math.inf, 0, 0) if k == 0 else Cut(-math.inf, k, 0)
    if 0 < k < group.kept:
        cut = kth_largest(group, k, group.kept, rng)
    missing = k - cut.above
    order = Cut(Ties.low, 0, missing)
    if 0 < missing < cut.tied:
        order = kth_largest(Ties(group, float(cut.value)), missing, cut.tied, rng)
    twins = missing - order.above  # equal hashes stand in different tensors: the first in order of names stay
    for part in group.parts:
        mask, view = part.empty_mask(within[part.name])
        for start, index, numbers, counted in part.blocks(group.dtype):
            chosen = numbers >= cut.value if missing == cut.tied else numbers > cut.value
            if counted is not None:
                chosen &= counted
            if 0 < missing < cut.tied:
                tied = numbers == cut.value
                positions = torch.nonzero(tied if counted is None else tied & counted).squeeze(1)
                hashes = part.hashes(positions + start)
                chosen[positions[hashes > order.value]] = True
                equal = positions[hashes == order.value][:twins]
                chosen[equal] = True
                twins -= equal.numel()
            view[index] = chosen.view(view[index].shape)
        yield part, mask


def _require_known(density: Mapping[str, float], within: Mask) -> None:
    for name in within:
        if name not in density:
            raise TicketError(f"the densities have no '{name}'. {nearest(name, density)}")
    for name in density:
        if name not in within:
            raise TicketError(f"the densities have '{name}', which the mask lacks. {nearest(name, within)}")


def _emptied(name: str, what: str) -> str:
    return (
        f"keeping {what} would leave nothing of '{name}': "
        "try scope='layer', exempt this tensor, or prune less (fewer rounds)"
    )


def _lowest(numbers: Tensor, counted: Tensor | None) -> float:
    chosen = numbers if counted is None else numbers[counted]
    return float(chosen.min()) if chosen.numel() else math.inf
