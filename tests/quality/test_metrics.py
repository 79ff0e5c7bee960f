"""The table of metrics: every row through recipe, quality, report and verdict, and what nobody declared is refused."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import HOUSE

from gentickets.analysis.judge import judge_run
from gentickets.analysis.text.format import direction, heading, metric_name
from gentickets.data import Splits
from gentickets.errors import TicketError
from gentickets.experiment.plan import plan_units
from gentickets.experiment.run import Options, find, record_of
from gentickets.metrics import COMPARED, TABLE, Metric, as_loss, better, declare, known, metric, of_samples
from gentickets.quality import evaluate, extractor
from gentickets.quality.features import OwnFeatures
from gentickets.recipe import Recipe, load_recipe
from gentickets.recipe.families import FAMILIES
from gentickets.report import read_run
from gentickets.results import Result, parse_result
from gentickets.runs.folder import RunFolder
from gentickets.tasks import FAMILIES as NETWORKS
from gentickets.tasks import Task

RECIPE = """
[task]
family = "{family}"
width = 8
[data]
name = "digits"
[train]
steps = 40
[search]
seeds = 3
rounds = 2
controls = ["reinit"]
{search}
[quality]
downstream = {downstream}
features = "{features}"
[claim]
metric = "{metric}"
unit = "absolute"
margin = 0.1
level = 0.36
looks = 1
controls = ["reinit"]
"""
JUDGED = [row for row in TABLE if row.better]
NAMES = [row.name for row in JUDGED]


def recipe_for(row: Metric, folder: Path) -> Recipe:
    """A recipe of a built-in family that claims the metric; StopIteration where none can."""
    family = next(name for name, keywords in FAMILIES.items() if row.name in keywords.metrics)
    told = RECIPE.format(
        family=family,
        metric=row.name,
        search='prune = ["generator"]' if "generator" in FAMILIES[family].components else "",
        downstream=str("downstream" in row.needs).lower(),
        features="inception" if "inception" in row.needs else "own",
    )
    (folder / "claim.toml").write_text(told)
    return load_recipe(str(folder / "claim.toml"))


def made_run(folder: Path, row: Metric, ticket: float) -> Path:
    """A finished run in which dense and control reach 1 in the metric, or a little more, and the ticket that value."""
    of, run = recipe_for(row, folder), RunFolder(folder / "run")
    run.path.mkdir()
    record = record_of(of, Options(device="cpu"))
    run.record.write_bytes(run.record_text(record))
    run.recipe.write_text(of.text)
    for unit in plan_units(of):
        place = run.round(*unit.key)
        place.path.mkdir(parents=True)
        jitter = np.random.default_rng([*unit.arm.encode(), unit.round, unit.seed]).normal()
        value = (ticket if unit.arm == "ticket" and unit.round else 1.0) + 0.001 * float(jitter)
        result = Result(
            unit.arm, unit.seed, unit.round, 1 - 0.8**unit.round, unit.span, unit.steps, "last",
            valid={row.name: value}, test={row.name: value},
        )  # fmt: skip
        place.result.write_text(result.to_json())
    return run.path


# -- the table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_is_whole(row: Metric) -> None:
    assert check(row) == []


def check(row: Metric) -> list[str]:
    """What is wrong with a row."""
    wrong = [name for name in ("name", "title", "unit") if not getattr(row, name)]
    wrong += [] if row.name == row.name.lower().replace(" ", "_") else ["name"]
    wrong += [] if (row.better is None) == bool(row.silent) else ["silent"]
    wrong += [] if (row.of == "samples") == ("sample" in row.needs) else ["of"]
    wrong += [] if row.compares == (row.least != (1, 1)) else ["least"]
    wrong += [name for name in ("alias_of", "guard") if (other := getattr(row, name)) and known(other) is None]
    wrong += [] if not row.leads or row.better else ["leads"]
    return wrong


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"title": ""}, "title"),
        ({"unit": ""}, "unit"),
        ({"better": None}, "silent"),
        ({"of": "images"}, "of"),
        ({"least": (1, 1)}, "least"),
        ({"guard": "covrage"}, "guard"),
        ({"alias_of": "frechett"}, "alias_of"),
    ],
)
def test_a_row_that_is_not_whole_is_seen(change: Mapping[str, Any], wrong: str) -> None:
    assert wrong in check(replace(metric("kid"), **change))
    with pytest.raises(TypeError, match="missing"):
        Metric("new", "new")  # type: ignore[call-arg]


def test_names_and_titles_are_told_apart() -> None:
    assert len({row.name for row in TABLE}) == len({row.title for row in TABLE}) == len(TABLE)


MEASURED = ("metrics.py", "quality", "tasks", "recipe/families.py")
"""Where metrics are measured, and where families say which they have."""
COLUMNS = {"analysis/diagnostics.py": {"coverage", "recall"}, "recipe/meaning.py": {"frechet"}}
"""What stands beside a verdict has a place of its own in verdict.json; and a key of [quality] has a metric's name."""
AMBIGUOUS = {"precision", "density", "reconstruction"}
"""Also the arithmetic's, a mask's and a picture's."""


def test_no_metric_is_named_elsewhere() -> None:
    house = HOUSE / "gentickets"
    for path in sorted(house.glob("**/*.py")):
        place = path.relative_to(house).as_posix()
        if place.startswith(MEASURED):
            continue
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        named = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        found = named & {row.name for row in TABLE} - AMBIGUOUS - COLUMNS.get(place, set())
        assert not found, f"{place} names {found}; what it knows of it belongs into the table"


# -- through the house --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features(digits: Splits) -> OwnFeatures:
    found = extractor(digits)
    assert isinstance(found, OwnFeatures)
    return found


def test_quality_measures_every_row_and_nothing_else(digits: Splits, features: OwnFeatures) -> None:
    measured: set[str] = set()
    for called in ("frechet", "fid"):
        features.distance = called
        for family in FAMILIES:
            task = NETWORKS[family](digits.image, width=4)
            measured |= set(
                evaluate(
                    task, digits, "test", seed=0, samples=60, extractor=features, classifier=features,
                    downstream=called == "fid" and family == "gan",
                ).figures
            )  # fmt: skip
    assert measured == {row.name for row in TABLE}


@pytest.mark.parametrize("row", JUDGED, ids=NAMES)
def test_a_claim_is_judged_the_way_the_row_says(tmp_path: Path, row: Metric) -> None:
    ahead = 0.5 if row.better == "lower" else 1.5
    report = read_run(made_run(tmp_path, row, ahead)).summary
    assert (report.metric, report.verdict.word, report.better[row.name]) == (
        row.name,
        "WINS AT EQUAL STEPS",
        row.better,
    )
    assert row.title in report.verdict.sentence


@pytest.mark.parametrize("row", JUDGED, ids=NAMES)
def test_a_ticket_behind_is_worse_than_dense(tmp_path: Path, row: Metric) -> None:
    behind = 1.5 if row.better == "lower" else 0.5
    judged = judge_run(made_run(tmp_path, row, behind))
    assert (judged.metric, judged.word) == (row.name, "WORSE THAN DENSE")
    assert judged.declared is not None
    assert judged.declared.short is not None
    assert judged.declared.short.against.loss.mean > 0


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_words_know_every_row(row: Metric) -> None:
    assert metric_name(row.name) == row.title
    assert heading(row.name).removeprefix(row.title).strip() == {"lower": "↓", "higher": "↑", None: ""}[row.better]
    assert direction(row.name).startswith(row.better or "says nothing")
    assert of_samples(row.name) == (row.of == "samples")


@pytest.mark.parametrize("row", [row for row in TABLE if row.better is None], ids=lambda row: row.name)
def test_what_says_nothing_by_itself_carries_no_claim(tmp_path: Path, row: Metric) -> None:
    assert not any(row.name in keywords.metrics for keywords in FAMILIES.values())
    with pytest.raises(TicketError, match="alone says nothing of quality"):
        load_recipe("digits_vae", overrides=[f"claim.metric={row.name}"])


def test_a_recipe_asks_for_what_is_compared_by_its_one_name() -> None:
    assert "fid" not in COMPARED
    for name in COMPARED:
        asked = [f"claim.metric={name}", f'quality.figures=["{name}"]', 'claim.unit="absolute"']
        assert load_recipe("digits_gan", overrides=asked)


# -- of one's own -------------------------------------------------------------------------------------------


def test_a_metric_that_nobody_declared_is_refused_and_not_judged() -> None:
    for ask in (better, lambda name: as_loss(name, 1.0)):
        with pytest.raises(TicketError, match=r"nobody has declared the metric 'sharpness'.*figures\(\).*better = "):
            ask("sharpness")
    assert (heading("sharpness"), direction("sharpness")) == ("sharpness", "nobody has declared which way is better")


def test_figures_declare_a_metric_and_better_which_way_it_is_good() -> None:
    declare(["blur_test"], {})
    assert better("blur_test") == "lower"
    declare(["psnr_test", "spread_test"], {"psnr_test": "higher", "spread_test": None})
    assert (better("psnr_test"), better("spread_test")) == ("higher", None)
    assert (as_loss("psnr_test", 2.0), heading("psnr_test")) == (-2.0, "psnr test ↑")


@pytest.mark.parametrize(
    ("names", "ways", "said"),
    [
        (["one_test", "two_test"], {"one_test": "higher"}, "better says nothing of the figure 'two_test'"),
        (["up_test"], {"up_test": "up"}, "is 'up'; it must be 'lower', 'higher' or None"),
        (["recall"], {"recall": "lower"}, "'recall' is declared lower here, and gentickets' is higher: rename it"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(names: list[str], ways: Mapping[str, object], said: str) -> None:
    with pytest.raises(TicketError, match=said):
        declare(names, ways)


def test_two_runs_that_disagree_are_refused() -> None:
    declare(["twofold_test"], {})
    with pytest.raises(TicketError, match="declared higher here, and another run's is lower"):
        declare(["twofold_test"], {"twofold_test": "higher"})


def test_a_result_tells_a_reader_without_the_plugin_which_way_is_good() -> None:
    told = Result("ticket", 0, 1, 0.2, 40, 40, "last", test={"sharp_test": 3.0}, better={"sharp_test": "higher"})
    assert json.loads(told.to_json())["better"] == {"sharp_test": "higher"}
    assert parse_result(told.to_json(), Path("result.json")).better == {"sharp_test": "higher"}
    assert "better" not in json.loads(replace(told, test={"plain_test": 3.0}, better={}).to_json())


PLUGIN = """
import torch
from gentickets.tasks import FAMILIES

class Sharp(FAMILIES["ae"]):
    better = {better}

    def __init__(self, image, width=8):
        super().__init__(image, width=width, depth=1, latent=4)

    def figures(self, batch, draw):
        return {{**super().figures(batch, draw), "psnr_own": -super().figures(batch, draw)["reconstruction"].log()}}
"""


def find_with(folder: Path, ways: str) -> None:
    (folder / "sharp.py").write_text(PLUGIN.format(better=ways))
    told = RECIPE.format(family="Sharp", metric="psnr_own", search="", downstream="false", features="own")
    (folder / "sharp.toml").write_text(told.replace("rounds = 2", "rounds = 2\nbudget = false"))
    plugins = (folder / "sharp.py",)
    recipe = load_recipe(str(folder / "sharp.toml"), plugins=plugins)
    find(recipe, folder / "run", Options(jobs=0, device="cpu", plugins=plugins))


def test_a_family_that_forgets_a_figure_is_refused_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(
        TicketError, match=r"Sharp.better names 'psnr', not among its figures: reconstruction, psnr_own"
    ):
        find_with(tmp_path, "{'psnr': 'higher'}")
    assert not (tmp_path / "run" / "seed-0").exists()


def test_a_metric_of_ones_own_of_which_more_is_better_is_judged_so(tmp_path: Path) -> None:
    find_with(tmp_path, "{'psnr_own': 'higher'}")
    code = "import sys; from pathlib import Path; from gentickets.report import read_run; "
    code += "summary = read_run(Path(sys.argv[1])).summary; "
    code += "print(summary.better['psnr_own'], summary.verdict.short.against.loss.mean)"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    verdict = read_run(tmp_path / "run").summary.verdict
    assert verdict.short is not None
    assert told[0] == "higher"
    assert float(told[1]) == pytest.approx(verdict.short.dense.mean - verdict.short.ticket.mean)


def test_the_task_itself_declares_nothing() -> None:
    assert Task.better == {}
    assert all(NETWORKS[family].better == {} for family in FAMILIES)
