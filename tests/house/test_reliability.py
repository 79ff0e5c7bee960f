"""The parts of `benchmarks/reliability.py`, each tried a few times; `pytest -m reliability` (about three minutes)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import reliability as program
from helpers import HOUSE

PROGRAM = HOUSE / "benchmarks" / "reliability.py"
PARTS = ("kills", "disk", "files", "headers", "values", "signals", "starts", "recipes", "masks")


def reliability(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), *args], capture_output=True, text=True, cwd=HOUSE)


@pytest.mark.reliability
@pytest.mark.parametrize("part", PARTS)
def test_the_promise_holds(part: str) -> None:
    done = reliability("--part", part, "--short")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_part_is_listed_here_and_on_the_page() -> None:
    known = reliability("--help").stdout
    assert "{" + ",".join(PARTS) + "}" in known.replace("\n", "").replace(" ", "")
    stored = json.loads((HOUSE / "docs" / "reliability.json").read_text(encoding="utf-8"))
    assert set(stored["parts"]) == set(PARTS)


def test_the_page_is_what_the_figures_say() -> None:
    """Nothing on it was written by hand."""
    stored = json.loads(program.RECORD.read_text(encoding="utf-8"))
    assert program.render(stored, program.PARTS) == program.PAGE.read_text(encoding="utf-8")
