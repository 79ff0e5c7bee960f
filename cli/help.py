"""Help of a command: its options under headings, and examples below. Plain click, so that help loads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

SECTIONS: dict[str, tuple[str, ...]] = {
    "Where it runs": ("root", "download", "device", "threads", "jobs", "stall"),
    "Files": ("out", "resume", "keep", "portable", "checkpoint", "force"),
    "Output": ("require", "dry_run", "logs", "as_json", "--help"),
}
"""Heading -> the names of the parameters below it. All others stand first, under the command's own heading."""


class Command(click.Command):
    """A command whose help has its options under headings.

    Args:
        subject: The heading of the options that no other section holds, such as ``What is searched``.
        examples: Command lines that are shown at the end of the help.

    Example:
        ``@click.command(cls=Command, subject="What is drawn", examples=["gentickets sample runs/tiny"])``
    """

    def __init__(self, *args: Any, subject: str = "Options", examples: Sequence[str] = (), **kwargs: Any) -> None:
        self.subject, self.examples = subject, tuple(examples)
        title = "Examples" if len(self.examples) > 1 else "Example"
        shown = "\n".join([f"\b\n{title}:", *(f"  {line}" for line in self.examples)]) if self.examples else None
        super().__init__(*args, **{"epilog": shown, **kwargs})

    def sections(self, ctx: click.Context) -> dict[str, list[click.Parameter]]:
        """Heading -> options, in the order of the help; headings without options are left out."""
        heading = {name: title for title, names in SECTIONS.items() for name in names}
        found: dict[str, list[click.Parameter]] = {title: [] for title in (self.subject, *SECTIONS)}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option):
                name = "--help" if "--help" in parameter.opts else str(parameter.name)  # its name differs by version
                found[heading.get(name, self.subject)].append(parameter)
        return {title: options for title, options in found.items() if options}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every section's options."""
        for title, options in self.sections(ctx).items():
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
