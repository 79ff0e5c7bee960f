"""How long the command line takes to answer where it needs no PyTorch.

python benchmarks/cold_start.py [--quick]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from goals import goal
from measure import CLOCKS, Arm, Clock, in_turn, machine, options, table

COMMANDS = ("--help", "recipes ls", "recipes validate digits_vae")
MOST = 0.3
"""Seconds that an answer may take."""


def answer(command: Sequence[str], clock: Clock) -> Arm:
    """An arm that starts the command and waits for its answer; a failing command ends the benchmark."""

    def arm() -> list[float]:
        before = clock()
        subprocess.run(command, check=True, capture_output=True)
        return [clock() - before]

    return arm


def children() -> float:
    """Seconds of processor time of all processes that have been started and have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def main() -> None:
    """Time the commands, beside a Python that does nothing."""
    chosen = options("Seconds of commands that need no PyTorch.", threads=False).parse_args()
    torch.set_num_threads(1)  # this process only waits
    clock = children if chosen.clock == "cpu" else CLOCKS["wall"]
    program = Path(sys.executable).parent / "gentickets"
    found = str(program) if program.exists() else shutil.which("gentickets")
    if found is None:
        raise SystemExit("no 'gentickets' command beside this Python: pip install -e .")
    print(f"{machine()}, {chosen.clock} clock")
    arms = {f"gentickets {words}": answer([found, *words.split()], clock) for words in COMMANDS}
    arms["python -c pass"] = answer([sys.executable, "-c", "pass"], clock)
    times = in_turn(arms, 5 if chosen.quick else 15)
    table("Cold start, files in the disk cache", times, "python -c pass")
    for words in COMMANDS:
        goal(f"gentickets {words}, s", median(times[f"gentickets {words}"]), MOST)


if __name__ == "__main__":
    main()
