"""Sends messages between a run and its workers: a line of JSON each, over pipes. Torch-free."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

LONGEST = 1 << 24
"""Bytes of a line from which on it cannot be a message."""
SHOWN = 80
"""Characters of a foreign line that are shown."""


@dataclass(frozen=True)
class NotAMessage:
    """A line that is no message: printed by something else, or cut."""

    text: str
    cut: bool = False
    """Whether the pipe ended in the middle of it."""

    def __str__(self) -> str:
        """What to say about it."""
        shown = ascii(self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}...")
        return f"a line that was cut: {shown}" if self.cut else f"a line that is no message: {shown}"


def send(pipe: int, message: Mapping[str, Any]) -> None:
    """Write one message, in one piece where the pipe has room: a signal that raises leaves no half of it behind."""
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(pipe, data) :]


def messages(pipe: IO[bytes]) -> Iterator[dict[str, Any] | NotAMessage]:
    """Every message until the pipe ends. What is none is given too, and never raises."""
    while line := pipe.readline(LONGEST):
        yield _message(line)


def _message(line: bytes) -> dict[str, Any] | NotAMessage:
    text = line.decode("utf-8", errors="replace").rstrip("\n")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and line.endswith(b"\n"):
        return found
    return NotAMessage(text, cut=not line.endswith(b"\n"))
