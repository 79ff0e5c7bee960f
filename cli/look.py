"""`gentickets show`, `report` and `sample`: looking at tickets and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import TicketError

from .console import emit, json_option, note, table
from .options import PLUGIN, on_data_and_device

if TYPE_CHECKING:
    from gentickets.report import Report


def print_summary(report: Report, as_json: bool) -> None:
    """The table and the verdict of each run."""
    from gentickets.report import table as rows_of

    if as_json:
        emit([{"report": report.page, **summary.as_dict()} for summary in report.summaries], True)
        return
    for summary in report.summaries:
        headers, rows = rows_of(summary)
        table(headers, rows, title=summary.name if len(report.summaries) > 1 else None)
        click.echo("")
        click.echo(summary.verdict.sentence)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def show(path: Path, as_json: bool) -> None:
    """Show a ticket file (origin, density of every layer), or a run folder (its table, as far as it is)."""
    if path.is_dir():
        _show_run(path, as_json)
    else:
        _show_ticket(path, as_json)


def _show_run(path: Path, as_json: bool) -> None:
    from gentickets.report import read_run
    from gentickets.report import table as rows_of

    summary = read_run(path).summary
    if as_json:
        emit(summary.as_dict(), True)
        return
    table(*rows_of(summary))
    click.echo("")
    click.echo(summary.verdict.sentence)


def _show_ticket(path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from gentickets.runs.formats import read_ticket

    ticket, recipe = read_ticket(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        **asdict(ticket.origin),
        "family": recipe["task"]["family"] if recipe else None,
        "data": recipe["data"]["name"] if recipe else None,
        "kept": ticket.mask.kept,
        "prunable": ticket.mask.total,
        "sparsity": round(1 - ticket.mask.density, 6),
    }
    if as_json:
        emit({**facts, "densities": ticket.mask.densities, "recipe": recipe}, True)
        return
    emit(facts, False)
    click.echo("")
    rows = [
        [name, "x".join(map(str, kept.shape)), ticket.mask.kept_in(name), kept.numel(), f"{1 - density:.1%}"]
        for (name, kept), density in zip(ticket.mask.items(), ticket.mask.densities.values(), strict=True)
    ]
    table(["layer", "shape", "kept", "of", "sparsity"], rows)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Where to write (into the run).")
@json_option
def report(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write report.html and report.json of a run, finished or not, or of several runs side by side."""
    from gentickets.report import write_report

    written = write_report(runs, out)
    print_summary(written, as_json)
    note(f"report: {written.page}")


@click.command()
@click.argument("ticket", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("samples.png"), show_default=True,
              help="The PNG file to write.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the latents.")
@click.option("--number", type=click.IntRange(1, 4096), default=64, show_default=True, help="How many images.")
@PLUGIN
@on_data_and_device
def sample(
    ticket: Path, out: Path, seed: int, number: int, plugins: tuple[Path, ...], root: Path, download: bool,
    device: str, threads: int | None,
) -> None:  # fmt: skip
    """Draw images from what a ticket grew into (trained.safetensors, beside TICKET) as a PNG grid.

    An autoencoder has no prior: its reconstructions of test images are drawn instead.
    """
    from gentickets.disk import write_whole
    from gentickets.experiment.planted import pictures

    if out.suffix.lower() != ".png":
        raise TicketError(f"--out {out}: samples are written as a .png file")
    what, png = pictures(ticket, number=number, seed=seed, root=root, device=device, threads=threads,
                         plugins=plugins, download=download)  # fmt: skip
    write_whole(out, png)
    note(f"{what}: {out}")
