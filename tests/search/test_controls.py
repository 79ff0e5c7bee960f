"""Controls are opponents of the same size; FLOPs by hand; the plan of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import FAMILY_CASES, REWIND, make_task, make_training, product
from torch import nn

from gentickets.accounting import dense_flops, layer_flops, masked_flops, width_at
from gentickets.arms import kind_of
from gentickets.controls import random_pruning, reinitialized, scaled, shuffle
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.experiment.plan import plan_units, search_budget
from gentickets.masks import Mask, full_mask
from gentickets.recipe import load_recipe, with_changes
from gentickets.search import first_ticket, next_ticket
from gentickets.tickets import Ticket
from gentickets.training import grow

CONTROLS = ("reinit", "shuffle", "random-erk", "random-uniform")


def tickets(case: str, batches: Batches) -> tuple[Ticket, Ticket, Ticket]:
    """A pruned ticket, its dense round 0, and another initialization's."""
    training = make_training(case)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    other = first_ticket(make_training(case, seed=7), batches, rewind_to=REWIND)
    return next_ticket(training, dense, density=0.4), dense, other


def control(name: str, case: str, batches: Batches) -> tuple[Ticket, Ticket, Ticket]:
    """A control by name, with the ticket and the weights it should carry."""
    ticket, dense, other = tickets(case, batches)
    if name == "reinit":
        return reinitialized(ticket, other), ticket, other
    if name == "shuffle":
        return shuffle(ticket, dense, 0), ticket, dense
    return random_pruning(make_task(case), ticket, dense, name.removeprefix("random-"), 0), ticket, dense


@pytest.mark.parametrize(("name", "case"), product(CONTROLS, FAMILY_CASES))
def test_a_control_has_the_tickets_size_and_its_own_weights(name: str, case: str, batches: Batches) -> None:
    made, ticket, source = control(name, case, batches)
    assert abs(made.mask.kept - ticket.mask.kept) <= len(ticket.mask)
    assert made.origin.rewind_to == ticket.origin.rewind_to
    assert made.origin.method == name
    for tensor, kept in made.mask.items():
        assert torch.equal(made.weights[tensor][kept], source.weights[tensor][kept])
        assert not made.weights[tensor][~kept].any()
    buffers = [key for key in made.weights if key not in made.mask]
    assert all(torch.equal(made.weights[key], source.weights[key]) for key in buffers)


def test_reinit_keeps_the_mask_and_shares_no_weight(batches: Batches) -> None:
    made, ticket, _ = control("reinit", "vae-mlp", batches)
    assert made.mask.distance(ticket.mask) == 0
    name = next(iter(ticket.mask))
    assert (made.weights[name] != ticket.weights[name])[ticket.mask[name]].float().mean() > 0.99


def test_shuffling_keeps_each_layers_density_and_changes_the_mask(batches: Batches) -> None:
    made, ticket, _ = control("shuffle", "vae-mlp", batches)
    assert made.mask.densities == ticket.mask.densities
    assert made.mask.distance(ticket.mask) > 0.05


def test_uniform_densities_are_uniform_and_erk_ones_are_not(batches: Batches) -> None:
    uniform = control("random-uniform", "vae-mlp", batches)[0].mask.densities
    erk = control("random-erk", "vae-mlp", batches)[0].mask.densities
    assert max(uniform.values()) - min(uniform.values()) < 0.02
    assert max(erk.values()) - min(erk.values()) > 0.1


def test_scaling_by_hand() -> None:
    mask = Mask({"a.weight": torch.tensor([[True, False], [False, False]])})
    weights = {"a.weight": torch.tensor([[3.0, 0.0], [0.0, 0.0]]), "a.bias": torch.tensor([1.0])}
    from gentickets.tickets import Origin

    made = scaled(Ticket(mask, weights, Origin("shuffle", 0, 1, 0)))
    assert made.weights["a.weight"].tolist() == [[6.0, 0.0], [0.0, 0.0]]
    assert made.weights["a.bias"].tolist() == [1.0]


def test_scaling_keeps_the_variance_of_a_layers_output(batches: Batches) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(400, 600, generator=generator)
    kept = torch.rand(400, 600, generator=generator) < 0.1
    x = torch.randn(600, 500, generator=generator)
    dense, sparse = weight @ x, (weight * kept * float(kept.float().mean()) ** -0.5) @ x
    assert float(sparse.var() / dense.var()) == pytest.approx(1, abs=0.05)


def test_flops_of_a_convolutional_gan_by_hand() -> None:
    """Trap 22: a transposed convolution works on its input grid. 8x8 images, width 4, latent 4."""
    task = make_task("gan-conv")
    counts = layer_flops(task)
    names = list(full_mask(task))
    assert list(counts) == names
    generator_first = 2 * 1 * 1 * 4 * 4 * 4 * 4  # 1x1 input, 4 -> 4 channels, 4x4 kernel
    generator_last = 2 * 4 * 4 * 4 * 1 * 4 * 4  # 4x4 input, 4 -> 1 channels, 4x4 kernel
    critic_first = 2 * 4 * 4 * 1 * 4 * 4 * 4  # 4x4 output, 1 -> 4 channels, 4x4 kernel
    critic_last = 2 * 1 * 1 * 4 * 1 * 4 * 4
    assert list(counts.values()) == [generator_first, generator_last, critic_first, critic_last]


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_masked_flops_weigh_each_layer_by_its_density(case: str) -> None:
    task = make_task(case)
    full = full_mask(task)
    assert masked_flops(task, full) == dense_flops(task) > 0
    half = Mask({name: torch.arange(kept.numel()).reshape(kept.shape) % 2 == 0 for name, kept in full.items()})
    assert masked_flops(task, half) == pytest.approx(dense_flops(task) / 2, rel=0.02)


@pytest.mark.parametrize("case", ["vae-mlp", "gan-conv"])
def test_the_narrow_control_costs_what_the_ticket_would(case: str) -> None:
    width = 24
    wide = make_task(case, width=width)
    for share in (0.2, 0.5, 0.9):
        wanted = share * dense_flops(wide)
        found = width_at(lambda w: make_task(case, width=w), width, wanted)
        gaps = {w: abs(dense_flops(make_task(case, width=w)) - wanted) for w in range(1, width + 1)}
        assert gaps[found] == min(gaps.values())


def test_the_plan_of_the_shipped_recipe_by_hand() -> None:
    recipe = load_recipe("digits_vae")
    units = plan_units(recipe)
    rounds = recipe.search.rounds
    arms = sum(1 + kind_of(control).scalable for control in recipe.search.controls)
    assert arms == 3 * 2 + 1
    assert len(units) == 5 * (1 + rounds + arms)
    assert search_budget(recipe) == 500 + rounds * 450
    seen: set[tuple[int, str, int]] = set()
    for unit in units:
        assert set(unit.needs) <= seen | {u.key for u in units if u.arm == "ticket"}
        seen.add(unit.key)
    assert len(seen) == len(units)


def test_every_arm_of_a_longer_run_trains_so_many_times_as_long() -> None:
    recipe = load_recipe("digits_vae_longer")
    units = plan_units(recipe)
    longer = {unit.arm: unit.span for unit in units if unit.name.longer}
    steps, times = recipe.train.steps, recipe.search.longer
    assert set(longer.values()) == {steps * times}
    assert set(longer) == {f"{arm}-longer" for arm in ("dense", "ticket", *recipe.search.controls)}
    assert {f"{arm}-scaled" for arm in recipe.search.controls} <= {unit.arm for unit in units}


def test_longer_without_a_declared_level_is_refused() -> None:
    recipe = with_changes(load_recipe("digits_vae"), {"search": {"longer": 5}, "claim": None})
    with pytest.raises(TicketError, match="declared"):
        plan_units(recipe)


@pytest.mark.parametrize("api", [torch.nn.utils.spectral_norm, torch.nn.utils.parametrizations.spectral_norm])
def test_flops_find_weights_under_spectral_norm_and_shared_ones(api: Callable[..., nn.Module]) -> None:
    task = make_task("ae-mlp")
    task.encoder[1] = api(task.encoder[1])
    task.encoder.append(nn.Linear(4, 12))
    task.encoder.append(nn.Linear(12, 4))
    task.encoder.append(nn.Linear(4, 12))
    task.encoder.append(nn.Linear(12, 4))
    task.encoder[-2].weight = task.encoder[-4].weight
    full = full_mask(task)
    counts = layer_flops(task)
    assert set(counts) == set(full)
    first, shared = next(iter(counts)), "encoder.6.weight"
    assert first != "encoder.1.weight"
    assert counts[first] == 2 * 64 * 12
    assert counts[shared] == 2 * (2 * 4 * 12)
    none = Mask({name: torch.zeros_like(kept) for name, kept in full.items()})
    assert masked_flops(task, none) == 0
