"""Clock: seconds that compare.

A shared machine drifts by more than the few per cent asked about. So contenders take turns in one process, in an
order that rotates, and what is compared are medians over those turns. The device has finished when a time is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median, quantiles
from time import perf_counter

import torch

from gentickets.errors import TicketError

Call = Callable[[], object]
TURN = 0.02
"""Seconds that a turn lasts at least: shorter calls are repeated in it."""
LEAST = 5
"""Turns of each contender, however little time there is."""
TRIES = 3
"""How often an unsteady measurement is taken before it is told as such."""
SPREAD = 0.5
"""Quartiles further apart than this, as a fraction of the median, are unsteady."""
SLOW = 4.0
"""A `slowness` above this is the slow state."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Timing:
    """How long a call takes."""

    seconds: tuple[float, ...]
    """Of one call, of each turn, in the order in which they ran; warm-up is left out."""
    first: float
    """Seconds of the very first call: with compilation, first memory and the choice of kernels."""
    unsteady: str | None = None
    """Why these seconds are not to be trusted, where they are not."""

    @property
    def median(self) -> float:
        """The median over the turns."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile over the turns."""
        return _quartiles(self.seconds)

    def over(self, count: int) -> Timing:
        """The time of one of ``count`` equal parts of the call: a step, a sample."""
        return replace(self, seconds=tuple(value / count for value in self.seconds), first=self.first / count)

    def gain(self, other: Timing) -> tuple[float, float, float]:
        """How many times as long the other takes: median and quartiles over the turns that they took side by side."""
        if len(self.seconds) != len(other.seconds):
            raise TicketError("these were not timed side by side")
        ratios = [theirs / ours for ours, theirs in zip(self.seconds, other.seconds, strict=True)]
        return (median(ratios), *_quartiles(ratios))


def interleaved(
    contenders: Mapping[str, Call],
    *,
    device: torch.device = CPU,
    repeats: int = 31,
    seconds: float = 5.0,
    warmup: int = 2,
) -> dict[str, Timing]:
    """Time the contenders by turns in this process, in an order that rotates: name -> its Timing.

    Each is called ``warmup`` times before anything counts, and once at least. Then they take ``repeats`` turns each, or
    as many as there is time for in about ``seconds`` (5 at least); calls that are shorter than 20 ms are repeated
    within a turn. On a CUDA device a turn is timed by events, elsewhere by the clock on the wall. A measurement that
    scatters, or whose threads wait for each other (Trap 39), is taken again, thrice at most; the quickest is returned
    then, and says so.
    """
    firsts, calls = {}, {}
    for name, call in contenders.items():
        last = firsts[name] = timed(call, device)
        for _ in range(1, warmup):
            last = timed(call, device)
        calls[name] = max(1, math.ceil(TURN / max(last, 1e-9)))
    tries = []
    for _ in range(TRIES):
        times = _in_turn(contenders, calls, device, repeats, seconds)
        slow = _slow_state()
        found = {name: Timing(tuple(one), firsts[name], slow or _scatter(one)) for name, one in times.items()}
        if not any(timing.unsteady for timing in found.values()):
            return found
        tries.append(found)
    return min(tries, key=lambda found: sum(timing.median for timing in found.values()))


def timed(call: Call, device: torch.device = CPU, count: int = 1) -> float:
    """Seconds of a call, the mean of ``count`` in a row; the device has finished before and after."""
    synchronize(device)
    if device.type == "cuda":
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            for _ in range(count):
                call()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3 / count
    before = perf_counter()
    for _ in range(count):
        call()
    synchronize(device)
    return (perf_counter() - before) / count


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def slowness() -> float:
    """How many times as long a matrix product takes on all threads as on one.

    Above 4 the process is in the slow state, where steps take 20-30 times as long: its threads wait for each other
    by spinning, and one that waits holds the core that the other needs, a time slice at a time. It comes with
    other load on the machine, and can last as long as the process.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return 1.0
    together = _product_seconds()
    torch.set_num_threads(1)
    alone = _product_seconds()
    torch.set_num_threads(threads)
    return together / alone


def _in_turn(
    contenders: Mapping[str, Call], calls: Mapping[str, int], device: torch.device, repeats: int, seconds: float
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names, started = list(contenders), perf_counter()
    for number in range(max(LEAST, repeats)):
        if number >= LEAST and perf_counter() - started > seconds:
            break
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            times[name].append(timed(contenders[name], device, calls[name]))
    return times


def _scatter(seconds: Sequence[float]) -> str | None:
    low, high = _quartiles(seconds)
    spread = (high - low) / median(seconds)
    if spread <= SPREAD:
        return None
    return f"its quartiles are {100 * spread:.0f} % of its median apart: others load the machine"


def _slow_state() -> str | None:
    if (times := slowness()) <= SLOW:
        return None
    return f"threads wait for each other: a matrix product takes {times:.0f} times as long on all of them as on one"


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def _product_seconds() -> float:
    left, right = torch.ones(384, 384), torch.ones(384, 384)
    seconds = []
    for _ in range(40):
        before = perf_counter()
        left @ right
        seconds.append(perf_counter() - before)
    return median(seconds)
