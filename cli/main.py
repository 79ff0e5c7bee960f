"""The `gentickets` command: its subcommands by name, imported when called."""

from __future__ import annotations

import os
import sys

import click

from .group import LazyGroup
from .stopping import end_quietly

COMMANDS: dict[str, tuple[str, str]] = {
    "find": ("gentickets_cli.find:find", "Find tickets as a recipe says, or go on with its run."),
    "train": (
        "gentickets_cli.train:train",
        "Train a ticket from its start, on other data or another seed too.",
    ),
    "transfer": ("gentickets_cli.transfer:transfer", "Carry a ticket into another model, and say whether it helped."),
    "verdict": ("gentickets_cli.verdict:verdict", "Is it really a winning ticket? Tested over seeds and controls."),
    "show": ("gentickets_cli.show:show", "Show a ticket or a run."),
    "cost": ("gentickets_cli.cost:cost", "What a ticket saves, and what finding it cost."),
    "report": ("gentickets_cli.show:report", "Report on runs: table, verdict, curves, pictures."),
    "sample": ("gentickets_cli.show:sample", "Draw images from a trained ticket."),
    "export": ("gentickets_cli.export:export", "Write a trained network as ONNX or safetensors, for use elsewhere."),
    "recipes": ("gentickets_cli.recipes:recipes", "List, show, copy and validate recipes."),
}
"""Command -> where it is, and its line in the help."""

EPILOG = """\b
Start:       gentickets find digits_vae
Completion:  eval "$(_GENTICKETS_COMPLETE=bash_source gentickets)"   (or zsh_source, fish_source)

\b
Exit status: 0 done, 1 failed, 2 wrong request or recipe, 3 bad ticket,
             4 diverged, 5 no space or I/O, 6 locked, 7 a verdict short of WINS,
             129, 130 and 143 interrupted (resumable)."""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.version_option(package_name="gentickets", prog_name="gentickets", message="%(prog)s %(version)s")
def cli() -> None:
    """Find, check and reuse lottery tickets in generative models."""


def main() -> None:
    """The installed command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    end_quietly()
    cli.main(prog_name="gentickets")
