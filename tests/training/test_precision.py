"""Precision and compiled code: the networks' arithmetic changes in a turn, and nothing that is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from helpers import FAMILY_CASES, REWIND, STEPS, make_task, make_training, product
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.utils import parametrize

from gentickets import arithmetic
from gentickets.accounting import layer_flops
from gentickets.criteria import CRITERIA
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.search import first_ticket, iterative, next_ticket
from gentickets.tasks import GAN, Autoencoder, Draw, Objective, Optim, Task
from gentickets.training import Plan, Training, grow, train
from gentickets.untouched import eager

OTHERS: dict[str, Callable[[], Task]] = {
    "spectral": lambda: GAN((1, 8, 8), network="conv", width=4, latent=4, norm="spectral", loss="hinge"),
    "spectral penalty": lambda: GAN(
        (1, 8, 8), network="mlp", width=12, latent=4, norm="spectral", loss="wasserstein-gp"
    ),
}
"""What the families' cases lack: spectral norm on other networks, and under a gradient penalty."""


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile without the C++ compiler: traced and differentiated ahead of time, then run by PyTorch's own kernels."""
    torch._dynamo.reset()
    monkeypatch.setattr(arithmetic, "BACKEND", "aot_eager")
    counters.clear()
    yield
    torch._dynamo.reset()


def other_training(name: str, **plan: Any) -> Training:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Training(OTHERS[name](), Plan(Optim("adam", 1e-3), **plan))


def any_training(case: str, **plan: Any) -> Training:
    return other_training(case, **plan) if case in OTHERS else make_training(case, **plan)


def losses_of(training: Training, batches: Batches, steps: range, seed: int = 0) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    train(training, batches, steps, seed=seed, watch=[lambda step, losses: found.append(told(losses))])
    return found


def told(losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(loss) for name, loss in losses.items()}


def apart(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """The largest relative difference of two records of losses; losses below 0.1 count as 0.1."""
    assert [set(losses) for losses in one] == [set(losses) for losses in other]
    return max(abs(a[k] - b[k]) / max(abs(a[k]), 0.1) for a, b in zip(one, other, strict=True) for k in a)


def states_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def pruned_training(case: str, batches: Batches, **plan: Any) -> tuple[Training, Any]:
    """A training and the ticket that its dense run gave, with 30 % of the weights."""
    training = make_training(case, **plan)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    return training, next_ticket(training, dense, density=0.3)


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_bf16_changes_the_arithmetic_and_nothing_that_is_kept(case: str, batches: Batches) -> None:
    training, ticket = pruned_training(case, batches, precision="bf16", ema={make_task(case).components[0]: 0.9})
    seen: set[torch.dtype] = set()
    for layer in training.task.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda layer, given, output: seen.add(output.dtype))
    of_losses: set[torch.dtype] = set()
    watch = [lambda step, losses: of_losses.update(loss.dtype for loss in losses.values())]
    grow(training, ticket, batches, seed=0, watch=watch)
    assert seen == {torch.bfloat16}, "layers multiply in bfloat16"
    assert of_losses == {torch.float32}, "and losses are not rounded to three digits"
    end = training.snapshot(STEPS)
    kept = [*end.weights.values(), *end.optim.values(), *end.ema.values()]
    assert {value.dtype for value in kept if value.is_floating_point()} == {torch.float32}
    assert all(bool(torch.isfinite(value).all()) for value in kept if value.is_floating_point())
    weights = dict(training.task.named_parameters())
    for name, mask in ticket.mask.items():
        assert not weights[name][~mask].any()
        assert name not in training.ema or not training.ema[name][~mask].any()


@pytest.mark.parametrize("case", [*FAMILY_CASES, *OTHERS])
def test_bf16_losses_are_those_of_fp32_nearly(case: str, batches: Batches) -> None:
    fp32, bf16 = (
        losses_of(any_training(case, precision=precision), batches, range(STEPS)) for precision in ("fp32", "bf16")
    )
    assert apart(fp32[:1], bf16[:1]) < 0.03
    assert 0 < apart(fp32, bf16) < 0.15


@pytest.mark.parametrize("case", ["spectral", "spectral penalty"])
def test_sigma_of_the_effective_weight_stays_1_under_bf16(case: str, batches: Batches) -> None:
    """Trap 11; the power iteration is part of the loss."""
    training = other_training(case, precision="bf16")
    train(training, batches, range(20))
    training.task.eval()
    layers = [layer for layer in training.task.modules() if parametrize.is_parametrized(layer)]
    assert len(layers) > 1
    for layer in layers:
        assert layer.weight.dtype == torch.float32
        sigma = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(sigma) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("case", [*FAMILY_CASES, *OTHERS])
def test_bf16_stopped_and_gone_on_with_gives_the_same_bits(case: str, batches: Batches) -> None:
    straight, first, second = (any_training(case, precision="bf16") for _ in range(3))
    train(straight, batches, range(STEPS))
    train(first, batches, range(4))
    second.load(first.snapshot(4))
    train(second, batches, range(4, STEPS))
    ends = [training.snapshot(STEPS) for training in (straight, second)]
    assert states_equal(ends[0].weights, ends[1].weights)
    assert states_equal(ends[0].optim, ends[1].optim)


def test_gradients_are_float32_in_their_parameters_strides(batches: Batches) -> None:
    """Trap 34: fused Adam reads memory in raw order."""
    training = make_training("gan-conv", precision="bf16")
    seen = []
    for turn in training.turns:

        def look(*_: object, turn: Any = turn, step: Callable[[], object] = turn.optimizer.step) -> None:
            for parameter in turn.parameters.values():
                assert parameter.grad is not None
                assert (parameter.grad.dtype, parameter.grad.stride()) == (torch.float32, parameter.stride())
                seen.append(parameter.is_contiguous())
            step()

        turn.optimizer.step = look
    train(training, batches, range(3))
    assert not all(seen), "some weights are channels-last"


def test_figures_and_scores_of_a_bf16_training_are_fp32(batches: Batches) -> None:
    training = make_training("vae-conv", precision="bf16")
    train(training, batches, range(3))
    plain = make_task("vae-conv").to(memory_format=torch.channels_last)
    plain.load_state_dict(training.task.state_dict())
    seen: list[dict[str, Tensor]] = []
    for task in (training.task, plain):
        task.eval()
        with torch.no_grad():
            seen.append(task.figures(batches(0), task.draw(16, torch.Generator().manual_seed(0))))
    assert states_equal(seen[0], seen[1])
    assert {value.dtype for value in seen[0].values()} == {torch.float32}


@pytest.mark.parametrize("precision", ["fp16", "bfloat16", ""])
def test_an_unknown_precision_is_told(precision: str) -> None:
    with pytest.raises(TicketError, match=f"unknown precision '{precision}'.*bf16"):
        make_training("ae-mlp", precision=precision)


def test_a_device_without_bf16_is_told() -> None:
    class Elsewhere(Autoencoder):
        device = torch.device("mps")

    task = Elsewhere((1, 8, 8))
    assert Training(task, Plan()).plan.precision == "fp32"
    with pytest.raises(TicketError, match=r"'bf16' needs a CPU or a CUDA device.*mps.*'fp32'"):
        Training(task, Plan(precision="bf16"))


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("precision", "case"), product(["fp32", "bf16"], ["vae-resnet18", "vae-conv", "wgan-gp-conv", "gan-conv"])
)
def test_compiled_losses_are_the_eager_ones(case: str, precision: str, batches: Batches) -> None:
    training = any_training(case, precision=precision, compile=True)
    names = list(training.task.state_dict())
    compiled = losses_of(training, batches, range(STEPS))
    assert counters["stats"]["unique_graphs"] >= len(arithmetic.compilable(training.task))
    assert apart(losses_of(any_training(case, precision=precision), batches, range(STEPS)), compiled) < 1e-3
    assert list(training.task.state_dict()) == names


@pytest.mark.full
@pytest.mark.parametrize("case", ["vae-mlp", "vae-conv", "gan-conv", "gan-sngan", "wgan-gp-conv", "spectral penalty"])
def test_compiled_by_the_real_compiler(case: str, batches: Batches) -> None:
    fp32, bf16 = (any_training(case, precision=precision, compile=True) for precision in ("fp32", "bf16"))
    assert apart(losses_of(any_training(case), batches, range(STEPS)), losses_of(fp32, batches, range(STEPS))) < 1e-4
    plain = losses_of(any_training(case, precision="bf16"), batches, range(2))
    assert apart(plain, losses_of(bf16, batches, range(2))) < 0.05


@pytest.mark.usefixtures("traced")
def test_compiled_code_stands_in_the_networks_during_a_turn_only(batches: Batches) -> None:
    training = make_training("gan-conv", compile=True)
    task, seen = training.task, []
    for turn in training.turns:
        loss = turn.objective.loss

        def look(batch: Tensor, draw: Draw, loss: Callable[[Tensor, Draw], Tensor] = loss) -> Tensor:
            seen.append([part._compiled_call_impl is not None for part in task.children()])
            return loss(batch, draw)

        object.__setattr__(turn.objective, "loss", look)
    between: list[bool] = []
    watch = [lambda *_: between.append(any(part._compiled_call_impl is not None for part in task.modules()))]
    train(training, batches, range(3), watch=watch)
    assert seen == [[True, True]] * 6
    assert between == [False] * 3
    assert layer_flops(task) == layer_flops(make_task("gan-conv"))
    assert states_equal(copy.deepcopy(task).state_dict(), task.state_dict())
    task.eval()
    graphs = counters["stats"]["unique_graphs"]
    task.sample(7, torch.Generator().manual_seed(0))
    assert counters["stats"]["unique_graphs"] == graphs, "other sizes and modes compile nothing"


@pytest.mark.usefixtures("traced")
def test_the_generators_turn_asks_compiled_code_for_nothing_of_the_critic(batches: Batches) -> None:
    """Trap 35: ahead of time, the gradients of all that requires some are computed, asked for or not."""
    training = make_training("gan-conv", compile=True)
    task, leaves = training.task, {}
    for turn in training.turns:

        def look(batch: Tensor, draw: Draw, turn: Any = turn, loss: Any = turn.objective.loss) -> Tensor:
            value: Tensor = loss(batch, draw)
            leaves[turn.objective.name] = leaves_of(value)
            return value

        object.__setattr__(turn.objective, "loss", look)
    train(training, batches, range(2))
    critic, generator = ({id(p) for p in part.parameters()} for part in (task.discriminator, task.generator))
    assert leaves == {"discriminator": critic, "generator": generator}
    assert all(parameter.requires_grad for parameter in task.parameters())


def leaves_of(loss: Tensor) -> set[int]:
    """The ids of all parameters that backward from here would compute gradients of."""
    found: set[int] = set()
    seen, todo = set(), [loss.grad_fn]
    while todo:
        if (node := todo.pop()) is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        todo += [following for following, _ in node.next_functions]
    return found


@pytest.mark.usefixtures("traced")
def test_rounds_of_a_search_compile_once(batches: Batches) -> None:
    training = make_training("gan-conv", compile=True)
    graphs = [counters["stats"]["unique_graphs"] for _ in iterative(training, batches, rounds=3, rewind_to=REWIND)]
    assert graphs[0] > 0
    assert graphs == graphs[:1] * 4


@pytest.mark.usefixtures("traced")
def test_code_is_compiled_however_many_networks_a_process_has_compiled(batches: Batches) -> None:
    """PyTorch gives up past 8 and goes on uncompiled: bits would depend on what the process did before."""
    for width in range(3, 9):
        before = counters["stats"]["unique_graphs"]
        task = Autoencoder((1, 8, 8), width=width)
        train(Training(task, Plan(compile=True)), batches, range(1))
        assert counters["stats"]["unique_graphs"] == before + 2, width


@pytest.mark.usefixtures("traced")
def test_components_that_may_not_be_compiled_stay_as_they_are(batches: Batches) -> None:
    class Half(Autoencoder):
        compiles = ("decoder",)

    training = Training(Half((1, 8, 8)), Plan(compile=True))
    train(training, batches, range(2))
    assert counters["stats"]["unique_graphs"] == 1
    assert [part for part, _ in training.turns[0].arithmetic.compiled] == [training.task.decoder]
    Half.compiles = ("dekoder",)
    with pytest.raises(TicketError, match=r"no component 'dekoder' to compile\. Did you mean 'decoder'"):
        Training(Half((1, 8, 8)), Plan(compile=True))


class Twice(Autoencoder):
    """An autoencoder whose loss differentiates the decoder twice."""

    def objectives(self) -> list[Objective]:
        return [Objective("twice", self.smooth, ("decoder",))]

    def smooth(self, batch: Tensor, draw: Draw) -> Tensor:
        code = self.encoder(batch).detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.decoder(code).sum(), code, create_graph=True)
        return slope.square().sum()


@pytest.mark.usefixtures("traced")
def test_what_compiled_code_cannot_do_is_told_in_a_sentence(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(Twice((1, 8, 8)), Plan(compile=True))
    with pytest.raises(TicketError, match=r"differentiates a compiled component twice.*'compiles'") as caught:
        train(training, batches, range(1))
    assert caught.value.status == Status.FAILED
    assert all(part._compiled_call_impl is None for part in training.task.modules())
    train(Training(Twice((1, 8, 8)), Plan()), batches, range(1))

    def failing(*_: object) -> Any:
        raise RuntimeError("no C++ compiler here\nand pages of more")

    monkeypatch.setattr(arithmetic, "BACKEND", failing)
    training = make_training("gan-conv", compile=True)
    with pytest.raises(TicketError, match=r"torch\.compile failed: .*no C\+\+ compiler.*without --compile") as caught:
        train(training, batches, range(1))
    assert caught.value.status == Status.FAILED
    assert "\n" not in str(caught.value)
    assert all(parameter.requires_grad for parameter in training.task.parameters())


def test_other_errors_of_a_compiled_turn_are_not_blamed_on_the_compiler(batches: Batches) -> None:
    class Broken(Autoencoder):
        def loss(self, batch: Tensor, draw: Draw) -> Tensor:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(Training(Broken((1, 8, 8)), Plan(compile=True)), batches, range(1))


@pytest.mark.usefixtures("traced")
def test_grasp_scores_what_is_trained_compiled(batches: Batches) -> None:
    """It differentiates twice, which compiled code cannot: also where somebody compiled a component himself."""
    masks = []
    for compiled in (False, True):
        training = make_training("vae-mlp", compile=compiled)
        dense = first_ticket(training, batches, rewind_to=REWIND)
        decoder = training.task.decoder
        if compiled:
            decoder.compile(backend="aot_eager")
        code = decoder._compiled_call_impl
        masks.append(next_ticket(training, dense, density=0.5, criterion=CRITERIA["grasp"], batches=[batches(0)]).mask)
        assert decoder._compiled_call_impl is code
    assert masks[0].distance(masks[1]) < 0.01


@pytest.mark.usefixtures("traced")
def test_eager_is_what_a_second_derivative_of_compiled_code_needs(batches: Batches) -> None:
    task = make_task("ae-mlp")
    task.decoder.compile(backend="aot_eager")

    def twice() -> tuple[Tensor, ...]:
        weights = list(task.parameters())
        draw = task.draw(16, torch.Generator().manual_seed(0))
        first = torch.autograd.grad(task.objectives()[0].loss(batches(0), draw), weights, create_graph=True)
        return torch.autograd.grad(torch.stack([gradient.square().sum() for gradient in first]).sum(), weights)

    with pytest.raises(RuntimeError, match="double backward"):
        twice()
    with eager(task):
        assert all(bool(torch.isfinite(gradient).all()) for gradient in twice())
    assert task.decoder._compiled_call_impl is not None
