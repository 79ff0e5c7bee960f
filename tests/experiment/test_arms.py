"""Every kind of arm through plan, run, cost, report and verdict; and nobody beside the table takes names apart."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import MODULES

from gentickets import arms
from gentickets.actions.transfer import check_source
from gentickets.analysis.costs import totals
from gentickets.analysis.judge import judge_run
from gentickets.analysis.results import RunResults
from gentickets.analysis.text.captions import captions
from gentickets.arms import (
    CONTROLS,
    FORK,
    KINDS,
    SEARCH,
    TICKET,
    TWICE,
    UNMASKED,
    ArmKind,
    ArmName,
    asked_for,
    kind_of,
    reported_as,
    variants,
)
from gentickets.experiment.evaluation import Examiner
from gentickets.experiment.options import Options
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.run import find
from gentickets.recipe import Recipe, parse_recipe
from gentickets.report import read_run
from gentickets.report.pages.verdict_files import document
from gentickets.report.plots.marks import marks_of
from gentickets.report.tables.run import full_table, row_notes, size
from gentickets.results import Result
from gentickets.runs.folder import RunFolder
from gentickets.scoring import SCORINGS

pytestmark = pytest.mark.usefixtures("without_plots")

HERE = Options(jobs=0, device="cpu", keep_all=True)
BASE = """
[task]
family = "vae"
network = "{network}"
width = 6
latent = 2
[data]
name = "digits"
batch_size = 16
[train]
steps = 12
lr = 2e-3
[quality]
frechet = false
"""
CLAIM = """
[claim]
metric = "negative_elbo"
level = 0.4
"""
MASKS = f"""{BASE.format(network="mlp")}
[search]
rounds = 1
keep = 0.6
rewind_to = 2
seeds = 1
longer = 2
controls = {[name for name in CONTROLS if not KINDS[name].of_channels]}
{CLAIM}
[verdict]
forks = [0, 2]
"""
CHANNELS = f"""{BASE.format(network="conv")}
[search]
method = "early_bird"
rounds = 1
keep = 0.6
every = 1
rule = "published"
tolerance = 0.9
seeds = 1
controls = {[name for name in CONTROLS if KINDS[name].of_channels]}
{CLAIM}
"""
REWOUND = f"""{CHANNELS}
[verdict]
twice = false
beside = false
""".replace('method = "early_bird"', 'method = "early_bird"\nafter = "rewind"\nrewind_to = 3')
SWEEP = f"""{BASE.format(network="mlp")}
[search]
method = "widths"
widths = [4, 6]
seeds = 1
"""
TARGET = f"""seed = 5
{BASE.format(network="mlp")}
[search]
rounds = 1
keep = 0.6
rewind_to = 2
seeds = 1
budget = false
{CLAIM}
[transfer]
moves = "{{moves}}"
"""
TEXTS = {
    "masks": MASKS,
    "channels": CHANNELS,
    "rewound": REWOUND,
    "sweep": SWEEP,
    "weights": TARGET.format(moves="weights"),
    "signs": TARGET.format(moves="signs"),
}


def recipe_of(name: str) -> Recipe:
    return parse_recipe(TEXTS[name], name=name)


def planned(recipe: Recipe) -> list[Unit]:
    return plan_units(recipe)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each recipe; together they have every kind of arm."""
    folder = tmp_path_factory.mktemp("arms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Examiner, "pictures", lambda self, folder, task: None)  # they take longer than all else here
        patch.setitem(SCORINGS, "synflow", replace(SCORINGS["synflow"], cuts=2))
        for name in TEXTS:
            recipe, prepare = recipe_of(name), {}
            if recipe.transfer is not None:
                gathered = check_source(folder / "masks", recipe, HERE)
                recipe, prepare = gathered.recipe, {"prepare": gathered.keep}
            find(recipe, folder / name, HERE, **prepare)  # type: ignore[arg-type]
    return {name: folder / name for name in TEXTS}


def places(kind: ArmKind) -> list[tuple[str, Unit]]:
    """The units of a kind in all recipes."""
    return [(name, unit) for name in TEXTS for unit in planned(recipe_of(name)) if unit.kind.name == kind.name]


KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@KIND
def test_every_kind_of_arm_is_planned_run_billed_reported_and_judged(kind: ArmKind, runs: dict[str, Path]) -> None:
    found = places(kind)
    assert found, f"no recipe plans '{kind.name}'"
    for name, unit in found:
        run, recipe = RunFolder(runs[name]), recipe_of(name)
        result = run.round(*unit.key).read_result()
        assert result is not None
        assert result.status == "done", result.why
        assert run.round(*unit.key).ticket.is_file() == kind.has_ticket
        assert bool(result.test) == kind.has_ticket
        assert result.selection.startswith("best on validation") == unit.name.picks_best
        assert bool(result.sparsity) == (kind.sparse and unit.round > 0 and kind.name != UNMASKED)
        if kind.has_ticket:
            booked = sum(result.spent.get(phase, 0.0) for phase in ("warm-up", "train")) / result.flops["step"]
            assert round(booked) == result.trained, "it was planned to take as many steps as it took"
        if kind.role == "control":
            assert (result.trained == result.steps) == kind.own_start, "what starts elsewhere has fewer steps to take"
        if kind.role == "control" and not kind.narrower:
            ticket = run.round(unit.seed, TICKET, unit.round).read_result()
            assert ticket is not None
            assert (result.densities == ticket.densities) == kind.rests_on_search, "it has the layers' densities"
        if kind.whole:
            assert result.trained == result.steps == _behind_the_ticket(run, unit), "as many as search and ticket took"
        _is_billed(name, result, runs)
        _is_reported(unit, kind, runs[name])
        if recipe.claim is not None and recipe.transfer is None:
            _is_judged(unit, kind, runs[name])


def _behind_the_ticket(run: RunFolder, unit: Unit) -> int:
    """Optimizer steps that were taken for the ticket of a round, by what the results say that they took."""
    taken = [run.round(unit.seed, TICKET, round).read_result() for round in range(unit.round + 1)]
    searched = run.round(unit.seed, SEARCH, 0).read_result()
    if searched is None:
        return sum(result.trained for result in taken if result is not None)
    ticket = taken[-1]
    assert ticket is not None
    emerged = searched.early_bird["levels"][0]["step"]
    return max(emerged, ticket.steps - ticket.trained) + ticket.trained


def _is_billed(name: str, result: Result, runs: dict[str, Path]) -> None:
    ledger = json.loads((runs[name] / "ledger.json").read_text())
    own = [one for one in ledger["entries"] if (one["arm"], one["round"]) == (result.arm, result.round)]
    assert own
    assert {one["part"] for one in own} <= {"search", "ticket", "comparison"}
    alone = RunResults([result], recipe_of(name))
    assert sum(sum(phases.values()) for phases in totals(alone, "spent").values()) > 0


def _is_reported(unit: Unit, kind: ArmKind, path: Path) -> None:
    summary = read_run(path).summary
    row = summary.row(reported_as(unit.arm, unit.round), unit.round)
    assert (row is not None) == kind.in_tables
    if row is not None:
        if kind.whole:
            told = f"take {row.steps}: as many as the ticket of their level and its search."
            assert any(told in sentence for sentence in captions(summary))
            assert "compute-matched" in row_notes(row)
        assert row.name != unit.arm or kind.title == kind.name, "it has a title"
        assert size(summary, row).startswith("as ") == kind.narrower
        assert any(line[0] == row.name for line in full_table(summary).rows) or summary.is_sweep
        assert (unit.name.base in marks_of(summary)) == (kind.role == "control" or kind.role == "transfer" != kind.name)
    assert not any(unit.arm in sentence for sentence in summary.missing), summary.missing


def _is_judged(unit: Unit, kind: ArmKind, path: Path) -> None:
    told = document(judge_run(path))
    stage = told["levels"][0]["longer" if unit.name.longer else "short"]
    compared = {other["control"] for other in stage["controls"]}
    assert (unit.name.base in compared) == (kind.role == "control" and not kind.matched), stage["unfinished"]
    if kind.name == TWICE:
        assert told["trained"]["better_by"] is not None
    if kind.role == "diagnostic":
        assert told["beside"]["paths"]


# -- the table ------------------------------------------------------------------------------------------------


def test_every_kind_has_a_title_of_its_own_and_a_name_that_comes_back() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    for kind in KINDS.values():
        for name in (kind.name, *variants(kind.name), *variants(kind.name, longer=True)):
            assert str(ArmName.of(name)) == name
            assert kind_of(name) is kind
    for fork in (ArmName(FORK, fork=5), ArmName(FORK, fork=50, other=True)):
        assert ArmName.of(str(fork)) == fork


def test_names_are_taken_apart_and_put_together() -> None:
    assert ArmName.of("transfer-shuffle-scaled-longer") == ArmName("transfer-shuffle", scaled=True, longer=True)
    assert ArmName.of("reinit-scaled-longer").title == "re-initialized, scaled, longer"
    assert ArmName.of("fork-50-other").title == "ticket forked at step 50, other order"
    assert asked_for("shuffle", "both") == ["shuffle", "shuffle-scaled"]
    assert asked_for("shuffle", "on") == ["shuffle-scaled"]
    assert asked_for("narrow", "on") == ["narrow"], "it has no mask whose survivors could be scaled"
    assert (reported_as("ticket", 0), reported_as("ticket", 1), reported_as("budget", 0)) == (
        "dense",
        "ticket",
        "budget",
    )


def test_a_name_that_nobody_knows_is_a_control_of_that_name() -> None:
    """A run of a later version, say: it is listed, and no listing fails."""
    name = ArmName.of("antlers-scaled")
    assert (name.title, name.kind.role, name.kind.has_ticket) == ("antlers, scaled", "control", True)


# -- nobody beside the table ----------------------------------------------------------------------------------

APPENDED = {"-scaled", "-longer", "-other", "fork-", "transfer-"}
"""What nobody but `arms` puts before or behind a name."""
PARTS = {*APPENDED, "random-", *KINDS}
"""What nobody but `arms` looks for at the beginning or end of one."""
NAMES = {name for name, value in vars(arms).items() if isinstance(value, str) and value in KINDS}
IDS = {"pages/run.py", "plots/forest.py"}
"""Files in which ``-longer`` is a part of a plot's id."""


def _is_arm(node: ast.expr) -> bool:
    known = isinstance(node, ast.Constant) and node.value in KINDS
    return known or (isinstance(node, ast.Name) and node.id in NAMES)


def _lists_arms(node: ast.expr | None) -> bool:
    """Whether it is a written list of arms; criteria that some are named after are none."""
    if not isinstance(node, ast.Tuple | ast.List | ast.Set) or len(node.elts) < 2:
        return False
    criteria = all(isinstance(one, ast.Constant) and one.value in SCORINGS for one in node.elts)
    return all(map(_is_arm, node.elts)) and not criteria


def knowing(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Where a module takes arms' names apart, appends to them or lists them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            looked = [part for one in node.args for part in (one.elts if isinstance(one, ast.Tuple) else [one])]
            looks = node.func.attr in ("startswith", "endswith", "removeprefix", "removesuffix")
            if looks and any(_is_arm(one) or (isinstance(one, ast.Constant) and one.value in PARTS) for one in looked):
                yield node
        elif isinstance(node, ast.Constant) and node.value in APPENDED:
            yield node
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            of_role = isinstance(node.left, ast.Attribute) and node.left.attr == "role"
            if not of_role and _lists_arms(node.comparators[0]):
                yield node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _lists_arms(node.value):
            yield node


def test_nobody_but_the_table_takes_names_apart_or_lists_arms() -> None:
    found = {}
    for path in MODULES:
        place = "/".join(path.parts[-2:])
        told = [f"line {node.lineno}: {ast.unparse(node)}" for node in knowing(ast.parse(path.read_text("utf-8")))]
        found[place] = [one for one in told if not (place in IDS and one.endswith("'-longer'"))]
    del found["gentickets/arms.py"]
    assert not {place: told for place, told in found.items() if told}


@pytest.mark.parametrize(
    "code",
    [
        'arm.endswith("-longer")',
        'arm.startswith(("dense", "ticket"))',
        "arm.removeprefix(TRANSFER)",
        'f"{arm}-scaled"',
        'arm in ("ticket", "budget")',
        'RESTING = ("shuffle", "reinit")',
    ],
)
def test_who_did_would_be_seen(code: str) -> None:
    assert list(knowing(ast.parse(code)))
