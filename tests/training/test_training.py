"""Training: a step is a function of its number, and what it must never do (docs/traps.md)."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from helpers import FAMILY_CASES, REWIND, STEPS, make_task, make_training
from torch import nn
from torch.nn.utils import parametrize

from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import full_mask, keep_top, prunable
from gentickets.optimizers import OPTIMIZERS, Schedule, build, read_state, write_state
from gentickets.search import first_ticket, next_ticket
from gentickets.seeds import derive
from gentickets.tasks import Draw, Objective, Optim, Task
from gentickets.tickets import Ticket
from gentickets.training import Plan, Training, estimate_norms, grow, train


def states_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def pruned_ticket(training: Training, batches: Batches, density: float = 0.3) -> tuple[Ticket, Ticket]:
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    return dense, next_ticket(training, dense, density=density)


def test_a_step_equals_a_hand_written_loop(batches: Batches) -> None:
    """The reference: autograd and torch.optim by hand, on a GAN whose players take turns."""
    training = make_training("gan-mlp", steps=6)
    task = copy.deepcopy(training.task)
    train(training, batches, range(6), seed=5)

    optimizers = {
        name: torch.optim.Adam(getattr(task, name).parameters(), 1e-3) for name in ("discriminator", "generator")
    }
    schedule = Schedule("cosine", 6, 2)
    for step in range(6):
        rng = torch.Generator().manual_seed(derive(5, "draw", step))
        latent = torch.randn(16, 4, generator=rng)
        for optimizer in optimizers.values():
            optimizer.param_groups[0]["lr"] = 1e-3 * schedule.factor(step)
        real, fake = task.discriminator(batches(step)), task.discriminator(task.generator(latent).detach())
        loss = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
        optimizers["discriminator"].zero_grad()
        loss.backward()
        optimizers["discriminator"].step()
        if (step + 1) % 2 == 0:
            optimizers["generator"].zero_grad()
            (-task.discriminator(task.generator(latent)).mean()).backward()
            optimizers["generator"].step()
    for name, value in training.task.state_dict().items():
        torch.testing.assert_close(value, task.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_optimizer_state_carried_over_does_not_revive_pruned_weights(batches: Batches) -> None:
    """Trap 1, with its negative control: masking gradients alone revives nearly every pruned weight."""
    training = make_training("vae-mlp", steps=40)
    dense = first_ticket(training, batches, rewind_to=20)
    ticket = next_ticket(training, dense, density=0.3)
    grow(training, ticket, batches, seed=0)
    weights = prunable(training.task)
    assert not any(weights[name][~kept].any() for name, kept in ticket.mask.items())

    task = make_task("vae-mlp")
    optimizer = torch.optim.Adam(task.parameters(), 1e-3)
    revived = {}
    for step in range(12):
        draw = task.draw(16, torch.Generator().manual_seed(step))
        task.objectives()[0].loss(batches(step), draw).backward()
        if step == 10:
            with torch.no_grad():
                for name, weight in prunable(task).items():
                    weight.mul_(ticket.mask[name])
        if step >= 10:
            for name, weight in prunable(task).items():
                weight.grad.mul_(ticket.mask[name])
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in prunable(task).items():
        revived[name] = float(weight[~ticket.mask[name]].ne(0).float().mean())
    assert min(revived.values()) > 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_moments_are_those_of_step_k_with_pruned_ones_zero(optimizer: str, batches: Batches) -> None:
    """Trap 10: ticket and dense differ by the mask alone."""
    training = make_training("gan-conv", optimizer=optimizer)
    dense, ticket = pruned_ticket(training, batches)
    training.start(ticket)
    found = training.snapshot(REWIND).optim
    assert set(found) == set(dense.optim)
    checked = 0
    for key, value in found.items():
        name = key.split("/", 1)[1].rsplit("/", 1)[0]
        if name in ticket.mask and value.shape == ticket.mask[name].shape:
            assert not value[~ticket.mask[name]].any()
            assert torch.equal(value[ticket.mask[name]], dense.optim[key][ticket.mask[name]])
            checked += 1
        else:
            assert torch.equal(value, dense.optim[key])
    assert checked


def test_fresh_optimizer_state_is_empty(batches: Batches) -> None:
    training = make_training("vae-mlp")
    dense = first_ticket(training, batches, rewind_to=REWIND, optimizer_state="fresh")
    training.start(dense)
    assert not dense.optim
    assert not training.snapshot(0).optim


def test_a_full_mask_rewound_is_the_dense_run(batches: Batches) -> None:
    """Trap 10: with nothing pruned, going back to step k changes no bit, batch-norm buffers included.

    But for spectral norm's u and v, which are estimated anew from the weights: there, going back twice is the same.
    """
    for case in FAMILY_CASES:
        straight, rewound = make_training(case), make_training(case)
        train(straight, batches, range(STEPS))
        ticket = first_ticket(rewound, batches, rewind_to=REWIND)
        ends = [straight.snapshot(STEPS).weights]
        for _ in range(2):
            grow(rewound, ticket, batches, seed=0)
            ends.append(rewound.snapshot(STEPS).weights)
        if not any(parametrize.is_parametrized(layer) for layer in rewound.task.modules()):
            assert states_equal(ends[0], ends[2]), case
        assert states_equal(ends[1], ends[2]), case


def test_the_learning_rate_of_a_round_is_that_of_round_zero(batches: Batches) -> None:
    training = make_training("ae-mlp")
    rates: list[list[float]] = [[], []]

    def note(into: list[float]):
        return lambda step, losses: into.append(training.turns[0].optimizer.param_groups[0]["lr"])

    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0, watch=[note(rates[0])])
    grow(training, next_ticket(training, dense, density=0.5), batches, seed=0, watch=[note(rates[1])])
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_finetuning_holds_the_last_learning_rate() -> None:
    plan = Plan(Optim(), Schedule("cosine", 100)).finetuning()
    assert {plan.schedule.factor(step) for step in range(100)} == {Schedule("cosine", 100).factor(99)}


@pytest.mark.parametrize(("name", "expected"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_schedules_by_hand(name: str, expected: float) -> None:
    schedule = Schedule(name, steps=110, warmup=10)
    assert schedule.factor(0) == pytest.approx(1 / 11)
    assert schedule.factor(9) == pytest.approx(10 / 11)
    assert schedule.factor(10) == pytest.approx(1.0)
    assert schedule.factor(60) == pytest.approx(expected)


def test_the_generator_acts_by_the_step_number(batches: Batches) -> None:
    """Trap 10a: one step is one critic turn; the phase survives a resume in the middle of a cycle."""
    acted: list[int] = []
    training = make_training("wgan-mlp", steps=12)
    original = training.turns[1].take
    training.turns[1].take = lambda *a: (acted.append(1), original(*a))[1]  # type: ignore[method-assign, func-returns-value]
    marks: list[int] = []
    for steps in (range(0, 4), range(4, 12)):
        train(training, batches, steps, watch=[lambda step, losses: marks.append(len(acted))])
    assert [step for step in range(1, 13) if marks[step - 1] > (marks[step - 2] if step > 1 else 0)] == [
        3,
        6,
        9,
        12,
    ]


def test_critic_weights_are_clipped_and_masked(batches: Batches) -> None:
    training = make_training("wgan-mlp")
    _, ticket = pruned_ticket(training, batches)
    grow(training, ticket, batches, seed=0)
    critic = training.task.discriminator
    assert max(float(p.detach().abs().max()) for p in critic.parameters()) <= 0.1 + 1e-7
    for name, kept in ticket.mask.of("discriminator").items():
        assert not training.task.get_parameter(name)[~kept].any()


def test_one_player_never_touches_the_other(batches: Batches) -> None:
    training = make_training("gan-conv")
    before = {name: p.clone() for name, p in training.task.generator.named_parameters()}
    draw = training.task.draw(16, torch.Generator().manual_seed(0))
    training.turns[0].take(batches(0), draw, 1.0, None)
    assert all(torch.equal(before[name], p) for name, p in training.task.generator.named_parameters())
    assert all(p.grad is None for p in training.task.parameters())


def test_both_players_see_the_same_fake_made_once(batches: Batches) -> None:
    task = make_task("gan-conv")
    calls: list[int] = []
    task.generator.register_forward_hook(lambda *_: calls.append(1))
    training = Training(task, Plan())
    train(training, batches, range(3))
    assert len(calls) == 3, "one forward of the generator for two turns"
    draw = task.draw(16, torch.Generator().manual_seed(0))
    task.generator_loss(batches(0), draw)
    with torch.no_grad():
        next(task.generator.parameters()).add_(1)
    stale = len(calls)
    task.generator_loss(batches(0), draw)
    assert len(calls) == stale + 1, "a fake of other weights is made anew"


def test_the_mask_comes_after_every_step_not_only_at_the_end(batches: Batches) -> None:
    training = make_training("gan-conv")
    _, ticket = pruned_ticket(training, batches)
    zero = []

    def look(step: int, losses: object) -> None:
        zero.append(all(not training.task.get_parameter(n)[~kept].any() for n, kept in ticket.mask.items()))

    grow(training, ticket, batches, seed=0, watch=[look])
    assert zero == [True] * (STEPS - REWIND)


def test_averages_start_from_the_masked_network_and_end_masked(batches: Batches) -> None:
    training = make_training("gan-conv", ema={"generator": 0.9})
    _, ticket = pruned_ticket(training, batches)
    training.start(ticket)
    weights = dict(training.task.named_parameters())
    assert all(torch.equal(average, weights[name]) for name, average in training.ema.items())
    grow(training, ticket, batches, seed=0)
    for name, kept in ticket.mask.of("generator").items():
        assert not training.ema[name][~kept].any()


def test_ema_by_hand(batches: Batches) -> None:
    training = make_training("ae-mlp", ema={"decoder": 0.75})
    name = next(iter(training.ema))
    expected = training.ema[name].clone()
    for step in range(3):
        train(training, batches, range(step, step + 1))
        expected = 0.75 * expected + 0.25 * training.task.get_parameter(name)
    torch.testing.assert_close(training.ema[name], expected)


def test_averaged_weights_get_norm_statistics_of_their_own_and_leave_no_trace(batches: Batches) -> None:
    training = make_training("gan-conv", ema={"generator": 0.5})
    train(training, batches, range(6))
    before = training.snapshot(6)
    with training.averaged([batches(step) for step in range(4)]) as task:
        inside = {name: value.clone() for name, value in task.state_dict().items()}
    assert states_equal(training.snapshot(6).weights, before.weights)
    norms = [name for name in inside if name.startswith("generator") and name.endswith("running_mean")]
    assert norms
    assert all(not torch.equal(inside[name], before.weights[name]) for name in norms)
    assert all(torch.equal(inside[name], average) for name, average in training.ema.items())


def test_norm_statistics_are_the_plain_average_over_batches(batches: Batches) -> None:
    task = make_task("ae-conv")
    some = [batches(step) for step in range(3)]
    estimate_norms(task, ["decoder"], some)
    network = task.decoder[0] if isinstance(task.decoder[0], nn.Sequential) else task.decoder
    index = next(i for i, layer in enumerate(network) if isinstance(layer, nn.BatchNorm2d))
    layer = network[index]
    task.eval()
    with torch.no_grad():
        inputs = [network[:index](task.inputs(batch)["decoder"][0]) for batch in some]
    expected = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    torch.testing.assert_close(layer.running_mean, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_moments_take_their_parameters_strides(optimizer: str) -> None:
    """Trap 34: fused kernels read raw memory; a contiguous moment beside a channels-last weight is silent damage."""
    torch.manual_seed(0)
    reference = nn.Conv2d(8, 16, 3)
    strided = copy.deepcopy(reference).to(memory_format=torch.channels_last)
    settings = Optim(optimizer, 1e-2, momentum=0.9)
    named = [dict(layer.named_parameters()) for layer in (reference, strided)]
    optimizers = [build(settings, list(parameters.values())) for parameters in named]
    gradients = [torch.randn_like(reference.weight) for _ in range(6)]

    def step(index: int, gradient: torch.Tensor) -> None:
        from gentickets.optimizers import like_parameter

        weight, bias = named[index].values()
        weight.grad, bias.grad = like_parameter(gradient, weight), torch.ones_like(bias)
        optimizers[index].step()

    for gradient in gradients[:3]:
        step(0, gradient), step(1, gradient)
    state = {key: value.contiguous() for key, value in read_state(optimizers[0], named[0]).items()}
    write_state(optimizers[1], named[1], state)
    weight = named[1]["weight"]
    moments = [v for v in optimizers[1].state[weight].values() if torch.is_tensor(v) and v.shape == weight.shape]
    assert moments
    assert all(moment.stride() == weight.stride() for moment in moments)
    for gradient in gradients[3:]:
        step(0, gradient), step(1, gradient)
    torch.testing.assert_close(strided.weight, reference.weight)


def test_fused_adam_on_mixed_strides_is_wrong_which_is_why(batches: Batches) -> None:
    """The negative control of trap 34: without the strides' care, the update differs."""
    torch.manual_seed(0)
    reference = nn.Conv2d(8, 16, 3)
    strided = copy.deepcopy(reference).to(memory_format=torch.channels_last)
    for layer in (reference, strided):
        optimizer = torch.optim.Adam(layer.parameters(), 1e-2, fused=True)
        gradient = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(1))
        layer.bias.grad = torch.zeros_like(layer.bias)
        layer.weight.grad = gradient.clone()
        optimizer.step()
    if torch.allclose(strided.weight, reference.weight):
        pytest.skip("this PyTorch's fused Adam minds strides by itself")
    assert (strided.weight - reference.weight).abs().max() > 1e-3


def test_dropout_is_a_function_of_the_step(batches: Batches) -> None:
    class Dropping(Task):
        def __init__(self) -> None:
            super().__init__()
            self.image = (1, 8, 8)
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Dropout(0.5), nn.Linear(32, 64))

        def objectives(self) -> list[Objective]:
            return [Objective("rebuild", self.loss, ("net",))]

        def loss(self, batch: torch.Tensor, draw: Draw) -> torch.Tensor:
            return (self.net(batch) - batch.flatten(1)).square().mean()

    ends = []
    for halves in (False, True):
        torch.manual_seed(0)
        training = Training(Dropping(), Plan())
        torch.manual_seed(1 + halves)
        before = torch.get_rng_state()
        for steps in (range(0, 3), range(3, 8)) if halves else (range(0, 8),):
            train(training, batches, steps, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        ends.append(training.snapshot(8).weights)
    assert states_equal(*ends)


@pytest.mark.parametrize(("case", "objective"), [("vae-mlp", "vae"), ("gan-mlp", "discriminator")])
def test_divergence_ends_in_a_diagnosis(case: str, objective: str, batches: Batches) -> None:
    """Trap 33."""
    training = make_training(case)
    with torch.no_grad():
        next(training.task.parameters()).fill_(float("nan"))
        next(getattr(training.task, training.task.components[-1]).parameters()).fill_(float("nan"))
    with pytest.raises(TicketError, match=f"'{objective}'.*step") as caught:
        train(training, batches, range(STEPS))
    assert caught.value.status == Status.DIVERGED


def test_a_mask_does_not_hide_what_is_no_number(batches: Batches) -> None:
    training = make_training("ae-mlp")
    _, ticket = pruned_ticket(training, batches)
    name = next(iter(ticket.mask))
    with torch.no_grad():
        training.task.get_parameter(name)[~ticket.mask[name]] = float("nan")
    with pytest.raises(TicketError, match="diverged"):
        train(training, batches, range(REWIND, STEPS), mask=ticket.mask)


def test_gradient_clipping(batches: Batches) -> None:
    norms = []
    training = make_training("vae-mlp", clip_norm=0.5)
    step = training.turns[0].optimizer.step

    def look() -> None:
        parameters = training.turns[0].parameters.values()
        norms.append(float(torch.stack([p.grad.norm() for p in parameters]).norm()))
        step()

    training.turns[0].optimizer.step = look  # type: ignore[method-assign, assignment]
    train(training, batches, range(4))
    assert max(norms) == pytest.approx(0.5, rel=1e-3)


def test_each_objective_can_have_its_own_optimizer() -> None:
    training = make_training("gan-mlp", per_objective={"discriminator": Optim("sgd", 0.5)})
    assert isinstance(training.turns[0].optimizer, torch.optim.SGD)
    assert isinstance(training.turns[1].optimizer, torch.optim.Adam)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"per_objective": {"generater": Optim()}}, "Did you mean 'generator'"),
        ({"ema": {"decoder": 0.9}}, "no component 'decoder'"),
    ],
)
def test_unknown_names_get_the_nearest(plan: dict[str, object], message: str) -> None:
    with pytest.raises(TicketError, match=message):
        make_training("gan-mlp", **plan)


def test_a_ticket_of_another_architecture_leaves_the_target_untouched(batches: Batches) -> None:
    training = make_training("vae-mlp")
    _, ticket = pruned_ticket(training, batches)
    other = Training(make_task("vae-mlp", width=13), Plan())
    before = other.snapshot(0).weights
    with pytest.raises(TicketError, match="shape") as caught:
        other.start(ticket)
    assert caught.value.status == Status.TICKET
    assert states_equal(other.snapshot(0).weights, before)


def test_wide_scopes_that_empty_a_layer_are_refused() -> None:
    """Trap 9."""
    task = make_task("ae-mlp")
    weights = prunable(task)
    smallest = min(weights, key=lambda name: weights[name].numel())
    scores = {n: torch.full_like(w, 0.0 if n == smallest else 1.0) for n, w in weights.items()}
    with pytest.raises(TicketError, match=smallest):
        keep_top(scores, 0.5, within=full_mask(task), scope="global")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("damage", ["shape", "missing", "unknown", "kind"])
def test_optimizer_state_that_does_not_fit_is_refused_whole(optimizer: str, damage: str, batches: Batches) -> None:
    """A moment of another shape would make a fused kernel write outside of its memory."""
    training = make_training("vae-mlp", optimizer=optimizer)
    dense, ticket = pruned_ticket(training, batches)
    optim = dict(dense.optim)
    key = next(key for key in reversed(optim) if optim[key].ndim == 2)
    if damage == "shape":
        optim[key] = torch.zeros(3)
    elif damage == "kind":
        optim[key] = optim[key].long()
    elif damage == "unknown":
        optim[key + "_more"] = torch.zeros(3)
    elif len([other for other in optim if other.rsplit("/", 1)[0] == key.rsplit("/", 1)[0]]) > 1:
        del optim[key]
    else:
        return  # one slot alone: without it there is no state, which is a fresh start
    fresh = make_training("vae-mlp", seed=5, optimizer=optimizer)
    before = fresh.snapshot(0)
    for load in (lambda: fresh.start(replace(ticket, optim=optim)), lambda: fresh.load(replace(before, optim=optim))):
        with pytest.raises(TicketError, match="optimizer state") as caught:
            load()
        assert caught.value.status == Status.TICKET
        assert states_equal(fresh.snapshot(0).weights, before.weights)
        assert not fresh.snapshot(0).optim


def test_scores_are_read_from_raw_weights_not_from_averages(batches: Batches) -> None:
    """Trap 36."""
    training = make_training("gan-mlp", ema={"generator": 0.999}, steps=30)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    raw = keep_top({n: w.detach().abs() for n, w in prunable(training.task).items()}, 0.3, within=dense.mask)
    averaged = {**{n: w.detach() for n, w in prunable(training.task).items()}, **training.ema}
    other = keep_top({n: averaged[n].abs() for n in dense.mask}, 0.3, within=dense.mask)
    ticket = next_ticket(training, dense, density=0.3)
    assert ticket.mask.distance(raw) == 0
    assert ticket.mask.distance(other) > 0.01


def test_a_dcgan_step_equals_the_plain_example(batches: Batches) -> None:
    """Channels-last, autograd.grad and fused Adam against contiguous memory, backward() and plain Adam."""
    training = make_training("gan-conv", steps=8)
    training.plan = Plan(Optim("adam", 1e-3), Schedule("constant", 8))
    task = copy.deepcopy(training.task).to(memory_format=torch.contiguous_format)
    assert next(training.task.discriminator.parameters()).is_contiguous(memory_format=torch.channels_last)
    train(training, batches, range(8), seed=2)
    players = {name: getattr(task, name) for name in ("discriminator", "generator")}
    plain = {name: torch.optim.Adam(net.parameters(), 1e-3, fused=False) for name, net in players.items()}
    softplus = torch.nn.functional.softplus
    for step in range(8):
        latent = torch.randn(16, 4, generator=torch.Generator().manual_seed(derive(2, "draw", step)))
        fake = task.generator(latent)
        task.zero_grad()
        loss = softplus(-task.discriminator(batches(step))) + softplus(task.discriminator(fake.detach()))
        loss.mean().backward()
        plain["discriminator"].step()
        task.zero_grad()
        softplus(-task.discriminator(fake)).mean().backward()
        plain["generator"].step()
    for name, value in training.task.state_dict().items():
        torch.testing.assert_close(value, task.state_dict()[name], rtol=1e-3, atol=2e-5)


def test_gradients_of_other_strides_do_not_mislead_the_optimizer(batches: Batches) -> None:
    """Trap 34 in the engine: a loss whose gradient is contiguous beside channels-last weights."""

    class Shrinking(Task):
        def __init__(self) -> None:
            super().__init__()
            self.image = (1, 8, 8)
            self.net = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False))

        def objectives(self) -> list[Objective]:
            return [Objective("shrink", self.loss, ("net",))]

        def loss(self, batch: torch.Tensor, draw: Draw) -> torch.Tensor:
            target = torch.arange(216.0).reshape(6, 4, 3, 3) / 216
            return (self.net[0].weight.contiguous() - target).pow(4).sum()

    torch.manual_seed(0)
    task = Shrinking()
    plain = task.net[0].weight.detach().clone().requires_grad_()
    training = Training(task, Plan(Optim("adam", 1e-2)))
    assert not task.net[0].weight.is_contiguous()
    train(training, batches, range(5))
    optimizer = torch.optim.Adam([plain], 1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        (plain - torch.arange(216.0).reshape(6, 4, 3, 3) / 216).pow(4).sum().backward()
        optimizer.step()
    torch.testing.assert_close(task.net[0].weight.detach(), plain.detach(), rtol=1e-4, atol=1e-5)


def test_the_generators_turn_computes_no_weight_gradients_of_the_critic(batches: Batches) -> None:
    """Trap 35, counted: through D forward and back to its input only."""
    from torch.utils.flop_counter import FlopCounterMode

    from gentickets.accounting import layer_flops

    training = make_training("gan-conv")
    counts = layer_flops(training.task)
    generator = sum(flops for name, flops in counts.items() if name.startswith("generator"))
    critic = sum(flops for name, flops in counts.items() if name.startswith("discriminator"))
    first = next(flops for name, flops in counts.items() if name.startswith("generator"))
    draw = training.task.draw(16, torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        training.turns[1].take(batches(0), draw, 1.0, None)
    assert counter.get_total_flops() == 16 * (generator + critic + critic + 2 * generator - first)


def test_clipping_minds_gradients_that_share_memory(batches: Batches) -> None:
    class Twice(Task):
        def __init__(self) -> None:
            super().__init__()
            self.image = (1, 8, 8)
            self.net = nn.ParameterList([nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))])

        def objectives(self) -> list[Objective]:
            return [Objective("sum", lambda batch, draw: (100 * (self.net[0] + self.net[1])).sum(), ("net",))]

    task = Twice()
    training = Training(task, Plan(Optim("sgd", 1.0), clip_norm=1.0))
    train(training, batches, range(1))
    moved = torch.cat([parameter.detach() for parameter in task.net])
    assert float(moved.norm()) == pytest.approx(1, rel=1e-3)


def test_tied_weights_are_pruned_under_all_their_names(batches: Batches) -> None:
    """Trap 6 in tickets, averages and files."""
    training = make_training("tied-mlp", ema={"decoder": 0.9, "encoder": 0.9})
    _, ticket = pruned_ticket(training, batches)
    assert "decoder.2.weight" not in ticket.weights
    training.start(ticket)
    kept = ticket.mask["encoder.3.weight"]
    assert not training.task.decoder[2].weight[~kept].any()
    grow(training, ticket, batches, seed=0)
    assert training.task.decoder[2].weight is training.task.encoder[3].weight
    assert not training.ema["encoder.3.weight"][~kept].any()
    with training.averaged() as task:
        assert torch.equal(task.decoder[2].weight, training.ema["encoder.3.weight"])


@pytest.mark.parametrize("case", ["vae-mlp", "gan-conv"])
def test_samples_come_from_the_standard_normal_prior(case: str) -> None:
    """Trap 26."""
    task = make_task(case)
    seen: list[torch.Tensor] = []
    part = task.decoder if case.startswith("vae") else task.generator
    part.register_forward_pre_hook(lambda layer, arguments: seen.append(arguments[0]))
    task.sample(4000, torch.Generator().manual_seed(0))
    assert abs(float(seen[0].mean())) < 0.03
    assert abs(float(seen[0].std()) - 1) < 0.03


def test_finetuning_leaves_the_plan_as_it_was(batches: Batches) -> None:
    from gentickets.search import iterative

    training = make_training("ae-mlp")
    list(iterative(training, batches, rounds=1, keep=0.5, rewind="none"))
    assert training.plan.schedule.frozen_at is None


def test_an_own_criterion_gets_batches_and_must_score_everything(batches: Batches) -> None:
    from gentickets.search import iterative

    training = make_training("ae-mlp")
    seen: list[int] = []

    def own(task: Task, some: list[torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
        seen.append(len(some))
        return {name: weight.detach().abs() for name, weight in list(prunable(task).items())[1:]}

    with pytest.raises(TicketError, match=r"no scores for 'encoder\.1\.weight'"):
        list(iterative(training, batches, rounds=1, criterion=own))
    assert seen == [8]


def test_a_mask_is_applied_before_the_first_forward_of_any_training(batches: Batches) -> None:
    """Trap 2, for weights that nobody has masked yet."""
    training = make_training("ae-mlp")
    scores = {name: weight.detach().abs() for name, weight in prunable(training.task).items()}
    mask = keep_top(scores, 0.3, within=full_mask(training.task))
    seen: list[bool] = []
    name = "encoder.1.weight"
    layer = training.task.encoder[1]
    layer.register_forward_pre_hook(lambda *_: seen.append(not layer.weight[~mask[name]].any()))
    train(training, batches, range(3), mask=mask)
    assert seen == [True] * 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_a_shared_value_notices_every_optimizers_step(optimizer: str, batches: Batches) -> None:
    """Fused kernels do not tell autograd that they have changed a weight."""
    training = make_training("gan-mlp", optimizer=optimizer)
    draw = training.task.draw(16, torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []

    def fake() -> torch.Tensor:
        return training.task.share(draw, "fake", "generator", lambda: training.task.generator(draw["latent"]))

    seen.append(fake().detach().clone())
    generator = next(turn for turn in training.turns if turn.objective.name == "generator")
    generator.take(batches(0), draw, 1.0, None)
    assert not torch.equal(fake(), seen[0]), "the generator has moved since"
