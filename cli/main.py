"""The `gentickets` command: its subcommands by name, imported when called."""

from __future__ import annotations

import os
import sys

import click

from .group import LazyCommand, LazyGroup
from .stopping import end_quietly

FIND, INSPECT, REUSE = "Find and judge tickets", "Inspect what was found", "Use tickets elsewhere"
COMMANDS: dict[str, LazyCommand] = {
    "recipes": LazyCommand("gentickets_cli.recipes:recipes", "List, show, copy and check recipes.", FIND),
    "find": LazyCommand("gentickets_cli.find:find", "Find tickets as a recipe describes, or resume a run.", FIND),
    "verdict": LazyCommand("gentickets_cli.verdict:verdict", "Test whether a ticket really wins.", FIND),
    "show": LazyCommand("gentickets_cli.show:show", "Show a ticket or a run.", INSPECT),
    "report": LazyCommand("gentickets_cli.show:report", "Write a report on runs: tables, plots, images.", INSPECT),
    "cost": LazyCommand("gentickets_cli.cost:cost", "Measure what a ticket saves and what it cost.", INSPECT),
    "train": LazyCommand("gentickets_cli.train:train", "Train a stored ticket again, on other data too.", REUSE),
    "transfer": LazyCommand("gentickets_cli.transfer:transfer", "Move a ticket into another model and test it.", REUSE),
    "sample": LazyCommand("gentickets_cli.show:sample", "Draw images from a trained ticket.", REUSE),
    "export": LazyCommand("gentickets_cli.export:export", "Write a trained network as ONNX or safetensors.", REUSE),
}
"""The commands, in the order of the help."""

EPILOG = """\b
Example:
  gentickets find digits_vae

\b
Shell completion (or zsh_source, fish_source):
  eval "$(_GENTICKETS_COMPLETE=bash_source gentickets)"

\b
Exit status:
  0 done, 1 failed, 2 wrong request or recipe, 3 damaged ticket, 4 diverged,
  5 no space or other I/O error, 6 locked, 7 verdict short of --require,
  129, 130 and 143 interrupted; the same command resumes."""


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
