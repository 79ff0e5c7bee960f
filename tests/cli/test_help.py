"""Help: options under headings, examples that parse, and lines that fit a terminal of 80 columns."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from gentickets_cli.help import SECTIONS, Command
from gentickets_cli.main import COMMANDS, cli


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command and subcommand, with its words."""
    context = click.Context(cli, info_name="gentickets")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield [name], command
        if isinstance(command, click.Group):
            for sub in command.commands:
                yield [name, sub], command.commands[sub]


LEAVES = [(words, command) for words, command in _commands() if not isinstance(command, click.Group)]


@pytest.mark.parametrize("words", [[], *(words for words, _ in _commands())], ids=" ".join)
def test_help_fits_80_columns(words: list[str]) -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(cli, [*words, "--help"], prog_name="gentickets")
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_every_option_stands_once_below_a_heading(words: list[str], command: click.Command) -> None:
    assert isinstance(command, Command)
    context = click.Context(command, info_name=words[-1])
    found = [option for options in command.sections(context).values() for option in options]
    assert found == sorted(found, key=found.index)
    assert {id(one) for one in found} == {id(p) for p in command.get_params(context) if isinstance(p, click.Option)}
    assert all(record[1] for option in found if (record := option.get_help_record(context))), "an option without help"
    headings = [line[:-1] for line in command.get_help(context).splitlines() if re.fullmatch(r"[A-Z][\w ,]+:", line)]
    assert headings == list(command.sections(context))
    assert "Output" in headings


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_every_command_has_an_example_that_parses(words: list[str], command: click.Command) -> None:
    assert isinstance(command, Command)
    assert command.examples
    for example in command.examples:
        start, *rest = shlex.split(example)
        assert [start, *words] == ["gentickets", *rest[: len(words)]]
        command.make_context(words[-1], rest[len(words) :])  # a UsageError where it does not parse


def test_an_example_that_does_not_parse_would_be_seen() -> None:
    _, command = LEAVES[0]
    with pytest.raises(click.UsageError):
        command.make_context("x", ["--no-such-option"])


def test_no_heading_names_a_parameter_that_no_command_has() -> None:
    known = {str(parameter.name) for _, command in LEAVES for parameter in command.params} | {"--help"}
    assert {name for names in SECTIONS.values() for name in names} <= known
