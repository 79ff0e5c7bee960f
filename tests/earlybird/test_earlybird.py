"""When has a ticket emerged? Distances by hand, silence on noise, and a watch that can be cut off and go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import Tensor

from gentickets.earlybird import EarlyBird, Looks, Pace, calibrated, corrected, hamming, moved, packed, standardized
from gentickets.earlybird.null import LEFT, RATE, shares_of
from gentickets.earlybird.ranks import Sample, followed
from gentickets.earlybird.walks import walks
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Mask, keep_top
from gentickets.optimizers import Schedule
from gentickets.tensorfile import pack, unpack

CHECKS, PATIENCE = 50, 5
Process = Callable[[int], Mapping[str, Tensor]]
"""Look -> scores."""


class Moving:
    """A ranking that goes through a process, a look at a time."""

    def __init__(self, process: Process) -> None:
        self.process, self.now = process, 0

    def scores(self) -> Mapping[str, Tensor]:
        return self.process(self.now)

    def __call__(self, density: float) -> Mask:
        scores = self.scores()
        full = Channels({name: torch.ones(value.shape, dtype=torch.bool) for name, value in scores.items()})
        return keep_top(scores, density, within=full)


def bird(process: Process, densities: tuple[float, ...] = (0.5,), **settings: object) -> EarlyBird:
    """A watch over a process that walks in equal steps, looked at every ten of them."""
    known = {"every": 10, "checks": CHECKS, "momentum": 0.0, "schedule": Schedule(), **settings}
    return EarlyBird(Moving(process), densities, **known)


def watched(process: Process, *densities: float, until: int = CHECKS, **settings: object) -> EarlyBird:
    """The same, begun, and looked at to the end."""
    made = bird(process, densities or (0.5,), **settings)
    made.begin()
    go_on(made, until)
    return made


def go_on(made: EarlyBird, until: int) -> None:
    for look in range(made.looks + 1, until + 1):
        made.rank.now = look
        made.look(10 * look)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def settling(units: int = 48, seed: int = 0, pace: float = 2.0, start: int = 0) -> Callable[[int], Tensor]:
    """All equal at first, then soon in the order that they keep, but for a little noise."""
    goal, jitter = noise(seed, units), 0.02 * noise(seed + 1, CHECKS + 1, units)
    return lambda look: torch.from_numpy(
        1 + (goal + jitter[look]) * (1 - np.exp(-max(0, look - start) / pace)) * (look > start)
    )


def walk(units: int, seed: int, spread: float = 0.0) -> Callable[[int], Tensor]:
    steps = noise(seed, CHECKS + 1, units)
    steps[0] *= spread
    places = torch.from_numpy(np.cumsum(steps, 0))
    return lambda look: places[look]


def together(**parts: Callable[[int], Tensor]) -> Process:
    return lambda look: {f"{component}.0": part(look) for component, part in parts.items()}


def mask(*kept: int, size: int = 8, name: str = "net.0") -> Mask:
    entries = torch.zeros(size, dtype=torch.bool)
    entries[list(kept)] = True
    return Mask({name: entries})


def test_distances_by_hand() -> None:
    one, other = (packed(made)["net"] for made in (mask(0, 1, 2, 3), mask(0, 1, 2, 4)))
    assert (one.size, one.kept, one.density) == (8, 4, 0.5)
    assert hamming(one, other) == 2 / 8
    assert corrected(one, other) == pytest.approx((2 / 8) / (2 * 0.5 * 0.5))
    sparse = packed(mask(0))["net"]
    assert hamming(one, sparse) == 3 / 8
    assert corrected(packed(mask(0, 1))["net"], sparse) == pytest.approx((1 / 8) / (1 / 4 * 7 / 8 + 1 / 8 * 3 / 4))
    full = packed(mask(*range(8)))["net"]
    assert corrected(full, full) == 0.0
    assert corrected(one, packed(mask(4, 5, 6, 7))["net"]) == 2.0, "opposite masks are further than chance"


def test_distances_go_by_component_or_pooled_and_agree_with_masks() -> None:
    rng = torch.Generator().manual_seed(0)
    names = {"b.0": (3, 5), "a.1": (7,), "a.0": (2, 2, 3)}

    def drawn() -> Mask:
        return Mask({name: torch.rand(shape, generator=rng) < 0.3 for name, shape in names.items()})

    one, other = drawn(), drawn()
    apart = packed(one), packed(other)
    assert list(apart[0]) == ["a", "b"]
    for component in ("a", "b"):
        assert hamming(apart[0][component], apart[1][component]) == one.of(component).distance(other.of(component))
    pool = packed(one, pooled=True), packed(other, pooled=True)
    assert list(pool[0]) == ["all"]
    assert hamming(pool[0]["all"], pool[1]["all"]) == one.distance(other)


def test_independent_masks_are_one_apart_at_any_sparsity() -> None:
    for density in (0.5, 0.1, 0.02):
        one, other = (
            packed(Mask({"w": torch.rand(200_000, generator=torch.Generator().manual_seed(seed)) < density}))["w"]
            for seed in (1, 2)
        )
        assert corrected(one, other) == pytest.approx(1, abs=0.02)
        assert hamming(one, other) == pytest.approx(2 * density * (1 - density), rel=0.03)


def test_masks_of_millions_compare_in_milliseconds() -> None:
    rng = torch.Generator().manual_seed(0)
    masks = [packed(Mask({"w": torch.rand(6_000_000, generator=rng) < 0.5}))["w"] for _ in range(2)]
    seconds = []
    for _ in range(3):
        before = perf_counter()
        corrected(*masks)
        seconds.append(perf_counter() - before)
    assert min(seconds) < 0.05
    assert masks[0].bits.nbytes == 750_000


def test_what_has_moved_by_hand() -> None:
    order = standardized(np.array([3.0, 1.0, 2.0, 9.0]))
    assert np.allclose(order, np.array([0.5, -1.5, -0.5, 1.5]) / np.sqrt(5))
    swapped = standardized(np.array([3.0, 1.0, 4.0, 9.0]))  # two neighbours of four: Spearman's 0.8
    assert moved(order, order) == pytest.approx(0, abs=1e-6)
    assert moved(order, swapped) == pytest.approx(1 - (2 * np.sin(np.pi * 0.8 / 6)) ** 2, rel=1e-5)
    assert moved(order, -order) == 1.0
    assert moved(order, standardized(np.ones(4))) == 1.0, "where all were equal, there was no order to keep"
    shared = standardized(np.array([1.0, 2.0, 2.0, 3.0]))
    assert shared[1] == shared[2]


@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])
def test_of_a_walk_the_last_steps_have_moved_their_share_whatever_its_beginning(spread: float) -> None:
    path = np.cumsum(noise(0, 21, 20_000) * np.r_[np.sqrt(20 * spread), np.ones(20)][:, None], 0)
    ranks = [standardized(values) for values in path]
    since = moved(ranks[20], ranks[0]) if spread else 1.0
    for last in (2, 5, 10):
        assert moved(ranks[20], ranks[20 - last]) / since == pytest.approx(last / 20, rel=0.1)


@pytest.mark.parametrize(("every", "beta"), [(1, 0.0), (5, 0.9), (7, 0.5)])
def test_walks_drawn_look_by_look_are_those_of_adam_step_by_step(every: int, beta: float) -> None:
    """The second moment aside, which is that of the noise."""
    place, velocity, rng = np.zeros(40_000), np.zeros(40_000), np.random.default_rng(1)
    looks = [place.copy()]
    for step in range(1, 4 * every + 1):
        velocity = beta * velocity + (1 - beta) * rng.standard_normal(len(place))
        place = place + velocity / (1 - beta**step)
        if step % every == 0:
            looks.append(place)
    slow = np.cov(np.stack(looks[1:]))
    drawn = walks(40, 1000, Looks(4, 2, every, Pace(beta)), 0.0, np.random.default_rng(2))
    fast = np.cov(drawn.transpose(1, 0, 2).reshape(5, -1)[1:])
    assert np.allclose(fast, slow, rtol=0.06)


def test_few_units_that_hardly_move_stand_still_by_chance_so_more_is_asked_of_them() -> None:
    looks = Looks(CHECKS, PATIENCE, 10)
    assert 0 < calibrated(12, looks, False).factor < 0.7 * calibrated(12, looks, True).factor


@pytest.mark.parametrize("units", [16, 48, 256])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_walks_are_told_from_settling_at_these_widths(units: int, momentum: float) -> None:
    """From equal scores, from spreads around what the walk adds, and hardly moving: under 1 % of trainings."""
    looks, rng = Looks(CHECKS, PATIENCE, 10, Pace(momentum)), np.random.default_rng(5)
    count = {16: 1500, 48: 800, 256: 200}[units]
    for spread in (0.0, 0.5, 3.0, 500.0)[: {16: 4, 48: 2, 256: 1}[units]]:
        null = calibrated(units, looks, spread == 0)
        assert not null.vacuous
        limits = np.array([null.limit(look) for look in range(PATIENCE, CHECKS + 1)])
        values = walks(count, units, looks, spread, rng)
        order = values.argsort(-1).argsort(-1).astype(np.float32) - (units - 1) / 2
        ranks = order / np.linalg.norm(order, axis=-1, keepdims=True)
        fired = (shares_of(ranks, looks, spread == 0) <= limits).any(1)
        assert fired.mean() < 0.01, f"at an initial spread of {spread}"


def test_the_watch_is_silent_on_noise_where_a_plain_tolerance_is_not() -> None:
    plain = fired = 0
    for seed in range(30):
        both = together(up=walk(48, 2 * seed), down=walk(48, 2 * seed + 1))
        made = watched(both, 0.5, 0.1)
        fired += len(made.emerged)
        looks = {
            (entry["step"], entry["component"]): entry["distance"] for entry in made.trace if entry["density"] == 0.5
        }
        steps = {step for step, _ in looks}
        near = [all((looks[step, part] or 0 if step >= 50 else 1) <= 0.2 for part in ("up", "down")) for step in steps]
        plain += any(near)
    assert fired == 0
    assert plain > 15


def test_independent_scores_never_emerge() -> None:
    scores = [torch.from_numpy(noise(look, 48)) for look in range(CHECKS + 1)]
    made = watched(together(net=lambda look: scores[look]), 0.5, 0.1, 0.02)
    assert not made.emerged
    assert "still moving" in made.why_not(0.5)
    entries = [entry["distance"] for entry in made.trace if entry["density"] == 0.5 and entry["distance"] is not None]
    assert 0.8 < np.mean(entries) < 1.6, "the largest of four distances around 1"


def test_a_settling_ranking_emerges_early_at_every_density() -> None:
    made = watched(together(up=settling(seed=1), down=settling(seed=5)), 0.7, 0.5, 0.3)
    assert made.done
    assert all(50 <= step <= 120 for step in made.emerged.values())
    assert {entry["component"] for entry in made.trace} == {"up", "down"}
    first = made.trace[0]
    assert (first["step"], first["distance"], first["limit"]) == (10, None, 0.2)
    last = [entry for entry in made.trace if entry["step"] == made.emerged[0.5] and entry["density"] == 0.5]
    assert all(entry["distance"] <= 0.2 < entry["initial"] for entry in last)
    assert all(entry["share"] is not None for entry in last)
    assert set(made.null) == {"up", "down"}
    assert all(told["rate"] == RATE and told["vacuous"] is None and told["shown"] <= 120 for told in made.null.values())
    assert json.loads(json.dumps(made.null)) == made.null
    assert "emerged at step" in made.why_not(0.5)


def test_each_density_has_its_own_queue_and_its_own_step() -> None:
    """The better half keeps its order soon, the worse one goes on changing places."""
    goal, late = 3 * noise(1, 64), 0.6 * noise(2, CHECKS + 1, 64)

    def process(look: int) -> Tensor:
        spot = torch.from_numpy(goal + late[look] * np.where(goal < np.sort(goal)[32], np.sqrt(look), 0.1))
        return spot * min(1, look / 3) if look else torch.ones(64)

    made = watched(together(net=process), 0.25, 0.85)
    assert set(made.emerged) == {0.25}
    seen = [entry["step"] for entry in made.trace if entry["density"] == 0.25]
    assert seen == list(range(10, made.emerged[0.25] + 10, 10)), "not looked at any more"
    assert made.why_not(0.85).startswith("no early bird emerged at 15.0 % sparsity in 50 looks: 'net' is still moving")
    with pytest.raises(TicketError, match=r"0\.5 is not watched"):
        made.why_not(0.5)


def test_a_frozen_ranking_never_emerges() -> None:
    for start in (noise(3, 48), np.ones(48, dtype=np.float32)):
        made = watched(together(net=lambda _, start=start: torch.from_numpy(start)), 0.5)
        assert not made.emerged
        why = made.why_not(0.5)
        assert "'net' has never left its initial ranking (distance 0.00" in why
        assert made.trace[-1]["distance"] == 0.0, "though it stands still"
    order = noise(3, 48)
    kept = watched(together(net=lambda look: torch.from_numpy(order * (1 + look))), 0.5)
    assert not kept.emerged, "scores that grow in the order that they had tell nothing either"


def test_a_mask_that_is_still_its_initial_one_never_emerges() -> None:
    """Though the order inside its halves has changed and settled."""
    goal, upper = noise(4, 48), np.arange(48) % 2
    first = torch.from_numpy(noise(3, 48).clip(-3, 3) + 9 * upper)
    made = watched(
        together(net=lambda look: torch.from_numpy(goal.clip(-3, 3) + 9 * upper) if look else first), 0.5, 0.4
    )
    assert made.null["net"]["shown"] is not None
    assert set(made.emerged) == {0.4}
    assert "never left its initial ranking" in made.why_not(0.5)


def test_nothing_emerges_before_every_component_has_left_and_settled() -> None:
    for late in (settling(seed=7, start=20), walk(48, 3)):
        made = bird(together(up=settling(seed=1), down=late))
        made.begin()
        go_on(made, 20)
        assert not made.emerged
        assert made.null["up"]["shown"] is not None
        assert made.null["down"]["shown"] is None
        quiet = [
            e["step"] for e in made.trace if e["component"] == "up" and (e["share"] or 1) <= (e["share_limit"] or 0)
        ]
        assert made.null["up"]["shown"] == quiet[0] < quiet[-1]
    made = watched(together(up=settling(seed=1), down=settling(seed=7, start=20)), 0.5)
    assert 230 < made.emerged[0.5] <= 400
    assert "'down'" in watched(together(up=settling(seed=1), down=walk(48, 3)), 0.5).why_not(0.5)


def test_pooled_components_count_as_one() -> None:
    """Twice twelve units tell more than twelve."""
    process = together(up=settling(14, seed=1), down=settling(14, seed=5))
    made = watched(process, 0.5, pooled=True)
    assert {entry["component"] for entry in made.trace} == {"all"}
    assert made.null["all"]["units"] == 28
    assert made.done


def test_momentum_makes_noise_look_settled_so_more_is_asked() -> None:
    plain, smooth = (calibrated(48, Looks(100, PATIENCE, 5, Pace(beta)), True) for beta in (0.0, 0.9))
    assert smooth.limit(12) < 0.6 * plain.limit(12)
    slow = calibrated(48, Looks(100, PATIENCE, 200, Pace(0.9)), True)
    assert slow.limit(40) == pytest.approx(plain.limit(40), rel=0.15), "and none of it when looked at seldom"
    assert calibrated(48, Looks(CHECKS, PATIENCE), True) == calibrated.__wrapped__(48, Looks(CHECKS, PATIENCE), True)


def test_too_few_units_are_said_up_front_with_how_many_would_do() -> None:
    with pytest.raises(TicketError, match="no early bird can be told from noise here: 'net' has 6 units") as error:
        watched(together(net=settling(6)), 0.5)
    least = int(str(error.value).split("(")[1].split(" would do")[0])
    assert 6 < least <= 16
    assert not calibrated(least, Looks(CHECKS, PATIENCE, 10), True).vacuous
    with pytest.raises(TicketError, match="'net' has 3 units"):
        watched(together(net=settling(3)), 0.5)


def test_a_narrow_component_decides_nothing_but_must_stand_still() -> None:
    made = watched(together(wide=settling(seed=1), narrow=settling(6, seed=5)), 0.5)
    assert made.done
    assert len(made.vacuous) == 1
    assert made.null["narrow"]["vacuous"] == made.vacuous[0]
    assert "'narrow' has 6 units to rank, too few" in made.vacuous[0]
    assert not watched(together(wide=walk(48, 1), narrow=settling(6, seed=5)), 0.5).emerged
    other = [torch.from_numpy(noise(look, 6)) for look in range(CHECKS + 1)]
    assert not watched(together(wide=settling(seed=1), narrow=lambda look: other[look]), 0.5, until=30).emerged


def test_the_published_rule_is_there_as_it_is_and_says_when_it_is_vacuous() -> None:
    frozen = together(net=lambda _: torch.from_numpy(noise(3, 48)))
    made = watched(frozen, 0.5, rule="published", tolerance=0.1)
    assert made.emerged == {0.5: 50}, "as soon as its queue is full: it asks for nothing but standing still"
    assert made.vacuous == []
    assert made.null == {}
    scores = [torch.from_numpy(noise(look, 2000)) for look in range(CHECKS + 1)]
    process = together(net=lambda look: scores[look])
    random = watched(process, 0.05, 0.5, rule="published", tolerance=0.1)
    assert random.emerged == {0.05: 50}, "independent masks at 95 %"
    (told,) = random.vacuous
    assert told.startswith("the published rule says nothing at 95.0 % sparsity")
    assert "0.095 apart" in told
    assert not watched(process, 0.05, tolerance=0.2).emerged
    one_off = watched(together(up=settling(seed=1), down=walk(48, 3)), 0.5, rule="published", tolerance=0.1, until=9)
    assert not one_off.emerged, "every component has to stand still"


def test_the_published_rule_asks_for_no_scores() -> None:
    made = EarlyBird(lambda density: mask(0, 1, 2, 3), [0.5], every=1, checks=9, rule="published")  # type: ignore[arg-type]
    made.begin()
    assert [made.look(step) for step in range(1, 6)] == [[], [], [], [], [0.5]]


def test_it_looks_at_multiples_once_each_and_not_before_it_has_begun() -> None:
    made = bird(together(net=settling()))
    with pytest.raises(TicketError, match=r"before begin\(\)"):
        made.look(10)
    made.begin()
    for step in (0, 5, 10, 10, 15, 20, 10):
        assert made.look(step) == []
    assert (made.looks, made.step) == (2, 20)
    assert [entry["step"] for entry in made.trace] == [10, 20]
    assert made.why_not(0.5).startswith("no early bird emerged at 50.0 % sparsity in 2 looks: 5 in a row are needed")


@pytest.mark.parametrize("cut", [0, 3, 7, 12, 40])
@pytest.mark.parametrize("rule", ["corrected", "published"])
def test_a_watch_goes_on_bit_for_bit_from_what_was_stored(cut: int, rule: str) -> None:
    process = together(up=settling(300, seed=1), down=walk(48, 3, spread=2.0), small=settling(6, seed=9))
    densities, how = (0.5, 0.3), {"rule": rule, "tolerance": 0.15}
    whole = watched(process, *densities, **how)
    first = bird(process, densities, **how)
    first.begin()
    go_on(first, cut)
    told, tensors = first.state()
    assert all(value.dtype == torch.uint8 for name, value in tensors.items() if name.startswith("mask/"))
    stored, header = unpack(pack("watch", tensors, told), "watch", Path("watch"))
    again = bird(process, densities, **how)
    again.rank.now = cut
    again.restore(json.loads(json.dumps(header)), stored)
    go_on(again, CHECKS)
    assert (again.trace, again.emerged, again.null) == (whole.trace, whole.emerged, whole.null)
    assert again.state()[0] == whole.state()[0]
    mine, theirs = again.state()[1], whole.state()[1]
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert [again.why_not(density) for density in densities] == [whole.why_not(density) for density in densities]


def test_another_watchs_state_is_refused() -> None:
    made = watched(together(net=settling()), 0.5, until=6)
    with pytest.raises(TicketError, match=r"stored with tolerance = 0\.2, not 0\.1") as error:
        bird(together(net=settling()), tolerance=0.1).restore(*made.state())
    assert error.value.status is Status.TICKET


def test_a_mask_that_would_empty_a_layer_counts_as_moving() -> None:
    """It happens by chance while all scores are equal, and is no reason to end a training."""
    goal = settling(64, seed=1)

    def process(look: int) -> Mapping[str, Tensor]:
        scores = goal(look)
        return {"net.0": scores[:48], "net.1": scores[48:] - (100 if look in (4, 20) else 0)}

    made = watched(process, 0.5)
    assert made.emerged[0.5] > 80, "the queue began anew after the fourth look"
    always = watched(lambda look: {"net.0": goal(look)[:48], "net.1": goal(look)[48:] - 100}, 0.5)
    assert "would leave nothing of 'net.1'" in always.why_not(0.5)

    def broken(look: int) -> Mapping[str, Tensor]:
        return {"net.0": torch.full((48,), float("nan"))}

    with pytest.raises(TicketError) as error:
        watched(broken, 0.5)
    assert error.value.status is Status.DIVERGED


def test_a_sample_of_units_is_spread_evenly_and_reads_any_layout() -> None:
    scores = {"net.0": torch.rand(10, 20, 3, 3).to(memory_format=torch.channels_last), "net.1": torch.rand(700)}
    sample = Sample(scores, ["net.0", "net.1"], "net", 0)
    assert (sample.size, sample.units) == (2500, 256)
    places = torch.arange(1800).reshape(10, 20, 3, 3).to(memory_format=torch.channels_last)
    order = sample.ranks({"net.0": places, "net.1": torch.arange(1800, 2500)})
    assert np.all(np.diff(order) > 0), "in order, so none twice"
    small = {"net.0": torch.rand(5, 7), "net.1": torch.rand(9)}
    every = Sample(small, ["net.0", "net.1"], "net", 0)
    assert np.array_equal(every.ranks(small), standardized(torch.cat([v.flatten() for v in small.values()]).numpy()))
    assert (followed(50), followed(100), followed(200), followed(5000)) == (256, 256, 128, 64)


def test_a_share_means_nothing_before_something_has_moved() -> None:
    start = noise(0, 256)
    hardly = together(net=lambda look: torch.from_numpy(start + (0.05 * noise(1, 256) if look else 0)))
    made = watched(hardly, 0.5, until=10)
    assert moved(standardized(start), standardized(start + 0.05 * noise(1, 256))) < LEFT
    assert made.trace[-1]["share"] is None
    assert made.null["net"]["shown"] is None


BAD = {
    "rule=publishd": "Did you mean 'published'?",
    "every=0": "every is at least 1",
    "patience=1": "patience at least 2",
    "tolerance=0.0": "tolerance is 0.0",
    "momentum=1.0": "momentum is 1.0",
    "checks=4": "4 looks in the whole training cannot fill a queue of 5",
}


@pytest.mark.parametrize("change", BAD)
def test_settings_that_make_no_sense_are_refused(change: str) -> None:
    key, value = change.split("=")
    kind = {"rule": str, "tolerance": float, "momentum": float}.get(key, int)
    with pytest.raises(TicketError) as error:
        bird(together(net=settling()), **{key: kind(value)})
    assert BAD[change] in str(error.value)
    for densities in ((), (0.0,), (1.2,)):
        with pytest.raises(TicketError, match="densities are above 0"):
            bird(together(net=settling()), densities)
