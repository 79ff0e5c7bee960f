"""A recipe, a run, a ticket: one rule for what a name means, for every command and verb."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import call

from gentickets.actions.names import find_run, find_ticket, is_recipe, kind_of, run_at
from gentickets.errors import TicketError
from gentickets.runs.formats import read_ticket


def test_a_run_is_its_folder_or_its_name(here: Path) -> None:
    assert find_run("small") == find_run("runs/small") == find_run(Path("runs/small")) == Path("runs/small")
    assert find_run(here / "runs" / "small") == here / "runs" / "small"
    assert run_at("smal") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("smal", r"smal is no run: it has no run.json. Did you mean 'small'\?"),
        ("digits_vae", "digits_vae has no run in runs yet: gentickets find digits_vae"),
    ],
)
def test_an_unknown_run_is_told_with_what_to_do(given: str, said: str, here: Path) -> None:
    with pytest.raises(TicketError, match=said) as caught:
        find_run(given)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_that_exists_comes_before_a_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "runs")
    assert find_run("small") == Path("small")
    (here / "runs" / "tiny").mkdir(exist_ok=True)
    assert not is_recipe("tiny")
    assert is_recipe("digits_vae")
    assert is_recipe(here / "small.toml")


def test_of_a_run_the_claimed_ticket_of_the_first_seed_is_meant(here: Path) -> None:
    file = Path("runs/small/seed-0/ticket/round-01/ticket.safetensors")
    assert find_ticket("small") == find_ticket("runs/small") == find_ticket(file) == find_ticket(file.parent) == file
    assert find_ticket("small/seed-0/ticket/round-01") == file
    assert find_ticket("small", seed=1, level=0.75) == Path("runs/small/seed-1/ticket/round-02/ticket.safetensors")
    assert find_ticket("small", level=0) == Path("runs/small/seed-0/ticket/round-00/ticket.safetensors")
    for wrong, said in (
        ({"seed": 7}, "has no seed 7; it has 0, 1"),
        ({"level": 0.6}, "no level 0.6; it has 0.5, 0.75"),
    ):
        with pytest.raises(TicketError, match=said):
            find_ticket("small", **wrong)  # type: ignore[arg-type]
    with pytest.raises(TicketError, match=r"'smol' is no ticket and no run. Did you mean 'small'\?"):
        find_ticket("smol")


def test_what_kind_a_name_is(here: Path) -> None:
    names = ["runs/small", "small", "digits_vae", "small.toml", "small/seed-0/ticket/round-01"]
    assert [kind_of(one) for one in names] == ["run", "run", "recipe", "recipe", "ticket"]


@pytest.mark.parametrize(
    "command", [["show", "small"], ["report", "small", "--out", "seen"], ["verdict", "small", "--json"]]
)
def test_commands_take_a_runs_name(command: list[str], here: Path) -> None:
    assert call(*command).exit_code == 0


def test_the_commands_that_take_a_ticket_take_a_runs_name(here: Path) -> None:
    shown = call("show", "small/seed-0/ticket/round-02", "--json")
    assert shown.exit_code == 0
    assert '"round": 2' in shown.stdout
    done = call("train", "small", "--steps", "4", "--device", "cpu")
    assert done.exit_code == 0, done.output
    given = Path("runs/small-seed-0-ticket-round-01-train/given.safetensors")
    assert read_ticket(given)[0].origin.round == 1
