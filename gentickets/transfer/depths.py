"""Depths: networks with another number of hidden layers, or blocks, of one shape.

A ticket is stretched by repeating the layers (or whole blocks) of a run of equal ones, and squeezed by dropping them
again (Elastic LTH: Chen et al., 2021). What differs in shape is never repeated: a run pairs with a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .couples import Couple, longest
from .sides import Layer

DEEPEN = ("interpolate", "append")


def places(before: int, after: int, how: str) -> list[int]:
    """For each of ``after`` equal layers, the one of ``before`` that it takes from.

    ``append`` repeats them as a whole, 0 1 0 1; ``interpolate`` each in place, 0 0 1 1, as evenly as it goes. Fewer are
    thinned out so that there and back is where it began: of each layer's copies the first stays.
    """
    if how == "append":
        return [place % before for place in range(after)]
    if after >= before:
        return [place * before // after for place in range(after)]
    return [-(-place * before // after) for place in range(after)]


def in_depth(ours: Sequence[Layer], theirs: Sequence[Layer], how: str, widths: bool) -> list[Couple[Layer]]:
    """Couples of a shallower and a deeper side; a source layer may stand in several, or alone where it is dropped.

    The first unit pairs with the first and the last with the last, whatever lies between; where that leaves a run of
    equal ones without partner (blocks that are all alike), ends are not set apart.
    """

    def alone(couples: list[Couple[Layer]]) -> int:
        return sum(theirs is None or ours is None or not ours.fits(theirs, widths=widths) for ours, theirs in couples)

    sides = _units(ours), _units(theirs)
    choices = [_whole(*sides, how, widths)]
    if min(map(len, sides)) > 1:
        (first, *hidden, last), (their_first, *their_hidden, their_last) = sides
        ends = _together(first, their_first), _together(last, their_last)
        choices.insert(0, ends[0] + _whole(hidden, their_hidden, how, widths) + ends[1])
    return min(choices, key=alone)


@dataclass(frozen=True)
class _Unit:
    """A layer, or the layers of a block: what stands below one child of the routed module."""

    layers: tuple[Layer, ...]

    @property
    def parts(self) -> tuple[tuple[object, ...], ...]:
        """What makes units equal: their layers, by place within the unit, kind and shape."""
        return tuple((_below(layer), layer.kind, layer.geometry, layer.shape) for layer in self.layers)

    def fits(self, other: _Unit, widths: bool) -> bool:
        """Whether layer by layer the one fits the other."""
        pairs = zip(self.layers, other.layers, strict=False)
        same = len(self.layers) == len(other.layers)
        return same and all(_below(a) == _below(b) and a.fits(b, widths=widths) for a, b in pairs)


def _units(layers: Sequence[Layer]) -> list[_Unit]:
    return [_Unit(tuple(group)) for _, group in groupby(layers, key=lambda layer: layer.inner.split(".", 1)[0])]


def _below(layer: Layer) -> str:
    return layer.inner.partition(".")[2]


def _whole(ours: Sequence[_Unit], theirs: Sequence[_Unit], how: str, widths: bool) -> list[Couple[Layer]]:
    """Runs of equal units with runs that they fit, in order."""
    runs, others = _runs(ours), _runs(theirs)
    found: list[Couple[Layer]] = []
    for run, their_run in longest(runs, others, lambda a, b: a[0].fits(b[0], widths), lambda a, b: len(a) == len(b)):
        if run is None or their_run is None:
            found += [(layer, None) for unit in run or () for layer in unit.layers]
            found += [(None, layer) for unit in their_run or () for layer in unit.layers]
            continue
        taken = places(len(run), len(their_run), how)
        for place, unit in zip(taken, their_run, strict=True):
            found += _together(run[place], unit)
    return found


def _runs(units: Sequence[_Unit]) -> list[list[_Unit]]:
    return [list(group) for _, group in groupby(units, key=lambda unit: unit.parts)]


def _together(unit: _Unit, other: _Unit) -> list[Couple[Layer]]:
    if len(unit.layers) == len(other.layers):
        return list(zip(unit.layers, other.layers, strict=True))
    return [(layer, None) for layer in unit.layers] + [(None, layer) for layer in other.layers]
