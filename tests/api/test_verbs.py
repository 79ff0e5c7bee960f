"""Python verbs: what the commands do, for scripts and notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import call

import gentickets
from gentickets import TicketError
from gentickets.recipe.given import as_overrides, as_toml
from gentickets.table import Table

SECTIONS = {
    "task": {"family": "vae", "width": 8, "depth": 1, "latent": 2},
    "data": {"name": "digits", "batch_size": 16},
    "train": {"steps": 6},
    "search": {"keep": 0.5, "rounds": 1, "rewind_to": 2, "seeds": 1, "controls": ["shuffle"]},
    "quality": {"frechet": False},
}


def test_a_recipe_is_a_name_a_path_a_dict_or_itself(here: Path) -> None:
    named = gentickets.load_recipe("tiny", overrides={"train.steps": 40, "search.controls": ["snip"]})
    assert (named.train.steps, named.search.controls) == (40, ("snip",))
    assert gentickets.load_recipe(named) is named
    again = gentickets.load_recipe(named, overrides=["train.steps=41"])
    assert (again.train.steps, again.search.controls, again.name) == (41, ("snip",), "tiny")
    assert gentickets.load_recipe(Path("small.toml")) == gentickets.load_recipe("small.toml")
    made = gentickets.load_recipe(SECTIONS)
    assert made.search.controls == ("shuffle",)
    assert gentickets.load_recipe(made.resolved()).resolved() == made.resolved()
    assert gentickets.load_recipe("tiny", overrides={"train.ema": {"encoder": 0.9}}).train.ema == {"encoder": 0.9}
    with pytest.raises(TicketError, match="overrides are a dict or a list"):
        gentickets.load_recipe("tiny", overrides="train.steps=3")
    with pytest.raises(TicketError, match="no set"):
        as_overrides({"search.controls": {"snip"}})


def test_values_become_toml_and_come_back() -> None:
    import tomllib

    table = {"text": 'quo"te\n\\', "on": True, "rate": 1e-3, "list": [1, [2.5]], "in": {"x.y": 1}, "no": None}
    values = {"seed": 0, "a": table}
    told = tomllib.loads(as_toml(values))
    del table["no"]
    assert told == values


def test_a_run_is_asked(here: Path) -> None:
    run = gentickets.load_run("small")
    assert (run.path, run.name, run.seeds, run.finished) == (Path("runs/small"), "small", [0, 1], True)
    assert gentickets.load_run(run) is run
    assert run.recipe.train.steps == 6
    assert len(run.results) == len(list(run.path.glob("seed-*/*/*/result.json")))
    assert run.ticket().origin.round == 1
    assert run.ticket(seed=1, level=0.75).origin.round == 2
    assert run.ticket_path(seed=1) == Path("runs/small/seed-1/ticket/round-01/ticket.safetensors")
    assert run.samples(number=4, device="cpu").size[0] > 8


def test_table_and_verdict_are_those_of_the_commands(here: Path, tmp_path: Path) -> None:
    run = gentickets.load_run("small")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    shown = call("show", "small").stdout
    assert str(run.table().rows[0][0]) in shown
    judged = run.verdict()
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before
    assert json.loads(call("verdict", "small", "--json").stdout)["sentence"] == judged.sentence
    assert gentickets.verdict(run).sentence == judged.sentence
    assert (run.path / "verdict.html").is_file()
    assert run.report(tmp_path).page == tmp_path / "report.html"
    assert (tmp_path / "report.json").is_file()


def test_find_starts_workers_from_a_script_without_a_guard_and_loads_no_torch(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys, gentickets
run = gentickets.find({SECTIONS!r}, "own", jobs=1, device="cpu", progress=False)
assert "torch" not in sys.modules
again = gentickets.find({SECTIONS!r}, "own", device="cpu", resume=True)
print(run, again.finished)
""")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    rounds = len(list((tmp_path / "own").glob("seed-*/*/*/result.json")))
    assert done.stdout == f"Run('own': {rounds} of {rounds} rounds) True\n"


def test_verbs_refuse_what_the_commands_refuse(here: Path, tmp_path: Path) -> None:
    with pytest.raises(TicketError, match="is no run"):
        gentickets.load_run(tmp_path / "nowhere")
    with pytest.raises(TicketError, match="no run to resume"):
        gentickets.find("tiny", tmp_path / "none", resume=True)
    with pytest.raises(TicketError, match="what should be judged"):
        gentickets.verdict()
    with pytest.raises(TicketError, match="carries a ticket over"):
        gentickets.find({**SECTIONS, "transfer": {"source": "tiny"}}, tmp_path / "none", progress=False)


def test_what_is_shown_is_short_and_escaped(here: Path) -> None:
    run = gentickets.load_run("small")
    ticket = run.ticket()
    recipe = gentickets.load_recipe("tiny")
    shown = [run, run.table(), run.verdict(), ticket, ticket.mask, recipe, gentickets.Plan(), run.summary.verdict]
    assert max(len(repr(one)) for one in shown) < 400
    evil = Table(["<b>"], [["<script>alert(1)</script>"]], title="<i>")
    assert "<script>" not in evil._repr_html_()
    assert evil._repr_html_().count("&lt;") == 4
    assert "<b>" not in evil._repr_html_()
    for one in (run, run.table(), run.verdict(), ticket, ticket.mask):
        assert "<table>" in one._repr_html_()  # type: ignore[attr-defined]


def test_tickets_are_written_and_read_by_text_paths(here: Path, tmp_path: Path) -> None:
    ticket = gentickets.load_run("small").ticket()
    gentickets.write_ticket(str(tmp_path / "a"), ticket)
    assert gentickets.read_ticket(str(tmp_path / "a"))[0].origin == ticket.origin
