"""`gentickets transfer`: a ticket carried into another model, trained there, and judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import TicketError
from gentickets.sparsity import of_all, share_to_say
from gentickets.table import Table

from .completion import completing
from .console import emit, note, table
from .find import resumable
from .help import Command
from .options import (
    JOBS,
    LOG,
    OVERRIDE,
    PLUGIN,
    STALL,
    arithmetic,
    on_data_and_device,
    settle_matplotlib,
    with_arithmetic,
)

if TYPE_CHECKING:
    from gentickets.actions.transfer import CheckedSource
    from gentickets.actions.transfer_target import Target
    from gentickets.experiment.options import Options


@click.command(
    cls=Command, subject="What moves, and how",
    examples=["gentickets transfer runs/digits_vae --to digits_gan", "gentickets transfer --matrix ae,vae,gan"],
)  # fmt: skip
@click.argument("source", required=False, shell_complete=completing("run", "ticket", "recipe"))
@click.option("--to", "to", metavar="RECIPE|RUN", shell_complete=completing("recipe", "run"),
              help="The target model. If it is a run, its finished rounds are reused.")  # fmt: skip
@click.option("--matrix", metavar="RECIPES", help="Transfer between every pair of these recipes, such as ae,vae,gan.")
@click.option("--route", "routes", multiple=True, metavar="FROM=TO",
              help="Move this component or layer into that one, such as decoder=generator. Repeatable.")  # fmt: skip
@click.option("--match", type=click.Choice(["name", "order"]), help="Pair layers by name or by order.")
@click.option("--partial", is_flag=True, help="Leave out layers that do not fit instead of stopping.")
@click.option("--moves", type=click.Choice(["weights", "mask", "signs", "trained"]),
              help="Move the mask with its early weights, alone, with signs, or with trained weights.")  # fmt: skip
@click.option("--rest", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="DENSITY",
              help="Prune layers that receive nothing to this density.")  # fmt: skip
@click.option("--widths", is_flag=True, help="Stretch or shrink layers to other numbers of channels.")
@click.option("--deepen", type=click.Choice(["interpolate", "append"]), help="Repeat layers to fill a deeper target.")
@click.option("--noise", type=click.FloatRange(min=0), metavar="SIGMA",
              help="Add noise to moved weights, relative to their standard deviation.")  # fmt: skip
@click.option("--scale", is_flag=True, help="Rescale the surviving weights of a mask that moves alone.")
@click.option("--align", type=click.IntRange(min=0), metavar="STEPS",
              help="Match channels with a target trained for this many steps (with --moves mask).")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="The run folder (default: runs/SOURCE-to-RECIPE)."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Use the seeds N, N + 1, ... in the target.")
@OVERRIDE
@with_arithmetic
@on_data_and_device
@JOBS
@PLUGIN
@STALL
@LOG
@click.option("--resume", is_flag=True, help="Only resume a transfer; never start one.")
@click.option("--dry-run", is_flag=True, help="Show what every layer would receive. Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def transfer(source: str | None, to: str | None, matrix: str | None, out: Path | None, **given: Any) -> int:
    """Move the tickets of SOURCE into another model, train them there, and test whether that helps.

    SOURCE is a run, a ticket, a portable ticket, or a recipe, whose run is made first. The target's recipe may name
    its source in [transfer]; SOURCE can then be left out. The target's own ticket, its dense model and the controls
    are trained over the same seeds.
    """
    from gentickets.experiment.options import Options
    from gentickets.experiment.sinks import sink_of

    options = Options(
        given["root"], given["device"], given["threads"], given["jobs"], given["plugins"], given["download"],
        stall=given["stall"], sinks=[sink_of(name) for name in given["logs"]],
    )  # fmt: skip
    if matrix is not None:
        from .matrix import run_matrix

        if source or to or given["dry_run"] or given["resume"]:
            message = "--matrix names its sources and targets itself, and goes on by itself"
            raise TicketError(f"{message}: leave SOURCE, --to, --dry-run and --resume out")
        return run_matrix(matrix, out, options, _section(given), _overrides(given), given["as_json"])
    if given["resume"] and not (source or to):
        return _resumed(out, options, given)
    if to is None:
        raise TicketError("what should the ticket be carried into? Give --to RECIPE, or --matrix RECIPES")
    from gentickets.actions.locate import RUNS
    from gentickets.actions.names import default_out
    from gentickets.actions.transfer_target import default_folder, load_target, started

    target = load_target(to, _section(given), overrides=_overrides(given), plugins=options.plugins)
    declared = target.recipe.transfer.source if target.recipe.transfer else None
    wanted = source or declared
    if wanted is None:
        raise TicketError(f"{to} names no source in its [transfer]: gentickets transfer SOURCE --to {to}")
    folder = out or (None if source else default_out(target.recipe))
    with resumable(folder or RUNS):
        path = _source(wanted, options, given)
        gathered = _gathered(path, target, options)
    _show(gathered, given["as_json"] and not given["dry_run"], given["as_json"])
    if given["dry_run"]:
        return 0
    folder = folder or default_folder(gathered.found.name, target.recipe)
    if given["resume"]:
        started(folder)
    return _carried(target, folder, gathered, options, given)


def _section(given: dict[str, Any]) -> dict[str, Any]:
    """What the options change in [transfer]."""
    section = {
        key: given[key] for key in ("match", "moves", "rest", "deepen", "noise", "align") if given[key] is not None
    }
    section |= {key: True for key in ("partial", "widths", "scale") if given[key]}
    routes: dict[str, str] = {}
    for route in given["routes"]:
        start, equals, end = route.partition("=")
        if not (start.strip() and equals and end.strip()):
            raise TicketError(f"--route {route}: a route is FROM=TO, as in decoder=generator")
        routes[start.strip()] = end.strip()
    return {**section, **({"routes": routes} if routes else {})}


def _overrides(given: dict[str, Any]) -> list[str]:
    wanted = [*given["overrides"], *([f"seed={given['seed']}"] if given["seed"] is not None else [])]
    settings = arithmetic(given["precision"], given["compiled"])
    return [*wanted, *(f"train.{key}={json.dumps(value)}" for key, value in settings.items())]


def _source(wanted: str, options: Options, given: dict[str, Any]) -> Path:
    """The path of the source; a recipe's run is found first, or gone on with."""
    from gentickets.actions.names import default_out, find_run, is_recipe, run_at
    from gentickets.experiment.run import find
    from gentickets.recipe import load_recipe

    from .progress import showing

    path = Path(wanted)
    if path.suffix != ".toml" and path.exists():
        return path
    if not is_recipe(wanted) and run_at(wanted) is not None:
        return find_run(wanted)
    recipe = load_recipe(wanted, plugins=options.plugins)
    if recipe.transfer is not None:
        raise TicketError(
            f"{wanted} is the recipe of a transfer itself; name a run, a ticket or a recipe that finds one"
        )
    folder = default_out(recipe)
    if given["dry_run"] and not (folder / "run.json").is_file():
        raise TicketError(f"--dry-run: {wanted} has no run yet to look at; first: gentickets find {wanted}")
    if given["dry_run"]:
        return folder
    if given["moves"] in ("signs", "trained"):  # which trained networks move is known only afterwards
        options = replace(options, keep_all=True)
    note(f"the source: gentickets find {wanted}, in {folder}")
    with showing() as progress:
        find(recipe, folder, options, listener=progress)
    return folder


def _gathered(path: Path, target: Target, options: Options) -> CheckedSource:
    from gentickets.actions.transfer import check_source
    from gentickets.experiment.plugin_errors import as_plugin_errors

    with as_plugin_errors(options.plugins):
        return check_source(path, target.recipe, options)


def _show(gathered: CheckedSource, silent: bool, as_json: bool) -> None:
    """What every layer gets; all of it goes to stdout where that is what was asked for."""
    found = gathered.table
    if as_json and not silent:
        emit({**found.as_dict(), **gathered.record}, True)
    elif not silent:
        rows = [
            [entry.target, entry.source or "", entry.got, entry.weights, _share(entry.density),
             _share(entry.kept / max(1, entry.weights))]
            for entry in found.entries
        ]  # fmt: skip
        table(Table(["layer", "from", "gets", "weights", "kept there", "kept here"], rows))
        click.echo("")
        counts = {"kept": sum(one.kept for one in found.entries), "total": sum(one.weights for one in found.entries)}
        share = share_to_say({**counts, "all": gathered.parameters})
        removed = f"; removed are {of_all(share)}" if share is not None else ""
        note(f"{found.covered:.1%} of the prunable weights get something; {found.density:.1%} of all are kept{removed}")
        for line in found.left:
            note(line)
    for line in gathered.notes:
        note(line)


def _share(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"


def _carried(target: Target, folder: Path, gathered: CheckedSource, options: Options, given: dict[str, Any]) -> int:
    from gentickets.actions.transfer import adopt
    from gentickets.runs.folder import RunFolder

    def prepare(run: RunFolder) -> None:
        gathered.keep(run)
        if target.natives is not None and (taken := adopt(target.natives, run, gathered.recipe, options)):
            note(f"{taken} finished rounds of {target.natives.path} are taken over")

    return _run(gathered.recipe, folder, options, given["as_json"], prepare=prepare)


def _resumed(out: Path | None, options: Options, given: dict[str, Any]) -> int:
    from gentickets.actions.transfer_target import started

    if out is None:
        raise TicketError("--resume needs to know which: --out FOLDER")
    if _section(given) or _overrides(given):
        raise TicketError(
            "--resume alone goes on with what the run holds; where something changes, name SOURCE and --to"
        )
    return _run(started(out), out, options, given["as_json"], resume=True)


def _run(recipe: Any, folder: Path, options: Options, as_json: bool, **how: Any) -> int:
    from gentickets.experiment.run import failed, find, results_of
    from gentickets.runs.folder import RunFolder

    from .progress import showing

    with resumable(folder):
        with showing() as progress:
            find(recipe, folder, options, listener=progress, **how)
        settle_matplotlib()
        from gentickets.report import write_report

        written = write_report([folder])
    from .show import print_summary

    print_summary(written, as_json)
    note(f"report: {written.page}")
    return int(failed(results_of(RunFolder(folder), recipe)))
