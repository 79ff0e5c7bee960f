"""Measures what networks cost: weights, FLOPs, seconds side by side, memory, and bytes on disk."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from gentickets.accounting import Timing, interleaved, peak_memory, step_flops
from gentickets.accounting.clock import timed
from gentickets.accounting.counter import LayerCounter
from gentickets.accounting.flops import densities_in, owners_in
from gentickets.data import Batches
from gentickets.experiment.assembly import Assembly
from gentickets.finite import infinite
from gentickets.masks import Mask
from gentickets.methods import ITERATIVE
from gentickets.runs.formats import pack_ticket
from gentickets.tasks import Batch, Task
from gentickets.tickets import Origin, Ticket, state_of
from gentickets.training import Training, train
from gentickets.untouched import eager, untouched

CALL = 0.05
"""Seconds that a call of `train` lasts at least: what it does once shall not count."""
OF_STEPS = 0.7
"""The part of the time that training steps are measured in; the rest is the samples'."""


@dataclass(frozen=True)
class Contender:
    """A network to be measured."""

    name: str
    """``dense``, ``masked`` or ``compact``."""
    task: Task
    ticket: Ticket | None = None
    """What it starts from; None: its own weights, unmasked. A masked or compact ticket's mask is held in training."""
    round: int | None = None
    sparsity: float = 0.0
    """Of the weights, or of the channels where those were chosen."""
    share: float | None = None
    """The removed share of all parameters, where prunable are so few that it stands beside the sparsity."""


@dataclass(frozen=True)
class Measured:
    """What a network costs."""

    name: str
    round: int | None
    sparsity: float
    weights: int
    """Parameters that it holds."""
    kept: int
    """Those that are not pruned."""
    step_flops: float
    """Of a training step on a batch; of a masked network *theoretical*, of all others those that are executed."""
    sample_flops: float | None
    """Of a sample: an image drawn from the prior, or of a family without one, an image rebuilt."""
    theoretical: bool
    """Whether FLOPs are counted as if pruned weights were skipped."""
    step: Timing
    """Of a training step."""
    sample: Timing | None
    first: float
    """Seconds of the first steps, compilation included: as many as there are until every objective has acted."""
    memory: int | None
    """Bytes at the peak of a training step, with weights and optimizer; None where the device does not tell."""
    disk: int
    """Bytes of its ticket without optimizer state: mask and kept weights."""
    share: float | None = None
    """The removed share of all parameters, where prunable are so few that it stands beside the sparsity."""
    uncounted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of a ``step`` and of a ``sample``: operators whose FLOPs are not known, so that its FLOPs are a lower bound."""

    def as_dict(self, dense: Measured) -> dict[str, Any]:
        """As JSON has it, with gains over the dense network: dense / this; none by FLOPs where some are not counted."""
        timings = {"step": (self.step, dense.step), "sample": (self.sample, dense.sample)}
        flops = {"step": (self.step_flops, dense.step_flops), "sample": (self.sample_flops, dense.sample_flops)}
        counts = {
            what: _flops(*flops[what], self.uncounted.get(what, ()), dense.uncounted.get(what, ())) for what in flops
        }
        return {
            "network": self.name,
            "round": self.round,
            "sparsity": self.sparsity,
            "share": self.share,
            "weights": self.weights,
            "kept": self.kept,
            "theoretical_flops": self.theoretical,
            **{what: _told(*timings[what], counts[what]) for what in ("step", "sample")},
            "first_seconds": self.first,
            "memory": self.memory,
            "disk": self.disk,
        }


def measure(contenders: Sequence[Contender], assembly: Assembly, *, seed: int, seconds: float) -> list[Measured]:
    """Measure networks side by side, in about so many seconds; the first is the dense one.

    Steps are those of `gentickets.training.train` as the recipe has them, on its data. Samples come in batches of the
    recipe's size.
    """
    batches = assembly.batches(seed)
    size, period = batches.batch_size, _period(contenders[0].task)
    firsts, memories = zip(*(_weigh(one, assembly, batches, period) for one in contenders), strict=True)
    stepping = [_Stepping(one, assembly, batches, period) for one in contenders]
    slowest = max(timed(call, assembly.device) for call in stepping)
    for call in stepping:
        call.steps = period * max(1, math.ceil(CALL / slowest))
    calls = {str(place): call for place, call in enumerate(stepping)}
    steps = interleaved(calls, device=assembly.device, seconds=OF_STEPS * seconds)
    samples = _sampled(contenders, batches(0), assembly.device, (1 - OF_STEPS) * seconds)
    found = []
    for place, (one, first, memory) in enumerate(zip(contenders, firsts, memories, strict=True)):
        held, mask = sum(parameter.numel() for parameter in one.task.parameters()), _mask_of(one)
        counted = mask if one.name == "masked" else None
        sample, own = samples.get(str(place)), step_flops(one.task, size, counted)
        of_sample, missing = _sample_count(one.task, counted)
        found.append(
            Measured(
                one.name, one.round, one.sparsity, held, held - (mask.total - mask.kept if mask else 0),
                own.total, of_sample,
                theoretical=counted is not None,
                step=steps[str(place)].over(stepping[place].steps), sample=sample.over(size) if sample else None,
                first=first, memory=memory, disk=_disk(one), share=one.share,
                uncounted={"step": own.uncounted, "sample": missing},
            )
        )  # fmt: skip
    return found


def sample_flops(task: Task, mask: Mask | None = None) -> float | None:
    """FLOPs of a sample (see `sampler`), *theoretical* under a mask; None for a family that makes no images.

    Counted as what a third image adds to two.
    """
    return _sample_count(task, mask)[0]


def _sample_count(task: Task, mask: Mask | None) -> tuple[float | None, frozenset[str]]:
    """With the operators whose FLOPs are not known."""
    density = {} if mask is None else densities_in(task, mask)
    total, uncounted = 0.0, set[str]()
    for sign, n in ((-1, 2), (1, 3)):
        call = sampler(task, torch.zeros(n, *task.image, device=task.device))
        if call is None:
            return None, frozenset()
        with eager(task), untouched(task, 0), LayerCounter(owners_in(task), task.buffers()) as counter:
            call()
        total += sign * sum(work.flops * density.get(work.owner or "", 1.0) for work in counter.works)
        uncounted |= counter.uncounted
    return total, frozenset(uncounted)


def sampler(task: Task, batch: Batch) -> Callable[[], object] | None:
    """The call that makes as many images as a batch has: from the prior, or where there is none from the batch."""
    if task.can("sample"):
        return partial(task.sample, len(batch), torch.Generator(task.device).manual_seed(0))
    return partial(task.reconstruct, batch) if task.can("reconstruct") else None


class _Stepping:
    """A training that goes on by ``steps`` steps at every call."""

    def __init__(self, contender: Contender, assembly: Assembly, batches: Batches, steps: int) -> None:
        self.training: Training = assembly.training(contender.task, assembly.recipe.train.steps)
        self.batches, self.steps, self.mask, self.at = batches, steps, _mask_of(contender), 0
        if contender.ticket is not None:
            self.training.start(contender.ticket)
            self.at = contender.ticket.origin.rewind_to

    def __call__(self) -> None:
        steps = range(self.at, self.at + self.steps)
        self.at = train(self.training, self.batches, steps, mask=self.mask)


def _weigh(contender: Contender, assembly: Assembly, batches: Batches, period: int) -> tuple[float, int | None]:
    """Seconds of the first steps, and bytes at the peak of further ones, when all that is loaded once is loaded."""
    stepping = _Stepping(contender, assembly, batches, period)
    first = timed(stepping, assembly.device)
    del stepping
    gc.collect()
    with peak_memory(assembly.device) as peak:
        _Stepping(contender, assembly, batches, period)()
    held = sum(value.numel() * value.element_size() for value in state_of(contender.task).values())
    return first, None if peak.above is None else peak.above + held


def _sampled(
    contenders: Sequence[Contender], batch: Batch, device: torch.device, seconds: float
) -> Mapping[str, Timing]:
    calls = {str(place): sampler(one.task, batch) for place, one in enumerate(contenders)}
    known = {place: call for place, call in calls.items() if call is not None}
    with ExitStack() as stack:
        for one in contenders:
            stack.enter_context(untouched(one.task, 0))
        return interleaved(known, device=device, seconds=seconds) if known else {}


def _period(task: Task) -> int:
    """Steps after which every objective has acted."""
    return math.lcm(*(objective.every for objective in task.objectives()))


def _mask_of(contender: Contender) -> Mask | None:
    """The mask that training holds, on the device; none where nothing is pruned."""
    ticket = contender.ticket
    return ticket.mask.to(contender.task.device) if ticket is not None else None


def _disk(contender: Contender) -> int:
    own = contender.ticket
    state = state_of(contender.task) if own is None else own.weights
    origin = Origin(ITERATIVE, 0, 0, 0) if own is None else own.origin
    channels = None if own is None else own.channels
    mask, constants = Mask({}) if own is None else own.mask, frozenset(infinite(state))
    return len(pack_ticket(Ticket(mask, state, origin, channels=channels, constants=constants)))


def _flops(flops: float | None, dense: float | None, own: Collection[str], of_dense: Collection[str]) -> dict[str, Any]:
    """With how many times fewer they are than the dense network's; of lower bounds no ratio is known."""
    uncounted = sorted({*own, *of_dense})
    told = {"flops": flops, "flops_gain": dense / flops if flops and dense and not uncounted else None}
    return {**told, "uncounted": sorted(own)} if own else told


def _told(timing: Timing | None, dense: Timing | None, flops: Mapping[str, Any]) -> dict[str, Any] | None:
    if timing is None or dense is None:
        return None
    low, high = timing.quartiles
    gain = timing.gain(dense)
    return {
        "seconds": timing.median,
        "quartiles": [low, high],
        "turns": len(timing.seconds),
        "unsteady": timing.unsteady,
        "gain": gain[0],
        "gain_quartiles": list(gain[1:]),
        **flops,
    }
