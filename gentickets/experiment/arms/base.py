"""Makes the networks and the ticket of an arm: the ticket's own rounds, the controls, the dense models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from gentickets import controls
from gentickets.accounting import masked_flops, weights, width_at
from gentickets.arms import FORK, WIDTH, ArmName
from gentickets.criteria import CRITERIA
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.plan import Unit
from gentickets.metrics import as_loss
from gentickets.recipe import recipe_of_ticket
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.scoring import SCORINGS
from gentickets.search import MADE_BY, beside, first_ticket, ticket_at_start
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, Ticket, copied, state_of
from gentickets.training import Training, Watcher, train


class Arm:
    """What one unit trains, made from the recipe and from the stored tickets of the units that it needs."""

    carried = False
    """Whether its ticket came out of another run, and says how."""

    def __init__(self, assembly: Assembly, run: RunFolder, unit: Unit) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.search = assembly.recipe.search
        self.narrowed: dict[str, object] = {}

    @property
    def seed(self) -> int:
        """The seed that its weights, data and noise, and so its ticket, are of."""
        return self.unit.random_seed

    def settled(self) -> Unit:
        """The unit with its final length, which for some is known only once what they need is done."""
        return self.unit

    @property
    def compacts(self) -> bool:
        """Whether its networks lose channels, so that they are not the recipe's."""
        return False

    def transfer_record(self) -> dict[str, Any]:
        """Where its ticket came from, if that was another model; known once the ticket is made."""
        return {}

    def task(self) -> Task:
        """The networks, freshly initialized."""
        kind, unit = self.unit.kind, self.unit
        if kind.equal:
            self.narrowed = {"width": self._narrow_width()}
        elif kind.name == WIDTH:
            self.narrowed = {self.search.widen: self.search.widths[unit.round]}
        purpose = "reinit" if kind.start == "other initialization" else "init"
        return self.assembly.task(self.seed, purpose=purpose, **self.narrowed)

    def ticket(self, training: Training, batches: Batches, since: Snapshot | None, watch: Sequence[Watcher]) -> Ticket:
        """The ticket to train, under its arm's name.

        Some need dense training first, on which ``since`` goes on and ``watch`` looks. Where a watcher
        stops that training, the ticket is of no use.
        """

        unit = self.unit

        def dense(rewind_to: int) -> Ticket:
            if unit.kind.name == FORK and rewind_to > self.search.rewind_to:
                return self._dense_at(rewind_to, training, batches, since, watch)
            # a longer arm's start is that of the short one, with its schedule
            short = self.assembly.plan(self.assembly.recipe.train.steps)
            with training.under(short if unit.name.longer and rewind_to else training.plan):
                return first_ticket(
                    training, batches, rewind_to=rewind_to, optimizer_state=self.search.optimizer_state,
                    components=self.assembly.components, exempt=self.search.exempt, seed=self.seed,
                    since=since, watch=watch,
                )  # fmt: skip

        made = self._made(training, batches, dense)
        arm = ArmName(unit.kind.name, scaled=self._scales, longer=True) if unit.variants else unit.name
        return replace(made, origin=replace(made.origin, arm=str(arm)))

    def _made(self, training: Training, batches: Batches, dense: Callable[[int], Ticket]) -> Ticket:
        unit, kind = self.unit, self.unit.kind
        if kind.role == "dense" and not kind.own_start:
            return self._stored(0)
        if kind.role == "ticket" and unit.name.longer:
            return self._stored(unit.round)
        if kind.role == "ticket":
            return self._next(training, batches) if unit.round else dense(self.search.rewind_to)
        if not kind.sparse:
            made = dense(0)
            return replace(made, origin=replace(made.origin, method=kind.name))
        own = self._stored(unit.round)
        if kind.start == "other initialization":
            step = self._start().origin.rewind_to if kind.name == "reinit" else 0
            made = controls.reinitialized(own, dense(step), kind.name)
        elif unit.name.fork is not None:
            made = own if unit.name.fork == own.origin.rewind_to else controls.forked(own, dense(unit.name.fork))
        elif kind.criterion is not None:
            made = self._found_at_start(training, batches, kind.criterion)
        elif make := controls.MADE_BY.get(kind.like or kind.name):
            scope, definitions = self.search.scope, self.assembly.definitions
            start = dense(0) if kind.own_start else self._start()
            made = make(controls.Given(training.task, own, start, self.seed, scope, definitions))
        else:
            raise TicketError(f"unknown arm '{unit.arm}'")
        if self._other == "fresh" and not kind.whole:  # the components that are not pruned start as the ticket's do
            made = beside(made, own.weights)
        return controls.scaled(made) if self._scales else made

    def recipe(self) -> dict[str, Any]:
        """The recipe that is stored with its ticket: the networks' own keywords, plugins, and the data seen.

        A ticket is the same, whatever other seeds, arms and levels its run has or is judged at.
        """
        splits, assembly = self.assembly.splits, self.assembly
        return recipe_of_ticket(
            assembly.recipe, keywords=self.narrowed, image=assembly.image, saw=splits.fingerprint,
            plugins=assembly.plugin_names, carried=self.carried,
        )  # fmt: skip

    def _start(self) -> Ticket:
        """The dense ticket from whose start the unit's ticket was cut."""
        return self._stored(0)

    def _stored(self, round: int) -> Ticket:
        ticket, _ = read_ticket(self.run.round(self.unit.seed, "ticket", round).ticket)
        return replace(ticket, mask=ticket.mask.to(self.assembly.device))

    def _next(self, training: Training, batches: Batches) -> Ticket:
        """Prune what an earlier ticket grew into, or a dense ticket's start."""
        search, unit, method = self.search, self.unit, self.assembly.recipe.method
        fresh = self._fresh() if self._other == "fresh" else None
        wanted = {**self._pruning(batches), "criterion": self.assembly.criterion, "fresh": fresh}
        if (make := MADE_BY.get(method.name)) is None:
            raise TicketError(f"no function of gentickets.search makes the tickets of method '{method.name}'")
        if method.prunes_at_start:
            return make(training, self._stored(0), cuts=self.assembly.recipe.cuts, **wanted)
        before = unit.round - 1 if method.goes_round_by_round else 0
        trained, _, _ = read_snapshot(self.run.round(unit.seed, "ticket", before).trained)
        training.load(trained)
        made = make(
            training, self._stored(before), rewind=search.rewind, optimizer_state=search.optimizer_state,
            other=self._other, **wanted,
        )  # fmt: skip
        return replace(made, origin=replace(made.origin, method=method.name))

    def _pruning(self, batches: Batches) -> dict[str, Any]:
        """How much is pruned, among what, and seen on which batches."""
        search, unit = self.search, self.unit
        return {
            "density": search.keep**unit.round,
            "scope": search.scope,
            "seed": self.seed,
            "batches": batches.first(search.score_batches),
            "round": unit.round,
        }

    def _found_at_start(self, training: Training, batches: Batches, criterion: str) -> Ticket:
        """A mask of the ticket's size that a criterion finds in the ticket's own dense start.

        A criterion that cannot score this family makes the control fail, and not the run.
        """
        kind, start = self.unit.kind, self._start()
        try:
            made = ticket_at_start(
                training, start, criterion=CRITERIA[criterion], cuts=SCORINGS[criterion].cuts, **self._pruning(batches)
            )
        except TicketError as error:
            status = Status.FAILED if error.status == Status.REQUEST else error.status
            raise TicketError(f"control '{kind.name}': {error}", status) from error
        return replace(made, origin=replace(made.origin, method=kind.name))

    def _dense_at(
        self, step: int, training: Training, batches: Batches, since: Snapshot | None, watch: Sequence[Watcher]
    ) -> Ticket:
        """The dense run's state of a later step than its ticket's start, from which it is trained there once more.

        ``since``: a snapshot on the way there, to go on from.
        """
        dense = self._stored(0)
        if since is None:
            training.start(dense)
        else:
            training.load(since)
        steps = range(dense.origin.rewind_to if since is None else since.step, step)
        train(training, batches, steps, mask=dense.mask, seed=self.seed, watch=watch)
        state = training.snapshot(step)
        optim = state.optim if self.search.optimizer_state == "rewound" else {}
        origin = replace(dense.origin, rewind_to=step)
        return Ticket(dense.mask, state.weights, origin, optim, constants=state.constants)

    @property
    def _scales(self) -> bool:
        """Whether survivors are scaled: as the arm says, or as this seed's better twin on validation does."""
        if not self.unit.variants or (claim := self.assembly.recipe.claim) is None:
            return self.unit.name.scaled
        metric, found = claim.metric, {}
        for key in self.unit.variants:
            result = self.run.round(*key).read_result()
            if result is not None and result.status == "done" and metric in result.valid:
                found[key[1]] = as_loss(metric, result.valid[metric])
        if not found:
            raise TicketError(
                f"neither '{self.unit.kind.name}' nor its scaled twin is done, so that none trains longer"
            )
        return ArmName.of(min(found, key=lambda arm: found[arm])).scaled

    @property
    def _other(self) -> str:
        return self.search.other

    def _fresh(self) -> dict[str, Tensor]:
        """The weights of networks initialized for this round alone."""
        return copied(state_of(self.assembly.task(self.seed, purpose=f"fresh {self.unit.round}")))

    def _narrow_width(self) -> int:
        """The width at which a dense network costs what the ticket's masked one would, or has as many weights."""
        width = self.assembly.recipe.task.width
        if width is None:
            raise TicketError(f"control '{self.unit.kind.name}' needs a family with a whole-number keyword 'width'")
        wide = self.assembly.task(self.seed)

        def narrower(width: int) -> Task:
            return self.assembly.task(self.seed, width=width)

        if self.unit.kind.equal == "flops":
            return width_at(narrower, width, self._flops_left(wide))
        return width_at(narrower, width, self._weights_left(wide), measure=weights)

    def _flops_left(self, wide: Task) -> float:
        """Forward FLOPs of the ticket in the recipe's networks."""
        return masked_flops(wide, self._stored(self.unit.round).mask)

    def _weights_left(self, wide: Task) -> float:
        """The ticket's prunable weights, of all components."""
        mask = self._stored(self.unit.round).mask
        return weights(wide) - mask.total + mask.kept
