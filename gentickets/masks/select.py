"""keep_top: which weights survive. Exact counts, ties by a seeded hash, and pruned stays pruned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError, nearest
from gentickets.seeds import derive

from . import blockwise
from .kth import Cut, kth_largest
from .mask import Mask, component_of
from .pieces import Group, Piece, ScoredTensor, Ties

Scores = Mapping[str, Tensor]
"""Tensor name -> score of each weight, of the weight's shape. The highest are kept."""

SCOPES = ("layer", "component", "global")
"""What competes: the weights of a tensor, of a component, or of the whole network."""


class Magnitudes(Mapping[str, Tensor]):
    """|w| of each weight as scores, made when asked for: `keep_top` streams it and never holds a copy."""

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

    ``density`` is the fraction to keep of ALL prunable weights of a group, pruned ones too, so the density of
    a round does not depend on the rounds before. A group is a tensor, a component or everything (``scope``);
    a mapping gives each tensor its own density. Of a group of n weights floor(density * n + 0.5) stay, or
    what ``within`` still keeps if that is less: pruned stays pruned. Scores are signed, of any real dtype
    (integers compare as float64). Equal scores are ordered by a hash of tensor name, position and ``seed``,
    which the order of the names, the device and the memory format do not change.

    Raises TicketError: a density outside (0, 1], an unknown scope, scores that do not fit ``within``; with
    status DIVERGED a NaN or infinite score of a kept weight; with FAILED a tensor that would be emptied.
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
        for part, mask, remaining in _Choice(group, k, seed).masks(within):
            if part.kept and not remaining:
                message = (
                    f"keeping {k:,} of the {group.size:,} weights of '{called}' would leave nothing of "
                    f"'{part.name}': try scope='layer', exempt this tensor, or prune less (fewer rounds)"
                )
                raise TicketError(message, Status.FAILED)
            kept[part.name] = mask
    return Mask({name: kept.get(name, within[name]) for name in within})


def tied_share(scores: Scores, mask: Mask, *, within: Mask, scope: str = "component") -> dict[str, float]:
    """How much of each group hangs on ties: the fraction of its weights that share the lowest kept score.

    ``mask`` is what `keep_top` made of ``scores``, ``within`` and ``scope``; the fraction is of what
    ``within`` keeps. Near 0 for ordinary weights. Clipping, as in a WGAN, ties most of a critic's weights at
    the clip, and then their magnitude says little.
    """
    mask.require_same_names(within, "the wider mask")
    competed = _groups(scores, within, scope, 0)
    shares = {}
    for called, survivors in _groups(scores, mask, scope, 0).items():
        lowest = min((_lowest(*block) for block in survivors.blocks()), default=math.inf)
        tied = sum(piece.equal(lowest).numel() for piece in competed[called].pieces())
        shares[called] = tied / competed[called].kept if tied > 1 else 0.0  # one alone ties with nothing
    return shares


class _Choice:
    """The k best of a group: all above a score, and of those that equal it the highest hashes."""

    def __init__(self, group: Group, k: int, seed: int) -> None:
        rng = torch.Generator().manual_seed(derive(seed, "bracket"))  # changes the time, never the result
        self.group = group
        self.cut = Cut(math.inf, 0, 0) if k == 0 else Cut(-math.inf, k, 0)
        if 0 < k < group.kept:
            self.cut = kth_largest(group, k, group.kept, rng)
        missing = k - self.cut.above
        self.split = missing < self.cut.tied
        self.lowest_hash = 0
        self.twins = 0  # equal hashes stand in different tensors: the first in the order of names stay
        if self.split:
            order = kth_largest(Ties(group, self.cut), missing, self.cut.tied, rng)
            self.lowest_hash, self.twins = int(order.value), missing - order.above

    def masks(self, within: Mask) -> Iterator[tuple[ScoredTensor, Tensor, int]]:
        """Each tensor's mask, with the number of its kept weights; strides and device as in ``within``."""
        made = {part.name: part.empty_mask(within[part.name]) for part in self.group.parts}
        counts = dict.fromkeys(made, 0)
        for piece in self.group.pieces():
            name = piece.part.name
            counts[name] += self._write(piece, made[name][1][piece.index])
        for part in self.group.parts:
            yield part, made[part.name][0], counts[part.name]

    def _write(self, piece: Piece, target: Tensor) -> int:
        direct = target.is_contiguous() and target.device == piece.numbers.device
        compare = blockwise.above if self.split or not self.cut.tied else blockwise.at_least
        chosen = compare(piece.numbers, self.cut.value, target.view(-1) if direct else None)
        chosen = blockwise.narrow(chosen, piece.kept)
        if self.split and self.cut.in_block(piece.number):
            self._add_tied(piece, chosen)
        if not direct:
            target.copy_(chosen.view(target.shape))
        return blockwise.count(chosen)

    def _add_tied(self, piece: Piece, chosen: Tensor) -> None:
        places = piece.equal(self.cut.value)
        hashes = piece.hashes(places)
        blockwise.put(chosen, places, blockwise.above(hashes, self.lowest_hash))
        equal = places[blockwise.equal(hashes, self.lowest_hash)][: self.twins]
        self.twins -= equal.numel()
        chosen[equal] = True


def _groups(scores: Scores, within: Mask, scope: str, seed: int) -> dict[str, Group]:
    """The groups that compete, by the name of their tensor or component, or "the network"; sorted."""
    if scope not in SCOPES:
        raise TicketError(f"there is no scope '{scope}'. {nearest(scope, SCOPES)}")
    magnitude = isinstance(scores, Magnitudes)
    raw = scores.weights if isinstance(scores, Magnitudes) else scores
    within.require_same_names(raw, "the set of scores")
    parts: dict[str, list[ScoredTensor]] = {}
    for name in sorted(within):
        key = {"layer": name, "component": component_of(name), "global": "the network"}[scope]
        parts.setdefault(key, []).append(ScoredTensor(name, raw[name], within, magnitude=magnitude, seed=seed))
    return {key: Group(members) for key, members in parts.items()}


def _require_known(density: Mapping[str, float], within: Mask) -> None:
    for name in within:
        if name not in density:
            raise TicketError(f"the densities have no '{name}'. {nearest(name, density)}")
    for name in density:
        if name not in within:
            raise TicketError(f"the densities have '{name}', which the mask lacks. {nearest(name, within)}")


def _lowest(numbers: Tensor, counted: Tensor | None) -> float:
    chosen = numbers if counted is None else numbers[counted]
    return float(chosen.min()) if chosen.numel() else math.inf
