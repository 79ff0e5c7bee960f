"""Looking at a task's losses: what each player's own loss says of the weights that it trains, with nothing touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.heartbeat import beat
from gentickets.masks import component_of, prunable, prunable_layers
from gentickets.seeds import derive
from gentickets.storage import laid_out
from gentickets.tasks import Batch, Draw, Objective, Task
from gentickets.untouched import eager, preserved, seeded

Tensors = dict[str, Tensor]
_NOT_TWICE = {"torch::autograd::Error", "torch::autograd::NotImplemented"}


@dataclass(frozen=True, eq=False)
class Player:
    """Objectives whose losses are added, and the prunable weights that they score.

    ``weights``: name -> the parameters that share this weight's memory, one of them as a rule.
    """

    objectives: tuple[Objective, ...]
    weights: Mapping[str, tuple[nn.Parameter, ...]]

    def gradients(self, batch: Batch, draw: Draw, retain: bool) -> Tensors:
        """dL/dw of each weight that the loss depends on."""
        return self._folded(self._loss(batch, draw), create=False, retain=retain)

    def curvature(self, batch: Batch, draw: Draw, retain: bool, *, along: Mapping[str, Tensor]) -> Tensors:
        """H v for v = ``along``, H the second derivatives of the loss with respect to this player's weights."""
        gradients = self._folded(self._loss(batch, draw), create=True, retain=True)
        product = torch.zeros((), device=batch.device)
        for name, gradient in gradients.items():
            product = product + (gradient * along[name]).sum()
        _require_twice(product)
        curved = self._folded(product, create=False, retain=retain)
        # where the loss is linear in a weight, nothing comes back
        return {name: curved.get(name, torch.zeros_like(along[name])) for name in gradients}

    def _loss(self, batch: Batch, draw: Draw) -> Tensor:
        try:
            return torch.stack([objective.value(batch, draw) for objective in self.objectives]).sum()
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            message = f"too few images for batch norm ({len(batch)} in a batch): give more, or score in evaluation mode"
            raise TicketError(message) from error

    def _folded(self, value: Tensor, *, create: bool, retain: bool) -> Tensors:
        """The derivatives of a number; those of parameters that share memory are added in the layout of the first."""
        if not value.requires_grad:
            return {}
        parameters = [parameter for alike in self.weights.values() for parameter in alike]
        found = torch.autograd.grad(value, parameters, allow_unused=True, create_graph=create, retain_graph=retain)
        of = dict(zip(map(id, parameters), found, strict=True))
        folded: Tensors = {}
        for name, alike in self.weights.items():
            for parameter in alike:
                derivative = of[id(parameter)]
                if derivative is not None:
                    derivative = laid_out(derivative, parameter, alike[0])
                    folded[name] = folded[name] + derivative if name in folded else derivative
        return folded


class Sight:
    """Looks at the losses of all batches, each from the same state: buffers, draws and modules' own draws."""

    def __init__(self, task: Task, batches: Sequence[Batch], seed: int, pooled: bool, chunk: int | None) -> None:
        self._task, self._batches, self._seed, self._chunk = task, batches, seed, chunk
        self.players = _players(task, pooled)
        self.ready: Callable[[int], None] = lambda seed: None

    def each(self, ask: Callable[[Player, Batch, Draw, bool], Tensors]) -> Iterator[tuple[int, dict[Player, Tensors]]]:
        """For each batch its size and every player's answer, the mean over the batch's images."""
        rng = torch.Generator(self._task.device)
        for number, batch in enumerate(self._batches):
            beat()
            batch = batch.to(self._task.device)
            batch = batch.clone() if batch.is_inference() else batch  # gradients cannot flow through such a one
            draw = self._task.draw(len(batch), rng.manual_seed(derive(self._seed, "draw", number)))
            chunk = self._chunk or len(batch)
            answers: dict[Player, Tensors] = {player: {} for player in self.players}
            for start in range(0, len(batch), chunk):
                part = batch[start : start + chunk]
                own = draw if len(part) == len(batch) else draw.part(start, chunk)
                self.ready(derive(self._seed, "modules", number, start))
                for player in self.players:
                    # the fake that several players share keeps its graph until the last has asked
                    found = ask(player, part, own, player is not self.players[-1])
                    _add(answers[player], found, len(part) / len(batch))
            yield len(batch), answers

    def mean(self, ask: Callable[[Player, Batch, Draw, bool], Tensors]) -> dict[Player, Tensors]:
        """Every player's answer, the mean over all images."""
        images = sum(len(batch) for batch in self._batches)
        answers: dict[Player, Tensors] = {player: {} for player in self.players}
        for size, found in self.each(ask):
            for player in self.players:
                _add(answers[player], found[player], size / images)
        return answers

    def scored(self, found: Mapping[str, Tensor]) -> dict[str, Tensor | TicketError]:
        """What was found for every prunable weight, or why there is nothing."""
        trained: dict[str, list[str]] = {}
        for player in self.players:
            for name in player.weights:
                trained.setdefault(name, []).extend(objective.name for objective in player.objectives)
        scored: dict[str, Tensor | TicketError] = {}
        for name, weight in prunable(self._task).items():
            if name in found:
                scored[name] = found[name]
            elif weight.is_complex():
                why = f"'{name}' is complex, and this criterion is made for real weights"
                scored[name] = TicketError(f"{why}: exempt it, or use magnitude or lamp")
            elif not weight.requires_grad:
                why = f"'{name}' is frozen, so that it has no gradient to be scored by: unfreeze it, exempt it"
                scored[name] = TicketError(f"{why}, or use a criterion without gradients (magnitude, lamp)")
            elif name not in trained:
                why = f"no objective trains '{component_of(name)}'"
                scored[name] = TicketError(f"no gradient path to '{name}': {why}; exempt it", Status.FAILED)
            else:
                why = f"the loss of {' and '.join(map(repr, trained[name]))} does not depend on it"
                scored[name] = TicketError(f"no gradient path to '{name}': {why}; exempt it", Status.FAILED)
        return scored


@contextmanager
def looking(
    task: Task, batches: Sequence[Batch], seed: int, *, pooled: bool, evaluation: bool, chunk: int | None
) -> Iterator[Sight]:
    """Look at a task's losses; on leaving, everything is as it was.

    In training mode as in a training step, or in evaluation mode; gradients by `torch.autograd.grad` alone. Losses are
    taken to be means over the images. Put back exactly: buffers, modes, global random state.
    """
    if not sum(len(batch) for batch in batches):
        raise TicketError("no batches to score on: this criterion looks at data, so give it at least one batch")
    if chunk is not None and not evaluation:
        raise TicketError(
            "chunk needs evaluation=True: in training mode batch norm mixes the images of a chunk, and scores would "
            "depend on how a batch is cut"
        )
    if chunk is not None and chunk < 1:
        raise TicketError(f"chunk is the number of images that are scored at once, not {chunk}")
    sight = Sight(task, batches, seed, pooled, chunk)
    with eager(task), preserved(task) as put_back, seeded(task.device, seed) as reseed:
        task.train(not evaluation)

        def ready(seed: int) -> None:
            put_back()
            reseed(seed)

        sight.ready = ready
        with torch.inference_mode(False), torch.enable_grad():
            yield sight


def summed(answers: Mapping[Player, Tensors]) -> Tensors:
    """The players' answers by weight; a weight that several objectives train gets the sum of theirs."""
    total: Tensors = {}
    for found in answers.values():
        _add(total, found, 1.0)
    return total


def _players(task: Task, pooled: bool) -> list[Player]:
    alike: dict[str, dict[int, nn.Parameter]] = {}
    for name, weight in prunable_layers(task).values():
        if weight.requires_grad and not weight.is_complex():
            alike.setdefault(name, {})[id(weight)] = weight
    objectives = list(task.objectives())
    if pooled:
        return [Player(tuple(objectives), {name: tuple(same.values()) for name, same in alike.items()})]
    players = []
    for objective in objectives:
        trained = {id(parameter) for parameter in task.trained_by(objective).values()}
        own = {name: tuple(w for key, w in same.items() if key in trained) for name, same in alike.items()}
        own = {name: same for name, same in own.items() if same}
        if own:
            players.append(Player((objective,), own))
    return players


def _require_twice(value: Tensor) -> None:
    """Refuse what cannot be differentiated again.

    Autograd marks such places in its graph, but leaves those of a `once_differentiable` function out without a word
    where they lead to a weight only, and the second derivatives would be silently incomplete.
    """
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() in _NOT_TWICE:
            raise TicketError(
                "GraSP needs a loss that can be differentiated twice, and a part of this one cannot (a fused attention "
                "kernel, or a function of one's own): use its unfused form, or snip"
            )
        waiting.extend(after for after, _ in node.next_functions)


def _add(total: Tensors, found: Mapping[str, Tensor], weight: float) -> None:
    for name, value in found.items():
        value = value.detach()
        value = (value if value.dtype == torch.float64 else value.float()) * weight
        total[name] = total[name] + value if name in total else value
