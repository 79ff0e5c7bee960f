"""The page of all commands, from what `--help` shows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from gentickets_cli.help import Command

HEAD = """# Commands

This page is made from the commands themselves: it is what `gentickets COMMAND --help` shows. [Exit
statuses](exit-statuses.md) stand on their own page.
"""


def page() -> str:
    """The whole page as Markdown."""
    from gentickets_cli.main import cli

    context = click.Context(cli, info_name="gentickets")
    return "\n".join([HEAD, *(line for name in cli.list_commands(context) for line in section(cli, name, context))])


def section(group: Any, name: str, parent: click.Context, level: int = 2) -> Iterator[str]:
    """A command's heading, usage, help, arguments and options; then those of its subcommands."""
    command = group.get_command(parent, name)
    context = click.Context(command, info_name=name, parent=parent)
    yield f"\n{'#' * level} {context.command_path}\n"
    yield _fenced(f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}")
    yield prose(command.help or "")
    for heading, options in sections(command, context).items():
        records = [record for option in options if (record := option.get_help_record(context))]
        yield f"\n| {heading} | |\n|---|---|"
        yield "\n".join(f"| `{names}` | {cell(meaning)} |" for names, meaning in records)
    if examples := getattr(command, "examples", ()):
        yield "\n```bash\n" + "\n".join(examples) + "\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            yield from section(command, sub, context, level + 1)


def sections(command: click.Command, context: click.Context) -> dict[str, list[click.Parameter]]:
    """Heading -> options below it, as in the help; those of a group stand under one heading."""
    if isinstance(command, Command):
        return command.sections(context)
    return {} if isinstance(command, click.Group) else {"Options": command.get_params(context)}


def prose(text: str) -> str:
    r"""Help text as Markdown: paragraphs, and what click leaves as it is (after ``\b``) as code."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(text).strip())
    return "\n\n".join(_fenced(part.split("\n", 1)[1]) if part.startswith("\b") else part for part in parts if part)


def cell(text: str) -> str:
    """A text inside a table's cell: in one line, without closing the cell or opening a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _fenced(text: str) -> str:
    return f"```text\n{inspect.cleandoc(text)}\n```\n"
