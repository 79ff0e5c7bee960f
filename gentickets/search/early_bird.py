"""Early-bird tickets: found within the first epochs of one training, by channels or by weights (You et al., 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gentickets.channels import (
    Group,
    channel_scores,
    compact,
    full_channels,
    keep_channels,
    narrowed,
    removable,
    sliced,
)
from gentickets.criteria import Criterion, magnitude
from gentickets.data import Batches
from gentickets.earlybird import EarlyBird, Pace
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Mask, full_mask
from gentickets.methods import EARLY_BIRD
from gentickets.search.pruning import CRITERION_BATCHES, known_choice, pruned
from gentickets.search.rounds import first_ticket
from gentickets.tasks import Batch, Task
from gentickets.tickets import Origin, Snapshot, Ticket, zeroed
from gentickets.training import Losses, Training, Watcher, train

BYS = ("channels", "weights")
AFTERS = ("continue", "rewind")


@dataclass(frozen=True)
class Ranking:
    """Who competes to stay in a task, and by which scores: its channels by their norm scales, or its weights.

    Called with a density, it gives the mask of the best as the task now is.
    """

    task: Task
    full: Mask
    """Everything that may be removed: weights, or `Channels`."""
    groups: Mapping[str, Group]
    """Of channels; empty by weights."""
    scope: str = "component"
    criterion: Criterion = magnitude
    batches: Sequence[Batch] = ()
    seed: int = 0
    remembered: dict[int, Mapping[str, Tensor]] = field(default_factory=dict)
    """The scores of one state of the weights, told by autograd's version counters: levels share them."""

    def __call__(self, density: float) -> Mask:
        """The mask of the highest scores."""
        return self.at(density)

    def scores(self) -> Mapping[str, Tensor]:
        """What it ranks by, of all that may be removed."""
        state = sum(parameter._version for parameter in self.task.parameters())
        if state not in self.remembered:
            self.remembered.clear()
            if isinstance(self.full, Channels):
                found: Mapping[str, Tensor] = channel_scores(self.task, self.groups)
            else:
                found = self.criterion(self.task, self.batches, self.seed)
            self.remembered[state] = {name: found[name] for name in self.full}
        return self.remembered[state]

    def at(self, density: float, multiple: int = 1) -> Mask:
        """The same, with the number of channels in each group rounded to multiples."""
        if isinstance(self.full, Channels):
            return keep_channels(
                self.scores(), density, within=self.full, scope=self.scope, multiple=multiple, seed=self.seed
            )
        found, _ = pruned(self.task, self.full, density, lambda *_: self.scores(), self.scope, self.seed)
        return found

    def try_out(self) -> None:
        """Raise TicketError, before anything is trained, where the networks do not work with fewer channels."""
        if isinstance(self.full, Channels):
            half = Channels({name: _half(kept) for name, kept in self.full.items()})
            compact(self.task, half, self.batches[0], groups=self.groups)


def _half(kept: Tensor) -> Tensor:
    return torch.arange(len(kept), device=kept.device) % 2 == 0


def ranking(
    task: Task,
    batches: Sequence[Batch],
    *,
    by: str = "channels",
    scope: str = "component",
    criterion: Criterion = magnitude,
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    seed: int = 0,
) -> Ranking:
    """What competes in a task.

    ``exempt`` patterns leave out weights, and the channels that such a weight makes or reads.
    Raises TicketError where a network has no channels to remove, or cannot be traced.
    """
    known_choice(by, BYS, "thing to rank")
    full = full_mask(task, exempt=exempt, components=components)
    if by == "weights":
        return Ranking(task, full, {}, scope, criterion, batches, seed)
    groups = removable(task, batches[0], exempt=exempt, components=components)
    if not groups:
        message = f"no channels can be removed from these networks ({groups.sentence})"
        raise TicketError(f"{message}; rank weights instead: by = 'weights'", Status.FAILED)
    return Ranking(task, full_channels(groups), groups, scope, criterion, batches, seed)


def early_bird(
    training: Training,
    batches: Batches,
    *,
    density: float,
    every: int,
    by: str = "channels",
    patience: int = 5,
    tolerance: float | None = None,
    rule: str = "corrected",
    after: str = "continue",
    rewind_to: int = 0,
    scope: str = "component",
    criterion: Criterion = magnitude,
    multiple: int = 1,
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    score_batches: int = CRITERION_BATCHES,
    seed: int = 0,
    watch: Sequence[Watcher] = (),
) -> Ticket:
    """The ticket whose mask has stopped changing (You et al., 2020; for GANs Kalibhat et al., 2021).

    Trains densely, looking at the mask of ``density`` every so many steps, until the last ``patience`` masks agree
    within ``tolerance`` (see `gentickets.earlybird` for the rules, and for how far without it: 0.2 of chance, or the
    published 0.1). By channels the ticket is compact: it goes into networks of the same recipe by `Ticket.load_into`,
    before an optimizer is built for them. It starts from the step at which it emerged (``after="continue"``), or from
    step ``rewind_to``. The L1 penalty on norm scales of the original is the plan's ``gamma_l1``. Noise is that of the
    plan's optimizers and schedule. Train the ticket with `grow`.

    Raises TicketError (status 1) with what still moved, where none emerges before the training ends.
    """
    known_choice(after, AFTERS, "way to go on")
    some = batches.first(score_batches)
    ranked = ranking(
        training.task, some, by=by, scope=scope, criterion=criterion, components=components, exempt=exempt, seed=seed
    )
    bird = EarlyBird(
        ranked, [density], every=every, patience=patience, tolerance=tolerance, rule=rule, seed=seed,
        checks=training.plan.steps // every, pooled=scope == "global", paces=paces_of(training),
    )  # fmt: skip
    ranked.try_out()
    bird.begin()
    chosen: list[Mask] = []
    rewind_to = rewind_to if after == "rewind" else 0
    emerged = _emerged(training, bird, every, rewind_to, lambda: chosen.append(ranked.at(density, multiple)))
    watch = [emerged, *watch]
    start = first_ticket(
        training, batches, rewind_to=rewind_to, components=components, exempt=exempt, seed=seed, watch=watch
    )
    if not bird.done:
        step = train(training, batches, range(rewind_to, training.plan.steps), seed=seed, watch=watch)
        start = dense_at(training.snapshot(step), start.mask, start.origin) if after == "continue" else start
    if not chosen:
        raise TicketError(bird.why_not(density), Status.FAILED)
    return cut(replace(start, origin=replace(start.origin, method=EARLY_BIRD, round=1)), chosen[0], ranked.groups)


def _emerged(training: Training, bird: EarlyBird, every: int, rewind_to: int, choose: Callable[[], object]) -> Watcher:
    """A watcher that has the ticket chosen at the step where it emerges, and ends a training no sooner than it may."""

    def watcher(step: int, losses: Losses) -> bool:
        if step % every == 0:
            training.divergence.check()
        if bird.look(step):
            choose()
        return bird.done and step >= rewind_to

    return watcher


def momentum_of(training: Training) -> float:
    """How much of a step its optimizers carry into the next, the most of them."""
    optims = [turn.optim for turn in training.turns]
    return max(one.betas[0] if one.name.startswith("adam") else one.momentum for one in optims)


def paces_of(training: Training) -> dict[str, tuple[Pace, ...]]:
    """How each component would walk if its gradients were noise: a pace for each optimizer that trains it."""
    found: dict[str, tuple[Pace, ...]] = {}
    for turn in training.turns:
        pace = Pace.of(turn.optim, training.plan.schedule, turn.objective.every)
        for component in turn.objective.trains:
            found[component] = tuple(dict.fromkeys((*found.get(component, ()), pace)))
    return found


def dense_at(snapshot: Snapshot, mask: Mask, origin: Origin) -> Ticket:
    """The dense ticket that starts at a snapshot; ``mask`` is full."""
    origin = replace(origin, rewind_to=snapshot.step)
    return Ticket(mask, snapshot.weights, origin, snapshot.optim, snapshot.ema, constants=snapshot.constants)


def cut(dense: Ticket, choice: Mask, groups: Mapping[str, Group]) -> Ticket:
    """A dense ticket under a choice of what to keep: masked, or for `Channels` compact."""
    if not isinstance(choice, Channels):
        weights, ema = zeroed(dense.weights, choice), zeroed(dense.ema, choice)
        return replace(dense, mask=choice, weights=weights, ema=ema)
    return replace(
        dense,
        mask=Mask(sliced(dense.mask, groups, choice)),
        weights=narrowed(dense.weights, groups, choice),
        optim=sliced(dense.optim, groups, choice),
        ema=sliced(dense.ema, groups, choice),
        channels=choice,
    )
