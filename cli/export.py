"""`gentickets export`: a trained network for use without gentickets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gentickets.errors import TicketError
from gentickets.table import Table

from .completion import completing
from .console import emit, json_option, note, table
from .help import Command
from .options import FORCE, ON, PLUGIN, check_new, on_data_and_device, other_data

FORMS = {".onnx": "onnx", ".safetensors": "safetensors"}
OF_RUNS = {
    *(f"{name}.safetensors" for name in ("ticket", "trained", "given", "portable", "progress", "features")),
    *(f"{name}.json" for name in ("result", "run", "state", "ledger", "report", "verdict")),
}
"""Names that files have in runs and trainings: not even --force writes an export over one."""


@click.command(
    cls=Command, subject="What is written",
    examples=[
        "gentickets export runs/tiny/seed-0/ticket/round-02",
        "gentickets export TICKET --component decoder --out decoder.onnx",
    ],
)  # fmt: skip
@click.argument("ticket", type=click.Path(path_type=Path), shell_complete=completing("ticket"))
@click.option("--format", "form", type=click.Choice(list(FORMS.values())),
              help="File format (default: onnx, or the suffix of --out).")  # fmt: skip
@click.option("--component", metavar="NAME",
              help="Write only this part: decoder, generator, ...; for ONNX also sampler, reconstructor.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("exported"), show_default=True,
              metavar="FOLDER|FILE", help="Write into a folder, or to NAME.onnx or NAME.safetensors.")  # fmt: skip
@click.option("--lean", is_flag=True, help="Leave out units that the mask has cut off. The outputs stay the same.")
@ON
@FORCE
@PLUGIN
@on_data_and_device
@json_option
def export(
    ticket: Path, form: str | None, component: str | None, out: Path, lean: bool, on: str | None, force: bool,
    plugins: tuple[Path, ...], root: Path, download: bool, device: str, threads: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Write a trained ticket for use without gentickets.

    ONNX: one file per component, and a sampler (latents to images) and a reconstructor (images to images) if the
    family has them. safetensors: one file, its description in JSON, and rebuild.py, which builds the PyTorch networks
    from the two. Before anything is written, the files are compared with the trained network.

    TICKET is a ticket file, the folder of its round, or the folder of its training. It needs trained.safetensors in
    the same folder.
    """
    from gentickets.actions.names import find_ticket
    from gentickets.disk import write_whole
    from gentickets.experiment.plugin_errors import as_plugin_errors

    form, folder, stem = _target(out, form, component)
    given, changes = find_ticket(ticket), other_data(on)
    _check_early(folder, form, component, stem, force)
    with as_plugin_errors(plugins):
        from gentickets.actions.export import exported
        from gentickets.actions.train_ticket import Environment

        environment = Environment(root, device, threads, plugins, download)
        made = exported(given, environment, form=form, component=component, name=stem, changes=changes, lean=lean)
    new = {folder / file: data for file, data in made.files.items() if not _holds(folder / file, data)}
    for file in new:
        if os.path.lexists(file):  # a rebuild.py of one's own, or what came there meanwhile
            _check_apart(file)
            check_new(file, force)
    for file, data in new.items():
        write_whole(file, data)
    told = {part.name: part.told() for part in made.parts.values()}
    if as_json:
        sizes = [{"file": folder / name, "bytes": len(data)} for name, data in made.files.items()]
        emit({"format": form, "files": sizes, "parts": told, "left_out": made.left_out}, True)
    else:
        rows = [[name, *map(_spoken, sides.values())] for name, sides in told.items()]
        table(Table(["part", "takes", "gives"], rows))
        for name, data in made.files.items():
            note(f"{folder / name}: {len(data):,} bytes")
        for part, why in made.left_out.items():
            note(f"left out: {part}: {why}")


def _target(out: Path, form: str | None, component: str | None) -> tuple[str, Path, str | None]:
    """Format, folder, and the file's name where one is given."""
    suffix = out.suffix.lower()
    if suffix not in FORMS or out.is_dir():
        if out.exists() and not out.is_dir():
            raise TicketError(f"--out {out}: is a file; name a folder, or a file that ends in .onnx or .safetensors")
        return form or "onnx", out, None
    if form not in (None, FORMS[suffix]):
        raise TicketError(f"--out {out} is no name for --format {form}")
    if FORMS[suffix] == "onnx" and component is None:
        raise TicketError(f"--out {out}: ONNX has a file for each part; name a folder, or one part by --component")
    return FORMS[suffix], out.parent, out.stem


def _check_early(folder: Path, form: str, component: str | None, name: str | None, force: bool) -> None:
    """Raise TicketError before any work where a whole export is there.

    Where a part of it is, it may be one that was stopped: then only the bytes tell.
    """
    if name is not None and not folder.is_dir():
        raise TicketError(f"no folder '{folder}' to write to")
    if form == "safetensors":
        wanted = [folder / f"{name or 'networks'}{suffix}" for suffix in (".safetensors", ".json")]
    elif name or component:
        wanted = [folder / f"{name or component}.onnx"]
    else:
        return
    if all(os.path.lexists(file) for file in wanted):
        for file in wanted:
            check_new(file, force)


def _check_apart(file: Path) -> None:
    """Raise TicketError where an export, though forced, would write over what a run or a training rests on."""
    if file.name in OF_RUNS:
        raise TicketError(f"'{file}' is a file of a run or a training, which no export overwrites; name another file")


def _holds(file: Path, data: bytes) -> bool:
    return file.is_file() and file.read_bytes() == data


def _spoken(tensors: list[dict[str, Any]]) -> str:
    """``latent (n, 16)``, for each tensor."""
    return ", ".join(f"{one['name']} ({', '.join(map(str, one['shape']))})" for one in tensors)
