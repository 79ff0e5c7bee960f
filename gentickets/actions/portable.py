"""Writes the portable tickets of a run, and trains them in fresh networks. Torch-free until called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gentickets.disk import write_whole
from gentickets.errors import TicketError, nearest
from gentickets.experiment.options import Options
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.run import drop_levels, drop_trained
from gentickets.files.belonging import PORTABLE, foreign
from gentickets.recipe import Recipe, ticket_recipe
from gentickets.results import Result
from gentickets.runs.folder import RunFolder, locked

if TYPE_CHECKING:
    from gentickets.actions.train_ticket import Environment
    from gentickets.experiment.assembly import Assembly
    from gentickets.portable import Portable
    from gentickets.tickets import Ticket

WHAT = (
    "a portable ticket is a one-bit warm start: the mask, and the sign that training gave to each kept weight, on a "
    "fresh network's own magnitudes; it is no winning ticket of that initialization"
)
CONTROLS = ("shuffled-signs", "fresh-signs", "dense")
"""What a planted portable ticket is compared with."""


@dataclass(frozen=True)
class Portables:
    """The portable tickets of a run."""

    files: Sequence[Path]
    """Those that are there now."""
    missing: Sequence[Path]
    """Folders of finished rounds that have none, since what they grew into had been dropped before."""


def check_portable(recipe: Recipe) -> None:
    """Raise TicketError for a recipe whose run has no tickets that could be portable."""
    if not recipe.prunes:
        raise TicketError("--portable: a sweep of widths has no ticket")
    if recipe.removes_channels:
        message = "--portable: tickets by channels are narrower networks, not masks"
        raise TicketError(f'{message}; with [search] by = "weights" they can be portable')


def write_portables(path: Path, recipe: Recipe, options: Options) -> Portables:
    """Write portable.safetensors beside each ticket of a run whose trained network is there; the same bytes each time.

    Trained networks that ``options`` would not have kept are dropped afterwards, as `find` does.
    Raises TicketError where a file is damaged, or another process is at the run.
    """
    from gentickets.experiment.plugin_errors import as_plugin_errors

    run = RunFolder(path)
    files: list[Path] = []
    missing: list[Path] = []
    units = plan_units(recipe)
    units = [unit for unit in units if unit.arm == "ticket" and _done(run, unit)]
    with locked(path), as_plugin_errors(options.plugins):
        for unit in units:
            round = run.round(*unit.key)
            file = round.path / PORTABLE
            if not unit.round:
                continue
            if round.trained.is_file():
                _write(round.ticket, round.trained, file, options)
            if file.is_file():
                files.append(file)
            else:
                missing.append(round.path)
        if not options.keep_all:
            for unit in units:
                drop_trained(run, recipe, unit)
            drop_levels(run)
    return Portables(files, missing)


def _done(run: RunFolder, unit: Unit) -> bool:
    result = run.round(*unit.key).read_result()
    return result is not None and result.status == "done"


def _write(ticket: Path, trained: Path, file: Path, options: Options) -> None:
    from gentickets.experiment.assembly import Assembly
    from gentickets.portable import portable_of
    from gentickets.runs.formats import read_snapshot, read_ticket
    from gentickets.runs.portable import pack_portable, read_portable

    found, stored = read_ticket(ticket)
    recipe = ticket_recipe(stored, ticket)
    assembly = Assembly(recipe, root=options.root, device="cpu", plugins=options.plugins, image=recipe.image)
    snapshot, _, _ = read_snapshot(trained)
    made = portable_of(found, snapshot.weights, assembly.task(found.origin.seed))
    data = pack_portable(made, recipe.stored)
    if not file.is_file():
        write_whole(file, data)
        return
    if file.read_bytes() != data and not _alike(read_portable(file)[0], made):  # zlib's bytes differ between versions
        raise foreign(file, "it is not what the network beside it has come to")


def _alike(one: Portable, other: Portable) -> bool:
    """Whether two portable tickets are the same, whatever their streams."""
    parts = ((one.mask, other.mask), (one.positive, other.positive), (one.norms, other.norms))
    return one.origin == other.origin and all(
        set(ours) == set(theirs) and all(bool((ours[name] == theirs[name]).all()) for name in ours)
        for ours, theirs in parts
    )


def seed_of_planting(path: Path, seed: int | None) -> int:
    """The seed of the fresh network: as asked, else the one after the portable ticket's own."""
    from gentickets.runs.portable import read_portable

    return read_portable(path)[0].origin.seed + 1 if seed is None else seed


def train_portable(
    path: Path,
    out: Path,
    environment: Environment,
    *,
    seed: int,
    control: str | None = None,
    changes: Mapping[str, Any] | None = None,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[int, int], object] = lambda steps, of: None,
    save_every: float = 30.0,
) -> Result:
    """Plant a portable ticket in a fresh network and train that from step 0 into a folder, or go on there.

    ``seed`` is that of the network, of its data order and draws. ``control`` trains a control instead (see
    `in_fresh_network`). Raises TicketError and Stopped as `train_ticket` does.
    """
    from gentickets.actions.train_ticket import described, train_into
    from gentickets.experiment.stored_recipe import check_size
    from gentickets.runs.portable import read_portable

    portable, stored = read_portable(path)
    recipe = ticket_recipe(stored, path)
    check_size(recipe, portable.mask.total, path)
    assembly = described(path, recipe, environment, changes)
    ticket = in_fresh_network(portable, assembly, seed, control)
    return train_into(out, ticket, assembly, seed, stop=stop, report=report, save_every=save_every)


def in_fresh_network(portable: Portable, assembly: Assembly, seed: int, control: str | None = None) -> Ticket:
    """The ticket that is trained: a portable one planted in the recipe's networks of a seed, or one of `CONTROLS`.

    ``shuffled-signs``: its signs shuffled inside each layer. ``fresh-signs``: the mask and scale with the fresh
    network's own signs, and its own norms. ``dense``: that network, with nothing pruned.
    """
    from dataclasses import replace

    from gentickets.controls import scaled
    from gentickets.portable import METHOD, planted, signs_shuffled
    from gentickets.search import first_ticket
    from gentickets.training import Training

    if control not in (None, *CONTROLS):
        raise TicketError(f"a portable ticket has no control '{control}'. {nearest(control, CONTROLS)}")
    training = Training(assembly.task(seed), assembly.plan(assembly.recipe.train.steps))
    start = first_ticket(
        training, assembly.batches(seed), rewind_to=0, optimizer_state="fresh", seed=seed,
        components=assembly.components, exempt=assembly.recipe.search.exempt,
    )  # fmt: skip
    start = replace(start, mask=start.mask.to(assembly.device))
    made = planted(portable, start)
    if control is None:
        return made
    origin = replace(made.origin, method=f"{METHOD}-{control}", arm=f"{METHOD}-{control}")
    if control == "shuffled-signs":
        return replace(planted(signs_shuffled(portable, seed), start), origin=origin)
    if control == "fresh-signs":
        return scaled(replace(made, weights=start.weights, origin=origin))
    return replace(start, origin=replace(origin, round=0))
