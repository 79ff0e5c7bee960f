"""Gathers the source of a transfer and checks it against the target, and takes over rounds of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gentickets import data
from gentickets.actions.transfer_tickets import TransferSource, files_of, find_source, nearest_levels, served
from gentickets.arms import TRANSFER, kind_of
from gentickets.disk import write_whole
from gentickets.errors import TicketError
from gentickets.experiment.arms.transfer import TicketCarrier, of_signs, source_networks
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.options import Options
from gentickets.experiment.start_record import record_of
from gentickets.experiment.stored_recipe import check_size
from gentickets.experiment.transfer_source import StoredSource
from gentickets.files.belonging import IMAGES, PICTURES, TICKET, TRAINED
from gentickets.masks import Mask, full_mask, prunable_layers
from gentickets.recipe import Recipe, Transfer, diff, ticket_recipe, with_changes
from gentickets.recipe.declared import recipe_of_record
from gentickets.recipe.meaning import seeds_of
from gentickets.runs.folder import RoundFolder, RunFolder
from gentickets.runs.formats import read_ticket
from gentickets.runs.portable import is_portable, read_portable
from gentickets.tensorfile import read_tensors
from gentickets.tickets import Origin, Ticket, copied, state_of
from gentickets.transfer import Table
from gentickets.transfer.alignment import require_alike

MOST_SEEN = 0.01
"""Share of the target's test images that a source may have seen: data sets hold duplicates of their own."""
ADOPTED = (TICKET, TRAINED, IMAGES, *PICTURES)
"""The files of a finished round that are taken over, before its result, which means that they are all there."""
SAME = ("device", "threads", "plugins", "versions", "definitions")
"""What must be alike for the rounds of another run to be those that this one would have."""


@dataclass(frozen=True)
class CheckedSource:
    """A source that fits a target: what is kept of it, and what every layer will get."""

    found: TransferSource
    recipe: Recipe
    """The target's, with the rounds that the source has a level for."""
    record: Mapping[str, Any]
    files: Mapping[str, bytes]
    table: Table
    """Of the first seed's first level."""
    notes: tuple[str, ...]
    """Sentences that a reader should know."""
    parameters: int = 0
    """Of the target's networks."""

    def keep(self, run: RunFolder) -> None:
        """Lay the source into a run's folder; TicketError where another one is there."""
        StoredSource(run).keep(self.record, self.files)


def check_source(path: Path, recipe: Recipe, options: Options) -> CheckedSource:
    """Everything that transfers need from a source, checked to fit the recipe's networks; nothing is written.

    Raises TicketError: a source without tickets, or a damaged one; networks that do not fit, with all mismatches; a
    source that saw the target's test images, or would be transferred to its own initialization; levels too far from the
    target's, or that lack what is to move.
    """
    found, assembly, drawn = find_source(path), _assembled(recipe, options), seeds_of(recipe)
    first = drawn[recipe.seeds[0]]
    section = recipe.transfer or Transfer()
    ticket, source_recipe = _read(found.first.ticket)
    if section.moves == "weights" and ticket.origin.rewind != "weights":
        message = f"the source's tickets start from trained weights (search.rewind = '{ticket.origin.rewind}')"
        raise TicketError(f"{message}, not from early ones: use --moves trained")
    carrier = TicketCarrier.of(source_recipe, assembly, first)
    if section.align:
        require_alike(carrier.source, carrier.target)
    notes = _unseen(assembly.of(source_recipe), assembly)
    rounds = _rounds(found, carrier, recipe, notes)
    sources = {
        label: _read(next(iter(levels.values())).ticket)[0].origin.seed for label, levels in found.levels.items()
    }
    seeds = served(sources, drawn)
    if len(found.levels) < len(seeds):
        many = "one seed" if len(found.levels) == 1 else f"{len(found.levels)} seeds"
        notes.append(f"the source has {many}, and serves {len(seeds)}: their losses are not quite independent")
    pairs = {drawn[target]: sources[source] for target, source in seeds.items()}
    _require_own_beginnings(pairs, source_recipe, carrier, assembly)
    files = files_of(found, section.moves, bool(section.align), list(seeds.values()), rounds, carrier.source)
    if not any("round-00/ticket" in name for name in files) and _needs_dense(recipe):
        needed = "the source's dense weights, which its run keeps: name its run, or a ticket inside it"
        raise TicketError(f"the controls 'shuffle' and 'unmasked' need {needed}; or --set transfer.controls=['mask']")
    told = {
        "name": found.name, "source": found.identity, "notes": notes,
        "seeds": {str(target): source for target, source in seeds.items()},
        "rounds": {str(target): source for target, source in rounds.items()},
    }  # fmt: skip
    ticket, _ = _read(found.levels[seeds[recipe.seeds[0]]][next(iter(rounds.values()))].ticket)
    table = _tried(carrier, ticket, assembly, recipe)
    parameters = sum(parameter.numel() for parameter in assembly.task(first).parameters())
    return CheckedSource(found, _at(recipe, rounds), told, files, table, tuple(notes), parameters)


def misfit(path: Path, recipe: Recipe, options: Options) -> str | None:
    """Why nothing of a source's networks fits the target's, in a line; None where something does."""
    assembly, (_, source_recipe) = _assembled(recipe, options), _read(find_source(path).first.ticket)
    source_networks(source_recipe, assembly)  # what is damaged is no misfit
    try:
        TicketCarrier.of(source_recipe, assembly, next(iter(seeds_of(recipe).values())))
    except TicketError as error:
        return str(error).splitlines()[0]
    return None


def _assembled(recipe: Recipe, options: Options) -> Assembly:
    record = record_of(recipe, options)
    settle_device(int(record["threads"]))
    return Assembly(
        recipe, root=options.root, device=record["device"], plugins=options.plugins,
        download=options.download,
    )  # fmt: skip


def _rounds(found: TransferSource, carrier: TicketCarrier, recipe: Recipe, notes: list[str]) -> dict[int, int]:
    """Target round -> the source's that serves it; rounds that none serves are noted."""
    taken = {pair.source for pair in carrier.pairing.pairs}
    levels = next(iter(found.levels.values()))
    densities = {round: _density(_read(level.ticket)[0].mask, taken) for round, level in levels.items()}
    wanted = {round: recipe.search.keep**round for round in recipe.transfer_rounds}
    rounds = nearest_levels(densities, wanted, recipe.search.keep)
    if not rounds:
        there = ", ".join(f"{1 - density:.1%}" for density in densities.values())
        asked = ", ".join(f"{recipe.sparsity(round):.1%}" for round in wanted)
        message = f"{found.path} has tickets of {there} sparsity in the layers that move; the target asks for {asked}"
        raise TicketError(f"{message}: choose its search.keep, search.rounds and transfer.rounds to meet one of them")
    if missing := [round for round in wanted if round not in rounds]:
        bare = ", ".join(f"{recipe.sparsity(round):.1%}" for round in missing)
        notes.append(f"the source has no level of its own for sparsity {bare}: nothing is carried over there")
    return rounds


def _at(recipe: Recipe, rounds: Mapping[int, int]) -> Recipe:
    """The recipe with a transfer at these rounds."""
    if recipe.transfer is None:
        return recipe
    transfer = recipe.transfer.model_copy(update={"rounds": tuple(rounds)})
    return recipe.model_copy(update={"transfer": transfer})


def _require_own_beginnings(
    seeds: Mapping[int, int], recipe: Recipe, carrier: TicketCarrier, assembly: Assembly
) -> None:
    """Raise TicketError where source and target would begin alike: a ticket carried to its own initialization.

    ``seeds``: the target's random seeds, each with that of the source that serves it.
    """
    for target, source in seeds.items():
        if target != source:
            continue
        ours = prunable_layers(assembly.task(target))
        theirs = prunable_layers(source_networks(recipe, assembly, source))
        for pair in carrier.pairing.pairs:
            if pair.target in ours and torch.equal(ours[pair.target][1], theirs[pair.source][1]):
                message = (
                    f"seed {target} of the target begins with the weights that the source's seed {source} began with"
                )
                raise TicketError(
                    f"{message}, so nothing would be transferred: choose other seeds, as --seed {target + 1}"
                )


def _needs_dense(recipe: Recipe) -> bool:
    moved = recipe.transfer is not None and recipe.transfer.moves in ("weights", "trained")
    return moved and not {"shuffle", "unmasked"}.isdisjoint(recipe.transfer_controls)


def _read(path: Path) -> tuple[Ticket, Recipe]:
    """A ticket, or a portable one as a ticket of signs, and its recipe."""
    if is_portable(path):
        portable, stored = read_portable(path)
        ticket, recipe = of_signs(portable), ticket_recipe(stored, path)
    else:
        ticket, stored = read_ticket(path)
        recipe = ticket_recipe(stored, path)
    held = max(ticket.mask.total, sum(value.numel() for value in ticket.weights.values()))
    check_size(recipe, held, path, compact=ticket.channels is not None)
    return ticket, recipe


def _density(mask: Mask, layers: set[str]) -> float:
    """Kept fraction of the source's layers that lead somewhere."""
    names = [name for name in mask if any(name.startswith(f"{layer}.") for layer in layers)]
    return Mask({name: mask[name] for name in names}).density if names else mask.density


def _tried(carrier: TicketCarrier, ticket: Ticket, assembly: Assembly, recipe: Recipe) -> Table:
    """What every layer gets of a ticket: the transfer itself, whose result is thrown away."""
    task, moves = carrier.target, carrier.section.moves
    everything = full_mask(task, exempt=recipe.search.exempt, components=assembly.components)
    seed = next(iter(seeds_of(recipe).values()))
    start = Ticket(everything, copied(state_of(task)), Origin(TRANSFER, 0, 0, seed))
    return carrier.carry(ticket, start, moves, seed=seed)[1]


def _unseen(source: Assembly, target: Assembly) -> list[str]:
    """Raise TicketError where the source's images hold the target's test images; what could not be told is noted.

    A data set of gentickets is always split in the same place, so that a source of the same set has seen none.
    """
    ours, theirs = target.recipe.data, source.recipe.data
    if ours.name == theirs.name and ours.name != "folder":
        return []
    channels, side, _ = target.image
    if theirs.name in data.NAMES:
        form = {"size": side, "channels": "grey" if channels == 1 else "rgb"}
        source = source.of(with_changes(source.recipe, {"data": form, "image": list(target.image)}))
    try:
        splits = source.splits
    except TicketError:
        return [f"the source's images ({theirs.name}) are not here, so whether it saw the test images is not checked"]
    if splits.image != target.image:
        return [f"the source's images have another shape ({theirs.name}), so they are not compared with the test's"]
    test = target.splits.test
    seen = sum(data.shared(part, test) for part in (splits.train, splits.valid))
    if seen > MOST_SEEN * test.n:
        message = f"the source was trained on {theirs.name}, which holds {seen} of the target's {test.n} test images"
        raise TicketError(f"{message}: a transfer from it would be judged on images that it has seen")
    return [f"{seen} of the target's {test.n} test images are among the source's"] if seen else []


def adopt(natives: RunFolder, run: RunFolder, recipe: Recipe, options: Options) -> int:
    """Take over the finished rounds of a run of the same recipe without [transfer]; how many there were.

    They are what this run would find itself, bit for bit. Raises TicketError where the recipe, device, threads,
    plugins, versions or definitions differ.
    """
    ours = record_of(recipe, options)
    theirs = {**natives.read_record(), "definitions": natives.definitions().record()}
    own = {key: value for key, value in ours["recipe"].items() if key != "transfer"}
    before = {key: value for key, value in theirs["recipe"].items() if key != "transfer"}
    if changes := diff(before, own):
        told = "\n  ".join(changes)
        raise TicketError(f"{natives.path} is a run of another recipe; its rounds cannot be taken over:\n  {told}")
    theirs_drawn = seeds_of(recipe_of_record(theirs, where=str(natives.record)))
    begun = recipe_of_record(run.read_record(), where=str(run.record)) if run.record.is_file() else recipe
    ours_drawn = seeds_of(begun)
    if apart := [label for label, seed in theirs_drawn.items() if ours_drawn.get(label, seed) != seed]:
        message = f"{natives.path} has another claim, and so another seed of repetition {apart[0]}"
        raise TicketError(f"{message}; its rounds cannot be taken over: name it as the target, with --to")
    if others := [key for key in SAME if theirs.get(key) != ours[key]]:
        message = f"{natives.path} was run with another {others[0]} ({theirs.get(others[0])}, not {ours[others[0]]})"
        raise TicketError(f"{message}; its rounds cannot be taken over")
    taken = 0
    for result in sorted(natives.path.glob("seed-*/*/round-*/result.json")):
        place = result.parent.relative_to(natives.path)
        if kind_of(place.parts[1]).of_transfer or (run.path / place / result.name).exists():
            continue
        _take_over(RoundFolder(result.parent), RoundFolder(run.path / place), run)
        taken += 1
    return taken


def _take_over(theirs: RoundFolder, ours: RoundFolder, run: RunFolder) -> None:
    """Copy the files of a finished round, its result last, which says then whose it is now and who has found it."""
    if (result := theirs.read_result()) is None:
        return
    for path, kind in ((theirs.ticket, "ticket"), (theirs.trained, "snapshot")):
        if path.is_file():
            read_tensors(path, kind)  # damage is reported here, and not taken over
    for name in ADOPTED:
        if (theirs.path / name).is_file():
            write_whole(ours.path / name, (theirs.path / name).read_bytes())
    owner = run.owner
    mine = replace(result, run=owner and owner.identity, taken_from=result.taken_from or result.run)
    write_whole(ours.result, mine.to_json().encode())
