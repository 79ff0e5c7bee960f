"""What README and the site show runs: Python as it stands, commands as they are typed, on a small recipe."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from gentickets_cli.main import cli
from helpers import HOUSE

DOCUMENTS = [HOUSE / "README.md", *sorted(HOUSE.glob("docs/**/*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<marks>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)
SMALLER = (
    ("digits_vae", "tiny"),
    ("round-05", "round-02"),
    ("find quick/vae_earlybird", "find quick/vae_earlybird --set search.seeds=1"),
    ("find quick/vae ", "find quick/vae --set search.seeds=1 --set train.steps=60 "),
    ("find docs/my_flow.toml", "find docs/my_flow.toml --set search.seeds=1 --set train.steps=70"),
    ("find my_model.toml", "find my_model.toml --set search.seeds=1 --set train.steps=60"),
    ("find my_gan.toml", "find my_gan.toml --set search.seeds=1 --set train.steps=160"),
    ('gentickets.find("digits_vae")', 'gentickets.find("tiny", overrides=["search.seeds=1"], jobs=1)'),
    ("level=0.672", "level=0.36"),
    ("--to quick/vae_to_gan", "--to quick/vae_to_gan --set search.seeds=1 --set train.steps=60"),
)
"""What the commands of a document are changed to where they are run: the same ones, in less time."""


@dataclass(frozen=True)
class Block:
    """A block of code: ``run`` and ``save: NAME`` in a comment before it say what a test does with it."""

    document: Path
    language: str
    text: str
    marks: str

    @property
    def runs(self) -> bool:
        return "run" in self.marks

    @property
    def saved_as(self) -> str:
        return found[1] if (found := re.search(r"save: (\S+?)(,|$)", self.marks)) else ""

    @property
    def copy_of(self) -> str:
        return found[1] if (found := re.search(r"file: (\S+)", self.marks)) else ""


def blocks(document: Path) -> Iterator[Block]:
    for found in BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield Block(document, found["language"], found["text"], (found["marks"] or "").strip())


def commands(block: Block) -> Iterator[list[str]]:
    """The gentickets commands of a block, as the shell would split them."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\|", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["gentickets"] and len(words) > 1:
                yield words[1:]


EVERY = [block for document in DOCUMENTS for block in blocks(document)]
TYPED = sorted({shlex.join(words): None for block in EVERY if block.language == "bash" for words in commands(block)})
TITLES = {str(document.relative_to(HOUSE)): document for document in DOCUMENTS}
WITH_PYTHON = [title for title, path in TITLES.items() if any(b.runs and b.language == "python" for b in blocks(path))]
WITH_SHELL = [title for title, path in TITLES.items() if any(b.runs and b.language == "bash" for b in blocks(path))]


def understood(words: list[str]) -> None:
    """Parse a command without calling it; click raises what the user would see."""
    command: click.Command = cli
    context = click.Context(cli, info_name="gentickets")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    command.make_context(context.info_name, words, parent=context.parent)


@pytest.mark.parametrize("command", TYPED)
def test_every_command_of_the_documents_is_understood(command: str) -> None:
    understood(shlex.split(command))


@pytest.mark.parametrize("command", ["find tiny --no-such-option", "fnd tiny", "find", "find tiny --jobs many"])
def test_a_command_that_is_wrong_would_be_seen(command: str) -> None:
    with pytest.raises(click.UsageError):
        understood(shlex.split(command))


@pytest.mark.parametrize("title", WITH_PYTHON)
def test_python_of_the_documents_runs(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(TITLES[title]):
        if block.saved_as:
            Path(block.saved_as).write_text(block.text, encoding="utf-8")
        if block.runs and block.language == "python":
            exec(compile(small(block.text), title, "exec"), {"__name__": "a block"})


def small(text: str) -> str:
    for shown, run in SMALLER:
        text = text.replace(shown, run)
    return text


@pytest.mark.parametrize("block", [b for b in EVERY if b.copy_of], ids=lambda block: block.copy_of)
def test_files_that_are_shown_are_the_files(block: Block) -> None:
    assert block.text == (HOUSE / block.copy_of).read_text(encoding="utf-8")


def test_whatever_readme_shows_is_run() -> None:
    """All of its blocks, but those that install."""
    shown = [block for block in blocks(HOUSE / "README.md") if block.language in ("python", "bash")]
    assert len(shown) > 4
    assert not [block for block in shown if not block.runs and "pip install" not in block.text]


def test_readme_is_short() -> None:
    text = (HOUSE / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 180
    assert len(text.split()) <= 1200
    assert not [line for line in text.splitlines() if len(line) > 120]
    assert not [line for line in text.splitlines() if line.startswith("|") and len(line) > 100]


@pytest.mark.docs
@pytest.mark.parametrize("title", WITH_SHELL)
def test_commands_of_the_documents_run(title: str, tmp_path: Path) -> None:
    """In their order, in one folder, as typed but for the recipe's size."""
    program = tmp_path / "bin" / "gentickets"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gentickets_cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    shutil.copytree(HOUSE / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.md", "*.json", "*.png"))
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    for block in blocks(TITLES[title]):
        if block.saved_as:
            (tmp_path / block.saved_as).write_text(block.text, encoding="utf-8")
        if block.runs and block.language == "bash":
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", small(block.text)], cwd=tmp_path, env=environment,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
            )  # fmt: skip
            assert ran.returncode == 0, f"{small(block.text)}\n{ran.stdout[-3000:]}"


def test_readmes_verdict_is_the_stored_one() -> None:
    text = (HOUSE / "README.md").read_text(encoding="utf-8")
    quoted = " ".join(line[2:] for line in text.splitlines() if line.startswith("> ")).removesuffix(".")
    stored = json.loads((HOUSE / "docs/results/digits_vae/verdict.json").read_text(encoding="utf-8"))
    assert len(quoted) > 200
    assert stored["sentence"].startswith(quoted)
