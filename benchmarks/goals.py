"""What a benchmark shall reach, and how it tells `python -m benchmarks` what became of it. Loads no PyTorch."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass

TRY_AGAIN = 75
"""Exit status of a process that cannot measure (``EX_TEMPFAIL``)."""
GOALS = "BENCHMARK_GOALS"
"""The variable that names the file to which `goal` adds a line of JSON, where ``python -m benchmarks`` sets it."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians, with its range over consecutive parts of the run and twice its standard error."""

    value: float
    low: float
    high: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def goal(what: str, figure: Ratio | float, most: float) -> None:
    """Print a figure beside what it may be at most: reached, missed, or too near to tell."""
    number, error = (figure.value, figure.error) if isinstance(figure, Ratio) else (figure, 0.0)
    word = "unclear" if abs(number - most) < error else "reached" if number <= most else "MISSED"
    spread = f" +- {error:.3f}" if error else ""
    print(f"  {word:<8} {what}: {number:.3f}{spread}, at most {most:.4g}", flush=True)
    if path := os.environ.get(GOALS):
        scatter = error if math.isfinite(error) else None
        found = {"name": what, "measured": float(number), "error": scatter, "most": most, "outcome": word.lower()}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
