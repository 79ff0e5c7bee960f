"""The page of all public names of the package, in groups; mkdocstrings fills in signatures and docstrings."""

from __future__ import annotations

from collections.abc import Mapping

import gentickets

HEAD = """# Python API

Everything that `import gentickets` offers. Names are imported when first used, so that `import gentickets` does not
load PyTorch. Errors that a user can mend are `gentickets.TicketError`, a sentence with an exit status.
"""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "The commands as functions": ("verbs", "actions", "experiment", "analysis", "recipe", "report"),
    "Tasks: your own model": ("tasks",),
    "Data": ("data",),
    "Training": ("training", "optimizers"),
    "Searching": ("search", "loops"),
    "Criteria": ("criteria",),
    "Masks": ("masks",),
    "Tickets": ("tickets", "runs"),
    "Errors": ("errors",),
}
"""Heading -> the rooms of the package whose names stand below it."""
REST = "More"


def page() -> str:
    """The whole page as Markdown."""
    found: dict[str, list[str]] = {heading: [] for heading in [*GROUPS, REST]}
    for name in gentickets.__all__:
        found[heading_of(name)].append(name)
    parts = [HEAD]
    for heading, names in found.items():
        if names:
            parts += [f"\n## {heading}\n", *(f"::: gentickets.{name}\n" for name in names)]
    return "\n".join(parts)


def heading_of(name: str) -> str:
    """The heading of a public name, by the room that it comes from."""
    room = gentickets._HOME.get(name, "").split(".")[1:2]
    return next((heading for heading, rooms in GROUPS.items() if room and room[0] in rooms), REST)
