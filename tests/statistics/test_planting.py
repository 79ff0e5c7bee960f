"""Planted tickets: the teacher is really in the student, nothing shows where, and what is counted is counted right."""

from __future__ import annotations

import copy
import subprocess
import sys
from math import floor, sqrt
from typing import Any

import planted as benchmark
import pytest
import torch
from scipy import stats

from gentickets.criteria import magnitude, random
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask, keep_top, prunable
from gentickets.optimizers import Schedule, build
from gentickets.search import cut, first_ticket
from gentickets.simulation import Planted, plant, share_found
from gentickets.simulation.planting import Imitation, Teacher
from gentickets.tasks import Optim, Task
from gentickets.tasks.networks import Style
from gentickets.training import Plan, Training, grow

SMALL: dict[str, Any] = {"latent": 12, "hidden": 10, "pixels": 16, "width": 24, "density": 0.2, "images": 256}
CASES: dict[str, dict[str, Any]] = {
    "one hidden layer": SMALL,
    "two hidden layers": {**SMALL, "hidden": 16, "density": 0.3, "depth": 2},
    "vae": {**SMALL, "setting": "vae"},
    "as sparse as can be": {**SMALL, "density": 1 / 24},
}
case = pytest.mark.parametrize("sizes", CASES.values(), ids=CASES)


def pruned_to(planted: Planted, mask: Mask) -> Task:
    """The student at its initialization, with only a mask's weights."""
    task = planted.task()
    training = Training(task, Plan(Optim(), Schedule("constant", 2)))
    dense = first_ticket(training, Batches(planted.data, 16, seed=0), rewind_to=0, components=["decoder"])
    cut(dense, mask, {}).load_into(task)
    return task


# --- the teacher is in the student --------------------------------------------------------------------------------


@case
def test_under_the_planted_mask_the_student_is_the_teacher(sizes: dict[str, Any]) -> None:
    planted = plant(0, **sizes)
    task = pruned_to(planted, planted.mask)
    codes = torch.randn(500, sizes["latent"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (task.decoder(codes).flatten(1) - planted.teacher(codes)).abs().max() < 1e-6 * planted.teacher.gain
        assert (planted.task().decoder(codes).flatten(1) - planted.teacher(codes)).square().mean() > 1  # type: ignore[operator]


def test_a_teacher_by_hand() -> None:
    """Codes (1, 2): relu(1 - 2) = 0 and relu(2 * 2) = 4; pixel = 5 * 0 + 3 * 4 = 12, times the gain of 2."""
    teacher = Teacher([torch.tensor([[1.0, -1.0], [0.0, 2.0]]), torch.tensor([[5.0, 3.0]])], gain=2.0)
    assert teacher(torch.tensor([[1.0, 2.0]])).tolist() == [[24.0]]


@case
def test_every_layer_has_the_planted_density_exactly(sizes: dict[str, Any]) -> None:
    for seed in range(3):
        mask = plant(seed, **sizes).mask
        assert all(mask.kept_in(name) == floor(sizes["density"] * kept.numel() + 0.5) for name, kept in mask.items())


@case
def test_connections_run_between_planted_units_and_each_has_some(sizes: dict[str, Any]) -> None:
    planted = plant(0, **sizes)
    layers = list(planted.mask.values())
    every = [torch.arange(sizes["latent"]), *planted.units, torch.arange(sizes["pixels"])]
    assert len(layers) == len(planted.units) + 1
    for kept, columns, rows in zip(layers, every[:-1], every[1:], strict=True):
        assert torch.equal(kept.any(0).nonzero().flatten(), columns)
        assert torch.equal(kept.any(1).nonzero().flatten(), rows)
    assert all(len(units) == sizes["hidden"] for units in planted.units)


def test_units_hide_anywhere() -> None:
    seen = torch.cat([plant(seed, **SMALL).units[0] for seed in range(20)])
    assert torch.bincount(seen, minlength=24).min() > 0


def test_every_unit_of_a_teacher_speaks() -> None:
    for seed in range(5):
        planted = plant(seed, **CASES["two hidden layers"])
        codes = torch.randn(4000, 12, generator=torch.Generator().manual_seed(seed))
        assert all((layer > 0).float().mean(0).min() > 0.04 for layer in planted.teacher.hidden(codes))


@case
def test_equal_seeds_plant_equally_and_the_global_random_state_stays(sizes: dict[str, Any]) -> None:
    before = torch.random.get_rng_state()
    one, same, other = plant(3, **sizes), plant(3, **sizes), plant(4, **sizes)
    states = [made.task().state_dict() for made in (one, one, same, other)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(states[0][name], states[place][name]) for place in (1, 2) for name in states[0])
    assert one.data.fingerprint == same.data.fingerprint != other.data.fingerprint
    assert one.mask.distance(same.mask) == 0 < one.mask.distance(other.mask)
    assert any(not torch.equal(states[0][name], states[3][name]) for name in states[0])


def test_images_are_the_teachers() -> None:
    """Pixel by pixel, and in how pixels go together, they are what it makes of other codes."""
    planted = plant(0, **{**SMALL, "images": 4000})
    shades = ((planted.data.all().flatten(1) + 1) * 127.5).round()
    codes = torch.randn(4000, 12, generator=torch.Generator().manual_seed(9))
    made = planted.teacher(codes)
    assert (made - made.mean(0)).square().mean() == pytest.approx(1, rel=0.1)
    made = ((torch.tanh(made) + 1) * 127.5).round()
    for pixel in range(16):
        assert stats.ks_2samp(shades[:, pixel].numpy(), made[:, pixel].numpy()).statistic < 0.05
    correlations = (torch.corrcoef(shades.T) - torch.corrcoef(made.T)).abs()
    assert correlations.max() < 0.08


def test_nothing_prunes_or_trains_the_teacher() -> None:
    planted = plant(0, **SMALL)
    task = planted.task()
    assert set(prunable(task)) == set(planted.mask) == {"decoder.0.weight", "decoder.2.weight"}
    before = copy.deepcopy(dict(task.named_buffers()))
    training = Training(task, Plan(Optim("adam", 1e-2), Schedule("constant", 20)))
    batches = Batches(planted.data, 16, seed=0)
    grow(training, first_ticket(training, batches, rewind_to=0), batches, seed=0)
    assert len(before) == 2
    assert all(torch.equal(before[name], value) for name, value in task.named_buffers())


# --- nothing shows where -------------------------------------------------------------------------------------------


@case
def test_planted_values_do_not_stand_out(sizes: dict[str, Any]) -> None:
    """Sizes, and values with their signs, of planted and other weights: two samples of one distribution."""
    inside: dict[str, list[torch.Tensor]] = {}
    outside: dict[str, list[torch.Tensor]] = {}
    for seed in range(20):
        planted = plant(seed, **sizes)
        state = planted.task().state_dict()
        for name, kept in planted.mask.items():
            inside.setdefault(name, []).append(state[name][kept])
            outside.setdefault(name, []).append(state[name][~kept])
    for name in inside:
        ours, theirs = torch.cat(inside[name]).abs().numpy(), torch.cat(outside[name]).abs().numpy()
        assert len(ours) >= 240
        assert stats.ks_2samp(ours, theirs).pvalue > 0.01
        assert stats.kstest(ours, "uniform", (0, state[name].shape[1] ** -0.5)).pvalue > 0.01


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("criterion", [magnitude, random])
def test_sizes_at_the_start_find_what_chance_finds(criterion: Any, scope: str) -> None:
    shares, deviations = [], []
    for seed in range(40):
        planted = plant(seed, **SMALL)
        task = planted.task()
        full = Mask({name: torch.ones_like(kept) for name, kept in planted.mask.items()})
        scores = criterion(task, (), seed)
        found = share_found(keep_top(scores, planted.mask.density, within=full, scope=scope, seed=seed), planted)
        shares.append(found.all)
        deviations.append(sqrt(found.chance * (1 - found.chance) / planted.mask.kept))
        assert found.chance == pytest.approx(planted.mask.density, abs=1e-3)
    assert abs(sum(shares) / 40 - planted.mask.density) < 3 * max(deviations) / sqrt(40)
    assert all(abs(share - planted.mask.density) < 4 * one for share, one in zip(shares, deviations, strict=True))


def test_no_bias_shows_a_unit() -> None:
    for name, value in plant(0, **CASES["two hidden layers"]).task().named_parameters():
        assert not name.endswith("bias") or not value.any()


# --- what is counted -----------------------------------------------------------------------------------------------


def by_hand() -> Planted:
    """Four weights planted among eight, in two layers."""
    kept = {
        "decoder.0.weight": torch.tensor([[1, 0], [1, 1]]) > 0,
        "decoder.2.weight": torch.tensor([[1, 0, 0, 0]]) > 0,
    }
    return Planted(Task, Mask(kept), plant(0, **SMALL).data, Teacher([torch.ones(1, 1)] * 2), ())


def test_shares_by_hand() -> None:
    """Of three and one planted weights two and none are kept; chance is (3 * 2/4 + 1 * 1/4) / 4."""
    mask = {
        "encoder.0.weight": torch.ones(3, 3, dtype=torch.bool),
        "decoder.2.weight": torch.tensor([[0, 0, 1, 0]]) > 0,
        "decoder.0.weight": torch.tensor([[1, 0], [0, 1]]) > 0,
    }
    found = share_found(mask, by_hand())
    assert found.all == 0.5
    assert found.by_layer == {"decoder.0.weight": 2 / 3, "decoder.2.weight": 0.0}
    assert found.chance == pytest.approx((3 * 2 / 4 + 1 / 4) / 4)
    assert found.chance_by_layer == {"decoder.0.weight": 0.5, "decoder.2.weight": 0.25}


@case
def test_the_planted_mask_finds_all_and_its_complement_nothing(sizes: dict[str, Any]) -> None:
    planted = plant(0, **sizes)
    assert share_found(planted.mask, planted).all == 1
    assert set(share_found(planted.mask, planted).by_layer.values()) == {1}
    assert share_found(Mask({name: ~kept for name, kept in planted.mask.items()}), planted).all == 0
    assert share_found(plant(1, **sizes).mask, planted).all < 0.6


def test_masks_that_do_not_fit_are_refused() -> None:
    planted = by_hand()
    with pytest.raises(TicketError, match=r"has no tensor 'decoder\.2\.weight'") as missing:
        share_found({"decoder.0.weight": planted.mask["decoder.0.weight"]}, planted)
    with pytest.raises(TicketError, match=r"shape \(2, 3\)") as other:
        share_found({**planted.mask, "decoder.0.weight": torch.ones(2, 3, dtype=torch.bool)}, planted)
    assert missing.value.status == other.value.status == Status.TICKET


# --- the methods ---------------------------------------------------------------------------------------------------


def test_every_method_runs_and_keeps_exactly_the_planted_number() -> None:
    """A ground refuses a mask of another size (`Ground.row`)."""
    for name in ("regression", "vae"):
        setting = benchmark.replace(benchmark.small(benchmark.SETTINGS[name]), steps=8, rounds=2, rewind_to=2)
        ground = benchmark.Ground(0, setting)
        rows = {method: run(ground) for method, run in benchmark.methods(setting).items()}
        assert len(rows) == 1 + 2 * 5 + 1 + 2 * 9
        assert rows["the planted mask"].found.all == 1
        assert all(0 <= row.found.all <= 1 and row.error > 0 for row in rows.values() if row.found.all < 1)
        assert name == "vae" or rows["the planted mask"].error < 1e-10


def test_a_mask_of_another_size_is_no_method() -> None:
    setting = benchmark.replace(benchmark.small(benchmark.SETTINGS["regression"]), steps=8, rounds=2, rewind_to=2)
    ground = benchmark.Ground(0, setting)
    with pytest.raises(RuntimeError, match="not of the planted size"):
        ground.row(ground.dense[0], ground.planted.task())


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.full)])
def test_iterative_magnitude_finds_more_than_chance_and_than_methods_at_the_start(seed: int) -> None:
    """Measured on six seeds: 0.55 to 0.68 where chance is 0.2 and SNIP, GraSP, SynFlow and magnitude reach 0.3."""
    sizes = {name: value for name, value in SMALL.items() if name != "images"}
    setting = benchmark.Setting(sizes, "imitation", 1e-2, 300, 3, 10)
    ground = benchmark.Ground(seed, setting)
    found = ground.rounds(scope="layer").found
    assert found.all > 2 * found.chance
    for name in ("snip", "grasp", "synflow", "magnitude"):
        cuts = 100 if name == "synflow" else 1
        assert ground.at_start(benchmark.CRITERIA[name], "layer", cuts).found.all < 0.75 * found.all


def test_the_signed_score_is_the_rise_of_the_loss() -> None:
    """Against differences: the loss with a thousandth of a weight less and more, over twice that."""
    planted = plant(0, **SMALL)
    task = planted.task()
    batch = planted.data.all()
    scores = benchmark.rise(task, [batch], 5)
    weight = prunable(task)["decoder.2.weight"]

    def loss() -> float:
        rng = torch.Generator().manual_seed(benchmark.derive(5, "rise"))
        return float(task.objectives()[0].loss(batch, task.draw(len(batch), rng)))

    with torch.no_grad():
        order = scores["decoder.2.weight"].abs().flatten().argsort(descending=True)
        for place in order[:5].tolist():
            value = float(weight.view(-1)[place])
            weight.view(-1)[place] = 0.9 * value
            less = loss()
            weight.view(-1)[place] = 1.1 * value
            more = loss()
            weight.view(-1)[place] = value
            assert (less - more) / 0.2 == pytest.approx(float(scores["decoder.2.weight"].view(-1)[place]), rel=0.01)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden": 25}, "hidden = 25 units cannot hide in a width of 24"),
        ({"hidden": 0}, "hidden = 0"),
        ({"density": 0.0}, "density is 0.0"),
        ({"density": 1.5}, "density is 1.5"),
        ({"density": 0.9}, "do not fit between"),
        ({"density": 0.01}, "do not fit between"),
        ({"depth": 0}, "depth is 0"),
        ({"latent": 0}, "latent is 0"),
        ({"pixels": -1}, "pixels is -1"),
        ({"images": 0}, "images is 0"),
        ({"setting": "vea"}, "Did you mean 'vae'"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(TicketError, match=says) as refused:
        plant(0, **{**SMALL, **changes})
    assert refused.value.status == Status.REQUEST


def test_a_teacher_that_cannot_speak_is_refused() -> None:
    with pytest.raises(TicketError, match="all of the teacher's units active") as refused:
        plant(0, latent=20, hidden=20, pixels=20, width=20, density=1 / 20, depth=4)
    assert refused.value.status == Status.FAILED


def test_verdicts_are_simulated_without_pytorch() -> None:
    check = "import gentickets.simulation, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_imitation_of_the_mean_image_is_one() -> None:
    """A student of zeros with the teacher's mean image as its bias is off by the teacher's variance."""
    planted = plant(0, **SMALL)
    task = Imitation(planted.teacher, 12, 16, Style(24, 1))
    codes = torch.randn(20000, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.zero_()
        task.decoder[2].bias.copy_(planted.teacher(codes).mean(0) / planted.teacher.gain)  # type: ignore[union-attr,index]
        draw = task.draw(20000, torch.Generator().manual_seed(3))
        assert float(task.figures(torch.zeros(0), draw)["imitation"].mean()) == pytest.approx(1, rel=0.05)


def test_weight_decay_reaches_the_optimizer_and_only_an_l2_penalty_shrinks_what_has_no_gradient() -> None:
    """At a coefficient of 1e-3 Adam takes a whole step against the penalty's sign, AdamW a thousandth of the rate."""
    left, short = {}, benchmark.replace(benchmark.small(benchmark.SETTINGS["regression"]), steps=8, rewind_to=2)
    for name, (optimizer, decay) in benchmark.DECAYS.items():
        setting = benchmark.replace(short, optimizer=optimizer, weight_decay=decay)
        plan = benchmark.Ground(0, setting).training().plan
        assert (plan.optim.name, plan.optim.weight_decay) == (optimizer, decay)
        weight = torch.nn.Parameter(torch.ones(1))
        weight.grad = torch.zeros(1)
        build(plan.optim, [weight]).step()
        left[name] = float(1 - weight.detach()) / plan.optim.lr
    assert left == pytest.approx({"none": 0.0, "L2 1e-4": 1.0, "L2 1e-3": 1.0, "decoupled 1e-3": 1e-3}, abs=1e-3)


def test_the_table_of_weight_decays_has_every_method_and_decay(capsys: pytest.CaptureFixture[str]) -> None:
    setting = benchmark.replace(benchmark.small(benchmark.SETTINGS["regression"]), steps=8, rounds=2, rewind_to=2)
    found = benchmark.measured(setting, 2, ["fine-tuning"])
    benchmark.print_decays(setting, {"none": found, "L2 1e-3": found})
    *_, header, rule, dense, layer, whole = capsys.readouterr().out.splitlines()
    assert (header, rule) == ("| planted weights found; imitation | none | L2 1e-3 |", "|---|---|---|")
    assert dense == f"| dense student |{f' {benchmark.spread(found.dense)} |' * 2}"
    for line, scope in ((layer, "layer"), (whole, "global")):
        rows = found.rows[f"fine-tuning, {scope}"]
        told = f" {benchmark.spread([r.found.all for r in rows])}; {benchmark.spread([r.error for r in rows])} |"
        assert line == f"| fine-tuning, {scope} |{told * 2}"
