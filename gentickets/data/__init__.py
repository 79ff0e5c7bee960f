"""Data: images in [-1, 1], split for good, and the batch of a step.

`load` finds a data set by name; `Batches` cuts its training part into batches. See docs/data.md.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from gentickets.data import sets
from gentickets.data.batches import Batches
from gentickets.data.files import Files, not_plain
from gentickets.data.images import Images, Splits, normalize
from gentickets.data.overlap import shared
from gentickets.data.pixels import with_channels, with_size
from gentickets.datasets import DATASETS
from gentickets.errors import TicketError, nearest

__all__ = ["IN_MEMORY", "NAMES", "Batches", "Files", "Images", "Splits", "load", "normalize", "shared"]

NAMES = tuple(DATASETS)
"""The data sets that `load` knows."""

IN_MEMORY = 2 * 2**30
"""Bytes of uint8 that a data set of files may take in memory (2 GiB); parts beyond that are streamed."""

_CHANNELS = {"grey": 1, "rgb": 3}
_CELEBA_SIZE = 64


def load(
    name: str,
    *,
    root: Path | str | None = None,
    size: int | None = None,
    channels: str | None = None,
    folder: Path | str | None = None,
    valid: int | None = None,
    download: bool = False,
    device: torch.device | str = "cpu",
    in_memory: int = IN_MEMORY,
) -> Splits:
    """A data set by name, in three parts that never follow a run's seed.

    ``root`` is where torchvision's data sets lie (default ``data`` in the current directory) and where
    ``download`` puts them. ``size`` resizes to size x size pixels; ``channels`` is ``grey`` or ``rgb``;
    ``valid`` is how many training images are held out. ``folder`` is the folder of ``name="folder"``, which
    needs a size too. ``in_memory`` is how many bytes a data set of files may take. Raises TicketError
    (status 2) for an unknown name, an impossible value, and data that is missing or damaged; with status 1 if
    a download fails.
    """
    if name not in NAMES:
        raise TicketError(f"there is no data set '{name}'. {nearest(name, NAMES)}")
    if size is not None and size < 1:
        raise TicketError(f"size is {size}; it must be 1 pixel or more")
    if channels is not None and channels not in _CHANNELS:
        raise TicketError(f"channels is '{channels}', not 'grey' or 'rgb'. {nearest(channels, _CHANNELS)}")
    if folder is not None and name != "folder":
        raise TicketError(f"'folder' goes with the data set 'folder', not with '{name}'")
    where = Path("data" if root is None else root)
    wanted = None if channels is None else _CHANNELS[channels]
    if DATASETS[name].fixed_parts:
        if valid is not None:
            raise TicketError(f"'valid' cannot be chosen for '{name}': its parts are fixed by name")
        return _from_files(name, where, folder, size, wanted or 3, download, torch.device(device), in_memory)
    arrays = sets.digits(valid) if name == "digits" else sets.torchvision_arrays(name, where, valid, download)
    parts = {}
    for part, (pixels, labels) in arrays.items():
        pixels = with_channels(pixels, wanted or pixels.shape[1])
        pixels = with_size(pixels, size or pixels.shape[-1])
        parts[part] = Images(pixels, labels, device=device)
    classes = int(torch.cat([labels for _, labels in arrays.values()]).max()) + 1
    return Splits(name, **parts, classes=classes, source=DATASETS[name].source)


def _from_files(
    name: str,
    root: Path,
    folder: Path | str | None,
    size: int | None,
    channels: int,
    download: bool,
    device: torch.device,
    in_memory: int,
) -> Splits:
    if name == "celeba":
        files = sets.celeba(root, download, channels, size or _CELEBA_SIZE)
        source = DATASETS[name].source
    else:
        if folder is None:
            raise TicketError("the data set 'folder' needs the key 'folder': which folder the images are in")
        if size is None:
            raise TicketError("the data set 'folder' needs the key 'size': images become size x size pixels")
        files = sets.folder_of_images(Path(folder), channels, size)
        source = f"images of the folder '{Path(folder).name}'; terms unknown"
        if others := not_plain(Path(folder)):
            shown = ", ".join(f"'{other}'" for other in others[:5]) + (", ..." if len(others) > 5 else "")
            source += f"; left out, as no plain files: {shown}"
            warnings.warn(f"folder '{folder}': left out, as no plain files: {shown}", stacklevel=2)
    left = in_memory
    parts = {}
    for part in ("test", "valid", "train"):  # evaluation sees its images over and over, so it comes first
        found = files[part]
        held = found.nbytes <= left
        left -= found.nbytes if held else 0
        pixels = found.read_all() if held else found
        parts[part] = Images(pixels, device=device, fingerprint=found.fingerprint())
    return Splits(name, **parts, classes=None, source=source)
