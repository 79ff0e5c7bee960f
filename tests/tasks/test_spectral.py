"""Spectral norm: an effective weight's largest singular value stays 1, pruned, rewound and loaded (Trap 11)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import STEPS, make_task, make_training
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from gentickets.data import Batches
from gentickets.masks import Mask, apply_mask, full_mask, hold, keep_top, prunable
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.search import first_ticket, next_ticket
from gentickets.spectral import first_vectors, settle
from gentickets.tickets import Origin, Ticket, copied, load_weights, state_of
from gentickets.training import grow, train
from gentickets.untouched import modes_kept

Api = Callable[[nn.Module], nn.Module]
APIS: dict[str, Api] = {"old": nn.utils.spectral_norm, "new": parametrizations.spectral_norm}


def critic(api: Api, seed: int = 0) -> nn.Sequential:
    """A critic of every kind of layer under spectral norm, trained a little as far as u and v go."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            api(nn.Conv2d(1, 24, 3)), nn.ReLU(),
            api(nn.ConvTranspose2d(24, 16, 4, 2, 1)), nn.ReLU(),
            nn.Conv2d(16, 8, 3), nn.Flatten(),
            api(nn.Linear(8 * 10 * 10, 40)), nn.ReLU(),
            nn.Linear(40, 1),
        )  # fmt: skip
        for _ in range(20):
            net(torch.randn(2, 1, 8, 8))
    return net


def normed(net: nn.Module) -> dict[str, nn.Module]:
    return {
        name: layer
        for name, layer in net.named_modules()
        if parametrize.is_parametrized(layer) or hasattr(layer, "weight_orig")
    }


def sigmas(net: nn.Module) -> dict[str, float]:
    """The largest singular value of each normalized layer's effective weight, by a true SVD."""
    found = {}
    with modes_kept(net), torch.no_grad():
        net.eval()
        for name, layer in normed(net).items():
            for hook in layer._forward_pre_hooks.values():
                hook(layer, ())  # the old form computes the weight before a forward pass
            outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            matrix = layer.weight.double().movedim(outputs, 0).flatten(1)
            found[name] = torch.linalg.matrix_norm(matrix, 2).item()
    return found


def nine_tenths(net: nn.Module) -> Mask:
    scores = {name: weight.detach().abs() for name, weight in prunable(net).items()}
    return keep_top(scores, 0.1, within=full_mask(net), scope="layer")


def is_settled(net: nn.Module) -> bool:
    return all(abs(sigma - 1) < 0.02 for sigma in sigmas(net).values())


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_sigma_is_one_after_pruning_and_would_not_be(api: Api) -> None:
    net = critic(api)
    assert len(sigmas(net)) == 3
    apply_mask(nine_tenths(net), prunable(net))
    assert max(abs(sigma - 1) for sigma in sigmas(net).values()) > 0.3, "the control: it is off without"
    settle(net)
    assert is_settled(net)


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_holding_settles_once_and_not_after_each_step(api: Api) -> None:
    net = critic(api)
    mask = nine_tenths(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    hold(mask, net, optimizer)
    assert is_settled(net)
    before = copied(net.state_dict())
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_loading_a_ticket_settles(api: Api) -> None:
    """Rewound to other weights than u and v were estimated for, and pruned."""
    early, late = critic(api), critic(api, seed=1)
    mask = nine_tenths(late)
    ticket = Ticket(mask, copied(state_of(early)), Origin("iterative", 0, 1, 0))
    load_weights(late, ticket.masked_weights())
    assert not is_settled(late), "the control: loading alone leaves it off"
    ticket.load_into(late)
    assert is_settled(late)
    for name, kept in mask.items():
        assert not prunable(late)[name][~kept].any(), "it is the raw tensor that is masked"


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_settling_follows_from_the_weights_alone(api: Api) -> None:
    net, other = critic(api), critic(api)
    with torch.no_grad():
        for name, buffer in other.named_buffers():
            buffer.copy_(torch.ones_like(buffer) if name.endswith("u") else buffer)
    before = torch.get_rng_state()
    settle(net)
    settle(other)
    assert torch.equal(torch.get_rng_state(), before)
    one, two = net.state_dict(), other.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    settle(net)
    assert all(torch.equal(net.state_dict()[name], one[name]) for name in one)


def test_settling_changes_only_the_estimates() -> None:
    net = critic(APIS["new"])
    before = copied(net.state_dict())
    net.train()
    settle(net)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{layer}.parametrizations.weight.0._{part}" for layer in normed(net) for part in "uv"}
    plain = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    kept = copied(plain.state_dict())
    settle(plain)
    assert all(torch.equal(value, kept[name]) for name, value in plain.state_dict().items())


@pytest.mark.parametrize("shape", [(64, 64), (8, 500), (300, 20), (1, 30), (30, 1)], ids=str)
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_power_iterations_reach_the_true_norm(shape: tuple[int, int], density: float) -> None:
    rng = torch.Generator().manual_seed(sum(shape))
    for _ in range(5):
        matrix = torch.randn(shape, generator=rng) * (torch.rand(shape, generator=rng) < density)
        matrix[0, 0] = 0.5
        u, v = first_vectors(matrix)
        assert torch.dot(u, matrix @ v).item() == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=0.01)


def test_a_layer_with_nothing_left_does_not_hang() -> None:
    u, v = first_vectors(torch.zeros(5, 4))
    assert not u.any()
    assert not v.any()


def test_other_parametrizations_before_it_are_seen() -> None:
    class LastColumns(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.linspace(0, 1, x.shape[1]).square()

    layer = nn.Linear(30, 20)
    parametrize.register_parametrization(layer, "weight", LastColumns())
    parametrizations.spectral_norm(layer)
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(torch.rand(20, 30) < 0.1)
    settle(layer)
    assert torch.linalg.matrix_norm(layer.eval().weight, 2).item() == pytest.approx(1, abs=0.02)


def test_masks_and_settling_see_through_compiled_and_wrapped_modules() -> None:
    net = critic(APIS["new"])
    mask = nine_tenths(net)
    assert "0.parametrizations.weight.original" in mask
    for wrapped in (torch.compile(net), torch.compile(nn.DataParallel(net))):
        assert isinstance(wrapped, nn.Module)
        assert set(full_mask(wrapped)) == set(mask)
        with torch.no_grad():
            prunable(net)["0.parametrizations.weight.original"].normal_(generator=torch.Generator().manual_seed(0))
        hold(mask, wrapped, torch.optim.SGD(wrapped.parameters(), lr=0.1))
        assert is_settled(net)


def test_a_search_keeps_sigma_at_one(batches: Batches, tmp_path: Path) -> None:
    """A GAN of ours: trained, pruned to 10 %, rewound, written, read, loaded."""
    training = make_training("gan-sngan")
    assert len(normed(training.task)) == 8
    dense = first_ticket(training, batches, rewind_to=3)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.1, scope="component")
    write_ticket(tmp_path / "t", ticket)
    back, _ = read_ticket(tmp_path / "t")
    assert any(name.endswith("_u") for name in back.weights)
    for source in (ticket, back):
        fresh = make_task("gan-sngan", seed=5)
        load_weights(fresh, source.masked_weights())
        assert not is_settled(fresh)
        source.load_into(fresh)
        assert is_settled(fresh)
    training.start(ticket)
    other = make_training("gan-sngan", seed=5)
    other.start(back)
    one, two = state_of(training.task), state_of(other.task)
    assert all(torch.equal(one[name], two[name]) for name in one), "read from disk it starts the same, bit for bit"


def test_a_snapshot_is_loaded_bit_for_bit(batches: Batches) -> None:
    """Resuming is not rewinding: u and v of a snapshot stay as they were."""
    training = make_training("gan-sngan")
    dense = first_ticket(training, batches, rewind_to=3)
    grow(training, dense, batches, seed=0)
    snapshot = training.snapshot(10)
    other = make_training("gan-sngan", seed=5)
    other.load(snapshot)
    assert all(torch.equal(value, snapshot.weights[name]) for name, value in state_of(other.task).items())


def test_averaged_weights_have_a_sigma_of_their_own(batches: Batches) -> None:
    """The averages' sigma is 1 while they are looked at, and the raw weights' u and v come back afterwards."""
    training = make_training("gan-sngan", ema={"discriminator": 0.5})
    train(training, batches, range(STEPS))
    for name in training.ema:
        training.ema[name].add_(torch.randn(training.ema[name].shape, generator=torch.Generator().manual_seed(1)))
    before = copied(state_of(training.task))
    with training.averaged(batches.first(2)) as task:
        assert is_settled(task)
    after = state_of(training.task)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
