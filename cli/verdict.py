"""`gentickets verdict`: is this really a winning ticket? Exit status 0, or 7 where less is shown than is required."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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

    if explored is not None:
        asked = _claimed(target, explored, out, overrides, plugins, seeds)
    elif target is None:
        raise TicketError("what should be judged? Give a RUN or a RECIPE, or --from an explored RUN")
    else:
        asked = _asked(target, out, overrides, plugins, seeds)
    if new_claim:
        asked = replace(asked, folder=claim_folder(asked.recipe, asked.folder, True))
    sinks = [sink_of(name) for name in logs]
    options = Options(root, device, threads, jobs, plugins, download, False, checkpoint, stall, sinks)
    if asked.is_run and not (runs or more or seeds):
        if dry_run:
            raise TicketError(f"{target} is a run, judged as it is; --dry-run goes with --run, --more or --seeds")
        return _tell(asked.folder, as_json, require)
    wanted = _wanted(asked, more, seeds)
    if dry_run:
        return show_plan(wanted, asked.folder, options, as_json)
    _run(wanted, asked.folder, options)
    return _tell(asked.folder, as_json, require)


@dataclass(frozen=True)
class VerdictTarget:
    """What TARGET means."""

    recipe: Recipe
    folder: Path
    is_run: bool


def _asked(
    target: str, out: Path | None, overrides: tuple[str, ...], plugins: tuple[Path, ...], seeds: int | None
) -> VerdictTarget:
    from gentickets.actions.locate import recipe_of
    from gentickets.actions.names import default_out, is_recipe, run_at
    from gentickets.recipe import load_recipe
    from gentickets.recipe.declared import has_explored
    from gentickets.runs.folder import RunFolder

    run = RunFolder(Path(target) if is_recipe(target) else run_at(target) or Path(target))
    if run.record.is_file():
        if has_explored(run.read_record()):
            how = f"claim what it has shown, with new seeds: gentickets verdict --from {target}"
            raise TicketError(f"{target} was explored, and gets no verdict; {how}")
        if out is not None or overrides:
            message = "--out and --set go with a recipe"
            raise TicketError(f"{target} is a run, with a folder and a recipe of its own; {message}")
        return VerdictTarget(recipe_of(run), run.path, True)
    if seeds is not None:
        overrides = (*overrides, f"search.seeds={json.dumps(seeds)}")
    loaded = load_recipe(target, overrides=overrides, plugins=plugins)
    return VerdictTarget(loaded, out or default_out(loaded), False)


def _claimed(
    target: str | None, explored: Path, out: Path | None, overrides: tuple[str, ...], plugins: tuple[Path, ...],
    seeds: int | None,
) -> VerdictTarget:  # fmt: skip
    """A new claim on what an explored run has chosen."""
    from gentickets.actions.claim_from import claimed_from
    from gentickets.actions.names import find_run

    if target is not None:
        raise TicketError(f"--from {explored} takes the recipe of that run; leave {target} out")
    explored = find_run(explored)
    recipe = claimed_from(explored, seeds=seeds, overrides=overrides, plugins=plugins)
    return VerdictTarget(recipe, out or explored.with_name(f"{explored.resolve().name}-claim"), False)


def _wanted(asked: VerdictTarget, more: bool, seeds: int | None) -> Recipe:
    """The recipe with everything that a verdict asks for, and with the seeds of the analysis that is asked for."""
    from gentickets.actions.locate import recipe_of
    from gentickets.analysis.interim_analyses import interim_analysis_of, with_seeds_for
    from gentickets.experiment.extend import as_begun, unfinished
    from gentickets.experiment.new_claim import require_same_claim
    from gentickets.recipe.asked import complete
    from gentickets.runs.folder import RunFolder
    from gentickets.statistics import LEAST_SEEDS

    run = RunFolder(asked.folder)
    if not run.record.is_file():
        if more:
            raise TicketError(f"there is no run at {asked.folder} yet to run more seeds of; leave --more out")
        if asked.recipe.search.seeds < LEAST_SEEDS:
            message = f"{asked.recipe.search.seeds} seeds decide nothing; declare {LEAST_SEEDS} at least"
            raise TicketError(f"{message}: --seeds {LEAST_SEEDS}")
        return complete(asked.recipe)
    record = run.read_record()
    stored = recipe_of(run)
    require_same_claim(run, asked.recipe, record)
    have, analysis = stored.search.seeds, interim_analysis_of(stored, record)
    # an analysis that was begun and stopped comes before the next one: the same command goes on
    more = more and not (have > analysis.seeds[0] and unfinished(run, stored))
    return with_seeds_for(complete(as_begun(asked.recipe, stored)), analysis, have, more=more, seeds=seeds)


def _run(recipe: Recipe, folder: Path, options: Options) -> None:
    from gentickets.experiment.run import find

    from .progress import showing

    with resumable(folder), showing() as progress:
        find(recipe, folder, options, listener=progress)


def _tell(folder: Path, as_json: bool, require: str | None) -> int:
    settle_matplotlib()
    from gentickets.analysis.judge import judge_run
    from gentickets.report import write_report
    from gentickets.report.pages.verdict_files import document, write_verdict

    judged = judge_run(folder)
    write_report([folder])
    page = write_verdict(judged, folder)
    if as_json:
        emit({"page": page, **document(judged)}, True)
    else:
        _print(judged)
    note(f"verdict: {page}")
    return int(Status.DONE if judged.meets(require) else Status.VERDICT)


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
