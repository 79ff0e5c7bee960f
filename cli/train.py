"""`gentickets train`: a stored ticket, trained from its start."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gentickets.errors import Status, TicketError

from .console import emit, json_option, note
from .options import ON, PLUGIN, arithmetic, on_data_and_device, other_data, with_arithmetic

if TYPE_CHECKING:
    from gentickets.experiment.planted import Place
    from gentickets.results import Result


@click.command()
@click.argument("ticket", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where to train (runs/RUN-seed-S-ticket-round-RR-train).")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Another data order and other draws.")
@ON
@click.option("--steps", type=click.IntRange(min=1), help="Another length of training.")
@with_arithmetic
@PLUGIN
@on_data_and_device
@click.option("--resume", is_flag=True, help="Go on with a training; never start one.")
@json_option
def train(
    ticket: Path, out: Path | None, seed: int | None, on: str | None, steps: int | None, precision: str | None,
    compiled: bool | None, plugins: tuple[Path, ...], root: Path, download: bool, device: str, threads: int | None,
    resume: bool, as_json: bool,
) -> int:  # fmt: skip
    """Train a TICKET from its start to the end, on other data or another seed too, and evaluate it.

    TICKET is its file, or the folder of its round. Leaves the trained network, its figures and pictures in a
    folder; stopped, the same command goes on.
    """
    from gentickets.experiment.places import dense_beside, ticket_at, training_folder
    from gentickets.experiment.planted import Place

    given = ticket_at(ticket)
    folder = out or training_folder(given)
    if resume and not (folder / "given.safetensors").is_file():
        raise TicketError(f"no training to resume at {folder}; without --resume it would start there")
    settings = {**({} if steps is None else {"steps": steps}), **arithmetic(precision, compiled)}
    changes = {**other_data(on), **({"train": settings} if settings else {})}
    result = _trained(given, folder, Place(root, device, threads, plugins, download), seed, changes)
    if result.status != "done":
        raise TicketError(str(result.why), Status.DIVERGED if result.status == "diverged" else Status.FAILED)
    _tell(result, folder, as_json)
    note(f"figures on the test images; {_ways(result.test)}")
    picture = folder / "more_samples.png"
    note("to draw images: " + _command("sample", folder, ["--out", str(picture)], {"plugins", "root", "device"}))
    if (dense := dense_beside(given)) is not None:
        note(f"the dense reference, trained likewise: {_command('train', dense, [], None)}")
    return int(Status.DONE)


def _trained(ticket: Path, folder: Path, place: Place, seed: int | None, changes: dict[str, Any]) -> Result:
    """Train, with a bar; the first Ctrl-C stores and stops, the second stops at once."""
    from gentickets.experiment.blame import blaming
    from gentickets.experiment.planted import train_ticket
    from gentickets.experiment.work import Stopped

    from .progress import Bar, TimeLeft
    from .stopping import stoppable

    shown: list[tuple[Bar, TimeLeft]] = []

    def report(taken: int, of: int) -> None:
        if not shown:
            shown.append((Bar(of), TimeLeft(of)))
        bar, left = shown[0]
        bar.to(taken, ", ".join(filter(None, (f"{taken}/{of} steps", left.at(taken)))))

    with stoppable("stopping after this step; once more to stop at once", raises=False) as stop:
        try:
            with blaming(place.plugins):
                return train_ticket(
                    ticket, folder, place, seed=seed, changes=changes, stop=lambda: bool(stop), report=report
                )
        except Stopped as stopped:
            raise TicketError(f"stopped, and stored in {folder}; the same command goes on", stop.status) from stopped
        except KeyboardInterrupt as interrupt:
            message = f"stopped at once; the same command goes on with what was stored in {folder}"
            raise TicketError(message, stop.status) from interrupt
        finally:
            for bar, _ in shown:
                bar.close()


def _tell(result: Result, folder: Path, as_json: bool) -> None:
    from gentickets.runs.folder import RunFolder

    trained = RunFolder(folder).round(result.seed, result.arm, result.round).trained
    facts = {"folder": str(folder), "trained": str(trained), "sparsity": result.sparsity}
    start = result.steps - result.trained
    if as_json:
        steps = {"steps": result.steps, "starts_at": start, "steps_taken": result.trained}
        emit({**facts, **steps, **result.test}, True)
        return
    after = f", {result.trained} of them after step {start}, where the ticket starts" if start else ""
    emit({**facts, "steps": f"{result.steps}{after}", **result.test}, False)


def _ways(figures: Iterable[str]) -> str:
    """``lower is better``; of figures that differ in that, which are which."""
    from gentickets.report.words import direction

    ways: dict[str, list[str]] = {}
    for name in figures:
        ways.setdefault(direction(name), []).append(name)
    return (
        next(iter(ways)) if len(ways) == 1 else "; ".join(f"{', '.join(names)}: {way}" for way, names in ways.items())
    )


def _command(name: str, path: Path, more: list[str], wanted: set[str] | None) -> str:
    """A command on another path with the options that were given, all that carry over or only those ``wanted``."""
    context = click.get_current_context()
    words = ["gentickets", name, str(path), *more]
    for option in context.command.params:
        key = str(option.name)
        chosen = key not in ("out", "resume", "as_json", "ticket") if wanted is None else key in wanted
        if not chosen or context.get_parameter_source(key) != ParameterSource.COMMANDLINE:
            continue
        value = context.params[key]
        if isinstance(value, bool):
            words.append((option.opts if value else option.secondary_opts)[0])
            continue
        for one in value if isinstance(value, tuple) else [value]:
            words += [option.opts[0], str(one)]
    return shlex.join(words)
