"""Pairing: which layer of a target takes what from which layer of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gentickets.tasks import Task


@dataclass(frozen=True)
class Pair:
    """A layer of the target and the layer of the source that it takes from: module paths, as in ``generator.4``."""

    target: str
    source: str


@dataclass(frozen=True)
class Pairing:
    """Pairs of layers, in the target's order: prunable layers, and norms that stand right behind paired ones."""

    pairs: tuple[Pair, ...]
    routes: Mapping[str, str]
    """Source path -> target path."""
    match: str
    partial: bool
    left: tuple[str, ...]
    """Sentences on layers that pair with nothing."""


def default_routes(source: Task, target: Task) -> dict[str, str]:
    """Source component -> target component, for known pairs of families."""
    raise NotImplementedError


def paired(source: Task, target: Task, routes: Mapping[str, str] | None = None) -> Pairing:
    """The pairs that routes name."""
    raise NotImplementedError
