"""Criteria against brute force and identities: what a score is, whose loss it is from, and that nothing is touched."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from helpers import FAMILY_CASES, make_task, product
from torch import Tensor, nn

from gentickets.criteria import (
    CRITERIA,
    NEEDS_DATA,
    OPTIONS,
    gradient,
    grasp,
    grasp_abs,
    lamp,
    snip,
    synflow,
)
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.masks import full_mask, keep_top, prunable
from gentickets.seeds import derive
from gentickets.tasks import Batch, Draw, Objective, Task
from gentickets.untouched import modes_kept

BY_GRADIENT = sorted(NEEDS_DATA)
SPECTRAL = {"old": nn.utils.spectral_norm, "new": nn.utils.parametrizations.spectral_norm}


@pytest.fixture(scope="module")
def some(batches: Batches) -> list[Batch]:
    return batches.first(3)


class Net(Task):
    """One component and a squared error, or any other loss of its output."""

    def __init__(self, net: nn.Module, image: tuple[int, int, int] = (1, 1, 3), trains: str = "net") -> None:
        super().__init__()
        self.net, self.image, self.trains = net, image, trains

    def objectives(self) -> Sequence[Objective]:
        return [Objective("fit", self.loss, (self.trains,))]

    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        return (self.net(batch) - batch.flatten(1).mean(1, keepdim=True)).square().mean()

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        return {"net": (batch,)}


class Hinge(Net):
    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        return F.relu(1 - self.net(batch)).mean()


class Linear(Net):
    def loss(self, batch: Batch, draw: Draw) -> Tensor:
        return self.net(batch).mean()


def seeded(make: type[nn.Module], *arguments: object) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return make(*arguments)


def ten_weights(kind: type[Net] = Net) -> Net:
    """Ten weights, smooth: 3-2-2."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    return kind(net).double()


def in_double(task: Task) -> Task:
    """The task in float64, its draws too."""
    draw = task.draw
    task.draw = lambda n, rng: Draw(**{name: value.double() for name, value in draw(n, rng).items()})
    return task.double()


def small_batches(n: int = 3, sizes: Sequence[int] = (4, 7)) -> list[Batch]:
    rng = torch.Generator().manual_seed(5)
    return [torch.rand(size, 1, 1, n, generator=rng, dtype=torch.float64) * 2 - 1 for size in sizes]


def drawn(task: Task, batches: Sequence[Batch], seed: int) -> list[Draw]:
    """The draws that a criterion makes."""
    rng = torch.Generator()
    return [task.draw(len(b), rng.manual_seed(derive(seed, "draw", i))) for i, b in enumerate(batches)]


def mean_loss(task: Task, batches: Sequence[Batch], objective: int = 0, seed: int = 0) -> Tensor:
    """The mean over images of an objective's loss, in evaluation mode."""
    draws = drawn(task, batches, seed)
    with modes_kept(task):
        task.eval()
        losses = [
            len(batch) * task.objectives()[objective].loss(batch, draw)
            for batch, draw in zip(batches, draws, strict=True)
        ]
    return sum(losses) / sum(map(len, batches))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


def states(task: Task) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in task.state_dict().items()}


# --- brute force ------------------------------------------------------------------------------------------------------


def test_snip_is_the_finite_difference_of_the_loss() -> None:
    task, batches = ten_weights(), small_batches()
    scores = snip(task, batches)
    for name, weight in prunable(task).items():
        for place in range(weight.numel()):
            entry, step = weight.data.view(-1)[place].clone(), 1e-5
            ends = []
            for moved in (entry + step, entry - step):
                weight.data.view(-1)[place] = moved
                ends.append(float(mean_loss(task, batches).detach()))
            weight.data.view(-1)[place] = entry
            expected = abs(float(entry) * (ends[0] - ends[1]) / (2 * step))
            assert float(scores[name].view(-1)[place]) == pytest.approx(expected, rel=1e-6, abs=1e-10)


def hessian(task: Task, batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, gradient and full Hessian of the mean loss, by autograd's Hessian of a functional call."""
    weights = dict(prunable(task))
    shapes = [weight.shape for weight in weights.values()]

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        values = {
            name.removeprefix("net."): part.view(shape)
            for name, part, shape in zip(weights, parts, shapes, strict=True)
        }
        outputs = [torch.func.functional_call(task.net, values, (batch,)) for batch in batches]
        losses = [
            len(batch) * (output - batch.flatten(1).mean(1, keepdim=True)).square().mean()
            for batch, output in zip(batches, outputs, strict=True)
        ]
        return sum(losses) / sum(map(len, batches))

    vector = flat(list(weights.values()))
    gradients = torch.autograd.functional.jacobian(loss, vector)
    return vector, gradients, torch.autograd.functional.hessian(loss, vector)


def test_grasp_is_the_full_hessian_of_a_ten_weight_network() -> None:
    task, batches = ten_weights(), small_batches()
    vector, gradients, second = hessian(task, batches)
    assert vector.numel() == 10
    torch.testing.assert_close(flat(list(grasp(task, batches).values())), vector * (second @ gradients))
    torch.testing.assert_close(flat(list(grasp_abs(task, batches).values())), (vector * (second @ gradients)).abs())


def test_grasps_sign_says_what_removing_a_weight_does_to_the_gradient() -> None:
    """The change of |g|^2 on removing single weights correlates with -score; keeping the flipped sign loses flow."""
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Flatten(), nn.Linear(8, 24), nn.Tanh(), nn.Linear(24, 12), nn.Tanh(), nn.Linear(12, 4))
    task, batches = Net(net, (1, 1, 8)).double(), small_batches(8, (32,))
    scores = {name: score.clone() for name, score in grasp(task, batches).items()}

    def flow() -> float:
        return float(flat(torch.autograd.grad(mean_loss(task, batches), list(prunable(task).values()))).square().sum())

    dense, changes = flow(), []
    for weight in prunable(task).values():
        for place in range(weight.numel()):
            entry = weight.data.view(-1)[place].clone()
            weight.data.view(-1)[place] = 0
            changes.append(flow() - dense)
            weight.data.view(-1)[place] = entry
    correlation = torch.corrcoef(torch.stack([-flat(list(scores.values())), torch.tensor(changes).double()]))[0, 1]
    assert correlation > 0.94

    def after(signed: dict[str, Tensor]) -> float:
        mask = keep_top(signed, 0.95, within=full_mask(task), scope="global")
        before = states(task)
        for name, weight in prunable(task).items():
            weight.data.mul_(mask[name])
        found = flow()
        task.load_state_dict(before)
        return found

    assert after({n: -s for n, s in scores.items()}) < dense < after(scores)


def test_gradient_is_a_loop_over_batches(some: list[Batch]) -> None:
    task = make_task("vae-mlp")
    scores, weights = gradient(task, some, 4), prunable(task)
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for batch, draw in zip(some, drawn(task, some, 4), strict=True):
        found = torch.autograd.grad(task.loss(batch, draw), list(weights.values()))
        for name, one in zip(weights, found, strict=True):
            squares[name] += one**2
    for name, weight in weights.items():
        torch.testing.assert_close(scores[name], (weight.abs() * squares[name].sqrt()).detach())


def test_with_one_batch_gradient_is_snip(some: list[Batch]) -> None:
    task = make_task("gan-conv")
    one, other = gradient(task, some[:1], 4), snip(task, some[:1], 4)
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_batches_of_other_sizes_weigh_as_many_images(some: list[Batch]) -> None:
    task = make_task("ae-mlp")
    whole = torch.cat(some)
    cut = snip(task, [whole[:5], whole[5:40], whole[40:]])
    for name, score in snip(task, [whole]).items():
        torch.testing.assert_close(cut[name], score)


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_curvature_in_grasp_is_the_finite_difference_of_the_gradient(case: str, some: list[Batch]) -> None:
    """Every loss and network: H g of each player against (g(w + e g) - g(w - e g)) / 2e, in float64."""
    task, batches = in_double(make_task(case)), [batch.double() for batch in some[:1]]
    scores, weights = grasp(task, batches, evaluation=True), prunable(task)
    expected: dict[str, Tensor] = {}
    for number, objective in enumerate(task.objectives()):
        trained = task.trained_by(objective)
        own = {name: weight for name, weight in weights.items() if name in trained}

        def slope(own: dict[str, nn.Parameter] = own, number: int = number) -> list[Tensor]:
            return list(torch.autograd.grad(mean_loss(task, batches, number), list(own.values())))

        direction, before = slope(), [weight.detach().clone() for weight in own.values()]
        step = 1e-6 / float(flat(direction).norm())
        ends = []
        for sign in (1, -1):
            for weight, start, along in zip(own.values(), before, direction, strict=True):
                weight.data.copy_(start + sign * step * along)
            ends.append(slope())
        for name, weight, start, up, down in zip(own, own.values(), before, *ends, strict=True):
            weight.data.copy_(start)
            expected[name] = expected.get(name, 0) + start * (up - down) / (2 * step)
    assert set(expected) == set(scores)
    for name, score in scores.items():
        largest = float(expected[name].abs().max())
        torch.testing.assert_close(score, expected[name], rtol=1e-3, atol=1e-4 * largest, msg=lambda m, n=name: n + m)


def test_lamp_is_the_plain_loop() -> None:
    task = make_task("ae-mlp")
    for name, weight in prunable(task).items():
        squares = weight.detach().double().flatten() ** 2
        loop = torch.stack([one / squares[squares >= one].sum() for one in squares])
        torch.testing.assert_close(lamp(task)[name].flatten(), loop, rtol=1e-12, atol=0)


def test_lamp_orders_ties_and_zeros() -> None:
    task = ten_weights()
    first, second = prunable(task).values()
    first.data[:] = torch.tensor([[0.5, -0.5, 0.5], [0.0, 0.5, -0.5]])
    second.data[:] = 0
    scores = list(lamp(task).values())
    torch.testing.assert_close(
        scores[0].flatten().sort().values, torch.tensor([0, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 1]).double()
    )
    assert float(scores[0][1, 0]) == 0
    assert not scores[1].any()
    orders = {tuple(lamp(task, seed=seed)["net.1.weight"].flatten().tolist()) for seed in range(9)}
    assert len(orders) > 1, "ties are not in the order of positions"
    assert torch.equal(lamp(task, seed=3)["net.1.weight"], lamp(task, seed=3)["net.1.weight"])


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_lamp_leaves_a_weight_in_every_tensor_at_the_global_scope(case: str) -> None:
    task = make_task(case)
    within = full_mask(task)
    next(iter(prunable(task).values())).data.clamp_(-0.01, 0.01)
    assert keep_top(lamp(task), (len(within) + 0.1) / within.total, within=within, scope="global").kept == len(within)


# --- whose loss -------------------------------------------------------------------------------------------------------


def own_snip(task: Task, batch: Batch, objective: int) -> dict[str, Tensor]:
    """SNIP of one objective's loss alone, with respect to all weights that it reaches."""
    weights = prunable(task)
    loss = task.objectives()[objective].loss(batch, *drawn(task, [batch], 0))
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: (weight * one).abs().detach()
        for (name, weight), one in zip(weights.items(), found, strict=True)
        if one is not None
    }


@pytest.mark.parametrize("case", [case for case in FAMILY_CASES if FAMILY_CASES[case]["family"] == "gan"])
def test_players_are_scored_by_their_own_loss(case: str, some: list[Batch]) -> None:
    """G's score is SNIP of G's loss alone; D's has no part of it (Trap 31); pooled, D's has both."""
    task = make_task(case)
    before = states(task)
    scores, pooled = snip(task, some[:1]), snip(task, some[:1], pooled=True)
    task.train()
    turns = [own_snip(task, some[0], number) for number in (0, 1)]  # in order, as a step moves spectral norm's u and v
    task.load_state_dict(before)
    assert not any(name.startswith("generator") for name in turns[0]), "the fake is detached"
    for name, score in scores.items():
        own = turns[1] if name.startswith("generator") else turns[0]
        torch.testing.assert_close(score, own[name], rtol=1e-3, atol=1e-6 * float(own[name].max()))
        if name.startswith("generator"):
            torch.testing.assert_close(score, pooled[name], rtol=1e-3, atol=1e-6 * float(own[name].max()))
    moved = [name for name in scores if not torch.allclose(scores[name], pooled[name], rtol=1e-2)]
    assert moved
    assert all(name.startswith("discriminator") for name in moved)


class Adversarial(Net):
    """Two objectives that train the same component."""

    def objectives(self) -> Sequence[Objective]:
        return [Objective("fit", self.loss, ("net",)), Objective("size", self.size, ("net",), every=5)]

    def size(self, batch: Batch, draw: Draw) -> Tensor:
        return self.net(batch).square().mean()


def test_a_weight_of_several_objectives_gets_the_sum_of_their_losses() -> None:
    task, batches = ten_weights(Adversarial), small_batches(sizes=(6,))
    draw = Draw()
    total = task.loss(batches[0], draw) + task.size(batches[0], draw)
    weights = prunable(task)
    for (name, weight), one in zip(weights.items(), torch.autograd.grad(total, list(weights.values())), strict=True):
        torch.testing.assert_close(snip(task, batches)[name], (weight * one).abs().detach())
        torch.testing.assert_close(snip(task, batches, pooled=True)[name], (weight * one).abs().detach())


def test_a_value_that_two_turns_share_serves_both() -> None:
    """Both losses go back through the shared value, whose graph the first turn must not free."""

    class Sharing(Adversarial):
        def loss(self, batch: Batch, draw: Draw) -> Tensor:
            return self.share(draw, "out", "net", lambda: self.net(batch)).abs().mean()

        def size(self, batch: Batch, draw: Draw) -> Tensor:
            return self.share(draw, "out", "net", lambda: self.net(batch)).square().mean()

    task, data = ten_weights(Sharing), small_batches()
    for name, score in snip(task, data).items():
        torch.testing.assert_close(score, snip(task, data, pooled=True)[name])
    assert all(score.any() for score in grasp(task, data).values())


class Transposed(Net):
    """A decoder that is the encoder's weight, transposed: another parameter on the same memory."""

    def __init__(self) -> None:
        net = seeded(nn.Sequential, nn.Flatten(), nn.Linear(3, 2, bias=False), nn.Tanh(), nn.Linear(2, 3, bias=False))
        nn.init.uniform_(net[1].weight, -1, 1, generator=torch.Generator().manual_seed(0))
        net[3].weight = nn.Parameter(net[1].weight.data.t())
        super().__init__(net.double())
        net[3].weight.data = net[1].weight.data.t()


def test_tied_storages_are_scored_once_by_the_sum_of_their_gradients() -> None:
    task, batches = Transposed(), small_batches(sizes=(6,))
    assert list(snip(task, batches)) == ["net.1.weight"]
    weight = task.net[1].weight.detach().clone().requires_grad_()
    code = torch.tanh(batches[0].flatten(1) @ weight.t())
    loss = (code @ weight - batches[0].flatten(1).mean(1, keepdim=True)).square().mean()
    (expected,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(snip(task, batches)["net.1.weight"], (weight * expected).abs().detach())
    positive = weight.detach().abs().requires_grad_()
    flow = (torch.ones(1, 3).double() @ positive.t()).tanh() @ positive
    (expected,) = torch.autograd.grad(flow.sum(), positive)
    flow = (positive * expected).detach()
    score = synflow(task)["net.1.weight"]
    torch.testing.assert_close(score / score.sum(), flow / flow.sum())


def test_temperature_divides_the_logits_while_scoring_alone() -> None:
    class Warm(Net):
        temperature = 1.0

        def loss(self, batch: Batch, draw: Draw) -> Tensor:
            return F.softplus(-self.net(batch) / self.temperature).mean()

    task, batches = ten_weights(Warm), small_batches()
    cold, hot = grasp(task, batches), grasp(task, batches, temperature=200.0)
    assert task.temperature == 1
    assert "temperature" not in vars(task)
    task.temperature = 200.0
    for name, score in grasp(task, batches).items():
        assert torch.equal(score, hot[name])
        assert not torch.allclose(score, cold[name], rtol=0.1)
    grasp(task, batches, temperature=3.0)
    assert task.temperature == 200


# --- SynFlow ----------------------------------------------------------------------------------------------------------


def shifts_to_zero(task: Task) -> None:
    for layer in task.modules():
        if isinstance(getattr(layer, "bias", None), nn.Parameter):
            nn.init.zeros_(layer.bias)
        if isinstance(getattr(layer, "running_mean", None), Tensor):
            layer.running_mean.zero_()


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_synflow_conserves_its_sum_per_layer(case: str) -> None:
    """With biases and shifts at zero, what flows through each layer is what flows through the component."""
    task = make_task(case)
    shifts_to_zero(task)
    sums: dict[str, dict[str, float]] = {}
    for name, score in synflow(task).items():
        assert score.dtype == torch.float64
        assert score.min() >= 0
        assert score.max() > 0
        sums.setdefault(name.split(".")[0], {})[name] = float(score.sum())
    if case == "tied-mlp":
        return  # the shared weight stands in both sums
    chains = FAMILY_CASES[case]["network"] not in ("resnet", "resnet18")  # a branch carries a part of the flow
    for component, layers in sums.items():
        if chains:
            assert list(layers.values()) == pytest.approx([1.0] * len(layers)), component


def test_synflow_by_hand() -> None:
    """1-2-1 with weights (2, -3) and (-1, 4): paths carry 2 and 12, whatever the signs."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    net[1].weight.data = torch.tensor([[2.0], [-3.0]])
    net[3].weight.data = torch.tensor([[-1.0, 4.0]])
    scores = synflow(Net(net, (1, 1, 1)))
    assert (scores["net.1.weight"] * 14).tolist() == [[2], [12]]
    assert (scores["net.3.weight"] * 14).tolist() == [[2, 12]]


@pytest.mark.parametrize("last", [[nn.Tanh()], [nn.Sigmoid(), nn.Flatten()], [nn.Tanh(), nn.Unflatten(1, (1, 1, 6))]])
def test_synflow_looks_before_a_final_squashing(last: list[nn.Module]) -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 6))
    inner[3].weight.data.mul_(100)
    plain, squashed = synflow(Net(inner, (1, 1, 6))), synflow(Net(nn.Sequential(*inner, *last), (1, 1, 6)))
    assert all(torch.equal(plain[name], squashed[name]) for name in plain)


@pytest.mark.parametrize("api", SPECTRAL)
@pytest.mark.parametrize("train_first", [False, True])
def test_synflow_flows_through_the_raw_weights_of_a_spectral_norm(api: str, train_first: bool) -> None:
    """sigma is a constant: scores are those of the same network with weights |raw| / sigma."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), SPECTRAL[api](nn.Linear(6, 4)), nn.ReLU(), SPECTRAL[api](nn.Linear(4, 2)))
    task = Net(net, (1, 1, 6))
    if train_first:  # leaves a weight with a graph on the module
        with torch.random.fork_rng([]):
            net.train()(torch.rand(3, 1, 1, 6)).sum().backward()
        net.zero_grad()
    before = states(task)
    scores = synflow(task)
    with torch.no_grad():
        net.eval()(torch.ones(1, 1, 1, 6))
    bare = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    for place in (1, 3):
        bare[place].weight.data, bare[place].bias.data = net[place].weight.detach().clone(), net[place].bias.detach()
    for score, expected in zip(scores.values(), synflow(Net(bare, (1, 1, 6))).values(), strict=True):
        torch.testing.assert_close(score, expected, rtol=1e-5, atol=0)
        assert expected.min() > 0
    assert all(torch.equal(value, task.state_dict()[name]) for name, value in before.items())
    assert not any("compute_weight" in vars(hook) for layer in net for hook in layer._forward_pre_hooks.values())
    assert not any("forward" in vars(layer) for layer in net.modules())


def test_synflow_adds_running_means(some: list[Batch]) -> None:
    """A trained norm's mean must not silence a channel: taken as a shift, every weight keeps a positive score."""
    task = make_task("vae-conv")
    for layer in task.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-50, 50, generator=torch.Generator().manual_seed(0))
    assert all(score.min() > 0 for score in synflow(task).values())


def test_synflow_refuses_layers_that_normalize_by_their_own_input() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(TicketError, match=r"SynFlow scores of 'net' are negative: .*layer, group or instance norm"):
        dict(synflow(Net(net, (1, 1, 6))))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_synflow_at_the_global_scope_guts_no_component(scale: float) -> None:
    """Many cuts, and one component with far less flow than the other: each tensor keeps some weights."""
    task = make_task("ae-mlp")
    shifts_to_zero(task)
    task.decoder[0].weight.data.mul_(scale)
    mask = full_mask(task)
    for cut in range(1, 21):
        mask = keep_top(synflow(task), 0.1 ** (cut / 20), within=mask, scope="global")
        for name, weight in prunable(task).items():
            weight.data.mul_(mask[name])
    assert mask.density == pytest.approx(0.1, abs=0.001)


def test_synflow_needs_no_data_and_one_call_is_one_cut() -> None:
    task = make_task("ae-mlp")
    mask = keep_top(synflow(task), 0.5, within=full_mask(task))
    for name, weight in prunable(task).items():
        weight.data.mul_(mask[name])
    again = synflow(task)
    assert all(not again[name][~kept].any() for name, kept in mask.items())


# --- modes and chunks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "criterion"), product(FAMILY_CASES, BY_GRADIENT))
def test_chunked_scores_are_whole_batch_scores_in_evaluation_mode(case: str, criterion: str, some: list[Batch]) -> None:
    task = in_double(make_task(case))
    data = [batch.double() for batch in some[:2]]
    whole = CRITERIA[criterion](task, data, 1, evaluation=True)
    cut = CRITERIA[criterion](task, data, 1, evaluation=True, chunk=6)
    for name, score in whole.items():
        torch.testing.assert_close(cut[name], score, rtol=1e-7, atol=1e-9 * float(score.abs().max()))


def test_training_mode_is_another_score_than_evaluation(some: list[Batch]) -> None:
    task = make_task("vae-conv")
    one, other = snip(task, some), snip(task, some, evaluation=True)
    assert not torch.allclose(one["encoder.2.weight"], other["encoder.2.weight"], rtol=0.05)


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_a_chunk_in_training_mode_is_refused(criterion: str, some: list[Batch]) -> None:
    with pytest.raises(TicketError, match="chunk needs evaluation=True"):
        CRITERIA[criterion](make_task("ae-mlp"), some, 0, chunk=4)
    with pytest.raises(TicketError, match="not 0"):
        CRITERIA[criterion](make_task("ae-mlp"), some, 0, chunk=0, evaluation=True)


# --- every criterion --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "criterion"), product(FAMILY_CASES, CRITERIA))
def test_scores_fit_are_repeatable_and_touch_nothing(case: str, criterion: str, some: list[Batch]) -> None:
    task = make_task(case)
    task.train()
    list(task.modules())[-1].eval()
    before, modes = states(task), [part.training for part in task.modules()]
    weights = prunable(task)
    versions = {name: parameter._version for name, parameter in task.named_parameters()}
    rng = torch.get_rng_state()
    scores = CRITERIA[criterion](task, some[:2], 7)
    assert list(scores) == list(weights), "tied storages once"
    for name, score in scores.items():
        assert score.shape == weights[name].shape
        assert score.is_floating_point()
        assert not score.requires_grad
        assert torch.isfinite(score).all()
    assert all(torch.equal(task.state_dict()[name], value) for name, value in before.items())
    assert {name: parameter._version for name, parameter in task.named_parameters()} == versions
    assert all(parameter.grad is None and parameter.requires_grad for parameter in task.parameters())
    assert [part.training for part in task.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    again = CRITERIA[criterion](task, some[:2], 7)
    assert all(torch.equal(score, again[name]) for name, score in scores.items())


@pytest.mark.parametrize(("case", "criterion"), product(FAMILY_CASES, CRITERIA))
def test_counts_are_exact(case: str, criterion: str, some: list[Batch]) -> None:
    task = make_task(case)
    within = full_mask(task)
    scores = CRITERIA[criterion](task, some[:1], 0)
    mask = keep_top(scores, 0.75, within=within, scope="component")
    for component in mask.components:
        part = mask.of(component)
        assert part.kept == int(0.75 * part.total + 0.5)


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_modules_that_draw_for_themselves_see_the_same_noise(criterion: str) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
    task, data = Net(net).double(), small_batches()
    one = CRITERIA[criterion](task, data, 0)
    torch.rand(5)
    other, third = CRITERIA[criterion](task, data, 0), CRITERIA[criterion](task, data, 1)
    assert all(torch.equal(score, other[name]) for name, score in one.items())
    assert not torch.equal(one["net.1.weight"], third["net.1.weight"])


def test_grasps_two_passes_see_the_same_noise() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
        task, data = Net(net).double(), small_batches(sizes=(6,))
        weights = list(prunable(task).values())
        scores = grasp(task, data, 2)
        torch.manual_seed(derive(2, "modules", 0, 0))
        gradients = torch.autograd.grad(task.train().loss(data[0], Draw()), weights, create_graph=True)
        product = sum((one * one.detach()).sum() for one in gradients)
        curved = torch.autograd.grad(product, weights)
    for score, weight, one in zip(scores.values(), weights, curved, strict=True):
        torch.testing.assert_close(score, (weight * one).detach())


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_every_batch_is_scored_from_the_same_buffers(criterion: str, some: list[Batch]) -> None:
    """A spectral norm's estimate moves with each forward pass, but not from batch to batch, nor from pass to pass."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        first = SPECTRAL["old"](nn.Linear(64, 8))
        task = Net(nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(8, 1)), (1, 8, 8)).double()
    data = [batch.double() for batch in some]
    one, other = CRITERIA[criterion](task, data, 0), CRITERIA[criterion](task, data[::-1], 0)
    for name, score in one.items():
        torch.testing.assert_close(score, other[name])


def test_an_exception_leaves_nothing_behind(some: list[Batch]) -> None:
    task = make_task("vae-conv")
    before, rng = states(task), torch.get_rng_state()
    loss = task.loss

    def broken(batch: Batch, draw: Draw) -> Tensor:
        loss(batch, draw)
        raise ZeroDivisionError

    task.loss = broken
    task.eval()
    with pytest.raises(ZeroDivisionError):
        snip(task, some)
    assert all(torch.equal(task.state_dict()[name], value) for name, value in before.items())
    assert not any(part.training for part in task.modules())
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("api", SPECTRAL)
def test_a_spectral_norms_estimates_and_weight_are_put_back(api: str, some: list[Batch]) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        task = Net(nn.Sequential(nn.Flatten(), SPECTRAL[api](nn.Linear(64, 8)), nn.Tanh(), nn.Linear(8, 1)), (1, 8, 8))
    before = states(task)
    left = vars(task.net[1]).get("weight")
    for criterion in CRITERIA.values():
        dict(criterion(task, some[:1], 0))
    assert all(torch.equal(task.state_dict()[name], value) for name, value in before.items())
    assert vars(task.net[1]).get("weight") is left
    copy.deepcopy(task)


def test_options_are_the_keywords() -> None:
    assert CRITERIA.keys() == OPTIONS.keys()
    assert set(CRITERIA) >= NEEDS_DATA
    for name, criterion in CRITERIA.items():
        keywords = inspect.signature(criterion).parameters.values()
        assert OPTIONS[name] == tuple(one.name for one in keywords if one.kind is one.KEYWORD_ONLY)


def test_a_row_without_its_function_is_seen_at_once() -> None:
    row = 'SCORINGS["new"] = Scoring("new", "new", "weights:new")'
    code = f"from gentickets.scoring import SCORINGS, Scoring; {row}; import gentickets.criteria"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "has no attribute 'new'" in done.stderr


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", BY_GRADIENT)
@pytest.mark.parametrize("data", [[], [torch.zeros(0, 1, 8, 8)]])
def test_no_images_is_a_sentence(criterion: str, data: list[Batch]) -> None:
    with pytest.raises(TicketError, match="no batches to score on"):
        CRITERIA[criterion](make_task("ae-mlp"), data, 0)


def test_one_image_is_too_few_for_batch_norm() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(TicketError, match=r"too few images for batch norm \(1 in a batch\)"):
        snip(Net(net).double(), small_batches(sizes=(1,)))


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_a_frozen_weight_is_refused_when_it_is_to_be_pruned(criterion: str, some: list[Batch]) -> None:
    task = make_task("ae-mlp")
    task.encoder[1].weight.requires_grad_(False)
    scores = CRITERIA[criterion](task, some, 0)
    with pytest.raises(TicketError, match=r"'encoder\.1\.weight' is frozen"):
        keep_top(scores, 0.5, within=full_mask(task))
    free = full_mask(task, components=["decoder"])
    keep_top({name: scores[name] for name in free}, 0.5, within=free)
    assert not task.encoder[1].weight.requires_grad


@pytest.mark.parametrize("criterion", [*BY_GRADIENT, "synflow"])
def test_a_weight_without_a_gradient_path_is_named(criterion: str) -> None:
    task = ten_weights()
    task.net.add_module("unused", nn.Identity())
    task.net.unused.spare = nn.Linear(2, 2).double()
    scores = CRITERIA[criterion](task, small_batches(), 0)
    with pytest.raises(TicketError, match=r"no gradient path to 'net\.unused\.spare\.weight'"):
        dict(scores)
    assert scores["net.1.weight"].any()


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_a_loss_of_no_weight_at_all_is_named(criterion: str) -> None:
    class Constant(Net):
        def loss(self, batch: Batch, draw: Draw) -> Tensor:
            return batch.mean()

    with pytest.raises(TicketError, match=r"no gradient path to 'net\.1\.weight': the loss of 'fit' does not depend"):
        dict(CRITERIA[criterion](ten_weights(Constant), small_batches(), 0))


def test_a_component_that_no_objective_trains_is_named() -> None:
    task = ten_weights()
    task.spare = nn.Linear(2, 2).double()
    with pytest.raises(TicketError, match=r"no gradient path to 'spare\.weight': no objective trains 'spare'"):
        dict(snip(task, small_batches()))
    with pytest.raises(TicketError, match=r"Task\.inputs to say what 'spare' takes"):
        dict(synflow(task))


def test_a_family_without_inputs_has_no_synflow() -> None:
    class Mute(Net):
        def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
            return Task.inputs(self, batch)

    with pytest.raises(TicketError, match=r"SynFlow needs Mute\.inputs"):
        synflow(ten_weights(Mute))


@pytest.mark.parametrize("criterion", BY_GRADIENT)
def test_a_loss_that_is_flat_is_refused_with_what_to_use(criterion: str) -> None:
    task = ten_weights(Hinge)
    task.net[3].bias.data.fill_(100)
    with pytest.raises(TicketError, match=r"all .* scores of 'net' are zero: .*hinge.*use") as error:
        dict(CRITERIA[criterion](task, small_batches(), 0))
    assert error.value.status is Status.FAILED


@pytest.mark.parametrize("criterion", [grasp, grasp_abs])
def test_a_linear_loss_of_one_layer_has_no_second_derivatives(criterion: object) -> None:
    task = Linear(nn.Sequential(nn.Flatten(), nn.Linear(3, 1))).double()
    with pytest.raises(TicketError, match=r"all GraSP scores of 'net' are zero: .*'wasserstein'.*use snip"):
        dict(criterion(task, small_batches(), 0))


@pytest.mark.parametrize("criterion", [*BY_GRADIENT, "synflow"])
def test_scores_that_are_no_numbers_end_as_diverged(criterion: str) -> None:
    task = ten_weights()
    task.net[1].weight.data[0, 0] = float("nan")
    with pytest.raises(TicketError, match="diverged") as error:
        dict(CRITERIA[criterion](task, small_batches(), 0))
    assert error.value.status is Status.DIVERGED


class Once(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: object, gradient: Tensor) -> Tensor:
        return gradient * 2


def test_grasp_says_what_cannot_be_differentiated_twice() -> None:
    class Fused(Net):
        def loss(self, batch: Batch, draw: Draw) -> Tensor:
            return Once.apply(self.net(batch)).square().mean()

    task = ten_weights(Fused)
    assert all(score.any() for score in snip(task, small_batches()).values())
    with pytest.raises(TicketError, match="GraSP needs a loss that can be differentiated twice"):
        grasp(task, small_batches())


def test_grasp_on_fused_attention_scores_or_says_why() -> None:
    """PyTorch's fused kernels have no second backward: a sentence, not a traceback."""

    class Attention(Net):
        def loss(self, batch: Batch, draw: Draw) -> Tensor:
            x = self.net(batch).view(1, 1, -1, 2)
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
                return F.scaled_dot_product_attention(x, x, x).square().mean()

    task = ten_weights(Attention)
    with pytest.raises(TicketError, match=r"differentiated twice.*unfused form, or snip"):
        grasp(task, small_batches(sizes=(8,)))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(TicketError, match="must be above 0"):
        grasp(ten_weights(), small_batches(), temperature=temperature)
