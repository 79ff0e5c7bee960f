"""Restrained colour: the names of verdicts, and of errors, on a terminal that shows it."""

from __future__ import annotations

import os
from typing import TextIO

import click

COLOURS = {
    "WINS": "green",
    "WINS AT EQUAL STEPS": "green",
    "MATCHES DENSE": "green",
    "HEAD START ONLY": "yellow",
    "UNDECIDED": "yellow",
    "NO BETTER THAN A CONTROL": "red",
    "WORSE THAN DENSE": "red",
    "FAILED": "red",
    "WORTH ITS SEARCH": "green",
    "NOT WORTH ITS SEARCH": "red",
    "OPEN": "yellow",
}
"""Verdict -> its colour."""


def wants_colour() -> bool:
    """Whether the environment allows colour: NO_COLOR is unset or empty, and TERM is not ``dumb``."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Whether what is printed there may be coloured: a terminal, and nothing asks for none."""
    return stream.isatty() and wants_colour()


def with_coloured_verdict(text: str, stream: TextIO) -> str:
    """The text, with the verdict that it begins with in colour where the stream shows colours."""
    found = max((name for name in COLOURS if text == name or text.startswith(f"{name} ")), key=len, default=None)
    if found is None or not has_colour(stream):
        return text
    return click.style(found, fg=COLOURS[found], bold=True) + text.removeprefix(found)
