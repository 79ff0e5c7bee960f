"""`gentickets find`: start a run, go on with it, or show a finished one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import Status, TicketError
from gentickets.sparsity import not_pruned

from .completion import completing
from .console import emit, json_option, note, table
from .help import Command
from .options import (
    CHECKPOINT,
    DRY_RUN,
    JOBS,
    LOG,
    NEW_CLAIM,
    OVERRIDE,
    PLUGIN,
    STALL,
    arithmetic,
    on_data_and_device,
    settle_matplotlib,
    with_arithmetic,
)

if TYPE_CHECKING:
    from gentickets.actions.next_steps import NextSteps
    from gentickets.actions.portable import Portables
    from gentickets.recipe import Recipe


@click.command(
    cls=Command, subject="What is searched",
    examples=["gentickets find digits_vae", "gentickets find my.toml --set train.steps=500 --dry-run"],
)  # fmt: skip
@click.argument("recipe", shell_complete=completing("recipe"))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="The run folder (default: runs/RECIPE).")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0),
              metavar="N",
              help="Use the seeds N, N + 1, ... instead of those derived from the claim.")  # fmt: skip
@click.option(
    "--explore",
    is_flag=True,
    help="Make no claim: use the seeds 0, 1, ..., report metrics and intervals, give no verdict.",
)
@NEW_CLAIM
@OVERRIDE
@with_arithmetic
@on_data_and_device
@JOBS
@PLUGIN
@click.option("--resume", is_flag=True, help="Only resume a run; never start one.")
@click.option(
    "--keep", type=click.Choice(["needed", "all"]), default="needed", show_default=True,
    help="Keep all trained networks, or only those that later steps need.",
)  # fmt: skip
@click.option("--portable", is_flag=True, help="Also write each ticket as portable.safetensors: its mask and signs.")
@CHECKPOINT
@STALL
@DRY_RUN
@LOG
@json_option
def find(
    recipe: str, out: Path | None, seed: int | None, explore: bool, new_claim: bool, overrides: tuple[str, ...],
    precision: str | None, compiled: bool | None, root: Path, download: bool, device: str, threads: int | None,
    jobs: int | None, plugins: tuple[Path, ...], resume: bool, keep: str, portable: bool, checkpoint: float,
    stall: float, dry_run: bool, logs: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Find tickets as RECIPE describes, or resume its run.

    RECIPE is a TOML file or the name of a shipped recipe (gentickets recipes ls). The command prints a table of all
    rounds and the verdict on the recipe's claim, and writes a report into the run folder. The same command resumes
    a run that was stopped.
    """
    from gentickets.actions.names import default_out
    from gentickets.actions.next_steps import next_steps
    from gentickets.actions.portable import check_portable
    from gentickets.experiment.options import Options
    from gentickets.experiment.run import failed, results_of
    from gentickets.experiment.sinks import sink_of
    from gentickets.runs.folder import RunFolder
    from gentickets.verbs.find import planned, run_into

    from .progress import showing

    wanted = [*overrides, *([f"seed={seed}"] if seed is not None else [])]
    wanted += [f"train.{key}={json.dumps(value)}" for key, value in arithmetic(precision, compiled).items()]
    loaded = planned(recipe, overrides=wanted, plugins=plugins, explore=explore)
    folder = claim_folder(loaded, out or default_out(loaded), new_claim)
    sinks = [sink_of(name) for name in logs]
    options = Options(root, device, threads, jobs, plugins, download, keep == "all", checkpoint, stall, sinks)
    if portable:
        check_portable(loaded)
    if dry_run:
        return show_plan(loaded, folder, replace(options, keep_all=options.keep_all or portable), as_json)
    with resumable(folder):
        with showing() as progress:
            made = run_into(folder, loaded, options, resume=resume, portable=portable, listener=progress)
        settle_matplotlib()
        from gentickets.report import read_run, write_report  # matplotlib, which no error before should wait for

        written = write_report([folder])
    from .show import print_summary

    following = next_steps(read_run(folder), options)
    print_summary(written, as_json, following.as_dict())
    note(f"report: {written.page}")
    if made is not None:
        _tell(made)
    print_next_steps(following)
    return int(failed(results_of(RunFolder(folder), loaded)))


def claim_folder(recipe: Recipe, folder: Path, anew: bool) -> Path:
    """The folder of a run: with ``--new-claim`` a fresh one beside it, where its run has declared another claim."""
    from gentickets.verbs.find import claim_folder as fresh_folder

    if not anew:
        return folder
    if (place := fresh_folder(recipe, folder)) != folder:
        note(f"the new claim is in {place}; {folder} stays as it is")
    return place


def print_next_steps(following: NextSteps) -> None:
    """The ticket, and the commands that lead on, to stderr."""
    if following.ticket is not None:
        note(f"ticket: {following.ticket}")
    width = max(len(step.purpose) for step in following.steps)
    for step in following.steps:
        note(f"  {step.purpose.ljust(width)}  {step.command}")


def _tell(made: Portables) -> None:
    """The portable tickets that are there, how to train one, and which are missing."""
    if made.files:
        last = made.files[-1]
        some = "1 portable ticket" if len(made.files) == 1 else f"{len(made.files)} portable tickets, the last"
        note(f"{some}: {last} ({last.stat().st_size:,} bytes)")
        note("to train it in a fresh network: " + shlex.join(["gentickets", "train", str(last)]))
    if made.missing:
        which = ", ".join(str(folder) for folder in made.missing)
        note(f"without a portable ticket, as their trained networks had been dropped before: {which}")


def show_plan(recipe: Recipe, folder: Path, options: Any, as_json: bool) -> int:
    """Say what running a recipe would take, with what is done taken off; write nothing."""
    from gentickets.actions.dry_run import estimate
    from gentickets.experiment.plugin_errors import as_plugin_errors
    from gentickets.recipe.meaning import claim_hash

    from .progress import spoken

    note("measuring how long a step takes ...")
    with as_plugin_errors(options.plugins):
        found = estimate(recipe, folder, options)
    if recipe.claim is not None:
        found["claim"] = claim_hash(recipe)
    if as_json:
        emit(found, True)
        return int(Status.DONE)
    aside = ("disk_mb", "seconds", "excluded", "notes")
    shown = {key.replace("_", " "): value for key, value in found.items() if key not in aside}
    emit({**shown, "disk": f"at most {found['disk_mb']} MB", "time": f"about {spoken(found['seconds'])}"}, False)
    click.echo("")
    table(not_pruned(found["excluded"]))
    for line in found["notes"]:
        note(line)
    return int(Status.DONE)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Answer SIGINT, SIGTERM and SIGHUP with the command that goes on where the run was stopped."""
    from .stopping import stoppable

    with stoppable("stopping, and storing what is unfinished; once more to stop at once", raises=True) as stop:
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            if not stop or isinstance(error, TicketError | OSError):
                raise
            command = shlex.join(["gentickets", *sys.argv[1:]])
            how = "stopped, and stored in" if len(stop.caught) < 2 else "stopped at once; what was stored is in"
            raise TicketError(f"{how} {folder}. To go on: {command}", stop.status) from error
