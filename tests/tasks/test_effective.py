"""A pruned weight is a zero of what the layer multiplies by, under any parametrization; else the layer says no."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import make_task
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from gentickets.accounting.flops import forward_flops, layer_flops, masked_flops
from gentickets.channels.group import twin
from gentickets.criteria import CRITERIA
from gentickets.data import Batches
from gentickets.effective import effective_weight, raw_weight
from gentickets.errors import Status, TicketError
from gentickets.export.plain import plain
from gentickets.masks import Magnitudes, Mask, full_mask, hold, keep_top, left_out, prunable, prunable_layers
from gentickets.optimizers import Schedule
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.search import first_ticket, next_ticket
from gentickets.spectral import settle
from gentickets.tasks import Optim, Task
from gentickets.tickets import Origin, Ticket, copied, load_weights, state_of
from gentickets.training import Plan, Training, grow

Make = Callable[[], nn.Module]


class Function(nn.Module):
    """A parametrization that is one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, weight: Tensor) -> Tensor:
        return self.function(weight)


def made(layer: nn.Module, *functions: Callable[[Tensor], Tensor]) -> nn.Module:
    for function in functions:
        parametrize.register_parametrization(layer, "weight", Function(function))
    return layer


def hooked(layer: nn.Module, function: Callable[[Tensor], Tensor]) -> nn.Module:
    """A layer whose weight a hook of the older kind makes of `weight_raw`."""
    weight = layer._parameters.pop("weight")
    layer.register_parameter("weight_raw", nn.Parameter(weight.detach()))
    layer.weight = weight.detach()
    layer.register_forward_pre_hook(lambda self, _: setattr(self, "weight", function(self.weight_raw)))
    return layer


class Standardized(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / weight.std(), self.bias)


class Product(nn.Linear):
    """A linear layer that calls none of PyTorch's products with a weight."""

    centred = False

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean() if self.centred else self.weight
        return x @ weight.t() + self.bias


class Centred(Product):
    centred = True


class Styled(nn.Conv2d):
    """Its forward pass wants more than an input."""

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return super().forward(x) * style


class LowRank(nn.Module):
    """An update of low rank, which is zero at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.ones(6, 2)), nn.Parameter(torch.zeros(2, 6))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


class Gain(nn.Module):
    """A factor for each row, which moves and lets zeros pass."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(6, 1))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.gain


class Noise(nn.Module):
    """What is added in training alone."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.1 * torch.randn_like(weight) if self.training else weight


def under(layer: nn.Module, parametrization: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", parametrization)


def weight_norm(layer: nn.Module, **keywords: object) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(layer, **keywords)


def centre(weight: Tensor) -> Tensor:
    return weight - weight.mean()


PASS: dict[str, tuple[Make, str]] = {
    "plain": (lambda: nn.Linear(4, 6), "weight"),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 6)), "parametrizations.weight.original1"),
    "old weight norm": (lambda: weight_norm(nn.Linear(4, 6)), "weight_v"),
    "weight norm of all": (lambda: weight_norm(nn.Conv1d(4, 6, 3), dim=None), "weight_v"),
    "weight norm, transposed": (
        lambda: parametrizations.weight_norm(nn.ConvTranspose2d(4, 6, 3), dim=1),
        "parametrizations.weight.original1",
    ),
    "spectral norm": (
        lambda: parametrizations.spectral_norm(nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect")),
        "parametrizations.weight.original",
    ),
    "old spectral norm": (lambda: nn.utils.spectral_norm(nn.ConvTranspose2d(4, 6, 3)), "weight_orig"),
    "both norms": (
        lambda: parametrizations.spectral_norm(parametrizations.weight_norm(nn.Linear(4, 6))),
        "parametrizations.weight.original1",
    ),
    "soft threshold": (
        lambda: made(nn.Linear(4, 6), lambda w: w.sign() * (w.abs() - 0.6).clamp(min=0)),
        "parametrizations.weight.original",
    ),
    "factors": (lambda: under(nn.Linear(4, 6), Gain()), "parametrizations.weight.original"),
    "dropped": (lambda: under(nn.Linear(4, 6), nn.Dropout()), "parametrizations.weight.original"),
    "equalized rate": (lambda: hooked(nn.Linear(4, 6), lambda w: w * 0.3), "weight_raw"),
    "own product": (lambda: Product(4, 6), "weight"),
    "more than an input": (lambda: Styled(4, 6, 3), "weight"),
}
REFUSE: dict[str, tuple[Make, str, str]] = {
    "orthogonal": (
        lambda: parametrizations.orthogonal(nn.Linear(6, 6)),
        "parametrizations.weight.original",
        "made by Orthogonal",
    ),
    "exponential": (
        lambda: made(nn.Linear(6, 6), lambda w: w.triu(1) - w.triu(1).t(), torch.linalg.matrix_exp),
        "parametrizations.weight.original",
        "made by Function and Function",
    ),
    "symmetric": (
        lambda: made(nn.Linear(6, 6), lambda w: w.triu() + w.triu(1).t()),
        "parametrizations.weight.original",
        "made by Function",
    ),
    "standardized": (lambda: made(nn.Conv2d(4, 6, 3), centre), "parametrizations.weight.original", "made by Function"),
    "centred after weight norm": (
        lambda: made(parametrizations.weight_norm(nn.Linear(4, 6)), centre),
        "parametrizations.weight.original1",
        "made by WeightNorm and Function",
    ),
    "low rank": (lambda: under(nn.Linear(6, 6), LowRank()), "parametrizations.weight.original", "made by LowRank"),
    "noise": (lambda: under(nn.Linear(6, 6), Noise()), "parametrizations.weight.original", "made by Noise"),
    "own forward pass": (lambda: Standardized(4, 6, 3), "weight", "made by Standardized"),
    "own product, centred": (lambda: Centred(4, 6), "weight", "made by Centred"),
    "hook": (lambda: hooked(nn.Linear(4, 6), centre), "weight_raw", "made by <lambda>"),
}


@pytest.mark.parametrize("case", PASS)
def test_the_tensor_whose_zeros_are_zeros_is_found_without_touching_the_layer(case: str) -> None:
    make, name = PASS[case]
    layer = make()
    layer.train()
    state, parts = copied(layer.state_dict()), [id(part) for part in (*layer.modules(), *layer.parameters())]
    before, attributes = torch.get_rng_state(), dict(vars(layer))
    assert raw_weight(layer).name == name
    assert list(prunable(nn.Sequential(layer))) == [f"0.{name}"]
    assert not left_out(nn.Sequential(layer))
    assert torch.equal(torch.get_rng_state(), before)
    assert layer.training
    assert vars(layer) == attributes
    assert [id(part) for part in (*layer.modules(), *layer.parameters())] == parts
    assert all(torch.equal(value, state[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("case", REFUSE)
def test_a_layer_whose_zeros_do_not_pass_is_left_out_and_refused_by_name(case: str) -> None:
    make, name, why = REFUSE[case]
    net = nn.Sequential(make(), nn.Linear(4, 4))
    assert list(full_mask(net)) == ["1.weight"]
    refused = left_out(net)
    assert f"0.{name}" in refused
    assert not any(key.endswith("bias") for key in refused)
    assert why in refused[f"0.{name}"]
    shape = net.get_parameter(f"0.{name}").shape
    mask = Mask({f"0.{name}": torch.zeros(shape, dtype=torch.bool), "1.weight": torch.zeros(4, 4, dtype=torch.bool)})
    before = copied(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(TicketError, match=rf"'0\.{name}' cannot be pruned: its weight is made by") as caught:
        hold(mask, net, optimizer)
    assert caught.value.status == Status.TICKET
    with pytest.raises(TicketError, match=rf"'0\.{name}' cannot be pruned"):
        Ticket(mask, copied(state_of(net)), Origin("iterative", 0, 1, 0)).load_into(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not optimizer._optimizer_step_post_hooks
    with pytest.raises(TicketError, match=r"nothing is left to prune: '0\..*' cannot be, since its weight is"):
        prunable(nn.Sequential(make()))


def test_what_was_found_is_forgotten_with_what_made_it() -> None:
    layer = nn.Linear(6, 6)
    assert raw_weight(layer).name == "weight"
    parametrizations.orthogonal(layer)
    assert raw_weight(layer).name is None
    parametrize.remove_parametrizations(layer, "weight")
    made(layer, torch.abs)
    assert raw_weight(layer).name == "parametrizations.weight.original"


def normed(old: bool) -> Task:
    """An autoencoder of convolutions, every layer under weight norm but the last."""
    task = make_task("ae-conv")
    layers = [layer for layer in task.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    for layer in layers[:-1]:
        (weight_norm if old else parametrizations.weight_norm)(layer)
    return task


def zeros(task: nn.Module, mask: Mask) -> int:
    """Pruned entries that are not zero in the weights that the layers multiply by."""
    layers = {name: layer for layer, (name, _) in prunable_layers(task).items()}
    made = {name: effective_weight(task.get_submodule(layer), {}) for name, layer in layers.items()}
    return sum(int((made[name][~kept] != 0).sum()) for name, kept in mask.items())


@pytest.mark.parametrize("old", [False, True], ids=["parametrization", "hook"])
def test_weight_norm_is_searched_trained_stored_counted_and_exported(
    old: bool, batches: Batches, tmp_path: Path
) -> None:
    """Two rounds of a search; what is pruned is zero in the weights, in memory, on disk and in the plain network."""
    training = Training(normed(old), Plan(Optim("adam", lr=1e-2), Schedule("constant", 6)))
    raw = "weight_v" if old else "original1"
    dense = first_ticket(training, batches, rewind_to=2)
    assert sum(name.endswith(raw) for name in dense.mask) == len(dense.mask) - 1 > 2
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.4, scope="layer")
    write_ticket(tmp_path / "t", ticket)
    back, _ = read_ticket(tmp_path / "t")
    grow(training, back, batches, seed=0)
    assert zeros(training.task, ticket.mask) == 0
    counts = layer_flops(training.task)
    assert masked_flops(training.task, ticket.mask) == pytest.approx(
        sum(count * ticket.mask.densities[name] for name, count in counts.items())
    )
    assert set(counts) == set(ticket.mask)
    assert all(counts.values())
    unnormed = forward_flops(make_task("ae-conv"))
    assert sum(counts.values()) == unnormed.kind("convolution").dense + unnormed.kind("linear").dense
    simple = plain(training.task)
    folded = {name: weight for name, weight in simple.named_parameters() if name.endswith("weight") and weight.ndim > 1}
    assert sum(int((weight == 0).sum()) for weight in folded.values()) == ticket.mask.total - ticket.mask.kept
    image = batches.first(1)[0]
    training.task.eval()
    code = training.task.encoder(image)
    assert torch.allclose(simple.decoder(simple.encoder(image)), training.task.decoder(code), atol=1e-5)


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
def test_every_criterion_scores_weight_norms_direction(criterion: str, batches: Batches) -> None:
    for old in (False, True):
        task = normed(old)
        scores = CRITERIA[criterion](task, batches.first(2), 0)
        assert list(scores) == list(prunable(task))
        assert all(bool(torch.isfinite(scores[name]).all()) for name in scores)


def test_synflow_under_weight_norm_is_that_of_the_network_without(batches: Batches) -> None:
    """At initialization weight norm changes no weight, so scores are those of the plain network."""
    expected = list(CRITERIA["synflow"](make_task("ae-conv"), [], 0).values())
    for old in (False, True):
        found = CRITERIA["synflow"](normed(old), [], 0).values()
        assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("old", [False, True], ids=["parametrization", "hook"])
def test_a_row_with_nothing_left_under_weight_norm_is_zero_and_trains_on(old: bool) -> None:
    """PyTorch divides the row by its norm, 0: weights and gradients would be no numbers. It copies no old form."""
    net = nn.Sequential((weight_norm if old else parametrizations.weight_norm)(nn.Linear(4, 6)))
    reference = twin(net)
    mask = full_mask(net)
    (_, kept), *_ = mask.items()
    kept[3] = False
    kept[2, 1] = False
    with torch.no_grad():
        reference.get_parameter(next(iter(mask)))[~kept] = 0.0
    assert not bool(torch.isfinite(reference(torch.ones(1, 4))).all()), "the control: PyTorch's own"
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    handle = hold(mask, net, optimizer)
    others = [(net, optimizer), *([] if old else [copy.deepcopy((net, optimizer))])]
    assert torch.allclose(net(torch.ones(1, 4))[:, :2], reference(torch.ones(1, 4))[:, :2])
    for other, theirs in others:
        for _ in range(3):
            theirs.zero_grad()
            other(torch.randn(8, 4)).square().sum().backward()
            theirs.step()
        assert all(bool(torch.isfinite(value).all()) for value in other.parameters())
        assert torch.equal(effective_weight(other[0], {}) != 0, kept)
        other(torch.randn(1, 4))
        assert torch.equal(other[0].weight != 0, kept)
    assert handle.check() == 0


@pytest.mark.parametrize("old", [False, True], ids=["parametrization", "hook"])
def test_a_search_goes_on_past_empty_rows_of_weight_norm(old: bool, batches: Batches) -> None:
    training = Training(normed(old), Plan(Optim("adam", lr=1e-2), Schedule("constant", 4), ema={"decoder": 0.5}))
    dense = first_ticket(training, batches, rewind_to=1)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.4, scope="layer")
    for kept in list(ticket.mask.values())[:-1]:
        kept[1] = False
    grow(training, ticket, batches, seed=0)
    assert zeros(training.task, ticket.mask) == 0
    fresh = normed(old)
    load_weights(fresh, state_of(training.task))
    image = batches.first(1)[0]
    for task in (training.task.eval(), plain(training.task), plain(fresh)):
        assert bool(torch.isfinite(task.decoder(task.encoder(image))).all())
    with training.averaged() as task:
        assert bool(torch.isfinite(task.decoder(task.encoder(image))).all())
    assert all(bool(torch.isfinite(scores).all()) for scores in CRITERIA["snip"](fresh, batches.first(1), 0).values())
    before = [dict(vars(part)) for part in fresh.modules()]
    CRITERIA["synflow"](fresh, [], 0)
    assert [dict(vars(part)) for part in fresh.modules()] == before


def test_a_row_with_nothing_left_under_a_norm_of_ones_own_is_refused_before_anything_changes() -> None:
    net = nn.Sequential(made(nn.Linear(4, 6), lambda w: w / w.norm(dim=1, keepdim=True)))
    mask = full_mask(net)
    (name, kept), *_ = mask.items()
    kept[3] = False
    before = copied(net.state_dict())
    with pytest.raises(TicketError, match=rf"the weight that is made of '{name}' is no number"):
        hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(TicketError, match="is no number"):
        Ticket(mask, copied(state_of(net)), Origin("iterative", 0, 1, 0)).load_into(net)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    kept[3, 1] = True
    hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert zeros(net, mask) == 0


class OwnNorm(nn.Module):
    """A spectral norm of the user's own: one power iteration in training mode, its vectors in buffers."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", torch.ones(len(weight)) / len(weight) ** 0.5)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, weight: Tensor) -> Tensor:
        v = nn.functional.normalize(weight.detach().t() @ self.u, dim=0)
        if self.training:
            self.calls += 1
            self.u.copy_(nn.functional.normalize(weight.detach() @ v, dim=0))
        return weight / (self.u @ weight @ v)


class Restless(OwnNorm):
    """Its estimate never comes to rest."""

    def forward(self, weight: Tensor) -> Tensor:
        self.u.copy_(torch.randn(self.u.shape))
        return weight * self.u[0]


def test_a_norm_of_the_users_own_is_estimated_anew() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    parametrize.register_parametrization(layer, "weight", OwnNorm(layer.weight))
    net = nn.Sequential(layer)
    for _ in range(30):
        net(torch.randn(2, 40))
    mask = keep_top(Magnitudes(prunable(net)), 0.1, within=full_mask(net), scope="layer")
    random, calls = torch.get_rng_state(), int(layer.parametrizations.weight[0].calls)
    hold(mask, net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert torch.linalg.matrix_norm(layer.eval().weight, 2).item() == pytest.approx(1, abs=0.02)
    assert torch.equal(torch.get_rng_state(), random)
    assert int(layer.parametrizations.weight[0].calls) == calls, "numbers that count are no estimates"


def test_a_norm_that_does_not_settle_is_named() -> None:
    layer = nn.Linear(4, 4)
    parametrize.register_parametrization(layer, "weight", Restless(layer.weight))
    before = copied(layer.state_dict())
    with pytest.warns(UserWarning, match=r"the norm of '0' keeps an estimate that does not settle"):
        settle(nn.Sequential(layer))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


def test_a_component_of_refused_layers_alone_is_refused_with_the_reason() -> None:
    net = nn.ModuleDict({"turn": parametrizations.orthogonal(nn.Linear(6, 6)), "free": nn.Linear(6, 6)})
    with pytest.raises(TicketError, match=r"nothing of 'turn' can be pruned: 'turn\..*Orthogonal"):
        full_mask(net, components=["turn"])
    with pytest.raises(TicketError, match=r"no component 'tur'"):
        full_mask(net, components=["tur"])
