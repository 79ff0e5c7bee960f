"""Masks hold in anybody's training loop, and cross to torch.nn.utils.prune and plain state dicts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from gentickets.errors import Status, TicketError
from gentickets.masks import (
    Hold,
    Magnitudes,
    Mask,
    apply_mask,
    from_torch_prune,
    full_mask,
    hold,
    keep_top,
    masked_state_dict,
    prunable,
)


def make_net(seed: int = 0) -> nn.Sequential:
    """Two linear layers and a convolution with batch norm, 1x8x8 images to 4 numbers."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(216, 12),
            nn.Linear(12, 4),
        )


def half_of(module: nn.Module) -> Mask:
    return keep_top(Magnitudes(prunable(module)), 0.5, within=full_mask(module), scope="layer")


def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    optimizer.zero_grad()
    net(torch.randn(8, 1, 8, 8, generator=rng)).square().sum().backward()
    optimizer.step()


def revived(net: nn.Module, mask: Mask) -> int:
    """Pruned weights that are not zero."""
    weights = prunable(net)
    return sum(int((weights[name][~kept] != 0).sum()) for name, kept in mask.items())


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_carried_over_revives_nothing(name: str) -> None:
    """Trap 1: moments from before pruning push on pruned weights; the product takes it back each time."""
    net = make_net()
    optimizer = OPTIMIZERS[name](net.parameters())
    for i in range(5):
        step(net, optimizer, i)
    mask = half_of(net)
    hold(mask, net, optimizer)
    for i in range(5):
        step(net, optimizer, i)
        assert revived(net, mask) == 0


def test_masking_gradients_alone_would_revive() -> None:
    """Trap 1's control: the test above would see it."""
    net = make_net()
    optimizer = OPTIMIZERS["adam"](net.parameters())
    for i in range(5):
        step(net, optimizer, i)
    mask = half_of(net)
    apply_mask(mask, dict(net.named_parameters()))
    for name, weight in prunable(net).items():
        weight.register_hook(lambda gradient, kept=mask[name]: gradient * kept)
    step(net, optimizer, 5)
    assert revived(net, mask) == sum(int((~kept).sum()) for kept in mask.values())


def test_the_first_forward_is_masked() -> None:
    """Trap 2."""
    net = make_net()
    mask = half_of(net)
    seen: list[int] = []
    net.register_forward_pre_hook(lambda *_: seen.append(revived(net, mask)))
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    hold(mask, net, optimizer)
    step(net, optimizer, 0)
    assert seen == [0]


def test_three_lines_in_a_users_loop() -> None:
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters())

    weights = prunable(net)
    mask = keep_top(Magnitudes(weights), 0.2, within=full_mask(net))
    hold(mask, net, optimizer)

    for i in range(3):
        step(net, optimizer, i)
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    assert zeros == mask.total - mask.kept
    assert mask.density == pytest.approx(0.2, abs=0.001)


def test_what_is_kept_trains_as_without_a_hold() -> None:
    net, free = make_net(), make_net()
    mask = full_mask(net)
    optimizers = [OPTIMIZERS["adam"](module.parameters()) for module in (net, free)]
    hold(mask, net, optimizers[0])
    for i in range(3):
        step(net, optimizers[0], i)
        step(free, optimizers[1], i)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), free.parameters(), strict=True))


def test_removing_the_handle_lets_go() -> None:
    net = make_net()
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    mask = half_of(net)
    hold(mask, net, optimizer).remove()
    assert revived(net, mask) == 0
    step(net, optimizer, 0)
    assert revived(net, mask) > 0


def test_each_hook_touches_its_own_optimizers_weights_only() -> None:
    """Touching another player's weights would break a graph that is kept between two turns."""
    net = nn.ModuleDict({"generator": nn.Linear(4, 4), "discriminator": nn.Linear(4, 4)})
    mask = half_of(net)
    players = {name: torch.optim.SGD(part.parameters(), lr=0.1) for name, part in net.items()}
    for optimizer in players.values():
        hold(mask, net, optimizer)
    other = net["generator"].weight
    assert isinstance(other, Tensor)
    before = other._version
    for parameter in net["discriminator"].parameters():
        parameter.grad = torch.ones_like(parameter)
    players["discriminator"].step()
    assert other._version == before
    assert revived(net, mask) == 0


def test_frozen_weights_are_masked_at_once() -> None:
    net = make_net()
    net[4].requires_grad_(False)
    mask = half_of(net)
    hold(mask, net, OPTIMIZERS["sgd"]([p for p in net.parameters() if p.requires_grad]))
    assert revived(net, mask) == 0


def test_divergence_stays_visible() -> None:
    """A product keeps NaN, even where the mask prunes."""
    weight = nn.Parameter(torch.tensor([1.0, float("nan"), -3.0]))
    mask = Mask({"w": torch.tensor([True, False, False])})
    Hold(mask, {"w": weight}).apply()
    assert weight.tolist()[0] == 1.0
    assert weight.isnan().tolist() == [False, True, False]
    assert weight[2] == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_mask_is_applied_once_in_place(dtype: torch.dtype) -> None:
    """Autograd notices, although the product is not made by torch; NaN stays visible."""
    net = make_net().to(dtype).to(memory_format=torch.channels_last)
    mask = half_of(make_net())
    weights = prunable(net)
    before = {name: (weight.data_ptr(), weight._version) for name, weight in weights.items()}
    with torch.no_grad():
        weights["4.weight"][~mask["4.weight"]] = float("nan")
    apply_mask(mask, weights)
    for name, weight in weights.items():
        assert weight.data_ptr() == before[name][0]
        assert weight._version > before[name][1]
    assert torch.equal(weights["0.weight"] != 0, mask["0.weight"])
    assert torch.equal(weights["4.weight"].isnan(), ~mask["4.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_masks_follow_dtype_and_memory_format(dtype: torch.dtype) -> None:
    net = make_net().to(dtype)
    net.to(memory_format=torch.channels_last)
    mask = half_of(make_net())
    held = Hold(mask, dict(net.named_parameters()))
    assert [m.dtype for m in held._masks] == [dtype] * 3
    assert [m.stride() for m in held._masks] == [w.stride() for w in held._weights]
    held.apply()
    assert revived(net, mask) == 0
    assert all(torch.equal(prunable(net)[name] != 0, kept) for name, kept in mask.items())


def test_names_lose_their_wrappers() -> None:
    """Trap 7."""
    net = make_net()
    mask = half_of(net)
    for wrapped in (nn.DataParallel(net), torch.compile(net), torch.compile(nn.DataParallel(net))):
        assert isinstance(wrapped, nn.Module)
        assert set(full_mask(wrapped)) == set(mask)
        assert set(Hold(mask, dict(wrapped.named_parameters())).names) == set(mask)
        with torch.no_grad():
            net[4].weight.fill_(1.0)
        hold(mask, wrapped, OPTIMIZERS["sgd"](wrapped.parameters()))
        assert revived(net, mask) == 0
        assert set(masked_state_dict(wrapped, mask)) == set(net.state_dict())


@pytest.mark.parametrize("api", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_is_masked_before_normalization(api: object) -> None:
    """Trap 11: the raw tensor is held at zero, so the weight is zero there and its norm still 1."""
    assert callable(api)
    net = nn.Sequential(api(nn.Linear(20, 30)), nn.ReLU(), api(nn.Linear(30, 4)))
    mask = half_of(net)
    optimizer = OPTIMIZERS["adam"](net.parameters())
    hold(mask, net, optimizer)
    for _ in range(50):
        optimizer.zero_grad()
        net(torch.randn(16, 20)).square().sum().backward()
        optimizer.step()
        net(torch.randn(16, 20))
    assert revived(net, mask) == 0
    for layer, kept in zip((net[0], net[2]), mask.values(), strict=True):
        assert not layer.weight[~kept].any()
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.15)


def test_tied_weights_are_held_under_either_name() -> None:
    """Trap 6: an embedding tied to the output layer is listed under its own name by PyTorch."""
    net = nn.Module()
    net.embed, net.out = nn.Embedding(10, 6), nn.Linear(6, 10)
    net.out.weight = net.embed.weight
    mask = half_of(net)
    assert list(mask) == ["out.weight"]
    assert "out.weight" not in dict(net.named_parameters())
    hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert not net.embed.weight[~mask["out.weight"]].any()


def test_misfits_are_named() -> None:
    net = make_net()
    optimizer = OPTIMIZERS["sgd"](net.parameters())
    before = copy.deepcopy(net.state_dict())
    mask = half_of(net)
    with pytest.raises(TicketError, match=r"'4\.weigth'.*Did you mean '4\.weight'") as caught:
        hold(Mask({"4.weigth": mask["4.weight"]}), net, optimizer)
    assert caught.value.status == Status.TICKET
    with pytest.raises(TicketError, match=r"'4\.weight' has shape \(12, 216\), its mask \(12, 215\)"):
        hold(Mask({"4.weight": mask["4.weight"][:, 1:]}), net, optimizer)
    with pytest.raises(TicketError, match="trains none of the masked weights"):
        hold(mask, net, OPTIMIZERS["sgd"](make_net().parameters()))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_mask_comes_in_from_torch_prune() -> None:
    net = make_net()
    prune.l1_unstructured(net[0], "weight", 0.3)
    prune.random_unstructured(net[4], "weight", 0.7)
    with torch.no_grad():
        net[5].weight[0] = 0.0
    mask = from_torch_prune(nn.DataParallel(net))
    assert list(mask) == ["0.weight", "4.weight", "5.weight"]
    assert torch.equal(mask["0.weight"], net[0].weight_mask.bool())
    assert torch.equal(mask["4.weight"], net[4].weight_mask.bool())
    assert mask["5.weight"].all()  # trap 5: zeros are not pruned


def test_torch_prune_global_pruning_agrees_with_ours() -> None:
    net = make_net()
    expected = keep_top(Magnitudes(prunable(net)), 0.4, within=full_mask(net), scope="global")
    layers = [(net[i], "weight") for i in (0, 4, 5)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=expected.total - expected.kept)
    assert from_torch_prune(net).distance(expected) == 0


def test_prune_masks_that_cannot_be_held_are_refused() -> None:
    net = make_net()
    with pytest.raises(TicketError, match=r"prune\.remove"):
        from_torch_prune(net)
    prune.l1_unstructured(net[4], "weight", 0.5)
    prune.l1_unstructured(net[4], "bias", 0.5)
    with pytest.raises(TicketError, match=r"'4\.bias'"):
        from_torch_prune(net)


def test_spectral_norms_raw_weight_is_no_prune_mask() -> None:
    """The old spectral norm also calls its parameter weight_orig; its name must stay."""
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    prune.l1_unstructured(net[1], "weight", 0.5)
    assert list(from_torch_prune(net)) == ["0.weight_orig", "1.weight"]


def test_a_plain_masked_state_dict_goes_out() -> None:
    net = make_net()
    mask = half_of(net)
    with torch.no_grad():
        net[4].weight[~mask["4.weight"]] = float("nan")
    plain = masked_state_dict(net, mask)
    fresh = make_net(1)
    fresh.load_state_dict(plain, strict=True)
    for name, kept in mask.items():
        assert torch.equal(plain[name][kept], net.state_dict()[name][kept])
        assert not plain[name][~kept].any()
        assert not plain[name][~kept].signbit().any()  # +0.0, never -0.0
    plain["0.bias"].fill_(7.0)
    assert not (net[0].bias == 7).any()


def test_a_state_dict_leaves_torch_prune_behind() -> None:
    """prune's own mask and ours both apply, whichever name ours has."""
    net = make_net()
    prune.random_unstructured(net[4], "weight", 0.3)
    ours = keep_top(Magnitudes(prunable(net)), 0.5, within=full_mask(net), scope="layer")
    assert "4.weight_orig" in ours
    for mask in (ours, Mask({name.removesuffix("_orig"): kept for name, kept in ours.items()})):
        plain = masked_state_dict(net, mask)
        make_net(1).load_state_dict(plain, strict=True)
        kept = ours["4.weight_orig"] & net[4].weight_mask.bool()
        assert torch.equal(plain["4.weight"], torch.where(kept, net[4].weight_orig.detach(), 0.0))


def test_tied_weights_go_out_masked_under_each_name() -> None:
    """Trap 6: also where one is a transposed view of the other."""
    net = nn.Module()
    net.down, net.up = nn.Linear(6, 4, bias=False), nn.Linear(4, 6, bias=False)
    net.up.weight = nn.Parameter(net.down.weight.detach().t())
    mask = half_of(net)
    assert list(mask) == ["down.weight"]
    plain = masked_state_dict(net, mask)
    assert torch.equal(plain["up.weight"], plain["down.weight"].t())
    assert int((plain["up.weight"] == 0).sum()) == 12


def test_a_state_dict_names_what_does_not_fit() -> None:
    net = make_net()
    with pytest.raises(TicketError, match=r"'5\.wait'.*Did you mean '5\.weight'"):
        masked_state_dict(net, Mask({"5.wait": torch.ones(4, 12, dtype=torch.bool)}))
    with pytest.raises(TicketError, match=r"shape \(4, 12\), its mask \(12, 4\)"):
        masked_state_dict(net, Mask({"5.weight": torch.ones(12, 4, dtype=torch.bool)}))
