"""Mask, the prunable set, and the densities of random masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from gentickets.errors import Status, TicketError
from gentickets.masks import (
    Mask,
    component_of,
    erk,
    full_mask,
    keep_top,
    plain_name,
    prunable,
    shuffled,
    uniform,
)


def bools(text: str) -> torch.Tensor:
    """A bool tensor from a drawing: ``##.`` is kept, kept, pruned."""
    return torch.tensor([mark == "#" for mark in text])


def make_gan() -> nn.ModuleDict:
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Unflatten(1, (2, 2, 2)))
    generator.append(nn.ConvTranspose2d(2, 1, 4, groups=1)).append(nn.PReLU())
    discriminator = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Flatten(), nn.LazyLinear(1))
    discriminator(torch.zeros(1, 1, 5, 5))
    return nn.ModuleDict({"generator": generator, "discriminator": discriminator})


def test_counts_and_densities_by_hand() -> None:
    mask = Mask({"a.0": bools("##.."), "a.1": bools("...."), "b.0": bools("##")})
    assert (mask.kept, mask.total, mask.density) == (4, 10, 0.4)
    assert mask.densities == {"a.0": 0.5, "a.1": 0.0, "b.0": 1.0}
    assert mask.components == ["a", "b"]
    assert mask.of("a").total == 8
    assert len(mask) == 3
    assert Mask({}).density == 1.0
    assert "4 of 10" in repr(mask)


def test_emptied_tensors_show_although_the_density_does_not() -> None:
    """Trap 9."""
    mask = Mask({"a": bools("####"), "b": bools("...."), "nothing": torch.zeros(0, dtype=torch.bool)})
    assert mask.density == 0.5
    assert mask.emptied == ["b"]


def test_distance_is_the_fraction_that_differs() -> None:
    one = Mask({"a": bools("##.."), "b": bools("##")})
    two = Mask({"a": bools("#.#."), "b": bools("##")})
    assert one.distance(two) == two.distance(one) == pytest.approx(2 / 6)
    assert one.distance(one) == 0
    with pytest.raises(TicketError, match="no tensor 'b'"):
        one.distance({"a": one["a"]})


def test_only_bools_make_a_mask() -> None:
    """Trap 5: numbers would tempt to read zeros as pruned."""
    with pytest.raises(TicketError, match=r"'a' holds torch\.float32"):
        Mask({"a": torch.ones(2)})


def test_an_unknown_component_gets_a_hint() -> None:
    mask = full_mask(make_gan())
    with pytest.raises(TicketError, match=r"'generater'.*Did you mean 'generator'"):
        mask.of("generater")
    with pytest.raises(TicketError, match="'critic'"):
        prunable(make_gan(), components=["critic"])


def test_misfitting_masks_name_the_tensor() -> None:
    mask = Mask({"a": bools("##")})
    with pytest.raises(TicketError, match=r"'a' with shape \(3,\), not \(2,\)") as caught:
        mask.require_same_names({"a": bools("###")}, "the other")
    assert caught.value.status == Status.TICKET
    with pytest.raises(TicketError, match="'c', which is unknown"):
        mask.require_same_names({"a": bools("##"), "c": bools("#")}, "the other")


def test_the_prunable_set_is_linear_and_convolutional_weights() -> None:
    assert list(prunable(make_gan())) == [
        "generator.0.weight",
        "generator.3.weight",
        "discriminator.0.weight",
        "discriminator.3.weight",
    ]


def test_components_and_exemptions_narrow_the_set() -> None:
    net = make_gan()
    assert {component_of(name) for name in prunable(net, components=["generator"])} == {"generator"}
    assert "generator.3.weight" not in prunable(net, exempt=["*.3.weight"])
    assert len(prunable(net, exempt=["discriminator.0.weight"])) == 3
    with pytest.raises(TicketError, match=r"'\*\.9\.\*' matches no"):
        prunable(net, exempt=["*.9.*"])
    with pytest.raises(TicketError, match="nothing is left to prune"):
        prunable(net, exempt=["*"])


@pytest.mark.parametrize("api", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_offers_the_raw_tensor(api: object) -> None:
    """Trap 11, both PyTorch APIs."""
    assert callable(api)
    net = nn.Sequential(api(nn.Linear(4, 3)), nn.ReLU(), nn.Linear(3, 2))
    found = prunable(net)
    raw = [parameter for name, parameter in net.named_parameters() if name.startswith("0.") and "bias" not in name]
    assert len(found) == 2
    assert next(iter(found.values())) is raw[0]
    assert set(found) <= {name for name, _ in net.named_parameters()}


def test_tied_weights_have_one_mask() -> None:
    """Trap 6: by storage, whether one parameter is shared or one is a transposed view of the other."""
    net = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("a", "b", "c", "d")})
    net["b"].weight = net["a"].weight
    net["c"].weight = nn.Parameter(net["a"].weight.detach().t())
    assert list(full_mask(net)) == ["a.weight", "d.weight"]


@pytest.mark.parametrize(
    ("given_name", "plain"),
    [
        ("module.net.0.weight", "net.0.weight"),
        ("_orig_mod.net.0.weight", "net.0.weight"),
        ("_orig_mod.module.net.0.weight", "net.0.weight"),
        ("module._orig_mod.net.0.weight", "net.0.weight"),
        ("module.module.weight", "module.weight"),
        ("net.module.weight", "net.module.weight"),
    ],
)
def test_wrappers_are_stripped_once(given_name: str, plain: str) -> None:
    """Trap 7: a user's own submodule may be called ``module``."""
    assert plain_name(given_name) == plain


def test_names_with_digits_keep_apart() -> None:
    """Trap 7: neither enumeration nor the digits in a name identify a layer."""
    net = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("fc1", "fc11", "fc2")})
    scores = {name: torch.full((2, 2), float(i)) for i, name in enumerate(reversed(list(full_mask(net))))}
    mask = keep_top(scores, 0.5, within=full_mask(net), scope="layer")
    assert list(mask) == ["fc1.weight", "fc11.weight", "fc2.weight"]


def test_full_masks_follow_the_weights_memory_format() -> None:
    net = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    assert full_mask(net)["weight"].stride() == net.weight.stride()
    assert full_mask(net).density == 1.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.floats(0.05, 0.95), st.integers(0, 9))
def test_shuffling_changes_places_and_no_count(sizes: list[int], density: float, seed: int) -> None:
    """Trap 8, down to tensors of two weights, whose permutation is the identity half of the time."""
    rng = torch.Generator().manual_seed(seed)
    mask = Mask({f"a.{i}": torch.rand(size, 2, generator=rng) < density for i, size in enumerate(sizes)})
    movable = [name for name in mask if 0 < mask.kept_in(name) < mask[name].numel()]
    if not movable:
        with pytest.raises(TicketError, match="cannot change this mask"):
            shuffled(mask, seed)
        return
    other = shuffled(mask, seed)
    assert other.densities == mask.densities
    assert all(not torch.equal(other[name], mask[name]) for name in movable)
    assert other.distance(shuffled(mask, seed)) == 0


def test_shuffling_keeps_inside_tensors_and_memory_formats() -> None:
    kept = torch.rand(6, 5, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    plain, last = Mask({"a": kept}), Mask({"a": kept.to(memory_format=torch.channels_last)})
    assert torch.equal(shuffled(plain, 3)["a"], shuffled(last, 3)["a"])
    assert shuffled(last, 3)["a"].stride() == last["a"].stride()
    assert shuffled(plain, 3).distance(shuffled(plain, 4)) > 0.3


def test_shuffling_a_full_mask_is_refused() -> None:
    with pytest.raises(TicketError, match="full or empty"):
        shuffled(Mask({"a": bools("###"), "b": bools("..")}), 0)


def test_erk_by_hand() -> None:
    """Sizes 4 and 64, sums 4 and 16: at 0.25 of 68, 17 = c (4 + 16), so c = 0.85 times sum / size."""
    shapes = {"small": (2, 2), "large": (8, 8)}
    assert erk(shapes, 0.25) == pytest.approx({"small": 0.85, "large": 0.85 * 16 / 64})


def test_erk_keeps_what_would_pass_one_whole_and_shares_the_rest() -> None:
    """At 0.5 of 68, c = 1.7 would keep 170 % of the small one: it stays whole, and 30 of 64 are left."""
    shapes = {"small": (2, 2), "large": (8, 8)}
    assert erk(shapes, 0.5) == pytest.approx({"small": 1.0, "large": 30 / 64})


def test_erk_counts_kernel_sides() -> None:
    """(8 + 4 + 3 + 3) / 288 against (8 + 8) / 64: a fourth of the density. (Evci et al., 2020)"""
    found = erk({"conv": (8, 4, 3, 3), "linear": (8, 8)}, 0.1)
    assert found["linear"] / found["conv"] == pytest.approx((16 / 64) / (18 / 288))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4), min_size=1, max_size=6),
    st.floats(0.001, 1.0),
)
def test_random_densities_add_up(shapes: list[list[int]], density: float) -> None:
    named = {f"a.{i}": tuple(shape) for i, shape in enumerate(shapes)}
    sizes = {name: torch.Size(shape).numel() for name, shape in named.items()}
    for spread in (erk, uniform):
        found = spread(named, density)
        assert list(found) == list(named)
        assert all(0 < value <= 1 for value in found.values())
        total = sum(found[name] * sizes[name] for name in named)
        assert total == pytest.approx(density * sum(sizes.values()))


def test_densities_take_masks_and_feed_keep_top() -> None:
    net = make_gan()
    mask = full_mask(net)
    found = erk(mask, 0.5)
    rng = torch.Generator().manual_seed(0)
    random = keep_top({n: torch.rand(m.shape, generator=rng) for n, m in mask.items()}, found, within=mask)
    assert random.kept == pytest.approx(0.5 * mask.total, abs=len(mask) / 2)
    assert all(value == 0.3 for value in uniform(mask, 0.3).values())


@pytest.mark.parametrize("density", [0.0, -1.0, 1.1, float("nan")])
def test_impossible_densities_are_refused(density: float) -> None:
    for spread in (erk, uniform):
        with pytest.raises(TicketError, match="above 0 and at most 1"):
            spread({"a": (2, 2)}, density)
