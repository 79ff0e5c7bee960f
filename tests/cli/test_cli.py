"""The command line's frame: statuses, one line per error, tables, and that help is fast."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result
from gentickets_cli.colour import COLOURS
from gentickets_cli.console import emit, table
from gentickets_cli.failures import explain
from gentickets_cli.main import COMMANDS, cli, main
from helpers import PROGRAM, in_terminal

from gentickets import __main__ as as_module
from gentickets.errors import Status, TicketError, nearest
from gentickets.statistics.tree import FAILED, VERDICTS
from gentickets.statistics.worth import NOT_WORTH, OPEN, WORTH
from gentickets.table import Table

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""An environment in which output waits in a buffer, as a user's does."""
HELP_LIMIT = 0.3
"""Seconds that `gentickets --help` may take."""


def run(*args: str, **kwargs: Any) -> Result:
    """The command's result in this process."""
    return CliRunner(env={"NO_COLOR": "", "COLUMNS": "110"}).invoke(cli, args, prog_name="gentickets", **kwargs)


def start(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run([*PROGRAM, *args], capture_output=True, text=True, check=False, timeout=60, **kwargs)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Call a command that raises an error, by the name of `show`."""

    def call(error: BaseException, *options: str) -> Result:
        @click.command()
        def fails() -> None:
            raise error

        monkeypatch.setattr(cli, "get_command", lambda ctx, name: fails)
        return run("show", *options)

    return call


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (TicketError("no such ticket", Status.TICKET), 3, "gentickets: error: no such ticket"),
        (TicketError("diverged", Status.DIVERGED), 4, "gentickets: error: diverged"),
        (
            TicketError("stopped; go on with ...", Status.TERMINATED),
            143,
            "gentickets: stopped; go on with ...",
        ),
        (TicketError("a\nb"), 2, "gentickets: error: a\ngentickets: error: b"),
        (click.UsageError("what"), 2, "gentickets: error: what"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            5,
            "error: No space left on device: 'runs/a'",
        ),
        (OSError(errno.EIO, "Input/output error"), 5, "gentickets: error: Input/output error"),
        (KeyboardInterrupt(), 130, "gentickets: interrupted"),
        (KeyError("x"), 1, "gentickets: internal error: KeyError: 'x' (--debug shows the traceback)"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "internal error: BrokenPipeError"),
    ],
)
def test_every_error_ends_in_its_status_and_one_line(
    raising: Callable[..., Result], error: BaseException, status: int, line: str
) -> None:
    result = raising(error)
    assert result.exit_code == status
    assert line in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "does not suffice: "),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
                      "tried to allocate 400 bytes. Error code 12"), "does not suffice (400 bytes more were asked"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "(2.00 GiB more were asked for)"),
    ],
)  # fmt: skip
def test_too_little_memory_is_a_sentence(error: BaseException, said: str) -> None:
    status, lines = explain(error)
    assert status == Status.FAILED
    assert lines[0].startswith("gentickets: error: memory ")
    assert said in lines[0]
    assert "data.batch_size" in lines[0]


def test_debug_shows_the_traceback_wherever_it_stands(raising: Callable[..., Result]) -> None:
    result = raising(KeyError("x"), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_a_command_ends_with_the_status_that_it_returns_or_exits_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    @click.pass_context
    def exits(ctx: click.Context) -> None:
        ctx.exit(Status.VERDICT)

    monkeypatch.setattr(cli, "get_command", lambda ctx, name: exits)
    assert run("report").exit_code == 7
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: click.Command("x", callback=lambda: Status.VERDICT))
    assert run("report").exit_code == 7
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: click.Command("x", callback=lambda: True))
    assert run("report").exit_code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fnd"], "no command 'fnd'. Did you mean 'find'? ('gentickets --help' shows the options)"),
        (["recipes", "lst"], "no command 'lst'. Did you mean 'ls'? ('gentickets recipes --help' shows the options)"),
        (["recipes", "ls", "--jsn"], "Did you mean '--json'? ('gentickets recipes ls --help' shows the options)"),
        (["recipes", "show"], "Missing argument 'RECIPE'."),
        (["--debgu"], "--debug"),
    ],
)
def test_a_misspelt_request_gets_the_nearest_in_one_line(args: list[str], said: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("gentickets: error: ")
    assert result.stderr.count("\n") == 1


def test_help_lists_every_command_and_imports_none() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert f"  {name}" in result.stdout
        assert command.line in result.stdout
        assert f"\n{command.group}:\n" in result.stdout
    assert "_GENTICKETS_COMPLETE=bash_source" in result.stdout
    loaded = _modules("--help")
    assert "click" in loaded
    commands = {command.where.partition(":")[0] for command in COMMANDS.values()}
    assert not loaded & {"torch", "pydantic", "numpy", "rich", *commands}


@pytest.mark.parametrize(
    "args", [("recipes", "ls"), ("recipes", "validate", "digits_vae"), ("recipes", "show", "tiny", "--json")]
)
def test_recipes_never_import_torch(args: tuple[str, ...]) -> None:
    loaded = _modules(*args)
    assert "pydantic" in loaded
    assert not loaded & {"torch", "numpy"}


def test_help_answers_in_time() -> None:
    seconds = []
    for _ in range(5):
        before = os.times().children_user + os.times().children_system
        assert start("--help").returncode == 0
        seconds.append(os.times().children_user + os.times().children_system - before)
    assert min(seconds) < HELP_LIMIT


def test_no_arguments_show_the_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: gentickets")


def test_version() -> None:
    assert run("--version").stdout == "gentickets 0.1.0\n"


def test_completion_offers_commands_and_options_without_importing_them() -> None:
    env = {
        **os.environ,
        "_GENTICKETS_COMPLETE": "bash_complete",
        "COMP_WORDS": "gentickets re",
        "COMP_CWORD": "1",
    }
    assert start(env=env).stdout == "plain,recipes\nplain,report\n"
    assert start(env=env | {"COMP_WORDS": "gentickets --v"}).stdout == "plain,--version\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of the shell")
@pytest.mark.parametrize("args", [["--help"], ["recipes", "ls"]])
def test_a_reader_that_goes_away_is_no_error(args: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, *args], stdout=write, stderr=subprocess.PIPE, check=False, env=BUFFERED)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", [["--help"], ["recipes", "ls"]])
def test_a_full_disk_behind_stdout_is_one_line_and_its_status(args: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROGRAM, *args], stdout=full, stderr=subprocess.PIPE, check=False, env=BUFFERED)
    assert (done.returncode, done.stderr) == (5, b"gentickets: error: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_waits_for_the_end_is_not_lost_silently() -> None:
    code = (
        "import click\nfrom gentickets_cli.main import cli\n"
        "cli.get_command = lambda ctx, name: click.Command('x', callback=lambda: print('unflushed'))\n"
        "cli.main(['show'])"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False, env=BUFFERED
        )
    assert (done.returncode, done.stderr) == (5, b"gentickets: error: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors in the shell")
def test_closed_streams_are_no_error() -> None:
    done = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *PROGRAM, "recipes", "ls"], check=False)
    assert done.returncode == 0


def test_ls_lists_every_shipped_recipe_with_its_time() -> None:
    lines = run("recipes", "ls").stdout.splitlines()
    tiny = next(line for line in lines if line.startswith("tiny"))
    assert tiny.split() == ["tiny", "vae/mlp", "digits", "iterative", "10", "s"]
    assert max(map(len, lines)) <= 80
    rows = json.loads(run("recipes", "ls", "--json").stdout)
    assert {row["recipe"] for row in rows} >= {
        "tiny",
        "digits_vae",
        "digits_gan",
        "digits_ae",
        "digits_vae_longer",
    }
    assert all(row["about"] for row in rows)
    assert {bool(row["seconds"]) for row in rows if row["takes"]} == {True}
    assert {row["group"] for row in rows if not row["takes"]} <= {"paper"}, "whose hours nobody has measured"


@pytest.mark.parametrize(
    ("filters", "test"),
    [
        (["--model", "vae"], lambda row: row["family"] == "vae"),
        (["--model", "resnet18"], lambda row: row["network"] == "resnet18"),
        (
            ["--model", "gan/conv", "--data", "digits"],
            lambda row: row["model"] == "gan/conv" and row["data"] == "digits",
        ),
        (["--method", "one_shot"], lambda row: row["method"] == "one_shot"),
        (["--method", "snip"], lambda row: row["criterion"] == "snip"),
        (["--time", "90s"], lambda row: (row["seconds"] or 1e9) <= 90),
        (["--time", "1.5"], lambda row: (row["seconds"] or 1e9) <= 90),
        (["--time", "0.1h", "--model", "gan"], lambda row: (row["seconds"] or 1e9) <= 360 and row["family"] == "gan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",  # no address: two processes must agree
)
def test_ls_filters_by_model_data_method_and_time(filters: list[str], test: Callable[[dict[str, Any]], bool]) -> None:
    every = json.loads(run("recipes", "ls", "--json").stdout)
    found = json.loads(run("recipes", "ls", "--json", *filters).stdout)
    assert found == [row for row in every if test(row)]
    assert 0 < len(found) < len(every)
    lines = run("recipes", "ls", *filters).stdout.splitlines()
    assert len([line for line in lines if line]) == 1 + len(found)


def test_ls_refuses_a_value_that_no_recipe_has() -> None:
    refused = run("recipes", "ls", "--data", "mnits")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "no shipped recipe has the data 'mnits'. Did you mean 'mnist'?" in refused.stderr
    assert run("recipes", "ls", "--time", "soon").exit_code == 2
    nothing = run("recipes", "ls", "--data", "celeba", "--time", "1s")
    assert (nothing.exit_code, nothing.stdout) == (0, "")


def test_an_unknown_name_gets_five_names_at_most() -> None:
    refused = run("recipes", "show", "qqqqqqqq")
    assert refused.exit_code == 2
    assert len(refused.stderr) < 200
    assert refused.stderr.count(", ") == 5, "one before the hint, four within it"
    assert nearest("x", "abc") == "Known: a, b, c."


def test_show_prints_the_text_and_json_every_default() -> None:
    text = run("recipes", "show", "digits_vae").stdout
    assert text.startswith("# gentickets find digits_vae\n")
    assert json.loads(run("recipes", "show", "digits_vae", "--json").stdout)["search"]["scaling"] == "both"


def test_cp_copies_and_never_overwrites(tmp_path: Path) -> None:
    result = run("recipes", "cp", "tiny", str(tmp_path))
    assert result.exit_code == 0
    copy = tmp_path / "tiny.toml"
    assert result.stdout == f"{copy}\n"
    assert copy.read_text() == run("recipes", "show", "tiny").stdout
    copy.write_text("mine")
    again = run("recipes", "cp", "tiny", str(copy))
    assert (again.exit_code, copy.read_text()) == (2, "mine")
    assert "exists and is not overwritten" in again.stderr
    assert run("recipes", "cp", "tiny", str(tmp_path / "no" / "x.toml")).exit_code == 2
    assert run("recipes", "cp", "tiyn", str(tmp_path)).exit_code == 2


def test_validate_says_fine_or_every_error(tmp_path: Path) -> None:
    fine = run("recipes", "validate", "digits_vae")
    assert fine.exit_code == 0
    assert fine.stdout.startswith("fine: digits_vae: vae on digits; 5 seeds x 5 rounds of 500 steps")
    bad = tmp_path / "bad.toml"
    bad.write_text('[task]\nfamily = "vae"\n[data]\nname = "digts"\n[train]\nsteps = 0\n')
    result = run("recipes", "validate", str(bad), "tiny", "--set", "seed=1")
    assert result.exit_code == 2
    assert result.stdout.startswith("fine: tiny")
    first, second = result.stderr.splitlines()
    assert first.startswith(f"gentickets: error: {bad}:4: data.name: 'digts' is not allowed")
    assert second.startswith(f"gentickets: error: {bad}:6: train.steps: 0 is not allowed")
    found = json.loads(run("recipes", "validate", str(bad), "tiny", "--json").stdout)
    assert [row["fine"] for row in found] == [False, True]
    assert len(found[0]["errors"]) == 2


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table(Table(["name", "x"], [["n" * 300, 1.0], ["[red]", 12.345678], [None, None]], title="long"))
    assert capsys.readouterr().out.splitlines() == [
        "long",
        "name".ljust(300) + "      x",
        "n" * 300 + "      1",
        "[red]".ljust(300) + "  12.35",
        "-".ljust(300) + "      -",
    ]


def test_texts_that_are_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    dash = "\N{EN DASH}"
    rows = [["a", "0.0 %", "102.4 ± 0.1 (3)", ""], ["b", "as 67.2 %", dash, "2 x 3"]]
    table(Table(["arm", "sparsity", "ELBO", "notes"], rows))
    assert capsys.readouterr().out.splitlines() == [
        "arm   sparsity             ELBO  notes",
        "a        0.0 %  102.4 ± 0.1 (3)",
        f"b    as 67.2 %                {dash}  2 x 3",
    ]


WIDE = (
    "from gentickets_cli.console import table\n"
    "from gentickets.table import Table\n"
    "row = ['re-initialized, scaled', '67.2 %', '102.45 ± 0.12 (3)', '-1.7 %', '0.0345', '12.5', 'compute-matched']\n"
    "heads = ['arm', 'sparsity', 'negative ELBO ± sd (n)', 'to dense', 'Frechet distance', 'coverage', 'notes']\n"
    "table(Table(heads, [row, ['dense', *row[1:]]], spare=heads[4:6], more='more metrics: report.html'))"
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize(("columns", "spared"), [(80, True), (120, False)])
def test_a_narrow_terminal_breaks_no_word_and_no_number(columns: int, spared: bool) -> None:
    shown = in_terminal(columns, program=[sys.executable, "-c", WIDE], NO_COLOR="1")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].strip()
    assert all(part in shown for part in ("re-initialized,", "102.45 ± 0.12 (3)", "-1.7 %", "compute-matched"))
    assert ("coverage" not in shown) == spared
    assert shown.rstrip().endswith("more metrics: report.html") == spared


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_no_color_leaves_no_escapes_in_a_table() -> None:
    assert "\x1b" in in_terminal(80, "recipes", "ls")
    assert "\x1b" not in in_terminal(80, "recipes", "ls", NO_COLOR="1")


def test_emit_prints_json_that_every_parser_reads(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": float("nan"), "b": [Path("x"), (1, 2)], "c": "±"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": ["x", [1, 2]], "c": "±"}
    emit({"a": 1, "long": [1.5, True, None]}, as_json=False)
    assert capsys.readouterr().out == "a     1\nlong  1.5, yes, -\n"
    emit([{"a": 1}, {"b": "x y"}], as_json=False)
    assert capsys.readouterr().out == "a  b\n1  -\n-  x y\n"
    emit("text", as_json=False)
    assert capsys.readouterr().out == "text\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_table_on_a_terminal_fits_and_loses_nothing() -> None:
    shown = click.unstyle(in_terminal(40, "recipes", "ls"))
    assert max(map(len, shown.splitlines())) <= 40
    assert "…" not in shown
    piped = run("recipes", "ls").stdout
    assert Counter("".join(piped.split())) <= Counter("".join(shown.replace("─", "").split()))
    assert "AnMLPautoencoderonscikit-learn'sdigits,8x8" in "".join(shown.split())


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    red = click.Command("x", callback=lambda: click.secho("red", fg="red"))
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: red)
    assert run("show", color=True).stdout == "\x1b[31mred\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    result = CliRunner().invoke(cli, ["show"], prog_name="gentickets", color=True)
    assert result.stdout == "red\n"


def test_with_json_an_error_is_a_line_of_json_on_stderr(raising: Callable[..., Result]) -> None:
    refused = run("recipes", "show", "tinny", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    told = json.loads(refused.stderr)
    assert told["status"] == 2
    assert told["message"].endswith("Did you mean 'tiny'?")
    assert run("recipes", "show", "tinny").stderr == f"gentickets: error: {told['message']}\n"
    usage = run("recipes", "ls", "--json", "--time", "x")
    assert json.loads(usage.stderr)["status"] == usage.exit_code == 2
    assert run("recipes", "show", "--", "--json").stderr.startswith("gentickets: error: "), "a name, and no option"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_errors_and_verdicts_are_coloured_on_a_terminal_that_shows_it(
    variables: dict[str, str], coloured: bool
) -> None:
    code = (
        "import contextlib\nfrom gentickets_cli.main import cli\nfrom gentickets_cli.console import paragraph\n"
        "paragraph('WINS AT EQUAL STEPS by 1.7'); paragraph('WINSOME'); paragraph('who WINS')\n"
        "with contextlib.suppress(SystemExit):\n    cli.main(['fnd'])\n"
    )
    shown = in_terminal(80, "-c", code, program=[sys.executable], **variables)
    expected = ["\x1b[32m\x1b[1mWINS AT EQUAL STEPS\x1b[0m by 1.7", "\x1b[31m\x1b[1merror:\x1b[0m no command"]
    assert all((part in shown) == coloured for part in expected)
    assert ("\x1b" in shown) == coloured
    assert "WINSOME\r\nwho WINS\r\n" in shown


def test_every_verdict_has_a_colour() -> None:
    assert {*VERDICTS, FAILED, WORTH, NOT_WORTH, OPEN} == set(COLOURS)


def test_the_module_is_the_command() -> None:
    assert as_module.main is main
    done = subprocess.run(
        [sys.executable, "-m", "gentickets", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "gentickets 0.1.0\n")


def _modules(*args: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    code = (
        "import sys\nfrom gentickets_cli.main import cli\n"
        f"try:\n    cli.main({list(args)!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())
