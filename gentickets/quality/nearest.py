"""Nearest: how far samples are from the training images, beside how far real images are that nobody has trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gentickets.data import Images
from gentickets.errors import Status, TicketError
from gentickets.quality.pairs import CELLS

AT_MOST = 2000
"""Images that are looked at: all pairs with 60,000 training images of MNIST's size take some 2 s on a core."""
CLOSEST = 0.01
"""A sample is called a copy when it is as near to a training image as only this part of the test images are."""


@dataclass(frozen=True)
class Nearest:
    """Mean distances to the nearest training image, of samples and of test images, and the share of copies."""

    samples: float
    test: float
    copies: float


def distances(images: Tensor, train: Images) -> Tensor:
    """Euclidean distance of each image to the nearest training image, over pixels in [-1, 1]: float64 (n,).

    ``images`` is (n, c, h, w), as large as the training images. These are taken a block at a time, so that memory does
    not grow with them. Raises TicketError for images of another shape, and, status DIVERGED, for ones not finite.
    """
    if tuple(images.shape[1:]) != train.shape:
        raise TicketError(f"images have shape {tuple(images.shape[1:])}, the training images {train.shape}")
    if not torch.isfinite(images).all():
        raise TicketError("images to compare are not finite: the network has diverged", Status.DIVERGED)
    points = images.detach().to(train.device, torch.float32).flatten(1)
    least = torch.full((len(points),), torch.inf, device=train.device)
    where = torch.zeros(len(points), dtype=torch.int64, device=train.device)
    start = 0
    for block in train.chunks(max(1, CELLS // max(points.shape))):
        others = block.flatten(1)
        # |x - y|^2 less |x|^2, which is the same for all y
        apart = torch.addmm(others.square().sum(1)[None], points, others.t(), alpha=-2.0)
        found, place = apart.min(dim=1)
        where = torch.where(found < least, place + start, where)
        least = torch.minimum(found, least)
        start += len(others)
    # small differences of large squares lose their digits: a copy must be at 0
    exact: Tensor = torch.linalg.vector_norm((points - train.batch(where).flatten(1)).cpu().double(), dim=1)
    return exact


def nearest(samples: Tensor, test: Tensor) -> Nearest:
    """Samples beside test images, by their `distances`, (n,) and (m,): whether a model repeats what it has trained on.

    A model that has learned the distribution is as far from its training images as test images are. ``copies`` is the
    share of samples that are as near as the nearest 1 % of the test images, so that of real images it is about 0.01.
    """
    near = test.sort().values[max(0, int(CLOSEST * len(test)) - 1)]
    return Nearest(float(samples.mean()), float(test.mean()), float((samples <= near).double().mean()))
