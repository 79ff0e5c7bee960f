"""`gentickets recipes ls`: grouped, whole in a pipe, readable on a terminal, everything with --json."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from gentickets_cli import recipe_list
from gentickets_cli import recipes as command
from gentickets_cli.console import listing
from gentickets_cli.main import cli
from helpers import in_terminal

from gentickets.data import load
from gentickets.datasets import DATASETS
from gentickets.recipe import shipped_recipes

HEADER = ["recipe", "model", "data", "method", "time"]


def listed(*args: str) -> str:
    result = CliRunner().invoke(cli, ["recipes", "ls", *args], prog_name="gentickets")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_recipe_has_a_line_with_what_it_is_and_how_long_it_takes() -> None:
    header, *lines = listed().splitlines()
    assert header.split() == HEADER
    names = [line.split()[0] for line in lines if line]
    assert sorted(names) == sorted(shipped_recipes())
    tiny = next(line for line in lines if line.startswith("tiny "))
    assert tiny.split() == ["tiny", "vae/mlp", "digits", "iterative", "10", "s"]


def test_recipes_are_grouped_by_folder_and_start_with_those_of_the_top() -> None:
    groups = [block.splitlines() for block in listed().split("\n\n")]
    folders = [
        {line.split()[0].rpartition("/")[0] for line in group if not line.startswith("recipe ")} for group in groups
    ]
    assert all(len(folder) == 1 for folder in folders)
    order = [folder.pop() for folder in folders]
    assert order == [name for name in command.GROUPS if name in order] + [n for n in order if n not in command.GROUPS]
    assert order[0] == ""


def test_json_has_everything() -> None:
    rows = json.loads(listed("--json"))
    assert {row["recipe"] for row in rows} == set(shipped_recipes())
    assert all(row["about"] for row in rows)
    # What nobody has run has no time: an estimate would be a guess.
    assert all(bool(row["takes"]) != row["recipe"].startswith("paper/") for row in rows)
    tiny = next(row for row in rows if row["recipe"] == "tiny")
    assert (tiny["data"], tiny["size"], tiny["seeds"], tiny["rounds"], tiny["method"]) == (
        "digits",
        8,
        3,
        2,
        "iterative",
    )
    assert tiny["group"] == ""


def test_the_size_of_data_without_one_asked_for_is_its_own() -> None:
    assert tuple(load("digits").test.shape) == (1, DATASETS["digits"].side, DATASETS["digits"].side)


@pytest.mark.parametrize(
    ("about", "weights"),
    [
        ("VAE (5.7 M weights) on Celeb-A", "5.7 M"),
        ("a network of 209,705 weights", "209,705"),
        ("WGAN with weights clipped", None),
        (None, None),
    ],
)
def test_weights_are_told_where_the_recipe_tells_them(about: str | None, weights: str | None) -> None:
    assert recipe_list._weights(about) == weights


def test_the_time_is_what_follows_the_last_colon() -> None:
    text = "# gentickets find x\n# A GAN; some stall: see there: about an hour on one GPU, by estimate.\nseed = 0\n"
    assert recipe_list._described(text) == ("A GAN; some stall: see there", "about an hour on one GPU, by estimate")
    assert recipe_list._described("seed = 0\n") == (None, None)


def test_a_recipe_of_a_folder_is_found_by_its_whole_name() -> None:
    inner = [name for name in shipped_recipes() if "/" in name]
    for name in inner[:1]:
        result = CliRunner().invoke(cli, ["recipes", "validate", name], prog_name="gentickets")
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("fine: ")


@pytest.mark.parametrize(
    ("takes", "seconds", "time"),
    [
        ("about 90 seconds on 2 cores", 90, "90 s"),
        ("about 2.5 minutes on 2 cores", 150, "2.5 min"),
        ("about an hour on one GPU, by estimate", 3600, "1 h GPU"),
        ("about four hours on one GPU, by estimate", 14_400, "4 h GPU"),
        ("about noon", None, None),
        (None, None, None),
    ],
)
def test_a_time_is_read_from_its_sentence(takes: str | None, seconds: float | None, time: str | None) -> None:
    assert recipe_list._time(takes) == (seconds, time)


def test_a_listing_in_a_pipe_is_one_short_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    listing(["a", "b"], [[((1, "x"), "first thing"), ((22, "y"), "")], [((3, "z"), "third")]])
    assert capsys.readouterr().out == " a  b\n 1  x\n22  y\n\n 3  z\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_a_terminal_has_the_sentence_below_its_row() -> None:
    shown = in_terminal(80, "recipes", "ls", TERM="xterm", NO_COLOR="1").splitlines()
    assert max(map(len, shown)) <= 80
    at = next(place for place, line in enumerate(shown) if line.startswith("tiny "))
    assert shown[at + 1].startswith("    Every part of a search in small")
    assert [line.split()[0] for line in shown if line.startswith(tuple(shipped_recipes()))] == [
        line.split()[0] for line in listed().splitlines()[1:] if line
    ]
