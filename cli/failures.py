"""How a command ends: one line per error on stderr, and the exit status that fits."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import TextIO

import click

from gentickets.disk import told
from gentickets.errors import Status, TicketError, memory_told

from .colour import has_colour
from .stopping import Signalled

ERROR = "gentickets: error: "
PIPE_CLOSED = 141
"""What a shell reports of a program whose reader went away: 128 + SIGPIPE."""


def run_safely(call: Callable[[], object], *, debug: bool = False, as_json: bool = False) -> int:
    """The exit status of a call; whatever it raises becomes a line on stderr, with ``debug`` a traceback too.

    With ``as_json`` that line is JSON: ``{"status": 2, "message": "..."}``. Stdout is left to data.
    A call that returns a whole number ends with it.
    """
    try:
        try:
            result = call()
        except click.exceptions.Exit as done:
            result = done.exit_code
        sys.stdout.flush()  # here, where a full disk still has a status
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        if isinstance(error, BrokenPipeError) and _reader_gone(sys.stdout):
            _silence(sys.stdout)
            return PIPE_CLOSED
        status, lines = explain(error)
        with contextlib.suppress(OSError):
            if debug:
                traceback.print_exception(error)
            for line in [_as_json(status, lines)] if as_json else map(_painted, lines):
                print(line, file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _silence(sys.stdout)
        return status
    return result if isinstance(result, int) and not isinstance(result, bool) else Status.DONE


def _as_json(status: int, lines: Iterable[str]) -> str:
    message = "\n".join(line.removeprefix(ERROR).removeprefix("gentickets: ") for line in lines)
    return json.dumps({"status": int(status), "message": message}, ensure_ascii=False)


def _painted(line: str) -> str:
    """The line with ``error:`` in red, on a terminal that shows colours."""
    if not line.startswith(ERROR) or not has_colour(sys.stderr):
        return line
    return f"gentickets: {click.style('error:', fg='red', bold=True)} {line.removeprefix(ERROR)}"


def explain(error: BaseException) -> tuple[int, list[str]]:
    """The exit status of an error, and what to say about it, line by line."""
    if isinstance(error, TicketError):
        interrupted = error.status in (Status.INTERRUPTED, Status.TERMINATED, Status.HANGUP)
        prefix = "gentickets: " if interrupted else ERROR
        return error.status, [prefix + line for line in str(error).splitlines()]
    if isinstance(error, Signalled):
        return error.status, ["gentickets: interrupted"]
    if isinstance(error, KeyboardInterrupt | EOFError | click.Abort):
        return Status.INTERRUPTED, ["gentickets: interrupted"]
    if isinstance(error, click.ClickException):
        return _explain_click(error)
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return Status.STORAGE, [f"{ERROR}{told(error)}"]
    if Signalled.seen:  # what a signal has become in foreign code
        return Signalled.seen[0], ["gentickets: interrupted"]
    if (no_memory := memory_told(error)) is not None:
        return Status.FAILED, [f"{ERROR}{no_memory}"]
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return Status.FAILED, [f"gentickets: internal error: {what} (--debug shows the traceback)"]


def _explain_click(error: click.ClickException) -> tuple[int, list[str]]:
    sentence = " ".join(error.format_message().split())
    if not isinstance(error, click.UsageError):
        return Status.STORAGE if isinstance(error, click.FileError) else Status.FAILED, [f"{ERROR}{sentence}"]
    if error.ctx is None:
        return Status.REQUEST, [f"{ERROR}{sentence}"]
    if type(error).__name__ == "NoArgsIsHelpError":
        return Status.REQUEST, error.format_message().splitlines()
    return Status.REQUEST, [f"{ERROR}{sentence} ('{error.ctx.command_path} --help' shows the options)"]


def _reader_gone(stream: TextIO) -> bool:
    """Whether a pipe's other end is closed, as `| head` does; other pipes than stdout may break too."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # no file
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _silence(stream: TextIO) -> None:
    """Send the rest nowhere, or the interpreter would complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
