"""What no mask covers is told: names, numbers, reasons; and where that is much, the share of all parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from gentickets_cli.main import cli
from helpers import recipe_text
from torch import nn
from torch.nn.utils import parametrizations

from gentickets.analysis.text.format import DASH
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.masks import by_reason, excluded, prunable
from gentickets.recipe import load_recipe
from gentickets.report import read_run, table, write_report
from gentickets.results import read_results
from gentickets.sparsity import is_partial, of_all, removed_of_all, share_to_say

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

KINDS = "is no layer of the kinds that are pruned (Linear, Conv and ConvTranspose)"
EMBEDDED = """
import torch
from gentickets.tasks import FAMILIES

class Embedded(FAMILIES["ae"]):
    def __init__(self, image, **keywords):
        super().__init__(image, **keywords)
        self.table = torch.nn.Embedding(1000, 16)
"""
RECIPE = recipe_text(
    task={"family": "Embedded", "width": 8, "depth": 1, "latent": 4},
    data={"batch_size": None},
    train={"steps": 2},
    search={"keep": 0.25, "controls": []},
    claim={"metric": "reconstruction", "level": 0.75},
)


def network() -> nn.Module:
    """One layer of every kind that is or is not pruned."""
    return nn.ModuleDict(
        {
            "attention": nn.MultiheadAttention(8, 2),  # 3 * 8 * 8 joint, 8 * 8 out, biases 24 + 8
            "table": nn.Embedding(10, 4),
            "memory": nn.LSTM(4, 4),  # 16 * 4 twice, biases 16 twice
            "both": nn.Bilinear(2, 3, 4),
            "norm": nn.LayerNorm(5),
            "scaled": parametrizations.weight_norm(nn.Linear(4, 6)),  # 24 pruned, 6 scales, 6 biases
            "turned": parametrizations.orthogonal(nn.Linear(3, 3, bias=False)),
            "kept": nn.Linear(4, 2, bias=False),
        }
    )


def test_every_parameter_is_prunable_or_has_a_reason() -> None:
    net = network()
    found = excluded(net, exempt=["kept.*"])
    told = {name: count for name, (count, _) in found.items()}
    assert told == {
        "attention.in_proj_weight": 192, "attention.in_proj_bias": 24, "attention.out_proj.bias": 8,
        "table.weight": 40, "memory.weight_ih_l0": 64, "memory.weight_hh_l0": 64, "memory.bias_ih_l0": 16,
        "memory.bias_hh_l0": 16, "both.weight": 24, "both.bias": 4, "norm.weight": 5, "norm.bias": 5,
        "scaled.bias": 6, "scaled.parametrizations.weight.original0": 6, "turned.parametrizations.weight.original": 9,
        "kept.weight": 8,
    }  # fmt: skip
    inside = sum(weight.numel() for weight in prunable(net, exempt=["kept.*"]).values())
    assert inside == 64 + 24
    assert inside + sum(told.values()) == sum(parameter.numel() for parameter in net.parameters())
    for name, kind in (("table.weight", "Embedding"), ("memory.weight_hh_l0", "LSTM"), ("both.weight", "Bilinear")):
        assert found[name][1] == f"{kind} {KINDS}"
    assert found["kept.weight"][1] == "exempt by 'kept.*' (search.exempt)"
    assert "Orthogonal" in found["turned.parametrizations.weight.original"][1]


def test_reasons_are_grouped_and_tied_weights_count_once() -> None:
    net = nn.ModuleDict({"one": nn.Linear(3, 3), "two": nn.Linear(3, 3), "own": nn.Module()})
    net["two"].weight = net["one"].weight
    net["own"].register_parameter("scale", nn.Parameter(torch.ones(7)))
    rows = by_reason(excluded(net, components=["one"]))
    assert [(row["parameters"], row["names"]) for row in rows] == [(7, ["own.scale"]), (6, ["one.bias", "two.bias"])]
    net["two"].weight = nn.Parameter(torch.ones(3, 3))
    assert excluded(net, components=["one"])["two.weight"] == (9, "the component 'two' is not pruned (search.prune)")


def test_a_share_of_all_parameters_by_hand() -> None:
    """384 of 512 weights removed, of 17,448 parameters: 2.2 %; 94 of 100 is partial, 95 of 100 is not."""
    few = {"kept": 128, "total": 512, "all": 17_448}
    assert of_all(removed_of_all(few)) == "2.2 % of all parameters"
    assert share_to_say(few) == 384 / 17_448
    assert is_partial({"kept": 1, "total": 94, "all": 100})
    assert not is_partial({"kept": 1, "total": 95, "all": 100})
    assert share_to_say({"kept": 1, "total": 95, "all": 100}) is None
    assert of_all(0.0004) == "0.04 % of all parameters"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model most of whose parameters are an embedding."""
    folder = tmp_path_factory.mktemp("embedded")
    (folder / "embedded.py").write_text(EMBEDDED)
    (folder / "embedded.toml").write_text(RECIPE)
    plugins = (folder / "embedded.py",)
    recipe = load_recipe(str(folder / "embedded.toml"), plugins=plugins)
    find(recipe, folder / "run", Options(jobs=0, device="cpu", plugins=plugins))
    return folder / "run"


def test_a_report_tells_what_is_not_pruned(run: Path) -> None:
    weights = read_results(run)[-1].weights
    assert weights["all"] - weights["total"] > 16_000
    share = of_all(removed_of_all(weights))
    summary = read_run(run).summary
    assert f"at 75.0 % sparsity [{share}]" in summary.verdict.sentence
    header, rows = table(summary)
    assert [row[header.index("of all parameters")] for row in rows] == [DASH, share.removesuffix(" of all parameters")]
    told = {row["why"]: row["parameters"] for row in summary.excluded}
    assert told[f"Embedding {KINDS}"] == 16_000
    page = write_report([run]).page.read_text(encoding="utf-8")
    for text in ("What is not pruned, and why", "table.weight", "16,000", "75.0\N{NO-BREAK SPACE}% of them are"):
        assert text in page


def test_commands_tell_what_is_not_pruned(run: Path) -> None:
    share = removed_of_all(read_results(run)[-1].weights)
    plugin = ["--plugin", str(run.parent / "embedded.py")]
    shown = CliRunner().invoke(cli, ["show", str(run / "seed-0/ticket/round-01"), *plugin, "--json"])
    told = json.loads(shown.stdout)
    assert told["sparsity of all parameters"] == pytest.approx(share, abs=1e-6)
    assert {"why": f"Embedding {KINDS}", "parameters": 16_000, "names": ["table.weight"]} in told["excluded"]
    without = CliRunner().invoke(cli, ["show", str(run / "seed-0/ticket/round-01")])
    assert without.exit_code == 0
    assert "--plugin embedded.py" in without.stderr
    for command in (["show", str(run)], ["find", str(run.parent / "embedded.toml"), *plugin, "--dry-run"]):
        text = CliRunner().invoke(cli, command).stdout
        assert "table.weight" in text
        assert "16,000" in text
        assert f"Embedding {KINDS}" in text
