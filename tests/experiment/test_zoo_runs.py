"""Whole runs by the other methods: pruned at the start, in one shot, one player alone, width sweeps, curves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import HERE, recipe_text

from gentickets.data import Batches, Images
from gentickets.errors import TicketError
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.run import find
from gentickets.recipe import Recipe, load_recipe, shipped_recipes
from gentickets.results import Result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.tasks import FAMILIES
from gentickets.tickets import copied, state_of
from gentickets.training import Training, train

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

BASE = recipe_text(
    task={"family": "gan", "width": 12, "depth": 1, "latent": 3},
    data={"batch_size": 32},
    train={"steps": 12, "lr": 0.002},
    search={"rounds": 3, "keep": 0.7, "budget": None},
    quality={"samples": 60, "frechet": None},
)


def run(tmp_path: Path, *changes: str) -> tuple[Recipe, Path, dict[tuple[str, int], Result]]:
    """A tiny run of the base recipe with changes; results by arm and round."""
    (tmp_path / "base.toml").write_text(BASE)
    recipe = load_recipe(str(tmp_path / "base.toml"), overrides=changes)
    out = tmp_path / "run"
    find(recipe, out, HERE)
    found = {(result.arm, result.round): result for result in read_results(out)}
    assert {result.status for result in found.values()} == {"done"}, [result.why for result in found.values()]
    return recipe, out, found


def ticket_of(out: Path, round: int, arm: str = "ticket"):  # type: ignore[no-untyped-def]
    return read_ticket(out / "seed-0" / arm / f"round-{round:02d}" / "ticket.safetensors")[0]


def test_at_start_levels_stand_alone_and_need_no_training(tmp_path: Path) -> None:
    _, out, found = run(
        tmp_path, "search.method=at_start", "search.criterion=snip", "search.only_rounds=[1,3]",
        "search.controls=['shuffle']", "search.score_batches=2",
    )  # fmt: skip
    arms = {("ticket", 0), ("ticket", 1), ("ticket", 3), ("shuffle", 3), ("shuffle-scaled", 3)}
    assert set(found) == arms, "no budget arm: the search cost nothing"
    dense = ticket_of(out, 0)
    for round in (1, 3):
        ticket = ticket_of(out, round)
        assert ticket.origin.method == "at_start"
        assert found["ticket", round].sparsity == pytest.approx(1 - 0.7**round, abs=0.01)
        assert all(torch.equal(ticket.weights[n][kept], dense.weights[n][kept]) for n, kept in ticket.mask.items())


def test_one_shot_prunes_the_trained_dense_network_once(tmp_path: Path) -> None:
    recipe, out, found = run(tmp_path, "search.method=one_shot", "search.only_rounds=[3]", "search.rewind_to=4")
    assert set(found) == {("ticket", 0), ("ticket", 3), ("budget", 0)}
    assert found["budget", 0].steps == 12 + 8, "the dense run and one retraining, whatever the level"
    trained, _, _ = read_snapshot(out / "seed-0" / "ticket" / "round-00" / "trained.safetensors")
    ticket = ticket_of(out, 3)
    name = max(ticket.mask, key=lambda name: ticket.mask[name].numel())
    weight = trained.weights[name].abs()
    component = [n for n in ticket.mask if n.split(".")[0] == name.split(".")[0]]
    lowest = min(float(trained.weights[n].abs()[ticket.mask[n]].min()) for n in component)
    assert float(weight[~ticket.mask[name]].max()) <= lowest
    assert ticket.origin.method == "one_shot"
    assert recipe.claim_round is None


@pytest.mark.parametrize("other", ["fresh", "trained"])
def test_one_player_is_pruned_and_the_other_starts_as_told(other: str, tmp_path: Path) -> None:
    _, out, _ = run(
        tmp_path, "search.prune=['generator']", f"search.other={other}", "search.rounds=2", "search.budget=false"
    )
    trained, _, _ = read_snapshot(out / "seed-0" / "ticket" / "round-01" / "trained.safetensors")
    ticket, dense = ticket_of(out, 2), ticket_of(out, 0)
    for name, value in ticket.weights.items():
        if name.startswith("discriminator"):
            assert torch.equal(value, trained.weights[name]) is (other == "trained")
            if other == "fresh" and value.dim() > 1:
                assert not torch.equal(value, dense.weights[name])
    assert not any("discriminator" in key.split("/")[1] for key in ticket.optim)


def test_a_width_sweep_trains_dense_networks_of_each_width(tmp_path: Path) -> None:
    _, _, found = run(tmp_path, "search.method=widths", "search.widths=[4,8]", "quality.train=true")
    assert {key: result.width for key, result in found.items()} == {("width", 0): 4, ("width", 1): 8}
    assert found["width", 1].weights["all"] > found["width", 0].weights["all"]
    for result in found.values():
        assert result.sparsity == 0
        assert result.steps == result.trained == 12
        assert set(result.train) == set(result.test)
        assert result.train != result.test


def test_the_critics_width_alone(tmp_path: Path) -> None:
    _, out, found = run(
        tmp_path, "search.method=widths", "search.widths=[4,20]", "search.widen=critic_width", "search.seeds=1"
    )
    first, second = (ticket_of(out, round, "width") for round in (0, 1))
    shapes = [{n: tuple(w.shape) for n, w in t.weights.items() if n.startswith("generator")} for t in (first, second)]
    assert shapes[0] == shapes[1]
    assert found["width", 0].weights["all"] < found["width", 1].weights["all"]


def test_narrow_weights_is_dense_with_the_tickets_number_of_weights(tmp_path: Path) -> None:
    _, _, found = run(tmp_path, "search.controls=['narrow','narrow-weights']", "search.rounds=2", "task.width=40")
    narrow, ticket = found["narrow-weights", 2], found["ticket", 2]
    assert narrow.weights["kept"] == narrow.weights["total"]
    assert narrow.weights["total"] == pytest.approx(ticket.weights["kept"], rel=0.05)
    assert narrow.width is not None


def test_the_curve_has_validation_alone_and_as_many_points_as_asked(tmp_path: Path) -> None:
    _, _, found = run(tmp_path, "quality.curve=4", "search.rounds=1", "search.rewind_to=3", "search.budget=false")
    steps = [[point["step"] for point in result.curve] for result in found.values()]
    assert steps == [[6, 9, 12], [6, 9, 12]], "evenly over the schedule, after the step that is rewound to"
    assert all(set(point) == {"step", "valid"} for result in found.values() for point in result.curve)
    last = found["ticket", 1]
    assert last.curve[-1]["valid"] == last.checkpoints[-1]["valid"], "the same step is not measured twice"


def test_ties_of_a_clipped_critic_are_reported(tmp_path: Path) -> None:
    _, _, found = run(
        tmp_path, "task.loss=wasserstein", "task.clip=0.01", "train.optimizer=rmsprop", "train.lr=0.02",
        "search.rounds=2", "search.keep=0.5", "train.steps=30",
    )  # fmt: skip
    assert found["ticket", 2].tied["discriminator"] > 0.05
    assert not found["ticket", 0].tied


REFUSED = {
    "search.cuts=5": "means nothing with search.method = 'iterative'",
    "search.only_rounds=[1]": "only with 'one_shot' or 'at_start'",
    "search.pooled=true": "criterion 'magnitude' has none; only",
    "search.other=fresh": "name some in search.prune",
    "quality.patience=2": "means nothing without quality.curve",
    "quality.inception='x.pth'": "only with quality.features = 'inception'",
    "search.method=widths": "search.widths: is missing",
    "search.widths=[3]": "only with 'widths'",
}


@pytest.mark.parametrize("change", REFUSED)
def test_keys_that_mean_nothing_are_refused_in_a_sentence(change: str, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    with pytest.raises(TicketError) as refused:
        load_recipe(str(tmp_path / "base.toml"), overrides=[change])
    assert REFUSED[change] in str(refused.value)


def test_what_goes_together_badly_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)

    def refused(*changes: str) -> str:
        with pytest.raises(TicketError) as error:
            load_recipe(str(tmp_path / "base.toml"), overrides=changes)
        return str(error.value)

    assert "before there are any" in refused("search.method=at_start", "search.rewind=lr")
    assert "needs a trained network" in refused(
        "search.method=at_start", "search.other=trained", "search.prune=['generator']"
    )
    assert "they do not compare" in refused(
        "search.other=trained", "search.prune=['generator']", "search.controls=['shuffle']"
    )
    assert "no keyword 'widht'" in refused("search.method=widths", "search.widths=[2,4]", "search.widen=widht")
    assert "prunes nothing" in refused("search.method=widths", "search.widths=[2,4]", "search.controls=['shuffle']")
    assert "not measured with quality.frechet = false" in refused("quality.frechet=false", "quality.figures=['kid']")
    grasp = ("search.criterion=grasp", "search.temperature=200.0")
    assert "divides a discriminator's logits" in refused("task.family=vae", *grasp)
    assert "divides a discriminator's logits" in refused("task.loss=hinge", *grasp)
    short = load_recipe(str(tmp_path / "base.toml"), overrides=["search.rounds=1", "search.control_rounds=[3]"])
    assert short.rounds == [1], "rounds of controls mean nothing where there are none"


UNMEASURABLE = {
    "quality.samples=3": "recall needs at least 4 samples, not 3",
    "data.valid=5": "density needs at least 6 real images, not 5",
    "quality.features=inception": "there is no Inception weights file 'none.pth'",
}


@pytest.mark.parametrize("change", UNMEASURABLE)
def test_what_cannot_be_measured_is_said_before_anything_is_trained(change: str, tmp_path: Path) -> None:
    changes = [change, *(["quality.inception=none.pth"] if "inception" in change else [])]
    with pytest.raises(TicketError, match=UNMEASURABLE[change]):
        run(tmp_path, *changes)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_run_of_an_earlier_version_is_found_finished_and_may_go_on(tmp_path: Path) -> None:
    """Keys that came later stand at their defaults in what was stored without them."""
    recipe, folder, _ = run(tmp_path, "search.rounds=1")
    kept = json.loads((folder / "run.json").read_text())
    later = {"train": ("precision", "compile"), "search": ("other", "score_batches"),
             "quality": ("figures", "features", "inception", "downstream", "train", "curve")}  # fmt: skip
    for section, keys in later.items():
        for key in keys:
            del kept["recipe"][section][key]
    (folder / "run.json").write_bytes(RunFolder(folder).record_text(kept))
    find(recipe, folder, HERE)
    last = folder / "seed-0/ticket/round-01"
    before = (last / "trained.safetensors").read_bytes()
    for path in last.iterdir():
        path.unlink()
    find(recipe, folder, HERE)
    assert (last / "trained.safetensors").read_bytes() == before
    other = load_recipe(str(tmp_path / "base.toml"), overrides=["search.rounds=1", "quality.curve=3"])
    with pytest.raises(TicketError, match=r"quality\.curve: 0 -> 3"):
        find(other, folder, HERE)


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_every_shipped_recipe_is_sound_and_says_its_own_command(name: str) -> None:
    recipe = load_recipe(name)
    first, second = recipe.text.splitlines()[:2]
    assert first == f"# {recipe.command} {name}"
    assert second.startswith("# ")
    assert (": about " in second) != name.startswith("paper/"), "hours are stated where they were measured"
    if name.startswith("paper/"):
        assert recipe.search.seeds == 5
        assert recipe.claim_round is not None
        if recipe.search.method == "early_bird":
            assert recipe.search.keep == 0.44, "of the channels: the paper's fifth of the weights"
            assert recipe.every == 45_000 // recipe.data.batch_size, "a look each epoch"
            return
        assert recipe.search.keep == 0.8
        assert recipe.search.scope == ("erk" if "random" in name else "global")


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name.startswith("paper/")])
def test_every_paper_recipe_starts_at_its_own_size(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    channels, side = {"mnist": (1, 28), "cifar10": (3, 32), "celeba": (3, 64)}[recipe.data.name]
    side = recipe.data.size or side
    pixels = torch.randint(0, 256, (8, channels, side, side), dtype=torch.uint8)
    task = FAMILIES[recipe.task.family]((channels, side, side), **recipe.task.keywords)
    training = Training(task, Assembly(recipe, root=tmp_path).plan(recipe.train.steps))
    every = max(objective.every for objective in task.objectives())
    before = copied(state_of(task))
    train(training, Batches(Images(pixels), 4, seed=0), range(every))
    moved = {key.split(".")[0] for key, value in state_of(task).items() if not torch.equal(value, before[key])}
    assert moved == set(task.components)
