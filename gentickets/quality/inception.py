"""Inception: features of the network that defines the FID, from a weights file (Heusel, 2017)."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.quality.extractor import Extractor, Seen
from gentickets.quality.features import cache_folder
from gentickets.untouched import seeded

ORIGINAL = "6726825d"
"""How the SHA-256 of the original's weights begins. Only their distance is called FID."""
FILE = f"weights-inception-2015-12-05-{ORIGINAL}.pth"
"""The file as torch-fidelity publishes it."""
_COUNTER = "num_batches_tracked"
"""Batch norms' counters, which older files lack and nothing here reads."""


class InceptionFeatures(Extractor):
    """2,048 pooled features and 1,008 logits without their bias, as torch-fidelity's compatible network gives them.

    Images become bytes 0..255 (rounded, so that real images are exactly their own bytes), grey ones are repeated to
    three channels, and the network resizes to 299x299 as the original does. It runs in float32 on ``device``.
    """

    classifies = True

    def __init__(self, network: nn.Module, sha256: str, device: torch.device | str = "cpu") -> None:
        self.hash = sha256
        self.device = torch.device(device)
        # about 16 MB of activations an image
        self.block = 256 if self.device.type == "cuda" else 32
        self.distance = "fid" if self.original else "frechet"
        self._network = network.eval().requires_grad_(False).to(self.device)

    @property
    def original(self) -> bool:
        """Whether these are the weights that define the FID."""
        return self.hash.startswith(ORIGINAL)

    @property
    def name(self) -> str:
        """``inception-`` and the first 8 digits of the file's SHA-256."""
        return f"inception-{self.hash[:8]}"

    @property
    def described(self) -> str:
        """The name, and whether the weights are the FID's."""
        whose = "the original weights of the FID" if self.original else "other weights than the original's"
        return f"features {self.name} ({whose})"

    def _block(self, images: Tensor) -> Seen:
        features, logits = self._network(as_bytes(images.to(self.device)))
        return Seen(features.cpu(), logits.cpu())


def as_bytes(images: Tensor) -> Tensor:
    """Images (n, 1 or 3, h, w) in [-1, 1] as uint8 (n, 3, h, w); values outside are clipped."""
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise TicketError(f"Inception takes images of shape (n, 1 or 3, h, w), not {tuple(images.shape)}")
    pixels = ((images.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels


def inception(
    weights: Path | str | None = None, *, download: bool = False, device: torch.device | str = "cpu"
) -> InceptionFeatures:
    """Inception from a weights file, or from torch-fidelity's published one, fetched only if ``download``.

    The file is data: it is read without running anything in it, and names, shapes and values are checked before use.
    Without ``weights`` the original is looked for where PyTorch Hub and gentickets keep it. Raises TicketError for a
    file that is missing, damaged or of something else (status 3), and for a download that fails (status 1).
    """
    path = _published(download) if weights is None else Path(weights).expanduser()
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise TicketError(f"there is no Inception weights file '{path}'; {_wanted()}") from error
    except OSError as error:
        raise TicketError(f"cannot read '{path}': {error.strerror}", Status.STORAGE) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if weights is None and not sha256.startswith(ORIGINAL):
        message = (
            f"'{path}' is damaged: its SHA-256 begins with {sha256[:8]}, not {ORIGINAL}; remove it to fetch it anew"
        )
        raise TicketError(message, Status.TICKET)
    return InceptionFeatures(_network(_tensors(content, path), path), sha256, device)


def _published(download: bool) -> Path:
    """Where the published file lies; fetched into gentickets' cache where it is missing and may be."""
    places = [Path(torch.hub.get_dir(), "checkpoints", FILE), cache_folder() / FILE]
    for place in places:
        if place.is_file():
            return place
    if not download:
        places_told = " nor in ".join(f"'{place.parent}'" for place in places)
        raise TicketError(f"the Inception weights {FILE} are neither in {places_told}; name a file, or --download them")
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    try:
        places[1].parent.mkdir(parents=True, exist_ok=True)
        # a draft beside it, renamed once the hash is right
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(places[1]), hash_prefix=ORIGINAL, progress=False)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise TicketError(f"{FILE} could not be fetched: {reason}; name a file instead", Status.FAILED) from error
    return places[1]


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors by name in a file that torch.save wrote, read without running anything in it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise a dozen kinds
        raise TicketError(
            f"'{path}' holds no Inception weights that can be read safely; {_wanted()}", Status.TICKET
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise TicketError(f"'{path}' holds no weights by name; {_wanted()}", Status.TICKET)
    return {str(name): value for name, value in found.items()}


def _network(weights: dict[str, Tensor], path: Path) -> nn.Module:
    """torch-fidelity's network with these weights, checked whole before the first is copied."""
    # imported late: it loads torchvision
    from gentickets.quality.inception_network import Network

    # The library's constructor unpickles whatever it is given, so it gets bytes that were written here.
    safe = io.BytesIO()
    torch.save(weights, safe)
    safe.seek(0)

    def check(expected: Mapping[str, Tensor]) -> None:
        for name in sorted(expected.keys() | weights.keys()):
            if name.endswith(_COUNTER):
                continue
            _check(name, expected.get(name), weights.get(name), path)

    with seeded(torch.device("cpu"), 0):
        return Network(safe, check)


def _check(name: str, expected: Tensor | None, found: Tensor | None, path: Path) -> None:
    if expected is None:
        fault = f"has '{name}'"
    elif found is None:
        fault = f"lacks '{name}'"
    elif found.shape != expected.shape:
        fault = f"has '{name}' of shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    elif not found.is_floating_point() or not torch.isfinite(found).all():
        fault = f"has '{name}' with values that are not finite numbers"
    else:
        return
    raise TicketError(f"'{path}' does not fit the Inception network: it {fault}; {_wanted()}", Status.TICKET)


def _wanted() -> str:
    return f"what is wanted is torch-fidelity's {FILE}, or weights of that shape"
