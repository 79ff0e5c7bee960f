"""Meters: peak memory, and energy where a machine tells it. What cannot be told is None, and never an error."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Peak:
    """Peak memory; both are None where it cannot be told, and until the measurement is over."""

    bytes: int | None = None
    """On a CUDA device all that was allocated at the peak; on a CPU the resident memory above that of the start."""
    above: int | None = None
    """Above what was held at the start, on either."""


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """The peak of memory inside, in bytes; not to be nested, since there is one peak per process and device.

    On a CUDA device what PyTorch has allocated on it. On Linux the resident memory of the whole process, all its
    threads included, in pages; free memory that the process holds is given back before, or it would hide what is
    needed. None elsewhere.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        peak.above = peak.bytes - held
        return
    start = _reset_resident() if device.type == "cpu" else None
    yield peak
    highest = None if start is None else _resident("VmHWM")
    if start is not None and highest is not None:
        peak.bytes = peak.above = max(0, highest - start)


@dataclass
class Energy:
    """Energy; None where it cannot be told, and until the measurement is over."""

    joules: float | None = None
    source: str | None = None
    """``NVML``, of the whole GPU, or ``RAPL``, of the whole processor: with whatever else runs on it."""


@contextmanager
def energy(device: torch.device) -> Iterator[Energy]:
    """Joules inside: the GPU's own count where pynvml tells it, else the processors' where it may be read.

    A processor's counter wraps around, once in an hour or so: longer measurements are to be cut. Never raises.
    """
    found = Energy()
    read = _gpu_meter(device) if device.type == "cuda" else _processor_meter() if device.type == "cpu" else None
    before = None if read is None else read()
    yield found
    after = None if read is None or before is None else read()
    if read is not None and before is not None and after is not None and before.keys() == after.keys():
        joules = sum(_risen(before[name], after[name]) for name in before)
        found.joules, found.source = joules, "NVML" if device.type == "cuda" else "RAPL"


@dataclass(frozen=True)
class _Count:
    """A meter's reading in joules, and the count at which it starts from zero again."""

    joules: float
    wraps: float = math.inf


def _risen(before: _Count, after: _Count) -> float:
    gone = after.joules - before.joules
    return gone if gone >= 0 or math.isinf(after.wraps) else gone + after.wraps


def _gpu_meter(device: torch.device) -> Callable[[], dict[str, _Count] | None] | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        # by its own name: numbers are NVML's, which knows nothing of CUDA_VISIBLE_DEVICES
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(name)
    except Exception:  # a missing library, driver or right: whatever it is, there is no meter
        return None

    def read() -> dict[str, _Count] | None:
        with suppress(Exception):
            torch.cuda.synchronize(device)
            return {name: _Count(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)}
        return None

    return read


def _processor_meter() -> Callable[[], dict[str, _Count] | None] | None:
    """Sockets only: memory and cores have counters of their own inside them, and whole systems around them."""

    def read() -> dict[str, _Count] | None:
        found = {}
        with suppress(OSError, ValueError):
            for domain in sorted(POWERCAP.glob("*-rapl:*")):
                if (domain / "name").read_text().startswith("package"):
                    microjoules, wraps = (
                        int((domain / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")
                    )
                    found[domain.name] = _Count(microjoules / 1e6, (wraps + 1) / 1e6)
            return found or None
        return None

    return read


def _reset_resident() -> int | None:
    """Start the peak of the resident memory anew; returns what is resident now, or None where that cannot be done."""
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):  # another C library, without it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(entry: str) -> int | None:
    """VmRSS, or its peak VmHWM, in bytes."""
    with suppress(OSError, ValueError, StopIteration):
        lines = STATUS.read_text().splitlines()
        line = next(line for line in lines if line.startswith(f"{entry}:"))
        return 1024 * int(line.split()[1])
    return None
