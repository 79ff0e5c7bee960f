"""Search: iterative pruning with rewinding around a training loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gentickets.criteria import magnitude
from gentickets.errors import TicketError
from gentickets.loops import processes
from gentickets.loops.rounds import Course, Round
from gentickets.loops.states import FORMAT, Parts, cloned, random_state
from gentickets.masks import Holding, Mask, full_mask, hold, prunable, sharing, stepping
from gentickets.methods import ITERATIVE
from gentickets.runs.formats import write_ticket
from gentickets.search import pruned
from gentickets.seeds import derive
from gentickets.table import Table
from gentickets.tickets import Origin, Ticket, zeroed

Criterion = Callable[..., Mapping[str, Tensor]]
ONE_SEED = "One seed and no controls: this shows how the metrics change, and is no verdict."


class Search:
    """Iterative magnitude pruning with late rewinding (Frankle et al., 2020), around a loop of your own.

        search = Search(model, optimizer, scheduler, rounds=6, keep=0.8, rewind_to=500)
        for round in search:                                        # dense first; then pruned and rewound
            for step, batch in round.steps(loader, total=5000):
                loss = model(batch)
                loss.backward()
                optimizer.step(); scheduler.step(); optimizer.zero_grad()
            round.record(loss=evaluate(model))
        search.table()

    ``models``: a module, or a dict of modules by name. ``optimizers``: one, or several; every parameter that they train
    lies in ``models``. ``others``: whatever else a step changes and has ``state_dict``: schedulers, a GradScaler;
    generators of random numbers, too. ``averages``: moving averages of the weights, as modules
    (`AveragedModel`); with several models a dict by the model's name.

    In the dense round, round 0, the state after ``rewind_to`` steps is kept: weights, buffers, optimizers, averages,
    others, random states, and the place in the loader. Each later round prunes the trained weights to ``keep`` of what
    is left, goes back to that state, and sees the same batches and random numbers again. Pruned weights stay zero.

    A step is a step of the optimizer ``counted`` (the first one, if you do not say) that was applied: what a GradScaler
    skips, or a micro-batch that only accumulates gradients, is none. ``criterion`` scores the weights by themselves
    (`magnitude`, `lamp`, `random`). ``scope``: ``global`` for one module, ``component`` for several (each by itself),
    if you do not say. Under DDP rank 0 decides the mask.

    Raises TicketError before anything trains where something could not be rewound; see `Parts`.
    """

    def __init__(
        self,
        models: nn.Module | Mapping[str, nn.Module],
        optimizers: Any,
        *others: Any,
        rounds: int,
        keep: float = 0.8,
        rewind_to: int = 0,
        criterion: Criterion = magnitude,
        scope: str | None = None,
        exempt: Iterable[str] = (),
        averages: Sequence[nn.Module] | Mapping[str, nn.Module] = (),
        counted: Any = None,
        seed: int = 0,
    ) -> None:
        if rounds < 1 or not 0 < keep < 1 or rewind_to < 0:
            what = f"rounds = {rounds}, keep = {keep}, rewind_to = {rewind_to}"
            raise TicketError(f"{what}: rounds must be 1 or more, keep between 0 and 1, rewind_to 0 or more")
        several = list(optimizers) if isinstance(optimizers, list | tuple) else [optimizers]
        if not several:
            raise TicketError("Search needs an optimizer: its steps are what it counts")
        inner = [stepping.wrapped(one)[-1] for one in several]
        self.parts = Parts(models, inner, averages, others)
        self.rounds, self.keep, self.rewind_to, self.seed = rounds, keep, rewind_to, seed
        self.criterion = criterion
        self.scope = scope or ("component" if isinstance(self.parts.root, nn.ModuleDict) else "global")
        self.masks: list[Mask] = [full_mask(self.parts.root, exempt=tuple(exempt))]
        self.records: list[dict[str, float]] = []
        """Metrics of each round that is done."""
        self._course = Course(self.parts, rewind_to)
        self._holds: list[Holding] = []
        self._resumed = False
        counted_one = stepping.wrapped(counted)[-1] if counted is not None else inner[0]
        counted_one.register_step_post_hook(self._stepped)

    def __repr__(self) -> str:
        done = len(self.records)
        return f"Search({done} of {self.rounds + 1} rounds done, keep={self.keep}, rewind_to={self.rewind_to})"

    def __iter__(self) -> Iterator[Round]:
        """The rounds that are left: the dense one, then one for each further pruning."""
        while len(self.records) <= self.rounds:
            if not self._resumed:
                self._begin(len(self.records))
            self._resumed = False
            assert self._course.current is not None
            yield self._course.current
            self._finish()
        self._let_go()

    def ticket(self, round: Round | int) -> Ticket:
        """The ticket of a round: its mask, and the state of step ``rewind_to`` with zeros where it prunes."""
        number = round if isinstance(round, int) else round.number
        if not 0 <= number < len(self.masks) or not self._course.start:
            there = f"there are {len(self.masks)}" if self._course.start else "step rewind_to has not been reached"
            raise TicketError(f"there is no ticket of round {number} yet: {there}")
        mask = self.masks[number]
        weights = zeroed(self._course.start["weights"], mask)
        origin = Origin(ITERATIVE, self.rewind_to, number, self.seed)
        return Ticket(mask, weights, origin, self.parts.flat_optimizer_state(self._course.start))

    def table(self) -> Table:
        """Sparsity and recorded metrics of each round that is done."""
        names = list(dict.fromkeys(name for record in self.records for name in record))
        rows = [self._row(number, record, names) for number, record in enumerate(self.records)]
        return Table(["round", "sparsity", "steps", *names], rows, title=" ".join([ONE_SEED, *self.notes()]))

    def _row(self, number: int, record: Mapping[str, float], names: Sequence[str]) -> list[str]:
        metrics = [f"{record[name]:.4g}" if name in record else "–" for name in names]  # noqa: RUF001
        sparsity = 100 * (1 - self.masks[number].density)
        return ["dense" if number == 0 else f"round {number}", f"{sparsity:.1f} %", f"{self._course.total:,}", *metrics]

    def notes(self) -> list[str]:
        """What the rounds did not share, in sentences."""
        found = []
        for number, batch in sorted(self._course.differing.items()):
            what = f"Round {number} did not see the dense round's batches again, from batch {batch + 1} after the"
            why = "its loader draws from something that Search does not know (give it a generator among the others)"
            found.append(f"{what} rewinding step on: {why}.")
        return found

    def save(self, folder: str | Path) -> None:
        """Write the ticket of every round that is done, as ``round-N/ticket.safetensors``."""
        for number in range(len(self.records)):
            place = Path(folder) / f"round-{number}"
            place.mkdir(parents=True, exist_ok=True)
            write_ticket(place / "ticket.safetensors", self.ticket(number))

    def state_dict(self) -> dict[str, Any]:
        """Everything that it takes to go on, inside a round too: tensors and plain values, for ``torch.save``.

        Call it as the last statement of the loop's body: `load_state_dict` goes on with the next batch.
        """
        round = self._course.current
        return {
            "format": FORMAT,
            "asked": [self.rounds, self.keep, self.rewind_to, self.seed],
            "total": self._course.total,
            "records": [dict(record) for record in self.records],
            "masks": [dict(cloned(dict(mask))) for mask in self.masks],
            "kept": cloned(self._course.start),
            "prints": list(self._course.prints),
            "differing": dict(self._course.differing),
            "round": None if round is None else round.place(),
            "parts": self.parts.capture(),
            "random": random_state(self.parts.devices()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called. Raises TicketError for the state of another search."""
        if state.get("format") != FORMAT:
            raise TicketError(f"this is no state of a Search, or of another version: format {state.get('format')}")
        if state["asked"] != (own := [self.rounds, self.keep, self.rewind_to, self.seed]):
            raise TicketError(f"the state is of a search with [rounds, keep, rewind_to, seed] = {state['asked']}, "
                              f"and this one has {own}")  # fmt: skip
        self._course.total, self.records = state["total"], [dict(record) for record in state["records"]]
        self.masks = [Mask(dict(cloned(dict(mask)))) for mask in state["masks"]]
        self._course.start, self._course.prints = cloned(state["kept"]), list(state["prints"])
        self._course.differing = dict(state["differing"])
        self.parts.restore(state["parts"])
        self._course.current, self._resumed = None, False
        self._let_go()
        if state["round"] is not None:
            self._enter(self._round(len(self.records), state["round"], cloned(state["random"])))
            self._resumed = True

    def _begin(self, number: int) -> None:
        """Prune what the last round was trained to, and go back."""
        self._let_go()
        if number:
            self.parts.restore(self._course.start, self.masks[number])
        self._enter(self._round(number, self._course.start.get("place"), self._course.start.get("random")))

    def _round(self, number: int, place: Any, random: Any) -> Round:
        return Round(self._course, number, self.masks[number], lambda: self._next_mask(number), place, random)

    def _enter(self, round: Round) -> None:
        self._course.current = round
        if not round.number:
            return
        for model, mask, averages in self.parts.masked(self.masks[round.number]):
            weights = {name: weight for name, weight in prunable(model).items() if name in mask}
            for optimizer in self.parts.optimizers:
                trained = [one for group in optimizer.param_groups for one in group["params"]]
                if sharing(weights, trained):
                    self._holds.append(hold(mask, model, optimizer, averages=averages))

    def _let_go(self) -> None:
        while self._holds:
            self._holds.pop().remove()

    def _finish(self) -> None:
        round = self._course.current
        assert round is not None
        if not round.done:
            where = (
                f"made {round.step:,} of {self._course.total:,} steps"
                if self._course.total
                else "made no steps: use round.steps"
            )
            raise TicketError(f"round {round.number} {where}; rounds compare only where all make as many")
        if len(self.masks) == round.number + 1:  # the loop was left at its last step
            self._next_mask(round.number)
        self.records.append(round.metrics)
        self._course.current = None

    def _next_mask(self, number: int) -> None:
        """Choose the mask of the next round from the weights as they are."""
        if number == self.rounds:
            return
        within, root = self.masks[number], self.parts.root
        seen = derive(self.seed, "criterion", number + 1)
        mask, _ = pruned(root, within, self.keep ** (number + 1), self.criterion, self.scope, seen)  # type: ignore[arg-type]
        device = next(root.parameters()).device
        self.masks[number + 1 :] = [processes.shared_mask(mask, device)]

    def _stepped(self, optimizer: Optimizer, *_: object) -> None:
        skipped = getattr(optimizer, "found_inf", None)  # a fused optimizer is asked to step, and skips by itself
        if self._course.current is not None and not (skipped is not None and bool(skipped)):
            self._course.current.step += 1
