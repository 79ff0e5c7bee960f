"""`hold` in other people's loops: what is added, replaced, loaded or copied is masked before it is used."""

from __future__ import annotations

import copy
import gc
import io
import socket
from collections.abc import Callable, Iterator

import masked_training
import pytest
import torch
from helpers import make_task
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import optimizer as of_all
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.hooks import RemovableHandle

from gentickets.channels.group import twin
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.export.plain import plain
from gentickets.masks import Magnitudes, Mask, full_mask, hold, keep_top, plain_name, prunable, stepping, unhold
from gentickets.masks.held import holds_on


class Net(nn.Module):
    """An autoencoder of two parts, which can be called by themselves."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 4))
            self.decoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 8))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.decoder(self.encoder(x))
        return y


def half_of(module: nn.Module) -> Mask:
    return keep_top(Magnitudes(prunable(module)), 0.5, within=full_mask(module), scope="layer")


def alive(module: nn.Module, mask: Mask) -> int:
    """Pruned weights that are not zero, by the names of the module as it is now."""
    named = {plain_name(name): value for name, value in module.named_parameters(remove_duplicate=False)}
    return sum(int((named[name][~kept] != 0).sum()) for name, kept in mask.items())


def step(net: nn.Module, optimizer: Optimizer, seed: int = 0) -> None:
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    (net(x) - x).square().sum().backward()
    optimizer.step()


def fused(net: nn.Module) -> Optimizer:
    """Steps that autograd does not count."""
    return torch.optim.Adam(net.parameters(), lr=0.01, fused=True)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    for held in list(stepping._LIVE):
        stepping.leave(held)


def watch(net: nn.Module, mask: Mask) -> list[int]:
    """How many pruned weights are alive when the decoder computes; its hook comes after those of `hold`."""
    seen: list[int] = []
    net.decoder.register_forward_hook(lambda *_: seen.append(alive(net, mask)))
    return seen


def test_parameters_added_to_the_optimizer_are_masked_after_its_steps() -> None:
    net = Net()
    mask = half_of(net)
    optimizer = torch.optim.Adam(net.encoder.parameters(), fused=True)
    handle = hold(mask, net, optimizer)
    optimizer.add_param_group({"params": list(net.decoder.parameters())})
    for i in range(3):
        step(net, optimizer, i)
        assert alive(net, mask) == handle.check() == 0


def new_layer(net: Net) -> None:
    net.encoder[2] = nn.Linear(6, 4)


def new_part(net: Net) -> None:
    net.decoder = Net(seed=3).decoder


def new_parameter(net: Net) -> None:
    net.encoder[0].weight = nn.Parameter(torch.ones(6, 8))


def registered(net: Net) -> None:
    net.encoder[0].register_parameter("weight", nn.Parameter(torch.ones(6, 8)))


def loaded(net: Net) -> None:
    net.load_state_dict(Net(seed=1).state_dict())


def assigned(net: Net) -> None:
    net.load_state_dict(Net(seed=1).state_dict(), assign=True)


def part_loaded(net: Net) -> None:
    net.decoder.load_state_dict(Net(seed=1).decoder.state_dict(), assign=True)


def filled(net: Net) -> None:
    with torch.no_grad():
        net.decoder[0].weight.fill_(1.0)


def given_data(net: Net) -> None:
    for parameter in net.parameters():
        parameter.data = torch.ones_like(parameter)


def written_to_data(net: Net) -> None:
    for parameter in net.parameters():
        parameter.data.copy_(torch.ones_like(parameter))


def from_a_vector(net: Net) -> None:
    nn.utils.vector_to_parameters(torch.ones(sum(p.numel() for p in net.parameters())), net.parameters())


CHANGES = [
    new_layer, new_part, new_parameter, registered, loaded, assigned, part_loaded, filled, given_data, written_to_data,
    from_a_vector,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_replaced_or_loaded_is_masked_before_the_next_forward_pass(change: Callable[[Net], None]) -> None:
    net = Net()
    mask = half_of(net)
    optimizer = fused(net)
    handle = hold(mask, net, optimizer)
    seen = watch(net, mask)
    step(net, optimizer)
    change(net)
    if net.decoder._forward_hooks == {}:
        seen = watch(net, mask)
    if change not in (loaded, assigned, part_loaded):
        assert alive(net, mask) > 0, "the control: the change brings them back"
    net(torch.randn(2, 8))
    assert set(seen) == {0}
    assert handle.check() == 0
    for optimizer in (fused(net), torch.optim.SGD(net.parameters(), lr=0.1)):  # a new one, of which nobody was told
        for i in range(3):
            step(net, optimizer, i)
            assert alive(net, mask) == 0
    assert set(seen) == {0}


@pytest.mark.parametrize("change", [loaded, assigned, part_loaded])
def test_what_is_loaded_is_masked_at_once(change: Callable[[Net], None]) -> None:
    net = Net()
    mask = half_of(net)
    hold(mask, net, fused(net))
    change(net)
    assert alive(net, mask) == 0


@pytest.mark.parametrize("change", [loaded, new_layer, written_to_data])
def test_a_part_that_is_called_by_itself_is_masked(change: Callable[[Net], None]) -> None:
    net = Net()
    mask = half_of(net)
    hold(mask, net, fused(net))
    change(net)
    net.encoder(torch.randn(2, 8))
    net.decoder(torch.randn(2, 4))
    assert alive(net, mask) == 0


@pytest.mark.parametrize("build", [fused, lambda net: torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)])
def test_copies_are_held_by_themselves(build: Callable[[nn.Module], Optimizer]) -> None:
    net = Net()
    mask = half_of(net)
    optimizer = build(net)
    handle = hold(mask, net, optimizer)
    step(net, optimizer)
    pairs = [copy.deepcopy((net, optimizer)) for _ in range(2)]
    stored = io.BytesIO()
    torch.save(net, stored)
    stored.seek(0)
    back = torch.load(stored, weights_only=False)
    pairs.append((back, build(back)))
    before = [weight.detach().clone() for weight in net.parameters()]
    for other, theirs in pairs:
        for i in range(3):
            step(other, theirs, i)
            assert alive(other, mask) == 0
        loaded(other)
        other(torch.randn(2, 8))
        assert alive(other, mask) == 0
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    handle.remove()
    step(net, optimizer)
    assert alive(net, mask) > 0
    other, theirs = pairs[0]
    step(other, theirs)
    assert alive(other, mask) == 0, "a copy is its own"
    unhold(other)
    step(other, theirs)
    assert alive(other, mask) > 0


def test_a_copy_of_a_part_is_held_and_nothing_else_is_copied_along() -> None:
    net = Net()
    mask = half_of(net)
    hold(mask, net, fused(net))
    decoder = copy.deepcopy(net.decoder)
    optimizer = torch.optim.Adam(decoder.parameters(), fused=True)
    for _ in range(2):
        optimizer.zero_grad()
        decoder(torch.randn(3, 4)).square().sum().backward()
        optimizer.step()
        pruned = {name.removeprefix("decoder."): ~kept for name, kept in mask.items() if name.startswith("decoder")}
        assert not any(decoder.get_parameter(name)[where].any() for name, where in pruned.items())
    (hook,) = holds_on(decoder)
    assert hook.held.root is decoder
    assert set(hook.held.places) == {"0.weight", "2.weight"}


@pytest.mark.parametrize("network", ["tied", "shared"])
def test_tied_weights_are_held_under_each_name_in_copies_too(network: str) -> None:
    """A deep copy parts a weight from its transpose; both are held then."""
    net = masked_training.NETWORKS[network]()
    mask = half_of(net)
    hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    last = list(net.children())[-1]  # trained alone, it trains the memory of both
    single = hold(mask, net, torch.optim.SGD(last.parameters(), lr=0.1))
    x = torch.randn(4, 16)
    net(x).sum().backward()
    torch.optim.Adam(last.parameters(), fused=True).step()
    assert single.check() == 0
    other = copy.deepcopy(net)
    optimizer = torch.optim.Adam(other.parameters(), fused=True)
    for _ in range(2):
        other(x).square().sum().backward()
        optimizer.step()
        for layer in other.children():
            assert int((layer.weight == 0).sum()) == mask.total - mask.kept


def test_copies_that_gentickets_makes_are_free(batches: Batches) -> None:
    task = make_task("ae-conv")
    hold(full_mask(task), task, torch.optim.SGD(task.parameters(), lr=0.1))
    for other in (plain(task), twin(task)):
        assert not any(holds_on(part) for part in other.modules())
        other.encoder(batches.first(1)[0])
    assert holds_on(task)


def test_averages_are_masked_too() -> None:
    net = Net()
    mask = half_of(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    averages = [AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9)), AveragedModel(net), copy.deepcopy(net)]
    for average in averages[:2]:
        step(net, optimizer)
        average.update_parameters(net)
    handle = hold(mask, net, optimizer, averages=averages)
    for i in range(3):
        step(net, optimizer, i)
        for average in averages[:2]:
            average.update_parameters(net)
        with torch.no_grad():
            for ours, theirs in zip(averages[2].parameters(), net.parameters(), strict=True):
                ours.lerp_(theirs, 0.1)
        assert [alive(average, mask) for average in averages] == [0, 0, 0]
    later = AveragedModel(net)
    later.load_state_dict(AveragedModel(Net(seed=2)).state_dict())
    later(torch.randn(2, 8))
    assert alive(later, mask) == 0
    with torch.no_grad():
        averages[2].encoder[0].weight.fill_(1.0)
    assert alive(averages[2], mask) == int((~mask["encoder.0.weight"]).sum()) > 0
    assert handle.check() == alive(averages[2], mask)
    averages[2](torch.randn(2, 8))
    assert handle.check() == 0
    handle.remove()
    assert not any(holds_on(part) for one in (net, averages[2]) for part in one.modules())


def test_averages_of_other_kinds_are_refused_before_anything_changes() -> None:
    net = Net()
    mask = half_of(net)
    before = copy.deepcopy(net.state_dict())
    for average, why in (({}, "averages are modules"), (nn.Linear(3, 3), "no parameter 'encoder.0.weight'")):
        with pytest.raises(TicketError, match=why):
            hold(mask, net, fused(net), averages=[average])
    with pytest.raises(TicketError, match=r"an optimizer of torch\.optim's kind, not list") as caught:
        hold(mask, net, [])  # type: ignore[arg-type]
    assert caught.value.status == Status.TICKET
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(holds_on(part) for part in net.modules())


def test_check_counts_what_is_alive_and_a_number_that_is_none() -> None:
    net = Net()
    mask = half_of(net)
    handle = hold(mask, net, fused(net))
    (row, column), *_ = torch.nonzero(~mask["decoder.2.weight"]).tolist()
    with torch.no_grad():
        net.decoder[2].weight[row, column] = float("nan")
        net.encoder[0].weight[~mask["encoder.0.weight"]] = 1e-30
        net.encoder[2].weight[mask["encoder.2.weight"]] = float("nan")
    assert handle.check() == 1 + 24


def test_the_handle_is_one_of_pytorchs_and_lets_go_of_everything() -> None:
    net = Net()
    mask = half_of(net)
    optimizer = torch.optim.LBFGS(net.parameters())
    tables = of_all._global_optimizer_pre_hooks, of_all._global_optimizer_post_hooks
    assert [len(table) for table in tables] == [0, 0]
    with hold(mask, net, optimizer) as handle:
        assert isinstance(handle, RemovableHandle)
        assert [len(table) for table in tables] == [1, 1]
    handle.remove()
    assert [len(table) for table in tables] == [0, 0]
    assert not optimizer._optimizer_step_post_hooks
    assert not any(part._forward_pre_hooks or part._load_state_dict_post_hooks for part in net.modules())
    net(torch.randn(2, 8)).sum().backward()
    gradients = {name: weight.grad for name, weight in prunable(net).items()}
    assert all(bool(gradients[name][~kept].any()) for name, kept in mask.items())


@pytest.mark.parametrize("build", [fused, lambda net: torch.optim.Adafactor(net.parameters())])
def test_what_is_forgotten_is_told_of_no_step(build: Callable[[nn.Module], Optimizer]) -> None:
    net = Net()
    optimizer = build(net)
    hold(half_of(net), net, optimizer)
    step(net, optimizer)
    assert len(of_all._global_optimizer_post_hooks) == 1
    del net, optimizer
    gc.collect()
    assert not list(stepping._LIVE)


def test_two_optimizers_share_what_is_held_and_let_go_of_their_own() -> None:
    net = Net()
    mask = half_of(net)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (net.encoder, net.decoder)]
    handles = [hold(mask, net, optimizer) for optimizer in optimizers]
    assert len(holds_on(net)) == 1
    versions = [weight._version for weight in net.decoder.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizers[0].step()
    net(torch.randn(2, 8))
    assert [weight._version for weight in net.decoder.parameters()] == versions
    handles[0].remove()
    optimizers[0].step()
    optimizers[1].step()
    net(torch.randn(2, 8))
    pruned = {name: net.get_parameter(name)[~kept] for name, kept in mask.items()}
    assert {name: bool(weights.any()) for name, weights in pruned.items()} == {
        "encoder.0.weight": True, "encoder.2.weight": True, "decoder.0.weight": False, "decoder.2.weight": False,
    }  # fmt: skip
    handles[1].remove()
    assert not any(holds_on(part) for part in net.modules())


def test_graphs_that_wait_for_their_backward_pass_stay_valid() -> None:
    """Forward passes in between write to no weight that nobody has changed."""
    net = Net()
    mask = half_of(net)
    hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    first = net(torch.randn(2, 8)).sum()
    second = net.decoder(torch.randn(2, 4)).sum()
    first.backward()
    with torch.no_grad():
        net(torch.randn(2, 8))
    net(torch.randn(2, 8)).sum().backward()
    second.backward()


def test_weights_that_are_lent_for_a_call_are_left_alone() -> None:
    net = Net()
    mask = half_of(net)
    hold(mask, net, fused(net))
    own = {name: torch.ones_like(value).requires_grad_() for name, value in net.named_parameters()}
    torch.func.functional_call(net, own, (torch.randn(2, 8),)).sum().backward()
    assert all(bool((value == 1).all()) for value in own.values())
    torch.func.grad(lambda own: torch.func.functional_call(net, own, (torch.ones(2, 8),)).sum())(dict(own))
    assert alive(net, mask) == 0


def test_a_weight_that_is_gone_is_named() -> None:
    net = Net()
    mask = half_of(net)
    optimizer = fused(net)
    hold(mask, net, optimizer)
    net.decoder[0] = nn.Linear(4, 7)
    with pytest.raises(TicketError, match=r"has another shape, \(7, 4\), of 'decoder\.0\.weight'"):
        net(torch.randn(2, 8))
    net.decoder[0] = nn.Identity()
    with pytest.raises(TicketError, match=r"no longer has 'decoder\.0\.weight', which a mask holds: call remove\(\)"):
        net.decoder(torch.randn(2, 4))
    net.decoder[0] = nn.Linear(4, 6)
    net(torch.randn(2, 8))
    assert alive(net, mask) == 0


def test_compiled_modules_are_held() -> None:
    """With one break in the graph, at the beginning; the wrapped module has its hook outside of the graph."""
    for wrap_first in (False, True):
        torch._dynamo.reset()
        net = Net()
        mask = half_of(net)
        compiled = torch.compile(net, backend="eager", fullgraph=wrap_first)
        optimizer = fused(net)
        hold(mask, compiled if wrap_first else net, optimizer)
        for i in range(2):
            step(compiled, optimizer, i)
            assert alive(net, mask) == 0
        seen = [alive(net, mask)]
        filled(net)
        compiled(torch.randn(16, 8))
        seen.append(alive(net, mask))
        net.load_state_dict(Net(seed=2).state_dict(), assign=True)
        assert seen == [0, 0]
        compiled(torch.randn(16, 8))
        assert alive(net, mask) == 0
    torch._dynamo.reset()


class Wrapper:
    """A wrapper that is no optimizer, as Lightning's."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def step(self) -> None:
        self._optimizer.step()


def test_wrapped_optimizers_are_held() -> None:
    net = Net()
    mask = half_of(net)
    wrapper = Wrapper(fused(net))
    handle = hold(mask, net, wrapper)  # type: ignore[arg-type]
    step(net, wrapper)  # type: ignore[arg-type]
    assert alive(net, mask) == 0
    handle.remove()


class Lookahead(Wrapper):
    """Goes back to weights of its own, dense ones, after the optimizer inside has told of its step."""

    def __init__(self, net: Net, inside: Optimizer) -> None:
        super().__init__(inside)
        self.slow = [(weight, weight.detach().clone()) for weight in net.parameters()]

    @torch.no_grad()
    def step(self) -> None:
        super().step()
        for weight, slow in self.slow:
            weight.copy_(slow.lerp_(weight, 0.5))


def test_a_state_is_taken_masked_whatever_a_wrapper_does_after_its_steps() -> None:
    net = Net()
    wrapper = Lookahead(net, fused(net))
    mask = half_of(net)
    handle = hold(mask, net, wrapper)  # type: ignore[arg-type]
    step(net, wrapper)  # type: ignore[arg-type]
    assert handle.check() > 0, "nobody was told of what came after the step"
    state = net.state_dict()
    assert not any(state[name][~kept].any() for name, kept in mask.items())
    assert handle.check() == 0
    handle.remove()
    assert not any(part._state_dict_pre_hooks for part in net.modules())


def test_accelerates_optimizer_is_held() -> None:
    accelerate = pytest.importorskip("accelerate")
    net = Net()
    mask = half_of(net)
    accelerator = accelerate.Accelerator(cpu=True)
    net, optimizer = accelerator.prepare(net, fused(net))
    hold(mask, net, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        accelerator.backward(net(torch.randn(4, 8)).square().sum())
        optimizer.step()
        assert alive(net, mask) == 0


def test_scaled_gradients_are_held() -> None:
    net = Net()
    mask = half_of(net)
    scaler, optimizer = torch.amp.GradScaler("cpu"), torch.optim.Adam(net.parameters())
    hold(mask, net, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(net(torch.randn(4, 8)).square().sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert alive(net, mask) == 0


def test_sharded_parameters_are_held() -> None:
    """FSDP2 on one process: parameters are DTensors, and gathered for the forward pass."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    try:
        mask = half_of(Net())
        for build in (torch.optim.Adam, masked_training.Whole):
            net, plain = Net(), Net()
            fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
            optimizers = build(net.parameters(), lr=0.01), build(plain.parameters(), lr=0.01)
            handle = hold(mask, net, optimizers[0])
            hold(mask, plain, optimizers[1])
            for i in range(3):
                step(net, optimizers[0], i)
                step(plain, optimizers[1], i)
                assert handle.check() == 0
            for name, value in net.named_parameters():
                assert torch.allclose(value.full_tensor(), plain.get_parameter(name), atol=1e-6)
            net(torch.randn(2, 8))
            with torch.no_grad():
                next(net.parameters()).fill_(1.0)
            net(torch.randn(2, 8))
            assert handle.check() == 0
    finally:
        distributed.destroy_process_group()


def test_held_networks_train_as_with_masked_gradients() -> None:
    """All optimizers of this PyTorch and a few kinds of other people's; the short form of the benchmark."""
    tried = list(masked_training.examples(0, 25))
    assert [name + ": " + why for name, ok, why in tried if not ok] == []


@pytest.mark.parametrize("name", sorted(masked_training.optimizers()))
@pytest.mark.parametrize("network", ["linear", "conv", "shared", "tied"])
def test_every_optimizer_trains_every_network_as_with_masked_gradients(name: str, network: str) -> None:
    if (name == "Muon" and network == "conv") or (name.startswith("LBFGS") and network == "tied"):
        pytest.skip("it cannot train this network")
    torch.manual_seed(0)
    net = masked_training.NETWORKS[network]()
    rng = torch.Generator().manual_seed(1)
    mask, inputs = masked_training.random_mask(net, rng), torch.randn(3, 8, 16, generator=rng)
    assert masked_training.compare(net, masked_training.optimizers()[name], mask, inputs) == ""


@pytest.mark.parametrize("name", ["Muon", "Adafactor", "LBFGS", "SAM", "by norms"])
def test_the_comparison_would_see_gradients_that_are_not_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "elementwise", lambda optimizer: True)
    net = masked_training.NETWORKS["linear"]()
    rng = torch.Generator().manual_seed(1)
    mask, inputs = masked_training.random_mask(net, rng), torch.randn(3, 8, 16, generator=rng)
    assert masked_training.compare(net, masked_training.optimizers()[name], mask, inputs) != ""


def test_networks_that_are_held_and_dropped_do_not_pile_up() -> None:
    """Every optimizer's step asks all that are held; those in cycles stay until somebody collects them."""
    optimizer_of = torch.optim.Adam
    gc.disable()
    try:
        for _ in range(4 * stepping.MANY):
            net = nn.Linear(4, 3)
            optimizer = optimizer_of(net.parameters())
            hold(full_mask(net), net, optimizer)
            net(torch.ones(2, 4)).sum().backward()
            optimizer.step()
    finally:
        gc.enable()
    assert len(stepping._LIVE) <= 2 * stepping.MANY
