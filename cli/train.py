"""`gentickets train`: a stored ticket, trained from its start."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gentickets.errors import Status, TicketError
from gentickets.sparsity import share_to_say

from .completion import completing
from .console import emit, json_option, note
from .help import Command
from .options import ON, PLUGIN, arithmetic, on_data_and_device, other_data, with_arithmetic

if TYPE_CHECKING:
    from gentickets.actions.train_ticket import Environment
    from gentickets.results import Result


@click.command(
    cls=Command, subject="What is trained",
    examples=["gentickets train runs/tiny/seed-0/ticket/round-02", "gentickets train TICKET --on mnist --seed 7"],
)  # fmt: skip
@click.argument("ticket", type=click.Path(path_type=Path), shell_complete=completing("ticket"))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Write here (default: runs/RUN-seed-S-ticket-round-RR-train).")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0),
    metavar="N",
    help="Use another data order and noise; for a portable ticket also another network (default: its seed + 1).",
)  # fmt: skip
@ON
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Train for this many steps.")
@click.option("--control", type=click.Choice(["shuffled-signs", "fresh-signs", "dense"]),
              help="Train this control of a portable ticket instead of the ticket.")  # fmt: skip
@with_arithmetic
@PLUGIN
@on_data_and_device
@click.option("--resume", is_flag=True, help="Only resume a training; never start one.")
@json_option
def train(
    ticket: Path, out: Path | None, seed: int | None, on: str | None, steps: int | None, control: str | None,
    precision: str | None, compiled: bool | None, plugins: tuple[Path, ...], root: Path, download: bool, device: str,
    threads: int | None, resume: bool, as_json: bool,
) -> int:  # fmt: skip
    """Train TICKET from its start to the end, and evaluate it.

    TICKET is a ticket file or the folder of its round. The trained network, its metrics and its images are written
    into a folder. A portable ticket is first applied to a newly initialized network. The same command resumes a
    training that was stopped.
    """
    from gentickets.actions.locate import planting_folder, training_folder
    from gentickets.actions.names import find_ticket
    from gentickets.actions.train_ticket import Environment
    from gentickets.runs.portable import is_portable

    given = find_ticket(ticket)
    if portable := is_portable(given):
        from gentickets.actions.portable import seed_of_planting

        seed = seed_of_planting(given, seed)
        folder = out or planting_folder(given, seed, control)
    elif control is not None:
        raise TicketError(f"--control {control}: {given} is no portable ticket; find --portable writes those")
    else:
        folder = out or training_folder(given)
    if resume and not (folder / "given.safetensors").is_file():
        raise TicketError(f"no training to resume at {folder}; without --resume it would start there")
    settings = {**({} if steps is None else {"steps": steps}), **arithmetic(precision, compiled)}
    changes = {**other_data(on), **({"train": settings} if settings else {})}
    environment = Environment(root, device, threads, plugins, download)
    how: dict[str, Any] = {"seed": seed, "changes": changes, **({"control": control} if portable else {})}
    result = _trained(given, folder, environment, how)
    if result.status != "done":
        raise TicketError(str(result.why), Status.DIVERGED if result.status == "diverged" else Status.FAILED)
    planted = {"seed": seed, **({"control": control} if control or as_json else {})} if portable else {}
    _tell(result, folder, as_json, planted)
    note(f"figures on the test images; {_ways(result.test)}")
    picture = folder / "more_samples.png"
    note("to draw images: " + _command("sample", folder, ["--out", str(picture)], {"plugins", "root", "device"}))
    _compare(given, result.seed if portable else None, control)
    return int(Status.DONE)


def _compare(ticket: Path, planted_in: int | None, control: str | None) -> None:
    """What to hold the figures against, as commands; of a portable ticket first what it is."""
    from gentickets.actions.locate import dense_beside
    from gentickets.actions.portable import CONTROLS, WHAT

    if planted_in is None:
        if (dense := dense_beside(ticket)) is not None:
            note(f"the dense reference, trained likewise: {_command('train', dense, [], None)}")
    elif control is None:
        note(f"planted in the network of seed {planted_in}: {WHAT}")
        first, *others = CONTROLS
        note(f"its control: {_command('train', ticket, ['--control', first], None)}")
        note(f"likewise --control {' and --control '.join(others)}")
    else:
        note(f"{control}, a control in the network of seed {planted_in}, of: {_command('train', ticket, [], None)}")


def _trained(ticket: Path, folder: Path, environment: Environment, how: dict[str, Any]) -> Result:
    """Train, with a bar; the first Ctrl-C stores and stops, the second stops at once."""
    from gentickets.actions.portable import train_portable
    from gentickets.actions.train_ticket import train_ticket
    from gentickets.experiment.job import Stopped
    from gentickets.experiment.plugin_errors import as_plugin_errors

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
            with as_plugin_errors(environment.plugins):
                train = train_portable if "control" in how else train_ticket
                return train(ticket, folder, environment, stop=lambda: bool(stop), report=report, **how)
        except Stopped as stopped:
            raise TicketError(f"stopped, and stored in {folder}; the same command goes on", stop.status) from stopped
        except (KeyboardInterrupt, Exception) as error:
            if len(stop.caught) < 2 or isinstance(error, TicketError | OSError):
                raise
            message = f"stopped at once; the same command goes on with what was stored in {folder}"
            raise TicketError(message, stop.status) from error
        finally:
            for bar, _ in shown:
                bar.close()


def _tell(result: Result, folder: Path, as_json: bool, planted: Mapping[str, Any]) -> None:
    from gentickets.runs.folder import RunFolder

    trained = RunFolder(folder).round(result.seed, result.arm, result.round).trained
    facts = {"folder": str(folder), "trained": str(trained), **planted, "sparsity": result.sparsity}
    if (share := share_to_say(result.weights)) is not None:
        facts["sparsity of all"] = round(share, 6)
    start = result.steps - result.trained
    if as_json:
        steps = {"steps": result.steps, "starts_at": start, "steps_taken": result.trained}
        emit({**facts, **steps, **result.test}, True)
        return
    after = f", {result.trained} of them after step {start}, where the ticket starts" if start else ""
    emit({**facts, "steps": f"{result.steps}{after}", **result.test}, False)


def _ways(figures: Iterable[str]) -> str:
    """``lower is better``; of figures that differ in that, which are which."""
    from gentickets.analysis.text.format import direction

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
        chosen = key not in ("out", "resume", "as_json", "ticket", "control") if wanted is None else key in wanted
        if not chosen or context.get_parameter_source(key) != ParameterSource.COMMANDLINE:
            continue
        value = context.params[key]
        if isinstance(value, bool):
            words.append((option.opts if value else option.secondary_opts)[0])
            continue
        for one in value if isinstance(value, tuple) else [value]:
            words += [option.opts[0], str(one)]
    return shlex.join(words)
