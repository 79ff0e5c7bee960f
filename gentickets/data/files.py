"""Image files: found, decoded one alike the other, and streamed by worker processes."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gentickets.data.pixels import AT_ONCE
from gentickets.errors import Status, TicketError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What a file may hold, whatever its name says: pixels. Other formats are programs, and would be run (EPS, for one)."""
MOST_PIXELS = 2**26
"""Of one image file, told by its header before anything is decoded: 8192 x 8192."""
_SPREAD = 256  # files whose first bytes enter a fingerprint
_HEAD = 65536  # bytes of each


@dataclass(frozen=True)
class Files:
    """Image files below a folder, each read as size x size pixels with 1 (grey) or 3 (RGB) channels."""

    root: Path
    names: tuple[str, ...]
    """Names relative to ``root``, with forward slashes."""
    channels: int
    size: int

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, channels, size, size), as a tensor of all images would have it."""
        return len(self), self.channels, self.size, self.size

    @property
    def nbytes(self) -> int:
        """Bytes of all images as uint8 in memory."""
        return len(self) * self.channels * self.size**2

    def read(self, indices: Sequence[int], *, threads: int = 0) -> Tensor:
        """The images at ``indices``, uint8 (k, c, size, size); an unreadable file is an error naming it."""
        out = torch.empty(len(indices), *self.shape[1:], dtype=torch.uint8)
        into = out.numpy()

        def put(place: int) -> None:
            into[place] = read_image(self.root / self.names[indices[place]], self.size, self.channels)

        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                for start in range(0, len(indices), AT_ONCE):  # an error ends the work within one slice
                    list(pool.map(put, range(start, min(start + AT_ONCE, len(indices)))))
        else:
            for place in range(len(indices)):
                put(place)
        return out

    def read_all(self) -> Tensor:
        """Every image, uint8 (n, c, size, size), decoded by a few threads; their number changes no value."""
        return self.read(range(len(self)), threads=min(8, os.cpu_count() or 1))

    def stream(self, wanted: Iterable[list[int]], *, workers: int, pin: bool = False) -> Iterator[Tensor]:
        """`read` of each list in turn, decoded ahead by ``workers`` processes; ``pin`` for copies to CUDA."""
        loader: DataLoader[Tensor | TicketError] = DataLoader(
            _Decoder(self),
            batch_sampler=wanted,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin,
            generator=torch.Generator().manual_seed(0),  # else it would draw from the global random state
        )
        for pixels in loader:
            if isinstance(pixels, TicketError):
                raise pixels
            yield pixels

    def fingerprint(self) -> str:
        """16 hex digits: names, sizes in bytes, the first bytes of a spread of files, and the shape."""
        digest = hashlib.blake2b(repr(self.shape).encode(), digest_size=8)
        every = max(1, len(self) // _SPREAD)
        for place, name in enumerate(self.names):
            path = self.root / name
            try:
                digest.update(_bytes(name) + f"\x1f{_plain_file(path).st_size}\x1e".encode())
                if place % every == 0:
                    with open(path, "rb") as file:
                        digest.update(file.read(_HEAD))
            except OSError as error:
                raise TicketError(f"the image '{path}' cannot be read: {error.strerror or error}") from error
        return digest.hexdigest()


class _Decoder(Dataset[Tensor]):
    """What a DataLoader's worker process holds; it takes a whole batch at a time."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __getitems__(self, indices: list[int]) -> Tensor | TicketError:
        # An error travels back as a value: raised in a worker, its text would be a page of traceback.
        try:
            return self.files.read(indices)
        except TicketError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def find_images(folder: Path) -> tuple[str, ...]:
    """Names of the image files below a folder, at any depth, sorted; hidden ones are left out, and `not_plain` ones."""
    return _found(folder)[0]


def not_plain(folder: Path) -> tuple[str, ...]:
    """Names of images below a folder that are no plain files, and are left out: pipes, devices, links to nowhere."""
    return _found(folder)[1]


def _found(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not folder.is_dir():
        raise TicketError(f"there is no folder '{folder}' to take images from")
    names: list[str] = []
    for path, folders, files in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(path).relative_to(folder)
        images = (name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        names += [(below / name).as_posix() for name in images]
    plain = tuple(name for name in sorted(names, key=_bytes) if _is_plain(folder / name))
    others = tuple(sorted(set(names).difference(plain), key=_bytes))
    if not plain:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        without = f" but '{others[0]}', which is no plain file" if others else ""
        raise TicketError(f"the folder '{folder}' holds no images ({kinds}), at any depth{without}")
    return plain, others


def _is_plain(path: Path) -> bool:
    """Whether this is a file, or a link to one. Pipes and devices would be waited for."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _plain_file(path: Path) -> os.stat_result:
    """What the system knows of a plain file; OSError where it is none."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no plain file, but a pipe, a device or a folder; remove it")
    return found


def place_of(name: str) -> float:
    """A number in [0, 1) that follows from a file's relative name alone, alike on every system."""
    return int.from_bytes(hashlib.blake2b(_bytes(name), digest_size=8).digest(), "big") / 2**64


def read_image(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """One image file as uint8 (channels, size, size): upright, its middle square, resized with antialias.

    Grey, RGB, palette, CMYK and 16-bit grey images are taken (65535 becomes 255); transparency is laid on
    white; of an animation, the first frame. Raises TicketError, naming the file, where it cannot be read, holds none
    of `FORMATS`, or has more than `MOST_PIXELS`.
    """
    try:
        _plain_file(path)
        with Image.open(path, formats=FORMATS) as opened:
            _require_bounded(*opened.size)
            image = _plain(ImageOps.exif_transpose(opened), "L" if channels == 1 else "RGB")
    except UnidentifiedImageError as error:
        raise TicketError(f"the image '{path}' cannot be read: it holds none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow raises a dozen kinds for damaged files, SyntaxError among them
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TicketError(f"the image '{path}' cannot be read: {reason}") from error
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    # The middle square, resized, is the image with its shorter side resized, cropped: without rounding.
    box = (left, top, left + side, top + side)
    image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image, dtype=np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _require_bounded(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        sizes = f"{width:,} x {height:,} pixels, and at most {MOST_PIXELS:,} are decoded"
        raise ValueError(f"it has {sizes}; make it smaller, or remove it")


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("its values lie outside 0..65535")
        image = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("it holds floating-point values, whose range is unknown; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _bytes(name: str) -> bytes:
    # Composed form: macOS and Linux spell the same accented letter differently.
    return unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")


def _cannot_list(error: OSError) -> None:
    raise TicketError(f"the folder '{error.filename}' cannot be listed: {error.strerror}", Status.STORAGE) from error
