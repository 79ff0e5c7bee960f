"""Neighbours: precision and recall, density and coverage, from distances to nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gentickets.errors import TicketError, nearest
from gentickets.quality.pairs import checked_features, checked_pair, require, rows

NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
"""k of each figure, as its authors have it."""


def radii(features: Tensor, k: int = 5) -> Tensor:
    """Distances of each image, features (n, d), to its 1st to k-th nearest other: float64, (n, k), n > k."""
    points = checked_features(features, "images")
    if len(points) <= k:
        raise TicketError(f"a {k}-th neighbour needs at least {k + 1} images, not {len(points)}")
    # the nearest one is the image itself
    parts = (torch.cdist(points[part], points).topk(k + 1, dim=1, largest=False) for part in rows(points, len(points)))
    return torch.cat([found.values[:, 1:] for found in parts])


def neighbours(
    fake: Tensor, real: Tensor, figures: Sequence[str] = tuple(NEIGHBOURS), *, reach: Tensor | None = None
) -> dict[str, float]:
    """``precision``, ``recall``, ``density`` and ``coverage`` of samples (n, d) against real images (m, d), in float64.

    With balls around images that reach to their k-th nearest neighbour in their own set: ``precision`` is the share
    of samples inside (or on) a real image's ball, ``recall`` that of real images inside a sample's, k = 3
    (Kynkaanniemi, 2019). ``density`` is how many real balls a sample lies in, over k, on average; it may pass 1.
    ``coverage`` is the share of real balls with a sample inside, k = 5 (Naeem, 2020): as many real images in place of
    the samples cover 1 - 1/2^5, and fewer cover less. ``reach`` is `radii` of the real features, where they are known.
    """
    fakes, reals = checked_pair(fake, real)
    for figure in figures:
        if figure not in NEIGHBOURS:
            raise TicketError(f"'{figure}' is no metric of neighbours. {nearest(figure, NEIGHBOURS)}")
        require(figure, len(fakes), len(reals))
    if reach is None and (ks := [k for name, k in NEIGHBOURS.items() if name in figures and name != "recall"]):
        reach = radii(reals, max(ks))
    own = radii(fakes, NEIGHBOURS["recall"])[:, -1] if "recall" in figures else None
    inside = torch.zeros(len(fakes), dtype=torch.bool)
    recalled = held = covered = 0
    for part in rows(reals, len(fakes)):
        apart = torch.cdist(reals[part], fakes)
        if own is not None:
            recalled += int((apart <= own).any(dim=1).sum())
        if "precision" in figures and reach is not None:
            inside |= (apart <= _ball(reach, "precision")[part, None]).any(dim=0)
        if "density" in figures and reach is not None:
            held += int(torch.count_nonzero(apart < _ball(reach, "density")[part, None]))
        if "coverage" in figures and reach is not None:
            covered += int((apart.min(dim=1).values < _ball(reach, "coverage")[part]).sum())
    found = {
        "precision": int(inside.sum()) / len(fakes),
        "recall": recalled / len(reals),
        "density": held / (NEIGHBOURS["density"] * len(fakes)),
        "coverage": covered / len(reals),
    }
    return {figure: found[figure] for figure in figures}


def _ball(reach: Tensor, figure: str) -> Tensor:
    return reach[:, NEIGHBOURS[figure] - 1]
