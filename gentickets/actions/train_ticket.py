"""Puts a stored ticket to use: builds its networks from the recipe inside, trains them, samples from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gentickets.actions.locate import definitions_at, portable_refusal, ticket_at, untrained_message
from gentickets.data import Batches
from gentickets.disk import clear_drafts
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms.base import Arm
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.evaluation import NORM_BATCHES, check_measures
from gentickets.experiment.ownership import claimed_folder, require_free
from gentickets.experiment.plan import Unit
from gentickets.experiment.plugin_errors import check_family
from gentickets.experiment.stored_recipe import check_size
from gentickets.experiment.training_job import TrainingJob
from gentickets.files.belonging import GIVEN
from gentickets.quality import grid_png, reconstruction_grid
from gentickets.quality.evaluate import drawn
from gentickets.recipe import Data, Recipe, ticket_recipe, with_changes
from gentickets.results import Result
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import pack_ticket, read_snapshot, read_ticket
from gentickets.runs.portable import is_portable
from gentickets.shapes import take_shapes
from gentickets.tasks import Task
from gentickets.tickets import Snapshot, Ticket, check_fit, load_weights, state_of
from gentickets.training import Training, Watcher

ARM = "train"


@dataclass(frozen=True)
class Environment:
    """Where data and plugins are, and where to compute."""

    root: Path = Path("data")
    device: str = "auto"
    threads: int | None = None
    plugins: Sequence[Path] = ()
    download: bool = False


def open_ticket(
    path: Path, environment: Environment, changes: Mapping[str, Any] | None = None
) -> tuple[Ticket, Assembly]:
    """A ticket and what its recipe describes, checked to fit one another; ``changes`` replace parts of sections.

    Raises TicketError (status 3) where the file is damaged, holds no recipe, or misses its plugin.
    """
    if is_portable(path):
        raise TicketError(portable_refusal(path))
    ticket, stored = read_ticket(path)
    recipe = ticket_recipe(stored, path)
    held = sum(value.numel() for value in ticket.weights.values())
    check_size(recipe, held, path, compact=ticket.channels is not None)
    return ticket, described(path, recipe, environment, changes)


def described(path: Path, recipe: Recipe, environment: Environment, changes: Mapping[str, Any] | None) -> Assembly:
    """What the recipe stored in a file describes; TicketError as `open_ticket`."""
    missing = sorted(set(recipe.plugins) - {plugin.name for plugin in environment.plugins})
    if missing:
        raise TicketError(f"{path} needs its plugin: give --plugin {missing[0]}", Status.TICKET)
    recipe = with_changes(recipe, changes or {})
    other = (changes or {}).get("data", {})
    if recipe.image is not None and "name" in other:
        channels, side, _ = recipe.image  # whatever the data, the networks take the ticket's images
        own = {"size": side, "channels": "grey" if channels == 1 else "rgb", "valid": None}
        recipe = with_changes(recipe, {"data": {**own, "folder": other.get("folder")}})
    _check_folder(path, recipe.data)
    settle_device(environment.threads or 1)
    return Assembly(
        recipe, root=environment.root, device=environment.device, plugins=environment.plugins,
        download=environment.download, definitions=definitions_at(path),
    )  # fmt: skip


def networks_of(ticket: Ticket, assembly: Assembly) -> Task:
    """The networks that a ticket was found in, freshly initialized; a compact ticket's have its shapes."""
    task = assembly.task(ticket.origin.seed)
    if ticket.channels is not None:
        take_shapes(task, ticket.weights)
    return task


def shapes_of(recipe: Recipe, plugins: Sequence[Path] = ()) -> Task:
    """The networks that a stored recipe describes, without numbers: on the device ``meta``, so that no size hurts."""
    return Assembly(recipe, root=Path(), plugins=plugins, image=recipe.image).shapes()


def _check_folder(path: Path, data: Data) -> None:
    """A recipe's folder of images is looked for from the current directory, as the recipe says it."""
    if data.name == "folder" and not Path(str(data.folder)).is_dir():
        message = f"{path} was found on the images in '{data.folder}', and there is no such folder here"
        raise TicketError(f"{message}; say where they are: --on FOLDER")


def pictures(
    path: Path,
    *,
    number: int,
    seed: int,
    root: Path,
    device: str,
    threads: int | None,
    plugins: Sequence[Path],
    download: bool,
    changes: Mapping[str, Any] | None = None,
) -> tuple[str, bytes]:
    """A PNG of samples (or, without a prior, of reconstructions), and which of the two it is.

    ``path`` is a ticket with its trained network beside it, that network, or the folder of one round or training.
    """
    ticket_path = ticket_at(path)
    ticket, assembly = open_ticket(ticket_path, Environment(root, device, threads, plugins, download), changes)
    trained = ticket_path.with_name("trained.safetensors")
    if not trained.is_file():
        raise TicketError(untrained_message(ticket_path))
    task = networks_of(ticket, assembly)
    snapshot, _, _ = read_snapshot(trained)
    with as_evaluated(assembly, ticket, task, snapshot):
        if task.can("sample"):
            columns = max(1, round(math.sqrt(number)))
            return "samples", grid_png(drawn(task, number, seed, tuple(assembly.image)), columns)
        png = reconstruction_grid(task, next(iter(assembly.splits.test.chunks(min(number, 32)))))
    if png is None:
        raise TicketError("this family neither samples nor reconstructs")
    return "reconstructions of test images", png


@contextmanager
def as_evaluated(assembly: Assembly, ticket: Ticket, task: Task, snapshot: Snapshot) -> Iterator[None]:
    """The task as it was evaluated: with averaged weights where there are any."""
    check_fit(snapshot.weights, state_of(task))
    if not snapshot.ema:
        load_weights(task, snapshot.weights)
        yield
        return
    plan = replace(assembly.plan(assembly.recipe.train.steps), precision="fp32", compile=False)
    training = Training(task, plan)  # which trains nothing, and leaves nothing of its arithmetic on the networks
    training.load(snapshot)
    with training.averaged(assembly.batches(ticket.origin.seed).first(NORM_BATCHES)):
        yield


class StoredTicketArm(Arm):
    """A stored ticket as it is, whatever the recipe's search would make."""

    def __init__(self, ticket: Ticket, assembly: Assembly, run: RunFolder, unit: Unit) -> None:
        super().__init__(assembly, run, unit)
        self.given = replace(ticket, origin=replace(ticket.origin, arm=ARM))

    @property
    def seed(self) -> int:
        """That of the run that found it, whatever the order of data now."""
        return self.given.origin.seed

    def task(self) -> Task:
        """The networks that the ticket was found in."""
        return networks_of(self.given, self.assembly)

    def ticket(self, training: Training, batches: Batches, since: Snapshot | None, watch: Sequence[Watcher]) -> Ticket:
        """The given ticket."""
        return self.given


def train_ticket(
    path: Path,
    out: Path,
    environment: Environment,
    *,
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[int, int], object] = lambda steps, of: None,
    save_every: float = 30.0,
) -> Result:
    """Train a ticket from its start into a folder, or go on there; ``seed`` is the data order's and the draws'.

    ``path`` is the ticket's file, or the folder of its round or training.

    Raises TicketError when the folder holds the training of another ticket, and Stopped when asked to stop.
    """
    ticket, assembly = open_ticket(ticket_at(path), environment, changes)
    wanted = ticket.origin.seed if seed is None else seed
    return train_into(out, ticket, assembly, wanted, stop=stop, report=report, save_every=save_every)


def train_into(
    out: Path,
    ticket: Ticket,
    assembly: Assembly,
    seed: int,
    *,
    stop: Callable[[], bool],
    report: Callable[[int, int], object],
    save_every: float,
) -> Result:
    """Train a ticket in its networks into a folder, or go on there: see `train_ticket`."""
    check_family(assembly)
    check_measures(assembly)
    assembly.recipe = with_changes(assembly.recipe, {"seed": seed})
    span, least = assembly.recipe.train.steps, max(ticket.origin.rewind_to, assembly.recipe.train.warmup)
    if span <= least:
        raise TicketError(f"--steps {span}: must be above {least}, the ticket's start")
    check_fit(ticket.weights, state_of(networks_of(ticket, assembly)))
    given, fresh = out / GIVEN, pack_ticket(ticket, assembly.recipe.stored)

    def check() -> None:
        if given.read_bytes() != fresh:
            message = f"{out} holds the training of another ticket, or with other settings; choose another --out"
            raise TicketError(message)

    require_free(out, GIVEN, "training", check)
    with claimed_folder(out, given, fresh):
        check()
        clear_drafts(out)
        run = RunFolder(out)
        unit = Unit(seed, ARM, ticket.origin.round, span, span - ticket.origin.rewind_to)
        arm = StoredTicketArm(ticket, assembly, run, unit)
        job = TrainingJob(
            assembly, run, unit, arm, stop=stop, save_every=save_every,
            report=lambda steps: report(steps, unit.steps),
        )  # fmt: skip
        return job.do()
