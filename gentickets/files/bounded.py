"""Plain files, read as far as what they are may be long."""

from __future__ import annotations

import stat
from pathlib import Path

from gentickets.errors import Status, TicketError

MOST_TEXT = 1_000_000
"""Bytes of a recipe; more is another kind of file."""
MOST_PICTURE = 64 << 20


def bounded(path: Path, most: int) -> bytes:
    """The bytes of a file; TicketError (status 3) where it is a pipe or a device, or holds more than it may."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # to open a pipe would wait for its writer
        raise TicketError(f"{path} is damaged: it is no file", Status.TICKET)
    if about.st_size > most:
        size = f"{most >> 20} MiB" if most >> 20 else f"{most:,} bytes"
        raise TicketError(f"{path} is damaged: it is larger than {size}", Status.TICKET)
    return path.read_bytes()
