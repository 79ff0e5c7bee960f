"""Lists the benchmarks, or runs them and writes their goals into one table and one JSON file.

    python -m benchmarks                          # what there is
    python -m benchmarks all [--quick]            # every program but those that run by name only
    python -m benchmarks step engine [--quick]    # some of them
    python -m benchmarks fast -- --threads 1      # what follows -- goes to each program

Each program runs in a process of its own, one after the other, as ``python benchmarks/NAME.py`` would. What it prints
is shown and kept in ``--out`` (build/benchmarks), beside ``benchmarks.md`` and ``benchmarks.json``, which are written
anew after each program. Exit status 1 where a program failed; a goal that is missed stands in the table.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # where the programs find what they share, and so does this one

from goals import GOALS, TRY_AGAIN  # noqa: E402

TRIES = 3
"""How often a program may start."""


@dataclass(frozen=True)
class Program:
    """How one program of this folder is run."""

    arguments: tuple[str, ...] = ()
    """What the measurement in README is made with."""
    quick: tuple[str, ...] = ("--quick",)
    by_name_only: str = ""
    """Why ``all`` leaves it out."""


PROGRAMS = {
    "step": Program(),
    "masked_training": Program(),
    "engine": Program(),
    "thresholds": Program(),
    "fast": Program(),
    "penalty": Program(),
    "compact": Program(("--threads", "2")),
    "flop_counters": Program(quick=()),
    "early_bird_null": Program(),
    "alignment": Program(),
    "verdicts": Program(by_name_only="15 minutes, and writes docs/error_rates.md"),
    "spending": Program(),
    "habits": Program(),
    "planted": Program(),
    "cold_start": Program(),
    "house": Program(quick=()),
    "table2": Program(by_name_only="needs MNIST: give it -- --data FOLDER, or -- --download"),
    "reliability": Program(quick=("--short",), by_name_only="45 minutes, and writes docs/reliability.md"),
}


@dataclass(frozen=True)
class Run:
    """What came out of one program."""

    program: str
    command: str
    status: int
    seconds: float
    goals: list[dict[str, Any]]


def title(name: str) -> str:
    """The first line of a program's docstring."""
    docstring = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def listing() -> str:
    """Every program in a line, with the reason where ``all`` leaves it out."""
    notes = {name: f" ({program.by_name_only})" if program.by_name_only else "" for name, program in PROGRAMS.items()}
    return "\n".join(f"{name:<16} {title(name)}{note}" for name, note in notes.items())


def run(name: str, arguments: Sequence[str], out: Path) -> Run:
    """Run one program, again where it cannot measure in this process; what it prints goes to the terminal and a file.

    Args:
        name: Of ``PROGRAMS``.
        arguments: What it is given.
        out: The folder for NAME.txt.
    """
    words = [os.path.relpath(HERE / f"{name}.py"), *arguments]
    goals = out / f"{name}.goals"
    start = time.perf_counter()
    for _ in range(TRIES):
        goals.write_text("", encoding="utf-8")
        status = _shown([sys.executable, *words], out / f"{name}.txt", {**os.environ, GOALS: str(goals.resolve())})
        if status != TRY_AGAIN:
            break
    found = [json.loads(line) for line in goals.read_text(encoding="utf-8").splitlines()]
    goals.unlink()
    return Run(name, " ".join(["python", *words]), status, round(time.perf_counter() - start, 1), found)


def _shown(command: Sequence[str], log: Path, env: dict[str, str]) -> int:
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process,
    ):
        for line in process.stdout or ():
            print(line, end="", flush=True)
            file.write(line)
    return process.returncode


def about(quick: bool) -> dict[str, Any]:
    """What all figures of one call share: when, of which commit, with what, where."""
    from measure import machine

    from gentickets.experiment.start_record import versions

    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
    date = time.strftime("%Y-%m-%d")
    return {"date": date, "commit": commit or "unknown", "machine": machine(), "versions": versions(), "quick": quick}


def table(shared: dict[str, Any], runs: Sequence[Run]) -> str:
    """All goals in one table, with a line for a program that has none or failed."""
    lines = [
        f"# Benchmarks{', quick: figures are rough' if shared['quick'] else ''}\n",
        f"{shared['date']}, commit {shared['commit']}; {shared['machine']}; "
        + ", ".join(f"{name} {version}" for name, version in shared["versions"].items()),
        "\n| program | goal | measured | at most | | seconds |\n|---|---|---|---|---|---|",
    ]
    for one in runs:
        lines += [
            f"| {one.program} | {goal['name']} | {_number(goal)} | {goal['most']:.4g} | {goal['outcome']} | |"
            for goal in one.goals
        ]
        lines.append(f"| `{one.command}` | | | | {_ended(one)} | {one.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def _number(goal: dict[str, Any]) -> str:
    return f"{goal['measured']:.3f}" + (f" ± {goal['error']:.3f}" if goal["error"] else "")


def _ended(one: Run) -> str:
    return "done" if not one.status else "could not measure" if one.status == TRY_AGAIN else f"failed ({one.status})"


def main(words: Sequence[str] | None = None) -> int:
    """List the programs, or run those that are named."""
    given = list(sys.argv[1:] if words is None else words)
    cut = given.index("--") if "--" in given else len(given)
    asked = _parse(given[:cut])
    if not (asked.names or asked.quick):
        print(listing())
        return 0
    names = [name for name in PROGRAMS if name in asked.names or not PROGRAMS[name].by_name_only]
    if asked.names and "all" not in asked.names:
        names = asked.names
    asked.out.mkdir(parents=True, exist_ok=True)
    shared, runs = about(asked.quick), list[Run]()
    for name in names:
        program = PROGRAMS[name]
        arguments = [*program.arguments, *(program.quick if asked.quick else ()), *given[cut + 1 :]]
        print(f"\n== {name}: {title(name)}", flush=True)
        runs.append(run(name, arguments, asked.out))
        everything = {**shared, "programs": [asdict(one) for one in runs]}
        (asked.out / "benchmarks.json").write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
        (asked.out / "benchmarks.md").write_text(table(shared, runs), encoding="utf-8")
    print(f"\n{table(shared, runs)}\nwritten: {asked.out / 'benchmarks.md'}, {asked.out / 'benchmarks.json'}")
    return int(any(one.status for one in runs))


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"'all', or of {', '.join(PROGRAMS)}")
    parser.add_argument("--quick", action="store_true", help="few repeats: about ten minutes altogether")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="where results are written")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.names if name not in ("all", *PROGRAMS)]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(PROGRAMS)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
