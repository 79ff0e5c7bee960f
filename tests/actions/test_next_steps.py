"""What `find` ends with: the claimed ticket, and commands that work as they are printed."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import HERE, call, recipe_text

from gentickets.actions.next_steps import claimed_ticket, next_steps
from gentickets.analysis.run import read_run
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import parse_recipe

SHORT = recipe_text(
    task={"width": 8, "depth": 1, "latent": 2},
    train={"steps": 6},
    search={"rounds": 3, "rewind_to": 2, "seeds": 2, "controls": []},
    claim={"metric": "negative_elbo", "margin": 0.1, "level": 0.36},
)


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three rounds that claims one before its last."""
    folder = tmp_path_factory.mktemp("next") / "runs" / "short"
    find(parse_recipe(SHORT, name="short"), folder, HERE)
    return folder


def test_the_ticket_is_the_claims_and_not_the_sparsest(claimed: Path) -> None:
    run = read_run(claimed)
    found = claimed_ticket(run)
    assert found is not None
    assert found.ticket.is_file()
    assert 0 < run.recipe.claim_round < run.recipe.rounds[-1]
    assert found.path == claimed / f"seed-{min(run.recipe.seeds)}" / "ticket" / f"round-0{run.recipe.claim_round}"


def test_without_a_claim_it_is_the_sparsest_that_is_done(claimed: Path) -> None:
    run = read_run(claimed)
    run = replace(run, recipe=run.recipe.model_copy(update={"claim": None}))
    found = claimed_ticket(run)
    assert found is not None
    assert found.path.name == "round-03"
    failed = [replace(one, status="diverged") if one.round == 3 else one for one in run.results]
    found = claimed_ticket(replace(run, results=failed))
    assert found is not None
    assert found.path.name == "round-02"
    assert claimed_ticket(replace(run, results=())) is None
    assert next_steps(replace(run, results=())).ticket is None


def test_find_ends_with_the_ticket_and_three_commands(
    claimed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: None
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(claimed, "runs/short")
    Path("short.toml").write_text(SHORT)
    ran = call("find", "short.toml", "--device", "cpu")
    assert ran.exit_code == 0, ran.output
    ticket, *lines = ran.stderr.splitlines()[-4:]
    folder = Path(ticket.removeprefix("ticket: "))
    assert (folder / "ticket.safetensors").is_file()
    commands = [shlex.split(line[line.index("gentickets ") :]) for line in lines]
    assert [words[1] for words in commands] == ["verdict", "export", "cost"]
    told = json.loads(call("find", "short.toml", "--device", "cpu", "--json").stdout)[0]
    assert told["ticket"] == str(folder)
    assert [shlex.split(line) for line in told["next"]] == commands
    for _, name, *words in commands[1:]:
        more = ["--seconds", "0.1"] if name == "cost" else ["--format", "safetensors"]
        assert call(name, *words, *more).exit_code == 0
    assert call("verdict", *commands[0][2:], "--dry-run").exit_code == 0


def test_what_the_run_was_given_is_repeated(claimed: Path) -> None:
    options = Options(root=Path("my data"), device="cpu", plugins=(Path("mine.py"),))
    run = read_run(claimed)
    for step in next_steps(run, options).steps:
        assert shlex.split(step.command)[-6:] == ["--plugin", "mine.py", "--data", "my data", "--device", "cpu"]
    assert all("--" not in step.command.replace("--run", "") for step in next_steps(run).steps)
    explored = replace(run, recipe=run.recipe.exploring())
    assert next_steps(explored).steps[0].command == f"gentickets verdict --from {claimed}"
