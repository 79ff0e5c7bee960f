"""How long the command line takes to answer where it needs no PyTorch.

python benchmarks/cold_start.py [--quick]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from measure import Arm, goal, in_turn, machine, options, table

COMMANDS = ("--help", "recipes ls", "recipes validate digits_vae")
MOST = 0.3
"""Seconds."""


def answer(command: Sequence[str]) -> Arm:
    """An arm that starts the command and waits for its answer; a failing command ends the benchmark."""

    def arm() -> list[float]:
        before = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return [perf_counter() - before]

    return arm


def main() -> None:
    """Time the commands, beside a Python that does nothing."""
    chosen = options("Wall seconds of commands that need no PyTorch.", threads=False).parse_args()
    program = Path(sys.executable).parent / "gentickets"
    found = str(program) if program.exists() else shutil.which("gentickets")
    if found is None:
        raise SystemExit("no 'gentickets' command beside this Python: pip install -e .")
    print(machine())
    arms = {f"gentickets {words}": answer([found, *words.split()]) for words in COMMANDS}
    arms["python -c pass"] = answer([sys.executable, "-c", "pass"])
    times = in_turn(arms, 5 if chosen.quick else 15)
    table("Cold start, files in the disk cache", times, "python -c pass")
    for words in COMMANDS:
        seconds = sorted(times[f"gentickets {words}"])
        goal(f"gentickets {words}, s", seconds[len(seconds) // 2], MOST)


if __name__ == "__main__":
    main()
