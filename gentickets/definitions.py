"""Definitions: what a recipe's words mean, by version. A run keeps those with which it began. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gentickets.errors import Status, TicketError

TOLERANCES = {"corrected": 0.2, "published": 0.1}
"""Rule of an early bird -> how far its masks may be apart, unless the recipe or the caller says otherwise."""


@dataclass(frozen=True)
class Definitions:
    """A version for each definition; the defaults are the current ones. Equal versions, equal meaning.

    To change what a word of a recipe means, add or raise a version here, and ask for it where the meaning is made::

        by_component = assembly.definitions.erk >= 2
    """

    erk: int = 2
    """Densities of the control random-erk. 1: shared out over all pruned components at once, each tensor's count
    rounded by itself. 2: in the scope in which the ticket is ranked, with as many weights there as the ticket keeps."""

    early_bird: int = 2
    """What an early bird's corrected rule takes for noise. 1: Adam's steps at a constant learning rate, with the
    largest momentum of all optimizers. 2: steps of the optimizers that train the component, under the run's schedule.
    """

    def record(self) -> dict[str, int]:
        """What run.json keeps: name -> version."""
        return asdict(self)


CURRENT = Definitions()
"""Of new runs, of tickets outside of a run, and of the Python API."""
FIRST = Definitions(**{field.name: 1 for field in fields(Definitions)})
"""Of runs that were begun before definitions were recorded."""


def definitions_of(record: Mapping[str, Any], where: Path) -> Definitions:
    """The definitions of a run, from what its run.json holds; a name that it lacks came later, and means version 1.

    Raises TicketError (status 3): a name or version that this gentickets does not know, or no versions at all.
    """
    versions = record.get("definitions", {})
    if not isinstance(versions, dict) or not all(type(version) is int for version in versions.values()):
        raise TicketError(f"{where} is damaged: its definitions are no versions by name", Status.TICKET)
    for name, version in versions.items():
        if not 1 <= version <= getattr(CURRENT, name, 0):
            message = f"{where} was begun with definition '{name}' {version}, which this gentickets does not know"
            raise TicketError(f"{message}: upgrade gentickets", Status.TICKET)
    return Definitions(**{**FIRST.record(), **versions})
