"""keep_top against a sort that everybody can read, and the traps of thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gentickets.errors import Status, TicketError
from gentickets.masks import Magnitudes, Mask, blockwise, component_of, keep_top, kth, pieces, tied_share
from gentickets.seeds import derive

WORD = (1 << 64) - 1
SHAPES = [(), (1,), (7,), (3, 5), (4, 3, 2, 2), (2, 40), (40, 2), (5, 1, 3, 3), (2, 3, 4, 1, 2), (0, 3)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int32]


def splitmix(position: int, salt: int) -> int:
    """The published SplitMix64, in whole numbers, as a signed word."""
    word = (position * 0x9E3779B97F4A7C15 + salt) & WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    word ^= word >> 31
    return word - (1 << 64) if word >> 63 else word


def brute_force(scores: Mapping[str, Tensor], density: float, within: Mask, scope: str, seed: int) -> dict[str, Tensor]:
    """Sort every kept weight of a group by score and hash, and take the first k."""
    groups: dict[str, list[str]] = {}
    for name in within:
        groups.setdefault({"layer": name, "component": component_of(name), "global": ""}[scope], []).append(name)
    masks = {name: torch.zeros(within[name].numel(), dtype=torch.bool) for name in within}
    for names in groups.values():
        total = sum(within[name].numel() for name in names)
        ranked = sorted(
            (
                (-score, -splitmix(i, derive(seed, "ties", name)), name, i)
                for name in names
                for i, (score, kept) in enumerate(
                    zip(scores[name].reshape(-1).tolist(), within[name].reshape(-1).tolist(), strict=True)
                )
                if kept
            ),
        )
        for _, _, name, i in ranked[: math.floor(density * total + 0.5)]:
            masks[name][i] = True
    return {name: mask.view(within[name].shape) for name, mask in masks.items()}


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Tensor], Mask]:
    """Scores with many, few or no ties, of several shapes, dtypes and memory formats, and what is kept."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    share = draw(st.sampled_from([1.0, 0.7, 0.2]))
    scores, masks = {}, {}
    for i, shape in enumerate(draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4))):
        name = f"{draw(st.sampled_from(['encoder', 'decoder']))}.{i}.weight"
        value = torch.randint(-levels, levels + 1, shape, generator=rng) if levels < 1000 else None
        value = torch.randn(shape, generator=rng) if value is None else value / 4
        scores[name] = value.to(draw(st.sampled_from(DTYPES)))
        masks[name] = torch.rand(shape, generator=rng) < share
        if len(shape) == 4 and draw(st.booleans()):
            scores[name] = scores[name].to(memory_format=torch.channels_last)
        if len(shape) == 4 and draw(st.booleans()):
            masks[name] = masks[name].to(memory_format=torch.channels_last)
    return scores, Mask(masks)


def small_blocks(patch: pytest.MonkeyPatch, *, sample: int, block: int, sigmas: float) -> None:
    """Make tiny tensors take the road of large ones: several blocks, a sample, and brackets that may miss."""
    patch.setattr(kth, "SAMPLE", sample)
    patch.setattr(kth, "_SIGMAS", sigmas)
    patch.setitem(pieces._BLOCK, "cpu", block)


def equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def of_ones(scores: Mapping[str, Tensor]) -> Mask:
    return Mask({name: torch.ones_like(value, dtype=torch.bool) for name, value in scores.items()})


def check_against_brute_force(scores: dict[str, Tensor], within: Mask, density: float, scope: str, seed: int) -> None:
    expected = brute_force(scores, density, within, scope, seed)
    emptied = [name for name in within if within.kept_in(name) and not expected[name].any()]
    if emptied:
        with pytest.raises(TicketError) as caught:
            keep_top(scores, density, within=within, scope=scope, seed=seed)
        assert caught.value.status == Status.FAILED
        assert any(f"'{name}'" in str(caught.value) for name in emptied)
    else:
        assert equal(keep_top(scores, density, within=within, scope=scope, seed=seed), expected)


@settings(deadline=None, max_examples=120)
@given(
    cases(),
    st.floats(0.01, 1.0),
    st.sampled_from(["layer", "component", "global"]),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([(1 << 16, 1 << 18, 4.0), (8, 7, 4.0), (8, 16, 0.5), (2, 5, 0.0)]),
)
def test_equals_a_brute_force_sort(
    case: tuple[dict[str, Tensor], Mask],
    density: float,
    scope: str,
    seed: int,
    numpy: bool,
    sizes: tuple[int, int, float],
) -> None:
    """Over scopes, dtypes, ties, memory formats and partial masks; by NumPy, and by torch as on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, sample=sizes[0], block=sizes[1], sigmas=sizes[2])
        patch.setattr(blockwise, "_by_numpy", lambda _: numpy)
        check_against_brute_force(*case, density, scope, seed)


@settings(deadline=None, max_examples=40)
@given(cases(), st.lists(st.floats(0.3, 1.0), min_size=2, max_size=4), st.integers(0, 3))
def test_lower_densities_nest_in_higher_ones(
    case: tuple[dict[str, Tensor], Mask], densities: list[float], seed: int
) -> None:
    scores, _ = case
    wider = full = of_ones(scores)
    for density in sorted(densities, reverse=True):
        try:
            mask = keep_top(scores, density, within=wider, seed=seed)
        except TicketError:
            return
        assert not any((mask[name] & ~wider[name]).any() for name in mask)
        assert equal(mask, keep_top(scores, density, within=full, seed=seed))
        wider = mask


@pytest.mark.parametrize("scope", ["layer", "component", "global"])
def test_the_order_of_names_changes_nothing(scope: str) -> None:
    scores = {name: torch.ones(6, 5) for name in ("b.0", "a.1", "a.0", "c")}
    turned = dict(reversed(scores.items()))
    mask = keep_top(scores, 0.5, within=of_ones(scores), scope=scope)
    again = keep_top(turned, 0.5, within=of_ones(turned), scope=scope)
    assert list(again) == list(turned)
    assert all(torch.equal(mask[name], again[name]) for name in scores)


def test_keeps_the_highest_not_the_largest() -> None:
    scores = {"a": torch.tensor([-9.0, 1.0, 3.0, -2.0])}
    assert keep_top(scores, 0.5, within=of_ones(scores))["a"].tolist() == [False, True, True, False]
    kept = keep_top(Magnitudes(scores), 0.5, within=of_ones(scores))["a"]
    assert kept.tolist() == [True, False, True, False]


def test_counts_by_hand() -> None:
    """floor(density * n + 0.5) of all the weights of a group: 2.5 becomes 3, and pruned ones count in n."""
    scores = {"a.0": torch.arange(5.0) * 3, "a.1": torch.arange(15.0), "b": torch.arange(10.0)}
    full = of_ones(scores)
    layer = keep_top(scores, 0.5, within=full, scope="layer")
    assert [layer.kept_in(name) for name in scores] == [3, 8, 5]
    component = keep_top(scores, 0.5, within=full)
    assert [component.kept_in("a.0"), component.kept_in("a.1")] == [2, 8]  # 12, 9 and 14 to 7
    assert component.of("b").kept == 5
    assert keep_top(scores, 0.5, within=full, scope="global").kept == 15
    assert keep_top(scores, 0.2, within=layer, scope="layer").kept_in("a.1") == 3
    assert equal(keep_top(scores, 1.0, within=layer), layer)


def test_a_density_for_each_tensor() -> None:
    scores = {"a.0": torch.rand(10), "a.1": torch.rand(20)}
    mask = keep_top(scores, {"a.0": 0.3, "a.1": 0.85}, within=of_ones(scores), scope="global")
    assert [mask.kept_in("a.0"), mask.kept_in("a.1")] == [3, 17]


@pytest.mark.parametrize("value", [1.0, 0.0, -0.01])
def test_ties_keep_an_exact_count_at_scattered_places(value: float) -> None:
    """Trap 3: equal scores give neither an empty nor a full mask, nor the first positions."""
    scores = {"gamma": torch.full((1000,), value)}
    mask = keep_top(scores, 0.3, within=of_ones(scores))["gamma"]
    assert int(mask.sum()) == 300
    assert 50 < int(mask[:500].sum()) < 250
    assert not torch.equal(mask, keep_top(scores, 0.3, within=of_ones(scores), seed=1)["gamma"])
    assert torch.equal(mask, keep_top(scores, 0.3, within=of_ones(scores), seed=0)["gamma"])


def test_ties_do_not_line_up_between_tensors() -> None:
    scores = {"a": torch.zeros(1000), "b": torch.zeros(1000)}
    mask = keep_top(scores, 0.5, within=of_ones(scores), scope="layer")
    assert 200 < int((mask["a"] & mask["b"]).sum()) < 300


def test_equal_hashes_in_two_tensors_keep_the_count_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "hashes", lambda positions, salt: positions % 4)
    scores = {f"a.{i}": torch.ones(9) for i in range(3)}
    mask = keep_top(scores, 0.5, within=of_ones(scores))
    turned = dict(reversed(scores.items()))
    assert mask.kept == 14
    again = keep_top(turned, 0.5, within=of_ones(turned))
    assert all(torch.equal(again[name], mask[name]) for name in scores)


def test_ties_are_found_at_the_edges_of_blocks() -> None:
    """The tie that stays may be the first of a block; which one it is follows from the seed."""
    scores = {"a.0": torch.tensor([3.0, 1.0]), "a.1": torch.tensor([1.0, 9.0])}
    within = of_ones(scores)
    masks = [keep_top(scores, 0.75, within=within, seed=seed) for seed in range(10)]
    assert all(equal(mask, brute_force(scores, 0.75, within, "component", seed)) for seed, mask in enumerate(masks))
    assert {mask.kept_in("a.1") for mask in masks} == {1, 2}


@pytest.mark.parametrize("scores", [1 + torch.arange(50) * 1e-12, 2**40 + torch.arange(50)])
def test_no_digit_is_lost(scores: Tensor) -> None:
    """Float64 and whole numbers are not compared in single precision."""
    mixed = {"a": scores[torch.randperm(50, generator=torch.Generator().manual_seed(0))]}
    kept = mixed["a"][keep_top(mixed, 0.3, within=of_ones(mixed))["a"]]
    assert kept.sort().values.tolist() == scores[-15:].tolist()


def test_two_passes_suffice(large: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """One to count and collect, one to write; ties cost a look at the blocks that hold them."""
    passes: list[object] = []
    inner = pieces.Group.pieces

    def counted(self: pieces.Group, wanted: frozenset[int] | None = None) -> object:
        passes.append(wanted)
        return inner(self, wanted)

    monkeypatch.setattr(pieces.Group, "pieces", counted)
    for density in (0.05, 0.5, 0.95):
        passes.clear()
        keep_top(Magnitudes(large), density, within=of_ones(large))
        assert passes.count(None) == 2
        assert len(passes) <= 3


@pytest.fixture(scope="module")
def large() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {"a.0": torch.randn(500, 700, generator=rng), "a.1": torch.randn(150, 64, 4, 4, generator=rng)}


@pytest.mark.parametrize("density", [0.001, 0.2, 0.8, 0.9999])
@pytest.mark.parametrize("clip", [None, 0.4])
def test_large_tensors_equal_a_full_sort(large: dict[str, Tensor], density: float, clip: float | None) -> None:
    """Half a million weights, at the sizes of sample and block that are used in earnest."""
    weights = {name: value if clip is None else value.clamp(-clip, clip) for name, value in large.items()}
    mask = keep_top(Magnitudes(weights), density, within=of_ones(weights))
    flat = torch.cat([value.abs().flatten() for value in weights.values()])
    kept = torch.cat([mask[name].flatten() for name in weights])
    k = math.floor(density * flat.numel() + 0.5)
    assert int(kept.sum()) == k
    assert torch.equal(flat[kept].sort().values, flat.sort().values[-k:])


def test_memory_formats_change_nothing(large: dict[str, Tensor]) -> None:
    """Position is the logical index: channels-last weights, masks or both; strides follow the mask given."""
    weights = {"a": large["a.1"].clamp(-0.5, 0.5)}
    last = {"a": weights["a"].to(memory_format=torch.channels_last)}
    plain = keep_top(Magnitudes(weights), 0.7, within=of_ones(weights))
    for scores in (weights, last):
        for within in (of_ones(weights), of_ones(last)):
            mask = keep_top(Magnitudes(scores), 0.7, within=within)
            assert torch.equal(mask["a"], plain["a"])
            assert mask["a"].stride() == within["a"].stride()


def test_magnitudes_are_streamed_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"a": torch.randn(30, 30)}
    expected = keep_top({"a": weights["a"].abs()}, 0.4, within=of_ones(weights))
    assert torch.equal(Magnitudes(weights)["a"], weights["a"].abs())

    def refuse(self: Magnitudes, name: str) -> Tensor:
        raise AssertionError("a whole tensor of |w| was asked for")

    monkeypatch.setattr(Magnitudes, "__getitem__", refuse)
    assert equal(keep_top(Magnitudes(weights), 0.4, within=of_ones(weights)), expected)


def test_scores_stay_as_they_are(large: dict[str, Tensor]) -> None:
    before = {name: value.clone() for name, value in large.items()}
    keep_top(Magnitudes(large), 0.5, within=of_ones(large))
    assert equal(large, before)


def test_pruned_stays_pruned() -> None:
    """Trap 4: a pruned weight does not come back, however high it scores, even as NaN or infinity."""
    within = Mask({"a": torch.tensor([True, False, True, False, True, False])})
    scores = {"a": torch.tensor([1.0, math.inf, 2.0, math.nan, 3.0, 99.0])}
    assert keep_top(scores, 0.5, within=within)["a"].tolist() == within["a"].tolist()
    assert keep_top(scores, 1.0, within=within)["a"].tolist() == within["a"].tolist()
    assert keep_top(scores, 2 / 6, within=within)["a"].tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_scores_that_diverged_are_named(value: float, density: float) -> None:
    scores = {"a.fine": torch.rand(4, 4), "a.broken": torch.rand(4, 4)}
    scores["a.broken"][2, 2] = value
    with pytest.raises(TicketError, match=r"a\.broken.*diverged") as caught:
        keep_top(scores, density, within=of_ones(scores))
    assert caught.value.status == Status.DIVERGED


def test_huge_but_finite_scores_are_fine() -> None:
    scores = {"a": torch.full((64,), 3e38)}
    assert keep_top(scores, 0.25, within=of_ones(scores)).kept == 16


@pytest.mark.parametrize("scope", ["component", "global"])
def test_an_emptied_tensor_is_refused_by_name(scope: str) -> None:
    """Trap 9: the density would look right."""
    scores = {"net.big": torch.rand(100) + 1, "net.small": torch.rand(5)}
    with pytest.raises(TicketError, match=r"net\.small.*scope='layer'.*exempt.*fewer rounds") as caught:
        keep_top(scores, 0.5, within=of_ones(scores), scope=scope)
    assert caught.value.status == Status.FAILED
    assert keep_top(scores, 0.5, within=of_ones(scores), scope="layer").emptied == []


@pytest.mark.parametrize("density", [0.0, -0.1, 1.01, math.nan])
def test_impossible_densities_are_refused(density: float) -> None:
    scores = {"a": torch.rand(4)}
    with pytest.raises(TicketError, match="above 0 and at most 1"):
        keep_top(scores, density, within=of_ones(scores))
    with pytest.raises(TicketError, match=r"'a'.*above 0 and at most 1"):
        keep_top(scores, {"a": density}, within=of_ones(scores))


def test_misfits_are_named() -> None:
    scores = {"net.weight": torch.rand(4)}
    full = of_ones(scores)
    with pytest.raises(TicketError, match=r"no scope 'layers'.*'layer'"):
        keep_top(scores, 0.5, within=full, scope="layers")
    with pytest.raises(TicketError, match=r"'net\.weight'.*Did you mean 'net\.weights'"):
        keep_top({"net.weights": torch.rand(4)}, 0.5, within=full)
    with pytest.raises(TicketError, match=r"'other'"):
        keep_top({**scores, "other": torch.rand(4)}, 0.5, within=full)
    with pytest.raises(TicketError, match=r"shape \(5,\), not \(4,\)"):
        keep_top({"net.weight": torch.rand(5)}, 0.5, within=full)
    with pytest.raises(TicketError, match=r"no 'net\.weight'"):
        keep_top(scores, {"net.wait": 0.5}, within=full)
    with pytest.raises(TicketError, match=r"'more', which the mask lacks"):
        keep_top(scores, {"net.weight": 0.5, "more": 0.5}, within=full)


def test_the_tied_share_shows_clipping() -> None:
    """Trap 11a: after clipping, magnitude decides nothing, and that can be read off."""
    rng = torch.Generator().manual_seed(0)
    weights = {
        "critic.0": torch.randn(100, 100, generator=rng),
        "other.0": torch.randn(50, 50, generator=rng),
    }
    clipped = {**weights, "critic.0": weights["critic.0"].clamp(-0.5, 0.5)}
    full = of_ones(clipped)
    mask = keep_top(Magnitudes(clipped), 0.3, within=full)
    share = tied_share(Magnitudes(clipped), mask, within=full)
    at_clip = int((weights["critic.0"].abs() >= 0.5).sum()) / 10_000
    assert share["critic"] == pytest.approx(at_clip)
    assert share["other"] <= 2 / 2500


def test_hashes_do_not_depend_on_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's words on the CPU and torch's signed integers elsewhere are the same, and never collide."""
    positions = torch.cat([torch.arange(5000), torch.randint(0, 2**62, (5000,))])
    salt = derive(3, "ties", "decoder.0.weight")
    by_numpy = blockwise.hashes(positions, salt)
    monkeypatch.setattr(blockwise, "_by_numpy", lambda _: False)
    assert torch.equal(by_numpy, blockwise.hashes(positions, salt))
    assert by_numpy.tolist()[:100] == [splitmix(i, salt) for i in range(100)]
    assert len(set(by_numpy.tolist())) == len(set(positions.tolist()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_mask(large: dict[str, Tensor]) -> None:
    weights = {name: value.clamp(-0.7, 0.7) for name, value in large.items()}
    moved = {name: value.cuda() for name, value in weights.items()}
    for density in (0.1, 0.6):
        here = keep_top(Magnitudes(weights), density, within=of_ones(weights))
        there = keep_top(Magnitudes(moved), density, within=of_ones(moved))
        assert equal(here, there.to("cpu"))
