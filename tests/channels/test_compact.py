"""Compact: every model of the zoo with channels really removed, shapes taken, and dead units gone."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from helpers import FAMILY_CASES, STEPS, make_task, make_training, product
from test_channels import Lone, conv, distance, halved, lone, noise
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from gentickets.channels import (
    Group,
    compact,
    dead_channels,
    fold_constants,
    full_channels,
    groups_of,
    keep_channels,
    random_channels,
    sliced,
    without_dead,
)
from gentickets.channels.group import twin
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Mask, apply_mask, full_mask, keep_top, prunable
from gentickets.shapes import take_shapes
from gentickets.tasks import Task
from gentickets.tasks.networks import View
from gentickets.tickets import Snapshot, load_weights, state_of
from gentickets.training import Training, train

CASES = [case for case in FAMILY_CASES if case != "tied-mlp"]


def trained(case: str, batches: Batches, steps: int = 4, **plan: object) -> Training:
    """A task after a few steps, whose norms' statistics are no longer trivial, nor its biases."""
    training = make_training(case, **plan)  # type: ignore[arg-type]
    train(training, batches, range(steps))
    rng = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in training.task.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.weight.mul_(torch.rand(layer.weight.shape, generator=rng) + 0.5)
            if isinstance(getattr(layer, "bias", None), Tensor):
                layer.bias.add_(torch.randn(layer.bias.shape, generator=rng) * 0.1)
    return training


def masked_by_hand(task: Task, groups: dict[str, Group], channels: Channels) -> Task:
    """The task with what makes a channel at zero: weights, biases, norms' scales and shifts.

    Weights that read it stay, but for those under spectral norm, of whose norm they are a part.
    """
    copy = twin(task)
    state = copy.state_dict()
    for name, kept in channels.items():
        normed = {member.layer for member in groups[name].members if member.part == "estimate"}
        readers = [member for member in groups[name].of("weight", makes=False) if member.layer in normed]
        for member in [*groups[name].of("weight", "bias", "scale", "shift"), *readers]:
            gone = member.index[~kept].flatten()
            state[member.tensor].movedim(member.dim, 0)[gone] = 0.0
    return copy


def seen(task: Task) -> dict[str, Tensor]:
    """All that a task computes in evaluation mode, on fixed inputs."""
    task.eval()
    rng = torch.Generator().manual_seed(3)
    batch = noise(6)
    with torch.no_grad():
        found = {name: getattr(task, name)(*given) for name, given in task.inputs(batch).items()}
        found |= task.figures(batch, task.draw(6, rng))
        if task.can("sample"):
            found["sample"] = task.sample(5, rng)
        if task.can("reconstruct"):
            found["reconstruct"] = task.reconstruct(batch)
    return found


def far(one: Task, other: Task) -> float:
    """How far two tasks' outputs are from each other, relative to the largest of each."""
    here, there = seen(one), seen(other)
    assert list(here) == list(there)
    return max(distance(value, there[name]) / max(1.0, value.abs().max().item()) for name, value in here.items())


def least(task: Task, groups: dict[str, Group], seed: int = 0) -> Channels:
    """About half of each group's channels, at random."""
    rng = torch.Generator().manual_seed(seed)
    scores = {name: torch.rand(group.size, generator=rng) for name, group in groups.items()}
    return keep_channels(scores, 0.5, within=full_channels(groups), scope="layer")


# -- the zoo --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_compact_network_computes_what_the_masked_one_does(case: str, batches: Batches) -> None:
    """Trap 18: figures, samples and every component, in evaluation mode."""
    task = trained(case, batches).task
    groups = groups_of(task, noise())
    channels = least(task, groups)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    small = compact(task, channels, noise())
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items()), "the task is untouched"
    assert far(small, masked_by_hand(task, groups, channels)) <= 1e-5
    assert far(small, task) > 1e-4, "and the channels mattered"
    for name, group in groups.items():
        layer = small.get_submodule(name)
        wide = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        (rows,) = {m.index.shape[1] for m in group.of("weight") if m.layer == name}
        assert wide == channels.kept_in(name) * rows


@pytest.mark.parametrize("case", CASES)
def test_a_compact_task_trains_and_is_rebuilt_from_its_weights(case: str, batches: Batches) -> None:
    training = trained(case, batches)
    groups = groups_of(training.task, noise())
    small = compact(training.task, least(training.task, groups, seed=2), noise())
    for objective in small.objectives():
        parameters = list(small.trained_by(objective).values())
        draw = small.draw(16, torch.Generator().manual_seed(0))
        gradients = torch.autograd.grad(objective.loss(batches(0), draw), parameters, allow_unused=True)
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    again = Training(small, training.plan)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    assert train(again, batches, range(4, STEPS)) == STEPS
    assert all(not torch.equal(weight, before[name]) for name, weight in prunable(small).items())
    copy = deepcopy(small)
    built = make_task(case, seed=5)
    take_shapes(built, state_of(small))
    load_weights(built, state_of(small))
    Training(built, training.plan)  # the same memory format
    for other in (copy, built):
        assert repr(other) == repr(small), "sizes are those of the weights"
        assert all(torch.equal(value, seen(small)[name]) for name, value in seen(other).items())


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_training_goes_on_with_the_surviving_moments_and_averages(optimizer: str, batches: Batches) -> None:
    """Trap 17: where nothing is lost but what was zero, the compact training is the silenced one."""
    plan = {"optimizer": optimizer, "ema": {"discriminator": 0.9}}
    training = trained("wgan-mlp", batches, **plan)
    groups = groups_of(training.task, noise())
    channels = least(training.task, groups)
    snapshot = training.snapshot(4)
    parts = [sliced(part, groups, channels) for part in (snapshot.weights, snapshot.optim, snapshot.ema)]
    narrow = Snapshot(4, *parts)
    small = Training(compact(training.task, channels, noise()), training.plan)
    small.load(narrow)
    again = small.snapshot(4)
    assert all(torch.equal(value, again.optim[key]) for key, value in narrow.optim.items())
    assert all(torch.equal(value, again.ema[key]) for key, value in narrow.ema.items())
    mask = full_mask(training.task)
    gone = {name: ~value for name, value in Mask(_survivors(mask, groups, channels)).items()}
    silent = {n: torch.where(gone[n], 0.0, v) if n in gone else v for n, v in snapshot.weights.items()}
    whole = masked_by_hand(training.task, groups, channels)
    load_weights(whole, {**silent, **{n: v for n, v in state_of(whole).items() if n not in gone}})
    wide = Training(whole, training.plan)
    wide.load(Snapshot(4, state_of(whole), snapshot.optim, snapshot.ema))
    train(small, batches, range(4, 8))
    train(wide, batches, range(4, 8), mask=Mask({**_survivors(mask, groups, channels), **_biases(groups, channels)}))
    assert far(small.task, whole) < 1e-5


def _survivors(mask: Mask, groups: dict[str, Group], channels: Channels) -> dict[str, Tensor]:
    """The mask of the weights between kept channels."""
    kept = {name: value.clone() for name, value in mask.items()}
    for name, chosen in channels.items():
        for member in groups[name].members:
            if member.part == "weight":
                kept[member.tensor].movedim(member.dim, 0)[member.index[~chosen].flatten()] = False
    return kept


def _biases(groups: dict[str, Group], channels: Channels) -> dict[str, Tensor]:
    return {m.tensor: channels[name] for name, group in groups.items() for m in group.of("bias")}


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_paper_sized_projection_shrinks_with_its_channels(memory: torch.memory_format) -> None:
    """Trap 14: a quarter of the weights are left where half of the channels are."""
    task = make_task("gan-sngan", width=16, latent=64).to(memory_format=memory)
    groups, channels = halved(task)
    small = compact(task, channels, noise(), groups=groups)
    dense, narrow = (prunable(one)["generator.0.weight"].numel() for one in (task, small))
    assert narrow * 2 == dense
    inner = [name for name in prunable(task) if name.startswith("generator") and name not in ("generator.0.weight",)][
        :-1
    ]
    assert all(prunable(small)[name].numel() * 4 == prunable(task)[name].numel() for name in inner)


@pytest.mark.parametrize("form", [parametrizations.spectral_norm, spectral_norm])
def test_spectral_norm_is_exact_where_its_vectors_are_only_cut(form) -> None:  # type: ignore[no-untyped-def]
    """Trap 40: fresh or renormalized vectors give another norm."""
    layers = {"a": form(conv(1, 8)), "b": form(nn.ConvTranspose2d(8, 6, 3)), "c": form(nn.Linear(600, 3))}
    task = lone(lambda m, x: m.c(m.b(m.a(x).relu()).relu().flatten(1)), **layers)
    for _ in range(3):
        task.net(noise())
    groups, channels = halved(task)
    small = compact(task, channels, noise(), groups=groups).eval()
    silent = masked_by_hand(task, groups, channels).eval()
    small.double(), silent.double()
    assert distance(small.net(noise().double()), silent.net(noise().double())) < 1e-13
    small.float()
    v = next(name for name in state_of(small) if name.startswith("net.b") and name.endswith("_v"))
    assert state_of(small)[v].norm() < 0.999, "cut, not normalized again"
    small.train()
    small.net(noise()).sum().backward()
    assert all(weight.grad is not None for weight in small.parameters())
    rebuilt = lone(lambda m, x: m.c(m.b(m.a(x).relu()).relu().flatten(1)), **_fresh(form))
    take_shapes(rebuilt, state_of(small))
    load_weights(rebuilt, state_of(small))
    assert torch.equal(rebuilt.eval().net(noise()), small.eval().net(noise()))


def _fresh(form) -> dict[str, nn.Module]:  # type: ignore[no-untyped-def]
    return {"a": form(conv(1, 8)), "b": form(nn.ConvTranspose2d(8, 6, 3)), "c": form(nn.Linear(600, 3))}


def test_multiples_give_round_widths() -> None:
    task = make_task("gan-conv", width=24)
    groups, channels = halved(task, multiple=8)
    small = compact(task, channels, noise(), groups=groups)
    assert small.generator[1].out_channels == small.discriminator[0].out_channels == 16
    assert small.generator[2].num_features == 16


def test_groups_that_are_not_named_stay_whole() -> None:
    task = make_task("gan-mlp")
    channels = halved(task)[1]
    small = compact(task, channels.of("generator"), noise())
    assert small.generator[0].out_features == 6
    assert small.discriminator[1].out_features == 12


def test_a_view_infers_its_channels() -> None:
    """Trap 15."""
    assert View(-1, 2, 2)(torch.zeros(3, 20)).shape == (3, 5, 2, 2)
    assert View(-1, 2, 2)(torch.zeros(0, 20)).shape == (0, 5, 2, 2)
    x = torch.randn(3, 8)
    assert torch.equal(View(2, 2, 2)(x), View(-1, 2, 2)(x))


# -- shapes ---------------------------------------------------------------------------------------------------


def test_taking_shapes_changes_nothing_when_it_refuses() -> None:
    task = make_task("gan-sngan")
    groups, channels = halved(task)
    narrow = sliced(state_of(task), groups, channels)
    u = "discriminator.2.parametrizations.weight.0._u"
    bad = {
        "which the network needs": {n: v for n, v in narrow.items() if n != "generator.2.bias"},
        "which the network lacks": {**narrow, "generator.2.extra": torch.zeros(1)},
        "no narrower form of the network's": {**narrow, "generator.0.weight": torch.zeros(700, 4)},
        r"shape \(16, 0\), which is no narrower": {**narrow, "generator.0.weight": torch.zeros(16, 0)},
        r"'generator.2.bias' has shape \(3,\), but the layer's other tensors ask for": {
            **narrow,
            "generator.2.bias": torch.zeros(3),
        },
        r"'discriminator.2.*_u' has shape \(1,\), but": {**narrow, u: torch.zeros(1)},
        r"'generator.4.weight' has shape \(16, 8, 2, 4\), but": {
            **narrow,
            "generator.4.weight": narrow["generator.4.weight"][:, :, :2],
        },
    }
    for sentence, weights in bad.items():
        built = make_task("gan-sngan")
        shapes = {name: value.shape for name, value in built.state_dict().items()}
        with pytest.raises(TicketError, match=sentence) as caught:
            take_shapes(built, weights)
        assert caught.value.status is Status.TICKET
        assert "\n" not in str(caught.value)
        assert {name: value.shape for name, value in built.state_dict().items()} == shapes
        assert built.generator[2].num_features == 32


def test_unknown_modules_keep_their_shapes() -> None:
    task = Lone(nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 2)))
    weights = {**state_of(task), "net.1.weight": torch.ones(32)}
    with pytest.raises(TicketError, match=r"'net.1.weight' is a tensor of a LayerNorm, which cannot be made narrower"):
        take_shapes(task, weights)
    take_shapes(task, state_of(task))


def test_parameters_stay_the_objects_that_they_were_and_tied_ones_tied() -> None:
    task = make_task("tied-mlp")
    before = dict(task.named_parameters())
    small = {name: value[:6, :6] if name == "encoder.3.weight" else value for name, value in state_of(task).items()}
    small |= {n: state_of(task)[n][:6] for n in ("encoder.1.weight", "encoder.1.bias", "encoder.3.bias")}
    small |= {n: state_of(task)[n][:6] for n in ("decoder.0.weight", "decoder.0.bias", "decoder.2.bias")}
    small |= {n: state_of(task)[n][:, :6] for n in ("encoder.5.weight", "decoder.4.weight")}
    take_shapes(task, small)
    load_weights(task, small)
    assert all(parameter is before[name] for name, parameter in task.named_parameters())
    assert task.decoder[2].weight is task.encoder[3].weight
    assert task.decoder[2].in_features == task.encoder[3].out_features == 6
    task.reconstruct(noise()).sum().backward()
    assert task.encoder[3].weight.grad.shape == (6, 6)


def test_depthwise_layers_change_their_number_of_groups() -> None:
    def built() -> Lone:
        return lone(lambda m, x: m.b(m.d(m.a(x)).relu()), a=conv(1, 4), d=conv(4, 4, groups=4), b=conv(4, 2))

    task = built()
    groups, channels = halved(task)
    small = compact(task, channels, noise(), groups=groups)
    assert (small.net.d.groups, small.net.d.in_channels, small.net.d.out_channels) == (2, 2, 2)
    again = built()
    take_shapes(again, state_of(small))
    load_weights(again, state_of(small))
    assert torch.equal(again.net(noise()), small.net(noise()))


# -- dead units -----------------------------------------------------------------------------------------------


def sparse(task: Task, density: float, seed: int = 0) -> Mask:
    """A random mask over single weights, which may empty whole tensors."""
    rng = torch.Generator().manual_seed(seed)
    return Mask({name: torch.rand(w.shape, generator=rng) < density for name, w in full_mask(task).items()})


@pytest.mark.parametrize(("case", "density"), product(CASES, (0.02, 0.1, 0.4)))
def test_removing_dead_units_is_exact(case: str, density: float, batches: Batches) -> None:
    task = trained(case, batches).task
    mask = sparse(task, density)
    masked = deepcopy(task)
    apply_mask(mask, dict(masked.named_parameters()))
    groups = groups_of(task, noise())
    channels = dead_channels(task, mask, groups)
    assert not channels.emptied
    assert density > 0.02 or channels.density < 1, "something is dead"
    small = compact(masked, channels, noise(), groups=groups)
    assert far(small, masked) <= 1e-5
    folded, left, fewer = without_dead(task, mask, noise())
    assert far(folded, masked) <= 1e-5
    assert all(fewer.kept_in(name) <= channels.kept_in(name) for name in groups)
    assert {name: value.shape for name, value in left.items()} == {
        name: weight.shape for name, weight in prunable(folded).items()
    }
    assert all(not prunable(folded)[name][~kept].any() for name, kept in left.items())


def small_mlp() -> tuple[Lone, Mask]:
    """8 inputs, two hidden layers of 4 units, 2 outputs, without biases in the first layer."""
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 4, bias=False), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        for layer in net:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.uniform_(layer.bias, 0.5, 1.0)
    task = Lone(net)
    return task, Mask({name: kept.clone() for name, kept in full_mask(task).items()})


def test_dead_units_by_hand() -> None:
    task, mask = small_mlp()
    groups = groups_of(task, noise())
    assert dead_channels(task, mask, groups).density == 1
    mask["net.1.weight"][0] = False  # no input, no bias: silent
    mask["net.3.weight"][:, 1] = False  # nobody hears it
    mask["net.3.weight"][2] = False  # no input, but a bias: a constant
    mask["net.5.weight"][:, 3] = False
    assert [kept.tolist() for kept in dead_channels(task, mask, groups).values()] == [
        [False, False, True, True],
        [True, True, True, False],
    ]
    with torch.no_grad():
        task.net[3].bias[2] = -1.0  # behind the ReLU it is silent
    assert dead_channels(task, mask, groups)["net.3"].tolist() == [True, True, False, False]


def test_death_spreads_until_nothing_changes() -> None:
    task, mask = small_mlp()
    groups = groups_of(task, noise())
    mask["net.5.weight"][:, 0] = False  # unit 0 of the second layer is not heard,
    mask["net.3.weight"][1:, 3] = False  # which alone heard unit 3 of the first
    assert [kept.tolist() for kept in dead_channels(task, mask, groups).values()] == [
        [True, True, True, False],
        [False, True, True, True],
    ]


def test_zero_weights_are_not_pruned_ones() -> None:
    """Trap 5."""
    task, mask = small_mlp()
    with torch.no_grad():
        for weight in prunable(task).values():
            weight.zero_()
    assert dead_channels(task, mask, groups_of(task, noise())).density == 1


def test_constants_are_moved_into_the_biases_of_dense_layers() -> None:
    task, mask = small_mlp()
    groups = groups_of(task, noise())
    mask["net.3.weight"][2] = False
    masked = deepcopy(task)
    apply_mask(mask, dict(masked.named_parameters()))
    less, weights = fold_constants(task, mask, groups)
    said = masked.net[3].bias[2].relu()
    by_hand = masked.net[5].bias + masked.net[5].weight[:, 2] * said
    assert torch.allclose(weights["net.5.bias"], by_hand)
    assert not less["net.5.weight"][:, 2].any()
    assert less.kept == mask.kept - 2
    small, left, channels = without_dead(task.double(), mask, noise().double())
    assert channels["net.3"].tolist() == [True, True, False, True]
    assert distance(small.net(noise().double()), masked.double().net(noise().double())) < 1e-13
    assert tuple(left["net.5.weight"].shape) == (2, 3)


def test_a_constant_into_a_padded_convolution_stays() -> None:
    """The border sees the padding, not the constant."""
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=conv(1, 3), b=conv(3, 2))
    with torch.no_grad():
        task.net.a.bias.fill_(0.5)
    mask = Mask({name: kept.clone() for name, kept in full_mask(task).items()})
    mask["net.a.weight"][1] = False
    groups = groups_of(task, noise())
    assert dead_channels(task, mask, groups)["net.a"].tolist() == [True, True, True]
    assert fold_constants(task, mask, groups)[0].kept == mask.kept
    with torch.no_grad():
        task.net.a.bias.fill_(-0.5)
    assert dead_channels(task, mask, groups)["net.a"].tolist() == [True, False, True]


def test_live_weights_under_spectral_norm_hold_their_channel() -> None:
    """An unheard channel's weights still take part in the norm of the others."""
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=parametrizations.spectral_norm(conv(1, 3)), b=conv(3, 2))
    mask = Mask({name: kept.clone() for name, kept in full_mask(task).items()})
    mask["net.b.weight"][:, 1] = False
    groups = groups_of(task, noise())
    assert dead_channels(task, mask, groups)["net.a"].all()
    mask["net.a.parametrizations.weight.original"][1] = False
    assert dead_channels(task, mask, groups)["net.a"].tolist() == [True, False, True]


def test_a_dead_way_beside_a_shortcut_keeps_one_channel() -> None:
    task = make_task("wgan-gp-resnet")
    mask = Mask({name: kept.clone() for name, kept in full_mask(task).items()})
    mask["discriminator.1.main.1.weight"][:] = False
    mask["discriminator.1.main.3.weight"][:] = False
    small, _, channels = without_dead(task, mask, noise())
    assert channels.widths["discriminator.1.main.1"] == 1
    masked = deepcopy(task)
    apply_mask(mask, dict(masked.named_parameters()))
    assert far(small, masked) <= 1e-5


def test_magnitude_tickets_of_an_mlp_lose_dead_units(batches: Batches) -> None:
    """Free savings: at 95 % sparsity, hidden units are cut off."""
    task = trained("vae-mlp", batches).task
    mask = keep_top({n: w.abs() for n, w in prunable(task).items()}, 0.05, within=full_mask(task), scope="layer")
    small, left, _ = without_dead(task, mask, noise())
    assert sum(w.numel() for w in small.parameters()) < 0.8 * sum(w.numel() for w in task.parameters())
    assert left.kept <= mask.kept


def test_random_channels_are_removed_as_well() -> None:
    task = make_task("vae-conv")
    groups, channels = halved(task)
    small = compact(task, random_channels(channels, 0), noise(), groups=groups)
    assert small.encoder[0].out_channels == 2
