"""Finds the tickets that a transfer takes from a run, a ticket or a portable file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gentickets.actions.locate import dense_beside, place_in_run, recipe_of, ticket_at
from gentickets.arms import TRANSFER, UNMASKED
from gentickets.errors import TicketError
from gentickets.files.belonging import PORTABLE, owner_of
from gentickets.portable import portable_of
from gentickets.runs.folder import RoundFolder, RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.runs.portable import is_portable, pack_portable, read_portable
from gentickets.tasks import Task
from gentickets.tickets import Origin


@dataclass(frozen=True)
class SourceTicket:
    """One ticket of a source on disk, with what lies beside it."""

    ticket: Path
    """The ticket's file, or a portable one."""
    dense: Path | None = None
    """The dense ticket of its run and seed, all early weights."""

    @property
    def trained(self) -> Path:
        """The network that was trained from it."""
        return self.ticket.with_name("trained.safetensors")


@dataclass(frozen=True)
class TransferSource:
    """A source as it lies on disk: seed -> round -> ticket."""

    name: str
    path: Path
    levels: Mapping[int, Mapping[int, SourceTicket]]
    identity: str | None = None
    """Of the run that it is, or lies in."""

    @property
    def first(self) -> SourceTicket:
        """The first seed's first level, to learn the networks from."""
        return next(iter(next(iter(self.levels.values())).values()))


def find_source(path: Path) -> TransferSource:
    """The tickets that a path means: those of a run, one ticket, or a portable file.

    Raises TicketError where a run has no finished ticket, a ticket is dense or compact, or the path is nothing of that
    kind.
    """
    if (path / "run.json").is_file():
        levels = _levels_of_run(RunFolder(path))
        if not levels and not recipe_of(RunFolder(path)).prunes:
            raise TicketError(f"{path} is a sweep of widths, which finds no tickets")
        if not levels:
            raise TicketError(f"{path} is a run that has no finished ticket to transfer; resume it first")
        return TransferSource(path.resolve().name, path, levels, _identity(path))
    file = ticket_at(path)
    if is_portable(file):
        portable, _ = read_portable(file)
        level = SourceTicket(file)
        return TransferSource(_name_of(file), path, {_label(file, portable.origin): {portable.origin.round: level}})
    ticket, _ = read_ticket(file)
    if ticket.mask.density == 1:
        raise TicketError(f"{file} is a dense ticket, with nothing pruned to carry over; name one of a later round")
    level = SourceTicket(file, _dense_of(file))
    place = place_in_run(file)
    identity = None if place is None else _identity(place[0])
    levels = {_label(file, ticket.origin): {ticket.origin.round: level}}
    return TransferSource(_name_of(file), path, levels, identity)


def _label(file: Path, origin: Origin) -> int:
    """The repetition that a ticket is of, where it lies in a run; else its seed."""
    place = place_in_run(file)
    return origin.seed if place is None else int(place[1].removeprefix("seed-"))


def _identity(run: Path) -> str | None:
    owner = owner_of(run)
    return owner and owner.identity


def _dense_of(file: Path) -> Path | None:
    """The dense ticket with the same early weights, of a ticket in a run; None where the run has none.

    A ticket that was carried over has those of the arm without a mask, and not those of its own run's dense model.
    """
    place = place_in_run(file)
    if place is None or place[2] == "ticket":
        return dense_beside(file)
    unmasked = file.parents[2] / UNMASKED / place[3] / file.name
    return unmasked if place[2] == TRANSFER and unmasked.is_file() else None


def _name_of(file: Path) -> str:
    place = place_in_run(file)
    return file.stem if place is None else f"{place[0].name}-{place[1]}-{place[3]}"


def _levels_of_run(run: RunFolder) -> dict[int, dict[int, SourceTicket]]:
    found: dict[int, dict[int, SourceTicket]] = {}
    cells = [cell for cell in run.path.glob("seed-*/ticket") if re.fullmatch(r"seed-\d+", cell.parent.name)]
    for cell in cells:
        seed = int(cell.parent.name.removeprefix("seed-"))
        dense = run.round(seed, "ticket", 0)
        for folder in sorted(cell.glob("round-*")):
            here = RoundFolder(folder)
            result = here.read_result()
            if result is not None and result.status == "done" and result.round:
                found.setdefault(seed, {})[result.round] = SourceTicket(here.ticket, dense.ticket)
    return dict(sorted(found.items()))


def nearest_levels(densities: Mapping[int, float], wanted: Mapping[int, float], keep: float) -> dict[int, int]:
    """Target round -> the source's round of nearest density, by its logarithm; each source round serves one at most.

    ``densities``: the source's rounds; ``wanted``: the target's. A level that is a round's ``keep`` or more away serves
    none, and a target's round to which no level is left has none.
    """

    def apart(source: int, target: int) -> float:
        return abs(math.log(max(densities[source], 1e-9) / wanted[target]))

    found: dict[int, int] = {}
    for source in densities:
        target = min(wanted, key=lambda round: apart(source, round))
        if apart(source, target) >= -math.log(keep):
            continue
        if target not in found or apart(source, target) < apart(found[target], target):
            found[target] = source
    return dict(sorted(found.items()))


def served(sources: Mapping[int, int], targets: Mapping[int, int]) -> dict[int, int]:
    """The target's repetition -> the source's that serves it; both are given with their random seeds.

    That of the same number, where its random seed is another one. Else any with another random seed, if there is one,
    each as often as the others: networks of the same shapes begin alike from the same seed, so that a ticket carried to
    its own seed would not have left its initialization.
    """
    found: dict[int, int] = {}
    for place, (target, drawn) in enumerate(targets.items()):
        if sources.get(target, drawn) != drawn:
            found[target] = target
            continue
        others = [label for label, seed in sources.items() if seed != drawn] or list(sources)
        uses = list(found.values())
        turn = {label: (number - place - 1) % len(sources) for number, label in enumerate(sources)}
        found[target] = min(others, key=lambda label: (uses.count(label), turn[label]))
    return found


def files_of(
    found: TransferSource, moves: str, align: bool, seeds: Sequence[int], rounds: Mapping[int, int], task: Task
) -> dict[str, bytes]:
    """The files to keep: tickets of the levels and the dense ones, and trained weights, or signs, where they move."""
    kept: dict[str, bytes] = {}
    for seed in dict.fromkeys(seeds):
        levels = found.levels[seed]
        for round in sorted(set(rounds.values())):
            if round not in levels:
                raise TicketError(f"seed {seed} of {found.path} has no finished ticket of round {round}")
            kept |= _files_of_level(levels[round], f"seed-{seed}/ticket/round-{round:02d}", moves, task)
        dense = levels[next(iter(rounds.values()))].dense
        if dense is not None and dense.is_file():
            read_ticket(dense)  # a damaged file is reported before anything runs
            kept[f"seed-{seed}/ticket/round-00/ticket.safetensors"] = dense.read_bytes()
            grown = dense.with_name("trained.safetensors")
            if align or moves == "trained":
                kept[f"seed-{seed}/ticket/round-00/trained.safetensors"] = _grown(grown, "the source's dense run")
        elif align:
            raise TicketError(
                "channels are matched with the source's trained dense run: name its run, or a ticket inside"
            )
    return kept


def _files_of_level(level: SourceTicket, place: str, moves: str, task: Task) -> dict[str, bytes]:
    if is_portable(level.ticket):
        if moves not in ("signs", "mask"):
            message = f"{level.ticket} is portable: it holds a mask and signs, and no weights"
            raise TicketError(f"{message}; use --moves signs, or --moves mask")
        return {f"{place}/{PORTABLE}": level.ticket.read_bytes()}
    ticket, recipe = read_ticket(level.ticket)
    if ticket.channels is not None:
        message = f"{level.ticket} is compact: a narrower network, and no mask of the recipe's"
        raise TicketError(f'{message}; tickets by weights can be carried over ([search] by = "weights")')
    kept = {f"{place}/ticket.safetensors": level.ticket.read_bytes()}
    if moves == "trained":
        kept[f"{place}/trained.safetensors"] = _grown(level.trained, str(level.ticket))
    if moves == "signs":
        _grown(level.trained, str(level.ticket))
        trained = read_snapshot(level.trained)[0].weights
        kept[f"{place}/{PORTABLE}"] = pack_portable(portable_of(ticket, trained, task), recipe)
    return kept


def _grown(path: Path, of: str) -> bytes:
    """The bytes of a trained network, which is sound."""
    if not path.is_file():
        message = f"{of} has no trained network beside it; a run keeps them with: gentickets find RECIPE --keep all"
        raise TicketError(message)
    read_snapshot(path)
    return path.read_bytes()
