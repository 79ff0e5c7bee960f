"""Ctrl-C, SIGTERM and SIGHUP at random moments, many times a run; many starts at the same moment."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

from promises import broken, faults
from promises.cases import difference, leftovers
from promises.commands import Ended, end_group, finish, forked, start
from promises.part import Part, World, whole_runs

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
AWAKE = 0.35
"""Seconds until the first signal may come: about as long as the interpreter takes to start."""
STARTS, AT_LARGE = 50, 6
"""Commands at the same moment; and so many where no lock keeps all but one from working, which a machine must bear."""


def send(world: World, number: int) -> str | None:
    """One signal; every fourth time the run is then let go on to its end and compared."""
    case = world.cases[(number // 4) % len(world.cases)]
    whole = world.whole(case)
    place = world.folder / f"signals-{number // 4}"
    place.mkdir(parents=True, exist_ok=True)
    kind = list(STATUS)[number % 3]
    command = case.command(place / "run", "--jobs", "2")
    chance = random.Random(number)
    process = start(command, place, broken.environment(world.broken))
    time.sleep(chance.uniform(AWAKE, 6.0))
    process.send_signal(kind)
    ended = finish(process)
    end_group(process.pid)
    if ended.status == -kind and not (place / "run" / "run.json").exists():
        return None  # it met the interpreter, before the command line was up
    if ended.status not in (STATUS[kind], 0, 7):
        return f"{case.name}: {kind.name} ends with {ended.status}: {ended.stderr[-300:]!r}"
    if (unclear := ended.unclear()) is not None:
        return f"{case.name}: {kind.name}: {unclear}"
    if number % 4 < 3:
        return None
    return _ends(world, case.command(place / "run"), place, whole)


def _ends(world: World, command: list[str], place: Path, whole: dict[str, str]) -> str | None:
    try:
        ended: Ended = forked(command, place)
        if ended.status not in (0, 7):
            return f"the same command ended with {ended.status}: {ended.stderr[-300:]!r}"
        return difference(place / "run", whole) or leftovers(place / "run")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def together(world: World, number: int) -> str | None:
    """Fifty starts of one command: one works, the others end with status 6 and one line, or find it finished."""
    case = world.named("vae")
    whole = world.whole(case)
    place = world.scratch(number)
    try:
        log = place / "log"
        environment = {**faults.environment(place / "run", "log@0", log), **broken.environment(world.broken)}
        count = AT_LARGE if world.broken else STARTS
        processes = [start(case.command(place / "run", "--jobs", "1"), place, environment) for _ in range(count)]
        ended = [finish(process) for process in processes]
        wrong = [one for one in ended if one.status not in (0, 6) or one.unclear()]
        if wrong:
            return f"status {wrong[0].status}: {wrong[0].stderr[-300:]!r}"
        if all(one.status == 6 for one in ended):
            return "none of them worked"
        stored = [line for line in log.read_text().splitlines() if line.endswith("/result.json")]
        if twice := sorted({line for line in stored if stored.count(line) > 1}):
            return f"{len(twice)} rounds were worked on more than once"
        return difference(place / "run", whole)
    finally:
        shutil.rmtree(place, ignore_errors=True)


SIGNALS = Part(
    "signals",
    "Ctrl-C, SIGTERM and SIGHUP end a command with their status and one line, whenever they come; the same command "
    "then ends with the same bytes.",
    120, 3, send,
    {"signals": "signals are not caught"},
    chain=4, prepare=whole_runs,
)  # fmt: skip
STARTED = Part(
    "starts",
    "Of many commands that start in one folder at the same moment one works; the others end with status 6, one line.",
    STARTS, STARTS, together,
    {"lock": "folders are not locked"},
    STARTS, prepare=whole_runs,
)  # fmt: skip
