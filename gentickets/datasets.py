"""Datasets: every named set of images, in one table: whose it is, where it lies, how it is read. Torch-free.

One that torchvision reads is a row of `DATASETS`; one with a form of its own is a row and its reader in `data/`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """One set of images: everything that is asked of it before it is read."""

    name: str
    """In recipes."""
    source: str
    """Its origin and its terms."""
    side: int | None = None
    """Pixels of a side as it comes; None where a recipe says it or the reader decides."""
    reader: str = ""
    """Its class in torchvision, where that reads it."""
    folder: str = ""
    """Where torchvision keeps it, below the root of all data."""
    files: tuple[str, ...] = ()
    """What must lie there."""
    fixed_parts: bool = False
    """Whether it is read from image files whose parts are fixed by name, so that nobody chooses ``valid``."""


_IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_CIFAR = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta")

_ROWS = (
    Dataset(
        "digits",
        "digits of scikit-learn: the test part of Optical Recognition of Handwritten Digits, UCI Machine Learning "
        "Repository, Alpaydin & Kaynak 1998; CC BY 4.0",
        8,
    ),
    Dataset("mnist", "MNIST, LeCun, Cortes & Burges 1998; CC BY-SA 3.0", 28, "MNIST", "MNIST/raw", _IDX),
    Dataset(
        "fashion-mnist", "Fashion-MNIST, Xiao, Rasul & Vollgraf (Zalando) 2017; MIT",
        28, "FashionMNIST", "FashionMNIST/raw", _IDX,
    ),
    Dataset(
        "kmnist", "KMNIST, Clanuwat et al. (CODH) 2018, from NIJL's Kuzushiji; CC BY-SA 4.0",
        28, "KMNIST", "KMNIST/raw", _IDX,
    ),
    Dataset(
        "cifar10", "CIFAR-10, Krizhevsky 2009; no terms stated", 32, "CIFAR10", "cifar-10-batches-py", _CIFAR
    ),
    Dataset(
        "celeba", "CelebA, Liu, Luo, Wang & Tang 2015; non-commercial research only", None, "CelebA", "celeba",
        ("list_eval_partition.txt", "img_align_celeba"), fixed_parts=True,
    ),
    Dataset("folder", "images of a folder", fixed_parts=True),
)  # fmt: skip
DATASETS = {row.name: row for row in _ROWS}
"""Every dataset that a recipe may name; one that is not here is a plugin's."""
