"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

OVERRIDE = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, as in train.steps=100."
)
PLUGIN = click.option(
    "--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A Python file with families, criteria or datasets of your own. It is run.",
)  # fmt: skip
DATA = click.option(
    "--data", "root", type=click.Path(path_type=Path), default=Path("data"), show_default=True, metavar="FOLDER",
    help="Where datasets are found, or downloaded to.",
)  # fmt: skip
DOWNLOAD = click.option("--download", is_flag=True, help="Download the dataset into --data where it is missing.")
DEVICE = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps", help="Where to compute.",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
)  # fmt: skip
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads of each worker (1; bits differ between counts).",
)


def on_data_and_device(command: Command) -> Command:
    """--data, --download, --device and --threads."""
    for option in (THREADS, DEVICE, DOWNLOAD, DATA):
        command = option(command)
    return command
