"""Channels: which channels of a network are kept, by tied group; apart from Mask, which is about single weights."""

from __future__ import annotations

import torch
from torch import Tensor

from gentickets.masks.mask import Mask


class Channels(Mask):
    """Tied group -> bool tensor (size,), True where the channel is kept.

    A group is a set of channels that can only go together: a layer's outputs, the norm behind them, the inputs of
    whatever reads them, and both ways into a sum. It bears the name of the first layer that makes its channels
    (``decoder.0``), so that a component's groups begin with its name, and `keep_top` ranks channels as it ranks
    weights.
    """

    def __repr__(self) -> str:
        return f"Channels({len(self)} groups, {self.kept:,} of {self.total:,} channels kept)"

    @property
    def widths(self) -> dict[str, int]:
        """How many channels of each group are kept."""
        return {name: self.kept_in(name) for name in self}

    def indices(self, name: str) -> Tensor:
        """The numbers of a group's kept channels, int64, in order."""
        return self[name].nonzero().flatten()

    def of(self, component: str) -> Channels:
        """The groups of one component."""
        return Channels(super().of(component))

    def to(self, device: torch.device | str) -> Channels:
        """The same channels on a device."""
        return Channels(super().to(device))
