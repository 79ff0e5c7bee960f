"""Bytes of stored files flipped and cut, over all kinds of file."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promises import broken
from promises.commands import forked
from promises.part import Part, World

FLIPS = 100
"""Tries in one batch."""
Read = Callable[[Path, Path], object]
"""(the run's folder, the file) -> what it holds, in a form that compares."""


def flips(world: World, number: int) -> str | None:
    """One file of one kind, flipped or cut a hundred times: noticed (status 3), or without effect."""
    files = _stored(world)
    run, path, read = files[number % len(files)]
    place = world.scratch(number)
    try:
        copy = Path(shutil.copytree(run, place / run.name))
        file = copy / path
        data, before = file.read_bytes(), _said(read, copy, file)
        assert before[0] == "sound", f"{path} is read as {before}"
        broken.apply(world.broken)
        chance = random.Random(number)
        for _ in range(FLIPS):
            changed = damaged(data, chance)
            file.write_bytes(changed)
            after = _said(read, copy, file)
            world.kept[after[0]] = world.kept.get(after[0], 0) + 1
            if after[0] == "sound" and after != before:
                return f"{path}: a change that has an effect was not noticed"
            if after[0] == "error":
                return f"{path}: {after[1]}"
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _stored(world: World) -> list[tuple[Path, Path, Read]]:
    """One file of each kind that runs store, with what reads it."""
    if "stored" not in world.kept:
        world.kept["stored"] = _gathered(world)
    found: list[tuple[Path, Path, Read]] = world.kept["stored"]
    return found


def _gathered(world: World) -> list[tuple[Path, Path, Read]]:
    for case in world.cases:
        world.whole(case)
    whole = world.folder / "whole"
    stopped = _stopped(world)
    wanted: list[tuple[Path, str, Read]] = [
        (whole / "vae", "run.json", _show), (whole / "vae", "seed-*/ticket/round-01/result.json", _show),
        (whole / "vae", "seed-*/ticket/round-01/ticket.safetensors", _ticket),
        (whole / "vae", "seed-*/ticket/round-01/trained.safetensors", _snapshot),
        (whole / "ae", "seed-*/shuffle/round-01/result.json", _show),
        (whole / "ae", "seed-*/ticket/round-01/reconstructions.png", _show),
        (whole / "gan", "seed-*/ticket/round-00/trained.safetensors", _snapshot),
        (whole / "gan", "features.safetensors", _features),
        (whole / "early_bird", "seed-*/search/round-00/result.json", _show),
        (whole / "transfer", "source/source.json", _source),
        (whole / "transfer", "seed-*/transfer/round-01/result.json", _show),
        (whole / "verdict", "seed-*/beside/round-01/result.json", _show),
        (whole / "verdict", "run.json", _show),
        (stopped, "seed-*/*/round-*/progress.safetensors", _snapshot),
        (whole / "portable", "seed-*/ticket/round-01/portable.safetensors", _portable),
    ]  # fmt: skip
    found = []
    for run, pattern, read in wanted:
        files = sorted(run.glob(pattern))
        assert files, f"{run.name} has no {pattern}"
        found.append((run, files[-1].relative_to(run), read))
    return found


def _stopped(world: World) -> Path:
    """A run that was killed in the middle of a round, and one with portable tickets."""
    from promises.faults import environment, install
    from promises.kills import OFTEN

    case, place = world.named("vae"), world.folder / "whole" / "stopped"
    portable = world.folder / "whole" / "portable"
    if not portable.exists():
        forked(case.command(portable, "--portable"), world.folder)
    for at in range(30, 200, 5):
        if list(place.glob("seed-*/*/*/progress.safetensors")):
            break
        shutil.rmtree(place, ignore_errors=True)
        count = world.folder / f"stopped-{at}"

        def prepare(at: int = at, count: Path = count) -> None:
            os.environ |= environment(place, f"kill@{at}", count)
            install()

        forked(case.command(place, *OFTEN), world.folder, prepare)
    return place


def _said(read: Read, run: Path, file: Path) -> tuple[str, str]:
    """``sound`` with what the file holds, ``noticed`` with the sentence, or ``error`` with what went wrong."""
    from gentickets.errors import Status, TicketError

    try:
        return "sound", str(read(run, file))
    except TicketError as error:
        return (
            ("noticed", str(error)) if error.status is Status.TICKET else ("error", f"status {error.status}: {error}")
        )
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def _show(run: Path, file: Path) -> object:
    """What `gentickets show RUN --json` prints."""
    from gentickets_cli.show import show

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
        show.main([str(run), "--json"], standalone_mode=False)
    return shown.getvalue()


def _ticket(run: Path, file: Path) -> object:
    from gentickets.runs.formats import read_ticket

    ticket, recipe = read_ticket(file)
    return [plain({**ticket.weights, **ticket.mask}), ticket.origin, recipe]


def _snapshot(run: Path, file: Path) -> object:
    from gentickets.runs.formats import read_snapshot

    snapshot, notes, tensors = read_snapshot(file)
    return [snapshot.step, plain(snapshot.weights), plain(snapshot.optim), notes, plain(tensors)]


def _portable(run: Path, file: Path) -> object:
    from gentickets.runs.portable import read_portable

    portable, recipe = read_portable(file)
    return [plain({**portable.mask, **portable.norms}), plain(portable.positive), recipe]


def _features(run: Path, file: Path) -> object:
    from gentickets.data import load
    from gentickets.quality.features import parse_extractor

    return parse_extractor(file.read_bytes(), file, load("digits")).hash


def _source(run: Path, file: Path) -> object:
    from gentickets.experiment.transfer_source import StoredSource
    from gentickets.runs.folder import RunFolder

    return StoredSource(RunFolder(run)).record


def plain(tensors: Any) -> dict[str, bytes]:
    """Tensors in a form that compares."""
    return {name: value.contiguous().numpy().tobytes() for name, value in sorted(tensors.items())}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A bit flipped, a byte replaced, a stretch cut out, doubled or overwritten, or the end cut off."""
    at, much = chance.randrange(len(data)), chance.randint(1, 64)
    kind = chance.randrange(6)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + data[at + much :]
    if kind == 4:
        return data[: at + much] + data[at:]
    return data[:at] + chance.randbytes(much) + data[at + much :]


FILES = Part(
    "files",
    "A stored file that is flipped or cut anywhere is noticed (status 3, one line), or holds what it held before.",
    10_000, 1_400, flips,
    {"checksum": "checksums are not compared", "figures": "results are read without their checksum"},
    FLIPS, prepare=lambda world: _stored(world),
)  # fmt: skip
