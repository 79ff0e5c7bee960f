"""Makes the arms of a transfer: a ticket from elsewhere in the target's networks, and what it must beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from gentickets import controls
from gentickets.arms import TRANSFER
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.plan import Unit, from_own_weights
from gentickets.experiment.transfer_source import StoredSource
from gentickets.masks import Mask, full_mask
from gentickets.portable import Portable, signs_shuffled
from gentickets.recipe import Recipe, Transfer
from gentickets.runs.folder import RunFolder
from gentickets.search import CRITERION_BATCHES
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Origin, Ticket, copied, load_weights, state_of
from gentickets.training import Training
from gentickets.transfer import (
    Pairing,
    Table,
    aligned,
    alignment_report,
    carried,
    fitted,
    matches,
    movable_groups,
    paired,
)


def source_networks(recipe: Recipe, like: Assembly, seed: int = 0) -> Task:
    """The networks that a stored ticket was found in; ``like`` knows device and plugins."""
    if missing := sorted(set(recipe.plugins) - set(like.plugin_names)):
        raise TicketError(f"the source needs its plugin: give --plugin {missing[0]}", Status.TICKET)
    if recipe.image is None:
        raise TicketError("the source's recipe tells no images", Status.TICKET)
    try:
        return like.of(recipe).task(seed)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TicketError(f"the source's networks cannot be built from its recipe: {error}", Status.TICKET) from error


@dataclass(frozen=True)
class TicketCarrier:
    """Transfers tickets of one source into one target, as [transfer] says."""

    section: Transfer
    source: Task
    target: Task
    pairing: Pairing

    @staticmethod
    def of(recipe: Recipe, assembly: Assembly, seed: int) -> TicketCarrier:
        """The carrier into an assembly's networks, out of those of a source's recipe."""
        section = assembly.recipe.transfer or Transfer()
        source, target = source_networks(recipe, assembly, seed), assembly.task(seed)
        pairing = paired(
            source, target, section.routes, match=section.match, partial=section.partial,
            deepen=section.deepen, widths=section.widths, components=assembly.components,
        )  # fmt: skip
        return TicketCarrier(section, source, target, pairing)

    def carry(
        self, ticket: Ticket, start: Ticket, moves: str, *, unmasked: bool = False, seed: int = 0
    ) -> tuple[Ticket, Table]:
        """A source's ticket in the target, beginning at ``start``, and what every layer got.

        The ticket's weights are those that move: early ones, trained ones, or numbers with the signs that move.
        ``unmasked``: all of them, those that the mask prunes too; it still chooses channels, where widths differ.
        """
        ticket = replace(ticket, weights={**state_of(self.source), **ticket.weights})
        if self.section.widths:
            ticket = fitted(ticket, self.source, self.target, self.pairing)
        if unmasked:
            ticket = replace(ticket, mask=Mask({name: torch.ones_like(kept) for name, kept in ticket.mask.items()}))
        return carried(
            ticket, self.target, start, self.pairing, source=self.source, moves=moves, trained=ticket.weights,
            rest=None if unmasked else self.section.rest,
            noise=self.section.noise if moves in ("weights", "trained") else 0.0, seed=seed,
        )  # fmt: skip


def of_signs(portable: Portable) -> Ticket:
    """A portable ticket as one whose weights are 1 and -1, beside its norms."""
    signs = {name: torch.where(portable.positive[name], 1.0, -1.0) * kept for name, kept in portable.mask.items()}
    return Ticket(portable.mask, {**signs, **portable.norms}, portable.origin)


class TransferredArm(Arm):
    """What one unit of a transfer trains: a transferred ticket or one of its controls."""

    carried = True

    def __init__(self, assembly: Assembly, run: RunFolder, unit: Unit) -> None:
        super().__init__(assembly, run, unit)
        self.section = assembly.recipe.transfer or Transfer()
        self.kept = StoredSource(run)

    @property
    def control(self) -> str:
        """``shuffle`` of ``transfer-shuffle-scaled``; empty for the transferred ticket itself."""
        return "" if self.unit.kind.name == TRANSFER else self.unit.kind.option

    @property
    def moves(self) -> str:
        """What this arm takes from the source."""
        return self.unit.kind.moves or self.section.moves

    def transfer_record(self) -> dict[str, Any]:
        """The source, and what every layer got, as a result holds it; known once the ticket is made."""
        origin, recipe, seed = self._ticket.origin, self._recipe, self.kept.seed(self.unit.seed)
        source = {
            "source": self.kept.record["name"], "family": recipe.task.family, "data": recipe.data.name,
            "seed": seed, "round": origin.round, "sparsity": 1 - self._ticket.mask.density,
        }  # fmt: skip
        return {
            **source,
            "notes": list(self.kept.record.get("notes", [])),
            **self._table.as_dict(),
            **({"align": self._matched} if self._aligns else {}),
        }

    def _made(self, training: Training, batches: Batches, dense: Callable[[int], Ticket]) -> Ticket:
        self._ticket, self._recipe = self._source_ticket()
        if self._aligns:
            dense(self.section.align)  # and the training holds networks to match channels with
            self._ticket = replace(self._ticket, mask=self._aligned(training.task, batches))
        made, self._table = self._controlled()
        made = replace(made, origin=replace(made.origin, method=self.unit.kind.name))
        scales = self.unit.name.scaled or (self.section.scale and not self.control)
        return controls.scaled(made) if scales else made

    def _controlled(self) -> tuple[Ticket, Table]:
        """The carried ticket, or its control, and what every layer got."""
        seed = self.seed
        if self.control == "unmasked":
            return self._carry(self._unmasked(), unmasked=True)
        if self.control == "signs-shuffle":
            portable, _ = self.kept.portable(self.unit.seed, self._round)
            return self._carry(of_signs(signs_shuffled(portable, derive(seed, "signs", self._round))))
        made, table = self._carry(self._ticket)
        if self.control != "shuffle":
            return made, table
        if self.moves in ("mask", "signs"):
            return controls.shuffle(made, self._own_start, seed), table
        return controls.shuffle(made, self._carry(self._of_dense(), unmasked=True)[0], seed), table

    def _unmasked(self) -> Ticket:
        """The ticket with the weights that move, and those of them that its mask prunes; trained ones have none."""
        return self._ticket if self.moves == "trained" else self._of_dense()

    def _of_dense(self) -> Ticket:
        """The ticket with the weights of the source's dense run: the early ones, or what they grew into."""
        seed = self.unit.seed
        trained = self.moves == "trained"
        weights = self.kept.trained(seed, 0) if trained else self.kept.ticket(seed, 0)[0].weights
        return replace(self._ticket, weights=weights)

    def _carry(self, ticket: Ticket, *, unmasked: bool = False) -> tuple[Ticket, Table]:
        """A ticket of the source in the target."""
        start, seed = self._own_start, self.seed
        made, table = self._carrier.carry(ticket, start, self.moves, unmasked=unmasked, seed=seed)
        return replace(made, optim=start.optim, origin=replace(made.origin, round=self.unit.round)), table

    @cached_property
    def _carrier(self) -> TicketCarrier:
        return TicketCarrier.of(self._recipe, self.assembly, self.seed)

    def _source_ticket(self) -> tuple[Ticket, Recipe]:
        """The source's ticket with the weights that move, and its recipe; where signs move, one of signs alone."""
        seed, round = self.unit.seed, self._round
        if self.section.moves == "signs" or not self.kept.place(seed, round).ticket.is_file():
            portable, recipe = self.kept.portable(seed, round)
            return of_signs(portable), recipe
        ticket, recipe = self.kept.ticket(seed, round)
        if self.section.moves == "trained":
            ticket = replace(ticket, weights=self.kept.trained(seed, round))
        return ticket, recipe

    def _aligned(self, half: Task, batches: Batches) -> Mask:
        """The source's mask with its channels in the order of networks that have been trained for a while."""
        source = source_networks(self._recipe, self.assembly)
        load_weights(source, self.kept.trained(self.unit.seed, 0))
        some = batches.first(CRITERION_BATCHES)
        groups = movable_groups(source, some[0])
        found = matches(source, half, some, groups=groups, seed=self.seed)
        self._matched = alignment_report(found)
        return aligned(self._ticket.mask, groups, {name: match.permutation for name, match in found.items()})

    @property
    def _aligns(self) -> bool:
        """Whether channels are matched first; the mask alone, as a control, is carried as it is."""
        return bool(self.section.align) and self.unit.kind.moves != "mask"

    @cached_property
    def _round(self) -> int:
        """The source's round that serves this one."""
        found = self.kept.round(self.unit.round)
        if found is None:
            raise TicketError(f"the source has no ticket for round {self.unit.round}", Status.FAILED)
        return found

    @cached_property
    def _own_start(self) -> Ticket:
        """The dense ticket to begin from: the target's at the step that is rewound to, or its initialization."""
        unit, assembly = self.unit, self.assembly
        if from_own_weights(unit.arm, assembly.recipe):
            return self._stored(0)
        task = assembly.task(self.seed)
        everything = full_mask(task, exempt=self.search.exempt, components=assembly.components)
        return Ticket(everything, copied(state_of(task)), Origin(TRANSFER, 0, 0, self.seed))
