"""Finds the ticket that a path means, where it is trained, and the command that resumes a run. Torch-free."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gentickets.definitions import CURRENT, Definitions
from gentickets.errors import TicketError
from gentickets.experiment.plan import plan_units
from gentickets.files.belonging import GIVEN, PORTABLE, RESULT, TICKET, TRAINED
from gentickets.recipe import Recipe, diff, parse_recipe
from gentickets.recipe.declared import recipe_of_record
from gentickets.results import outcome, read_result
from gentickets.runs.folder import RunFolder

RUNS = Path("runs")
"""Where runs and trainings are made unless a folder is given."""
_LEVELS = (TICKET, f"round-*/{TICKET}", f"*/round-*/{TICKET}", f"seed-*/*/round-*/{TICKET}")


def ticket_at(path: Path) -> Path:
    """The ticket file that a path means: itself, or the one ticket in a round's or a training's folder.

    Raises TicketError where there is none, and for a folder with several, naming one of them.
    """
    if path.name == TRAINED and path.with_name(TICKET).is_file():
        return path.with_name(TICKET)
    if path.name == GIVEN and (made := _tickets_in(path.parent)):
        return made[-1]
    if not path.is_dir():
        return path
    found = _tickets_in(path)
    if len(found) == 1 and not (path / "run.json").is_file():
        return found[0]
    kind = "a run" if (path / "run.json").is_file() else "a folder"
    if found:
        own = [one for one in found if one.parent.parent.name == "ticket"] or found
        first = [one for one in own if one.parents[2] == own[0].parents[2]]  # of the first seed, the sparsest
        raise TicketError(f"{path} is {kind}, not a ticket; name one of the {len(found)} in it, as in {first[-1]}")
    if kind == "a run":
        raise TicketError(f"{path} is a run that has no ticket yet")
    if (path / PORTABLE).is_file():
        return path / PORTABLE
    raise TicketError(f"{path} is a folder that is no run and holds no ticket")


def place_in_run(ticket: Path) -> tuple[Path, str, str, str] | None:
    """The run's folder and the names of seed, arm and round, for a ticket that lies in a run."""
    parts = ticket.resolve().parent
    names = (parts.parent.parent.name, parts.parent.name, parts.name)
    if not (re.fullmatch(r"seed-\d+", names[0]) and re.fullmatch(r"round-\d+", names[2])):
        return None
    return (parts.parents[2], *names)


def definitions_at(ticket: Path) -> Definitions:
    """What the recipe's words mean in the run that a ticket lies in; the current meanings where it lies in none."""
    if (place := place_in_run(ticket)) is None or not (run := RunFolder(place[0])).record.is_file():
        return CURRENT
    return run.definitions()


def training_folder(ticket: Path) -> Path:
    """Where a ticket is trained by default: named after its run, seed, arm and round, or after its file."""
    if (place := place_in_run(ticket)) is None:
        return RUNS / f"{ticket.stem}-train"
    run, *names = place
    return RUNS / f"{'-'.join([run.name, *names])}-train"


def planting_folder(portable: Path, seed: int, control: str | None) -> Path:
    """Where a portable ticket, or a control of it, is trained by default: each seed has a folder of its own."""
    trained = training_folder(portable).name.removesuffix("-train")
    own = trained if trained.endswith("portable") else f"{trained}-portable"
    return RUNS / "-".join([own, *([control] if control else []), f"seed-{seed}", "train"])


def portable_refusal(portable: Path) -> str:
    """What to say where a portable ticket cannot do, with the command that gives what can."""
    train = shlex.join(["gentickets", "train", str(portable)])
    return f"{portable} is a portable ticket, which has no network of its own; train it first: {train}"


def dense_beside(ticket: Path) -> Path | None:
    """The ticket of the dense reference in the same run, of the same seed; None where there is none, or it is this."""
    if (place := place_in_run(ticket)) is None:
        return None
    rest = Path("ticket") / "round-00" / TICKET
    dense = place[0] / place[1] / rest
    if not dense.is_file() or dense.resolve() == ticket.resolve():
        return None
    return ticket.parent.parent.parent / rest if len(ticket.parts) > 3 else dense


def untrained_message(ticket: Path, command: str = "sample") -> str:
    """What to say of a ticket that has no trained network beside it, with commands that give one.

    ``command`` is the one that needs it.
    """
    path = ticket.with_name(RESULT)
    result = read_result(path) if path.is_file() else None
    if result is not None and result.status != "done":
        return f"{ticket} has no trained network beside it: its training {outcome(result.status, result.why)}"
    train = shlex.join(["gentickets", "train", str(ticket)])
    then = shlex.join(["gentickets", command, str(training_folder(ticket))])
    return f"{ticket} has no trained network ({TRAINED}) beside it; first {train}, and then {then}"


def progress_of(run: RunFolder) -> tuple[int, int]:
    """How many of a run's rounds are done, and how many its recipe asks for."""
    units = plan_units(recipe_of(run))
    return sum(run.round(*unit.key).result.is_file() for unit in units), len(units)


def resuming(run: RunFolder) -> str:
    """The command that goes on with a run: its recipe as it was given, and what ``--set`` had changed."""
    record = run.read_record()
    plugins = [Path(name) for name in record.get("plugins", {})]
    wanted = recipe_of(run)
    if wanted.transfer is not None:  # all of it is in the run, its source too
        again = [word for plugin in plugins for word in ("--plugin", str(plugin))]
        return shlex.join(["gentickets", "transfer", "--resume", "--out", str(run.path), *again])
    command = ["gentickets", "find", str(run.recipe), "--out", str(run.path)]
    try:
        given = parse_recipe(run.recipe_text(), plugins=plugins)
    except (TicketError, OSError, ValueError):
        changed = []
    else:
        changed = [line.partition(":")[0] for line in diff(given, wanted)]
    for key in changed:
        if (value := _at(record["recipe"], key)) is not None:
            command += ["--set", f"{key}={json.dumps(value)}"]
    for plugin in plugins:
        command += ["--plugin", str(plugin)]
    return shlex.join([*command, *(["--explore"] if wanted.explores else []), "--resume"])


def recipe_of(run: RunFolder) -> Recipe:
    """The recipe of a run as its record has it, and what it declared; TicketError (status 3) where it is none."""
    name = run.path.resolve().name
    return recipe_of_record(run.read_record(), name=name, text=run.recipe_text(), where=str(run.record))


def _at(recipe: Mapping[str, Any], key: str) -> Any:
    value: Any = recipe
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _tickets_in(folder: Path) -> list[Path]:
    """The tickets in a round, an arm, a seed, a run or a training."""
    for level in _LEVELS:
        if found := sorted(folder.glob(level)):
            return found
    return []
