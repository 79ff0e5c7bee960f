"""Channels: tied groups of every kind of network, scores, choices, and tensors without channels."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from helpers import make_task, make_training
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm

from gentickets.channels import (
    Group,
    channel_scores,
    compact,
    full_channels,
    groups_of,
    keep_channels,
    lowest_channels,
    random_channels,
    removable,
    silenced,
    sliced,
)
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, full_mask, keep_top
from gentickets.tasks import Task
from gentickets.tickets import state_of
from gentickets.training import train

IMAGE = (1, 8, 8)


def noise(n: int = 4, *, image: tuple[int, ...] = IMAGE, seed: int = 0) -> Tensor:
    return torch.rand((n, *image), generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Lone(Task):
    """A task of one component, which takes images."""

    def __init__(self, net: nn.Module, image: tuple[int, int, int] = IMAGE) -> None:
        super().__init__()
        self.image, self.net = image, net

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"net": (batch,)}


class Way(nn.Module):
    """Layers, and a forward pass of one's own."""

    def __init__(self, way, **layers: nn.Module) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.way = way
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


class Bare(nn.Module):
    """A parameter of no layer, added."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.ones(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


def lone(way, seed: int = 0, **layers: nn.Module) -> Lone:  # type: ignore[no-untyped-def]
    task = Lone(Way(way, **layers))
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in task.parameters():
            value.copy_(torch.randn(value.shape, generator=rng) * 0.5)
    return task


def conv(before: int, after: int, **more: object) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, **more)  # type: ignore[arg-type]


def owned(group: Group, tensor: str, dim: int) -> list[list[int]]:
    """Which entries of a tensor's dimension each channel of a group owns."""
    (member,) = [member for member in group.members if (member.tensor, member.dim) == (tensor, dim)]
    return [list(row) for row in member.index.tolist()]


def halved(task: Task, **more: object) -> tuple[dict[str, Group], Channels]:
    groups = groups_of(task, noise())
    scores = channel_scores(task, groups)
    return groups, keep_channels(scores, 0.5, within=full_channels(groups), scope="layer", **more)  # type: ignore[arg-type]


# -- groups ---------------------------------------------------------------------------------------------------


def test_groups_of_a_convolutional_gan_by_hand() -> None:
    groups = groups_of(make_task("gan-conv", width=6, norm="batch-all"), noise())
    assert {name: group.size for name, group in groups.items()} == {"generator.1": 6, "discriminator.0": 6}
    found = {(m.tensor, m.dim, m.part, m.makes) for m in groups["generator.1"].members}
    assert found == {
        ("generator.1.weight", 1, "weight", True),  # transposed: [in, out, k, k] (Trap 13)
        ("generator.2.weight", 0, "scale", True),
        ("generator.2.bias", 0, "shift", True),
        ("generator.2.running_mean", 0, "statistic", True),
        ("generator.2.running_var", 0, "statistic", True),
        ("generator.4.weight", 0, "weight", False),
    }
    assert ("discriminator.3.weight", 1, "weight", False) in {
        (m.tensor, m.dim, m.part, m.makes) for m in groups["discriminator.0"].members
    }


def test_a_dense_layer_in_front_of_a_map_owns_all_rows_of_a_channel() -> None:
    """Trap 14: torch-pruning takes it for one of as many channels as it has rows, and leaves it whole."""
    task = make_task("wgan-gp-resnet")  # 8 channels on a 4x4 map; torch-pruning's own groups have 128
    group = groups_of(task, noise())["generator.0"]
    assert group.size == 8
    rows = [list(range(16 * channel, 16 * (channel + 1))) for channel in range(8)]
    assert owned(group, "generator.0.weight", 0) == owned(group, "generator.0.bias", 0) == rows
    assert owned(group, "generator.2.main.0.weight", 0) == [[channel] for channel in range(8)]
    maxpool = make_task("ae-maxpool", latent=3)
    assert "decoder.0" not in groups_of(maxpool, noise()), "an autoencoder's code is an interface"


def test_a_dense_layer_behind_a_map_owns_all_columns_of_a_channel() -> None:
    task = lone(lambda m, x: m.b(m.a(x).relu().flatten(1)), a=nn.Conv2d(1, 3, 3, 3), b=nn.Linear(12, 2))
    (group,) = groups_of(task, noise()).values()
    assert owned(group, "net.b.weight", 1) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_residual_networks_are_tied_across_their_sums() -> None:
    groups = groups_of(make_task("vae-resnet18"), noise())
    stem = groups["encoder.0"]
    makers = {member.tensor for member in stem.of("weight")}
    readers = {member.tensor for member in stem.of("weight", makes=False)}
    assert makers == {"encoder.0.weight", "encoder.3.main.3.weight"}
    assert readers == {"encoder.3.main.0.weight", "encoder.4.main.0.weight", "encoder.4.shortcut.0.weight"}
    critic = groups_of(make_task("wgan-gp-resnet"), noise())["discriminator.0.main.2"]
    assert {member.tensor for member in critic.of("weight")} == {
        "discriminator.0.main.2.weight",
        "discriminator.0.shortcut.1.weight",
        "discriminator.1.main.3.weight",
        "discriminator.2.main.3.weight",
    }


@pytest.mark.parametrize("case", ["ae-mlp", "vae-conv", "gan-conv", "vae-resnet18", "gan-sngan", "wgan-gp-resnet"])
def test_interfaces_stay(case: str) -> None:
    """Trap 16: what a component takes and gives keeps its shape."""
    task = make_task(case)
    groups, channels = halved(task)
    small = compact(task, channels, noise(), groups=groups)
    for component, given in task.inputs(noise()).items():
        assert getattr(small, component)(*given).shape == getattr(task, component)(*given).shape


@pytest.mark.parametrize("case", ["gan-conv", "ae-maxpool", "vae-resnet18"])
def test_torch_prunings_own_groups_give_the_same_shapes(case: str) -> None:
    """The reference, on components without a dense layer in front of a map."""
    task = make_task(case).eval()
    component = {"gan-conv": "generator", "ae-maxpool": "encoder", "vae-resnet18": "encoder"}[case]
    groups = {n: g for n, g in groups_of(task, noise()).items() if n.startswith(component)}
    scores, full = random_scores(groups, 0), full_channels(groups)
    channels = keep_channels(scores, 0.5, within=full, scope="layer")
    ours = {n: t for n, t in sliced(state_of(task), groups, channels).items() if n.startswith(component)}
    theirs = deepcopy(task)
    part = getattr(theirs, component)
    inputs = task.inputs(noise())[component]
    for name, kept in channels.items():
        graph = torch_pruning.DependencyGraph().build_dependency(part, (inputs[0].detach(),))
        layer = theirs.get_submodule(name)
        rule = graph.get_pruner_of_module(layer).prune_out_channels
        graph.get_pruning_group(layer, rule, (~kept).nonzero().flatten().tolist()).prune()
    for name, tensor in theirs.state_dict().items():
        if name.startswith(component):
            assert torch.equal(tensor, ours[name]), name


def test_a_task_is_untouched_by_tracing() -> None:
    for case in ("gan-sngan", "vae-conv"):
        task = make_task(case)
        task.decoder.requires_grad_(False) if case == "vae-conv" else None
        before = {name: value.clone() for name, value in task.state_dict().items()}
        modes = [(part, part.training, dict(part._forward_hooks)) for part in task.modules()]
        asked = [value.requires_grad for value in task.parameters()]
        random = torch.get_rng_state()
        groups_of(task, noise())
        assert list(before) == list(task.state_dict())
        assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
        assert [(part, part.training, dict(part._forward_hooks)) for part in task.modules()] == modes
        assert [value.requires_grad for value in task.parameters()] == asked
        assert torch.equal(random, torch.get_rng_state())
        task.inputs(noise())
        [getattr(task, name)(*given) for name, given in task.inputs(noise()).items()]


def test_the_parts_of_a_split_are_told_apart() -> None:
    """torch-pruning numbers them as it meets them; here the first half is read by the second convolution named."""

    def way(m: Way, x: Tensor) -> Tensor:
        one, other = m.a(x).relu().chunk(2, 1)
        return m.c(other) + m.b(one)

    task = lone(way, a=conv(1, 6), b=conv(3, 2), c=conv(3, 2))
    groups = groups_of(task, noise())
    assert {name: group.size for name, group in groups.items()} == {"net.a": 3, "net.a#2": 3}
    reads = {name: [m.tensor for m in group.of("weight", makes=False)] for name, group in groups.items()}
    assert reads == {"net.a": ["net.b.weight"], "net.a#2": ["net.c.weight"]}
    assert owned(groups["net.a#2"], "net.a.weight", 0) == [[3], [4], [5]]


def odd_networks() -> dict[str, tuple[Lone, dict[str, int]]]:
    """Networks that nobody in the zoo has: with the groups that they have."""
    both = nn.Sequential(conv(4, 4), nn.ReLU())
    return {
        "gate": (lone(lambda m, x: m.b(m.a(x).relu() * m.g(x).sigmoid()), a=conv(1, 4), g=conv(1, 4), b=conv(4, 2)),
                 {"net.a": 4}),
        "glu": (lone(lambda m, x: m.b(F.glu(m.a(x), 1)), a=conv(1, 8), b=conv(4, 2)), {"net.a": 4}),
        "halves multiplied": (
            lone(lambda m, x: m.b(torch.mul(*m.a(x).chunk(2, 1))), a=conv(1, 8), b=conv(4, 2)), {"net.a": 4}),
        "concatenation": (
            lone(lambda m, x: m.c(torch.cat([m.b(x), m.a(x)], 1).relu()), a=conv(1, 3), b=conv(1, 4), c=conv(7, 2)),
            {"net.a": 3, "net.b": 4}),
        "images in between": (
            lone(lambda m, x: m.c(torch.cat([x, m.a(x)], 1)), a=conv(1, 3), c=conv(4, 2)), {"net.a": 3}),
        "depthwise": (lone(lambda m, x: m.b(m.d(m.a(x)).relu()), a=conv(1, 4), d=conv(4, 4, groups=4), b=conv(4, 2)),
                      {"net.a": 4}),
        "grouped": (lone(lambda m, x: m.b(m.d(m.a(x)).relu()), a=conv(1, 4), d=conv(4, 6, groups=2), b=conv(6, 2)),
                    {"net.a": 2}),
        "layer norm": (lone(lambda m, x: m.b(m.n(m.a(x.flatten(1)))), a=nn.Linear(64, 4), n=nn.LayerNorm(4),
                            b=nn.Linear(4, 2)), {"net.a": 4}),
        "prelu": (lone(lambda m, x: m.b(m.p(m.a(x))), a=conv(1, 4), p=nn.PReLU(4), b=conv(4, 2)), {"net.a": 4}),
        "one slope": (lone(lambda m, x: m.b(m.p(m.a(x))), a=conv(1, 4), p=nn.PReLU(), b=conv(4, 2)), {"net.a": 4}),
        "instance norm": (lone(lambda m, x: m.b(m.n(m.a(x))), a=conv(1, 4), n=nn.InstanceNorm2d(4, affine=True),
                               b=conv(4, 2)), {"net.a": 4}),
        "norm without numbers": (
            lone(lambda m, x: m.b(m.n(m.a(x))), a=conv(1, 4), b=conv(4, 2),
                 n=nn.BatchNorm2d(4, affine=False, track_running_stats=False)), {"net.a": 4}),
        "used twice": (lone(lambda m, x: m.b(m.d(m.d(m.a(x)).relu()).relu()), a=conv(1, 4), d=conv(4, 4), b=conv(4, 2)),
                       {"net.a": 4}),
        "added to the input": (lone(lambda m, x: m.b((x + m.a(x)).relu()), a=conv(1, 1), b=conv(1, 2)), {}),
        "two results": (lone(lambda m, x: (m.b(h := m.a(x).relu()), h), a=conv(1, 4), b=conv(4, 2)), {}),
        "permuted": (lone(lambda m, x: m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)), a=conv(1, 4), b=nn.Linear(256, 2)),
                     {"net.a": 4}),
        "over channels": (lone(lambda m, x: m.b(m.a(x).mean(1, keepdim=True)), a=conv(1, 4), b=conv(1, 2)), {}),
        "dense before and behind": (
            lone(lambda m, x: m.c(m.b(m.a(x.flatten(1)).view(len(x), -1, 2, 2).relu()).flatten(1)), a=nn.Linear(64, 12),
                 b=conv(3, 5), c=nn.Linear(20, 2)), {"net.a": 3, "net.b": 5}),
        "in a row": (lone(lambda m, x: m.c(m.both(m.a(x).relu())), a=conv(1, 4), both=both, c=conv(4, 2)),
                     {"net.a": 4, "net.both.0": 4}),
        "weight norm": (lone(lambda m, x: m.c(m.b(m.a(x).relu())), a=conv(1, 4), c=conv(4, 2),
                             b=parametrizations.weight_norm(conv(4, 4))), {}),
        "a bare parameter": (lone(lambda m, x: m.b(m.p(m.a(x))), a=conv(1, 4), b=conv(4, 2), p=Bare()), {"net.a": 4}),
        "one layer": (Lone(nn.Sequential(nn.Flatten(), nn.Linear(64, 2))), {}),
        "nothing around it": (Lone(nn.Conv2d(1, 2, 3)), {}),
        "3d": (lone(lambda m, x: m.b(m.a(x[:, :, None]).relu()), a=nn.Conv3d(1, 4, (1, 3, 3)),
                    b=nn.ConvTranspose3d(4, 2, (1, 3, 3))), {"net.a": 4}),
        "1d": (lone(lambda m, x: m.b(m.a(x.flatten(2)).relu()), a=nn.Conv1d(1, 4, 3), b=nn.ConvTranspose1d(4, 2, 3)),
               {"net.a": 4}),
    }  # fmt: skip


@pytest.mark.parametrize("name", odd_networks())
def test_networks_that_nobody_in_the_zoo_has(name: str) -> None:
    """What is understood is removed exactly, also where an activation of zero is not zero; the rest stays whole."""
    task, expected = odd_networks()[name]
    groups = groups_of(task, noise())
    assert {name: group.size for name, group in groups.items()} == expected
    channels = random_channels(halved(task)[1], 1)
    small = compact(task, channels, noise(), groups=groups)  # checks itself against the silenced network
    weights = sum(value.numel() for value in task.parameters())
    assert (sum(value.numel() for value in small.parameters()) < weights) == bool(expected)


def test_channels_that_are_mixed_in_places_stay() -> None:
    """As many rows as columns, swapped: a convolution then reads all channels at once, row by row."""
    task = lone(lambda m, x: m.b(m.a(x).transpose(1, 2)), a=conv(1, 8), b=conv(8, 2))
    found = groups_of(task, noise())
    assert not found
    count, why = found.stays["net.a"]
    assert count == 8
    assert "could only go together" in why


def test_an_unknown_operator_is_named_with_its_module_and_what_does_not_meet_it_goes() -> None:
    def way(m: Way, x: Tensor) -> Tensor:
        return m.c(m.b(torch.fft.fft2(m.a(x)).real).relu())

    found = groups_of(lone(way, a=conv(1, 8), b=conv(8, 4), c=conv(4, 2)), noise())
    assert {name: group.size for name, group in found.items()} == {"net.b": 4}
    assert found.stays["net.a"] == (8, "'_fft_c2c' in the component itself is not understood")
    assert (
        found.sentence
        == "4 of 12 units can go; the others: 'net.a' keeps 8: '_fft_c2c' in the component itself is not understood"
    )


def test_repeated_sizes_are_told_in_one_line() -> None:
    task = lone(lambda m, x: m.b(m.a(x.flatten(1)).view(-1, 4, 2, 2)), a=nn.Linear(64, 16), b=conv(4, 2))
    groups, channels = halved(task)
    with pytest.raises(TicketError, match=r"do not run with fewer channels .*infer sizes"):
        compact(task, channels, noise(), groups=groups)


def test_a_repeated_size_keeps_its_own_group_and_lets_the_rest_go() -> None:
    def way(m: Way, x: Tensor) -> Tensor:
        return m.c(m.b(m.a(x.flatten(1)).view(-1, 4, 2, 2)).relu())

    task = lone(way, a=nn.Linear(64, 16), b=conv(4, 6), c=conv(6, 2))
    assert list(groups_of(task, noise())) == ["net.a", "net.b"]
    found = removable(task, noise())
    assert list(found) == ["net.b"]
    assert found.stays["net.a"][0] == 4
    assert "do not run with fewer channels" in found.sentence
    kept = Channels({"net.b": torch.arange(6) < 3})
    assert compact(task, kept, noise(), groups=found).net.b.out_channels == 3


def test_a_size_that_the_network_asserts_keeps_its_own_group_too() -> None:
    def way(m: Way, x: Tensor) -> Tensor:
        h = m.a(x).relu()
        if h.shape[1] != 4:
            raise AssertionError
        return m.c(m.b(h).relu())

    found = removable(lone(way, a=conv(1, 4), b=conv(4, 6), c=conv(6, 2)), noise())
    assert list(found) == ["net.b"]
    assert found.stays["net.a"] == (4, "the networks do not run with fewer channels (AssertionError)")


def test_tied_weights_and_untraceable_networks_say_what_to_do_instead() -> None:
    with pytest.raises(TicketError, match=r"'decoder.2.weight' shares its numbers.*by = \"weights\"") as caught:
        groups_of(make_task("tied-mlp"), noise())
    assert caught.value.status is Status.FAILED

    def broken(m: Way, x: Tensor) -> Tensor:
        raise RuntimeError("no way\nat all")

    with pytest.raises(TicketError, match=r"'net' cannot be traced.*\(no way\).*by = \"weights\""):
        groups_of(lone(broken, a=conv(1, 4)), noise())


def test_exempt_weights_and_other_components_keep_their_channels() -> None:
    task = make_task("gan-mlp")
    assert list(groups_of(task, noise(), components=["generator"])) == ["generator.0", "generator.2"]
    assert list(groups_of(task, noise(), exempt=["generator.0.weight", "discriminator.*"])) == ["generator.2"]


@pytest.mark.parametrize("form", [parametrizations.spectral_norm, spectral_norm])
def test_both_forms_of_spectral_norm_are_traced_and_their_vectors_owned(form) -> None:  # type: ignore[no-untyped-def]
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=form(nn.Conv2d(1, 4, 3)), b=form(nn.ConvTranspose2d(4, 2, 3)))
    task.train()
    task.net(noise())  # the old form leaves a weight with a history on the layer
    (group,) = groups_of(task, noise()).values()
    names = {member.tensor for member in group.members}
    assert names <= set(state_of(task))
    assert len(names) == 5  # weight, bias and u of the first, weight and v of the second
    v = next(name for name in names if name.startswith("net.b") and name.endswith("_v"))
    assert owned(group, v, 0) == [list(range(9 * channel, 9 * channel + 9)) for channel in range(4)]


# -- scores and choices ---------------------------------------------------------------------------------------


def test_scores_are_gammas_or_norms_of_the_weights_by_hand() -> None:
    task = lone(
        lambda m, x: m.c(m.n(m.a(x)) + m.k(m.b(x))),
        a=conv(1, 3), b=conv(1, 3), n=nn.BatchNorm2d(3), k=nn.BatchNorm2d(3), c=conv(3, 2),
    )  # fmt: skip
    with torch.no_grad():
        task.net.n.weight.copy_(torch.tensor([1.0, -2.0, 3.0]))
        task.net.k.weight.copy_(torch.tensor([3.0, 2.0, -1.0]))
    assert channel_scores(task, groups_of(task, noise()))["net.a"].tolist() == [2.0, 2.0, 2.0]

    task = lone(lambda m, x: m.c((m.a(x.flatten(1)).view(-1, 2, 1, 1) + m.b(x)).relu()), a=nn.Linear(64, 2),
                b=nn.Conv2d(1, 2, 8), c=nn.Conv2d(2, 1, 1))  # fmt: skip
    both = torch.cat([task.net.a.weight, task.net.b.weight.flatten(1)], 1).norm(dim=1)
    scores = channel_scores(task, groups_of(task, noise()))["net.a"]
    assert torch.allclose(scores, both / both.mean())
    assert scores.mean().item() == pytest.approx(1)
    dense = make_task("wgan-gp-resnet")
    scores = channel_scores(dense, groups_of(dense, noise()))["generator.0"]
    assert torch.equal(scores, torch.stack([dense.generator[2].main[0].weight.abs()]).mean(0))


def test_counts_are_exact_ties_included_and_pruned_stays_pruned() -> None:
    """Trap 3: at initialization all gammas are 1."""
    task = make_task("vae-resnet18", width=8)
    groups = groups_of(task, noise())
    scores, full = channel_scores(task, groups), full_channels(groups)
    for component in task.components:
        total = full.of(component).total
        kept = keep_channels(scores, 0.5, within=full)
        assert kept.of(component).kept == math.floor(0.5 * total + 0.5)
    layered = keep_channels(scores, 0.3, within=full, scope="layer")
    assert layered.widths == {name: math.floor(0.3 * group.size + 0.5) for name, group in groups.items()}
    assert isinstance(layered, Channels)
    less = keep_channels(random_scores(groups, 1), 0.2, within=layered, scope="layer")
    assert all(not (less[name] & ~layered[name]).any() for name in groups)


def random_scores(groups: dict[str, Group], seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.rand(group.size, generator=rng) for name, group in groups.items()}


def test_counts_are_rounded_to_multiples_and_filled_by_the_groups_own_ranking() -> None:
    scores = {"g.a": torch.arange(64.0), "g.b": torch.arange(40.0), "g.c": torch.arange(10.0), "g.d": torch.ones(100)}
    full = Channels({name: torch.ones(len(score), dtype=torch.bool) for name, score in scores.items()})
    kept = keep_channels(scores, 0.3, within=full, scope="layer", multiple=16)
    assert kept.widths == {"g.a": 16, "g.b": 16, "g.c": 10, "g.d": 32}  # 19, 12, 3 and 30 of them
    assert kept.indices("g.a").tolist() == list(range(48, 64))
    half = keep_channels(scores, 0.375, within=full, scope="layer", multiple=16)
    assert half.widths["g.a"] == 32, "24 is halfway, and halves go up"
    assert keep_channels(scores, 1.0, within=full, multiple=16).density == 1
    narrow = Channels({**full, "g.a": torch.arange(64) < 10})
    assert keep_channels(scores, 0.3, within=narrow, scope="layer", multiple=16).widths["g.a"] == 10
    with pytest.raises(TicketError, match="multiples of at least 1, not of 0"):
        keep_channels(scores, 0.5, within=full, multiple=0)


def test_an_emptied_group_is_refused_in_one_line() -> None:
    scores = {"g.a": torch.ones(4), "g.b": torch.zeros(4)}
    full = Channels({name: torch.ones(4, dtype=torch.bool) for name in scores})
    with pytest.raises(
        TicketError, match=r"keeping 4 of the 8 channels of 'g' would leave nothing of 'g.b': try"
    ) as told:
        keep_channels(scores, 0.5, within=full)
    assert told.value.status is Status.FAILED
    assert "weights" not in str(told.value)


def test_random_and_lowest_channels_are_as_many_and_others() -> None:
    """Trap 21a's controls."""
    task = make_task("gan-sngan")
    groups, channels = halved(task)
    scores = random_scores(groups, 3)
    top = keep_channels(scores, 0.25, within=full_channels(groups), scope="layer")
    for other in (random_channels(top, 0), lowest_channels(scores, top)):
        assert other.widths == top.widths
        assert all(not torch.equal(other[name], top[name]) for name in groups)
    assert random_channels(top, 0).distance(random_channels(top, 0)) == 0
    assert random_channels(channels, 0).distance(random_channels(channels, 1)) > 0
    lowest = lowest_channels(scores, top)
    for name, score in scores.items():
        assert score[lowest[name]].max() <= score[~lowest[name]].min()
    two = Channels({"g.a": torch.tensor([True, False])})
    for seed in range(5):
        assert random_channels(two, seed)["g.a"].tolist() == [False, True]
    whole = Channels({"g.a": torch.ones(3, dtype=torch.bool)})
    assert random_channels(whole, 0)["g.a"].all()
    assert lowest_channels({"g.a": torch.rand(3)}, whole)["g.a"].all()


# -- silenced and sliced --------------------------------------------------------------------------------------


def test_a_silenced_channel_is_its_whole_tied_group() -> None:
    """Trap 12: masking weights alone leaves biases and norms to speak."""
    task = make_task("gan-conv-all").eval()
    groups, channels = halved(task)
    state = state_of(task)
    with torch.no_grad():
        task.generator[2].bias.fill_(0.5)
    quiet = silenced(state, groups, channels)
    gone = ~channels["generator.1"]
    for name, dim in {"1.weight": 1, "2.weight": 0, "2.bias": 0, "4.weight": 0}.items():
        moved = quiet[f"generator.{name}"].movedim(dim, 0)
        assert not moved[gone].any(), name
        assert torch.equal(moved[~gone], state[f"generator.{name}"].movedim(dim, 0)[~gone])
    for name in ("generator.2.running_mean", "generator.6.weight", "generator.2.num_batches_tracked"):
        assert name not in state or torch.equal(quiet[name], state[name])
    weights_alone = {**state, "generator.1.weight": quiet["generator.1.weight"]}
    small = compact(task, channels, noise(), groups=groups)
    z = task.inputs(noise())["generator"][0]
    assert distance(small.generator(z), run(task, weights_alone, z)) > 1e-2
    exact = {name: value.double() if value.is_floating_point() else value for name, value in quiet.items()}
    task.double(), small.double()
    assert distance(small.generator(z.double()), run(task, exact, z.double())) < 1e-13


def run(task: Task, weights: dict[str, Tensor], z: Tensor) -> Tensor:
    inside = {name.removeprefix("generator."): value for name, value in weights.items() if name.startswith("gen")}
    return torch.func.functional_call(task.generator, inside, (z,))


def distance(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


def test_silenced_weights_are_positive_zeros() -> None:
    task = make_task("gan-mlp")
    groups, channels = halved(task)
    quiet = silenced(state_of(task), groups, channels)
    zeros = quiet["generator.0.weight"][~channels["generator.0"]]
    assert not torch.signbit(zeros).any()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_optimizer_state_and_averages_follow_the_channels(optimizer: str, batches: Batches) -> None:
    """Trap 17."""
    training = make_training("gan-sngan", optimizer=optimizer, ema={"generator": 0.9})
    train(training, batches, range(3))
    groups, channels = halved(training.task)
    snapshot = training.snapshot(3)
    optim, ema = sliced(snapshot.optim, groups, channels), sliced(snapshot.ema, groups, channels)
    weights = sliced(snapshot.weights, groups, channels)
    assert set(optim) == set(snapshot.optim)
    for key, value in optim.items():
        parameter = key.split("/")[1]
        assert value.shape == (() if key.endswith("/step") else weights[parameter].shape)
    slot = {"adam": "exp_avg_sq", "sgd": "momentum_buffer", "rmsprop": "square_avg"}[optimizer]
    whole = snapshot.optim[f"generator/generator.4.weight/{slot}"]
    rows, columns = channels.indices("generator.0"), channels.indices("generator.4")
    cut = optim[f"generator/generator.4.weight/{slot}"]
    assert torch.equal(cut, whole[rows][:, columns])
    assert torch.equal(ema["generator.4.weight"], snapshot.ema["generator.4.weight"][rows][:, columns])
    assert set(sliced({"generator.4.weight/step": torch.tensor(3.0)}, groups, channels)) == {"generator.4.weight/step"}


def test_strides_keep_their_order() -> None:
    """Trap 34."""
    task = make_task("gan-conv-all", width=8)
    task.to(memory_format=torch.channels_last)
    groups, channels = halved(task)
    small = compact(task, channels, noise(), groups=groups)
    for state in (
        sliced(state_of(task), groups, channels),
        silenced(state_of(task), groups, channels),
        small.state_dict(),
    ):
        weight = state["discriminator.3.weight"]
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()


def test_masks_are_cut_and_silenced_too() -> None:
    task = make_task("vae-mlp")
    groups, channels = halved(task)
    mask = keep_top(
        {n: w.abs() for n, w in state_of(task).items() if n in full_mask(task)}, 0.5, within=full_mask(task)
    )
    cut = sliced(mask, groups, channels)
    rows = channels.indices("encoder.1")
    assert cut["encoder.1.weight"].dtype == torch.bool
    assert torch.equal(cut["encoder.1.weight"], mask["encoder.1.weight"][rows])
    assert not silenced(mask, groups, channels)["encoder.1.weight"][~channels["encoder.1"]].any()


def test_channels_of_other_networks_are_refused() -> None:
    task = make_task("gan-conv")
    groups, channels = halved(task)
    state = state_of(task)
    with pytest.raises(TicketError, match=r"no group of channels 'generator.2'. Did you mean 'generator.1'"):
        sliced(state, groups, Channels({"generator.2": torch.ones(4, dtype=torch.bool)}))
    with pytest.raises(TicketError, match=r"'generator.1' have shape \(3,\), the group is of 4"):
        compact(task, Channels({"generator.1": torch.ones(3, dtype=torch.bool)}), noise(), groups=groups)
    with pytest.raises(TicketError, match=r"no channel of 'generator.1' is kept, which would remove the whole layer"):
        silenced(state, groups, Channels({"generator.1": torch.zeros(4, dtype=torch.bool)}))
    with pytest.raises(TicketError, match="its channels stand along 4 entries") as caught:
        sliced(sliced(state, groups, channels), groups, channels)
    assert caught.value.status is Status.TICKET
    with pytest.raises(TicketError, match=r"the task has no 'generator.1.weight', which the group 'generator.1' names"):
        channel_scores(make_task("gan-mlp"), groups)
