"""The promises, measured: how often each was tried, and how often it held.

    python benchmarks/reliability.py                    # every part, then docs/reliability.md
    python benchmarks/reliability.py --part kills       # one part; given again, it goes on where it was stopped
    python benchmarks/reliability.py --short            # fewer tries; nothing is written
    python benchmarks/reliability.py --broken NAME      # one guard patched away: it has to end red

Each part is tried on recipes of its own that take seconds. Progress is kept in ``build/reliability``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HOME = HERE.parent
sys.path.insert(0, str(HERE))

from promises import commands, damage, headers, kills, lists, signals, values  # noqa: E402
from promises.part import Part, World  # noqa: E402
from promises.table import render  # noqa: E402

PARTS: tuple[Part, ...] = (
    kills.KILLS, kills.DISK, damage.FILES, headers.TENSORS, values.VALUES, signals.SIGNALS, signals.STARTED,
    lists.BROKEN_RECIPES, lists.MASKS,
)  # fmt: skip
STATE = HOME / "build" / "reliability"
RECORD, PAGE = HOME / "docs" / "reliability.json", HOME / "docs" / "reliability.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; exit status 1 where a promise did not hold, or a broken guard stayed unseen."""
    asked = _parse(arguments)
    parts = [part for part in PARTS if asked.part in (None, part.name)]
    if asked.broken is not None:
        return _controls([part for part in parts if asked.broken == "all" or asked.broken in part.broken], asked)
    red = False
    with ExitStack() as stack:
        # in short all parts share the runs that nobody interrupts, which take longer to make than the tries
        shared = stack.enter_context(_working(None)) if asked.short else None
        for part in parts:
            tries = asked.tries or (part.short if asked.short else part.tries)
            found = _run(part, tries, asked.jobs, keep=not asked.short, world=shared)
            red |= found["held"] < found["tried"]
            _say(part, found)
            if not asked.short:
                _record("parts", part.name, found)
    return int(red)


@contextmanager
def _working(guard: str | None) -> Iterator[World]:
    """A folder to work in, with a cache of its own; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
        os.environ["GENTICKETS_CACHE"] = str(Path(folder) / "cache")
        commands.warm()
        yield World(Path(folder), guard)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=[part.name for part in PARTS])
    parser.add_argument("--short", action="store_true", help="few tries, nothing written: what CI runs")
    parser.add_argument("--tries", type=int, help="another number of tries than the part's own")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (2)")
    known = sorted({name for part in PARTS for name in part.broken})
    parser.add_argument("--broken", choices=["all", *known], help="patch a guard away; it must end red")
    return parser.parse_args(arguments)


def _run(
    part: Part, tries: int, jobs: int, *, keep: bool, guard: str | None = None, world: World | None = None
) -> dict[str, Any]:
    """Every try of a part, those aside that an earlier command has made at the same commit."""
    calls = -(-tries // part.batch)
    log = STATE / f"{part.name}-{_commit()}.jsonl"
    known = {one["number"]: one for one in _lines(log)} if keep else {}
    left = [number for number in range(calls) if number not in known]
    started = time.monotonic()
    for number, why, seconds in _tried(part, left, jobs, guard, world):
        known[number] = {"number": number, "why": why, "seconds": round(seconds, 2)}
        if keep:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[number]) + "\n")
        if guard is not None and why is not None:
            break
    wrong = [known[number]["why"] for number in sorted(known) if number < calls and known[number]["why"]]
    count = min(calls, len(known))
    return {
        "tried": count * part.batch, "held": (count - len(wrong)) * part.batch, "wrong": wrong[:5],
        "seconds": round(sum(one["seconds"] for one in known.values()) / max(1, jobs) if keep
                         else time.monotonic() - started),
        **_where(),
    }  # fmt: skip


def _tried(
    part: Part, numbers: list[int], jobs: int, guard: str | None, world: World | None
) -> Iterator[tuple[int, str | None, float]]:
    """Numbers with what came of them, as forks of this process work through them."""
    if not numbers:
        return
    with _working(guard) if world is None else nullcontext(world) as where:
        _TRYING[:] = [part, where]
        part.prepare(where)
        stretches = [numbers[at : at + part.chain] for at in range(0, len(numbers), part.chain)]
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            try:
                for done in as_completed([pool.submit(_work, stretch) for stretch in stretches]):
                    yield from done.result()
            finally:  # who has seen enough waits for no more than what is being tried
                pool.shutdown(cancel_futures=True)


_TRYING: list[Any] = []
"""The part and its world, which the forks inherit."""


def _work(numbers: Sequence[int]) -> list[tuple[int, str | None, float]]:
    part, world = _TRYING
    found = []
    for number in numbers:
        started = time.monotonic()
        try:
            why = part.attempt(world, number)
        except Exception as error:
            why = f"the try itself failed: {type(error).__name__}: {error}"
        found.append((number, why and why.replace(str(world.folder), "."), time.monotonic() - started))
    return found


def _controls(parts: Sequence[Part], asked: argparse.Namespace) -> int:
    """Each negative control in turn: with a guard patched away, the part has to end red."""
    unseen = False
    for part in parts:
        for guard, takes in part.broken.items():
            if asked.broken not in ("all", guard):
                continue
            found = _run(part, asked.tries or 2 * part.short, asked.jobs, keep=False, guard=guard)
            red = found["held"] < found["tried"]
            unseen |= not red
            said = f"red after {found['tried']} tries: {found['wrong'][0]}" if red else "NOT SEEN"
            print(f"{part.name}, broken '{guard}' ({takes}): {said}", flush=True)
            _record("controls", f"{part.name}/{guard}", {"takes": takes, "red": red, **found})
    return int(unseen)


def _say(part: Part, found: dict[str, Any]) -> None:
    print(f"{part.name}: {found['held']:,} of {found['tried']:,} held, {found['seconds']} s", flush=True)
    for why in found["wrong"]:
        print(f"  {why}", flush=True)


def _record(kind: str, name: str, found: dict[str, Any]) -> None:
    """Merge a part's figures into the stored ones, and write the page anew from them."""
    stored = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"parts": {}, "controls": {}}
    stored[kind][name] = found
    RECORD.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(render(stored, PARTS), encoding="utf-8")


def _where() -> dict[str, str]:
    from importlib.metadata import version

    from gentickets.experiment.start_record import processor

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "safetensors"))
    return {"date": time.strftime("%Y-%m-%d"), "commit": _commit(), "versions": versions,
            "machine": f"{processor()}, {os.cpu_count()} cores"}  # fmt: skip


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HOME, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def _lines(log: Path) -> list[dict[str, Any]]:
    found = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:  # the last line of a command that was killed
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
