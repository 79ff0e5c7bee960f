"""Checks where a page may be written: over one of the same kind or into free space, never over a foreign file."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gentickets.errors import TicketError

_HEAD = b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
_POLICY = b'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:'
"""How every page of every version begins, and what it has near its beginning."""


def require_own(page: Path, data: Path, *keys: str, inside: bool = False) -> None:
    """Raise TicketError where a page, or the JSON beside it, would overwrite what gentickets has not written.

    ``keys`` are those that the JSON has at its top. ``inside`` a run, a JSON beside a page of ours is written anew
    though it may be damaged.
    """
    remedy = "move it away" if inside else "choose another --out"
    if os.path.lexists(page) and not _is_page(page):
        raise TicketError(f"{page} is no page of gentickets, and is not overwritten; {remedy}")
    if inside and os.path.lexists(page):
        return
    if os.path.lexists(data) and not _has(data, keys):
        raise TicketError(f"{data} is not gentickets', and is not overwritten; {remedy}")


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(1024)
    return start.startswith(_HEAD) and _POLICY in start


def _has(path: Path, keys: tuple[str, ...]) -> bool:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and all(key in told for key in keys)
