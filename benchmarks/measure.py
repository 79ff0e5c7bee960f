"""What the benchmarks share: arms timed in turn in one process, medians, their ratios, and the machine in a line.

A shared machine drifts by more than the few per cent asked about. So the arms take turns of a few steps each, in
an order that rotates, and only ratios of medians of one process are compared. On a machine that others load at the
same time even that scatters: ``--clock cpu`` counts the process's own seconds instead of those on the wall.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median, quantiles, stdev
from time import perf_counter, process_time

import torch
from goals import TRY_AGAIN, Ratio
from torch import Tensor

from gentickets.accounting.clock import SLOW, slowness
from gentickets.data import Batches
from gentickets.experiment.start_record import processor
from gentickets.masks import Mask
from gentickets.training import Training, train

Arm = Callable[[], Sequence[float]]
"""Runs a few steps and returns the seconds of each."""
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": perf_counter, "cpu": process_time}
"""``cpu`` adds up the seconds of all threads, waiting ones too: it means something on one thread only."""
Times = dict[str, list[float]]
"""Arm -> seconds of every step, in the order in which they ran."""

PARTS = 5
"""The spread of a ratio of medians is its range over this many consecutive parts of the run."""


def options(description: str, *, threads: bool = True) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run, roughly what comes out")
    if threads:
        parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: where others load the machine (1 thread)"
    )
    return parser


def prepare(threads: int, clock: str = "wall") -> Clock:
    """Set the number of threads, print the machine's line, and stop where this process cannot measure.

    Returns the clock to measure with. Exits with status 75 in the slow state: see `slowness`.
    """
    if clock == "cpu" and threads > 1:
        print("--clock cpu measures one thread only: give it without --threads.", file=sys.stderr)
        raise SystemExit(2)
    torch.set_num_threads(threads)
    print(f"{machine(threads)}, {clock} clock", flush=True)
    if (times := slowness()) > SLOW:
        print(_slow_state(times), file=sys.stderr)
        raise SystemExit(TRY_AGAIN)
    return CLOCKS[clock]


def machine(threads: int | None = None) -> str:
    """The machine and what is installed on it, in a line."""
    parts = [processor(), f"{os.cpu_count()} cores"]
    parts += [] if threads is None else [f"{threads} thread{'s' * (threads > 1)}"]
    parts += [f"load {os.getloadavg()[0]:.1f}"] if hasattr(os, "getloadavg") else []
    return ", ".join([*parts, f"PyTorch {torch.__version__}", f"Python {platform.python_version()}"])


class Stretches:
    """An arm: a training of ours that goes on by ``steps`` steps at every call, through `train` as it is.

    A step is timed from the request for its batch to the next one's, so that it holds everything that a step of a
    long training does (batch, draw, turns, masks, averages, checks, watchers), and nothing of what a call of
    `train` does once.
    """

    def __init__(
        self, training: Training, batches: Batches, steps: int, clock: Clock, mask: Mask | None = None
    ) -> None:
        self.training, self.steps, self.clock, self.mask = training, steps, clock, mask
        self.batches = _Stamped(batches.images, batches.batch_size, seed=batches.seed)
        self.batches.clock = clock
        self.reached = 0

    def __call__(self) -> list[float]:
        """Train on; returns the seconds of each of ``steps`` steps."""
        ends: list[float] = []
        steps = range(self.reached, self.reached + self.steps)
        watcher = lambda *_: ends.append(self.clock())  # noqa: E731
        self.reached = train(self.training, self.batches, steps, mask=self.mask, watch=[watcher])
        return [after - before for before, after in pairwise([self.batches.start, *ends])]


class _Stamped(Batches):
    """Batches that note when the first of a stream was asked for."""

    clock: Clock = perf_counter
    start = 0.0

    def stream(self, steps: range) -> Iterator[Tensor]:
        self.start = self.clock()
        yield from super().stream(steps)


def in_turn(arms: Mapping[str, Arm], rounds: int, *, warmup: int = 1) -> Times:
    """Time the arms by turns, in an order that rotates; the first ``warmup`` rounds are thrown away."""
    times: Times = {name: [] for name in arms}
    names = list(arms)
    for number in range(-warmup, rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            seconds = arms[name]()
            if number >= 0:
                times[name] += seconds
    if (slower := slowness()) > SLOW:
        print(_slow_state(slower), file=sys.stderr)
    return times


def ratio(times: Times, arm: str, base: str) -> Ratio:
    """How many times as long one arm's step takes as another's."""
    pairs = zip(_parts(times[arm]), _parts(times[base]), strict=True)
    parts = [median(one) / median(other) for one, other in pairs]
    error = 2 * stdev(parts) / math.sqrt(len(parts)) if len(parts) > 1 else math.inf
    return Ratio(median(times[arm]) / median(times[base]), min(parts), max(parts), error)


def table(title: str, times: Times, base: str) -> None:
    """Print each arm's median, quartiles and ratio to ``base``."""
    print(f"\n{title}")
    print(f"  {'':<34}{'ms, median':>11}  {'quartiles':<19}{'steps':>6}  times '{base}' (over {PARTS} parts)")
    for name, seconds in times.items():
        low, middle, high = (1e3 * cut for cut in quantiles(seconds, n=4))
        quartiles = f"{low:.2f} to {high:.2f}"
        print(f"  {name:<34}{middle:>11.2f}  {quartiles:<19}{len(seconds):>6}  {ratio(times, name, base)}")
    sys.stdout.flush()


def _parts(seconds: Sequence[float]) -> list[Sequence[float]]:
    cuts = [len(seconds) * part // PARTS for part in range(PARTS + 1)]
    return [seconds[a:b] for a, b in pairwise(cuts) if b > a]


def _slow_state(times: float) -> str:
    return (
        f"This process is in the slow state: a matrix product takes {times:.0f} times as long on all threads as on "
        "one. Run it again, alone on the machine or with OMP_WAIT_POLICY=passive, or with --threads 1."
    )
