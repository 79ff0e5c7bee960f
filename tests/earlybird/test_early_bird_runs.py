"""Early-bird runs: the search, tickets cut out of its states, their controls, resuming, and the Python function."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from gentickets_cli.main import cli
from helpers import (
    EVERY_STEP,
    FAMILY_CASES,
    HOUSE,
    OTHER_CASES,
    Killed,
    content,
    make_task,
    make_training,
    product,
    recipe_text,
)
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gentickets.accounting import Counter
from gentickets.actions.locate import recipe_of
from gentickets.channels import channel_scores, groups_of, silenced
from gentickets.data import Batches
from gentickets.definitions import Definitions
from gentickets.earlybird import Pace
from gentickets.errors import Status, TicketError
from gentickets.experiment import checkpoint as notes
from gentickets.experiment.arms.early_bird import EarlyBirdArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.early_bird_job import bird_of
from gentickets.experiment.options import Options
from gentickets.experiment.plan import plan_units
from gentickets.experiment.run import find
from gentickets.masks import Channels
from gentickets.optimizers import Schedule
from gentickets.quality import reference
from gentickets.recipe import Recipe, load_recipe
from gentickets.results import Result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import pack_ticket, read_snapshot, read_ticket, write_snapshot, write_ticket
from gentickets.search import early_bird, paces_of
from gentickets.tasks import Objective, Optim, Task
from gentickets.tickets import copied, state_of
from gentickets.training import Plan, Training, grow, train

pytestmark = pytest.mark.usefixtures("without_pictures")

HERE = Options(jobs=0, device="cpu", keep_all=True)
STEPS, EVERY = 24, 2
BIRD = recipe_text(
    task={"network": "conv", "width": 6, "latent": 2},
    train={"steps": STEPS, "lr": 0.002, "ema": {"decoder": 0.9}},
    search={
        "method": "early_bird",
        "rounds": 2,
        "keep": 0.7,
        "every": EVERY,
        "rule": "published",
        "tolerance": 0.9,
        "controls": ["random-channels", "low-channels", "scratch", "scratch-flops", "narrow"],
        "control_rounds": [1],
        "longer": 2,
        "budget": None,
    },
    quality=None,
    claim={"metric": "negative_elbo", "level": 0.3},
)
"""The published rule with so wide a tolerance fires as soon as five masks have been seen."""
FIRES = 5 * EVERY


def bird(tmp_path: Path, *more: str) -> Recipe:
    path = tmp_path / "bird.toml"
    path.write_text(BIRD)
    return load_recipe(str(path), overrides=more)


@pytest.fixture(scope="module")
def channels_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("birds")
    find(bird(folder), folder / "run", HERE)
    return folder / "run"


@pytest.fixture(scope="module")
def found(channels_run: Path) -> dict[tuple[str, int], Result]:
    return {(result.arm, result.round): result for result in read_results(channels_run)}


def test_every_arm_of_an_early_bird_is_done(found: dict[tuple[str, int], Result]) -> None:
    assert {result.status for result in found.values()} == {"done"}, [result.why for result in found.values()]
    assert all(result.uncounted == {} for result in found.values()), "every operator that was met has a known count"
    controls = ["random-channels", "low-channels", "scratch", "scratch-flops", "narrow"]
    longer = [(f"{arm}-longer", 1) for arm in ["ticket", *controls] if arm != "scratch-flops"]
    ticket = [("ticket", round) for round in (0, 1, 2)]
    assert set(found) == {("search", 0), *ticket, *((arm, 1) for arm in controls), *longer, ("dense-longer", 0)}
    apart = [result.test["negative_elbo"] for (arm, _), result in found.items() if result.test and "narrow" not in arm]
    assert len(set(apart)) == len(apart), "no two arms are the same training"


def test_the_search_ends_once_all_levels_have_emerged(found: dict[tuple[str, int], Result]) -> None:
    search = found["search", 0]
    assert [level["step"] for level in search.early_bird["levels"]] == [
        level["step"] for level in search.early_bird["levels"]
    ]
    steps = [level["step"] for level in search.early_bird["levels"]]
    assert all(EVERY < step <= FIRES for step in steps)
    assert search.trained == max(steps), "not one step more"
    assert search.early_bird["trace"], "with what was seen"
    assert search.spent["train"] == pytest.approx(search.trained * found["ticket", 0].flops["step"])
    assert not search.test, "a search has no figures"


def test_a_compact_ticket_goes_on_from_where_it_emerged(
    channels_run: Path, found: dict[tuple[str, int], Result]
) -> None:
    run, assembly = RunFolder(channels_run), assembled(channels_run)
    state, _, _ = read_snapshot(run.round(0, "search", 0).level(1))
    ticket, _ = read_ticket(run.round(0, "ticket", 1).ticket)
    assert isinstance(ticket.channels, Channels)
    assert ticket.origin.rewind_to == state.step
    assert ticket.origin.method == "early_bird"
    task = assembly.task(0)
    groups = groups_of(task, torch.zeros(2, *task.image))
    whole = silenced(state.weights, groups, ticket.channels)
    for name, value in ticket.weights.items():
        kept = whole[name]
        if value.is_floating_point():
            assert set(value.flatten().tolist()) <= set(kept.flatten().tolist()), name
    moments = [key for key in ticket.optim if key.endswith("exp_avg")]
    assert moments
    assert all(ticket.optim[key].any() for key in moments), "moments are carried along"
    for name, average in ticket.ema.items():
        assert average.shape == ticket.weights[name].shape
        assert not torch.equal(average, ticket.weights[name]), "averages go on, and do not start anew"
    result = found["ticket", 1]
    assert result.trained == STEPS - state.step
    assert result.sparsity == pytest.approx(1 - ticket.channels.density)
    assert result.weights["kept"] == ticket.mask.kept < result.weights["total"]
    assert result.flops["own"] < result.flops["dense"]
    assert result.flops["step"] < found["ticket", 0].flops["step"]
    assert result.spent["train"] == pytest.approx(result.trained * result.flops["step"])


def test_controls_of_channels_are_as_wide_and_are_others(channels_run: Path) -> None:
    run, assembly = RunFolder(channels_run), assembled(channels_run)
    tickets = {
        arm: read_ticket(run.round(0, arm, 1).ticket)[0]
        for arm in ("ticket", "random-channels", "low-channels", "scratch", "scratch-flops")
    }
    own = tickets["ticket"].channels
    assert own is not None
    for arm, other in tickets.items():
        assert other.channels is not None
        assert other.channels.widths == own.widths, arm
        assert {name: value.shape for name, value in other.weights.items()} == {
            name: value.shape for name, value in tickets["ticket"].weights.items()
        }
    state, _, _ = read_snapshot(run.round(0, "search", 0).level(1))
    task = assembly.task(0)
    task.load_state_dict(state.weights)
    scores = channel_scores(task, groups_of(task, torch.zeros(2, *task.image)))
    low = tickets["low-channels"].channels
    assert low is not None
    for name, kept in low.items():
        if 0 < own.widths[name] < kept.numel():
            assert scores[name][kept].max() <= scores[name][~kept].min()
    random = tickets["random-channels"].channels
    assert random is not None
    assert random.distance(own) > 0
    assert tickets["random-channels"].origin.rewind_to == state.step
    assert tickets["scratch"].origin.rewind_to == 0


def test_a_narrow_network_from_scratch_has_the_initial_weights_of_its_own_width(channels_run: Path) -> None:
    ticket, _ = read_ticket(RunFolder(channels_run).round(0, "scratch", 1).ticket)
    dense, _ = read_ticket(RunFolder(channels_run).round(0, "ticket", 0).ticket)
    name = "decoder.1.weight"
    narrow, wide = ticket.weights[name], dense.weights[name]
    assert narrow.shape < wide.shape
    # PyTorch's bound is 1 / sqrt(fan in); of a transposed convolution the fan is that of its second dimension
    for weight in (narrow, wide):
        bound = (weight.shape[1] * weight[0, 0].numel()) ** -0.5
        assert 0.8 * bound < weight.abs().max() <= bound


def test_scratch_is_the_family_built_with_that_width(found: dict[tuple[str, int], Result]) -> None:
    """One group in each player, of four channels: the same training as that of width 4, to the last bit."""
    assert found["narrow", 1].width == 4
    assert [kept for kept, _ in found["scratch", 1].channels.values()] == [4, 4]
    assert found["scratch", 1].test == found["narrow", 1].test


def test_equal_flops_are_equal(found: dict[tuple[str, int], Result]) -> None:
    search = found["search", 0]
    step = next(level["step"] for level in search.early_bird["levels"] if level["round"] == 1)
    dense, compact = found["ticket", 0].flops["step"], found["ticket", 1].flops["step"]
    whole = step * dense + (STEPS - step) * compact
    equal = found["scratch-flops", 1]
    assert equal.flops["step"] == compact
    assert abs(equal.trained * compact - whole) <= compact / 2
    assert equal.trained > STEPS


def test_narrow_controls_match_the_compact_networks_flops(found: dict[tuple[str, int], Result]) -> None:
    narrow, ticket = found["narrow", 1], found["ticket", 1]
    assert narrow.width is not None
    assert narrow.width < 6
    assert narrow.flops["own"] == narrow.flops["dense"]
    assert narrow.flops["own"] < found["ticket", 0].flops["own"]
    assert 0.3 < narrow.flops["own"] / ticket.flops["own"] < 3


def test_an_early_bird_that_keeps_dying_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = bird(tmp_path, "search.rounds=1", "search.longer=0", 'search.controls=["random-channels"]')
    find(given, tmp_path / "whole", HERE)
    real, saves = notes.save, [0]

    def save(*args: object) -> None:
        saves[0] += 1
        real(*args)
        if saves[0] % 7 == 0:
            raise Killed

    monkeypatch.setattr("gentickets.experiment.training_job.save", save)
    for _ in range(60):
        reference._known.clear()  # a new process remembers nothing
        try:
            find(given, tmp_path / "run", EVERY_STEP)
            break
        except Killed:
            continue
    assert saves[0] > 14, "it died in the search and after it"
    one, other = content(tmp_path / "run"), content(tmp_path / "whole")
    assert one.keys() == other.keys()
    for name in other:
        assert one[name] == other[name], name


def test_the_states_of_the_search_go_when_the_run_is_done(tmp_path: Path) -> None:
    given = bird(tmp_path, "search.rounds=1", "search.longer=0", "search.controls=[]")
    find(given, tmp_path / "run", replace(HERE, keep_all=False))
    assert not list((tmp_path / "run").rglob("level-*"))
    assert (tmp_path / "run/seed-0/ticket/round-01/result.json").is_file()


@pytest.mark.parametrize("after", ["continue", "rewind"])
def test_by_weights_a_mask_emerges_with_its_controls(after: str, tmp_path: Path) -> None:
    more = ['search.by="weights"', f'search.after="{after}"', 'search.controls=["shuffle", "reinit", "random-erk"]']
    more += ['search.scaling="off"', "search.longer=0", "search.rounds=1", "train.ema={}"]
    more += ["search.rewind_to=3"] if after == "rewind" else []
    find(bird(tmp_path, *more), tmp_path / "run", HERE)
    results = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    assert {result.status for result in results.values()} == {"done"}
    assert results["ticket", 1].sparsity == pytest.approx(0.3, abs=0.01)
    step = results["search", 0].early_bird["levels"][0]["step"]
    start = step if after == "continue" else 3
    run = RunFolder(tmp_path / "run")
    ticket, _ = read_ticket(run.round(0, "ticket", 1).ticket)
    assert ticket.channels is None
    assert ticket.origin.rewind_to == start
    shuffled, _ = read_ticket(run.round(0, "shuffle", 1).ticket)
    assert shuffled.origin.rewind_to == start
    assert shuffled.mask.densities == ticket.mask.densities
    assert results["ticket", 1].trained == results["shuffle", 1].trained == STEPS - start
    if after == "rewind":
        dense, _ = read_ticket(run.round(0, "ticket", 0).ticket)
        name = "encoder.0.weight"
        assert torch.equal(ticket.weights[name], dense.weights[name] * ticket.mask[name])
    path = run.round(0, "search", 0).level(1)
    state, extra, _ = read_snapshot(path)
    assert extra["place"] | {"run": None} == {"run": None, "seed": 0, "arm": "search", "round": 0, "level": 1}
    write_snapshot(path, state, {"place": {**extra["place"], "seed": 1}})
    shutil.rmtree(run.round(0, "ticket", 1).path)
    with pytest.raises(TicketError, match=r"level-01\.safetensors does not belong there"):
        find(bird(tmp_path, *more), tmp_path / "run", HERE)


def test_a_level_that_does_not_emerge_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    more = ["seed=0", "search.tolerance=0.000001", 'search.rule="published"', "search.longer=0", "search.rounds=1"]
    find(bird(tmp_path, *more, 'search.controls=["random-channels"]'), tmp_path / "run", HERE)
    results = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    assert results["search", 0].trained == STEPS
    assert results["ticket", 0].status == "done"
    assert results["ticket", 1].status == "failed"
    assert results["ticket", 1].why == results["search", 0].early_bird["levels"][0]["why"]
    assert results["random-channels", 1].status == "not run"


def test_an_early_bird_from_python_is_compact_and_trains_on(batches: Batches) -> None:
    training = make_training("vae-conv", steps=STEPS)
    ticket = early_bird(training, batches, density=0.5, every=EVERY, rule="published", tolerance=0.9)
    assert ticket.channels is not None
    assert ticket.origin.rewind_to == FIRES - EVERY or ticket.origin.rewind_to == FIRES
    task = make_task("vae-conv")
    ticket.load_into(task)
    fresh = Training(task, training.plan)
    assert grow(fresh, ticket, batches, seed=0) == STEPS
    kept = {name: value.shape for name, value in state_of(task).items()}
    assert kept == {name: value.shape for name, value in ticket.weights.items()}


def test_each_component_walks_as_its_own_optimizer_does() -> None:
    """The critic's turn comes in every step, the generator's in every fifth; the schedule is the plan's."""
    cosine = Schedule("cosine", STEPS, 3)
    slow = Optim("sgd", lr=0.1, momentum=0.5, weight_decay=0.01)
    plan = Plan(Optim("rmsprop", alpha=0.9), cosine, {"generator": slow})
    paces = paces_of(Training(make_task("wgan-mlp"), plan))
    (critic,) = {pace for name, found in paces.items() for pace in found if name == "discriminator"}
    (generator,) = paces["generator"]
    assert critic == Pace(0.0, cosine, 0.0, 0.9)
    assert (generator.momentum, generator.decay, generator.corrected) == (0.5, pytest.approx(0.002), False)
    assert generator.every > 1 == critic.every


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_keeps_the_noise_with_which_it_began(version: int, tmp_path: Path) -> None:
    recipe = bird(tmp_path, 'search.rule="corrected"', 'train.schedule="linear"')
    definitions = Definitions(early_bird=version)
    assembly = Assembly(recipe, root=Path("data"), device="cpu", definitions=definitions)
    unit = next(unit for unit in plan_units(recipe) if unit.arm == "search")
    training = assembly.training(assembly.task(0), unit.span)
    arm = EarlyBirdArm(assembly, RunFolder(tmp_path), unit)
    watch = bird_of(assembly, unit, training, arm.ranked(training.task))
    own = {"encoder": (Pace(0.9, Schedule("linear", STEPS)),), "decoder": (Pace(0.9, Schedule("linear", STEPS)),)}
    assert watch.settings.paces == (own if version == 2 else {"": (Pace(0.9),)})
    with pytest.raises(TicketError, match=f"under a {'linear' if version == 2 else 'constant'} schedule"):
        watch.begin()


@pytest.mark.parametrize(("case", "by"), product([*FAMILY_CASES, *OTHER_CASES], ["channels", "weights"]))
def test_every_family_has_early_birds(case: str, by: str, batches: Batches) -> None:
    """The promise over the product: found, cut, loaded into fresh networks, trained to the end, and stored."""
    training = make_training(case, steps=14)
    wanted = {"density": 0.6, "every": 1, "rule": "published", "tolerance": 0.9, "by": by}
    if by == "channels" and case in ("tied-mlp", "gda"):
        with pytest.raises(TicketError, match="weights"):
            early_bird(training, batches, **wanted)
        return
    ticket = early_bird(training, batches, **wanted)
    assert (ticket.channels is not None) == (by == "channels")
    assert ticket.origin.rewind_to >= 5, "five masks have to be seen"
    task = make_task(case, 1)
    ticket.load_into(task)
    again = Training(task, training.plan)
    assert grow(again, ticket, batches, seed=0) == 14
    state = state_of(task)
    for name, kept in ticket.mask.items():
        assert state[name].shape == kept.shape
        assert not state[name][~kept].any()
    if ticket.channels is not None:
        assert 0.5 <= ticket.channels.density <= 0.7
        assert sum(value.numel() for value in state.values()) < sum(
            value.numel() for value in state_of(training.task).values()
        )
    else:
        assert ticket.mask.density == pytest.approx(0.6, abs=0.01)


def test_an_early_bird_from_python_that_does_not_emerge_is_an_error(batches: Batches) -> None:
    training = make_training("vae-conv", steps=STEPS, optimizer="sgd")
    training.turns[0].optim = replace(training.turns[0].optim, lr=0.02)
    with pytest.raises(TicketError) as caught:
        early_bird(training, batches, density=0.5, every=EVERY, rule="published", tolerance=1e-6)
    assert caught.value.status == Status.FAILED


@pytest.mark.parametrize("by", ["channels", "weights"])
def test_averages_go_on_where_training_does(by: str, batches: Batches) -> None:
    training = make_training("vae-conv", steps=STEPS, ema={"decoder": 0.9})
    ticket = early_bird(training, batches, density=0.5, every=EVERY, rule="published", tolerance=0.9, by=by)
    task = make_task("vae-conv")
    ticket.load_into(task)
    again = Training(task, training.plan)
    again.start(ticket)
    assert again.ema.keys() == ticket.ema.keys() > set()
    for name, average in again.ema.items():
        kept = ticket.mask.get(name, torch.ones_like(average, dtype=torch.bool))
        assert torch.equal(average, ticket.ema[name] * kept), name
        assert not average[~kept].any()
    assert any(not torch.equal(average, dict(task.named_parameters())[name]) for name, average in again.ema.items())


def test_compact_tickets_come_back_from_disk_with_equal_bytes(batches: Batches, tmp_path: Path) -> None:
    training = make_training("vae-conv", steps=STEPS, ema={"decoder": 0.9})
    ticket = early_bird(training, batches, density=0.5, every=EVERY, rule="published", tolerance=0.9)
    write_ticket(tmp_path / "t", ticket)
    again, _ = read_ticket(tmp_path / "t")
    assert pack_ticket(again) == pack_ticket(ticket) == (tmp_path / "t").read_bytes()
    assert isinstance(again.channels, Channels)
    assert again.channels.keys() == ticket.channels.keys()
    for ours, theirs in ((ticket.weights, again.weights), (ticket.optim, again.optim), (ticket.ema, again.ema)):
        assert ours.keys() == theirs.keys()
        assert ours
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("case", [case for case in FAMILY_CASES if case != "tied-mlp"])
def test_initial_weights_drawn_anew_are_those_of_the_constructor(case: str) -> None:
    task, fresh = make_task(case, 1), make_task(case, 0)
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        task.initialize()
    for (name, drawn), (other_name, built) in zip(task.named_parameters(), fresh.named_parameters(), strict=True):
        assert name == other_name
        one, other = drawn.detach(), built.detach()
        if one.numel() > 200:
            assert float(one.std()) == pytest.approx(float(other.std()), rel=0.25), name
        if other.numel() > 1 and float(other.std(correction=0)) == 0:
            assert torch.equal(one, other), name


def test_drawing_anew_leaves_a_copy_alone() -> None:
    task = make_task("gan-sngan")
    copy = deepcopy(task)
    before = copied(state_of(task))
    copy.initialize()
    assert state_of(task).keys() == state_of(copy).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state_of(task).items())
    assert not torch.equal(copy.generator[0].weight, task.generator[0].weight)
    for one in (task, copy):
        assert one.discriminator(torch.zeros(2, 1, 8, 8)).shape == (2, 1)


def test_the_penalty_on_norm_scales_is_the_sign_times_its_weight(batches: Batches) -> None:
    plain, penalized = (make_training("vae-conv", optimizer="sgd", steps=4) for _ in range(2))
    penalized = Training(penalized.task, replace(plain.plan, gamma_l1=0.1))
    before = {name: value.detach().clone() for name, value in plain.task.named_parameters()}
    for training in (plain, penalized):
        train(training, batches, range(1))
    lr = plain.plan.optim.lr * plain.plan.schedule.factor(0)
    others = dict(penalized.task.named_parameters())
    scales = [name for name, value in before.items() if value.ndim == 1 and bool((value == 1).all())]
    assert scales
    for name, value in plain.task.named_parameters():
        expected = value.detach() - (lr * 0.1 * before[name].sign() if name in scales else 0)
        assert torch.allclose(others[name], expected, atol=1e-7), name


def test_steps_are_planned_with_the_search_first(tmp_path: Path) -> None:
    recipe = bird(tmp_path)
    units = plan_units(recipe)
    arms = [unit.arm for unit in units]
    assert arms[0] == "search"
    assert "budget" not in arms
    ticket = next(unit for unit in units if unit.arm == "ticket" and unit.round == 2)
    assert ticket.needs == ((0, "search", 0),)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('search.controls=["shuffle"]', "masks of single weights"),
        ('search.rewind="lr"', "rewind"),
        ("search.rewind_to=3", "rewind_to"),
        ('search.criterion="snip"', "criterion"),
        ("search.every=10", "every"),
        ('search.scope="erk"', "scope"),
    ],
)
def test_what_an_early_bird_cannot_be_asked_for_is_told(override: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=words) as caught:
        bird(tmp_path, override)
    assert caught.value.status == Status.REQUEST


def test_controls_of_channels_need_an_early_bird(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match="random-channels"):
        load_recipe("tiny", overrides=['search.controls=["random-channels"]'])


class Net(nn.Module):
    """Two convolutions, with something between them."""

    def __init__(self, kind: str, width: int = 8) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        self.a, self.b = nn.Conv2d(1, width, 3, 1, 1), nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.a(x))
        if self.kind == "flip":
            h = h.flip(1)
        if self.kind == "hard":
            h = h.view(len(x), self.width, *x.shape[2:])
        y: torch.Tensor = self.b(h)
        return y


class Odd(Task):
    """A family whose network does something between its layers that no trace understands."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.image, self.net = (1, 8, 8), Net(kind)

    def objectives(self) -> list[Objective]:
        return [Objective("odd", lambda batch, draw: (self.net(batch) - batch).square().mean(), ("net",))]

    def inputs(self, batch: torch.Tensor) -> dict[str, tuple[torch.Tensor, ...]]:
        return {"net": (batch,)}


def test_networks_that_do_not_work_with_fewer_channels_are_told_before_any_step(batches: Batches) -> None:
    training = Training(Odd("hard"), Plan(schedule=Schedule("constant", STEPS)))
    steps: list[int] = []
    with pytest.raises(TicketError, match="weights") as caught:
        early_bird(
            training, batches, density=0.5, every=EVERY, rule="published", tolerance=0.9,
            watch=[lambda step, losses: steps.append(step)],
        )  # fmt: skip
    assert caught.value.status == Status.FAILED
    assert "'net.a' keeps 8: the networks do not run with fewer channels" in str(caught.value)
    assert not steps


@pytest.mark.parametrize("kind", ["plain", "flip"])
def test_networks_of_the_same_kind_that_can_be_followed_work(kind: str, batches: Batches) -> None:
    training = Training(Odd(kind), Plan(schedule=Schedule("constant", STEPS)))
    ticket = early_bird(training, batches, density=0.5, every=EVERY, rule="published", tolerance=0.9)
    assert ticket.channels is not None
    assert ticket.channels.widths == {"net.a": 4}


def test_an_exempt_weight_loses_nothing(tmp_path: Path) -> None:
    more = ['search.exempt=["decoder.4.*"]', "search.rounds=1", "search.longer=0", "search.controls=[]"]
    find(bird(tmp_path, *more), tmp_path / "run", HERE)
    ticket, _ = read_ticket(RunFolder(tmp_path / "run").round(0, "ticket", 1).ticket)
    dense, _ = read_ticket(RunFolder(tmp_path / "run").round(0, "ticket", 0).ticket)
    assert ticket.channels is not None
    assert ticket.weights["decoder.4.weight"].shape == dense.weights["decoder.4.weight"].shape
    assert ticket.weights["encoder.0.weight"].shape != dense.weights["encoder.0.weight"].shape


def test_states_that_are_gone_are_searched_again_to_the_same_bytes(tmp_path: Path) -> None:
    given = bird(tmp_path, "search.rounds=1", "search.longer=0", 'search.controls=["random-channels"]')
    find(given, tmp_path / "run", replace(HERE, keep_all=False))
    gone = RunFolder(tmp_path / "run").round(0, "random-channels", 1)
    before = gone.ticket.read_bytes(), gone.trained.read_bytes()
    assert not list((tmp_path / "run").glob("**/level-*"))
    for path in (gone.result, gone.ticket, gone.trained):
        path.unlink()
    find(given, tmp_path / "run", HERE)
    assert (gone.ticket.read_bytes(), gone.trained.read_bytes()) == before
    assert {result.status for result in read_results(tmp_path / "run")} == {"done"}


def test_layers_under_spectral_norm_are_drawn_anew_too() -> None:
    class Normed(Odd):
        def __init__(self) -> None:
            super().__init__("plain")
            spectral_norm(self.net.a, n_power_iterations=3)

    task = Normed()
    before = task.net.a.parametrizations.weight.original.detach().clone()
    task.initialize()
    after = task.net.a.parametrizations.weight.original
    assert not torch.equal(before, after)
    assert float(after.detach().std()) == pytest.approx(float(before.std()), rel=0.3)
    assert task.net.a.parametrizations.weight[0].n_power_iterations == 3


def test_a_family_with_weights_of_its_own_is_asked_for_initialize(tmp_path: Path) -> None:
    source = HOUSE / "docs/my_models.py"
    text = source.read_text().replace("class Flow(Task)", "class Own(Task)")
    text += "\n    def reset(self):\n        pass\n"
    text = text.replace(
        "    def objectives", "        nn.init.normal_(self.velocity[0].weight, 0.0, 3.0)\n\n    def objectives", 1
    )
    (tmp_path / "own.py").write_text(text)
    path = tmp_path / "own.toml"
    rule = {"every": EVERY, "rule": "published", "tolerance": 0.9, "controls": ["scratch"], "budget": None}
    search = {"method": "early_bird", "keep": 0.7, **rule}
    path.write_text(recipe_text(task={"family": "Own"}, train={"steps": STEPS}, search=search))
    plugins = [tmp_path / "own.py"]
    recipe = load_recipe(str(path), plugins=plugins)
    find(recipe, tmp_path / "run", replace(HERE, plugins=plugins))
    results = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    assert results["ticket", 1].status == "done"
    assert results["scratch", 1].status == "failed"
    assert "initialize()" in str(results["scratch", 1].why)


def test_looks_are_booked_once_whatever_the_number_of_levels(tmp_path: Path) -> None:
    more = ['search.by="weights"', 'search.criterion="snip"', "search.longer=0", "search.controls=[]", "train.ema={}"]
    find(bird(tmp_path, *more), tmp_path / "run", HERE)
    results = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    assembly = assembled(tmp_path / "run")
    with Counter() as one:
        assembly.criterion(assembly.task(0), assembly.batches(0).first(8), 0)
    search = results["search", 0]
    looks = search.trained // EVERY + 1
    assert search.spent["checks"] == pytest.approx(looks * one.total)
    assert one.total > 0
    for result in results.values():
        assert result.arm == "search" or result.spent["evaluate"] > 0


def test_rewinding_beyond_the_search_is_paid_for(tmp_path: Path) -> None:
    more = ['search.after="rewind"', "search.rewind_to=14", "search.rounds=1", "search.longer=0", "train.ema={}"]
    find(bird(tmp_path, *more, 'search.controls=["scratch-flops"]'), tmp_path / "run", HERE)
    ledger = json.loads((tmp_path / "run/ledger.json").read_text())
    results = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    dense, compact = results["ticket", 0].flops["step"], results["ticket", 1].flops["step"]
    search = ledger["levels"][0]["search"]["flops"] - sum(
        results[place].spent.get(phase, 0.0)
        for place, phase in ((("ticket", 1), "compact"), (("ticket", 1), "score"), (("search", 0), "checks"))
    )
    assert search == pytest.approx(14 * dense)
    equal = results["scratch-flops", 1]
    assert abs(equal.trained * compact - (14 * dense + (STEPS - 14) * compact)) <= compact


def test_a_compact_ticket_shows_its_channels(channels_run: Path) -> None:
    path = channels_run / "seed-0/ticket/round-01"
    shown = CliRunner().invoke(cli, ["show", str(path)])
    assert "channels made by" in shown.output
    told = json.loads(CliRunner().invoke(cli, ["show", str(path), "--json"]).output)
    assert told["sparsity of"] == "channels"
    assert 0.3 < told["sparsity"] < 0.4
    assert told["channels"]["decoder.1"] == [4, 6]


def assembled(run: Path) -> Assembly:
    return Assembly(recipe_of(RunFolder(run)), root=Path("data"), device="cpu")
