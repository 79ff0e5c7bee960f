"""Options that several commands share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gentickets.errors import TicketError

Command = TypeVar("Command", bound=Callable[..., object])

OVERRIDE = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the recipe, such as train.steps=100. Repeatable.",
)
PLUGIN = click.option(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Run a Python file that defines your own families, criteria or datasets. Repeatable.",
)  # fmt: skip
DATA = click.option(
    "--data", "root", type=click.Path(path_type=Path), default=Path("data"), show_default=True, metavar="FOLDER",
    help="Read datasets from this folder.",
)  # fmt: skip
DOWNLOAD = click.option("--download", is_flag=True, help="Download the dataset into --data if it is missing.")
DEVICE = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps", help="Compute on this device.",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
)  # fmt: skip
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU threads of each worker (default: 1). Another number changes the last digits.",
)
ON = click.option(
    "--on", metavar="DATASET|FOLDER",
    help="Use another dataset, or a folder of images; they are resized to the ticket's size.",
)  # fmt: skip
PRECISION = click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]),
    help="Train in fp32 or bf16 (train.precision). bf16 multiplies in bfloat16 and keeps weights in fp32.",
)  # fmt: skip
COMPILE = click.option(
    "--compile/--no-compile", "compiled", default=None,
    help="Train with torch.compile (train.compile). Each worker then needs 30 s or more to start.",
)  # fmt: skip
STALL = click.option(
    "--stall", type=click.FloatRange(min=1), default=600.0, show_default=True, metavar="SECONDS",
    help="Restart a worker that makes no progress for this long. Its round is tried once more.",
)  # fmt: skip
NEW_CLAIM = click.option(
    "--new-claim",
    is_flag=True,
    help="Start in a new folder if the run in the folder has declared another claim.",
)
FORCE = click.option("--force", is_flag=True, help="Overwrite an existing file.")
JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Number of workers that run in parallel (default: one per core, or one on a GPU).",
)  # fmt: skip
CHECKPOINT = click.option(
    "--checkpoint", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
    help="Store the state of unfinished rounds this often.",
)  # fmt: skip
LOG = click.option(
    "--log", "logs", multiple=True, metavar="NAME",
    help="Also write metrics to tensorboard, csv, or your own MODULE:CLASS. Repeatable.",
)  # fmt: skip
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would run, its disk use and time. Write nothing.")


def on_data_and_device(command: Command) -> Command:
    """--data, --download, --device and --threads."""
    for option in (THREADS, DEVICE, DOWNLOAD, DATA):
        command = option(command)
    return command


def with_arithmetic(command: Command) -> Command:
    """--precision and --compile."""
    return PRECISION(COMPILE(command))


def arithmetic(precision: str | None, compiled: bool | None) -> dict[str, str | bool]:
    """What ``--precision`` and ``--compile`` change in [train]; nothing where they are not given."""
    given = {"precision": precision, "compile": compiled}
    return {key: value for key, value in given.items() if value is not None}


def other_data(on: str | None) -> dict[str, dict[str, object]]:
    """What ``--on`` changes in a ticket's recipe. A dataset's name comes first; ``./digits`` is a folder."""
    from gentickets.datasets import DATASETS

    if on is None:
        return {}
    if on not in DATASETS and Path(on).is_dir():
        return {"data": {"name": "folder", "folder": on}}
    if on == "folder" or (on not in DATASETS and Path(on).name != on):
        raise TicketError(f"--on {on}: there is no such folder of images")
    return {"data": {"name": on}}


def check_new(target: Path, force: bool) -> None:
    """Raise TicketError unless a file may be written there: a folder to hold it, and nothing to lose."""
    if target.is_dir():
        raise TicketError(f"'{target}' is a folder; name a file")
    if os.path.lexists(target) and not force:  # a link to nothing is somebody's too
        raise TicketError(f"'{target}' exists and is not overwritten; name another file, or give --force")
    if not target.parent.is_dir():
        raise TicketError(f"no folder '{target.parent}' to write to")


def settle_matplotlib() -> None:
    """Where matplotlib can write no settings and caches, give it a folder for now: it would warn before any error."""
    if "MPLCONFIGDIR" in os.environ:
        return
    try:
        places = [
            Path(os.environ.get(name) or Path.home() / default, "matplotlib")
            for name, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
        ]
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            if not os.access(place, os.W_OK):
                raise PermissionError
    except (OSError, RuntimeError):
        folder = tempfile.mkdtemp(prefix="gentickets-matplotlib-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["MPLCONFIGDIR"] = folder
