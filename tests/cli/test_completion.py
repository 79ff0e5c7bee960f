"""Completion in the shell: recipes, runs and tickets, fast and without PyTorch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from helpers import PROGRAM

LIMIT = 0.5
"""Seconds of processor time that an answer may take."""
RUNS = ("short/run.json", "short/seed-0/ticket/round-01/ticket.safetensors", "short/seed-0/ticket/round-02/result.json")
RUNS += ("short/seed-0/reinit/round-01/ticket.safetensors", "other/run.json", "no-run/notes.txt")
RUNS += ("short-train/seed-4/train/round-01/ticket.safetensors",)
TICKETS = ("runs/short/seed-0/ticket/round-01", "runs/short-train/seed-4/train/round-01")


def completed(folder: Path, *words: str) -> list[str]:
    """What a shell is offered for the last of the words."""
    env = {"_GENTICKETS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["gentickets", *words])}
    env["COMP_CWORD"] = str(len(words))
    done = subprocess.run(
        PROGRAM, env={**os.environ, **env}, capture_output=True, text=True, check=True, cwd=folder, timeout=60
    )
    assert not done.stderr
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with runs, tickets and a recipe."""
    for name in RUNS:
        (tmp_path / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / name).touch()
    (tmp_path / "tinted.toml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["find", "ti"], ["tiny", "tinted.toml"]),
        (["recipes", "show", "digits_vae_"], ["digits_vae_longer"]),
        (["recipes", "validate", "tiny", "quick/wgan_"], ["quick/wgan_gp"]),
        (["show", "runs/sh"], ["runs/short", *TICKETS]),
        (["report", "runs/"], ["runs/other", "runs/short"]),
        (["train", "runs/short/"], ["runs/short/seed-0/ticket/round-01"]),
        (["export", "runs/short/seed-0/r"], ["runs/short/seed-0/reinit/round-01"]),
        (["sample", "runs/short-"], ["runs/short-train/seed-4/train/round-01"]),
        (["verdict", "--from", "runs/o"], ["runs/other"]),
        (["verdict", "tin"], ["tiny", "tinted.toml"]),
        (["transfer", "runs/o"], ["runs/other"]),
        (["transfer", "runs/short", "--to", "tin"], ["tiny", "tinted.toml"]),
        (["cost", "t"], ["tiny", "transfer/ae", "transfer/beta_vae", "transfer/gan", "transfer/vae", "tinted.toml"]),
        (["train", "elsewhere/"], ["file,elsewhere/"]),
    ],
    ids=lambda value: " ".join(value),
)  # fmt: skip
def test_what_an_argument_takes_is_offered(folder: Path, words: list[str], offered: list[str]) -> None:
    assert completed(folder, *words) == offered


def test_completion_is_fast(folder: Path) -> None:
    seconds = []
    for _ in range(3):
        before = os.times().children_user + os.times().children_system
        completed(folder, "cost", "runs/")
        seconds.append(os.times().children_user + os.times().children_system - before)
    assert min(seconds) < LIMIT
