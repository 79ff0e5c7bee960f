"""Guards, patched away: what each negative control breaks, in this process or in those that it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

VARIABLE = "RELIABILITY_BROKEN"


def environment(guard: str | None) -> dict[str, str]:
    """The variables by which processes that are started lack the guard."""
    if guard is None:
        return {}
    path = os.pathsep.join([str(Path(__file__).with_name("site")), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {VARIABLE: guard, "PYTHONPATH": path}


def install() -> None:
    """Take away the guard that the environment names; nothing where it names none."""
    apply(os.environ.get(VARIABLE))


def apply(guard: str | None) -> None:
    """Take a guard away in this process; none leaves everything as it is."""
    if guard is not None:
        GUARDS[guard]()


GUARDS: dict[str, Callable[[], None]] = {}
