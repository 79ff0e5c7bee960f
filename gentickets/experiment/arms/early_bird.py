"""Makes the arms of an early-bird run: the ticket at the step at which it emerged, and what it must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from torch import Tensor

from gentickets.accounting import dense_flops, step_flops, weights
from gentickets.arms import SEARCH
from gentickets.channels import channel_scores, compact, lowest_channels, random_channels
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.plan import Unit
from gentickets.files.belonging import foreign
from gentickets.masks import Channels, full_mask
from gentickets.methods import EARLY_BIRD
from gentickets.runs.formats import read_snapshot
from gentickets.search import Ranking, cut, dense_at, ranking
from gentickets.seeds import derive
from gentickets.shapes import take_shapes
from gentickets.tasks import Task
from gentickets.tickets import Origin, Snapshot, Ticket, load_weights
from gentickets.training import Training

LEAST_TO_TELL = 64
"""Numbers in a tensor from which on its spread says how it was drawn."""


class EarlyBirdArm(Arm):
    """What one unit of an early-bird run trains. By channels, its networks are compact before an optimizer is built."""

    @property
    def of_channels(self) -> bool:
        """Whether channels are removed, rather than weights masked."""
        return self.search.by == "channels"

    @property
    def compacts(self) -> bool:
        """Whether its networks lose channels, so that they are not the recipe's."""
        kind = self.unit.kind
        return self.of_channels and bool(self.unit.round) and (kind.role == "ticket" or kind.of_channels)

    def ranked(self, task: Task) -> Ranking:
        """What competes in the recipe's networks."""
        some = self.assembly.batches(self.seed).first(self.search.score_batches)
        return ranking(
            task, some, by=self.search.by, scope=self.search.scope, criterion=self.assembly.criterion,
            components=self.assembly.components, exempt=self.search.exempt, seed=derive(self.seed, "rank"),
        )  # fmt: skip

    def task(self) -> Task:
        """The networks: the recipe's, or what the ticket's channels leave of them."""
        task = super().task()
        if not self.compacts:
            return task
        if self._is_from_scratch:
            self.require_own_start()
            take_shapes(task, self._stored(self.unit.round).weights)
            self.assembly.initialize(task, self.seed)
        elif self._is_stored:
            take_shapes(task, self._stored(self.unit.round).weights)
        else:
            self._found_ticket = self._cut(task)
            take_shapes(task, self._found_ticket.weights)
        return task

    def require_own_start(self) -> None:
        """Raise TicketError where the family draws its weights in a way that `Task.initialize` does not know of."""
        built, drawn = self.assembly.task(self.seed), self.assembly.task(self.seed)
        self.assembly.initialize(drawn, self.seed + 1)
        for (name, one), other in zip(built.named_parameters(), drawn.parameters(), strict=True):
            spread, own = float(one.detach().std(correction=0)), float(other.detach().std(correction=0))
            if one.numel() >= LEAST_TO_TELL and not 0.5 * spread <= own <= 2 * spread:
                message = (
                    f"'{self.unit.arm}' needs initial weights for narrower networks, and {type(built).__name__} draws"
                )
                raise TicketError(
                    f"{message} '{name}' in a way of its own: give it a method initialize()", Status.FAILED
                )

    def settled(self) -> Unit:
        """A ticket goes on from where it emerged; what has its whole compute trains until it has cost as much."""
        unit, kind = self.unit, self.unit.kind
        if not unit.round or (kind.own_start and not (kind.matched or kind.whole)):
            return unit
        if kind.matched or kind.whole:
            steps = round(self._searched * (self._gain() if kind.matched else 1) + unit.span - self._step)
            return replace(unit, span=steps, steps=steps)
        return replace(unit, steps=unit.span - self._step)

    def _made(self, training: Training, batches: Batches, dense: Callable[[int], Ticket]) -> Ticket:
        unit, kind = self.unit, self.unit.kind
        if self._is_from_scratch:
            made = replace(dense(0), channels=self._stored(unit.round).channels)
            return replace(made, origin=replace(made.origin, method=kind.name, round=unit.round))
        if self.compacts and not self._is_stored:
            return self._found_ticket
        if kind.role == "ticket" and unit.prunes:
            return self._cut(training.task)
        return super()._made(training, batches, dense)

    @property
    def _is_from_scratch(self) -> bool:
        """Whether it has the ticket's shapes, and weights of its own."""
        return self.unit.kind.of_channels and self.unit.kind.own_start

    @property
    def _is_stored(self) -> bool:
        """Whether it trains the ticket that a unit before has made."""
        return self.unit.kind.role == "ticket" and self.unit.name.longer

    def _cut(self, task: Task) -> Ticket:
        """The ticket, or a control of as many channels, out of the recipe's networks in the state that emerged."""
        unit, kind = self.unit, self.unit.kind
        load_weights(task, self._found.weights)
        ranked = self.ranked(task)
        if kind.role == "ticket":
            choice = ranked.at(self.search.keep**unit.round, self.search.multiple)
        else:
            own = self._stored(unit.round).channels or Channels({})
            choice = self._control(kind.name, own, channel_scores(task, ranked.groups))
        if isinstance(choice, Channels):
            compact(task, choice, ranked.batches[0], groups=ranked.groups)  # it checks itself: see `compact`
        start = self._start()
        method = EARLY_BIRD if kind.role == "ticket" else kind.name
        return cut(replace(start, origin=replace(start.origin, method=method, round=unit.round)), choice, ranked.groups)

    def _control(self, arm: str, own: Channels, scores: Mapping[str, Tensor]) -> Channels:
        if arm == "low-channels":
            return lowest_channels(scores, own)
        return random_channels(own, derive(self.seed, arm, self.unit.round))

    def _start(self) -> Ticket:
        """The dense ticket at the step where this level emerged, or at the step that is rewound to."""
        if self.search.after == "rewind":
            return self._stored(0)
        found, seed = self._found, self.seed
        everything = full_mask(self.assembly.task(seed), exempt=self.search.exempt, components=self.assembly.components)
        kept = found if self.search.optimizer_state == "rewound" else replace(found, optim={})
        return dense_at(kept, everything, Origin(EARLY_BIRD, found.step, 0, seed))

    @property
    def _step(self) -> int:
        """The step from which the ticket is trained."""
        rewound = self.search.rewind_to
        return rewound if self.search.after == "rewind" else self._found.step

    @cached_property
    def _found(self) -> Snapshot:
        """The dense state in which this unit's level emerged; TicketError with the reason where none has."""
        searched = self.run.round(self.unit.seed, SEARCH, 0)
        if (path := searched.level(self.unit.round)).is_file():
            found, told, _ = read_snapshot(path)
            owner = self.run.owner
            wanted = {"run": owner and owner.identity, "seed": self.unit.seed, "arm": SEARCH, "round": 0}
            if told.get("place", wanted := {**wanted, "level": self.unit.round}) != wanted:
                raise foreign(path, "it is the state of another level, or of another run's")
            return found
        result = searched.read_result()
        levels = result.early_bird.get("levels", []) if result else []
        why = next((level["why"] for level in levels if level["round"] == self.unit.round and level["why"]), None)
        if why is not None:
            raise TicketError(why, Status.FAILED)
        message = f"{path} is gone: a finished run drops the states of its search"
        raise TicketError(f"{message}; remove {searched.path} too, and it is searched again", Status.REQUEST)

    @property
    def _searched(self) -> int:
        """Dense steps behind the ticket's start: the search's, and those that it has not taken on the way there."""
        searched = self._found.step
        if self.search.after == "rewind":
            searched += self._step if self.search.gamma_l1 else max(0, self._step - searched)
        return searched

    def _gain(self) -> float:
        """How many steps of the ticket's narrow network cost as much as one of the recipe's."""
        size, wide = self.assembly.recipe.data.batch_size, self.assembly.task(self.seed)
        return step_flops(wide, size).total / step_flops(self._narrow(), size).total

    def _narrow(self) -> Task:
        """Networks of the ticket's shapes."""
        task = self.assembly.task(self.seed)
        take_shapes(task, self._stored(self.unit.round).weights)
        return task

    def _flops_left(self, wide: Task) -> float:
        return dense_flops(self._narrow()) if self.of_channels else super()._flops_left(wide)

    def _weights_left(self, wide: Task) -> float:
        return weights(self._narrow()) if self.of_channels else super()._weights_left(wide)
