"""`gentickets train`: a stored ticket, trained from its start."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from gentickets.errors import Status, TicketError

from .console import emit, json_option, note
from .options import PLUGIN, on_data_and_device


@click.command()
@click.argument("ticket", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Where to train (runs/TICKET-train).")
@click.option("--seed", type=click.IntRange(min=0), help="Another data order and other draws.")
@click.option("--on", metavar="DATASET", help="Another dataset, by name; images are resized to the ticket's.")
@click.option("--steps", type=click.IntRange(min=1), help="Another length of training.")
@PLUGIN
@on_data_and_device
@click.option("--resume", is_flag=True, help="Go on with a training; never start one.")
@json_option
def train(
    ticket: Path, out: Path | None, seed: int | None, on: str | None, steps: int | None, plugins: tuple[Path, ...],
    root: Path, download: bool, device: str, threads: int | None, resume: bool, as_json: bool,
) -> int:  # fmt: skip
    """Train a TICKET file from its start to the end, on other data or another seed too, and evaluate it.

    Leaves the trained network, its figures and pictures in a folder; stopped, the same command goes on.
    """
    from gentickets.experiment.planted import Place, train_ticket
    from gentickets.experiment.work import Stopped

    folder = out or Path("runs") / f"{ticket.resolve().parent.name}-train"
    if resume and not (folder / "given.safetensors").is_file():
        raise TicketError(f"no training to resume at {folder}; without --resume it would start there")
    changes: dict[str, dict[str, object]] = {}
    if on is not None:
        changes["data"] = {"name": on}
    if steps is not None:
        changes["train"] = {"steps": steps}
    place = Place(root, device, threads, plugins, download)
    caught: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: caught.append(received))
    bar: tqdm[Any] = tqdm(disable=not sys.stderr.isatty() or None, delay=0.5, unit="step", leave=False)

    def report(taken: int, of: int) -> None:
        bar.total = of
        bar.update(taken - bar.n)

    try:
        with bar:
            result = train_ticket(
                ticket, folder, place, seed=seed, changes=changes, stop=lambda: bool(caught), report=report
            )
    except Stopped as stopped:
        status = Status.TERMINATED if signal.SIGTERM in caught else Status.INTERRUPTED
        raise TicketError(f"stopped, and stored in {folder}; the same command goes on", status) from stopped
    if result.status != "done":
        raise TicketError(str(result.why), Status.DIVERGED if result.status == "diverged" else Status.FAILED)
    facts = {"folder": str(folder), "sparsity": result.sparsity, "steps": result.trained, **result.test}
    emit(facts, as_json)
    note("figures on the test images; lower is better")
    return int(Status.DONE)
