"""Completion of what is typed: recipes, and runs and tickets below `runs/`. It reads names only, and so is fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

MOST = 200
"""Names that are offered at most."""


def completing(*kinds: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What completes an argument that takes these: ``recipe``, ``run`` and ``ticket``.

    Where none fits, the shell completes paths.

    Example:
        ``@click.argument("recipe", shell_complete=completing("recipe"))``
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [name for kind in kinds for name in _NAMES[kind](incomplete) if name.startswith(incomplete)]
        return [CompletionItem(name) for name in dict.fromkeys(names[:MOST])] or [
            CompletionItem(incomplete, type="file")
        ]

    return complete


def _recipes(incomplete: str) -> Iterable[str]:
    from gentickets.recipe import shipped_recipes

    folder = Path(incomplete).parent
    return [*shipped_recipes(), *(str(path) for path in sorted(folder.glob("*.toml")))]


def _runs(incomplete: str) -> Iterator[str]:
    """Folders of runs below `runs/`, and beside what is typed."""
    places = dict.fromkeys([Path("runs"), Path(incomplete).parent])
    for place in places:
        yield from (str(record.parent) for record in sorted(place.glob("*/run.json")))


def _tickets(incomplete: str) -> Iterator[str]:
    """Folders of rounds that hold a ticket: in the run that is typed, else the ticket arm of every run."""
    typed = Path(incomplete).parts
    run = "/".join(typed[:2]) if len(typed) > 2 else "runs/*"
    arm = "*" if len(typed) > 3 else "ticket"
    for pattern in dict.fromkeys([f"{run}/seed-*/{arm}", f"{run}/seed-*/train"]):
        yield from (str(ticket.parent) for ticket in sorted(Path().glob(f"{pattern}/round-*/ticket.safetensors")))


_NAMES: dict[str, Callable[[str], Iterable[str]]] = {"recipe": _recipes, "run": _runs, "ticket": _tickets}
