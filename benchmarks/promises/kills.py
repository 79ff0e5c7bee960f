"""SIGKILL at every write and at random moments, of parent and worker; disks that fill up or fail at every write."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from promises import broken, faults
from promises.cases import Case, difference, leftovers
from promises.commands import Ended, end_group, finish, forked, start, workers_of
from promises.part import Part, World, whole_runs

OFTEN = ("--checkpoint", "0")
"""States stored after every step, so that kills meet writes."""


def kill(world: World, number: int) -> str | None:
    """Three tries in four strike at a write of a forked command, the fourth a worker or a parent at any time."""
    case = world.case(number // 2 if number % 4 == 3 else number)
    whole = world.whole(case)
    place = world.scratch(number)
    command = _often(case, case.command(place / "run"))
    try:
        if number % 4 == 3:
            _kill_at_random(command, place, number)
        else:
            _strike(world, case, "kill", number, command, place)
        return _gone_on(world, command, place, whole)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def fail(world: World, number: int) -> str | None:
    """A disk that is full, or that fails, from one write on: status 5 and one line; with room again it goes on."""
    case = world.case(number // 2)
    whole = world.whole(case)
    place = world.scratch(number)
    command = _often(case, case.command(place / "run"))
    try:
        ended = _strike(world, case, "enospc" if number % 2 else "eio", number, command, place)
        if ended.status not in (5, 0, 7):
            return f"{case.name}: status {ended.status}: {ended.stderr[-200:]!r}"
        if (unclear := ended.unclear()) is not None:
            return f"{case.name}: {unclear}"
        return _gone_on(world, command, place, whole)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _often(case: Case, command: list[str]) -> list[str]:
    return command if case.name == "transfer" else [*command, *OFTEN]


def _strike(world: World, case: Case, kind: str, number: int, command: list[str], place: Path) -> Ended:
    """Run a command whose n-th moment has the fault: every n in turn, over the tries of a case."""
    total = _moments(world, case)
    at = 1 + (number * 7919) % total
    count = place / "count"

    def prepare() -> None:
        os.environ |= faults.environment(place / "run", f"{kind}@{at}", count)
        faults.install()
        broken.apply(world.broken)

    return forked(command, place, prepare)


def _counted(world: World) -> None:
    whole_runs(world)
    for case in world.cases:
        _moments(world, case)


def _moments(world: World, case: Case) -> int:
    """How many moments the case's command has."""
    known = world.kept.setdefault("moments", {})
    if case.name not in known:
        place = world.scratch(10_000_000)
        count = place / "count"

        def prepare() -> None:
            os.environ |= faults.environment(place / "run", "none@0", count)
            faults.install()

        forked(_often(case, case.command(place / "run")), place, prepare)
        known[case.name] = faults.moments(count)
        shutil.rmtree(place, ignore_errors=True)
        assert known[case.name] > 20, f"{case.name} wrote {known[case.name]} times only"
    return int(known[case.name])


def _kill_at_random(command: list[str], place: Path, number: int) -> None:
    """Kill the parent or its worker, of a command with one worker, at a random moment of its life."""
    chance = random.Random(number)
    process = start([*command, "--jobs", "1"], place)
    time.sleep(chance.uniform(0.2, 9.0))
    workers = workers_of(process.pid)
    if workers and chance.random() < 0.5:
        os.kill(chance.choice(workers), signal.SIGKILL)
        finish(process)
        return
    process.kill()
    finish(process)
    time.sleep(0.3)  # its worker ends by itself as the pipe closes
    end_group(process.pid)


def _gone_on(world: World, command: list[str], place: Path, whole: dict[str, str]) -> str | None:
    ended = forked(command, place, lambda: broken.apply(world.broken))
    if ended.status not in (0, 7):
        return f"the same command ended with {ended.status}: {ended.stderr[-300:]!r}"
    return difference(place / "run", whole) or leftovers(place / "run")


KILLS = Part(
    "kills",
    "A command that is killed (SIGKILL, at a write or at any moment; parent or worker) ends with the same bytes when "
    "it is given again.",
    200, 6, kill,
    {"atomic": "files are written in place instead of as drafts", "state": "stored states forget the optimizers"},
    prepare=lambda world: _counted(world),
)  # fmt: skip
DISK = Part(
    "disk",
    "A disk that is full or fails from any write on ends the command with status 5 and one line; with room again, the "
    "same command ends with the same bytes.",
    200, 2, fail,
    {"disk": "errors of the disk are swallowed"},
    prepare=lambda world: _counted(world),
)  # fmt: skip
