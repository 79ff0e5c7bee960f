"""Table: what every layer of a target got from a source, so that nothing moves silently."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerTransfer:
    """One prunable weight of the target."""

    target: str
    """The weight's name in the target."""
    source: str | None
    """The weight's name in the source; None where nothing came."""
    got: str
    """``mask and weights``, ``mask``, ``mask and signs``, ``weights`` (a dense source), or ``nothing``."""
    weights: int
    """How many there are in the target."""
    kept: int
    """How many of them the transferred ticket keeps."""
    density: float | None = None
    """Kept fraction of the source's tensor; None where nothing came."""


@dataclass(frozen=True)
class Table:
    """What a transfer moved. Densities are kept fractions of prunable weights."""

    routes: dict[str, str]
    """Source path -> target path, as they were given, or the default's."""
    match: str
    moves: str
    partial: bool
    """Whether leaving out layers that do not fit was asked for; default routes always leave them out, see ``left``."""
    entries: tuple[LayerTransfer, ...]
    """In the target's order."""
    left: tuple[str, ...] = ()
    """Sentences on the layers that got nothing, on either side."""

    @property
    def covered(self) -> float:
        """The share of the target's prunable weights that got something."""
        total = sum(entry.weights for entry in self.entries)
        return sum(entry.weights for entry in self.entries if entry.source is not None) / max(1, total)

    @property
    def density(self) -> float:
        """Of the whole target, as it is trained."""
        return sum(entry.kept for entry in self.entries) / max(1, sum(entry.weights for entry in self.entries))

    @property
    def carried(self) -> float:
        """Of the layers that got something."""
        there = [entry for entry in self.entries if entry.source is not None]
        return sum(entry.kept for entry in there) / max(1, sum(entry.weights for entry in there))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a result holds them."""
        plain = asdict(self)
        return {**plain, "covered": self.covered, "density": self.density, "carried": self.carried}
