"""The data sets by name, as `datasets` has them: how they are read and split."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gentickets.data.files import Files, find_images, place_of
from gentickets.data.pixels import stratified
from gentickets.datasets import DATASETS, Dataset
from gentickets.errors import Status, TicketError

PARTS = ("train", "valid", "test")
Arrays = dict[str, tuple[Tensor, Tensor]]
"""Part -> uint8 pixels (n, c, h, w) and int64 labels (n,)."""


def digits(valid: int | None) -> Arrays:
    """Scikit-learn's 1,797 digits, 8x8 grey, as 1,000 / 297 / 500 stratified images; needs no network.

    Values 0..16 become uint8 round(v * 255 / 16), so that 16 is 255 (white); the rounding moves no value by
    more than 0.5 / 255 of the range.
    """
    values, labels = _digits_table()
    pixels = torch.from_numpy(np.floor(values * (255 / 16) + 0.5).astype(np.uint8)).view(-1, 1, 8, 8)
    test, rest = stratified(labels, torch.arange(len(labels)), 500, "digits/test")
    return _held_out("digits", pixels, labels, rest, 297 if valid is None else valid) | {
        "test": (pixels[test], labels[test])
    }


def torchvision_arrays(name: str, root: Path, valid: int | None, download: bool) -> Arrays:
    """MNIST, Fashion-MNIST, KMNIST or CIFAR-10 below ``root``; ``valid`` (5,000) images are held out.

    Raises TicketError where files are missing (naming the folder and the files) or damaged.
    """
    trained, tested = (_read(name, root, train, download) for train in (True, False))
    everything = torch.arange(len(trained[1]))
    return _held_out(name, *trained, everything, 5000 if valid is None else valid) | {"test": tested}


def celeba(root: Path, download: bool, channels: int, size: int) -> dict[str, Files]:
    """Celeb-A's aligned faces below ``root``, in its own three parts."""
    known = DATASETS["celeba"]
    folder = root / known.folder
    if download:
        if find_spec("gdown") is None:
            message = "celeba comes from Google Drive, which needs gdown: pip install 'gentickets[celeba]'"
            raise TicketError(f"{message}; or put {' and '.join(known.files)} into '{folder.absolute()}' by hand")
        _open(known, root, download=True, split="valid")
    _require("celeba", known, folder)
    names: dict[str, list[str]] = {"0": [], "1": [], "2": []}
    partition = folder / "list_eval_partition.txt"
    for number, line in enumerate(partition.read_text("utf-8", "replace").splitlines(), start=1):
        words = line.split()
        if len(words) != 2 or words[1] not in names:
            raise TicketError(f"line {number} of '{partition}' is not a file name and a part 0, 1 or 2: '{line}'")
        names[words[1]].append(words[0])
    images = folder / "img_align_celeba"
    return _files("celeba", images, dict(zip(PARTS, names.values(), strict=True)), channels, size)


def folder_of_images(folder: Path, channels: int, size: int) -> dict[str, Files]:
    """Any folder of images, at any depth: 80 / 10 / 10 %, by a hash of each file's relative name.

    Adding or removing files moves no other file to another part; renaming one may move that one.
    """
    names: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in find_images(folder):
        place = place_of(name)
        names["train" if place < 0.8 else "valid" if place < 0.9 else "test"].append(name)
    return _files("folder", folder, names, channels, size)


def _files(name: str, root: Path, names: dict[str, list[str]], channels: int, size: int) -> dict[str, Files]:
    total = sum(map(len, names.values()))
    for part, found in names.items():
        if not found:
            more = "; about 50 images or more are needed, as each name decides its part" if name == "folder" else ""
            raise TicketError(f"{name}: of {total} images in '{root}' none is in the {part} part{more}")
    return {part: Files(root, tuple(found), channels, size) for part, found in names.items()}


def _held_out(name: str, pixels: Tensor, labels: Tensor, among: Tensor, valid: int) -> Arrays:
    if not 1 <= valid < len(among):
        raise TicketError(f"valid is {valid}; {name} has {len(among)} training images to hold out 1 or more of")
    held, kept = stratified(labels, among, valid, f"{name}/valid")
    return {"train": (pixels[kept], labels[kept]), "valid": (pixels[held], labels[held])}


@cache
def _digits_table() -> tuple[np.ndarray[Any, np.dtype[np.float64]], Tensor]:
    """Values (1797, 64) and labels, from the file that scikit-learn ships: importing it takes seconds."""
    spec = find_spec("sklearn")
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            with gzip.open(path, "rt") as file:
                table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], torch.from_numpy(table[:, -1].astype(np.int64))
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.data, torch.from_numpy(loaded.target.astype(np.int64))


def _read(name: str, root: Path, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    known = DATASETS[name]
    folder = root / known.folder
    if not download:
        _require(name, known, folder)
    data = _open(known, root, download=download, train=train)
    pixels = torch.as_tensor(data.data)
    pixels = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    labels = torch.as_tensor(data.targets, dtype=torch.int64)
    if len(pixels) != len(labels) or not len(labels):
        raise TicketError(f"{name} in '{folder}' has {len(pixels)} images and {len(labels)} labels")
    return pixels, labels


def _open(known: Dataset, root: Path, *, download: bool, **which: Any) -> Any:
    """The torchvision data set, with whatever goes wrong said in one line."""
    from torchvision import datasets

    place = root / known.folder
    try:
        return getattr(datasets, known.reader)(str(root), download=download, **which)
    except (
        OSError,
        RuntimeError,
        ValueError,
        AssertionError,
        LookupError,
        TypeError,
        pickle.PickleError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if download:
            raise TicketError(f"{known.reader} could not be fetched into '{place}': {reason}", Status.FAILED) from error
        raise TicketError(f"the files of {known.reader} in '{place}' are damaged or cut short: {reason}") from error


def _require(name: str, known: Dataset, folder: Path) -> None:
    missing = [file for file in known.files if not ((folder / file).is_file() or (folder / file).is_dir())]
    if not missing:
        return
    text = f"{name} is not in '{folder.absolute()}': looked for {', '.join(known.files)}; "
    text += "none of them is there" if len(missing) == len(known.files) else f"{', '.join(missing)} missing"
    text += _subset(missing) if name == "cifar10" else ""
    fetch = "--download fetches it"
    if name == "celeba":
        fetch = "put them there by hand, or pip install 'gentickets[celeba]' and --download"
    raise TicketError(f"{text}; {fetch}")


def _subset(missing: Sequence[str]) -> str:
    batches = [file for file in DATASETS["cifar10"].files if file.startswith("data_batch_")]
    present = [file for file in batches if file not in missing]
    if not present or len(present) == len(batches):
        return ""
    return f" (only {len(present)} of the five training batches are there, and all five are needed)"
