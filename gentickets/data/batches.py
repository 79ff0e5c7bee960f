"""The batch of a step: a function of the seed and the step's number, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gentickets.data.images import Images
from gentickets.errors import TicketError
from gentickets.seeds import derive


class Batches:
    """Training batches by step number; equal (images, batch size, seed) give equal batches, in any order.

    Epoch e shuffles all images with the seed ``derive(seed, "epoch", e)`` and cuts ``per_epoch = n //
    batch_size`` full batches; the rest waits for another epoch's order. Where images come from files,
    ``workers`` processes decode ahead in `stream`, and change no value. Raises TicketError for a batch larger
    than the data.
    """

    def __init__(self, images: Images, batch_size: int, *, seed: int, workers: int = 0) -> None:
        if batch_size < 1:
            raise TicketError(f"batch_size is {batch_size}; it must be 1 or more")
        if batch_size > images.n:
            raise TicketError(f"batch_size is {batch_size}, but there are only {images.n} training images")
        if workers < 0:
            raise TicketError(f"workers is {workers}; it must be 0 or more")
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.workers = workers
        self.per_epoch = images.n // batch_size
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Which images the batch of a step holds, int64 (batch_size,)."""
        if step < 0:
            raise TicketError(f"there is no step {step}; steps count from 0")
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(derive(self.seed, "epoch", epoch))
            order = torch.randperm(self.images.n, generator=rng)
            # Beside the pixels, so that a step copies nothing; file names are looked up on the CPU.
            self._order = order if self.images.streams else order.to(self.images.device)
            self._epoch = epoch
        return self._order[place * self.batch_size : (place + 1) * self.batch_size]

    def __call__(self, step: int) -> Tensor:
        """The batch of a step, float32 (batch_size, c, h, w) in [-1, 1] on the images' device."""
        return self.images.batch(self.indices(step))

    def first(self, count: int) -> list[Tensor]:
        """The batches of the first steps, the same whoever asks."""
        return [self(step) for step in range(count)]

    def stream(self, steps: range) -> Iterator[Tensor]:
        """The batches of many steps in turn, each equal to the one from a call, decoded ahead by workers."""
        return self.images.stream(map(self.indices, steps), workers=self.workers)
