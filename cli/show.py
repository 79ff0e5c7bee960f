"""`gentickets show`, `report` and `sample`: looking at tickets and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import TicketError
from gentickets.sparsity import not_pruned, share_to_say
from gentickets.table import Table

from .completion import completing
from .console import emit, json_option, note, paragraph, table
from .help import Command
from .options import FORCE, ON, PLUGIN, check_new, on_data_and_device, other_data, settle_matplotlib

if TYPE_CHECKING:
    from gentickets.recipe import Recipe
    from gentickets.report import Report, Summary
    from gentickets.tickets import Ticket


def print_summary(report: Report, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """The table and the verdict of each run; as JSON with what else is known of it."""
    from gentickets.report import table as rows_of

    if as_json:
        emit([{"report": report.page, **(more or {}), **summary.as_dict()} for summary in report.summaries], True)
        return
    for summary in report.summaries:
        table(replace(rows_of(summary), title=summary.name if len(report.summaries) > 1 else ""))
        _print_troubles(summary)
        _print_verdict(summary)


def _print_verdict(summary: Summary) -> None:
    """What is said of the claim, and of each level of a transfer."""
    click.echo("")
    paragraph(summary.verdict.sentence)
    for sentence in summary.transfer.sentences if summary.transfer else ():
        click.echo("")
        paragraph(sentence)


def _print_troubles(summary: Any) -> None:
    for trouble in getattr(summary, "troubles", ()):
        note(trouble)


@click.command(
    cls=Command, subject="What is shown",
    examples=["gentickets show runs/tiny", "gentickets show runs/tiny/seed-0/ticket/round-02"],
)  # fmt: skip
@click.argument("path", type=click.Path(path_type=Path), shell_complete=completing("run", "ticket"))
@PLUGIN
@json_option
def show(path: Path, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Show a ticket (its origin and the density of every layer), or a run (its table so far).

    PATH is a run folder, a ticket file (a portable one too), or the folder of a round.
    """
    from gentickets.actions.names import find_ticket, run_at

    if (run := run_at(path)) is not None:
        _show_run(run, as_json)
        return
    given = find_ticket(path)
    from gentickets.runs.portable import is_portable

    if is_portable(given):
        _show_portable(given, as_json)
    else:
        _show_ticket(given, as_json, plugins)


def _show_run(path: Path, as_json: bool) -> None:
    settle_matplotlib()
    from gentickets.actions.locate import progress_of, resuming
    from gentickets.report import read_run
    from gentickets.report import table as rows_of
    from gentickets.runs.folder import RunFolder
    from gentickets.runs.record import WITHOUT_CHECKSUMS

    read, run = read_run(path), RunFolder(path)
    summary = read.summary
    if not read.checksums:
        note(f"{path} was {WITHOUT_CHECKSUMS}")
    done, rounds = progress_of(run)
    if as_json:
        about = {"checksums": read.checksums, "attempts": read.attempts}
        emit({**summary.as_dict(), **about, "rounds_done": done, "rounds": rounds}, True)
        return
    table(rows_of(summary))
    _print_troubles(summary)
    _print_verdict(summary)
    _print_excluded(summary.excluded)
    if done < rounds:
        note(f"unfinished: {done} of {rounds} rounds are done. To go on: {resuming(run)}")


def _print_excluded(rows: Sequence[Mapping[str, Any]]) -> None:
    """What no mask covers, and why."""
    if rows:
        click.echo("")
        table(not_pruned(rows))


def _networks(ticket: Ticket, recipe: Recipe | None, plugins: Sequence[Path]) -> dict[str, Any]:
    """Weights and what is excluded, from the ticket's networks, built anew; empty without a recipe or its plugin."""
    from gentickets.actions.train_ticket import shapes_of
    from gentickets.masks import by_reason, excluded
    from gentickets.tickets import weights_of

    if recipe is None or recipe.image is None:
        return {}
    if missing := sorted(set(recipe.plugins) - {plugin.name for plugin in plugins}):
        note(f"what no mask covers is known with the ticket's plugin: --plugin {missing[0]}")
        return {}
    task = shapes_of(recipe, plugins)
    rows = by_reason(excluded(task, exempt=recipe.search.exempt, components=recipe.search.prune or None))
    return {"weights": weights_of(ticket, task), "excluded": rows}


def _show_ticket(path: Path, as_json: bool, plugins: Sequence[Path]) -> None:
    from dataclasses import asdict

    from gentickets.recipe import ticket_recipe
    from gentickets.runs.formats import read_ticket

    ticket, stored = read_ticket(path)
    recipe = None if stored is None else ticket_recipe(stored, path)
    built = _networks(ticket, recipe, plugins)
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        **asdict(ticket.origin),
        "family": recipe.task.family if recipe else None,
        "data": recipe.data.name if recipe else None,
        "kept": ticket.mask.kept,
        "prunable": ticket.mask.total,
        "sparsity": round(1 - (ticket.channels or ticket.mask).density, 6),
        "sparsity of": "weights" if ticket.channels is None else "channels",
    }
    if built:
        facts["parameters"] = built["weights"]["all"]
    if built and (share := share_to_say(built["weights"])) is not None:
        facts["sparsity of all parameters"] = round(share, 6)
    if as_json:
        channels = {name: [int(kept.sum()), kept.numel()] for name, kept in (ticket.channels or {}).items()}
        emit(
            {
                **facts,
                "densities": ticket.mask.densities,
                "channels": channels,
                "recipe": stored,
                "excluded": built.get("excluded"),
            },
            True,
        )
        return
    emit({name: value for name, value in facts.items() if value != {}}, False)  # no ties, nothing to say
    click.echo("")
    rows = [
        [name, "x".join(map(str, kept.shape)), ticket.mask.kept_in(name), kept.numel(), f"{1 - density:.1%}"]
        for (name, kept), density in zip(ticket.mask.items(), ticket.mask.densities.values(), strict=True)
    ]
    table(Table(["layer", "shape", "kept", "of", "sparsity"], rows))
    if ticket.channels is not None:
        click.echo("")
        groups = [[name, int(kept.sum()), kept.numel()] for name, kept in ticket.channels.items()]
        table(Table(["channels made by", "kept", "of"], groups))
    _print_excluded(built.get("excluded", ()))


def _show_portable(path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from gentickets.actions.portable import WHAT
    from gentickets.recipe import ticket_recipe
    from gentickets.runs.portable import read_portable

    portable, stored = read_portable(path)
    recipe = None if stored is None else ticket_recipe(stored, path)
    mask, positive = portable.mask, portable.positive
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "kind": "portable",
        **asdict(portable.origin),
        "family": recipe.task.family if recipe else None,
        "data": recipe.data.name if recipe else None,
        "kept": mask.kept,
        "prunable": mask.total,
        "sparsity": round(1 - mask.density, 6),
        "norm parameters": sum(value.numel() for value in portable.norms.values()),
    }
    signs = {name: int((positive[name] & kept).sum()) for name, kept in mask.items()}
    if as_json:
        more = {"densities": mask.densities, "positive": signs, "norms": list(portable.norms), "recipe": stored}
        emit({**{name.replace(" ", "_"): value for name, value in facts.items()}, **more}, True)
        return
    emit({name: value for name, value in facts.items() if value != {}}, False)
    click.echo("")
    rows = [
        [name, "x".join(map(str, kept.shape)), mask.kept_in(name), kept.numel(), f"{1 - density:.1%}", signs[name]]
        for (name, kept), density in zip(mask.items(), mask.densities.values(), strict=True)
    ]
    table(Table(["layer", "shape", "kept", "of", "sparsity", "positive"], rows))
    note(WHAT)


@click.command(cls=Command, subject="What is reported", examples=["gentickets report runs/digits_vae runs/digits_gan"])
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=completing("run"))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write here (default: into the run).")
@json_option
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write report.html and report.json of a run, finished or not, or compare several runs in one report."""
    settle_matplotlib()
    from gentickets.actions.names import find_run
    from gentickets.report import write_report

    runs = tuple(map(find_run, runs))
    seen: set[Path] = set()
    for run in runs:
        if run.resolve() in seen:
            raise TicketError(f"{run} is given twice; a report has each run once")
        seen.add(run.resolve())
    written = write_report(runs, out)
    print_summary(written, as_json)
    note(f"report: {written.page}")


@click.command(
    cls=Command, subject="What is drawn",
    examples=["gentickets sample runs/tiny/seed-0/ticket/round-02 --out tiny.png"],
)  # fmt: skip
@click.argument("ticket", type=click.Path(path_type=Path), shell_complete=completing("ticket"))
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples.png"), show_default=True,
              metavar="FILE", help="The PNG file to write.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="Seed of the latents.")  # fmt: skip
@click.option("--number", type=click.IntRange(1, 4096), default=64, show_default=True,
              metavar="N", help="Number of images.")  # fmt: skip
@ON
@FORCE
@PLUGIN
@on_data_and_device
@json_option
def sample(
    ticket: Path, out: Path, seed: int, number: int, on: str | None, force: bool, plugins: tuple[Path, ...],
    root: Path, download: bool, device: str, threads: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Draw images from a trained ticket as a PNG grid.

    TICKET is a ticket file, the folder of its round, or the folder of its training. It needs trained.safetensors in
    the same folder. An autoencoder has no prior, so its reconstructions of test images are drawn instead.
    """
    from gentickets.actions.names import find_ticket
    from gentickets.disk import write_whole
    from gentickets.experiment.plugin_errors import as_plugin_errors

    if out.suffix.lower() != ".png":
        raise TicketError(f"--out {out}: samples are written as a .png file")
    check_new(out, force)
    given, changes = find_ticket(ticket), other_data(on)
    with as_plugin_errors(plugins):
        from gentickets.actions.train_ticket import pictures

        what, png = pictures(given, number=number, seed=seed, root=root, device=device, threads=threads,
                             plugins=plugins, download=download, changes=changes)  # fmt: skip
    write_whole(out, png)
    if as_json:
        emit({"file": out, "shows": what, "seed": seed}, True)
    else:
        note(f"{what}: {out}")
