"""Transfer: what pairs with what, what is carried over bit for bit, and what is refused with nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import pytest
import torch
from helpers import FAMILY_CASES, OTHER_CASES, Tied, make_task, make_training
from torch import Tensor, nn

from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Channels, Magnitudes, Mask, full_mask, keep_top, prunable, prunable_layers
from gentickets.tasks import GAN, VAE, Task
from gentickets.tasks.networks import NETWORKS
from gentickets.tickets import Origin, Tensors, Ticket, copied, state_of, zeroed
from gentickets.training import train
from gentickets.transfer import (
    MOVES,
    Pairing,
    Table,
    carried,
    default_routes,
    paired,
    transfer,
)
from gentickets.transfer.couples import longest
from gentickets.transfer.depths import places

CASES = [*FAMILY_CASES, *OTHER_CASES]
MATCHES = ("name", "order")


def ticket_of(task: Task, density: float = 0.3) -> Ticket:
    """A ticket at uniform densities, with norms that have seen something."""
    state = copied(state_of(task))
    rng = torch.Generator().manual_seed(1)
    for name, value in state.items():
        if name.endswith(("running_mean", "running_var", "bias")):
            value.copy_(torch.rand(value.shape, generator=rng))
    full = full_mask(task)
    mask = keep_top(Magnitudes({name: state[name] for name in full}), density, within=full, scope="layer")
    return Ticket(mask, zeroed(state, mask), Origin("iterative", 5, 4, 11))


def grown(ticket: Ticket) -> dict[str, Tensor]:
    """Weights that a ticket may have grown into: some have another sign."""
    rng = torch.Generator().manual_seed(2)
    moved = {
        name: value + torch.randn(value.shape, generator=rng) if value.is_floating_point() else value + 7
        for name, value in ticket.weights.items()
    }
    return zeroed(moved, ticket.mask)


def start_of(task: Task, **keywords: list[str]) -> Ticket:
    return Ticket(full_mask(task, **keywords), copied(state_of(task)), Origin("iterative", 0, 0, 3))


@cache
def source_of(case: str) -> tuple[Task, Ticket, Mapping[str, Tensor]]:
    task = make_task(case, seed=5)
    ticket = ticket_of(task)
    return task, ticket, grown(ticket)


@cache
def target_of(case: str) -> tuple[Task, Ticket]:
    task = make_task(case, seed=0)
    return task, start_of(task)


def mlp(family: type[VAE] | type[GAN], seed: int = 0, **changes: int) -> Task:
    sizes = {"width": 6, "depth": 2, "latent": 3}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return family((1, 4, 4), **{**sizes, **changes})


def pairs_of(pairing: Pairing) -> dict[str, str]:
    return {pair.target: pair.source for pair in pairing.pairs}


def carry(case: str, other: str, pairing: Pairing, moves: str, **keywords: float) -> tuple[Ticket, Table]:
    source, ticket, trained = source_of(case)
    target, start = target_of(other)
    return carried(ticket, target, start, pairing, source=source, moves=moves, trained=trained, **keywords)


def some_pairing(case: str, other: str, match: str) -> Pairing | None:
    """The default pairing of two cases, None where nothing fits."""
    try:
        return paired(source_of(case)[0], target_of(other)[0], match=match)
    except TicketError as error:
        if "nothing would move" not in str(error):
            raise
        return None


def product(case: str) -> Iterator[tuple[str, Pairing]]:
    """Every other case with which this one pairs, by name and in order."""
    for other in CASES:
        for match in MATCHES:
            if (pairing := some_pairing(case, other, match)) is not None:
                yield other, pairing


def expected(name: str, giver: str | None, kept: Tensor, moves: str, from_source: Tensors, fresh: Tensor) -> Tensor:
    """A prunable weight of the carried ticket, by the definition of what moves."""
    if giver is None or moves == "mask":
        return torch.where(kept, fresh, 0.0)
    if moves == "signs":
        size = fresh.abs() * float(kept.float().mean()) ** -0.5
        return torch.where(kept, torch.where(from_source[giver] > 0, size, -size), 0.0)
    return torch.where(kept, from_source[giver], 0.0)


@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("case", CASES)
def test_carried_layers_have_what_the_source_has_and_all_others_their_own(case: str, moves: str) -> None:
    source, ticket, trained = source_of(case)
    values = ticket.weights if moves == "weights" else trained
    others = 0
    for other, pairing in product(case):
        target, start = target_of(other)
        made, table = carry(case, other, pairing, moves)
        ours, theirs = prunable_layers(source), prunable_layers(target)
        pairs = pairs_of(pairing)
        givers = {theirs[here][0]: ours[there][0] for here, there in pairs.items() if here in theirs}
        assert list(made.mask) == list(prunable(target))
        for name, kept in made.mask.items():
            giver = givers.get(name)
            assert torch.equal(kept, ticket.mask[giver] if giver else start.mask[name])
            wanted = expected(name, giver, kept, moves, values, start.weights[name])
            assert torch.equal(made.weights[name], wanted)
        for name in made.weights.keys() - made.mask.keys():
            module, _, tensor = name.rpartition(".")
            giver_name = f"{pairs.get(module)}.{tensor}"
            is_scale = tensor in ("weight", "bias") and module not in theirs
            moved = moves in ("weights", "trained") or (moves == "signs" and is_scale)
            from_source = moved and giver_name in values
            assert torch.equal(made.weights[name], values[giver_name] if from_source else start.weights[name])
        assert table.density == pytest.approx(made.mask.density)
        assert {entry.target: entry.source for entry in table.entries} == {n: givers.get(n) for n in made.mask}
        assert not made.optim
        assert not made.ema
        assert made.origin == replace(start.origin, method="transfer")
        others += other != case
    assert others or case in ("ae-maxpool", "ae-linear", "vae-resnet18", "gan-sngan", "wgan-gp-resnet")


@pytest.mark.parametrize("case", CASES)
def test_neither_network_changes_and_the_ticket_loads(case: str) -> None:
    for other, pairing in product(case):
        source, target = make_task(case, seed=5), make_task(other)
        before = copied(source.state_dict()), copied(target.state_dict())
        made, _ = transfer(source_of(case)[1], source, target, match=pairing.match)
        for task, state in zip((source, target), before, strict=True):
            assert all(torch.equal(value, state[name]) for name, value in task.state_dict().items())
        made.load_into(target)
        loaded = dict(target.named_parameters())
        assert all(torch.equal(loaded[name], made.weights[name]) for name in made.mask)


@pytest.mark.parametrize("case", CASES)
def test_a_family_pairs_wholly_with_itself(case: str) -> None:
    task = make_task(case)
    pairing = paired(task, make_task(case, seed=1), {name: name for name in task.components})
    assert all(here == there for here, there in pairs_of(pairing).items())
    assert [name for name in prunable_layers(task) if name not in pairs_of(pairing)] == []
    assert pairing.left == ()


@pytest.mark.parametrize("network", NETWORKS)
def test_decoder_and_generator_of_one_network_fit_whole_both_ways(network: str) -> None:
    vae, gan = make_task("vae-conv", network=network), make_task("gan-conv", network=network)
    for source, target, here, there in ((vae, gan, "decoder", "generator"), (gan, vae, "generator", "decoder")):
        by_name, in_order = (paired(source, target, {here: there}, match=match) for match in MATCHES)
        assert by_name.pairs == in_order.pairs == paired(source, target).pairs
        moving = {
            name for name, module in target.get_submodule(there).named_modules(prefix=there) if module._parameters
        }
        assert set(pairs_of(by_name)) == moving
        assert all(note.startswith("no route names") for note in by_name.left)


def test_a_familys_own_norms_all_go_with_their_layers() -> None:
    for case in ("vae-conv", "vae-resnet18", "gan-sngan", "gan-conv-all", "wgan-gp-resnet"):
        task = make_task(case)
        norms = [name for name, module in task.named_modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert set(norms) <= set(pairs_of(paired(task, make_task(case), match="order")))


@pytest.mark.parametrize(
    ("source", "target", "routes"),
    [
        ("ae-mlp", "vae-mlp", {"encoder": "encoder", "decoder": "decoder"}),
        ("vae-conv", "gan-conv", {"decoder": "generator"}),
        ("gan-mlp", "vae-mlp", {"generator": "decoder"}),
        ("wgan-mlp", "gan-mlp", {"generator": "generator", "discriminator": "discriminator"}),
        ("gda", "gan-mlp", {"generator": "generator", "discriminator": "discriminator"}),
    ],
)
def test_default_routes(source: str, target: str, routes: dict[str, str]) -> None:
    assert default_routes(make_task(source), make_task(target)) == routes


class Odd(Task):
    """A family whose components are called otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.painter = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 16))


def test_default_routes_of_hybrids_name_nothing_twice() -> None:
    both = Odd()
    both.generator, both.decoder = both.painter, nn.Linear(2, 2)
    del both.painter
    assert default_routes(both, mlp(GAN)) == {"generator": "generator"}
    assert default_routes(mlp(GAN), both) == {"generator": "generator"}
    assert default_routes(both, mlp(VAE)) == {"decoder": "decoder"}


def test_a_transfer_in_which_nothing_would_move_is_refused() -> None:
    for partial in (False, True):
        with pytest.raises(TicketError, match="nothing would move") as error:
            paired(make_task("vae-conv"), mlp(GAN), partial=partial)
        assert error.value.status == Status.TICKET
    with pytest.raises(TicketError, match="nothing would move"):
        paired(mlp(VAE), mlp(GAN), {"decoder.2": "generator.0"}, partial=True)


def test_unknown_families_are_told_to_name_routes() -> None:
    with pytest.raises(TicketError, match="give --route") as error:
        paired(Odd(), mlp(GAN))
    assert all(name in str(error.value) for name in ("painter", "generator", "discriminator"))
    pairs = pairs_of(paired(Odd(), mlp(GAN), {"painter": "generator"}))
    assert pairs == {f"generator.{place}": f"painter.{place}" for place in (0, 2, 4)}


def test_vae_to_gan_by_hand() -> None:
    """3-6-6-16 decoder and generator: 18, 36 and 96 weights; the source keeps 9, 36 and 24 of them."""
    source, target = mlp(VAE, seed=1), mlp(GAN, seed=2)
    ticket = ticket_of(source, 1.0)
    keep = {"decoder.0.weight": 9, "decoder.2.weight": 36, "decoder.4.weight": 24}
    masks = dict(ticket.mask)
    for name, count in keep.items():
        masks[name] = (torch.arange(masks[name].numel()) < count).reshape(masks[name].shape)
    ticket = replace(ticket, mask=Mask(masks))
    before = copied(state_of(target))
    made, table = transfer(ticket, source, target)

    first = made.weights["generator.0.weight"]
    assert torch.equal(first[:3], ticket.weights["decoder.0.weight"][:3])
    assert first[3:].tolist() == [[0.0] * 3] * 3
    assert torch.equal(made.weights["generator.2.weight"], ticket.weights["decoder.2.weight"])
    assert made.weights["generator.4.weight"].flatten()[24:].count_nonzero() == 0
    for place in (0, 2, 4):
        assert torch.equal(made.weights[f"generator.{place}.bias"], ticket.weights[f"decoder.{place}.bias"])
    critic = [name for name in before if name.startswith("discriminator")]
    assert len(critic) == 6
    assert all(torch.equal(made.weights[name], before[name]) for name in critic)

    got = {entry.target: (entry.source, entry.got, entry.weights, entry.kept, entry.density) for entry in table.entries}
    assert got == {
        "generator.0.weight": ("decoder.0.weight", "mask and weights", 18, 9, 0.5),
        "generator.2.weight": ("decoder.2.weight", "weights", 36, 36, 1.0),
        "generator.4.weight": ("decoder.4.weight", "mask and weights", 96, 24, 0.25),
        "discriminator.1.weight": (None, "nothing", 96, 96, None),
        "discriminator.3.weight": (None, "nothing", 36, 36, None),
        "discriminator.5.weight": (None, "nothing", 6, 6, None),
    }
    assert table.covered == 150 / 288
    assert table.carried == 69 / 150
    assert table.density == made.mask.density == 207 / 288
    assert table.routes == {"decoder": "generator"}
    assert table.left == ("no route names the source's encoder", "no route names the target's discriminator")


def test_a_dense_ticket_gives_the_same_weights_without_the_mask() -> None:
    source, target = mlp(VAE, seed=1), mlp(GAN, seed=2)
    made, table = transfer(start_of(source), source, target)
    assert made.mask.density == 1
    assert {entry.got for entry in table.entries} == {"weights", "nothing"}
    assert torch.equal(made.weights["generator.2.weight"], source.get_parameter("decoder.2.weight"))


def test_what_received_nothing_is_pruned_to_a_density_by_magnitude() -> None:
    source, target = mlp(VAE, seed=1), mlp(GAN, seed=2)
    made, table = transfer(ticket_of(source), source, target, rest=0.5)
    for name, count in {
        "discriminator.1.weight": 48,
        "discriminator.3.weight": 18,
        "discriminator.5.weight": 3,
    }.items():
        weight = target.get_parameter(name).detach()
        largest = weight.abs().flatten().topk(count).indices.sort().values
        assert torch.equal(made.mask[name].flatten().nonzero().flatten(), largest)
        assert torch.equal(made.weights[name], weight * made.mask[name])
    got = {entry.target: entry.kept for entry in table.entries if entry.got == "nothing"}
    assert got == {"discriminator.1.weight": 48, "discriminator.3.weight": 18, "discriminator.5.weight": 3}
    assert made.mask["generator.2.weight"].equal(ticket_of(source).mask["decoder.2.weight"])


def test_noise_moves_kept_carried_weights_by_its_part_of_their_spread_and_nothing_else() -> None:
    source, target = mlp(VAE, seed=1, width=64), mlp(GAN, seed=2, width=64)
    ticket = ticket_of(source)
    plain, _ = transfer(ticket, source, target)
    noisy, _ = transfer(ticket, source, target, noise=0.1, seed=4)
    again, _ = transfer(ticket, source, target, noise=0.1, seed=4)
    other, _ = transfer(ticket, source, target, noise=0.1, seed=5)
    for name, kept in plain.mask.items():
        change = noisy.weights[name] - plain.weights[name]
        assert not change[~kept].any()
        if name.startswith("generator"):
            rms = plain.weights[name][kept].square().mean().sqrt()
            assert float(change[kept].std() / rms) == pytest.approx(0.1, rel=0.35)
            assert not torch.equal(noisy.weights[name], other.weights[name])
        else:
            assert not change.any()
    assert torch.equal(noisy.weights["generator.0.bias"], plain.weights["generator.0.bias"])
    assert all(torch.equal(value, again.weights[name]) for name, value in noisy.weights.items())
    masks, _ = transfer(ticket, source, target, moves="mask")
    still, _ = transfer(ticket, source, target, moves="mask", noise=0.1)
    assert all(torch.equal(value, still.weights[name]) for name, value in masks.weights.items())


def test_nothing_that_is_carried_shares_memory_with_the_source() -> None:
    source, target = mlp(VAE, seed=1), mlp(GAN, seed=2)
    ticket = start_of(source)
    made, _ = transfer(ticket, source, target)
    kept = copied(made.weights), {name: value.clone() for name, value in made.mask.items()}
    for value in [*ticket.weights.values(), *ticket.mask.values(), *target.state_dict().values()]:
        value.zero_()
    assert all(torch.equal(value, kept[0][name]) for name, value in made.weights.items())
    assert all(torch.equal(value, kept[1][name]) for name, value in made.mask.items())


@pytest.mark.parametrize("moves", MOVES)
def test_what_is_carried_has_the_targets_precision_and_device(moves: str) -> None:
    source, target = mlp(VAE, seed=1).double(), mlp(GAN, seed=2)
    ticket = ticket_of(source)
    made, _ = transfer(ticket, source, target, moves=moves, trained=ticket.weights, noise=0.1)
    assert {value.dtype for value in made.weights.values()} == {torch.float32}


def test_all_misfits_are_told_at_once() -> None:
    source, target = mlp(VAE), mlp(GAN, latent=5, width=7)
    before = copied(state_of(target))
    with pytest.raises(TicketError) as error:
        transfer(ticket_of(source), source, target, {"decoder": "generator"})
    assert error.value.status == Status.TICKET
    assert str(error.value) == (
        "3 misfits: 'decoder.0' (Linear (6, 3)) does not fit 'generator.0' (Linear (7, 5)); "
        "'decoder.2' (Linear (6, 6)) does not fit 'generator.2' (Linear (7, 7)); "
        "'decoder.4' (Linear (16, 6)) does not fit 'generator.4' (Linear (16, 7)); "
        "ask for --partial to leave them out or --widths to fit channels"
    )
    assert all(torch.equal(value, before[name]) for name, value in state_of(target).items())


@pytest.mark.parametrize("match", MATCHES)
def test_layers_that_one_side_lacks_are_misfits_of_both_sides(match: str) -> None:
    with pytest.raises(TicketError, match=r"'generator.6' \(Linear \(16, 6\)\) finds no layer in the source"):
        paired(mlp(VAE), mlp(GAN, depth=3), {"decoder": "generator"}, match=match)
    with pytest.raises(TicketError, match=r"'decoder.6' \(Linear \(16, 6\)\) finds no layer in the target"):
        paired(mlp(VAE, depth=3), mlp(GAN), {"decoder": "generator"}, match=match)


def test_partial_leaves_out_what_does_not_fit_and_says_so() -> None:
    source, target = mlp(VAE), mlp(GAN, latent=5)
    with pytest.raises(TicketError, match="1 misfit:"):
        paired(source, target, {"decoder": "generator"})
    made, table = transfer(ticket_of(source), source, target, {"decoder": "generator"}, partial=True)
    assert table.partial
    assert table.left[0] == "'decoder.0' (Linear (6, 3)) does not fit 'generator.0' (Linear (6, 5))"
    got = {entry.target: entry.got for entry in table.entries}
    assert got["generator.0.weight"] == "nothing"
    assert got["generator.2.weight"] == got["generator.4.weight"] == "mask and weights"
    assert torch.equal(made.weights["generator.0.weight"], target.get_parameter("generator.0.weight"))
    assert torch.equal(made.weights["generator.0.bias"], target.get_parameter("generator.0.bias"))


@pytest.mark.parametrize("match", MATCHES)
def test_default_routes_skip_a_latent_projection_that_does_not_fit(match: str) -> None:
    """Its norm stays with it, though that would fit (FIELD section 1: the projection stays)."""
    pairing = paired(make_task("vae-conv"), make_task("gan-conv", latent=6), match=match)
    assert pairs_of(pairing) == {"generator.4": "decoder.4"}
    assert not pairing.partial
    assert "'decoder.1' (ConvTranspose2d (4, 4, 4, 4), stride 1, padding 0)" in pairing.left[0]
    with pytest.raises(TicketError, match="6, 4, 4, 4"):
        paired(make_task("vae-conv"), make_task("gan-conv", latent=6), {"decoder": "generator"}, match=match)


def test_the_longest_common_run_against_brute_force() -> None:
    """All subsequences of both, in letters; capitals are the same letter of another name."""
    from itertools import combinations

    rng = torch.Generator().manual_seed(0)

    def fit(a: str, b: str) -> bool:
        return a.lower() == b.lower()

    def same(a: str, b: str) -> bool:
        return a == b

    def best(ours: str, theirs: str) -> tuple[int, int]:
        found = (0, 0)
        for size in range(1, min(len(ours), len(theirs)) + 1):
            for one in combinations(ours, size):
                for other in combinations(theirs, size):
                    if all(map(fit, one, other)):
                        found = max(found, (size, sum(map(same, one, other))))
        return found

    for _ in range(60):
        ours, theirs = ("".join("aAbBc"[i] for i in torch.randint(5, (n,), generator=rng).tolist()) for n in (5, 6))
        couples = longest(ours, theirs, fit, same)
        both = [(a, b) for a, b in couples if a is not None and b is not None]
        assert all(fit(a, b) for a, b in both)
        assert (len(both), sum(same(a, b) for a, b in both)) == best(ours, theirs)
        assert "".join(a for a, _ in couples if a) == ours
        assert "".join(b for _, b in couples if b) == theirs


def test_order_finds_layers_that_names_do_not() -> None:
    """A VAE's maxpool decoder has a dense layer in front of what an autoencoder's has."""
    source, target = make_task("ae-maxpool"), make_task("vae-conv", network="maxpool")
    pairing = paired(source, target, {"decoder": "decoder"}, match="order", partial=True)
    found = {pair.target: pair.source for pair in pairing.pairs}
    assert found == {f"decoder.{place + 1}": f"decoder.{place}" for place in (2, 4, 6, 8, 10)}
    with pytest.raises(TicketError, match="misfits"):
        paired(source, target, {"decoder": "decoder"}, match="order")


def test_a_route_may_name_a_layer() -> None:
    source, target = mlp(VAE), mlp(GAN)
    made, table = transfer(ticket_of(source), source, target, {"decoder.2": "generator.2"})
    assert [entry.target for entry in table.entries if entry.source] == ["generator.2.weight"]
    assert torch.equal(made.weights["generator.2.bias"], ticket_of(source).weights["decoder.2.bias"])
    two = paired(source, target, {"encoder.3": "discriminator.3", "decoder": "generator"})
    places = ("generator.0", "generator.2", "generator.4", "discriminator.3")
    assert tuple(pairs_of(two)) == places, "in the target's order"
    assert pairs_of(two)["discriminator.3"] == "encoder.3"
    with pytest.raises(TicketError, match=r"'decoder.2' \(Linear \(6, 6\)\) does not fit 'generator.0'"):
        paired(source, target, {"decoder.2": "generator.0"})


def test_a_layers_stride_must_fit_though_its_shape_does() -> None:
    source, target = make_task("gan-conv"), make_task("gan-conv")
    target.generator[4].stride = (1, 1)
    with pytest.raises(TicketError, match=r"stride 2, padding 1\) does not fit .* stride 1, padding 1"):
        paired(source, target, {"generator": "generator"})


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        (
            {"decodr": "generator"},
            r"the source has nothing called 'decodr'. Did you mean 'decoder'\?.*encoder, decoder",
        ),
        ({"decoder": "generatr"}, r"the target has nothing called 'generatr'.*generator, discriminator"),
        ({"decoder": "generator.9"}, r"the target has nothing called 'generator.9'"),
        ({"": "generator"}, "the source has nothing called ''"),
        ({"decoder": "generator", "decoder.2": "discriminator.3"}, "overlap in 'decoder.2'"),
        ({"decoder.2": "generator.2", "encoder.3": "generator"}, "overlap in 'generator.2'"),
        ({"decoder.2": "generator.2", "encoder.3": "generator.2"}, "overlap in 'generator.2'"),
        ({"decoder.1": "generator.1"}, "'decoder.1' has no layer with prunable weights"),
    ],
)
def test_wrong_routes_are_told(routes: dict[str, str], said: str) -> None:
    with pytest.raises(TicketError, match=said):
        paired(mlp(VAE), mlp(GAN), routes)


def test_similar_names_do_not_overlap() -> None:
    """decoder.2 is no part of decoder.20."""
    routes = {"decoder.2": "decoder.2", "decoder.20": "decoder.20"}
    assert set(pairs_of(paired(mlp(VAE, depth=10), mlp(VAE, depth=10), routes))) == {"decoder.2", "decoder.20"}


@pytest.mark.parametrize(("keyword", "near"), [("match", "name"), ("deepen", "append"), ("moves", "weights")])
def test_unknown_choices_come_with_the_nearest(keyword: str, near: str) -> None:
    with pytest.raises(TicketError, match=f"Did you mean '{near}'"):
        transfer(ticket_of(mlp(VAE)), mlp(VAE), mlp(GAN), **{keyword: f"{near}s"[1:]})


def test_a_decoder_goes_into_a_spectrally_normalized_network_and_an_encoder_into_the_raw_tensor() -> None:
    source, target = make_task("vae-conv", network="sngan", seed=1), make_task("gan-sngan")
    ticket = ticket_of(source)
    made, table = transfer(ticket, source, target)
    assert {entry.source for entry in table.entries if entry.source} == {
        n for n in ticket.mask if n.startswith("decoder")
    }
    routes = {"encoder": "discriminator"}
    made, table = transfer(ticket, source, target, routes, partial=True)
    raw = "discriminator.0.parametrizations.weight.original"
    assert torch.equal(made.mask[raw], ticket.mask["encoder.0.weight"])
    assert torch.equal(made.weights[raw], ticket.weights["encoder.0.weight"])
    assert {entry.target: entry.source for entry in table.entries}[raw] == "encoder.0.weight"
    assert torch.equal(made.weights["discriminator.0.bias"], ticket.weights["encoder.0.bias"])
    made.load_into(target)
    weight = target.get_submodule("discriminator.0").weight.detach()
    assert float(torch.linalg.matrix_norm(weight.flatten(1), 2)) == pytest.approx(1, abs=0.02)
    back, _ = transfer(ticket_of(target), target, source, {"discriminator": "encoder"}, partial=True)
    assert torch.equal(back.weights["encoder.0.weight"], ticket_of(target).weights[raw])


def test_the_old_spectral_norm_has_its_raw_tensor_too() -> None:
    source, target = mlp(VAE, seed=1), mlp(GAN)
    torch.nn.utils.spectral_norm(target.discriminator[3])
    made, _ = transfer(ticket_of(source), source, target, {"encoder.3": "discriminator.3"})
    assert torch.equal(made.weights["discriminator.3.weight_orig"], ticket_of(source).weights["encoder.3.weight"])


def test_norms_and_biases_of_one_side_alone_stay_and_are_told() -> None:
    source, target = make_task("gan-conv-all", seed=1), make_task("gan-conv")
    pairing = paired(source, target, {"discriminator": "discriminator"}, match="order")
    assert pairs_of(pairing) == {"discriminator.0": "discriminator.0", "discriminator.2": "discriminator.3"}
    assert pairing.left[:2] == (
        "'discriminator.0' has a bias, 'discriminator.0' has none",
        "'discriminator.1' (BatchNorm2d) finds no norm like it beside 'discriminator.0'",
    )
    made, _ = transfer(ticket_of(source), source, target, {"discriminator": "discriminator"}, match="order")
    assert torch.equal(made.weights["discriminator.0.bias"], target.get_parameter("discriminator.0.bias"))


def test_a_norm_that_opens_a_block_goes_with_the_layer_that_reads_it() -> None:
    """In pre-norm blocks; the norm between two convolutions goes with the first, which makes what it sees."""
    task = make_task("wgan-gp-resnet")
    first = pairs_of(paired(task, task, {"generator.2.main.3": "generator.2.main.3"}))
    assert set(first) == {"generator.2.main.0", "generator.2.main.3", "generator.2.main.4"}
    assert set(pairs_of(paired(task, task, {"generator.5": "generator.5"}))) == {"generator.3", "generator.5"}


def test_every_norm_goes_somewhere_and_prelus_are_norms() -> None:
    odd = Odd()
    inner = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.PReLU(6))
    odd.painter = nn.Sequential(nn.LayerNorm(3), nn.Sequential(nn.Linear(3, 6)), inner, nn.GroupNorm(2, 6))
    pairing = paired(odd, odd, {"painter": "painter"})
    assert set(pairs_of(pairing)) == {f"painter.{n}" for n in ("0", "1.0", "2.0", "2.1", "2.2")}
    assert pairing.left == ()


@pytest.mark.parametrize("other", [nn.BatchNorm1d(6, affine=False), nn.GroupNorm(3, 6), nn.LayerNorm(6)])
def test_norms_of_another_kind_stay(other: nn.Module) -> None:
    ours, theirs = Odd(), Odd()
    ours.painter = nn.Sequential(nn.Linear(3, 6), nn.GroupNorm(2, 6))
    theirs.painter = nn.Sequential(nn.Linear(3, 6), other)
    pairing = paired(ours, theirs, {"painter": "painter"})
    assert pairs_of(pairing) == {"painter.0": "painter.0"}
    assert [note.split(" finds")[0] for note in pairing.left] == [
        "'painter.1' (GroupNorm)",
        f"'painter.1' ({type(other).__name__})",
    ]


def test_a_norm_of_another_size_stays() -> None:
    """Behind a dense layer that is spread over a map, a norm has the map's channels."""
    ours, theirs = Odd(), Odd()
    ours.painter = nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (2, 4)), nn.BatchNorm1d(2))
    theirs.painter = nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (4, 2)), nn.BatchNorm1d(4))
    assert pairs_of(paired(ours, theirs, {"painter": "painter"})) == {"painter.0": "painter.0"}


@pytest.mark.parametrize(
    ("how", "deep"),
    [("interpolate", [0, 0, 1, 1]), ("append", [0, 1, 0, 1])],
)
def test_places_in_a_run_by_hand(how: str, deep: list[int]) -> None:
    assert places(2, 4, how) == deep
    assert places(4, 2, how) == ([0, 2] if how == "interpolate" else [0, 1])
    assert places(3, 3, how) == [0, 1, 2]


@pytest.mark.parametrize("how", ["interpolate", "append"])
def test_places_there_and_back_are_where_they_began(how: str) -> None:
    for few in range(1, 9):
        for many in range(few, 20):
            there, back = places(few, many, how), places(many, few, how)
            assert [there[place] for place in back] == list(range(few))
            assert set(there) == set(range(few))


@pytest.mark.parametrize("how", ["interpolate", "append"])
@pytest.mark.parametrize(("shallow", "deep"), [(2, 4), (2, 5), (3, 6), (4, 7)])
def test_a_ticket_goes_to_a_deeper_network_and_back_bit_for_bit(how: str, shallow: int, deep: int) -> None:
    """And from there to the deep one again: a squeezed copy of a stretched ticket stretches to what it was."""
    source, target = mlp(VAE, seed=1, depth=shallow), mlp(GAN, seed=2, depth=deep)
    ticket = ticket_of(source)
    there, table = transfer(ticket, source, target, {"decoder": "generator"}, deepen=how)
    back, _ = transfer(there, target, source, {"generator": "decoder"}, deepen=how)
    for name, value in ticket.weights.items():
        if name.startswith("decoder"):
            assert torch.equal(back.weights[name], value)
    for name, kept in ticket.mask.of("decoder").items():
        assert torch.equal(back.mask[name], kept)
    again, _ = transfer(back, source, target, {"decoder": "generator"}, deepen=how)
    assert all(torch.equal(value, there.weights[name]) for name, value in again.weights.items())

    got = [entry.source for entry in table.entries if entry.source]
    hidden = [f"decoder.{2 * place + 2}.weight" for place in places(shallow - 1, deep - 1, how)]
    assert got == ["decoder.0.weight", *hidden, f"decoder.{2 * shallow}.weight"]


def test_layers_that_are_dropped_are_told() -> None:
    pairing = paired(mlp(VAE, depth=3), mlp(GAN, depth=2), {"decoder": "generator"}, deepen="append")
    assert pairing.left[0] == "'decoder.4' (Linear (6, 6)) is dropped, as one of several equal ones"


def test_the_ends_stay_at_the_ends_where_they_are_equal_to_what_lies_between() -> None:
    """Latents as long as the hidden layers are wide: all but the last have one shape."""
    source, target = mlp(VAE, depth=2, latent=6), mlp(GAN, depth=4, latent=6)
    for how in ("interpolate", "append"):
        pairs = pairs_of(paired(source, target, {"decoder": "generator"}, deepen=how))
        assert pairs == {
            "generator.0": "decoder.0",
            **{f"generator.{place}": "decoder.2" for place in (2, 4, 6)},
            "generator.8": "decoder.4",
        }


def test_whole_blocks_are_repeated_with_their_norms_and_shortcuts() -> None:
    """The residual generator has one more doubling block at twice the side."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        small, large = (GAN((1, side, side), network="resnet", width=4, latent=4) for side in (16, 32))
    pairs = pairs_of(paired(small, large, {"generator": "generator"}, deepen="interpolate"))
    blocks = {name.split(".")[1]: other.split(".")[1] for name, other in pairs.items() if ".main." in name}
    assert blocks == {"2": "2", "3": "2", "4": "3"}
    inside = {name.split(".", 2)[2] for name in pairs if name.startswith("generator.3.")}
    assert inside == {"main.0", "main.3", "main.4", "main.6", "shortcut.0"}
    assert all(name.split(".", 2)[2:] == other.split(".", 2)[2:] for name, other in pairs.items())


def test_depths_that_cannot_be_reached_are_told_with_shapes() -> None:
    with pytest.raises(TicketError, match=r"'generator.2' \(Linear \(6, 6\)\) finds no layer in the source"):
        paired(mlp(VAE, depth=1), mlp(GAN, depth=3), {"decoder": "generator"}, deepen="append")
    with pytest.raises(TicketError, match=r"Conv2d .* finds no layer"):
        paired(make_task("vae-resnet18"), make_task("vae-conv"), {"encoder": "encoder"}, deepen="append")


def test_blocks_that_are_all_alike_need_no_ends() -> None:
    few, many = Odd(), Odd()
    few.painter = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    many.painter = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
    pairs = pairs_of(paired(few, many, {"painter": "painter"}, deepen="append"))
    assert [pairs[f"painter.{place}"] for place in range(4)] == ["painter.0", "painter.2", "painter.0", "painter.2"]


def test_tied_weights_take_from_one_layer_only() -> None:
    source, target = make_task("ae-mlp", seed=1), make_task("tied-mlp")
    assert isinstance(target, Tied)
    with pytest.raises(TicketError, match=r"shares its weight 'encoder.3.weight', which both 'encoder.3'.*'decoder.2'"):
        paired(source, target, {"encoder": "encoder", "decoder": "decoder"})
    made, table = transfer(ticket_of(source), source, target)
    assert torch.equal(made.weights["encoder.3.weight"], ticket_of(source).weights["encoder.3.weight"])
    assert any("decoder.2" in sentence for sentence in table.left)
    only, _ = transfer(ticket_of(source), source, target, {"decoder.2": "decoder.2"})
    assert torch.equal(only.mask["encoder.3.weight"], ticket_of(source).mask["decoder.2.weight"])
    apart, _ = transfer(ticket_of(target), target, source)
    for name in ("encoder.3.weight", "decoder.2.weight"):
        assert torch.equal(apart.weights[name], ticket_of(target).weights["encoder.3.weight"])


def test_a_layer_that_is_used_twice_has_one_name() -> None:
    source, target = Odd(), Odd()
    for task in (source, target):
        task.writer = nn.Sequential(task.painter[2])
        task.painter[2].bias.requires_grad_(True)
    assert pairs_of(paired(source, target, {"writer.0": "writer.0"})) == {"painter.2": "painter.2"}
    with pytest.raises(TicketError, match=r"overlap in 'painter\.2'"):
        paired(source, target, {"writer.0": "writer.0", "painter": "painter"})


def test_wholly_tied_layers_share_their_bias_too() -> None:
    tasks = mlp(VAE, seed=1), mlp(VAE, seed=2)
    for task in tasks:
        task.decoder[2].weight, task.decoder[2].bias = task.encoder[3].weight, task.encoder[3].bias
    source, target = tasks
    made, _ = transfer(ticket_of(source), source, target, {"decoder.2": "decoder.2"})
    for part in ("weight", "bias"):
        assert torch.equal(made.weights[f"encoder.3.{part}"], ticket_of(source).weights[f"encoder.3.{part}"])


def test_a_layer_that_the_target_does_not_prune_takes_no_mask() -> None:
    source, target, routes = mlp(VAE), mlp(GAN), {"decoder": "generator"}
    for keywords in ({"components": ["discriminator"]}, {"exempt": ["generator.2.weight"]}):
        with pytest.raises(TicketError, match=r"'generator.2.weight'.*search.prune.*search.exempt") as error:
            transfer(ticket_of(source), source, target, routes, **keywords)
        assert error.value.status == Status.TICKET


def test_default_routes_lead_to_what_the_target_prunes() -> None:
    source, target = mlp(VAE), mlp(VAE, seed=1)
    assert paired(source, target, components=["decoder"]).routes == {"decoder": "decoder"}
    with pytest.raises(TicketError, match=r"\(decoder=generator\) lead to nothing that the target prunes"):
        paired(source, mlp(GAN), components=["discriminator"])


def test_layers_outside_the_prunable_set_are_told_and_stay_dense() -> None:
    source, target = mlp(VAE), mlp(GAN)
    made, table = transfer(ticket_of(source), source, target, components=["generator"], rest=0.5)
    assert made.mask.components == ["generator"]
    assert table.density == pytest.approx(made.mask.density)
    assert "no route names the target's discriminator" in table.left
    assert not any("exempt" in note for note in table.left)
    exempt = ["discriminator.3.weight"]
    made, table = transfer(ticket_of(source), source, target, exempt=exempt, rest=0.5)
    assert "'discriminator.3.weight' is exempt from pruning in the target" in table.left
    assert torch.equal(made.weights["discriminator.3.weight"], target.get_parameter("discriminator.3.weight"))


def test_a_layer_that_the_source_does_not_prune_moves_its_weights() -> None:
    source, target = mlp(VAE), mlp(GAN)
    whole = ticket_of(source)
    ticket = replace(whole, mask=Mask({n: kept for n, kept in whole.mask.items() if n != "decoder.2.weight"}))
    made, table = transfer(ticket, source, target)
    assert {entry.target: entry.got for entry in table.entries}["generator.2.weight"] == "weights"
    assert made.mask["generator.2.weight"].all()


def test_a_compact_ticket_is_refused_unless_its_layers_fit() -> None:
    source, target = mlp(VAE), mlp(GAN)
    compact = replace(ticket_of(mlp(VAE, width=4)), channels=Channels({"decoder.0": torch.arange(6) < 4}))
    with pytest.raises(TicketError, match=r"compact ticket .* shape \(4, 3\), 'generator.0.weight' \(6, 3\)"):
        transfer(compact, source, target)
    compact.load_into(source)
    with pytest.raises(TicketError, match=r"'decoder.0' \(Linear \(4, 3\)\) does not fit"):
        transfer(compact, source, target, {"decoder": "generator"})
    made, _ = transfer(compact, source, mlp(GAN, width=4))
    assert made.channels is None
    assert torch.equal(made.mask["generator.2.weight"], compact.mask["decoder.2.weight"])
    wide, _ = transfer(compact, source, target, {"decoder": "generator"}, widths=True)
    assert torch.equal(wide.mask["generator.0.weight"][:4], compact.mask["decoder.0.weight"])


@pytest.mark.parametrize("moves", ["weights", "trained", "signs"])
def test_a_ticket_goes_to_another_width_with_the_channels_of_what_moves(moves: str) -> None:
    source, target = mlp(VAE, seed=1, width=8), mlp(GAN, width=4)
    ticket = ticket_of(source)
    trained = grown(ticket)
    made, table = transfer(
        ticket, source, target, {"decoder": "generator"}, widths=True, moves=moves, trained=trained, partial=False
    )
    assert table.density == pytest.approx(made.mask.density)
    values = ticket.weights if moves == "weights" else trained
    rows = values["decoder.0.weight"]
    for row, kept in zip(made.weights["generator.0.weight"], made.mask["generator.0.weight"], strict=True):
        like = (rows > 0) if moves == "signs" else rows
        mine = (row > 0) if moves == "signs" else row
        fits = [
            torch.equal(mine, other) and torch.equal(kept, mask)
            for other, mask in zip(like, ticket.mask["decoder.0.weight"], strict=True)
        ]
        assert any(fits)


def test_another_networks_ticket_is_refused_with_all_that_is_missing() -> None:
    with pytest.raises(TicketError, match=r"mask of 'decoder.0.weight' is not there; .*'decoder.4.bias' is not there"):
        transfer(ticket_of(mlp(GAN)), mlp(VAE), mlp(GAN))
    for moves in ("trained", "signs"):
        with pytest.raises(TicketError, match="needs the trained weights"):
            transfer(ticket_of(mlp(VAE)), mlp(VAE), mlp(GAN), moves=moves)
        with pytest.raises(TicketError, match=r"'decoder.0.weight' is not there"):
            transfer(ticket_of(mlp(VAE)), mlp(VAE), mlp(GAN), moves=moves, trained={})


def test_a_start_of_another_network_is_refused() -> None:
    source, target = mlp(VAE), mlp(GAN)
    pairing = paired(source, target)
    with pytest.raises(TicketError, match="which the network needs"):
        carried(ticket_of(source), target, start_of(source), pairing, source=source)
    strange = replace(start_of(target), mask=Mask({**full_mask(target), "painter.weight": torch.ones(1).bool()}))
    with pytest.raises(TicketError, match=r"has a mask of 'painter\.weight'"):
        carried(ticket_of(source), target, strange, pairing, source=source)


@pytest.mark.parametrize("moves", MOVES)
def test_a_transferred_ticket_trains_with_its_zeros_at_zero(moves: str, batches: Batches) -> None:
    source = make_task("vae-conv", seed=5)
    training = make_training("gan-conv")
    trained = grown(ticket_of(source))
    made, _ = transfer(ticket_of(source), source, training.task, moves=moves, trained=trained)
    training.start(made)
    train(training, batches, range(2), mask=made.mask)
    for name, kept in made.mask.items():
        weight = training.task.get_parameter(name).detach()
        assert not weight[~kept].any()
        assert weight[kept].all() or moves == "signs"
        assert not torch.equal(weight, made.weights[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_masks_and_weights_come_out_where_the_targets_start_is() -> None:
    source, target = mlp(VAE), mlp(GAN)
    ticket, start = ticket_of(source), start_of(target)
    there = replace(ticket, mask=ticket.mask.to("cuda"), weights={n: v.cuda() for n, v in ticket.weights.items()})
    pairing = paired(source, target)
    plain, _ = carried(ticket, target, start, pairing, source=source, noise=0.1)
    made, _ = carried(there, target, start, pairing, source=source, noise=0.1)
    assert all(value.device.type == "cpu" for value in [*made.weights.values(), *made.mask.values()])
    assert all(torch.equal(value, plain.mask[name]) for name, value in made.mask.items())
    assert all(torch.allclose(value, plain.weights[name]) for name, value in made.weights.items())
