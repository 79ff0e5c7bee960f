"""Alignment: masks that move to another initialization, their channels matched by what they say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from helpers import FAMILY_CASES, make_task, make_training
from torch import Tensor, nn

from gentickets.channels import groups_of, rearranged
from gentickets.channels.group import Group, Groups, twin
from gentickets.data import Batches, Images
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask, full_mask, keep_top, prunable
from gentickets.seeds import derive
from gentickets.tasks import Task
from gentickets.tickets import Origin, Ticket, load_weights, state_of, zeroed
from gentickets.training import train
from gentickets.transfer import Match, aligned, alignment, alignment_report, code_group, matches, movable_groups
from gentickets.transfer.likeness import likenesses

TRACED = [case for case in FAMILY_CASES if case != "tied-mlp"]
CODED = ["ae-mlp", "ae-conv", "vae-mlp", "vae-conv", "ae-linear", "vae-resnet18"]
IMAGE = (1, 8, 8)


def shown(images: int = 32, count: int = 2, seed: int = 0) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.rand((images, *IMAGE), generator=rng) * 2 - 1 for _ in range(count)]


def orders(groups: Groups, seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.randperm(group.size, generator=rng) for name, group in groups.items()}


def in_another_order(task: Task, groups: Groups, permutations: dict[str, Tensor]) -> Task:
    copy = twin(task)
    load_weights(copy, rearranged(state_of(task), groups, permutations))
    return copy


def pruned_at_random(task: Task, density: float = 0.5) -> Mask:
    rng = torch.Generator().manual_seed(0)
    scores = {name: torch.rand(weight.shape, generator=rng) for name, weight in prunable(task).items()}
    return keep_top(scores, density, within=full_mask(task), scope="layer")


def outputs(task: Task, batch: Tensor) -> dict[str, Tensor]:
    task.eval()
    with torch.no_grad():
        given = {name: [x.to(batch.dtype) for x in one] for name, one in task.inputs(batch).items()}
        return {name: task.get_submodule(name)(*one) for name, one in given.items()}


class Lone(Task):
    """A task of one component, which takes images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.image, self.net = IMAGE, net

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"net": (batch,)}


def lone(width: int = 4, seed: int = 0) -> Lone:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Lone(nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(inplace=True), nn.Linear(width, 3)))


def said(task: Lone, batches: list[Tensor]) -> Tensor:
    """What the hidden units of a lone network say before the nonlinearity, (n, units)."""
    with torch.no_grad():
        return task.net[:2](torch.cat(batches))  # type: ignore[index]


def silence(task: Lone, *units: int, bias: float = 0.3) -> None:
    with torch.no_grad():
        for unit in units:
            task.net[1].weight[unit] = 0.0  # type: ignore[index]
            task.net[1].bias[unit] = bias  # type: ignore[index]


# -- the permutation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
def test_a_network_in_another_order_is_found_out(case: str, images: Images) -> None:
    """Exactly the permutation that was applied, codes and all, in networks that have been trained a little."""
    training = make_training(case)
    train(training, Batches(images, 16, seed=0), range(3))
    source, batches = training.task, Batches(images, 32, seed=1).first(2)
    groups = movable_groups(source, batches[0])
    permutations = orders(groups)
    target = in_another_order(source, groups, permutations)
    found, back = alignment(source, target, batches), alignment(target, source, batches)
    assert list(found) == list(groups)
    for name, permutation in permutations.items():
        assert torch.equal(found[name], permutation), name
        assert torch.equal(back[name], permutation.argsort()), f"{name}: the way back is the inverse"
    mask = pruned_at_random(source)
    there = aligned(mask, groups, found)
    assert mask.distance(there) > 0
    assert mask.distance(aligned(there, groups, back)) == 0


@pytest.mark.parametrize("case", TRACED)
def test_two_networks_get_a_bijection(case: str) -> None:
    source, target = make_task(case, 0), make_task(case, 1)
    found = matches(source, target, shown(), untrained=0)
    for name, match in found.items():
        assert match.permutation.dtype == torch.int64
        assert match.permutation.sort().values.tolist() == list(range(len(match.permutation))), name
        assert -1 <= match.before <= match.after <= 1


def test_no_other_permutation_correlates_more() -> None:
    """Brute force, on NumPy's own correlations of the units' values."""
    source, target, batches = lone(5, 0), lone(5, 1), shown(20, 3)
    permutation = alignment(source, target, batches)["net.1"]
    both = np.corrcoef(said(source, batches).double().T, said(target, batches).double().T)
    correlation = both[:5, 5:]
    sums = {order: sum(correlation[order[j], j] for j in range(5)) for order in itertools.permutations(range(5))}
    assert tuple(permutation.tolist()) == max(sums, key=sums.__getitem__)
    match = matches(source, target, batches, untrained=0)["net.1"]
    assert match.after == pytest.approx(max(sums.values()) / 5, abs=1e-6)
    assert match.before == pytest.approx(correlation.trace() / 5, abs=1e-6)


def test_correlations_are_those_of_all_images_at_once() -> None:
    """Moments are added up over batches of any size, about means that are far from zero."""
    source, target = lone(4, 0), lone(4, 1)
    with torch.no_grad():
        target.net[1].bias += 1000.0  # type: ignore[index, operator]
    batches = [*shown(16, 2), *shown(3, 2, seed=1)]
    groups = groups_of(source, batches[0])
    apart = likenesses(source, target, batches, groups)["net.1"].correlation
    whole = likenesses(source, target, [torch.cat(batches)], groups)["net.1"].correlation
    assert apart.dtype == torch.float64
    expected = np.corrcoef(said(source, batches).double().T, said(target, batches).double().T)[:4, 4:]
    assert torch.allclose(apart, torch.from_numpy(expected), atol=1e-4)
    assert torch.allclose(apart, whole, atol=1e-4)


def test_maps_are_matched_over_positions_by_their_norm() -> None:
    """By hand, for a generator's only group: what its batch norm gives, over latents and positions.

    Behind a norm in evaluation mode a channel correlates as before it, but for the sign of its scale.
    """
    source, target = make_task("gan-conv", 0), make_task("gan-conv", 1)
    with torch.no_grad():
        source.generator[2].weight[1] *= -1  # type: ignore[index, operator]
    batch = shown(16, 1)
    groups = {"generator.1": groups_of(source, batch[0])["generator.1"]}
    found = likenesses(source, target, batch, groups)["generator.1"].correlation
    latent = torch.randn(16, 4, generator=torch.Generator().manual_seed(derive(0, "alignment", 0)))
    values = []
    for task in (source, target):
        task.eval()
        with torch.no_grad():
            map_ = task.generator[:3](latent)  # type: ignore[index]
        values.append(map_.double().movedim(1, 0).flatten(1))
    assert torch.allclose(found, torch.corrcoef(torch.cat(values))[:4, 4:], atol=1e-6)


def test_a_generator_sees_new_latents_in_every_batch() -> None:
    source = make_task("gan-mlp")
    seen: list[Tensor] = []
    hook = source.generator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    alignment(source, make_task("gan-mlp", 1), shown(8, 3))
    hook.remove()
    latents = [x for x in seen[-3:] if len(x) == 8]
    assert len(latents) == 3
    assert not torch.equal(latents[0], latents[1])


def test_a_decoder_hears_its_own_encoder() -> None:
    """Its codes are in another order, and so is what it hears."""
    source = make_task("ae-mlp")
    groups = movable_groups(source, shown()[0])
    permutations = orders(groups)
    target = in_another_order(source, groups, permutations)
    heard: list[Tensor] = []
    hook = target.decoder.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    found = alignment(source, target, shown(), groups=groups)
    hook.remove()
    with torch.no_grad():
        assert torch.equal(heard[-1], target.eval().encoder(shown()[-1]))  # type: ignore[operator]
    assert all(torch.equal(found[name], permutations[name]) for name in groups)


# -- codes ----------------------------------------------------------------------------------------------------


def test_codes_are_a_group_where_they_are_free() -> None:
    batch = shown()[0]
    assert [case for case in FAMILY_CASES if code_group(make_task(case), batch)] == [
        *[case for case in FAMILY_CASES if case in (*CODED, "tied-mlp")]
    ]
    (group,) = code_group(make_task("vae-mlp"), batch).values()
    owned = {(member.tensor, member.dim): member.index.tolist() for member in group.members}
    assert owned == {
        ("encoder.5.weight", 0): [[0, 4], [1, 5], [2, 6], [3, 7]],  # mean and log-variance
        ("encoder.5.bias", 0): [[0, 4], [1, 5], [2, 6], [3, 7]],
        ("decoder.0.weight", 1): [[0], [1], [2], [3]],
    }


class Positional(Task):
    """An autoencoder whose codes have an order of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.image = IMAGE
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 64))

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"encoder": (batch,), "decoder": (self.encoder(batch) * torch.arange(1, 5),)}


def test_codes_that_are_told_apart_by_their_place_stay() -> None:
    assert code_group(Positional(), shown()[0]) == {}


def test_a_code_that_says_the_opposite_is_the_same_code() -> None:
    source = make_task("ae-mlp")
    target = twin(source)
    with torch.no_grad():
        target.encoder[5].weight[2] *= -1  # type: ignore[index, operator]
        target.encoder[5].bias[2] *= -1  # type: ignore[index, operator]
        target.decoder[0].weight[:, 2] *= -1  # type: ignore[index, operator]
    match = matches(source, target, shown(), untrained=0)["encoder.5"]
    assert match.permutation.tolist() == [0, 1, 2, 3]
    assert match.after == pytest.approx(1.0)


# -- the mask -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
def test_a_ticket_permuted_with_its_network_computes_the_same(case: str) -> None:
    """The masked network's function, in float64; codes come in the new order, and are read in it."""
    task, batch = make_task(case), shown(8, 1)[0].double()
    groups = movable_groups(task, batch.float())
    codes = code_group(task, batch.float())
    task.double()
    permutations = orders(groups, seed=1)
    mask = pruned_at_random(task)
    ticket = Ticket(mask, state_of(task), Origin("iterative", 0, 1, 0))
    moved = aligned(ticket, groups, permutations)
    assert list(moved) == list(mask)
    assert moved.densities == mask.densities
    assert mask.distance(moved) > 0
    one, other = twin(task), in_another_order(task, groups, permutations)
    load_weights(one, zeroed(state_of(one), mask))
    load_weights(other, zeroed(state_of(other), moved))
    before, after = outputs(one, batch), outputs(other, batch)
    for name, value in before.items():
        if name == "encoder" and codes:
            value = value.index_select(1, _order_of_outputs(*codes.values(), permutations))
        assert torch.allclose(value, after[name], rtol=0, atol=1e-10), name
    wrong = outputs(_masked(in_another_order(task, groups, permutations), mask), batch)
    assert any(not torch.allclose(before[name], wrong[name], atol=1e-6) for name in before if name != "encoder")


def _masked(task: Task, mask: Mask) -> Task:
    load_weights(task, zeroed(state_of(task), mask))
    return task


def _order_of_outputs(code: Group, permutations: dict[str, Tensor]) -> Tensor:
    index = code.members[0].index
    order = torch.empty(code.members[0].extent, dtype=torch.int64)
    order[index.flatten()] = index[permutations[code.name]].flatten()
    return order


def test_groups_that_are_not_named_keep_their_order() -> None:
    task, batch = make_task("vae-mlp"), shown()[0]
    groups = groups_of(task, batch)
    mask = pruned_at_random(task)
    moved = aligned(mask, groups, {"encoder.1": torch.arange(11, -1, -1)})
    assert torch.equal(moved["encoder.1.weight"], mask["encoder.1.weight"].flip(0))
    assert torch.equal(moved["encoder.3.weight"], mask["encoder.3.weight"].flip(1))
    same = [name for name in mask if name not in ("encoder.1.weight", "encoder.3.weight")]
    assert all(torch.equal(moved[name], mask[name]) for name in same)


# -- constant channels ----------------------------------------------------------------------------------------


def test_constant_channels_correlate_with_nothing_and_are_left_for_each_other() -> None:
    source = lone(6)
    silence(source, 1, 4)
    groups = groups_of(source, shown()[0])
    permutation = torch.tensor([3, 1, 0, 5, 2, 4])
    target = in_another_order(source, groups, {"net.1": permutation})
    found = likenesses(source, target, shown(), groups)["net.1"]
    assert torch.isfinite(found.correlation).all()
    assert not found.correlation[[1, 4]].any()
    assert found.constant[0].nonzero().flatten().tolist() == [1, 4]
    assert found.constant[1].nonzero().flatten().tolist() == [1, 5]
    match = matches(source, target, shown(), untrained=0)["net.1"]
    live = [0, 2, 3, 4]
    assert match.permutation[live].tolist() == permutation[live].tolist()
    assert set(match.permutation[[1, 5]].tolist()) == {1, 4}
    assert match.after == pytest.approx(4 / 6), "constant ones count as 0"
    assert match.constant == (2, 2)


def test_rounding_is_no_signal() -> None:
    """A unit that says 1000 with noise in float32's last digit is constant."""
    source, target = lone(3, 0), lone(3, 1)
    silence(source, 0, bias=1000.0)
    with torch.no_grad():
        source.net[1].weight[0] = 1e-5  # type: ignore[index]
    assert said(source, shown())[:, 0].std() > 0
    found = likenesses(source, target, shown(), groups_of(source, shown()[0]))["net.1"]
    assert found.constant[0].tolist() == [True, False, False]


def test_networks_that_say_nothing_still_get_a_bijection() -> None:
    source, target = lone(4, 0), lone(4, 1)
    silence(source, 0, 1, 2, 3)
    match = matches(source, target, shown())["net.1"]
    assert match.permutation.sort().values.tolist() == [0, 1, 2, 3]
    assert match.after == match.before == 0
    assert math.isfinite(alignment_report({"net.1": match})["all"]["after"])


# -- how well it matched --------------------------------------------------------------------------------------


def test_the_report_tells_chance_from_a_match() -> None:
    source = lone(8)
    groups = groups_of(source, shown()[0])
    copy = in_another_order(source, groups, orders(groups))
    whole = alignment_report(matches(source, copy, shown()))["all"]
    assert whole["after"] == pytest.approx(1.0)
    assert whole["untrained"] < 0.7
    assert whole["better_than_chance"] is True
    unrelated = [alignment_report(matches(source, lone(8, seed), shown()))["all"] for seed in range(1, 13)]
    assert sum(one["better_than_chance"] for one in unrelated) <= 6, "once in six, where nothing was learned"
    assert alignment_report(matches(source, copy, shown(), untrained=0))["all"]["better_than_chance"] is None
    assert alignment_report({})["all"] == {"channels": 0, "better_than_chance": None}


def test_the_report_weighs_channels_alike() -> None:
    found = {
        "a": Match(torch.arange(3), 0.0, 0.9, (0.1, 0.3), (0, 1)),
        "b": Match(torch.arange(1), 0.4, 0.5, (0.5, 0.7), (0, 0)),
    }
    report = alignment_report(found)
    whole = report["all"]
    assert (whole["channels"], whole["before"], whole["after"]) == (4, pytest.approx(0.1), pytest.approx(0.8))
    assert whole["untrained"] == pytest.approx((0.2 + 0.4) / 2)
    assert report["groups"]["a"] == {
        "channels": 3,
        "before": 0.0,
        "after": 0.9,
        "untrained": [0.1, 0.3],
        "constant": [0, 1],
    }


# -- nothing else changes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["gan-sngan", "vae-conv"])
def test_equal_arguments_give_equal_permutations_and_nothing_is_touched(case: str) -> None:
    source, target = make_task(case, 0), make_task(case, 1)
    source.get_submodule(source.components[0]).eval()
    before = [{name: value.clone() for name, value in task.state_dict().items()} for task in (source, target)]
    modes = [(part, part.training, dict(part._forward_hooks)) for task in (source, target) for part in task.modules()]
    random = torch.get_rng_state()
    one = matches(source, target, shown(), seed=3)
    torch.rand(7)
    other = matches(source, target, shown(), seed=3)
    assert all(torch.equal(one[name].permutation, other[name].permutation) for name in one)
    assert [match.untrained for match in one.values()] == [match.untrained for match in other.values()]
    torch.set_rng_state(random)
    alignment(source, target, shown())
    assert torch.equal(random, torch.get_rng_state())
    for task, state in zip((source, target), before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
        assert all(value.grad is None and value.requires_grad for value in task.parameters())
    now = [(part, part.training, dict(part._forward_hooks)) for task in (source, target) for part in task.modules()]
    assert now == modes


def test_hooks_are_gone_also_when_a_network_fails() -> None:
    source, target = lone(), lone(seed=1)
    target.net.append(nn.Linear(7, 2))  # type: ignore[operator]
    groups = groups_of(source, shown()[0])
    with pytest.raises(RuntimeError):
        likenesses(source, target, shown(), groups)
    assert not any(part._forward_hooks for task in (source, target) for part in task.modules())


# -- bad input ------------------------------------------------------------------------------------------------


def test_other_architectures_are_refused_in_a_line_that_names_all_that_differs() -> None:
    source = make_task("vae-mlp")
    with pytest.raises(TicketError) as caught:
        alignment(source, make_task("vae-mlp", width=13), shown())
    line = str(caught.value)
    assert caught.value.status is Status.TICKET
    assert "\n" not in line
    assert "'encoder.1.weight': (12, 64) and (13, 64)" in line
    assert "'decoder.4.weight': (64, 12) and (64, 13)" in line
    with pytest.raises(TicketError, match=r"family: VAE and Autoencoder"):
        alignment(source, make_task("ae-mlp"), shown())
    with pytest.raises(TicketError, match=r"'encoder.6.weight': none and \(12, 12\)|none and"):
        alignment(source, make_task("vae-mlp", depth=3), shown())
    other = make_task("vae-mlp")
    other.encoder[2] = nn.Tanh()  # type: ignore[operator]
    with pytest.raises(TicketError, match=r"differ 'encoder.2': (\w+) and Tanh$"):
        alignment(source, other, shown())


def test_no_images_and_diverged_networks_are_refused() -> None:
    source, target = make_task("vae-mlp"), make_task("vae-mlp", 1)
    with pytest.raises(TicketError, match="give one batch or more"):
        alignment(source, target, [])
    with torch.no_grad():
        target.decoder[0].weight[0, 0] = math.nan  # type: ignore[index, operator]
    with pytest.raises(TicketError, match=r"channels of 'decoder.0' say is not finite") as caught:
        alignment(source, target, shown())
    assert caught.value.status is Status.FAILED


def test_tied_weights_cannot_be_aligned() -> None:
    with pytest.raises(TicketError, match="shares its numbers with another weight"):
        alignment(make_task("tied-mlp"), make_task("tied-mlp", 1), shown())


def test_hidden_units_of_tokens_are_found_again_in_another_order() -> None:
    """Linear layers on (n, places, width): a channel is an entry of the last dimension, whatever stands before it."""

    source = Lone(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 8)))  # rows of an image are its places
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    groups = groups_of(source, shown()[0])
    assert {name: group.size for name, group in groups.items()} == {"net.0": 6}
    target = twin(source)
    load_weights(target, rearranged(state_of(source), groups, {"net.0": order}))
    found = likenesses(source, target, shown(), groups)["net.0"].correlation
    assert found.argmax(0).tolist() == order.tolist()
