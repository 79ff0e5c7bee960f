"""The logger `gentickets`: silent unless asked, and then it has starts, ends and warnings, once each."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from gentickets.experiment.logged import LOGGER, Logged
from gentickets.experiment.options import Silent
from gentickets.experiment.plan import Unit, plan_units
from gentickets.recipe import load_recipe

PROGRAM = """
import logging
{setting}
from gentickets.experiment.logged import Logged
from gentickets.experiment.options import Silent
from gentickets.experiment.plan import plan_units
from gentickets.recipe import load_recipe
unit = plan_units(load_recipe("tiny"))[0]
listener = Logged(Silent())
listener.begin([unit], set())
listener.report(unit, 1, None)
listener.report(unit, 30, {{"status": "done", "why": None}})
listener.note("be warned")
"""


@pytest.fixture(scope="module")
def unit() -> Unit:
    """A unit of the smallest recipe."""
    return plan_units(load_recipe("tiny"))[0]


@pytest.mark.parametrize(
    ("setting", "lines", "first"),
    [
        ("", 0, ""),
        ("logging.getLogger('gentickets').setLevel('INFO')", 4, "INFO gentickets: run of 1 units begins"),
        ("logging.getLogger('gentickets').setLevel('WARNING')", 1, "WARNING gentickets: be warned"),
        ("logging.basicConfig(level='INFO')", 4, "INFO:gentickets:run of 1 units begins"),
        ("logging.basicConfig(); logging.getLogger('gentickets').setLevel('INFO')", 4, "INFO:gentickets:run of 1"),
    ],
)
def test_the_logger_is_silent_unless_asked_and_says_everything_once(setting: str, lines: int, first: str) -> None:
    code = PROGRAM.format(setting=setting)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    said = done.stderr.splitlines()
    assert len(said) == lines
    assert not said or said[0].startswith(first)


def test_what_failed_is_a_warning_and_everything_is_passed_on(unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    class Listener(Silent):
        def report(self, *given: object) -> None:
            heard.append(given)

        def note(self, sentence: str) -> None:
            heard.append(sentence)

    listener = Logged(Listener())
    with caplog.at_level(logging.INFO, LOGGER.name):
        message = {"status": "diverged", "why": "a loss is not finite"}
        listener.report(unit, 3, message)
        listener.note("be warned")
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "WARNING"]
    assert "a loss is not finite" in caplog.messages[1]
    assert heard == [(unit, 3, message), "be warned"]
