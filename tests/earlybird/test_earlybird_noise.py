"""What an early bird takes for noise: it walks as the training does, under each optimizer and schedule."""

from __future__ import annotations

import json

import early_bird_null as benchmark
import numpy as np
import pytest
import torch

from gentickets.definitions import TOLERANCES
from gentickets.earlybird import EarlyBird, Looks, Pace, calibrated, vacuous_before
from gentickets.earlybird.null import later_half
from gentickets.earlybird.walks import walks
from gentickets.errors import TicketError
from gentickets.optimizers import SCHEDULES, Schedule
from gentickets.tasks import Optim

CHECKS, EVERY, FIRST = 30, 10, 5
STEPS = CHECKS * EVERY


WALKS = {
    "adam": Optim("adam"),
    "adam, coupled decay": Optim("adam", weight_decay=0.5),
    "adamw": Optim("adamw", lr=1e-2, weight_decay=0.5),
    "sgd": Optim("sgd", lr=1e-2),
    "sgd, momentum and decay": Optim("sgd", lr=1e-3, momentum=0.9, weight_decay=0.3),
    "rmsprop": Optim("rmsprop"),
    "rmsprop, momentum": Optim("rmsprop", momentum=0.9),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_does_not_emerge_under_any_schedule_that_is_not_known(name: str) -> None:
    """Adam on random gradients, by the whole rule; with steps that all count alike linear and cosine always fire."""
    schedule, rng = Schedule(name, STEPS), np.random.default_rng(1)
    paths = benchmark.optimizer_steps(WALKS["adam"], schedule, np.ones((12, 64)), rng, checks=CHECKS)
    assert sum(bool(benchmark.watched(path, CHECKS)) for path in paths) <= 1
    if name != "constant":
        assert np.count_nonzero(benchmark.quieter(paths, Looks(CHECKS, FIRST, EVERY, Pace(0.9)))) >= 10


@pytest.mark.parametrize("kind", WALKS)
@pytest.mark.parametrize(("name", "warmup"), [("constant", 45), ("linear", 0), ("cosine", 45)])
def test_noise_is_told_from_settling_under_the_trainings_own_optimizer(kind: str, name: str, warmup: int) -> None:
    optim, schedule = WALKS[kind], Schedule(name, STEPS, warmup)
    paths = benchmark.optimizer_steps(optim, schedule, np.ones((200, 24)), np.random.default_rng(2), checks=CHECKS)
    looks = Looks(CHECKS, FIRST, EVERY, Pace.of(optim, schedule))
    assert not calibrated(24, looks, True).vacuous
    assert np.count_nonzero(benchmark.quieter(paths, looks)) <= 3, "1 % and what 200 trials scatter by"


@pytest.mark.full
@pytest.mark.parametrize("kind", WALKS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("start", ["equal", "spread", "weights", "penalty"])
def test_noise_is_told_from_settling_in_thousands_of_trainings(kind: str, name: str, start: str) -> None:
    optim, rng = WALKS[kind], np.random.default_rng(3)
    for warmup in (0, 45):
        schedule, shape = Schedule(name, STEPS, warmup), (1000, 16)
        first = {"spread": 1 + 0.02 * rng.standard_normal(shape), "weights": 0.02 * rng.standard_normal(shape)}
        tied = start in ("equal", "penalty")
        begin = first.get(start, np.ones(shape))
        penalty = 1e-2 * (start == "penalty")
        paths = benchmark.optimizer_steps(optim, schedule, begin, rng, checks=CHECKS, l1=penalty)
        looks = Looks(CHECKS, FIRST, EVERY, Pace.of(optim, schedule))
        if not calibrated(16, looks, tied).vacuous:
            assert np.count_nonzero(benchmark.quieter(paths, looks, tied=tied)) <= 10


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_ranking_that_settles_emerges_under_every_schedule(name: str, known: bool) -> None:
    """Noise around goals that are ten times as far apart, reached within a tenth of the training."""
    optim, schedule, rng = WALKS["adam"], Schedule(name, STEPS), np.random.default_rng(4)
    pull = 1 / (optim.lr * STEPS / 20)
    goal = 1 + 10 * np.sqrt(optim.lr / (2 * pull)) * rng.standard_normal((10, 48))
    start = np.ones((10, 48))
    paths = benchmark.optimizer_steps(optim, schedule, start, rng, checks=CHECKS, pull=pull, goal=goal)
    how = {"schedule": schedule, "optim": optim} if known else {}
    steps = [benchmark.watched(path, CHECKS, **how).get(0.5) for path in paths]
    assert sum(step is not None and step <= STEPS / 2 for step in steps) >= 9


@pytest.mark.parametrize("kind", WALKS)
@pytest.mark.parametrize("turns", [1, 3])
def test_walks_drawn_look_by_look_are_those_of_the_optimizer_step_by_step(kind: str, turns: int) -> None:
    """Their covariance over looks, with mean squares that are known: an independent loop over single steps."""
    optim, schedule, checks, every = WALKS[kind], Schedule("cosine", 40, 6), 5, 7
    pace = Pace.of(optim, schedule, turns)
    beta, alpha = pace.momentum, optim.alpha if optim.name == "rmsprop" else 0.0
    value, velocity, taken, looks = np.zeros(100_000), np.zeros(100_000), 0, []
    rng = np.random.default_rng(5)
    for step in range(checks * every):
        if (step + 1) % turns == 0:
            taken += 1
            velocity = beta * velocity + (1 - beta) * rng.standard_normal(len(value)) / np.sqrt(1 - alpha**taken)
            size = schedule.factor(step) / (1 - beta**taken if optim.name.startswith("adam") else 1)
            value = value * (1 - pace.decay * schedule.factor(step)) + size * velocity
        if (step + 1) % every == 0:
            looks.append(value)
    drawn = walks(100, 1000, Looks(checks, 2, every, pace), 0.0, np.random.default_rng(6))
    fast, slow = np.cov(drawn.transpose(1, 0, 2).reshape(checks + 1, -1)[1:]), np.cov(np.stack(looks))
    assert np.allclose(fast, slow, rtol=0.04)


def test_a_pace_holds_what_moves_a_ranking_and_nothing_else() -> None:
    cosine = Schedule("cosine", 100)
    assert Pace.of(Optim(lr=1e-2, weight_decay=0.1), Schedule("constant", 7)) == Pace(0.9)
    assert Pace.of(Optim("adamw", lr=0.5, weight_decay=0.1), cosine) == Pace(0.9, cosine, 0.05)
    assert Pace.of(Optim("sgd", lr=0.5, weight_decay=0.1), cosine) == Pace(0.0, cosine, 0.05)
    assert Pace.of(Optim("sgd", lr=0.5, weight_decay=0.1, momentum=0.5), cosine, 5) == Pace(
        0.5, cosine, 0.1, corrected=False, every=5
    )
    assert Pace.of(Optim("rmsprop", momentum=0.5, alpha=0.9), cosine) == Pace(0.5, cosine, 0.0, 0.9, False)
    frozen = Schedule("cosine", 100, frozen_at=99)
    assert Pace.of(Optim(), frozen).is_plain, "a last learning rate that is held is a constant one"
    assert not Pace.of(Optim(), Schedule("constant", 100, warmup=5)).is_plain


def test_age_and_its_later_half_by_hand() -> None:
    """Linear over four steps: factors 1, 3/4, 1/2, 1/4, so that the squares add up to 16, 25, 29 and 30 sixteenths."""
    falling = Looks(4, 2, 1, Pace(0.0, Schedule("linear", 4))).ages
    assert np.allclose(16 * falling, [0, 16, 25, 29, 30])
    assert later_half(4, falling).tolist() == [1, 2, 3], "15 sixteenths are half, and no look is that young"
    constant = Looks(50, 5, 10).ages
    assert [later_half(look, constant)[0] for look in (5, 8, 9, 50)] == [2, 4, 4, 25]
    assert later_half(50, constant).tolist() == np.linspace(25, 49, 16).round().astype(int).tolist()
    decayed = Looks(3, 2, 1, Pace(0.0, decay=0.5)).ages  # each step is worth four of the one before
    assert np.allclose(decayed / decayed[1], [0, 1, 5, 21])


def test_the_first_null_is_still_there_to_the_last_bit() -> None:
    """Runs that began with it go on with it: these numbers are of the version that had no other."""
    assert calibrated(48, Looks(50, 5, 10, Pace(0.9)), True).factor == pytest.approx(0.37274365220139355, rel=1e-6)
    assert calibrated(16, Looks(50, 5, 10), True).factor == pytest.approx(0.21240997665333303, rel=1e-6)
    assert calibrated(48, Looks(23, 3, 7, Pace(0.5)), False).usual[10] == pytest.approx(0.2869672650166053, rel=1e-6)


def test_a_state_of_the_first_null_is_read_and_one_of_another_walk_refused() -> None:
    rng = np.random.default_rng(0)
    (path,) = benchmark.optimizer_steps(WALKS["adam"], Schedule(), np.ones((1, 24)), rng, checks=CHECKS)

    def made(**how: object) -> EarlyBird:
        bird = EarlyBird(benchmark.Shown(torch.from_numpy(path)), [0.5], every=EVERY, checks=CHECKS, **how)  # type: ignore[arg-type]
        bird.begin()
        return bird

    told, tensors = made(schedule=Schedule()).state()
    keys = {"densities", "every", "patience", "tolerance", "rule", "checks", "seed", "pooled", "momentum"}
    assert set(told["settings"]) == keys
    told["orders"] = {"net": {"shown": 70, "share": 0.1, "limit": 0.2}}
    again = made(schedule=Schedule())
    again.restore(told, tensors)
    assert again.null["net"]["shown"] == 70
    unknown = made(momentum=0.5)
    for look in range(1, CHECKS + 1):
        unknown.rank.now = look
        unknown.look(EVERY * look)
    same = made(momentum=0.5)
    kept = json.loads(json.dumps(unknown.state()[0]))
    same.restore(kept, unknown.state()[1])
    assert (same.state()[0], same.trace) == (unknown.state()[0], unknown.trace), "three paces, each with its own"
    for other in (made(), made(schedule=Schedule("cosine", STEPS)), made(schedule=Schedule(), momentum=0.5)):
        with pytest.raises(TicketError, match="stored with"):
            other.restore(told, tensors)


def test_the_tolerance_is_the_rules_own() -> None:
    assert TOLERANCES == {"corrected": 0.2, "published": 0.1}
    for rule, tolerance in TOLERANCES.items():
        bird = EarlyBird(benchmark.Shown(torch.ones(CHECKS + 1, 24)), [0.5], every=1, checks=CHECKS, rule=rule)
        assert bird.settings.tolerance == tolerance


def test_what_can_never_be_told_is_said_before_training() -> None:
    def settings(**how: object) -> object:
        rank = benchmark.Shown(torch.ones(CHECKS + 1, 24))
        return EarlyBird(rank, [0.5, 0.04], every=EVERY, checks=CHECKS, **how).settings  # type: ignore[arg-type]

    cosine = settings(schedule=Schedule("cosine", STEPS, 20))
    (said,) = vacuous_before(cosine, {"wide": 64, "narrow": 6})
    assert said.startswith("'narrow' has 6 units to rank, too few to tell a settled ranking from noise in 30 looks")
    assert "under a cosine schedule with warm-up (" in said
    with pytest.raises(TicketError, match="no early bird can be told from noise here: 'narrow' has 6 units"):
        vacuous_before(cosine, {"narrow": 6})
    still = settings(schedule=Schedule("linear", STEPS, frozen_at=STEPS))
    with pytest.raises(TicketError, match=r"no ranking can be told from noise in 30 looks under a linear schedule"):
        vacuous_before(still, {"net": 64})
    (said,) = vacuous_before(settings(rule="published"), {"net": 64})
    assert said.startswith("the published rule says nothing at 96.0 % sparsity")
