"""Finds tickets as a recipe describes, into a run folder. The first process never loads PyTorch, workers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gentickets.actions.names import default_out
from gentickets.actions.portable import Portables, check_portable, write_portables
from gentickets.errors import TicketError
from gentickets.experiment.new_claim import free_folder
from gentickets.experiment.options import Listener
from gentickets.experiment.run import find as run_recipe
from gentickets.recipe import Recipe, load_recipe
from gentickets.recipe.given import Overrides, as_overrides

from .progress import listening
from .run import Run

if TYPE_CHECKING:
    from gentickets.experiment.options import Options

Given = str | Path | Mapping[str, Any] | Recipe
"""A recipe: the name of a shipped one, a TOML file, sections in a dict, or what `load_recipe` gave."""


def find(
    recipe: Given, out: str | PathLike[str] | None = None, *, seed: int | None = None, seeds: int | None = None,
    explore: bool = False, new_claim: bool = False, overrides: Overrides = (),
    data: str | PathLike[str] = "data", download: bool = False, device: str = "auto", threads: int | None = None,
    jobs: int | None = None, plugins: Sequence[str | PathLike[str]] = (), resume: bool = False,
    keep: Literal["needed", "all"] = "needed", portable: bool = False, checkpoint: float = 30.0, stall: float = 600.0,
    progress: bool | Listener = True,
) -> Run:  # fmt: skip
    """Find tickets as a recipe describes, or go on with its run: ``gentickets find``.

    Args:
        recipe: the name of a shipped recipe, a TOML file, sections in a dict, or a `Recipe`.
        out: the run folder; ``runs/RECIPE`` by default (``runs/recipe`` for a dict).
        seed: use the seeds ``seed``, ``seed + 1``, ... instead of those derived from the claim.
        seeds: the number of seeds (``search.seeds``).
        explore: make no claim: no verdict, seeds 0, 1, ...
        new_claim: start in a fresh folder if the run in ``out`` has declared another claim.
        overrides: ``{"train.steps": 100}``, or texts as ``--set`` takes them.
        data: the folder of datasets; ``download`` fetches what is missing there.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; ``threads``: CPU threads of each worker.
        jobs: workers that run in parallel; one per core by default, or one on a GPU.
        plugins: Python files that define your own families, criteria or datasets. They are run.
        resume: only go on with a run, never start one.
        keep: keep all trained networks, or those that later steps need.
        portable: also write each ticket as ``portable.safetensors``.
        checkpoint: seconds between stored states of unfinished rounds; ``stall``: seconds without progress after which
            a worker is started again.
        progress: a bar, no bar, or a `Listener` of your own.

    Raises TicketError: a wrong recipe, a run of another recipe in ``out``, or a lost round. After Ctrl-C
    (KeyboardInterrupt) the same call goes on with what was stored. A round that diverges is no error: see
    `Run.results`.

    Example:
        ``run = gentickets.find("tiny", "runs/tiny"); print(run.table())``
    """
    from gentickets.experiment import options as of_run

    if keep not in ("needed", "all"):
        raise TicketError(f"keep is '{keep}', not 'needed' or 'all'")
    more = {**({"seed": seed} if seed is not None else {}), **({"search.seeds": seeds} if seeds is not None else {})}
    wanted = planned(
        recipe, overrides=[*as_overrides(overrides), *as_overrides(more)], plugins=plugins, explore=explore
    )
    folder = Path(out) if out is not None else default_out(wanted)
    folder = claim_folder(wanted, folder) if new_claim else folder
    options = of_run.Options(
        Path(data), device, threads, jobs, [Path(one) for one in plugins], download, keep == "all", checkpoint, stall
    )
    with listening(progress) as listener:
        run_into(folder, wanted, options, resume=resume, portable=portable, listener=listener)
    return Run(folder)


def planned(
    recipe: Given, *, overrides: Sequence[str] = (), plugins: Sequence[str | PathLike[str]] = (), explore: bool = False
) -> Recipe:
    """The recipe that is to run; TicketError for one of a transfer."""
    loaded = load_recipe(recipe, overrides=overrides, plugins=[Path(one) for one in plugins])
    if loaded.transfer is not None:
        name = recipe if isinstance(recipe, str | Path) else loaded.name
        raise TicketError(f"{name} carries a ticket over from another model: {loaded.command} {name}")
    return loaded.exploring() if explore else loaded


def claim_folder(recipe: Recipe, folder: Path) -> Path:
    """The folder of a new claim: a fresh one beside ``folder``, if the run there has declared another claim."""
    if recipe.claim is None or recipe.explores:
        raise TicketError("--new-claim declares a claim, and there is none; leave it out, or --explore")
    return free_folder(recipe, folder)


def run_into(
    folder: Path, recipe: Recipe, options: Options, *, listener: Listener, resume: bool = False, portable: bool = False
) -> Portables | None:
    """Run a recipe into a folder, or go on there; with ``portable`` the portable tickets that it then has."""
    if not portable:
        run_recipe(recipe, folder, options, resume=resume, listener=listener)
        return None
    check_portable(recipe)
    kept = replace(options, keep_all=True)  # until portable tickets are written
    run_recipe(recipe, folder, kept, resume=resume, listener=listener)
    return write_portables(folder, recipe, options)
