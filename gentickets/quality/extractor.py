"""Extractor: a pinned, named network in whose features images are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.heartbeat import beat


class Seen(NamedTuple):
    """What an extractor makes of n images, on the CPU in float32."""

    features: Tensor
    """(n, d)."""
    logits: Tensor | None
    """(n, classes); None where the network classifies nothing."""

    @property
    def classes(self) -> Tensor | None:
        """Predicted classes, int64 (n,)."""
        return None if self.logits is None else self.logits.argmax(1)


class Extractor(ABC):
    """Images in, features and class probabilities out, always in evaluation mode.

    Not an `nn.Module`, on purpose: held by one, it is no submodule, so a parent's ``.train()`` or ``.to()``
    does not reach it (Trap 30b).
    """

    block: int
    """Images that go through the network at once."""
    hash: str
    """Hex digits that name the weights; equal hashes give equal features, up to a device's rounding."""
    classifies: bool
    """Whether there are logits."""
    distance = "frechet"
    """What the Frechet distance in these features is called."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the features are called; it ends in the first 8 digits of the hash."""

    @property
    @abstractmethod
    def described(self) -> str:
        """The name, and how far the features can be trusted, as it stands beside a number."""

    @abstractmethod
    def _block(self, images: Tensor) -> Seen:
        """Features and logits of at most `block` images."""

    def look(self, images: Tensor) -> Seen:
        """Features and logits of images (n, c, h, w) in [-1, 1], n >= 1, in one pass; no gradients.

        Images that are not finite raise TicketError with status DIVERGED: classes and bytes would hide it.
        """
        if not torch.isfinite(images).all():
            raise TicketError("images to compare are not finite: the network has diverged", Status.DIVERGED)
        with torch.no_grad():
            return joined(
                self._beating(images[start : start + self.block]) for start in range(0, len(images), self.block)
            )

    def _beating(self, images: Tensor) -> Seen:
        beat()
        return self._block(images)

    def features(self, images: Tensor) -> Tensor:
        """Features (n, d)."""
        return self.look(images).features

    def classes(self, images: Tensor) -> Tensor | None:
        """Predicted classes, int64 (n,); None where the network classifies nothing."""
        return self.look(images).classes

    def probabilities(self, images: Tensor) -> Tensor | None:
        """Probabilities of the classes, (n, classes) in float64; None where the network classifies nothing."""
        logits = self.look(images).logits
        return None if logits is None else logits.double().softmax(1)


def joined(blocks: Iterable[Seen]) -> Seen:
    """Several passes as one, in their order."""
    features, logits = [], []
    for seen in blocks:
        features.append(seen.features)
        if seen.logits is not None:
            logits.append(seen.logits)
    return Seen(torch.cat(features), torch.cat(logits) if logits else None)
