"""Arms: the task and the ticket that each one trains. The ticket's own rounds, the controls, the dense models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from gentickets import controls
from gentickets.accounting import masked_flops, weights, width_at
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.units import NARROW, WIDTH, Unit
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.search import CRITERION_BATCHES, beside, first_ticket, next_ticket, ticket_at_start
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, Ticket, copied, state_of
from gentickets.training import Training, Watcher


class Arm:
    """What one unit trains, made from the recipe and from the stored tickets of the units that it needs."""

    def __init__(self, assembly: Assembly, run: RunFolder, unit: Unit) -> None:
        self.assembly, self.run, self.unit = assembly, run, unit
        self.search: dict[str, Any] = assembly.recipe["search"]
        self.narrowed: dict[str, object] = {}

    @property
    def prunes(self) -> bool:
        """Whether its ticket comes from scores, rather than from dense training or another ticket."""
        return self.unit.base_arm == "ticket" and self.unit.round > 0 and not self.unit.longer

    def task(self) -> Task:
        """The networks, freshly initialized."""
        unit = self.unit
        if unit.base_arm in NARROW:
            self.narrowed = {"width": self._narrow_width()}
        elif unit.base_arm == WIDTH:
            self.narrowed = {self.search["widen"]: self.search["widths"][unit.round]}
        purpose = "reinit" if unit.base_arm.startswith("reinit") else "init"
        return self.assembly.task(unit.seed, purpose=purpose, **self.narrowed)

    def ticket(self, training: Training, batches: Batches, since: Snapshot | None, watch: Sequence[Watcher]) -> Ticket:
        """The ticket to train, under its arm's name.

        Some need dense training first, on which ``since`` goes on and ``watch`` looks. Where a watcher
        stops that training, the ticket is of no use.
        """

        def dense(rewind_to: int) -> Ticket:
            # a longer arm's start is that of the short one, with its schedule
            short = self.assembly.plan(self.assembly.recipe["train"]["steps"])
            with training.under(short if unit.longer and rewind_to else training.plan):
                return first_ticket(
                    training, batches, rewind_to=rewind_to, optimizer_state=self.search["optimizer_state"],
                    components=self.assembly.components, exempt=self.search["exempt"], seed=self.unit.seed,
                    since=since, watch=watch,
                )  # fmt: skip

        unit, arm, rewind = self.unit, self.unit.base_arm, self.search["rewind_to"]
        made = self._made(training, batches, dense, arm, rewind)
        return replace(made, origin=replace(made.origin, arm=unit.arm))

    def _made(
        self, training: Training, batches: Batches, dense: Callable[[int], Ticket], arm: str, rewind: int
    ) -> Ticket:
        unit = self.unit
        if arm == "dense":
            return self._stored(0)
        if arm == "ticket" and unit.longer:
            return self._stored(unit.round)
        if arm == "ticket":
            return self._next(training, batches) if unit.round else dense(rewind)
        if arm in ("budget", WIDTH, *NARROW):
            made = dense(0)
            return replace(made, origin=replace(made.origin, method=arm))
        own = self._stored(unit.round)
        if arm in ("reinit", "reinit0"):
            made = controls.reinitialized(own, dense(rewind if arm == "reinit" else 0), arm)
        elif arm == "shuffle":
            made = controls.shuffle(own, self._stored(0), unit.seed)
        elif arm.startswith("random-"):
            densities = arm.removeprefix("random-")
            made = controls.random_pruning(training.task, own, self._stored(0), densities, unit.seed)
        else:
            raise TicketError(f"unknown arm '{unit.arm}'")
        if self._other == "fresh":  # the components that are not pruned start as the ticket's do
            made = beside(made, own.weights)
        return controls.scaled(made) if unit.scaled else made

    def recipe(self) -> dict[str, Any]:
        """The recipe that is stored with its ticket: the networks' own keywords, plugins, and the data seen."""
        whole = self.assembly.recipe
        task = {**whole["task"], **self.narrowed}
        # a ticket is the same, whatever other seeds its run has
        search = {key: value for key, value in whole["search"].items() if key != "seeds"}
        kept = {key: value for key, value in whole.items() if key != "seed"}
        seen = {"image": list(self.assembly.image), "saw": self.assembly.splits.fingerprint}
        return {**kept, "task": task, "search": search, "plugins": self.assembly.plugin_names, **seen}

    def _stored(self, round: int) -> Ticket:
        ticket, _ = read_ticket(self.run.round(self.unit.seed, "ticket", round).ticket)
        return replace(ticket, mask=ticket.mask.to(self.assembly.device))

    def _next(self, training: Training, batches: Batches) -> Ticket:
        """Prune what an earlier ticket grew into, or a dense ticket's start."""
        search, unit, method = self.search, self.unit, self.search["method"]
        fresh = self._fresh() if self._other == "fresh" else None
        wanted: dict[str, Any] = {
            "density": search["keep"] ** unit.round,
            "criterion": self.assembly.criterion,
            "scope": search["scope"],
            "seed": unit.seed,
            "batches": batches.first(search.get("score_batches", CRITERION_BATCHES)),
            "fresh": fresh,
            "round": unit.round,
        }
        if method == "at_start":
            return ticket_at_start(training, self._stored(0), cuts=search["cuts"], **wanted)
        before = unit.round - 1 if method == "iterative" else 0
        trained, _, _ = read_snapshot(self.run.round(unit.seed, "ticket", before).trained)
        training.load(trained)
        made = next_ticket(
            training, self._stored(before), rewind=search["rewind"], optimizer_state=search["optimizer_state"],
            other=self._other, **wanted,
        )  # fmt: skip
        return replace(made, origin=replace(made.origin, method=method))

    @property
    def _other(self) -> str:
        return str(self.search.get("other", "rewound"))

    def _fresh(self) -> dict[str, Tensor]:
        """The weights of networks initialized for this round alone."""
        return copied(state_of(self.assembly.task(self.unit.seed, purpose=f"fresh {self.unit.round}")))

    def _narrow_width(self) -> int:
        """The width at which a dense network costs what the ticket's masked one would, or has as many weights."""
        width = self.assembly.recipe["task"].get("width")
        if not isinstance(width, int):
            raise TicketError(f"control '{self.unit.base_arm}' needs a family with a whole-number keyword 'width'")
        mask, wide = self._stored(self.unit.round).mask, self.assembly.task(self.unit.seed)

        def narrower(width: int) -> Task:
            return self.assembly.task(self.unit.seed, width=width)

        if self.unit.base_arm == "narrow":
            return width_at(narrower, width, masked_flops(wide, mask))
        left = weights(wide) - mask.total + mask.kept
        return width_at(narrower, width, left, measure=weights)
