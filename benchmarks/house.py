"""How large the house is: the files that `find tiny` passes through, and the lines of the rooms over the methods.

python benchmarks/house.py [--house FOLDER]

A file counts as passed through where one of its functions is called, in the command or in a worker; that it is imported
does not. ``--house`` counts another checkout of gentickets (``git worktree add FOLDER COMMIT``): an older one, say.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
ROOMS = ("analysis", "report", "verdict", "experiment", "actions")
"""Results, verdicts, runs, and what is done with them; an older house has some of these."""
LOOP = "training/loop.py"
ON_EXIT = """
import atexit, os, sys, threading

def passed(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_flags & 1:  # a function: no module, no body of a class
        files.setdefault(code.co_filename)

def say():
    sys.setprofile(None)
    with open(os.path.join(os.environ["PASSED"], str(os.getpid())), "w") as file:
        file.write("\\n".join(files))

files = {}
atexit.register(say)
threading.setprofile(passed)
sys.setprofile(passed)
"""
"""What every process of the run executes as it starts: it writes the files whose functions it has called, in order."""


def passed_through(house: Path) -> tuple[list[str], list[list[str]]]:
    """The files of a checkout that `find tiny` calls functions of: all, and those of each process in their order."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rooms = {"gentickets": "gentickets", "gentickets_cli": "cli", "gentickets_recipes": "recipes"}
        for name, room in rooms.items():
            (folder / "site").mkdir(exist_ok=True)
            (folder / "site" / name).symlink_to(house / room)
        (folder / "site" / "sitecustomize.py").write_text(ON_EXIT, encoding="utf-8")
        (folder / "passed").mkdir()
        env = os.environ | {"PYTHONPATH": str(folder / "site"), "PASSED": str(folder / "passed")}
        command = [sys.executable, "-m", "gentickets_cli", "find", "tiny", "--out", "run", "--jobs", "1"]
        subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
        noted = [path.read_text(encoding="utf-8").splitlines() for path in (folder / "passed").iterdir()]
        processes = [[found for line in lines if (found := _of_house(line, house, folder))] for lines in noted]
    return sorted({file for process in processes for file in process}), processes


def _of_house(line: str, house: Path, folder: Path) -> str:
    """A file by its place in the checkout; empty for one of another package."""
    place = os.path.realpath(line)
    return os.path.relpath(place, house) if place.startswith(f"{house}{os.sep}") else ""


def lines(house: Path) -> dict[str, tuple[int, int]]:
    """Room -> its files of Python and their lines."""
    found = {}
    for room in ROOMS:
        if files := sorted((house / "gentickets" / room).rglob("*.py")):
            found[room] = len(files), sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    return found


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description="Files that `find tiny` passes through, and lines.")
    parser.add_argument("--house", type=Path, default=HERE, help="another checkout of gentickets")
    house = parser.parse_args().house.resolve()
    files, processes = passed_through(house)
    loop = next((one.index(f"gentickets/{LOOP}") + 1 for one in processes if f"gentickets/{LOOP}" in one), None)
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    print("commit", subprocess.run(git, cwd=house, capture_output=True, text=True, check=False).stdout.strip())
    print(f"find tiny passes through {len(files)} files; in its worker the training loop is number {loop}")
    counted = lines(house)
    for room, (number, length) in counted.items():
        print(f"  {room:<12}{number:>4} files{length:>7,} lines")
    total = [sum(pair) for pair in zip(*counted.values(), strict=True)]
    print(f"  {'together':<12}{total[0]:>4} files{total[1]:>7,} lines")


if __name__ == "__main__":
    main()
