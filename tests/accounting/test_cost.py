"""`gentickets cost`: dense, masked and compact side by side, what the search cost, and when it is repaid."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import call, make_task, recipe_text

from gentickets.accounting import Counter, Timing, clock, dense_flops, step_flops
from gentickets.actions import measure as measuring
from gentickets.actions.break_even import search_cost_of
from gentickets.actions.measure import Measured, sample_flops
from gentickets.channels import compact, full_channels, groups_of, keep_channels
from gentickets.disk import write_whole
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.ledger import Cost, LevelCost
from gentickets.masks import Channels, Mask, full_mask
from gentickets.recipe import load_recipe
from gentickets.results import Result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.tickets import Ticket, state_of

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

RECIPE = recipe_text(
    task={"network": "conv", "width": 8, "latent": 2},
    train={"steps": 8},
    search={"rounds": 2, "rewind_to": 2},
    claim={"metric": "negative_elbo", "level": 0.2},
)


def told(*arguments: object) -> dict[str, Any]:
    """What `gentickets cost --json` says, measured for as short a time as can be."""
    ran = call("cost", *arguments, "--json", "--device", "cpu", "--seconds", "0.1")
    assert ran.exit_code == 0, ran.output
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module", autouse=True)
def _in_a_hurry() -> Iterator[None]:
    """What is measured here need not be right, but quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "CALL", 0.002)
        patch.setattr(clock, "TURN", 0.002)
        patch.setattr(clock, "TRIES", 1)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds."""
    folder = tmp_path_factory.mktemp("cost")
    (folder / "small.toml").write_text(RECIPE)
    find(load_recipe(folder / "small.toml"), folder / "small", Options(jobs=0, device="cpu", keep_all=True))
    return folder / "small"


def by_name(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {network["network"]: network for network in found["networks"]}


def test_a_run_is_told_at_the_claims_level_or_at_every_one(run: Path) -> None:
    one = told(run)
    assert [(network["network"], network["round"]) for network in one["networks"]] == [("dense", None), ("masked", 1)]
    assert [level["round"] for level in one["levels"]] == [1]
    every = told(run, "--all")
    assert [network["round"] for network in every["networks"]] == [None, 1, 2]
    assert [level["round"] for level in every["levels"]] == [1, 2]


def test_a_masked_ticket_is_theoretical_and_never_repays_its_search(run: Path) -> None:
    found = told(run)
    dense, masked = by_name(found)["dense"], by_name(found)["masked"]
    assert (dense["theoretical_flops"], masked["theoretical_flops"]) == (False, True)
    assert masked["weights"] == dense["weights"] == dense["kept"]
    assert masked["kept"] < dense["kept"]
    assert masked["step"]["flops"] < dense["step"]["flops"]
    assert masked["disk"] < dense["disk"]
    (level,) = found["levels"]
    assert set(level["break_even_trainings"].values()) == set(level["break_even_samples"].values()) == {None}
    assert "Break-even: never, a mask saves nothing by itself." in level["sentence"]


def test_the_search_cost_of_a_ticket_is_that_of_its_round_in_its_run(run: Path, tmp_path: Path) -> None:
    level = told(run / "seed-0/ticket/round-02")["levels"][0]
    assert level["round"] == 2
    # a dense run of 8 steps, 6 steps of round 1, and scores: 14 dense steps in units of 8
    assert level["search_in_dense_trainings"]["flops"] == pytest.approx(14 / 8, rel=1e-6)
    assert level["found_and_trained_in_dense_trainings"]["flops"] == pytest.approx(20 / 8, rel=1e-6)
    alone = tmp_path / "mine.safetensors"
    alone.write_bytes((run / "seed-0/ticket/round-02/ticket.safetensors").read_bytes())
    outside = told(alone)
    assert outside["levels"] == []
    assert any("lies in none" in line for line in outside["notes"])


def test_what_a_recipe_would_save_with_half_of_its_channels() -> None:
    plain = told("tiny", "--threads", "1")
    assert [network["network"] for network in plain["networks"]] == ["dense"]
    assert plain["levels"] == []
    dense, half = told("tiny", "--channels", "0.5")["networks"]
    assert half["network"] == "compact"
    assert half["sparsity"] == 0.5
    assert half["weights"] == half["kept"] < dense["weights"]
    assert half["step"]["flops_gain"] == dense["step"]["flops"] / half["step"]["flops"] > 1.3
    assert half["disk"] < dense["disk"]
    rounded = told("tiny", "--channels", "0.6", "--multiple", "8")["networks"][1]
    assert rounded["weights"] <= half["weights"]


def test_a_compact_ticket_is_told_as_it_is_and_repays_its_search(run: Path, tmp_path: Path) -> None:
    path = run / "seed-0/ticket/round-02/ticket.safetensors"
    ticket, recipe = read_ticket(path)
    task, channels = narrow(path)
    origin = replace(ticket.origin, method="early_bird")
    small = Ticket(full_mask(task), state_of(task), origin, channels=channels)
    write_ticket(tmp_path / "t.safetensors", small, recipe)
    found = told(tmp_path / "t.safetensors")
    assert [network["network"] for network in found["networks"]] == ["dense", "compact"]
    own = by_name(found)["compact"]
    assert own["weights"] == sum(parameter.numel() for parameter in task.parameters())
    assert own["step"]["flops"] == step_flops(task, 16).total
    assert own["theoretical_flops"] is False


def narrow(path: Path) -> tuple[Any, Channels]:
    from gentickets.actions.train_ticket import Environment, open_ticket

    ticket, assembly = open_ticket(path, Environment(device="cpu"))
    task = assembly.task(ticket.origin.seed)
    batch = torch.zeros(2, *task.image)
    groups = groups_of(task, batch)
    everything = full_channels(groups)
    scores = {name: torch.arange(float(kept.numel())) for name, kept in everything.items()}
    channels = keep_channels(scores, 0.5, within=everything, scope="layer", seed=0)
    return compact(task, channels, batch, groups=groups), channels


def test_dead_channels_of_a_ticket_by_weights_are_removed_beside_it(run: Path, tmp_path: Path) -> None:
    ticket, recipe = read_ticket(run / "seed-0/ticket/round-01/ticket.safetensors")
    kept = {other: own.clone() for other, own in ticket.mask.items()}
    kept["encoder.2.weight"][:, 0] = False  # nothing hears the first layer's first channel
    write_ticket(tmp_path / "dead.safetensors", replace(ticket, mask=Mask(kept)), recipe)
    found = told(tmp_path / "dead.safetensors")
    dense, masked, small = found["networks"]
    assert [one["network"] for one in (dense, masked, small)] == ["dense", "masked", "compact"]
    assert small["weights"] < masked["weights"] == dense["weights"]
    assert masked["step"]["flops"] < small["step"]["flops"] < dense["step"]["flops"], "theoretical, executed, executed"
    living = told(run / "seed-0/ticket/round-01")
    assert any("no dead channels" in line and "early_bird" in line for line in living["notes"])


def test_the_table_says_which_flops_are_theoretical(run: Path) -> None:
    ran = call("cost", run, "--device", "cpu", "--seconds", "0.1")
    assert ran.exit_code == 0, ran.output
    lines = ran.stdout.splitlines()
    assert lines[0] == "A training step, of 16 images"
    assert max(map(len, lines[:9])) <= 100
    assert all(line.endswith("executed") for line in lines if line.startswith("dense"))
    assert all(line.endswith("theoretical") for line in lines if line.startswith("masked, 20.0 %"))
    assert sum(line.startswith("masked") for line in lines) == 2
    assert ran.stdout.rstrip().endswith("never, a mask saves nothing by itself.")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nothing"], 2, "'nothing' is no run, no ticket and no recipe"),
        (["tinny"], 2, "Did you mean 'tiny'?"),
        (["tiny", "--all"], 2, "--all: 'tiny' is a recipe, and only a run has several levels"),
        (["RUN", "--channels", "0.5"], 2, 'find them with [search] method = "early_bird"'),
        (["tiny", "--multiple", "4"], 2, "--multiple rounds what --channels leaves"),
        (["tiny", "--channels", "1"], 2, "Invalid value for '--channels'"),
        (["FOLDER"], 2, "is a folder that is no run and holds no ticket"),
        (["DAMAGED"], 3, "is damaged"),
        (["SWEEP"], 2, "is a sweep of widths: it has no ticket"),
        (["UNFINISHED"], 2, "has no finished ticket: 1 of 3 rounds are done; go on with: gentickets find"),
        (["FAILED"], 1, "has no finished ticket: it diverged"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], status: int, said: str, run: Path, tmp_path: Path) -> None:
    places = {"RUN": run, "FOLDER": tmp_path, "DAMAGED": tmp_path / "t.safetensors"}
    places |= {name: tmp_path / name for name in ("SWEEP", "UNFINISHED", "FAILED")}
    (tmp_path / "FOLDER").mkdir()
    places["FOLDER"] = tmp_path / "FOLDER"
    places["DAMAGED"].write_bytes(b"{}" * 20)
    sweep = load_recipe("width/digits_gan").resolved()
    resolved = load_recipe(run.parent / "small.toml").resolved()
    for name, recipe in (("SWEEP", sweep), ("UNFINISHED", resolved), ("FAILED", resolved)):
        folder = RunFolder(places[name])
        write_whole(folder.record, folder.record_text({"recipe": recipe, "plugins": {}}))
        write_whole(folder.recipe, RECIPE.encode())
        done = Result("ticket", 0, 0, 0.0, 8, 8, "last")
        write_whole(folder.round(0, "ticket", 0).result, done.to_json().encode())
        for round in (1, 2) if name == "FAILED" else ():
            bad = Result("ticket", 0, round, 0.2, 8, 6, "last", status="diverged", why="it diverged")
            write_whole(folder.round(0, "ticket", round).result, bad.to_json().encode())
    ran = call("cost", *[places.get(one, one) for one in arguments], "--device", "cpu")
    assert ran.exit_code == status, ran.output
    assert said in ran.stderr
    assert len([line for line in ran.stderr.splitlines() if line != "measuring ..."]) == 1


def test_what_is_asked_for_help_needs_no_torch() -> None:
    check = (
        "import sys\nfrom gentickets_cli.main import cli\n"
        "try:\n    cli.main(['cost', '--help'])\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("case", ["vae-conv", "gan-conv", "ae-mlp", "gan-sngan"])
def test_flops_of_a_sample_are_those_of_what_makes_it(case: str) -> None:
    task = make_task(case)
    task.eval()
    with torch.no_grad(), Counter() as counter:
        if task.can("sample"):
            task.sample(8, torch.Generator().manual_seed(0))
        else:
            task.reconstruct(torch.zeros(8, *task.image))
    assert sample_flops(task) == counter.total / 8
    if not task.can("sample"):
        assert sample_flops(task) == dense_flops(task), "all of an autoencoder"
    half = {name: torch.arange(own.numel()).reshape(own.shape) % 2 == 0 for name, own in full_mask(task).items()}
    assert 0.4 < sample_flops(task, Mask(half)) / sample_flops(task) < 0.75


LEVEL = LevelCost(
    1, 0.5, (0, 1), Cost(2.0, 20.0), {}, Cost(), Cost(8.0, 40.0), {"seconds": 0.25, "flops": 0.5}, (Cost(), Cost()),
    smaller=True,
)  # fmt: skip


def network(name: str, step: float, sample: float, flops: float) -> Measured:
    timings = (Timing((seconds,) * 5, seconds) for seconds in (step, sample))
    return Measured(name, 1, 0.5, 10, 10, flops, flops / 10, name == "masked", *timings, 0.0, None, 0)


def test_break_even_by_hand_in_trainings_and_in_samples() -> None:
    dense, small = network("dense", 0.4, 1e-3, 100.0), network("compact", 0.1, 6e-4, 40.0)
    # 100 steps, 20 of them before the ticket starts. The search took 0.25 * 100 * 0.4 = 10 s, 80 steps save 24 s;
    # and 0.5 * 100 * 100 = 5,000 FLOPs, 80 steps save 4,800
    spent = search_cost_of(LEVEL, dense, small, 100, 20)
    assert spent.trainings == {"flops": 2, "seconds": 1}
    assert spent.samples == {"flops": pytest.approx(5000 / 6), "seconds": pytest.approx(10 / 4e-4)}
    assert "cost 0.50 dense trainings by FLOPs, 0.25 by seconds (mean of 2 seeds)" in spent.sentence
    assert spent.sentence.endswith(
        "repaid the search after 2 trainings by FLOPs, 1 training by seconds, or after "
        "0.000833 million samples by FLOPs, 0.025 million samples by seconds."
    )


def test_a_compact_network_that_is_no_quicker_repays_nothing_by_seconds() -> None:
    dense, small = network("dense", 0.4, 1e-3, 100.0), network("compact", 0.4, 1e-3, 40.0)
    spent = search_cost_of(LEVEL, dense, small, 100, 20)
    assert (spent.trainings["seconds"], spent.samples["seconds"]) == (None, None)
    assert "after 2 trainings by FLOPs, never by seconds, or after" in spent.sentence
    scattered = replace(small, step=Timing((0.1, 0.5, 0.3, 0.5, 0.3), 0.1))
    assert scattered.step.gain(dense.step)[0] > 1.3, "in the median it is quicker"
    assert search_cost_of(LEVEL, dense, scattered, 100, 20).trainings["seconds"] is None


def test_a_masked_network_that_was_timed_as_quicker_was_lucky() -> None:
    dense, masked = network("dense", 0.4, 1e-3, 100.0), network("masked", 0.2, 5e-4, 40.0)
    spent = search_cost_of(LEVEL, dense, masked, 100, 20)
    assert set(spent.trainings.values()) == set(spent.samples.values()) == {None}
    assert "never, a mask saves nothing by itself" in spent.sentence


# -- operators whose FLOPs are not known ----------------------------------------------------------------------------

PLUGIN = '''
import torch
from torch import nn

from gentickets.tasks import FAMILIES, Autoencoder


class Waves(nn.Module):
    """Adds what is left of a Fourier transform."""

    def forward(self, x):
        return x + 0 * torch.fft.rfft2(x).abs().sum()


class Wavy(Autoencoder):
    def __init__(self, image, width=8, latent=2):
        super().__init__(image, width=width, latent=latent)
        self.encoder = nn.Sequential(Waves(), self.encoder)


FAMILIES["wavy"] = Wavy
'''


def test_an_unknown_operator_is_named_from_the_network_to_the_ledger(tmp_path: Path) -> None:
    plugin, path = tmp_path / "wavy.py", tmp_path / "wavy.toml"
    plugin.write_text(PLUGIN)
    path.write_text(
        RECIPE.replace('family = "vae"\nnetwork = "conv"', 'family = "wavy"')
        .replace("rounds = 2", "rounds = 1")
        .replace('"negative_elbo"', '"reconstruction"')
    )
    found = told(path, "--channels", "0.5", "--plugin", plugin)
    for network in found["networks"]:
        for what in (network["step"], network["sample"]):
            assert "aten::_fft_r2c" in what["uncounted"]
            assert what["flops"] > 0
            assert what["flops_gain"] is None
            assert what["gain"] > 0
    assert any("no count is known of the operator" in note for note in found["notes"])
    shown = call("cost", path, "--plugin", plugin, "--device", "cpu", "--seconds", "0.1").output
    assert shown.count("executed, at least") == 2
    planned = call(
        "find", path, "--dry-run", "--plugin", plugin, "--device", "cpu", "--out", tmp_path / "none", "--json"
    )
    assert any("no count is known of the operator" in note for note in json.loads(planned.stdout)["notes"])
    find(load_recipe(path, plugins=[plugin]), tmp_path / "run", Options(jobs=0, device="cpu", plugins=[plugin]))
    for result in read_results(tmp_path / "run"):
        assert "aten::_fft_r2c" in result.uncounted["step"]
        assert result.uncounted["train"] == result.uncounted["step"]
        assert result.uncounted["forward"] == ["aten::_fft_r2c"]
        assert "aten::_fft_r2c" in result.uncounted["evaluate"]
    book = json.loads((tmp_path / "run" / "ledger.json").read_text())
    assert "aten::_fft_r2c" in book["totals"]["search"]["uncounted"]
    (level,) = book["levels"]
    assert level["search_in_dense_trainings"]["flops"] is level["break_even_trainings"]["flops"] is None
    assert level["search_in_dense_trainings"]["seconds"] > 0
    page = call("report", tmp_path / "run")
    assert page.exit_code == 0, page.output
    assert "no count is known of the operator" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_of_known_operators_names_none(run: Path) -> None:
    assert all(result.uncounted == {} for result in read_results(run))
