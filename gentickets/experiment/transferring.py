"""Transfer: a source is gathered and checked against a target before anything runs, and a run's rounds taken over."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets import data
from gentickets.errors import TicketError
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.find import Options, record_of
from gentickets.experiment.sources import Found, Kept, files_of, find_source, nearest_levels
from gentickets.experiment.transferred import Carrier, of_signs
from gentickets.masks import Mask, full_mask
from gentickets.recipe import Recipe, diff
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_ticket
from gentickets.runs.portable import is_portable, read_portable
from gentickets.tickets import Origin, Ticket, copied, state_of
from gentickets.transfer import Table

MOST_SEEN = 0.01
"""Share of the target's test images that a source may have seen: data sets hold duplicates of their own."""
SAME = ("device", "threads", "plugins", "versions")
"""What must be alike for the rounds of another run to be those that this one would have."""


@dataclass(frozen=True)
class Gathered:
    """A source that fits a target: what is kept of it, and what every layer will get."""

    found: Found
    recipe: Recipe
    """The target's, with the rounds that the source has a level for."""
    told: Mapping[str, Any]
    files: Mapping[str, bytes]
    table: Table
    """Of the first seed's first level."""
    notes: tuple[str, ...]
    """Sentences that a reader should know."""

    def keep(self, run: RunFolder) -> None:
        """Lay the source into a run's folder; TicketError where another one is there."""
        Kept(run).keep(self.told, self.files)


def gather(path: Path, recipe: Recipe, options: Options) -> Gathered:
    """Everything that transfers need from a source, checked to fit the recipe's networks; nothing is written.

    Raises TicketError: a source without tickets, or a damaged one; networks that do not fit, with all mismatches; a
    source that saw the target's test images; levels that lack what is to move.
    """
    found, record = find_source(path), record_of(recipe, options)
    settle_device(int(record["threads"]))
    assembly = Assembly(
        record["recipe"], root=options.root, device=record["device"], plugins=options.plugins,
        download=options.download,
    )  # fmt: skip
    ticket, source_recipe = _read(found.first.ticket)
    section: Mapping[str, Any] = record["recipe"]["transfer"]
    carrier = Carrier.of(section, source_recipe, assembly, recipe.seed)
    notes = _unseen(assembly.of(source_recipe), assembly)
    taken = {pair.source for pair in carrier.pairing.pairs}
    densities = {
        round: _density(_read(level.ticket)[0].mask, taken)
        for round, level in next(iter(found.levels.values())).items()
    }
    wanted = {round: recipe.search.keep**round for round in record["recipe"]["transfer"]["rounds"]}
    rounds = nearest_levels(densities, wanted)
    if missing := [round for round in wanted if round not in rounds]:
        bare = ", ".join(f"{recipe.sparsity(round):.1%}" for round in missing)
        notes.append(f"the source has no level of its own for sparsity {bare}: nothing is carried over there")
    sources, step = list(found.levels), 0
    if len(sources) > 1 and _alike(source_recipe, record["recipe"]):
        step = 1
        notes.append("source and target are the same model: each seed takes the ticket of the next one")
    seeds = {seed: sources[(place + step) % len(sources)] for place, seed in enumerate(recipe.seeds)}
    if len(sources) < len(seeds):
        many = "one seed" if len(sources) == 1 else f"{len(sources)} seeds"
        notes.append(f"the source has {many}, and serves {len(seeds)}: their losses are not quite independent")
    files = files_of(
        found, section["moves"], bool(section["align"]), list(seeds.values()), rounds, carrier.source
    )  # fmt: skip
    if not any("round-00/ticket" in name for name in files) and _needs_dense(section):
        needed = "the source's dense weights, which its run keeps: name its run, or a ticket inside it"
        raise TicketError(f"the controls 'shuffle' and 'unmasked' need {needed}; or --set transfer.controls=['mask']")
    told = {
        "name": found.name, "seeds": {str(target): source for target, source in seeds.items()},
        "rounds": {str(target): source for target, source in rounds.items()},
    }  # fmt: skip
    first = next(iter(rounds.values()))
    ticket = _read(found.levels[seeds[recipe.seed]][first].ticket)[0]
    table = _tried(carrier, ticket, assembly, recipe)
    return Gathered(found, _at(recipe, rounds), told, files, table, tuple(notes))


def _at(recipe: Recipe, rounds: Mapping[int, int]) -> Recipe:
    """The recipe with a transfer at these rounds."""
    if recipe.transfer is None:
        return recipe
    transfer = recipe.transfer.model_copy(update={"rounds": tuple(rounds)})
    return recipe.model_copy(update={"transfer": transfer})


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two recipes find the same tickets from the same seed."""
    keys = ("task", "data", "train")
    return all(one.get(key) == other.get(key) for key in keys)


def _needs_dense(section: Mapping[str, Any]) -> bool:
    moved = section["moves"] in ("weights", "trained")
    return moved and bool({"shuffle", "unmasked"} & set(section["controls"]))


def _read(path: Path) -> tuple[Ticket, dict[str, Any]]:
    """A ticket, or a portable one as a ticket of signs, and its recipe."""
    if is_portable(path):
        portable, recipe = read_portable(path)
        ticket = of_signs(portable)
    else:
        ticket, recipe = read_ticket(path)
    if recipe is None:
        raise TicketError(f"{path} holds no recipe, so that its networks cannot be built; load it from Python")
    return ticket, recipe


def _density(mask: Mask, layers: set[str]) -> float:
    """Kept fraction of the source's layers that lead somewhere."""
    names = [name for name in mask if any(name.startswith(f"{layer}.") for layer in layers)]
    return Mask({name: mask[name] for name in names}).density if names else mask.density


def _tried(carrier: Carrier, ticket: Ticket, assembly: Assembly, recipe: Recipe) -> Table:
    """What every layer gets of a ticket: the transfer itself, whose result is thrown away."""
    task, moves = carrier.target, str(carrier.section["moves"])
    everything = full_mask(task, exempt=recipe.search.exempt, components=assembly.components)
    start = Ticket(everything, copied(state_of(task)), Origin("transfer", 0, 0, recipe.seed))
    trained = None if moves in ("weights", "mask") else ticket.weights
    return carrier.carry(ticket, start, moves, trained=trained, seed=recipe.seed)[1]


def _unseen(source: Assembly, target: Assembly) -> list[str]:
    """Raise TicketError where the source's images hold the target's test images; what could not be told is noted.

    A data set of gentickets is always split in the same place, so that a source of the same set has seen none.
    """
    ours, theirs = target.recipe["data"], source.recipe["data"]
    if ours["name"] == theirs["name"] and ours["name"] != "folder":
        return []
    channels, side, _ = target.image
    if theirs["name"] in data.NAMES:
        form = {"size": side, "channels": "grey" if channels == 1 else "rgb"}
        source = source.of({**source.recipe, "data": {**theirs, **form}, "image": list(target.image)})
    try:
        splits = source.splits
    except TicketError:
        return [
            f"the source's images ({theirs['name']}) are not here, so whether it saw the test images is not checked"
        ]
    if splits.image != target.image:
        return [f"the source's images have another shape ({theirs['name']}), so they are not compared with the test's"]
    test = target.splits.test
    seen = sum(data.shared(part, test) for part in (splits.train, splits.valid))
    if seen > MOST_SEEN * test.n:
        message = f"the source was trained on {theirs['name']}, which holds {seen} of the target's {test.n} test images"
        raise TicketError(f"{message}: a transfer from it would be judged on images that it has seen")
    return [f"{seen} of the target's {test.n} test images are among the source's"] if seen else []


def adopt(natives: RunFolder, run: RunFolder, recipe: Recipe, options: Options) -> int:
    """Take over the finished rounds of a run of the same recipe without [transfer]; how many there were.

    They are what this run would find itself, bit for bit. Raises TicketError where the recipe, device, threads, plugins
    or versions differ.
    """
    theirs, ours = natives.read_record(), record_of(recipe, options)
    own = {key: value for key, value in ours["recipe"].items() if key != "transfer"}
    before = {key: value for key, value in theirs["recipe"].items() if key != "transfer"}
    if changes := diff(before, own):
        told = "\n  ".join(changes)
        raise TicketError(f"{natives.path} is a run of another recipe; its rounds cannot be taken over:\n  {told}")
    if others := [key for key in SAME if theirs[key] != ours[key]]:
        message = f"{natives.path} was run with another {others[0]} ({theirs[others[0]]}, not {ours[others[0]]})"
        raise TicketError(f"{message}; its rounds cannot be taken over")
    taken = 0
    for result in sorted(natives.path.glob("seed-*/*/round-*/result.json")):
        place = result.parent.relative_to(natives.path)
        if place.parts[1].startswith("transfer") or (run.path / place).exists():
            continue
        shutil.copytree(result.parent, run.path / place, ignore=shutil.ignore_patterns(".lock", "progress*", "*.draft"))
        taken += 1
    return taken
