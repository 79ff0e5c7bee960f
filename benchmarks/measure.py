"""What the benchmarks share: arms timed in turn in one process, medians, their ratios, and the machine in a line.

A shared machine drifts by more than the few per cent asked about. So the arms take turns of a few steps each, in
an order that rotates, and only ratios of medians of one process are compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, quantiles
from time import perf_counter

import torch

from gentickets.data import Batches
from gentickets.masks import Mask
from gentickets.training import Training, train

Arm = Callable[[], Sequence[float]]
"""Runs a few steps and returns the seconds of each."""
Times = dict[str, list[float]]
"""Arm -> seconds of every step, in the order in which they ran."""

PARTS = 5
"""The spread of a ratio is its range over this many consecutive parts of the run."""
SLOW = 4.0
"""Threads that make a product this many times slower than one thread does are in the slow state (see `prepare`)."""
TRY_AGAIN = 75
"""Exit status of a process that cannot measure (``EX_TEMPFAIL``)."""


def options(description: str, *, threads: bool = True) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run, roughly what comes out")
    if threads:
        parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")
    return parser


def prepare(threads: int) -> None:
    """Set the number of threads, print the machine's line, and stop where this process cannot measure.

    Runs on two threads sometimes sit 20-30 times slow for the whole life of a process: one matrix product on all
    threads is compared with the same on one, and the process ends with status 75 and a hint to run again.
    """
    torch.set_num_threads(1)
    alone = _product_seconds()
    torch.set_num_threads(threads)
    together = _product_seconds()
    print(machine(threads), flush=True)
    if together > SLOW * alone:
        print(
            f"This process is in the slow state: a matrix product takes {together / alone:.0f} times as long on "
            f"{threads} threads as on one. Run it again, or with --threads 1.",
            file=sys.stderr,
        )
        raise SystemExit(TRY_AGAIN)


def machine(threads: int | None = None) -> str:
    """The machine and what is installed on it, in a line."""
    parts = [_processor(), f"{os.cpu_count()} cores"]
    parts += [] if threads is None else [f"{threads} thread{'s' * (threads > 1)}"]
    parts += [f"load {os.getloadavg()[0]:.1f}"] if hasattr(os, "getloadavg") else []
    return ", ".join([*parts, f"PyTorch {torch.__version__}", f"Python {platform.python_version()}"])


class Stretches:
    """An arm: a training of ours that goes on by ``steps`` steps at every call, through `train` as it is.

    A step is timed from one watcher's call to the next, so that it holds everything that a step of a long
    training does, and nothing of what a call of `train` does once.
    """

    def __init__(self, training: Training, batches: Batches, steps: int, mask: Mask | None = None) -> None:
        self.training, self.batches, self.steps, self.mask = training, batches, steps, mask
        self.reached = 0

    def __call__(self) -> list[float]:
        """Train on; returns the seconds of each of ``steps`` steps."""
        stamps: list[float] = []

        def stamp(*_: object) -> None:
            stamps.append(perf_counter())

        steps = range(self.reached, self.reached + self.steps + 1)
        self.reached = train(self.training, self.batches, steps, mask=self.mask, watch=[stamp])
        return [after - before for before, after in pairwise(stamps)]


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
    return times


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians, with its range over consecutive parts of the run."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(times: Times, arm: str, base: str) -> Ratio:
    """How many times as long one arm's step takes as another's."""
    pairs = zip(_parts(times[arm]), _parts(times[base]), strict=True)
    parts = [median(one) / median(other) for one, other in pairs]
    return Ratio(median(times[arm]) / median(times[base]), min(parts), max(parts))


def table(title: str, times: Times, base: str) -> None:
    """Print each arm's median, quartiles and ratio to ``base``."""
    print(f"\n{title}")
    print(f"  {'':<34}{'ms, median':>11}  {'quartiles':<19}{'steps':>6}  times '{base}' (over {PARTS} parts)")
    for name, seconds in times.items():
        low, middle, high = (1e3 * cut for cut in quantiles(seconds, n=4))
        quartiles = f"{low:.2f} to {high:.2f}"
        print(f"  {name:<34}{middle:>11.2f}  {quartiles:<19}{len(seconds):>6}  {ratio(times, name, base)}")
    sys.stdout.flush()


def goal(what: str, value: Ratio | float, most: float) -> None:
    """Print a figure beside what it may be at most."""
    number = value.value if isinstance(value, Ratio) else value
    print(f"  {'reached' if number <= most else 'MISSED '}  {what}: {number:.3f}, at most {most:g}", flush=True)


def _parts(seconds: Sequence[float]) -> list[Sequence[float]]:
    cuts = [len(seconds) * part // PARTS for part in range(PARTS + 1)]
    return [seconds[a:b] for a, b in pairwise(cuts) if b > a]


def _product_seconds() -> float:
    left, right = torch.ones(384, 384), torch.ones(384, 384)
    seconds = []
    for _ in range(15):
        before = perf_counter()
        left @ right
        seconds.append(perf_counter() - before)
    return median(seconds)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
