"""Counted norms: networks without channels under norms over several of them, exactly the silenced ones."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from test_channels import Lone, conv, distance, lone, noise
from test_compact import least
from torch import Tensor, nn

from gentickets.channels import compact, dead_channels, groups_of, narrowed, silenced, without_dead
from gentickets.counted import CountedGroupNorm, CountedLayerNorm, CountedRMSNorm, is_counted
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask, apply_mask, full_mask
from gentickets.search.early_bird import cut, ranking
from gentickets.shapes import take_shapes
from gentickets.tickets import Origin, Ticket, copied, load_weights, state_of


class Unet(nn.Module):
    """Two levels, a concatenated skip that straddles norm groups, a scale and a shift from elsewhere, one residual."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first, self.down = conv(1, 8), nn.Conv2d(8, 16, 3, 2, 1)
        self.n1, self.c1, self.film = norm(16), conv(16, 16), nn.Linear(8, 32)
        self.n2, self.up, self.join = norm(16), nn.ConvTranspose2d(16, 12, 2, 2), norm(20)
        self.c2, self.last = conv(20, 8), conv(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images to images."""
        a = self.first(x)
        b = self.down(a)
        scale, shift = self.film(a.mean((2, 3)))[:, :, None, None].chunk(2, 1)
        b = b + self.c1(torch.nn.functional.silu(self.n1(b))) * (1 + scale) + shift
        c = torch.cat([self.up(self.n2(b)), a], 1)
        return self.last(self.c2(torch.nn.functional.silu(self.join(c))))


class Mixer(nn.Module):
    """Tokens (n, places, width): a residual width under layer norms or RMS norms, and hidden units."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.into, self.place = nn.Linear(8, 12), nn.Parameter(torch.randn(1, 8, 12) * 0.1)
        self.n1, self.up, self.down = norm(12), nn.Linear(12, 20), nn.Linear(20, 12)
        self.n2, self.out = norm(12), nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        """Images of 8 by 8 are 8 tokens of 8."""
        h = self.into(x[:, 0]) + self.place
        h = h + self.down(torch.nn.functional.gelu(self.up(self.n1(h))))
        return self.out(self.n2(h))[:, None]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "group norm": lambda: Unet(lambda c: nn.GroupNorm(4, c)),
    "group norm without numbers": lambda: Unet(lambda c: nn.GroupNorm(2, c, affine=False)),
    "one group": lambda: Unet(lambda c: nn.GroupNorm(1, c)),
    "a group each": lambda: Unet(lambda c: nn.GroupNorm(c, c)),
    "instance norm": lambda: Unet(lambda c: nn.InstanceNorm2d(c, affine=True)),
    "instance norm without numbers": lambda: Unet(nn.InstanceNorm2d),
    "layer norm": lambda: Mixer(nn.LayerNorm),
    "layer norm without a bias": lambda: Mixer(lambda c: nn.LayerNorm(c, bias=False)),
    "layer norm without numbers": lambda: Mixer(lambda c: nn.LayerNorm(c, elementwise_affine=False)),
    "RMS norm": lambda: Mixer(nn.RMSNorm),
    "RMS norm without numbers": lambda: Mixer(lambda c: nn.RMSNorm(c, elementwise_affine=False, eps=1e-3)),
}


def shaken(network: nn.Module, seed: int = 0) -> Lone:
    """A task of it, all of whose numbers matter."""
    task = Lone(network)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in task.parameters():
            value.add_(torch.randn(value.shape, generator=rng) * 0.2)
    return task


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("kind", "near"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_compact_network_is_the_masked_one(name: str, kind: torch.dtype, near: float) -> None:
    task = shaken(NETWORKS[name]()).to(kind)
    x = noise().to(kind)
    groups = groups_of(task, x)
    assert sum(group.size for group in groups.values()) >= 30
    channels = least(task, groups)
    small, silent = compact(task, channels, x, groups=groups).eval(), deepcopy(task).eval()
    load_weights(silent, silenced(state_of(task), groups, channels))
    assert distance(small.net(x), silent.net(x)) <= near
    assert distance(small.net(x), task.eval().net(x)) > 1e-3, "and the channels mattered"
    assert sum(w.numel() for w in small.parameters()) < 0.45 * sum(w.numel() for w in task.parameters())
    fewer = least(small, again := groups_of(small, x), seed=1)  # and once more
    tiny, quiet = compact(small, fewer, x, groups=again).eval(), deepcopy(small).eval()
    load_weights(quiet, silenced(state_of(small), again, fewer))
    assert distance(tiny.net(x), quiet.net(x)) <= near
    built = shaken(NETWORKS[name](), seed=5).to(kind)
    take_shapes(built, state_of(tiny))
    load_weights(built, state_of(tiny))
    assert torch.equal(built.eval().net(x), tiny.net(x)), "and it is rebuilt from its state alone"


@pytest.mark.parametrize("name", ["group norm", "layer norm", "RMS norm"])
def test_statistics_over_what_is_left_are_another_function(name: str) -> None:
    """The negative control: plain norms of the narrow width, which others use."""
    task = shaken(NETWORKS[name]()).double()
    x = noise().double()
    groups = groups_of(task, x)
    channels = least(task, groups)
    small = compact(task, channels, x, groups=groups).eval()
    before = small.net(x)
    for norm in [part for part in small.modules() if is_counted(part)]:
        if isinstance(norm, CountedGroupNorm):
            norm.num_groups, norm.num_channels = 1, int(norm.left.sum())
            norm.left = norm.left.sum()[None]
        elif isinstance(norm, CountedLayerNorm | CountedRMSNorm):
            norm.normalized_shape = (int(norm.left.sum()),)
    assert distance(small.net(x), before) > 1e-3


def test_twenty_steps_of_training_are_alike() -> None:
    task = shaken(NETWORKS["group norm"]()).double()
    x = noise(8).double()
    groups = groups_of(task, x)
    channels = least(task, groups)
    small, silent = compact(task, channels, x, groups=groups), deepcopy(task)
    load_weights(silent, silenced(state_of(task), groups, channels))
    zeros = {name: value == 0 for name, value in silent.named_parameters()}
    losses = [_trained(small, x, {}), _trained(silent, x, zeros)]
    assert losses[0][-1] < 0.9 * losses[0][0]
    assert max(abs(one - other) for one, other in zip(*losses, strict=True)) < 1e-12


def _trained(task: Lone, x: Tensor, zeros: dict[str, Tensor]) -> list[float]:
    """Losses of 20 steps of Adam, in which these entries are held at zero."""
    optimizer, losses = torch.optim.Adam(task.parameters(), 1e-3), []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (task.net(x) - x).square().mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for name, gone in zeros.items():
                task.get_parameter(name).masked_fill_(gone, 0.0)
        losses.append(loss.item())
    return losses


def test_what_is_left_stands_in_the_state_and_is_checked() -> None:
    task = shaken(NETWORKS["group norm"]())
    groups = groups_of(task, noise())
    state = narrowed(state_of(task), groups, least(task, groups))
    left = {name: value for name, value in state.items() if name.endswith(".left")}
    assert {name: (value.dtype, tuple(value.shape)) for name, value in left.items()} == {
        f"net.{norm}.left": (torch.int64, (4,)) for norm in ("n1", "n2", "join")
    }
    assert all(int(left[f"net.{norm}.left"].sum()) == len(state[f"net.{norm}.weight"]) for norm in ("n1", "n2", "join"))
    first = "net.n1.left"
    bad = {
        "cannot be made narrower without 'net.n1.left'": {n: v for n, v in state.items() if n != first},
        "'net.n1.left' does not say": {**state, first: torch.tensor([99, 1, 1, 1])},
        "'net.n1.left' counts 4 channels": {**state, first: torch.tensor([1, 1, 1, 1])},
        "'net.n1.left' does not": {**state, first: torch.ones(3, dtype=torch.int64)},
    }
    for sentence, weights in bad.items():
        built = shaken(NETWORKS["group norm"]())
        with pytest.raises(TicketError, match=sentence) as caught:
            take_shapes(built, weights)
        assert caught.value.status is Status.TICKET
        assert not any(is_counted(part) for part in built.modules())
        assert built.net.n1.weight.shape == (16,)


def test_dead_units_under_a_counted_norm_go_only_where_they_are_zero() -> None:
    """A channel that nobody hears still moves the statistics of the others."""
    layers = {"a": conv(1, 8), "n": nn.GroupNorm(2, 8), "b": conv(8, 2)}
    task = lone(lambda m, x: m.b(m.n(m.a(x)).relu()), **layers).double()
    x = noise().double()
    mask = Mask({name: kept.clone() for name, kept in full_mask(task).items()})
    mask["net.b.weight"][:, [1, 6]] = False  # neither is heard,
    mask["net.a.weight"][6] = False  # and one is not fed,
    with torch.no_grad():
        task.net.a.bias[6] = 0.0  # nor says anything
    kept = dead_channels(task, mask, groups_of(task, x))["net.a"]
    assert kept.tolist() == [True] * 6 + [False, True]
    masked = deepcopy(task)
    apply_mask(mask, dict(masked.named_parameters()))
    small, _, _ = without_dead(task, mask, x)
    assert distance(small.eval().net(x), masked.eval().net(x)) < 1e-13
    assert small.net.n.left.tolist() == [4, 3]


def test_half_precision_counts_in_float32() -> None:
    norm = nn.GroupNorm(2, 8)
    task = lone(lambda m, x: m.b(m.n(m.a(x)).relu()), a=conv(1, 8), n=norm, b=conv(8, 2))
    groups = groups_of(task, noise())
    small = compact(task, least(task, groups), noise(), groups=groups).eval()
    x = small.net.a(noise()).detach()
    exact, half = small.net.n(x), small.net.n.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert distance(half.float(), exact) < 0.05


def test_a_compact_ticket_opens_in_fresh_networks() -> None:
    """As an early bird by channels cuts it, at the widths that it chooses."""
    task = shaken(NETWORKS["group norm"]())
    ranked = ranking(task, [noise()])
    dense = Ticket(full_mask(task), copied(state_of(task)), Origin("early_bird", 0, 0, 0))
    ticket = cut(dense, ranked(0.5), ranked.groups)
    fresh = shaken(NETWORKS["group norm"](), seed=9)
    ticket.load_into(fresh)
    silent = deepcopy(task).eval()
    load_weights(silent, silenced(state_of(task), ranked.groups, ranked(0.5)))
    assert distance(fresh.eval().net(noise()), silent.net(noise())) < 1e-5
    assert sum(weight.numel() for weight in fresh.parameters()) < 0.5 * sum(w.numel() for w in task.parameters())
