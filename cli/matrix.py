"""`gentickets transfer --matrix`: every source into every target, and one table of what helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import Status, TicketError

from .console import emit, note, table
from .find import resumable
from .options import settle_matplotlib

if TYPE_CHECKING:
    from gentickets.actions.transfer import CheckedSource
    from gentickets.actions.transfer_matrix import MatrixCell, Model
    from gentickets.experiment.options import Options


def run_matrix(
    names: str, out: Path | None, options: Options, section: Mapping[str, Any], overrides: Sequence[str], as_json: bool
) -> int:
    """Find every model's own tickets, carry them into every model, and print the matrix; stopped, it goes on."""
    from gentickets.actions.transfer_matrix import cells_of, default_folder, models_of

    if "routes" in section:
        raise TicketError("--route names components of one pair; a matrix takes each pair's own routes")
    from gentickets.recipe.source import read_source

    own = [one for one in overrides if one.startswith("transfer.")]  # of the transfers, not of the models
    section = {**read_source("", "--set", own).values.get("transfer", {}), **section}
    folder = out or default_folder(names)
    wanted = [one for one in overrides if one not in own]
    models = models_of(names, folder, overrides=wanted, plugins=options.plugins)
    cells = list(cells_of(models, folder))
    settle_matplotlib()
    from gentickets.report.pages.matrix import check_folder

    check_folder(folder)  # before days of work, whose table could not be written
    skipped: dict[tuple[str, str], str] = {}
    with resumable(folder):
        for place, model in enumerate(models):
            note(f"{place + 1} of {len(models)} models: {model.name}")
            _find(model, options)
        for place, cell in enumerate(cells):
            note(f"{place + 1} of {len(cells)} transfers: {cell.source.name} to {cell.target.name}")
            if (why := _transfer(cell, options, section)) is not None:
                skipped[cell.source.name, cell.target.name] = why
                note(f"nothing is carried over: {why}")
        _report(cells, folder, skipped, as_json)
    statuses = [_status(model.native) for model in models]
    statuses += [_status(cell.folder) for cell in cells if (cell.source.name, cell.target.name) not in skipped]
    return int(max(statuses))


def _status(folder: Path) -> Status:
    from gentickets.experiment.run import failed
    from gentickets.results import read_results

    return failed(read_results(folder))


def _find(model: Model, options: Options) -> None:
    from gentickets.experiment.run import find

    from .progress import showing

    with showing() as progress:
        find(model.recipe, model.native, options, listener=progress)


def _transfer(cell: MatrixCell, options: Options, section: Mapping[str, Any]) -> str | None:
    """Run one cell; why not, where the networks do not fit."""
    from gentickets.actions.transfer import adopt, check_source, misfit
    from gentickets.actions.transfer_target import load_target
    from gentickets.experiment.run import find
    from gentickets.runs.folder import RunFolder

    from .progress import showing

    target = load_target(str(cell.target.native), section, plugins=options.plugins)
    if (why := misfit(cell.source.native, target.recipe, options)) is not None:
        return why
    gathered: CheckedSource = check_source(cell.source.native, target.recipe, options)
    for line in gathered.notes:
        note(line)

    def prepare(run: RunFolder) -> None:
        gathered.keep(run)
        adopt(RunFolder(cell.target.native), run, gathered.recipe, options)

    with showing() as progress:
        find(gathered.recipe, cell.folder, options, listener=progress, prepare=prepare)
    return None


def _report(cells: Sequence[MatrixCell], folder: Path, skipped: Mapping[tuple[str, str], str], as_json: bool) -> None:
    from gentickets.analysis.transfer_matrix import matrix_of
    from gentickets.report import read_run, write_report
    from gentickets.report.pages.matrix import write_matrix

    done = [cell for cell in cells if (cell.source.name, cell.target.name) not in skipped]
    for cell in done:
        write_report([cell.folder])
    matrix = matrix_of([(cell.source.name, cell.target.name, read_run(cell.folder).summary) for cell in done], skipped)
    written = write_matrix(matrix, folder)
    if as_json:
        emit({**matrix.as_dict(), "page": written}, True)
        return
    table(matrix.table())
    click.echo("")
    table(matrix.grid())
    note(f"report: {written}")
