"""Holder: who holds a lock, as it says itself in the lock's file. Torch-free.

What holds is the operating system's lock, which goes with its process; the file's text is for people alone, and a text
that a killed process has left means nothing.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from datetime import datetime
from pathlib import Path

_MOST = 1000
_BEGINS = b'{"process": '


def sign(lock: Path) -> None:
    """Write process, host and time into the file of a lock that is held, unless another program's text is there."""
    told = {
        "process": os.getpid(),
        "host": platform.node(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),
    }
    with suppress(OSError), open(lock, "r+b") as file:  # of Windows, where nobody else may touch it, too
        if not (before := file.read(_MOST)) or before.startswith(_BEGINS):
            file.seek(0)
            file.truncate()
            file.write(json.dumps(told).encode() + b"\n")


def holder(lock: Path) -> str:
    """Who holds a lock: ``another process, 4711 on host since 2026-01-31 12:00:00+01:00``, as far as it is known."""
    try:
        with open(lock, "rb") as file:
            told = json.loads(file.read(_MOST))
        return f"another process, {told['process']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
