"""The metric of every single test image, as a round stores it in `images.safetensors`. Read without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from gentickets.errors import Status, TicketError
from gentickets.files.bounded import bounded
from gentickets.files.tensor_header import DAMAGED, NoTensorFile, content_digest, split_header, stated

KIND = "images"
MOST_BYTES = 256 << 20
"""Of such a file: 64 million images."""


def read_single_images(path: Path, metric: str) -> NDArray[np.float32]:
    """The values (images) of a metric on the test images, in the order of the data.

    Raises TicketError (status 3) where the file is damaged, is another one, or has another metric.
    """
    if not path.is_file():
        raise TicketError(f"{path} is gone, and result.json beside it names it", Status.TICKET)
    data = bounded(path, MOST_BYTES)
    try:
        told, tensors = split_header(data, path), safetensors.numpy.load(data)
    except (SafetensorError, NoTensorFile, ValueError, RecursionError) as error:
        if isinstance(error, TicketError):
            raise
        raise TicketError(f"{path} {DAMAGED}", Status.TICKET) from error
    parts = [(name, f"torch.{one.dtype}", one.shape, np.ascontiguousarray(one).data) for name, one in tensors.items()]
    found_sha256 = content_digest(stated(KIND, told.header), sorted(parts, key=lambda part: part[0]))
    if told.kind != KIND or found_sha256 != told.sha256:
        raise TicketError(f"{path} is damaged: its content does not match its SHA-256", Status.TICKET)
    found = tensors.get(metric)
    if found is None or found.ndim != 1 or found.dtype != np.float32 or not np.isfinite(found).all():
        raise TicketError(f"{path} does not hold one number for each test image, of '{metric}'", Status.TICKET)
    return found
