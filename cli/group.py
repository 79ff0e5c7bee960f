"""Command groups that answer fast: commands are imported when called, and misspelt ones get the nearest."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from gentickets.errors import nearest

from .colour import wants_colour
from .failures import run_safely
from .help import Command


class LazyCommand(NamedTuple):
    """A command that is imported when it is called."""

    where: str
    """``module:attribute``"""
    line: str
    """Its line in the help."""
    group: str
    """The heading above it in the help."""


class NearestGroup(click.Group):
    """A group that answers a misspelt command with the nearest one."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a name that is none of the group's is a usage error with a hint."""
        known = self.list_commands(ctx)
        if args[0] not in known and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise click.UsageError(f"no command '{args[0]}'. {nearest(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(NearestGroup):
    """The outermost group: its commands are names until one is called, and every error ends in a status."""

    def __init__(self, *args: Any, lazy: Mapping[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name].where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands' lines in the help, under their headings, without importing any."""
        width = max(map(len, self.lazy))
        for title in dict.fromkeys(command.group for command in self.lazy.values()):
            with formatter.section(title):
                formatter.write_dl([(n.ljust(width), one.line) for n, one in self.lazy.items() if one.group == title])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options that begin so, without importing any."""
        commands = [
            CompletionItem(name, help=one.line) for name, one in self.lazy.items() if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse, call, and end the process with the status that fits."""
        name = prog_name or "gentickets"
        if not standalone_mode or f"_{name}_COMPLETE".upper().replace("-", "_") in os.environ:
            return super().main(args, name, complete_var, standalone_mode, **extra)
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        debug = "--debug" in options
        given = [one for one in options if one != "--debug"] + given[len(options) :]
        if not wants_colour():
            extra["color"] = False

        def call() -> object:
            with self.make_context(name, given, **extra) as ctx:
                return self.invoke(ctx)

        sys.exit(run_safely(call, debug=debug, as_json="--json" in options))
