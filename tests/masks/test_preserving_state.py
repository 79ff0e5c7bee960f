"""Looking changes nothing: every looker over every kind of network, on success and on failure."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from gentickets.accounting import flops, steps
from gentickets.actions.measure import sample_flops
from gentickets.channels import channel_scores, compact, dead_channels, full_channels, groups_of, without_dead
from gentickets.channels.group import twin
from gentickets.criteria import CRITERIA
from gentickets.data import load
from gentickets.errors import TicketError
from gentickets.export.described import as_safetensors
from gentickets.export.onnx_file import as_onnx
from gentickets.export.parts import parts_of
from gentickets.export.plain import plain
from gentickets.masks import Mask, full_mask, hold, keep_top, masked_state_dict
from gentickets.portable import portable_of
from gentickets.quality import evaluate
from gentickets.tasks import Draw, Objective, Task
from gentickets.tickets import Origin, Ticket, copied, state_of
from gentickets.transfer import alignment, code_group, transfer
from gentickets.untouched import preserved, substituted, tensors_in

SIZE = 64  # of the digits' images


class BoomError(RuntimeError):
    """What fails in the middle."""


# --- what a network is -----------------------------------------------------------------------------------------------


def fingerprint(module: nn.Module, versions: bool = True) -> dict[str, object]:
    """All that may not change: objects, classes, modes, hooks, numbers, gradients, and what lies around the module.

    ``versions``: also that parameters were not written to, be it with the same numbers.
    """
    found: dict[str, object] = dict(surroundings())
    for path, part in module.named_modules(remove_duplicate=False):
        found[f"{path}: part"] = (id(part), type(part), part.training)
        for name, value in vars(part).items():
            found[f"{path}.{name}"] = entries(value)
    for path, part in module.named_modules():
        for name, value in [*vars(part).items(), *part._parameters.items(), *part._buffers.items()]:
            for number, tensor in enumerate(tensors_in(value) if name not in ("_parameters", "_buffers") else ()):
                found[f"{path}.{name}#{number}"] = numbers(tensor, versions)
    return found


def entries(value: object) -> object:
    if isinstance(value, dict):
        return id(value), [(key, id(one)) for key, one in value.items()]
    if isinstance(value, list | set):
        return id(value), [id(one) for one in value]
    return id(value)


def numbers(tensor: Tensor, versions: bool) -> object:
    grad = tensor.grad if tensor.is_leaf else None
    return (
        id(tensor), type(tensor), tensor.dtype, tensor.shape, tensor.stride(), tensor.data_ptr(), tensor.requires_grad,
        bits(tensor), id(grad), None if grad is None else bits(grad), tuple((tensor._backward_hooks or {}).items()),
        tensor._version if versions and isinstance(tensor, nn.Parameter) else None,
    )  # fmt: skip


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().numpy().tobytes()


def surroundings() -> dict[str, object]:
    state: Any = np.random.get_state()
    return {
        "torch": bits(torch.get_rng_state()), "python": random.getstate(), "numpy": (state[1].tobytes(), *state[2:]),
        "dtype": torch.get_default_dtype(), "threads": torch.get_num_threads(), "grad": torch.is_grad_enabled(),
    }  # fmt: skip


def assert_same(before: Mapping[str, object], after: Mapping[str, object], who: str) -> None:
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    assert not changed, f"{who} changed {changed[:5]}"


# --- networks ---------------------------------------------------------------------------------------------------------


class One(Task):
    """A task around one network, which rebuilds its input."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.image, self.net = (1, 8, 8), net

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"net": (batch.flatten(1),)}

    def rebuilt(self, batch: Tensor) -> Tensor:
        first: Tensor = next(tensors_in(self.net(batch.flatten(1))))
        return first

    def objectives(self) -> list[Objective]:
        def error(batch: Tensor, draw: Draw) -> Tensor:
            return (self.rebuilt(batch) - batch.flatten(1)).square().mean()

        return [Objective("error", error, ("net",))]

    def figures(self, batch: Tensor, draw: Draw) -> dict[str, Tensor]:
        return {"error": (self.rebuilt(batch) - batch.flatten(1)).square().mean(1)}

    def reconstruct(self, batch: Tensor) -> Tensor:
        return self.rebuilt(batch).reshape(batch.shape)


def mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, 5), *between, nn.ReLU(), nn.Linear(5, SIZE))


class Shared(nn.Module):
    """Layers that stand under two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(SIZE, 5), nn.Linear(5, SIZE)
        self.body = nn.Sequential(self.fc1, nn.ReLU(), self.fc2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y


class Transposed(nn.Module):
    """A decoder that is the encoder's transpose, by a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(SIZE, 5), nn.Linear(5, SIZE)
        self.up.weight = nn.Parameter(self.down.weight.detach().t())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(torch.tanh(self.down(x)))
        return y


class Holding(nn.Module):
    """Buffers, stored and not, one of them moved by every pass, and tensors in attributes and lists."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("aside", torch.zeros(3), persistent=False)
        self.loose, self.list, self.calls = torch.ones(2), [torch.zeros(2)], [0]
        self.own = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.aside.add_(x.detach().mean())
        self.loose.mul_(2)
        self.list[0].add_(1)
        self.calls.append(1)
        self.last = x.detach()
        y: Tensor = self.norm(x) * (1 + 0.1 * torch.rand(1, generator=self.own))
        return y


class Drawing(nn.Module):
    """Draws from all three global random states."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn_like(x) + 0.01 * random.random() + 0.01 * float(np.random.rand())


class Restless(nn.Module):
    """Moves its own weights and the process's settings in every pass, as no network should."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        torch.set_grad_enabled(torch.is_grad_enabled())
        with torch.no_grad():
            self.inner.bias.data.mul_(0.5)
        self.inner.bias.data = self.inner.bias.data.clone()
        self.inner.extra = nn.ReLU()
        self.inner.register_forward_hook(lambda *_: None)
        self.inner.requires_grad_(True).train()
        torch.set_default_dtype(torch.float32)
        return y


class Doubled(nn.Module):
    """A parametrization of one's own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@dataclass
class Answer:
    """What some components return."""

    image: Tensor
    more: Tensor | None = None


class Telling(nn.Module):
    """A network whose output is a tuple, a mapping or a dataclass."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net, self.kind = mlp(), kind

    def forward(self, x: Tensor) -> object:
        y = self.net(x)
        return {"tuple": (y, [y]), "dict": {"image": y, "note": None}, "dataclass": Answer(y)}[self.kind]


def under(wrap: Callable[..., nn.Module], **options: object) -> nn.Sequential:
    net = mlp()
    net[0] = wrap(net[0], **options)
    return net


class Making(nn.Module):
    """Adds a tensor that it makes by itself, of the default kind of number or of one that it names."""

    def __init__(self, kind: torch.dtype | None = None) -> None:
        super().__init__()
        self.kind, self.inner = kind, nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.inner(torch.linspace(0, 1, 5, dtype=self.kind))
        return y


class Asking(nn.Module):
    """Records gradients by itself, whatever the caller does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y: Tensor = self.inner(x)
            torch.autograd.grad(y.sum(), self.inner.weight, retain_graph=True)
        return y


def complex_inside() -> nn.Sequential:
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(5, 5, dtype=torch.complex64)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.inner(x.to(self.inner.weight.dtype)).abs()
            return y

    return mlp(Complex())


class Filtered(nn.Module):
    """Its first parameter is complex, and it takes real images."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.ones(SIZE // 2 + 1, dtype=torch.complex64))
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.fft.irfft(torch.fft.rfft(self.net(x)) * self.filter, n=SIZE)
        return y


class Checkpointed(nn.Module):
    """It runs again on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.net, x, use_reentrant=False)
        return y


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.Linear(SIZE, SIZE), torch.jit.script(nn.Dropout(0.5)))


def frozen() -> nn.Sequential:
    net = mlp(nn.BatchNorm1d(5))
    net[0].requires_grad_(False)
    net[1].eval()
    return net


def hooked() -> nn.Sequential:
    net, heard = mlp(), []
    net[0].register_forward_pre_hook(lambda *_: heard.append(1))
    net[0].register_forward_hook(lambda *_: heard.append(2))
    net[0].register_forward_hook(
        lambda layer, given, out: layer.__dict__.setdefault("heard", []).append(3), prepend=True
    )
    net[2].register_full_backward_hook(lambda *_: None)
    net[2].weight.register_hook(lambda grad: None)
    return net


def held() -> nn.Sequential:
    net = mlp()
    hold(Mask({"0.weight": torch.arange(5 * SIZE).reshape(5, SIZE) % 2 == 0}), net, torch.optim.SGD(net.parameters()))
    return net


def graded() -> nn.Sequential:
    net = mlp()
    net(torch.ones(2, SIZE)).sum().backward()
    return net


def compiled() -> nn.Sequential:
    net = mlp()
    net[0]._compiled_call_impl = net[0]._call_impl
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": mlp,
    "shared module": Shared,
    "transposed tie": Transposed,
    "buffers": lambda: mlp(Holding()),
    "dropout": lambda: mlp(nn.Dropout(0.5)),
    "drawing": lambda: mlp(Drawing()),
    "restless": lambda: mlp(Restless()),
    "spectral norm": lambda: under(parametrizations.spectral_norm),
    "old spectral norm": lambda: under(torch.nn.utils.spectral_norm),
    "weight norm": lambda: under(parametrizations.weight_norm),
    "old weight norm": lambda: under(torch.nn.utils.weight_norm),
    "orthogonal": lambda: under(parametrizations.orthogonal),
    "own parametrization": lambda: under(
        lambda layer: parametrize.register_parametrization(layer, "weight", Doubled())
    ),
    "pruned by torch": lambda: under(prune.random_unstructured, name="weight", amount=0.5),
    "frozen": frozen,
    "hooked": hooked,
    "graded": graded,
    "held": held,
    "compiled": compiled,
    "tuple": lambda: Telling("tuple"),
    "dict": lambda: Telling("dict"),
    "dataclass": lambda: Telling("dataclass"),
    "recurrent": lambda: mlp(Recurrent()),
    "making": lambda: mlp(Making()),
    "making float32": lambda: mlp(Making(torch.float32)),
    "asking": lambda: mlp(Asking()),
    "complex": complex_inside,
    "compiled apart": lambda: torch.compile(mlp(), backend="eager"),
    "scripted": scripted,
    "complex filter": Filtered,
    "checkpointed": Checkpointed,
}


class Recurrent(nn.Module):
    """A layer that holds its parameters in a list as well."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(5, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cell(x[:, None])[0][:, 0]
        return y


def make(network: str) -> One:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    return One(NETWORKS[network]()).train()


# --- lookers ----------------------------------------------------------------------------------------------------------

BATCH = torch.linspace(-1, 1, 8 * SIZE).reshape(8, 1, 8, 8)
SPLITS = load("digits")


def ticket_of(task: Task) -> Ticket:
    mask = full_mask(task)
    return Ticket(mask, copied(state_of(task)), Origin("iterative", 0, 1, 0))


def of_channels(task: Task) -> object:
    groups = groups_of(task, BATCH)
    channel_scores(task, groups)
    return compact(task, full_channels(groups), BATCH, groups=groups)


def exported(task: Task) -> object:
    parts, _ = parts_of(task, BATCH)
    return as_safetensors(task, parts, {})


LOOKERS: dict[str, Callable[[Task], object]] = {
    **{name: lambda task, score=score: dict(score(task, [BATCH], 0)) for name, score in CRITERIA.items()},
    "grasp at a temperature": lambda task: CRITERIA["grasp"](task, [BATCH], 0, temperature=200.0),
    "snip in evaluation mode": lambda task: CRITERIA["snip"](task, [BATCH], 0, evaluation=True, chunk=3),
    "dense_flops": flops.dense_flops,
    "forward_flops": flops.forward_flops,
    "masked_flops": lambda task: flops.masked_flops(task, full_mask(task)),
    "layer_flops": flops.layer_flops,
    "weights": flops.weights,
    "step_flops": lambda task: steps.step_flops(task, 8),
    "groups, scores, compact": of_channels,
    "without_dead": lambda task: without_dead(task, full_mask(task), BATCH),
    "twin": twin,
    "ticket": ticket_of,
    "portable": lambda task: portable_of(ticket_of(task), copied(state_of(task)), task),
    "masked_state_dict": lambda task: masked_state_dict(task, full_mask(task)),
    "plain": plain,
    "parts, safetensors": exported,
    "dead channels": lambda task: dead_channels(task, full_mask(task), groups_of(task, BATCH)),
    "alignment": lambda task: alignment(task, task, [BATCH]),
    "codes": lambda task: code_group(task, BATCH),
    "FLOPs of a sample": sample_flops,
    "transfer": lambda task: transfer(ticket_of(task), task, task),
    "evaluate": lambda task: evaluate(task, SPLITS, "valid", seed=0),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_looking_changes_nothing(network: str) -> None:
    task = make(network)
    for name, look in LOOKERS.items():
        before = fingerprint(task, network != "restless")
        refused = False
        try:
            look(task)
        except TicketError:
            refused = True
        assert_same(before, fingerprint(task, network != "restless"), f"{name} on {network}")
        assert not refused or network != "plain", f"{name} refuses a plain network"


@pytest.mark.parametrize("error", [BoomError, KeyboardInterrupt, TicketError])
@pytest.mark.parametrize("where", ["forward", "loss"])
def test_looking_that_fails_changes_nothing(error: type[BaseException], where: str) -> None:
    networks = ("buffers", "shared module", "transposed tie", "restless", "spectral norm")
    for network in networks if error is BoomError else networks[:2]:
        task = make(network)
        failing(task, error, where)
        for name, look in LOOKERS.items():
            before = fingerprint(task, network != "restless")
            with suppress(error, TicketError):
                look(task)
            assert_same(before, fingerprint(task, network != "restless"), f"{name} that fails on {network}")


def failing(task: One, error: type[BaseException], where: str) -> None:
    def fail(*_: object) -> None:
        raise error("in the middle")

    if where == "forward":
        [part for part in task.net.modules() if isinstance(part, nn.Linear)][-1].register_forward_hook(fail)
    else:
        vars(task)["objectives"] = lambda: [Objective("error", fail, ("net",))]


def test_a_pending_gradient_stays_valid() -> None:
    """What autograd has saved is not written to, not even with the same numbers."""
    for name, look in LOOKERS.items():
        task = make("transposed tie")
        loss = task.rebuilt(BATCH).square().mean()
        with suppress(TicketError):
            look(task)
        loss.backward()
        assert task.net.down.weight.grad is not None, name


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_scores_do_not_depend_on_whether_the_caller_records_gradients(guard: Callable[[], Any]) -> None:
    task = make("drawing")
    wanted = {name: dict(score(task, [BATCH], 0)) for name, score in CRITERIA.items()}
    with guard():
        batch = BATCH.clone()
        for name, score in CRITERIA.items():
            found = score(task, [batch], 0)
            assert all(torch.equal(found[weight], scores) for weight, scores in wanted[name].items()), name


def test_a_lazy_network_is_refused_by_name_and_stays_lazy() -> None:
    task = One(nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(SIZE)))
    for name, look in LOOKERS.items():
        with pytest.raises(TicketError, match=r"'net\.0\.weight' has no shape yet.*run one batch"):
            look(task)
        assert isinstance(task.net[0], nn.LazyLinear), name


@pytest.mark.full
def test_an_onnx_export_changes_nothing() -> None:
    pytest.importorskip("onnxscript")
    task = make("spectral norm").eval()
    part = parts_of(task, BATCH)[0]["net"]
    before = fingerprint(task)
    with suppress(TicketError):
        as_onnx(part, {})
    assert_same(before, fingerprint(task), "ONNX")


def test_what_is_put_back_is_everything() -> None:
    """The guard by itself, against someone who changes whatever can be changed."""
    task = make("buffers")
    task.net[0].weight.grad = torch.ones(5, SIZE)
    before = fingerprint(task)
    with pytest.raises(BoomError), preserved(task):
        change_everything(task)
    assert_same(before, fingerprint(task), "the guard")


def change_everything(task: One) -> None:
    layer = task.net[0]
    layer.weight.grad.mul_(2)
    layer.weight.data = layer.weight.data.double()
    layer.bias = nn.Parameter(torch.zeros(5))
    layer.__class__ = nn.Identity
    task.net[1].norm.running_mean.fill_(-0.0)
    task.net.register_forward_pre_hook(print)
    task.other = nn.Linear(1, 1)
    del task.net[1].seen
    task.requires_grad_(False).eval()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.manual_seed(5)
    random.random(), np.random.rand(), task.net[1].own.manual_seed(9)
    raise BoomError


def test_substitutes_stand_under_every_path_and_leave_them_all() -> None:
    net = Shared()
    before = fingerprint(net)
    zeros = {id(one): torch.zeros_like(one) for one in net.parameters()}
    with substituted(net, zeros):
        assert not net(torch.ones(1, SIZE)).any()
        assert net.body[0].weight is net.fc1.weight
    assert_same(before, fingerprint(net), "substitution")


def test_synflow_makes_what_a_network_makes_in_float64_or_says_so() -> None:
    task = make("making")
    task.net[1].inner.requires_grad_(False)
    scores = CRITERIA["synflow"](task, [BATCH], 0)
    assert all(float(scores[name].sum()) > 0 for name in ("net.0.weight", "net.3.weight"))
    with pytest.raises(TicketError, match="SynFlow runs components in float64, and one makes another kind of number"):
        dict(CRITERIA["synflow"](make("making float32"), [BATCH], 0))
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("kind", ["tuple", "dict", "dataclass"])
def test_outputs_of_any_kind_are_scored_as_tensors_are(kind: str) -> None:
    """A tuple that names the output twice flows twice; shares of the flow are the same."""
    told, bare = One(Telling(kind)), One(mlp())
    told.net.net.load_state_dict(bare.net.state_dict())
    for criterion in ("synflow", "snip", "grasp"):
        ours, theirs = CRITERIA[criterion](told, [BATCH], 0), CRITERIA[criterion](bare, [BATCH], 0)
        for name in theirs:
            assert torch.allclose(ours[name.replace("net.", "net.net.", 1)], theirs[name]), criterion


def test_a_component_that_runs_again_on_the_way_back_is_scored_as_others_are() -> None:
    again, once = make("checkpointed"), make("plain")
    again.net.net.load_state_dict(once.net.state_dict())
    for criterion in ("synflow", "snip", "grasp"):
        ours, theirs = CRITERIA[criterion](again, [BATCH], 0), CRITERIA[criterion](once, [BATCH], 0)
        for name in theirs:
            assert torch.allclose(ours[name.replace("net.", "net.net.", 1)], theirs[name]), criterion


def test_a_layer_without_outputs_is_scored_too() -> None:
    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.none = mlp(), nn.Linear(SIZE, 0)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.none(x).sum(1, keepdim=True)

    scores = CRITERIA["synflow"](One(Wider()), [BATCH], 0)
    assert scores["net.none.weight"].shape == (0, SIZE)


HELD = [threading.Lock(), (number for number in range(3))]


@pytest.mark.parametrize("value", HELD, ids=["lock", "generator"])
def test_what_cannot_be_copied_is_named(value: object) -> None:
    task = make("plain")
    task.net[1].holds = value
    for look in (lambda: groups_of(task, BATCH), lambda: plain(task), lambda: twin(task)):
        with pytest.raises(TicketError, match=r"'net\.1\.holds' \((lock|generator)\) cannot be copied.*outside"):
            look()
    assert keep_top(CRITERIA["snip"](task, [BATCH], 0), 0.5, within=full_mask(task)).kept


def test_a_compact_network_keeps_its_modes_and_what_is_frozen() -> None:
    task = make("frozen")
    small = compact(task, full_channels(groups_of(task, BATCH)), BATCH)
    assert [part.training for part in small.modules()] == [part.training for part in task.modules()]
    assert [one.requires_grad for one in small.parameters()] == [one.requires_grad for one in task.parameters()]


def test_computed_tensors_are_copied_by_value() -> None:
    task = make("plain")
    task.net[1].last = [{"weight": task.net[0].weight * 2}]
    copy = twin(task)
    assert torch.equal(copy.net[1].last[0]["weight"], task.net[1].last[0]["weight"].detach())
