"""Widths: tickets stretched and shrunk, there and back, fitted to a target, and their copies parted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import make_task, make_training
from test_channels import conv, lone, noise
from test_rearranging import TRACED, apart, half, outputs, resized, stirred
from torch import Tensor, nn

from gentickets.channels import groups_of
from gentickets.channels.group import Groups
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask, full_mask
from gentickets.tasks import Task
from gentickets.tickets import Origin, Ticket, state_of
from gentickets.training import Plan, Training, train
from gentickets.transfer import Pair, Pairing, fitted, perturbed, shrunk, stretched

ORIGIN = Origin("iterative", 3, 2, 0)


def ticket_of(task: Task) -> Ticket:
    """The larger half of the weights; averages, and moments that must not follow."""
    state = {name: value.clone() for name, value in state_of(task).items()}
    ema = {name: value + 1 for name, value in state.items() if value.is_floating_point()}
    return Ticket(half(task), state, ORIGIN, optim={"all/encoder.1.weight/exp_avg": torch.ones(1)}, ema=ema)


def free(task: Task) -> Groups:
    """The groups that can be stretched: all but those of a spectral norm."""
    return {name: group for name, group in groups_of(task, noise()).items() if not list(group.of("estimate"))}


def by(groups: Groups, times: int, more: int = 0) -> dict[str, int]:
    return {name: times * group.size + more for name, group in groups.items()}


def equal(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return list(some) == list(others) and all(torch.equal(value, others[name]) for name, value in some.items())


# -- stretched ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
@pytest.mark.parametrize(("times", "more"), [(2, 0), (2, 1)])
def test_a_stretched_ticket_computes_what_the_ticket_does(case: str, times: int, more: int) -> None:
    task = stirred(case)
    ticket, groups = ticket_of(task), free(task)
    wide = stretched(ticket, groups, by(groups, times, more))
    ticket.load_into(task)
    target = resized(case, wide.weights)
    wide.load_into(target)  # settles spectral norms, as every ticket does
    assert apart(outputs(task), outputs(target, giver=task)) < 1e-5
    assert wide.mask.total > ticket.mask.total
    assert (wide.origin, wide.optim) == (ticket.origin, {})
    assert set(wide.ema) == set(ticket.ema)


def test_training_mode_computes_the_same_too() -> None:
    """Batch statistics are each channel's own."""
    task = stirred("gan-conv-all")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    wide = stretched(ticket, groups, by(groups, 2, 1))
    ticket.load_into(task)
    target = resized("gan-conv-all", wide.weights)
    wide.load_into(target)
    x = noise(8)
    with torch.no_grad():
        assert apart([task.train().discriminator(x)], [target.train().discriminator(x)]) < 1e-5


def test_copies_are_taken_in_turn_and_the_first_channels_are_the_old_network() -> None:
    task = make_task("ae-mlp", width=3)
    ticket, groups = ticket_of(task), groups_of(task, noise())
    wide = stretched(ticket, groups, {"encoder.1": 7})
    order, counts = [0, 1, 2, 0, 1, 2, 0], torch.tensor([3.0, 2, 2, 3, 2, 2, 3])
    assert torch.equal(wide.weights["encoder.1.weight"], ticket.weights["encoder.1.weight"][order])
    assert torch.equal(wide.weights["encoder.3.weight"], ticket.weights["encoder.3.weight"][:, order] / counts)
    assert torch.equal(wide.ema["encoder.3.weight"], ticket.ema["encoder.3.weight"][:, order] / counts)
    assert torch.equal(wide.mask["encoder.1.weight"], ticket.mask["encoder.1.weight"][order])
    assert torch.equal(wide.mask["encoder.3.weight"], ticket.mask["encoder.3.weight"][:, order])
    assert wide.weights["decoder.0.weight"] is ticket.weights["decoder.0.weight"]


def test_stretching_by_way_of_a_multiple_comes_to_the_same() -> None:
    task = make_task("vae-conv")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    half_way = stretched(ticket, groups, by(groups, 2))
    between = groups_of(resized("vae-conv", half_way.weights), noise())
    twice, once = stretched(half_way, between, by(groups, 4)), stretched(ticket, groups, by(groups, 4))
    assert equal(twice.weights, once.weights)
    assert equal(twice.mask, once.mask)


def test_densities_stay_exactly_where_all_channels_have_as_many_copies() -> None:
    task = make_task("vae-resnet18")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    even = stretched(ticket, groups, by(groups, 3))
    assert even.mask.densities == pytest.approx(ticket.mask.densities, abs=0)
    uneven = stretched(ticket, groups, by(groups, 1, 1))
    assert uneven.mask.densities != ticket.mask.densities
    for name, kept in uneven.mask.items():  # by hand: each kept weight counts as often as it was copied
        old = ticket.mask[name]
        counts = [torch.bincount(torch.arange(kept.shape[dim]) % old.shape[dim]).double() for dim in (0, 1)]
        weighed = (
            old.double() * counts[0].view(-1, *[1] * (old.ndim - 1)) * counts[1].view(1, -1, *[1] * (old.ndim - 2))
        )
        assert int(kept.sum()) == int(weighed.sum()), name


# -- there and back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRACED)
@pytest.mark.parametrize(("times", "more"), [(2, 0), (2, 1)])
def test_there_and_back_is_the_identity(case: str, times: int, more: int) -> None:
    """The mask always; weights bit for bit where there are two copies, and else within the two roundings."""
    task = stirred(case)
    ticket, groups = ticket_of(task), free(task)
    wide = stretched(ticket, groups, by(groups, times, more))
    between = {name: group for name, group in groups_of(resized(case, wide.weights), noise()).items() if name in groups}
    back = shrunk(wide, between, by(groups, 1))
    assert equal(back.mask, ticket.mask)
    for found, old in ((back.weights, ticket.weights), (back.ema, ticket.ema)):
        assert list(found) == list(old)
        for name, value in old.items():
            if more == 0:
                assert torch.equal(found[name], value), name
            else:
                assert bool(((found[name].double() - value).abs() <= 2.0**-23 * value.double().abs()).all()), name


@pytest.mark.parametrize("times", [2, 3, 4, 5, 7, 8])
def test_weights_come_back_bit_for_bit_from_powers_of_two(times: int) -> None:
    """From 3, 5 and 7 copies one weight in seven is off by its last bit: several have the same quotient."""
    task = make_task("ae-mlp", width=31)
    ticket, groups = ticket_of(task), groups_of(task, noise())
    wide = stretched(ticket, groups, by(groups, times))
    back = shrunk(wide, groups_of(make_task("ae-mlp", width=31 * times), noise()), by(groups, 1))
    off = (back.weights["encoder.3.weight"].double() / ticket.weights["encoder.3.weight"].double() - 1).abs()
    assert (float(off.max()) == 0) == (times in (2, 4, 8))
    assert float(off.max()) <= 2.0**-23
    assert torch.equal(back.weights["encoder.1.weight"], ticket.weights["encoder.1.weight"]), "it reads no channels"


def test_there_and_back_survives_pruned_weights_at_zero() -> None:
    """As a ticket comes from disk: what is pruned is +0.0 in all copies."""
    task = make_task("vae-mlp")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    ticket = replace(ticket, weights=ticket.masked_weights())
    wide = stretched(ticket, groups, by(groups, 2))
    stored = replace(wide, weights=wide.masked_weights())
    back = shrunk(stored, groups_of(make_task("vae-mlp", width=24), noise()), by(groups, 1))
    assert equal(back.weights, ticket.weights)


# -- shrunk ---------------------------------------------------------------------------------------------------


def test_of_channels_that_are_no_copies_the_strongest_stay_by_hand() -> None:
    task = lone(lambda m, x: m.b(m.a(x).relu()), a=nn.Conv2d(1, 4, 1), b=nn.Conv2d(4, 1, 1))
    state = {name: value.clone() for name, value in state_of(task).items()}
    state["net.a.weight"] = torch.tensor([9.0, -3.0, 1.0, 2.0]).view(4, 1, 1, 1)
    state["net.b.weight"] = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    mask = {name: value.clone() for name, value in full_mask(task).items()}
    mask["net.a.weight"][0] = False  # the largest is pruned, and counts nothing
    ticket = Ticket(Mask(mask), state, ORIGIN)
    narrow = shrunk(ticket, groups_of(task, noise()), {"net.a": 2})
    assert narrow.weights["net.a.weight"].flatten().tolist() == [-3.0, 2.0], "in their order"
    assert narrow.weights["net.b.weight"].flatten().tolist() == pytest.approx([2 * 2**0.5, 4 * 2**0.5])
    assert torch.equal(narrow.weights["net.b.bias"], state["net.b.bias"])
    assert narrow.mask["net.a.weight"].all()


def test_copies_that_have_parted_are_no_copies() -> None:
    """In the mask alone, in the averages alone, or in one weight that reads them."""
    task = make_task("ae-mlp")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    wide = stretched(ticket, groups, {"encoder.1": 24})
    theirs = groups_of(resized("ae-mlp", wide.weights), noise())
    sizes = {"encoder.1": 12}

    def changed(tensors: dict[str, Tensor], name: str, place: tuple[int, int]) -> dict[str, Tensor]:
        value = tensors[name].clone()
        value[place] = ~value[place] if value.dtype == torch.bool else value[place] + 1
        return {**tensors, name: value}

    name = "encoder.3.weight"
    assert torch.equal(shrunk(wide, theirs, sizes).weights[name], ticket.weights[name])
    for other in (
        replace(wide, mask=Mask(changed(wide.mask, name, (0, 13)))),
        replace(wide, mask=Mask(changed(wide.mask, "encoder.1.weight", (13, 0)))),
        replace(wide, weights=changed(wide.weights, name, (0, 13))),
        replace(wide, ema=changed(wide.ema, name, (0, 13))),
    ):
        found = shrunk(other, theirs, sizes).weights[name]
        assert found.shape == ticket.weights[name].shape
        assert not torch.equal(found, ticket.weights[name])


@pytest.mark.parametrize("case", ["vae-conv", "gan-conv-all", "vae-resnet18", "wgan-gp-resnet", "ae-maxpool"])
def test_a_shrunk_ticket_of_no_copies_fits_a_narrower_network(case: str) -> None:
    wide = make_task(case, width=8)
    groups = groups_of(wide, noise())
    narrow = shrunk(ticket_of(wide), groups, {name: max(1, group.size // 2) for name, group in groups.items()})
    target = resized(case, narrow.weights)
    narrow.load_into(target)
    assert narrow.mask.total < full_mask(wide).total
    assert all(bool(value.isfinite().all()) for value in outputs(target, giver=wide))


# -- bad sizes ------------------------------------------------------------------------------------------------


def test_sizes_that_cannot_be_are_told_all_at_once() -> None:
    task = make_task("gan-sngan")
    ticket, groups = ticket_of(task), groups_of(task, noise())
    critic = next(name for name, group in groups.items() if list(group.of("estimate")))
    sizes = {"generator.0": groups["generator.0"].size - 1, critic: 64, "generator.9": 3}
    with pytest.raises(TicketError) as told:
        stretched(ticket, groups, sizes)
    lines = str(told.value).splitlines()
    assert told.value.status is Status.TICKET
    assert len(lines) == 3
    assert any("no group of channels 'generator.9'. Did you mean 'generator." in line for line in lines)
    assert any(line.startswith("the channels of 'generator.0' cannot be stretched from") for line in lines)
    assert any(f"channels of '{critic}' cannot be" in line and "spectral norm" in line for line in lines)
    with pytest.raises(TicketError, match="cannot be shrunk from 16 to 17: that is more"):
        shrunk(ticket_of(make_task("gan-mlp", width=16)), groups_of(make_task("gan-mlp", width=16), noise()),
               {"generator.0": 17})  # fmt: skip
    with pytest.raises(TicketError, match="to 0: at least one must be left"):
        shrunk(ticket, groups, {"generator.0": 0})
    assert stretched(ticket, groups, by(groups, 1)) is ticket


def test_a_compact_tickets_channels_are_no_longer_those_of_its_recipe() -> None:
    task = make_task("ae-mlp")
    from gentickets.channels import full_channels

    groups = groups_of(task, noise())
    ticket = replace(ticket_of(task), channels=full_channels(groups))
    assert stretched(ticket, groups, {"encoder.1": 13}).channels is None


# -- fitted ---------------------------------------------------------------------------------------------------


def same(task: Task, routes: dict[str, str] | None = None, without: tuple[str, ...] = ()) -> Pairing:
    """Every layer with tensors of its own, paired with the one of the same name or route."""
    routes = routes or {name: name for name in task.components}
    pairs = []
    for path, layer in task.named_modules():
        component, _, rest = path.partition(".")
        own = isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.modules.batchnorm._BatchNorm)
        if own and component in routes and path not in without:
            pairs.append(Pair(f"{routes[component]}.{rest}", path))
    return Pairing(tuple(pairs), routes, "name", False, ())


def wider(case: str, width: int, **more: int) -> Task:
    return make_task(case, width=width, **({"critic_width": width} if case == "wgan-gp-conv" else {}), **more)


@pytest.mark.parametrize("case", [case for case in TRACED if case not in ("gan-sngan", "ae-maxpool")])
def test_a_ticket_is_fitted_to_wider_and_to_narrower_networks(case: str) -> None:
    """Names are the source's, shapes the target's, and the function stays; back again, so does the ticket."""
    small, large = (128, 256) if case == "ae-linear" else (6, 12)
    task, target = wider(case, small), wider(case, large)
    ticket = ticket_of(task)
    wide = fitted(ticket, task, target, same(task))
    assert {n: v.shape for n, v in wide.weights.items()} == {n: v.shape for n, v in state_of(target).items()}
    wide.load_into(target)
    back = fitted(wide, target, task, same(target))
    assert equal(back.weights, ticket.weights)
    assert equal(back.mask, ticket.mask)
    ticket.load_into(task)
    assert apart(outputs(task), outputs(target, giver=task)) < 1e-5


def test_routes_to_another_component_and_only_what_differs_changes() -> None:
    source, target = make_task("vae-conv", width=4), make_task("gan-conv", width=6)
    ticket = ticket_of(source)
    found = fitted(ticket, source, target, same(source, {"decoder": "generator"}))
    for path in ("1.weight", "2.running_mean", "4.weight"):
        assert found.weights[f"decoder.{path}"].shape == state_of(target)[f"generator.{path}"].shape
    assert all(value is ticket.weights[name] for name, value in found.weights.items() if name.startswith("encoder"))
    assert found.optim == {}


def test_a_ticket_that_fits_is_returned_as_it_is_without_tracing() -> None:
    task = make_task("tied-mlp")  # which cannot be traced
    state = {name: value.clone() for name, value in state_of(task).items()}
    ticket = Ticket(full_mask(task), state, ORIGIN, optim={"all/x/step": torch.ones(())})
    assert fitted(ticket, task, make_task("tied-mlp", seed=1), same(task)) is ticket


def test_groups_whose_first_layer_is_not_paired_follow_their_other_layers() -> None:
    """The latent projection stays behind, as between a VAE and a GAN with other latents."""
    source, target = make_task("vae-mlp", width=6, latent=3), make_task("gan-mlp", width=9, latent=5)
    pairing = same(source, {"decoder": "generator"}, without=("decoder.0",))
    found = fitted(ticket_of(source), source, target, pairing)
    assert found.weights["decoder.2.weight"].shape == (9, 9)
    assert found.weights["decoder.0.weight"].shape == (9, 3), "its channels are the group's too"
    with pytest.raises(TicketError, match=r"'decoder.0.weight' \(6, 3\) cannot become 'generator.0.weight' \(9, 5\)"):
        fitted(ticket_of(source), source, target, same(source, {"decoder": "generator"}))


def fails(source: Task, target: Task, pairing: Pairing) -> list[str]:
    before = {name: value.clone() for name, value in state_of(target).items()}
    with pytest.raises(TicketError) as told:
        fitted(ticket_of(source), source, target, pairing)
    assert told.value.status is Status.TICKET
    assert equal(before, state_of(target)), "the target is untouched"
    return str(told.value).splitlines()


def test_all_that_cannot_be_fitted_is_told_at_once_a_line_each() -> None:
    source, target = make_task("vae-mlp", width=6, latent=3), make_task("vae-mlp", width=9, latent=4)
    lines = fails(source, target, same(source))
    assert len(lines) == 2, "the two ends of the latent; not the layers whose channels can be stretched"
    assert all("holds no channels that can be copied: images, latents, codes" in line for line in lines)


def test_a_code_that_is_the_widest_map_cannot_be_stretched() -> None:
    source, target = make_task("ae-maxpool", width=4), make_task("ae-maxpool", width=8)
    lines = fails(source, target, same(source))
    assert [line.split("'")[1] for line in lines] == ["encoder.10.weight", "decoder.2.weight"]


def test_one_group_asked_for_two_sizes_is_told() -> None:
    """Tied by a sum in the source; the target's layers are not."""
    source = lone(lambda m, x: m.c((m.a(x) + m.b(x)).relu()), a=conv(1, 4), b=conv(1, 4), c=conv(4, 2))
    target = lone(lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)), a=conv(1, 6), b=conv(1, 8), c=conv(14, 2))
    (line,) = fails(source, target, same(source))
    assert line == (
        "the tied channels of 'net.a' would have to be 6 for 'net.a.weight' and 8 for 'net.b.weight' "
        "and 14 for 'net.c.weight'"
    )


def pair(way, before, after) -> list[str]:  # type: ignore[no-untyped-def]
    source, target = (lone(way, **layers) for layers in (before, after))
    return fails(source, target, same(source))


def test_kernels_kinds_grouped_convolutions_and_maps_of_other_sides_are_told() -> None:
    def way(m, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return m.c(m.b(m.a(x)).relu())

    plain = {"a": conv(1, 4), "b": conv(4, 4), "c": conv(4, 2)}
    (line,) = pair(way, plain, {**plain, "b": nn.Conv2d(4, 4, 5)})
    assert line.endswith("(4, 4, 3, 3) cannot become 'net.b.weight' (4, 4, 5, 5): dimension 2 is the kernel's")
    (line,) = pair(way, plain, {**plain, "b": nn.ConvTranspose2d(4, 6, 3)})
    assert line == "'net.b' cannot become 'net.b': one is a Conv2d, the other a ConvTranspose2d"
    grouped = {"a": conv(1, 4), "b": conv(4, 4, groups=2), "c": conv(4, 2)}
    lines = pair(way, grouped, {"a": conv(1, 8), "b": conv(8, 8, groups=2), "c": conv(8, 2)})
    assert any("'net.b.weight'" in line and "is of a grouped convolution" in line for line in lines)

    def dense(m, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return m.b(m.a(x).relu().flatten(1))

    def mapped(side: int, out: int) -> dict[str, nn.Module]:
        return {"a": nn.Conv2d(1, out, 9 - side), "b": nn.Linear(out * side * side, 2)}

    lines = pair(dense, mapped(3, 4), {**mapped(2, 4), "a": nn.Conv2d(1, 4, 6)})
    assert any("each channel has 9 entries along dimension 1, and 16 is no multiple" in line for line in lines)


def test_channels_that_do_not_stand_side_by_side_and_spectral_norms_are_told() -> None:
    def way(m, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return m.c(torch.cat([m.a(x), m.b(x)], 1))

    (line,) = pair(way, {"a": conv(1, 3), "b": conv(1, 3), "c": conv(6, 2)},
                   {"a": conv(1, 4), "b": conv(1, 3), "c": conv(7, 2)})[:1]  # fmt: skip
    assert "'net.c.weight' (2, 6, 3, 3) cannot become" in line
    assert line.endswith("dimension 1 holds more than one group of tied channels")
    source, target = make_task("gan-sngan", width=4), make_task("gan-sngan", width=6)
    lines = fails(source, target, same(source))
    assert len(lines) == len([g for g in groups_of(source, noise()).values() if list(g.of("estimate"))])
    assert all("under spectral norm: it would divide by another norm" in line for line in lines)
    fitted(ticket_of(source), source, target, same(source, {"generator": "generator"}))


def test_pairs_of_no_layers_and_tickets_of_other_networks_are_refused() -> None:
    source, target = make_task("vae-mlp"), make_task("vae-mlp", width=16)
    none = Pairing((Pair("encoder.1", "encoder.11"),), {}, "name", False, ())
    with pytest.raises(TicketError, match=r"the source has no layer 'encoder.11'.*Did you mean 'encoder.1'"):
        fitted(ticket_of(source), source, target, none)
    with pytest.raises(TicketError, match=r"has shape \(16, 64\), the network needs \(12, 64\)"):
        fitted(ticket_of(target), source, target, same(source))


# -- symmetry -------------------------------------------------------------------------------------------------


def rows_apart(training: Training, batches: Batches, ticket: Ticket, steps: int = 8) -> float:
    """How differently what makes the copies of encoder.1 has moved after some steps, relative to how far."""
    training.start(ticket)
    before = training.task.encoder[1].weight.detach().clone()
    train(training, batches, range(steps), mask=ticket.mask)
    moved = training.task.encoder[1].weight.detach() - before
    one, other = moved.chunk(2)
    return float((one - other).norm() / moved.norm())


@pytest.fixture
def wide() -> tuple[Ticket, Training]:
    task = make_task("vae-mlp")
    groups = groups_of(task, noise())
    ticket = replace(stretched(replace(ticket_of(task), ema={}), groups, by(groups, 2)), ema={})
    plan = make_training("vae-mlp").plan
    return ticket, Training(make_task("vae-mlp", seed=1, width=24), Plan(plan.optim, plan.schedule))


def test_exact_copies_get_equal_gradients_and_never_part(wide, batches: Batches) -> None:  # type: ignore[no-untyped-def]
    assert rows_apart(wide[1], batches, wide[0]) < 1e-3


def test_noise_parts_them(wide, batches: Batches) -> None:  # type: ignore[no-untyped-def]
    assert rows_apart(wide[1], batches, perturbed(wide[0], 0.1, 0)) > 0.1


def test_fresh_weights_under_the_copied_mask_part_them(wide, batches: Batches) -> None:  # type: ignore[no-untyped-def]
    ticket, training = wide
    fresh = {name: value.clone() for name, value in state_of(training.task).items()}
    assert rows_apart(training, batches, replace(ticket, weights=fresh)) > 0.1
    one, other = ticket.mask["encoder.1.weight"].chunk(2)
    assert torch.equal(one, other), "the mask is copied all the same"


# -- noise ----------------------------------------------------------------------------------------------------


def test_noise_is_relative_to_each_layer_and_of_kept_weights_alone() -> None:
    task = make_task("ae-mlp", width=48)
    ticket = ticket_of(task)
    noisy = perturbed(ticket, 0.2, 3)
    for name, value in ticket.weights.items():
        change = noisy.weights[name] - value
        if name not in ticket.mask:
            assert noisy.weights[name] is value
            continue
        kept = ticket.mask[name]
        assert not change[~kept].any()
        spread = value[kept].square().mean().sqrt()
        assert float(change[kept].std() / spread) == pytest.approx(0.2, rel=0.3)
    assert noisy.mask is ticket.mask
    assert noisy.optim is ticket.optim


def test_noise_follows_from_its_seed_and_from_nothing_else() -> None:
    task = make_task("vae-conv")
    ticket = ticket_of(task)
    state = torch.get_rng_state()
    one = perturbed(ticket, 0.1, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert equal(one.weights, perturbed(ticket, 0.1, 0).weights)
    assert not equal(one.weights, perturbed(ticket, 0.1, 1).weights)
    strided = {n: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in ticket.weights.items()}
    assert equal(one.weights, perturbed(replace(ticket, weights=strided), 0.1, 0).weights)
    assert equal(perturbed(ticket, 0.0, 0).weights, ticket.weights)
    task = make_task("ae-mlp", width=24)
    ticket = replace(ticket_of(task), mask=full_mask(task))
    noisy = perturbed(ticket, 0.1, 0).weights
    pair = torch.stack(
        [(noisy[name] - ticket.weights[name]).flatten() for name in ("encoder.3.weight", "decoder.2.weight")]
    )
    assert float(torch.corrcoef(pair)[0, 1].abs()) < 0.2, "each tensor has noise of its own"


def test_copies_of_a_single_weight_get_noise_and_empty_layers_none() -> None:
    task = make_task("ae-mlp")
    ticket = ticket_of(task)
    mask = {name: torch.zeros_like(kept) for name, kept in ticket.mask.items()}
    mask["encoder.1.weight"][:2, 0] = True
    weights = {**ticket.weights, "encoder.1.weight": torch.full_like(ticket.weights["encoder.1.weight"], 0.5)}
    noisy = perturbed(Ticket(Mask(mask), weights, ORIGIN), 0.1, 0).weights
    assert noisy["encoder.1.weight"][0, 0] != noisy["encoder.1.weight"][1, 0]
    assert torch.equal(noisy["encoder.3.weight"], weights["encoder.3.weight"])


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_noise_that_is_no_factor_is_refused(value: float) -> None:
    with pytest.raises(TicketError, match="noise is a factor of each layer's standard deviation, at least 0"):
        perturbed(ticket_of(make_task("ae-mlp")), value, 0)
