"""`gentickets verdict`: is this really a winning ticket? Exit status 0, or 7 where less is shown than is required."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gentickets.errors import Status, TicketError

from .completion import completing
from .console import emit, json_option, note, paragraph, table
from .find import claim_folder, resumable, show_plan
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
    on_data_and_device,
    settle_matplotlib,
)

if TYPE_CHECKING:
    from gentickets.analysis.run_verdict import RunVerdict
    from gentickets.experiment.options import Options
    from gentickets.recipe import Recipe


@click.command(
    cls=Command, subject="What is judged",
    examples=["gentickets verdict digits_vae", "gentickets verdict runs/digits_vae --more"],
)  # fmt: skip
@click.argument("target", metavar="[RUN|RECIPE]", required=False, shell_complete=completing("run", "recipe"))
@click.option("--from", "explored", type=click.Path(path_type=Path), metavar="RUN", shell_complete=completing("run"),
              help="Claim what an explored RUN suggests, and test it with new seeds.")  # fmt: skip
@NEW_CLAIM
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="The run folder of RECIPE (default: runs/RECIPE)."
)
@click.option(
    "--run", "runs", is_flag=True, help="Run what RUN lacks for a verdict: controls, longer training, diagnostics."
)
@click.option("--more", is_flag=True, help="Run the additional seeds of the next interim analysis.")
@click.option("--seeds", type=click.IntRange(min=3), metavar="N",
              help="Total number of seeds; in an existing run, the seeds of one of its analyses.")  # fmt: skip
@OVERRIDE
@on_data_and_device
@JOBS
@PLUGIN
@CHECKPOINT
@STALL
@click.option("--require", type=click.Choice(["wins", "equal-steps", "matches-dense"]),
              help="Exit with status 7 unless the verdict says at least this.")  # fmt: skip
@DRY_RUN
@LOG
@json_option
def verdict(
    target: str | None, explored: Path | None, new_claim: bool, out: Path | None, runs: bool, more: bool,
    seeds: int | None, overrides: tuple[str, ...], root: Path, download: bool, device: str, threads: int | None,
    jobs: int | None, plugins: tuple[Path, ...], checkpoint: float, stall: float, require: str | None,
    dry_run: bool, logs: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Test at every sparsity whether the ticket matches the dense model and beats its controls.

    A RECIPE (a TOML file or the name of a shipped recipe) is run with all controls that a verdict needs; what an
    earlier find has already run is kept. A RUN is judged as it is, unless --run, --more or --seeds is given. The
    command writes verdict.html and verdict.json into the run folder.

    The exit status is 0 whatever the verdict is. With --require it is 7 if the verdict falls short.
    """
    from gentickets.experiment.options import Options
    from gentickets.experiment.sinks import sink_of
    from gentickets.verbs.verdict import target_of, to_run

    asked = target_of(target, explored=explored, out=out, overrides=overrides, plugins=plugins, seeds=seeds)
    if new_claim:
        asked = replace(asked, folder=claim_folder(asked.recipe, asked.folder, True))
    sinks = [sink_of(name) for name in logs]
    options = Options(root, device, threads, jobs, plugins, download, False, checkpoint, stall, sinks)
    if asked.is_run and not (runs or more or seeds):
        if dry_run:
            raise TicketError(f"{target} is a run, judged as it is; --dry-run goes with --run, --more or --seeds")
        return _tell(asked.folder, as_json, require)
    wanted = to_run(asked, more, seeds)
    if dry_run:
        return show_plan(wanted, asked.folder, options, as_json)
    _run(wanted, asked.folder, options)
    return _tell(asked.folder, as_json, require)


def _run(recipe: Recipe, folder: Path, options: Options) -> None:
    from gentickets.experiment.run import find

    from .progress import showing

    with resumable(folder), showing() as progress:
        find(recipe, folder, options, listener=progress)


def _tell(folder: Path, as_json: bool, require: str | None) -> int:
    settle_matplotlib()
    from gentickets.report.pages.verdict_files import document
    from gentickets.verbs.verdict import judged

    found, page = judged(folder)
    if as_json:
        emit({"page": page, **document(found)}, True)
    else:
        _print(found)
    note(f"verdict: {page}")
    return int(Status.DONE if found.meets(require) else Status.VERDICT)


def _print(judged: RunVerdict) -> None:
    """The verdict, the sentence of every level, what to do now, the table of the level shown in full, the outlook."""
    from gentickets.report.tables import verdict as tables
    from gentickets.report.tables.verdict_terminal import terminal_summary

    paragraph(judged.word)
    click.echo("")
    paragraph(judged.sentence)
    if judged.next_step:
        click.echo("")
        paragraph(f"What to do now: {judged.next_step}")
    for level in judged.declared_first:
        if level is not judged.shown_level:
            click.echo("")
            paragraph(level.sentence)
    shown = tables.verdict_table(judged)
    if shown.rows:
        click.echo("")
        table(shown)
    for text in terminal_summary(judged):
        click.echo("")
        paragraph(text)
    if judged.more and judged.more.command:
        note(f"to run more seeds: {judged.more.command}")
