"""Rearranged: channels permuted, widened and cut, on every network whose channels can be traced."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import FAMILY_CASES, SIZES, make_task
from test_channels import Lone, conv, lone, noise
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from gentickets.channels import Group, groups_of, rearranged, sliced
from gentickets.channels.group import Groups, twin
from gentickets.channels.rearranging import reread
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Mask, full_mask, keep_top
from gentickets.shapes import take_shapes
from gentickets.spectral import settle
from gentickets.tasks import Task
from gentickets.tickets import load_weights, state_of, zeroed
from gentickets.untouched import tensors_in, untouched

TRACED = [case for case in FAMILY_CASES if case != "tied-mlp"]


def stirred(case: str, **changes: int) -> Task:
    """A task with norms that are not those of initialization: the statistics of two channels differ."""
    task = make_task(case, **changes)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in state_of(task).items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=rng) + 0.5)
            elif value.is_floating_point() and value.ndim == 1 and "parametrizations" not in name:
                value.add_(torch.randn(value.shape, generator=rng) * 0.3)
    return task


def outputs(task: Task, state: dict[str, Tensor] | None = None, giver: Task | None = None) -> list[Tensor]:
    """What each component makes of its inputs in float64 and evaluation mode."""
    copy = twin(task)
    if state is not None:
        load_weights(copy, state)
    copy.double()
    with untouched(giver or task, 0):
        inputs = (giver or task).inputs(noise())
    with untouched(copy, 0):
        return [
            one
            for name in task.components
            for one in tensors_in(copy.get_submodule(name)(*(given.double() for given in inputs[name])))
        ]


def apart(some: list[Tensor], others: list[Tensor]) -> float:
    """The largest difference, relative to the largest number; relative to each output by itself."""
    gaps = [float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)) for a, b in zip(some, others, strict=True)]
    return max(gaps)


def permutations(groups: Groups, seed: int = 0) -> dict[str, Tensor]:
    """A permutation of each group that moves something."""
    rng = torch.Generator().manual_seed(seed)
    found = {}
    for name, group in groups.items():
        order = torch.randperm(group.size, generator=rng)
        found[name] = order if not torch.equal(order, torch.arange(group.size)) else order.roll(1)
    return found


def half(task: Task) -> Mask:
    """The larger half of each layer's weights."""
    full = full_mask(task)
    return keep_top({name: state_of(task)[name].abs() for name in full}, 0.5, within=full, scope="layer")


def resized(case: str, state: dict[str, Tensor]) -> Task:
    """A task of that case whose networks have the state's shapes; the zoo's own sizes, made much wider, are cut."""
    width = 6 * SIZES.get(str(FAMILY_CASES[case]["network"]), {"width": 4})["width"]
    task = make_task(case, width=width, **({"critic_width": 36} if case == "wgan-gp-conv" else {}))
    take_shapes(task, state)
    load_weights(task, state)
    return task


# -- permuted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
def test_a_permutation_leaves_the_function_and_changes_the_state(case: str) -> None:
    task = stirred(case)
    groups = groups_of(task, noise())
    moved = rearranged(state_of(task), groups, permutations(groups))
    assert apart(outputs(task), outputs(task, moved)) < 1e-10
    changed = {name for name, value in state_of(task).items() if not torch.equal(value, moved[name])}
    assert {member.tensor for group in groups.values() for member in group.members} == changed


@pytest.mark.parametrize("case", TRACED)
def test_permuting_network_and_ticket_together_commutes_with_masking(case: str) -> None:
    task = stirred(case)
    groups, mask = groups_of(task, noise()), half(task)
    orders = permutations(groups)
    after = rearranged(zeroed(state_of(task), mask), groups, orders)
    before = zeroed(rearranged(state_of(task), groups, orders), Mask(rearranged(mask, groups, orders)))
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert apart(outputs(task, zeroed(state_of(task), mask)), outputs(task, before)) < 1e-10
    alone = zeroed(rearranged(state_of(task), groups, orders), mask)
    assert any(not torch.equal(alone[name], before[name]) for name in after), "the mask has to move as well"


@pytest.mark.parametrize("case", TRACED)
def test_there_and_back_is_the_identity_bit_for_bit(case: str) -> None:
    task = make_task(case).to(memory_format=torch.channels_last)
    groups = groups_of(task, noise())
    orders = permutations(groups)
    for state in (state_of(task), half(task)):
        there = rearranged(state, groups, orders)
        back = rearranged(there, groups, {name: order.argsort() for name, order in orders.items()})
        for name, value in state.items():
            assert torch.equal(value, back[name])
            assert value.dtype == back[name].dtype
            assert value.stride() == there[name].stride() == back[name].stride(), name
            assert not back[name].requires_grad


def test_a_permutation_by_hand() -> None:
    task = make_task("wgan-gp-resnet")  # a dense layer in front of a 4x4 map of 8 channels
    groups = groups_of(task, noise())
    order = torch.tensor([3, 0, 1, 2, 7, 6, 5, 4])
    state = state_of(task)
    moved = rearranged(state, groups, {"generator.0": order})
    rows = torch.cat([torch.arange(16 * channel, 16 * channel + 16) for channel in order.tolist()])
    assert torch.equal(moved["generator.0.weight"], state["generator.0.weight"][rows])
    assert torch.equal(moved["generator.0.bias"], state["generator.0.bias"][rows])
    assert torch.equal(moved["generator.2.main.0.running_var"], state["generator.2.main.0.running_var"][order])
    assert torch.equal(moved["generator.2.main.3.weight"], state["generator.2.main.3.weight"][:, order])
    assert moved["discriminator.2.main.3.weight"] is state["discriminator.2.main.3.weight"], "not named, not touched"


def test_all_makers_of_a_residual_networks_channels_move() -> None:
    task = make_task("vae-resnet18")
    groups = groups_of(task, noise())
    moved, state = rearranged(state_of(task), groups, {"encoder.0": torch.tensor([2, 0, 1])}), state_of(task)
    for name in ("encoder.0.weight", "encoder.3.main.3.weight"):
        assert torch.equal(moved[name], state[name][[2, 0, 1]])
    for name in ("encoder.3.main.0.weight", "encoder.4.main.0.weight", "encoder.4.shortcut.0.weight"):
        assert torch.equal(moved[name], state[name][:, [2, 0, 1]])


@pytest.mark.parametrize("form", [parametrizations.spectral_norm, spectral_norm])
def test_spectral_norms_vectors_follow_a_permutation(form) -> None:  # type: ignore[no-untyped-def]
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=form(nn.Conv2d(1, 4, 3)), b=form(nn.ConvTranspose2d(4, 2, 3)))
    settle(task.eval())  # where the random vectors of the start are, the estimated norm may be next to nothing
    groups = groups_of(task, noise())
    state = {name: value.detach().clone() for name, value in state_of(task).items()}
    u = next(name for name in state if name.startswith("net.a") and name.endswith("_u"))
    v = next(name for name in state if name.startswith("net.b") and name.endswith("_v"))
    order = torch.tensor([2, 3, 1, 0])
    moved = rearranged(state, groups, {"net.a": order})
    assert torch.equal(moved[u], state[u][order])
    assert torch.equal(moved[v].view(4, 9), state[v].view(4, 9)[order])
    before = task.net(noise()).detach()
    load_weights(task, moved)  # as they are: nothing is estimated anew
    assert apart([before], [task.net(noise()).detach()]) < 1e-5


def test_the_parts_of_a_split_and_of_a_concatenation_are_permuted_each_by_itself() -> None:
    split = lone(
        lambda m, x: (lambda one, other: m.c(other) + m.b(one))(*m.a(x).relu().chunk(2, 1)),
        a=conv(1, 6), b=conv(3, 2), c=conv(3, 2),
    )  # fmt: skip
    whole = lone(lambda m, x: m.c(torch.cat([m.b(x), m.a(x)], 1).relu()), a=conv(1, 3), b=conv(1, 4), c=conv(7, 2))
    twice = lone(lambda m, x: m.c(torch.cat([h := m.a(x).relu(), h], 1)), a=conv(1, 3), c=conv(6, 2))
    for task, size in ((split, 4), (whole, 5), (twice, 5)):
        groups = groups_of(task, noise())
        moved = rearranged(state_of(task), groups, permutations(groups))
        assert apart(outputs(task), outputs(task, moved)) < 1e-10
        name = "net.b" if "net.b" in groups else "net.a"
        with pytest.raises(TicketError, match=r"do not stand side by side in 'net\.[ac]\.weight', so"):
            rearranged(state_of(task), groups, {name: torch.arange(size) % groups[name].size})


# -- widened --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
@pytest.mark.parametrize(("times", "more"), [(2, 0), (2, 1), (1, 1)])
def test_a_wider_network_computes_the_same(case: str, times: int, more: int) -> None:
    """With weights divided in float32, and exactly where they are divided in float64."""
    task = stirred(case)
    groups = groups_of(task, noise())
    free = {name: group for name, group in groups.items() if not list(group.of("estimate"))}
    sources = {name: torch.arange(times * group.size + more) % group.size for name, group in free.items()}
    assert case == "gan-sngan" or free == groups
    moved = rearranged(state_of(task), groups, sources)
    wide = resized(case, moved)
    assert sum(p.numel() for p in wide.parameters()) > sum(p.numel() for p in task.parameters())
    sizes = {name: len(sources.get(name, range(group.size))) for name, group in groups.items()}
    assert {name: group.size for name, group in groups_of(wide, noise()).items()} == sizes
    assert apart(outputs(task), outputs(wide, giver=task)) < 1e-5
    exact = {name: value.double() if value.is_floating_point() else value for name, value in state_of(task).items()}
    wide.double()
    load_weights(wide, rearranged(exact, groups, sources))
    assert apart(outputs(task), outputs(wide, giver=task)) < 1e-10


def test_seven_copies_of_three_channels_by_hand() -> None:
    """Uneven: channel 0 stands there three times, the others twice."""
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=conv(1, 3), b=conv(3, 2))
    groups, state = groups_of(task, noise()), state_of(task)
    source = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    moved = rearranged(state, groups, {"net.a": source})
    assert torch.equal(moved["net.a.weight"], state["net.a.weight"][source])
    assert torch.equal(moved["net.a.bias"], state["net.a.bias"][source])
    counts = torch.tensor([3.0, 2, 2, 3, 2, 2, 3])
    assert torch.equal(moved["net.b.weight"], state["net.b.weight"][:, source] / counts.view(1, 7, 1, 1))
    assert moved["net.b.bias"] is state["net.b.bias"], "it is no channel's of the group"
    x = noise()
    wide = F.conv2d(x, moved["net.a.weight"], moved["net.a.bias"], padding=1).relu()
    wide = F.conv2d(wide, moved["net.b.weight"], moved["net.b.bias"], padding=1)
    assert torch.allclose(wide, task.net(x), atol=1e-6)


def test_a_flattened_maps_columns_are_divided_by_their_channels_copies() -> None:
    task = lone(lambda m, x: m.b(m.a(x).relu().flatten(1)), a=nn.Conv2d(1, 3, 3, 3), b=nn.Linear(12, 2))
    groups, state = groups_of(task, noise()), state_of(task)
    moved = rearranged(state, groups, {"net.a": torch.tensor([2, 0, 1, 2])})["net.b.weight"]
    old = state["net.b.weight"].view(2, 3, 4)
    assert torch.equal(moved.view(2, 4, 4), torch.stack([old[:, 2] / 2, old[:, 0], old[:, 1], old[:, 2] / 2], 1))


def test_masks_are_copied_and_not_divided() -> None:
    task = make_task("vae-mlp")
    groups, mask = groups_of(task, noise()), half(make_task("vae-mlp"))
    wide = rearranged(mask, groups, {"encoder.1": torch.arange(24) % 12})
    assert all(value.dtype == torch.bool for value in wide.values())
    assert list(wide) == list(mask)
    assert torch.equal(wide["encoder.1.weight"], mask["encoder.1.weight"].repeat(2, 1))
    assert torch.equal(wide["encoder.3.weight"], mask["encoder.3.weight"].repeat(1, 2))


def test_as_many_channels_as_before_with_one_twice() -> None:
    """Neither a permutation nor a wider network: channel 1 takes the place of channel 2, and shares what is read."""
    task = lone(lambda m, x: m.c(torch.cat([h := m.a(x).relu(), h], 1)), a=conv(1, 3), c=conv(6, 2))
    groups, state = groups_of(task, noise()), state_of(task)
    read = rearranged(state, groups, {"net.a": torch.tensor([0, 1, 1])})["net.c.weight"]
    old = state["net.c.weight"]
    shares = [old[:, 0], old[:, 1] / 2, old[:, 1] / 2, old[:, 3], old[:, 4] / 2, old[:, 4] / 2]
    assert torch.equal(read, torch.stack(shares, 1))


def test_strides_keep_their_order_in_wider_networks() -> None:
    task = make_task("gan-conv-all", width=8).to(memory_format=torch.channels_last)
    groups, state = groups_of(task, noise()), state_of(task)
    for size in (4, 8, 12, 16):
        sources = {name: torch.arange(size) % 8 for name in groups}
        for name in ("discriminator.3.weight", "generator.4.weight"):
            moved = rearranged(state, groups, sources)[name]
            assert size in moved.shape
            assert moved.is_contiguous(memory_format=torch.channels_last)
    task = make_task("gan-conv-all", width=8)
    moved = rearranged(state_of(task), groups_of(task, noise()), {"generator.1": torch.arange(16) % 8})
    assert all(value.is_contiguous() for value in moved.values())


# -- cut, and read otherwise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["vae-conv", "wgan-gp-resnet", "vae-resnet18", "gan-sngan"])
def test_a_list_without_some_channels_cuts_as_sliced_does(case: str) -> None:
    task = make_task(case)
    groups = groups_of(task, noise())
    kept = Channels({name: torch.arange(group.size) % 3 != 1 for name, group in groups.items()})
    ours = rearranged(state_of(task), groups, {name: kept.indices(name) for name in kept})
    theirs = sliced(state_of(task), groups, kept)
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_what_reads_a_channel_is_multiplied_also_once_channels_are_gone() -> None:
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=conv(1, 3), b=conv(3, 2))
    groups, state = groups_of(task, noise()), dict(state_of(task))
    told = reread(state, groups, {"net.a": torch.tensor([1.0, 2.0, 3.0])})
    assert torch.equal(told["net.b.weight"], state["net.b.weight"] * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))
    assert told["net.a.weight"] is state["net.a.weight"]
    narrow = rearranged(state, groups, {"net.a": torch.tensor([2, 1])})
    told = reread(narrow, groups, {"net.a": torch.tensor([5, 7])})
    assert torch.equal(told["net.b.weight"], state["net.b.weight"][:, [2, 1]] * torch.tensor([5, 7]).view(1, 2, 1, 1))
    mask = half(task)
    assert reread(mask, groups, {"net.a": torch.tensor([1.0, 2.0, 3.0])})["net.b.weight"] is mask["net.b.weight"]


# -- refused --------------------------------------------------------------------------------------------------


def simple() -> tuple[Lone, dict[str, Group]]:
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=conv(1, 3), b=conv(3, 2))
    return task, groups_of(task, noise())


@pytest.mark.parametrize("source", [[3], [-1], [], [[0, 1]], [0.0, 1.0], [True, False, True]])
def test_what_is_no_list_of_channels_is_refused(source: list[object]) -> None:
    task, groups = simple()
    with pytest.raises(TicketError, match=r"channels of 'net.a' are numbered 0 to 2") as told:
        rearranged(state_of(task), groups, {"net.a": torch.tensor(source)})
    assert told.value.status is Status.TICKET


def test_other_groups_and_other_shapes_are_refused() -> None:
    task, groups = simple()
    with pytest.raises(TicketError, match=r"no group of channels 'net.b'. Did you mean 'net.a'"):
        rearranged(state_of(task), groups, {"net.b": torch.arange(2)})
    narrow = rearranged(state_of(task), groups, {"net.a": torch.arange(2)})
    with pytest.raises(TicketError, match=r"'net.a.weight' has shape \(2, 1, 3, 3\), but .* 3 entries of dimension 0"):
        rearranged(narrow, groups, {"net.a": torch.arange(2)})


def test_copies_under_spectral_norm_are_refused() -> None:
    """It would divide by another norm: the wider network's weights act as something else."""
    task = make_task("gan-sngan")
    groups = groups_of(task, noise())
    name = next(name for name in groups if name.startswith("discriminator"))
    wide = torch.arange(2 * groups[name].size) % groups[name].size
    with pytest.raises(TicketError, match="under spectral norm: it would divide by another norm") as told:
        rearranged(state_of(task), groups, {name: wide})
    assert told.value.status is Status.TICKET
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    once, twice = torch.linalg.matrix_norm(rows, 2), torch.linalg.matrix_norm(rows.repeat(2, 1), 2)
    assert float(twice / once) == pytest.approx(2**0.5)
