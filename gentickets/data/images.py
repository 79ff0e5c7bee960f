"""Images of one split, and the three splits of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gentickets.data.files import Files
from gentickets.data.pixels import AT_ONCE
from gentickets.errors import TicketError
from gentickets.heartbeat import beat


def normalize(pixels: Tensor) -> Tensor:
    """uint8 0..255 as float32 in [-1, 1]: (x - 127.5) / 127.5, exact at both ends and symmetric.

    The subtraction is exact, and the one multiplication that follows rounds alike on every device.
    """
    return pixels.to(torch.float32).sub_(127.5).mul_(1 / 127.5)


class Images:
    """The images of one split: uint8 in memory on a device, or decoded from files when asked for.

    ``source``: a uint8 tensor (n, c, h, w), or `Files`. ``labels``: int64 (n,), or None. Raises TicketError
    for another dtype or shape, for no images at all, and for labels of another number.
    """

    def __init__(
        self,
        source: Tensor | Files,
        labels: Tensor | None = None,
        *,
        device: torch.device | str = "cpu",
        fingerprint: str | None = None,
    ) -> None:
        if isinstance(source, Tensor):
            if source.dtype != torch.uint8 or source.dim() != 4:
                got = f"{source.dtype} of shape {tuple(source.shape)}"
                raise TicketError(f"images must be a uint8 tensor (n, c, h, w), not {got}")
            source = source.to(device)
        if not len(source):
            raise TicketError("images must not be empty: there are none")
        if labels is not None and labels.shape != (len(source),):
            raise TicketError(f"{len(source)} images have labels of shape {tuple(labels.shape)}")
        self.source = source
        self.device = source.device if isinstance(source, Tensor) else torch.device(device)
        self.labels = None if labels is None else labels.to(self.device, torch.int64)
        self.n = len(source)
        _, c, h, w = source.shape
        self.shape: tuple[int, int, int] = (c, h, w)
        self._fingerprint = fingerprint

    def __repr__(self) -> str:
        where = "streamed from files" if self.streams else f"in memory on {self.device}"
        return f"Images({self.n:,} of {self.shape}, {where})"

    @property
    def streams(self) -> bool:
        """Whether images are decoded from files each time, rather than held in memory."""
        return isinstance(self.source, Files)

    def batch(self, indices: Tensor) -> Tensor:
        """The images at ``indices`` (k,), as float32 (k, c, h, w) in [-1, 1] on the device."""
        beat()
        if isinstance(self.source, Files):
            return normalize(self.source.read(indices.tolist()).to(self.device))
        # uint8 rows are gathered first: a quarter of the bytes, and 20 times as fast as `source[indices]`.
        return normalize(self.source.index_select(0, indices.to(self.device)))

    def stream(self, wanted: Iterable[Tensor], *, workers: int = 0) -> Iterator[Tensor]:
        """The batches of many index tensors in their order, the same as from `batch`.

        Where images come from files, ``workers`` processes decode ahead; their number changes no value.
        """
        if isinstance(self.source, Files) and workers:
            pin = self.device.type == "cuda"
            for pixels in self.source.stream((i.tolist() for i in wanted), workers=workers, pin=pin):
                beat()
                yield normalize(pixels.to(self.device, non_blocking=pin))
        else:
            yield from map(self.batch, wanted)

    def chunks(self, size: int, *, workers: int = 0) -> Iterator[Tensor]:
        """All images in their order, ``size`` at a time and the rest last, as float32 batches in [-1, 1]."""
        if size < 1:
            raise TicketError(f"a chunk holds {size} images; it must hold 1 or more")
        starts = range(0, self.n, size)
        if isinstance(self.source, Files):
            order = torch.arange(self.n)
            yield from self.stream((order[start : start + size] for start in starts), workers=workers)
        else:
            for start in starts:
                beat()
                yield normalize(self.source[start : start + size])

    def all(self) -> Tensor:
        """All images at once, float32 (n, c, h, w): 4 bytes a value, so `chunks` where that is too much."""
        return torch.cat(list(self.chunks(AT_ONCE)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name the content: every pixel, every label and the shape.

        Where images come from files, streamed or not: see `Files.fingerprint`.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        if isinstance(self.source, Files):
            return self.source.fingerprint()
        digest = hashlib.blake2b(repr((self.n, *self.shape)).encode(), digest_size=8)
        for part in torch.split(self.source, AT_ONCE):
            digest.update(_bytes(part))
        if self.labels is not None:
            digest.update(_bytes(self.labels))
        return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.cpu().contiguous().numpy().data


@dataclass(frozen=True)
class Splits:
    """A data set in three separate parts: choices are made on ``valid``, reports come from ``test``."""

    name: str
    train: Images
    valid: Images
    test: Images
    classes: int | None
    """Number of labels, or None for data without labels."""
    source: str
    """Who made the data, where it comes from, and its terms: a sentence to print and store."""

    def __post_init__(self) -> None:
        for part in ("valid", "test"):
            if (shape := getattr(self, part).shape) != self.train.shape:
                raise TicketError(f"{self.name}: {part} images are {shape}, training images {self.train.shape}")

    def __repr__(self) -> str:
        sizes = f"{self.train.n:,} training, {self.valid.n:,} validation and {self.test.n:,} test images"
        return f"Splits({self.name!r}: {sizes} of {'x'.join(map(str, self.image))})"

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        return self.train.shape

    @property
    def fingerprints(self) -> dict[str, str]:
        """The content hash of each part: see `Images.fingerprint`."""
        return {part: getattr(self, part).fingerprint for part in ("train", "valid", "test")}

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name the content of all three parts: what a ticket saw."""
        text = "\x1f".join(self.fingerprints.values())
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
