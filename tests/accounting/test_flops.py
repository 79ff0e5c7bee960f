"""FLOPs: every kind of layer by hand, forward and backward; whole training steps; against PyTorch's own counter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import lcm, prod

import pytest
import torch
import torch.nn.functional as F
from helpers import FAMILY_CASES, OTHER_CASES, make_task, make_training
from torch import Tensor, nn
from torch.autograd.graph import increment_version
from torch.utils.flop_counter import FlopCounterMode

from gentickets.accounting import Counter, dense_flops, forward_flops, layer_flops, masked_flops, step_flops
from gentickets.accounting.formulas import KINDS
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.masks import Mask, full_mask
from gentickets.patches import minding_maps
from gentickets.tasks import GAN, Autoencoder, Draw, Objective, Task
from gentickets.training import Plan, Training, train

CASES = {**FAMILY_CASES, **OTHER_CASES}
N = 3
Layer = Callable[[], nn.Module]

PRODUCTS: dict[str, tuple[Layer, tuple[int, ...], int]] = {
    "conv1d": (lambda: nn.Conv1d(3, 5, 3, padding=1), (3, 7), 7 * 3 * 5 * 3),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3), (3, 6, 5), (4 * 3) * 3 * 4 * 9),
    "strided": (lambda: nn.Conv2d(3, 4, 4, 2, 1), (3, 8, 8), (4 * 4) * 3 * 4 * 16),
    "dilated": (lambda: nn.Conv2d(3, 4, 3, dilation=2), (3, 9, 9), (5 * 5) * 3 * 4 * 9),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5), (3 * 3) * (4 // 2) * 6 * 9),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4), (4, 5, 5), (3 * 3) * 4 * 9),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2), (2, 4, 4, 4), (3 * 3 * 3) * 2 * 3 * 8),
    "transposed1d": (lambda: nn.ConvTranspose1d(3, 2, 4, 2), (3, 5), 5 * 3 * 2 * 4),
    "transposed": (lambda: nn.ConvTranspose2d(4, 3, 4, 2, 1), (4, 5, 5), (5 * 5) * 4 * 3 * 16),
    "transposed from 1x1": (lambda: nn.ConvTranspose2d(8, 4, 4), (8, 1, 1), 1 * 8 * 4 * 16),
    "transposed, grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (4, 3, 3), (3 * 3) * 4 * (6 // 2) * 9),
    "transposed, dilated": (lambda: nn.ConvTranspose2d(2, 3, 3, dilation=2), (2, 4, 4), (4 * 4) * 2 * 3 * 9),
    "transposed3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), (2, 2, 2, 2), (2 * 2 * 2) * 2 * 3 * 8),
    "linear": (lambda: nn.Linear(6, 5), (6,), 6 * 5),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), (6,), 6 * 5),
    "linear along a map": (lambda: nn.Linear(6, 5), (4, 6), 4 * 6 * 5),
}
"""Layer, shape of an image, multiply-adds for an image by hand."""
UNGROUPED = [name for name in PRODUCTS if "grouped" not in name and name != "depthwise"]

NORMS: dict[str, tuple[Layer, bool, tuple[int, int, int]]] = {
    "batch": (lambda: nn.BatchNorm2d(4), True, (5, 3, 4)),
    "batch, evaluation": (lambda: nn.BatchNorm2d(4), False, (2, 3, 1)),
    "batch, no running statistics": (lambda: nn.BatchNorm2d(4, track_running_stats=False), False, (5, 3, 4)),
    "batch, not affine": (lambda: nn.BatchNorm2d(4, affine=False), True, (5, 0, 7)),
    "batch, not affine, evaluation": (lambda: nn.BatchNorm2d(4, affine=False), False, (2, 0, 1)),
    "instance": (lambda: nn.InstanceNorm2d(4, affine=True), True, (5, 3, 4)),
    "instance, evaluation": (lambda: nn.InstanceNorm2d(4, affine=True), False, (5, 3, 4)),
    "group": (lambda: nn.GroupNorm(2, 4), True, (5, 3, 4)),
    "group, evaluation": (lambda: nn.GroupNorm(2, 4), False, (5, 3, 4)),
    "layer": (lambda: nn.LayerNorm((4, 3, 3)), True, (7, 5, 8)),
    "layer, evaluation": (lambda: nn.LayerNorm((4, 3, 3)), False, (7, 5, 8)),
    "layer, not affine": (lambda: nn.LayerNorm((4, 3, 3), elementwise_affine=False), True, (5, 0, 7)),
}
"""Norm, mode, FLOPs for each number: forward, gradients of scale and shift, what the input's adds to them."""


def counted(do: Callable[[], object]) -> Counter:
    with Counter() as counter:
        do()
    return counter


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def there_and_back(layer: nn.Module, x: Tensor) -> tuple[Counter, Counter]:
    """Forward, and backward to all that requires a gradient."""
    wanted = [tensor for tensor in (x, *layer.parameters()) if tensor.requires_grad]
    with Counter() as forward:
        y = layer(x)
    if not wanted:
        return forward, Counter()
    return forward, counted(lambda: torch.autograd.grad(y, wanted, noise(*y.shape, seed=1)))


# -- layers by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_layer_costs_what_a_pencil_says(name: str) -> None:
    """Forward 2 FLOPs for each multiply-add; backward twice that, less the gradient of an input that has none."""
    build, shape, multiply_adds = PRODUCTS[name]
    layer, x = build(), noise(N, *shape)
    kind = "linear" if name.startswith("linear") else "convolution"
    once = 2 * N * multiply_adds
    for wanted, times in ((True, 2), (False, 1)):
        forward, backward = there_and_back(layer, x.clone().requires_grad_(wanted))
        assert forward.kinds == dict.fromkeys(KINDS, 0) | {kind: once}
        assert backward.kinds == dict.fromkeys(KINDS, 0) | {kind: times * once}
    layer.requires_grad_(False)
    _, through = there_and_back(layer, x.requires_grad_())
    assert through.total == once, "a frozen layer's weights have no gradients"


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name not in ("conv1d", "strided", "transposed")])
def test_the_pencil_agrees_with_counting_one_by_one(name: str) -> None:
    """With ones for weights and inputs the outputs add up to the number of products (where nothing is padded)."""
    build, shape, multiply_adds = PRODUCTS[name]
    layer = build()
    for parameter, value in ((p, float(n == "weight")) for n, p in layer.named_parameters()):
        nn.init.constant_(parameter, value)
    assert int(layer(torch.ones(1, *shape)).sum()) == multiply_adds


@pytest.mark.parametrize("name", UNGROUPED)
@pytest.mark.parametrize("wanted", [True, False])
def test_ungrouped_layers_cost_what_pytorchs_counter_says(name: str, wanted: bool) -> None:
    build, shape, _ = PRODUCTS[name]
    layer, x = build(), noise(N, *shape).requires_grad_(wanted)
    with FlopCounterMode(display=False) as theirs, Counter() as ours:
        layer(x).square().sum().backward()
    assert ours.total == theirs.get_total_flops() > 0


def test_pytorchs_counter_still_errs_on_groups() -> None:
    """Why there is one of our own: backward through groups is twice the forward (Trap 22a)."""
    build, shape, _ = PRODUCTS["grouped"]
    layer, x = build(), noise(N, *shape).requires_grad_()
    y = layer(x)
    with FlopCounterMode(display=False) as theirs:
        y.sum().backward()
    forward, backward = there_and_back(layer, x)
    assert backward.total == 2 * forward.total < theirs.get_total_flops()


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_costs_what_its_documentation_says(name: str) -> None:
    build, training, (each, of_parameters, of_input) = NORMS[name]
    layer, x = build().train(training), noise(N, 4, 3, 3)
    forward, backward = there_and_back(layer, x.clone().requires_grad_())
    assert forward.kinds == dict.fromkeys(KINDS, 0) | {"norm": each * x.numel()}
    assert backward.kinds == dict.fromkeys(KINDS, 0) | {"norm": (of_parameters + of_input) * x.numel()}
    _, alone = there_and_back(layer, x)
    assert alone.total == of_parameters * x.numel()


@pytest.mark.parametrize(
    ("do", "multiply_adds"),
    [
        (lambda a, b, v: a @ b, 4 * 5 * 6),
        (lambda a, b, v: b @ v, 5 * 6),
        (lambda a, b, v: v @ v, 6),
        (lambda a, b, v: torch.vdot(v, v), 6),
        (lambda a, b, v: torch.addmv(v[:5], b, v), 5 * 6),
        (lambda a, b, v: torch.addmm(v, a, b), 4 * 5 * 6),
        (lambda a, b, v: a.expand(2, 4, 5) @ b.expand(2, 5, 6), 2 * 4 * 5 * 6),
        (lambda a, b, v: torch.baddbmm(v, a.expand(2, 4, 5), b.expand(2, 5, 6)), 2 * 4 * 5 * 6),
        (lambda a, b, v: torch.addbmm(v, a.expand(2, 4, 5), b.expand(2, 5, 6)), 2 * 4 * 5 * 6),
        (lambda a, b, v: torch.einsum("ij,njk->nik", a, b.expand(3, 5, 6)), 3 * 4 * 5 * 6),
        (lambda a, b, v: torch.mm(a, b, out=torch.empty(4, 6)), 4 * 5 * 6),
    ],
)
def test_products_without_layers(do: Callable[[Tensor, Tensor, Tensor], Tensor], multiply_adds: int) -> None:
    a, b, v = noise(4, 5), noise(5, 6), noise(6)
    assert counted(lambda: do(a, b, v)).kinds == {"convolution": 0, "linear": 2 * multiply_adds, "norm": 0}


def test_what_goes_number_by_number_counts_nothing() -> None:
    x = noise(4, 3, 8, 8).requires_grad_()
    assert counted(lambda: F.avg_pool2d(F.leaky_relu(x.tanh() * 3), 2).exp().sum().backward()).total == 0
    optimizer = torch.optim.Adam([x], lr=0.1)
    assert counted(optimizer.step).total == 0


def test_counting_without_gradients_and_in_inference_mode() -> None:
    """In inference mode layers arrive whole, and are taken apart."""
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2))
    x = noise(2, 1, 5, 5)
    own = 2 * 2 * (9 * 3 * 9 + 27 * 2) + 5 * 2 * 27
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            assert counted(lambda: network(x)).total == own


def test_fused_attention_costs_its_two_products() -> None:
    q = noise(2, 2, 5, 8)
    found = counted(lambda: F.scaled_dot_product_attention(q, q, q)).kinds["linear"]
    assert found == 2 * (2 * 2) * (5 * 8 * 5 + 5 * 5 * 8)


def test_counters_within_counters_all_count() -> None:
    with Counter() as outer:
        inner = counted(lambda: nn.Linear(3, 2)(noise(1, 3)))
    assert inner.total == outer.total == 12


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [
        (nn.Conv2d(16, 32, 4, 2, 1), (16, 2, 2), 1 * 16 * 32 * 16),
        (nn.Conv2d(3, 64, 4, 2, 1), (3, 4, 4), 4 * 3 * 64 * 16),
        (nn.ConvTranspose2d(32, 8, 4), (32, 1, 1), 1 * 32 * 8 * 16),
        (nn.ConvTranspose2d(64, 8, 4, 2, 1), (64, 2, 2), 4 * 64 * 8 * 16),
    ],
)
def test_products_with_patches_cost_what_the_convolution_does(
    layer: nn.Conv2d, shape: tuple[int, ...], multiply_adds: int
) -> None:
    """`gentickets.patches` runs autograd.Functions and matrix products in place of the layer."""
    x = noise(N, *shape).requires_grad_()
    for wanted in ([x, layer.weight], [layer.weight]):

        def run(wanted: list[Tensor] = wanted) -> None:
            with torch.autocast("cpu", torch.bfloat16):
                y = minding_maps(layer)(x if len(wanted) == 2 else x.detach())
            torch.autograd.grad(y.float().sum(), wanted)

        found = counted(run)
        assert found.kinds == {"convolution": 0, "linear": (1 + len(wanted)) * 2 * N * multiply_adds, "norm": 0}


# -- gradients inside losses ----------------------------------------------------------------------------------


def test_a_gradient_penalty_by_hand() -> None:
    """Forward, the input's gradient, and both of the latter's own gradients; no way back through the forward pass."""
    task = make_task("wgan-gp-conv")
    flops = layer_flops(task)
    critic = {name: count for name, count in flops.items() if name.startswith("discriminator")}
    first, whole = next(iter(critic.values())), sum(critic.values())
    generator = sum(flops.values()) - whole
    seen = 2 * (3 * whole - first)  # the images want no gradient
    # the last layer's incoming gradient is a constant, but PyTorch computes a convolution's derivatives all the same
    penalty = (1 + 1 + 2) * whole
    step = step_flops(task, 5)
    norms = forward_flops(task).kind("norm").dense * 5 / 2
    assert step.turns["discriminator"] == 5 * (generator + seen + penalty + norms)


def test_a_double_backward_through_groups_is_not_multiplied() -> None:
    layer, x = nn.Conv2d(4, 6, 3, groups=2, bias=False), noise(N, 4, 5, 5).requires_grad_()
    once = counted(lambda: layer(x)).total

    def run() -> None:
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        torch.autograd.grad(gradient.square().sum(), [layer.weight])

    # forward, input; of the input's gradient: weight, output's gradient; from there the forward pass's weight
    assert counted(run).total == 5 * once


# -- whole training steps -------------------------------------------------------------------------------------


def trained(training: Training, batches: Batches, steps: int) -> Counter:
    return counted(lambda: train(training, batches, range(steps)))


def period(task: Task) -> int:
    return lcm(*(objective.every for objective in task.objectives()))


@pytest.mark.parametrize("case", CASES)
def test_a_step_costs_what_training_counts(case: str, batches: Batches) -> None:
    """Told from batches of two to four, and run with sixteen images, optimizers and all; of every kind."""
    training = make_training(case)
    steps = period(training.task)
    told = step_flops(training.task, 16)
    run = trained(training, batches, steps)
    assert {kind: flops * steps for kind, flops in told.kinds.items()} == run.kinds
    assert told.total * steps == run.total > 0
    assert sum(told.turns[o.name] * (steps // o.every) for o in training.task.objectives()) == run.total
    assert sum(told.layers.values()) == pytest.approx(told.total, rel=1e-12)


@pytest.mark.parametrize("case", ["ae-mlp", "ae-maxpool", "vae-conv", "gan-mlp", "gan-conv-all", "vae-resnet18"])
def test_a_step_costs_what_pytorchs_counter_says(case: str, batches: Batches) -> None:
    training = make_training(case)
    steps = period(training.task)
    told = step_flops(training.task, 16)
    with FlopCounterMode(display=False) as theirs:
        train(training, batches, range(steps))
    assert (told.total - told.kinds["norm"]) * steps == theirs.get_total_flops()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_changes_no_count(precision: str, batches: Batches) -> None:
    """In bfloat16 some convolutions run as products with patches."""
    task = make_task("vae-conv", width=16, latent=16)
    told = step_flops(task, 16)
    run = trained(Training(task, Plan(precision=precision)), batches, 1)
    assert run.total == told.total
    assert (run.kinds["convolution"] < told.kinds["convolution"]) is (precision == "bf16")


@pytest.mark.parametrize("case", ["ae-conv", "ae-mlp", "ae-linear", "vae-conv", "tied-mlp"])
def test_each_layer_of_one_player_costs_thrice_its_forward(case: str) -> None:
    """Trap 23: backward is twice forward, less the gradient of the images."""
    task = make_task(case)
    layers, forward = step_flops(task, 6).layers, layer_flops(task)
    first = next(iter(forward))
    for name, flops in forward.items():
        assert layers[name] == 6 * flops * (2 if name == first else 3), name


@pytest.mark.parametrize("case", ["gan-conv", "gan-mlp", "wgan-mlp"])
def test_each_layer_of_two_players_by_hand(case: str) -> None:
    """D sees real and fake; G goes through D without D's weights' gradients; the fake is made once."""
    task = make_task(case)
    step, forward = step_flops(task, 6), layer_flops(task)
    every = {objective.name: objective.every for objective in task.objectives()}["generator"]
    firsts = {next(name for name in forward if name.startswith(player)) for player in ("generator", "discriminator")}
    for name, flops in forward.items():
        lacks = name in firsts
        of_generator, of_discriminator = 1 + (2 - lacks) / every, 2 * (3 - lacks) + 2 / every
        times = of_discriminator if name.startswith("discriminator") else of_generator
        assert step.layers[name] == pytest.approx(6 * flops * times, rel=1e-12), name
    players = [sum(f for n, f in forward.items() if n.startswith(player)) for player in ("generator", "discriminator")]
    lost = [flops for name, flops in forward.items() if name in firsts]
    norms = {} if case != "gan-conv" else {"generator": 7, "discriminator": 5}
    on_a_norm = 4 * 16 if norms else 0  # 4 channels of 4x4 in the generator, none in the discriminator
    assert step.turns["discriminator"] == 6 * (players[0] + 2 * (3 * players[1] - lost[1]) + 5 * on_a_norm)
    assert step.turns["generator"] == 6 * (2 * players[1] + 2 * players[0] - lost[0] + 7 * on_a_norm)


def test_power_iterations_do_not_grow_with_the_batch() -> None:
    """Each pass through a discriminator: two products for the iteration, one and a dot for sigma, for each layer."""
    task = make_task("gan-sngan")
    one, two = step_flops(task, 8), step_flops(task, 16)
    fixed = 0.0
    for name, flops in layer_flops(task).items():
        if not name.startswith("discriminator"):
            continue
        weight = dict(task.named_parameters())[name]
        passes = 2 + 1 / 2  # real and fake in each step, through in every second
        here = passes * 2 * (3 * weight.numel() + weight.shape[0])
        first = name == next(n for n in layer_flops(task) if n.startswith("discriminator"))
        assert one.layers[name] == 8 * flops * (2 * (3 - first) + 2 / 2) + here
        fixed += here
    assert 2 * one.total - two.total == fixed > 0


class Crossed(Autoencoder):
    """Codes of different images are multiplied with each other."""

    def loss(self, batch: Tensor, draw: Draw) -> Tensor:
        codes = self.encoder(batch)
        return super().loss(batch, draw) + (codes @ codes.t()).square().mean()


def test_losses_that_multiply_images_with_each_other(batches: Batches) -> None:
    task = Crossed((1, 8, 8), width=8, latent=4)
    told = step_flops(task, 16)
    assert told.layers[""] == 2 * 16 * 16 * 4 * 3
    assert told.total == trained(Training(task, Plan()), batches, 1).total


class GeneratorFirst(GAN):
    """The generator's turn comes first, so that the discriminator needs another fake."""

    def objectives(self) -> Sequence[Objective]:
        discriminator, generator = super().objectives()
        return [generator, discriminator]


@pytest.mark.parametrize("critic_steps", [1, 2])
def test_a_fake_whose_generator_has_moved_is_made_anew(critic_steps: int, batches: Batches) -> None:
    keywords = {"width": 8, "latent": 4, "critic_steps": critic_steps}
    late, early = GAN((1, 8, 8), **keywords), GeneratorFirst((1, 8, 8), **keywords)
    fake = 16 * forward_flops(early).of("generator").dense
    told = step_flops(early, 16)
    assert told.total - step_flops(late, 16).total == fake / critic_steps
    training = Training(early, Plan())
    for turn in training.turns:
        # PyTorch's fused optimizers do not tell autograd that they have changed something, nor do others while counting
        turn.optimizer.register_step_post_hook(lambda own, *given: increment_version(own.param_groups[0]["params"]))
    assert told.total * critic_steps == trained(training, batches, critic_steps).total


# -- forward, by layer and component --------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_table_adds_up(case: str) -> None:
    """To what runs, per component and as a whole; only norms and fixed layers come on top of prunable ones."""
    task = make_task(case)
    table, counts = forward_flops(task), layer_flops(task)
    components = {row.component for row in table.rows}
    assert components == set(task.components)
    assert sum(table.of(name).dense for name in components) == table.dense
    assert sum(table.kind(kind).dense for kind in KINDS) == table.dense
    products = table.dense - table.kind("norm").dense
    fixed = sum(row.dense for row in table.rows if row.layer == "generator.2.signs")
    assert (fixed > 0) is (case == "gda")
    assert products == sum(counts.values()) + fixed == dense_flops(task) + fixed


def test_the_table_of_a_gan_by_hand() -> None:
    rows = {(row.component, row.layer, row.kind): row.dense for row in forward_flops(make_task("gan-conv-all")).rows}
    assert rows == {
        ("generator", "generator.1.weight", "convolution"): 2 * 4 * 4 * 16,
        ("generator", "generator.2.weight", "norm"): 2 * 4 * 16,
        ("generator", "generator.4.weight", "convolution"): 2 * 16 * 4 * 16,
        ("discriminator", "discriminator.0.weight", "convolution"): 2 * 16 * 4 * 16,
        ("discriminator", "discriminator.1.weight", "norm"): 2 * 4 * 16,
        ("discriminator", "discriminator.3.weight", "convolution"): 2 * 4 * 16,
    }


def test_a_compact_network_costs_less_by_its_channels() -> None:
    """Half the channels: half of the outer layers' work, a quarter of the inner ones'."""
    wide, narrow = (make_task("ae-conv", width=width, bottleneck=2) for width in (8, 4))
    ratios = [a / b for a, b in zip(layer_flops(wide).values(), layer_flops(narrow).values(), strict=True)]
    assert ratios == [2, 4, 2, 2, 4, 2]


# -- masks ----------------------------------------------------------------------------------------------------


def striped(task: Task, apart: int) -> Mask:
    """Every n-th weight kept, from layer to layer one more apart."""
    kept = {}
    for number, (name, full) in enumerate(full_mask(task).items()):
        kept[name] = (torch.arange(full.numel()) % (apart + number) == 0).reshape(full.shape)
    return Mask(kept)


@pytest.mark.parametrize("case", CASES)
def test_masked_steps_weigh_each_layers_work_by_its_density(case: str) -> None:
    """*Theoretical*: forward and both gradients; every product of a layer is known as its own."""
    task = make_task(case)
    dense, mask = step_flops(task, 8), striped(task, 2)
    assert step_flops(task, 8, full_mask(task)) == dense
    masked = step_flops(task, 8, mask)
    for name, flops in dense.layers.items():
        assert masked.layers[name] == pytest.approx(flops * mask.densities.get(name, 1.0), rel=1e-12)
    assert masked.total == pytest.approx(sum(masked.layers.values()), rel=1e-12)
    assert masked.kinds["norm"] == dense.kinds["norm"]
    known = sum(flops for name, flops in dense.layers.items() if name in mask or name.endswith("signs"))
    assert known == pytest.approx(dense.total - dense.kinds["norm"], rel=1e-12)


@pytest.mark.parametrize("case", ["gan-conv", "gan-sngan"])
def test_masked_tables_weigh_each_layer_by_its_density(case: str) -> None:
    task = make_task(case)
    mask = striped(task, 2)
    table = forward_flops(task, mask)
    for row in table.rows:
        assert row.masked == pytest.approx(row.dense * mask.densities.get(row.layer, 1.0))
    assert table.masked - table.kind("norm").masked == pytest.approx(masked_flops(task, mask))


def test_a_penaltys_second_gradients_are_known_by_their_weights() -> None:
    """A mask without weights leaves the norms' work alone, and what spectral norm's vectors do none."""
    for case in ("wgan-gp-conv", "wgan-gp-resnet", "gan-sngan", "vae-resnet18"):
        task = make_task(case)
        none = Mask({name: torch.zeros_like(kept) for name, kept in full_mask(task).items()})
        found = step_flops(task, 4, none)
        assert found.total == found.kinds["norm"] > 0, case


def test_masks_of_other_networks_are_refused() -> None:
    task = make_task("gan-conv")
    mask = full_mask(task)
    for look in (lambda m: step_flops(task, 4, m), lambda m: forward_flops(task, m), lambda m: masked_flops(task, m)):
        with pytest.raises(TicketError, match=r"'generator.7.weight', which is no prunable weight. Did you mean"):
            look(Mask({"generator.7.weight": mask["generator.1.weight"]}))
        with pytest.raises(TicketError, match=r"shape \(2, 2\), not \(4, 4, 4, 4\)"):
            look(Mask({"generator.1.weight": torch.ones(2, 2, dtype=torch.bool)}))
    with pytest.raises(TicketError, match="batch of 0 images"):
        step_flops(task, 0)
    with pytest.raises(TicketError, match=r"component 'generater'.*generator"):
        forward_flops(task).of("generater")


# -- nothing is changed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_counting_leaves_no_trace(case: str) -> None:
    task = make_task(case)
    task.train()
    next(task.children()).eval()
    before = deepcopy(task.state_dict())
    modes = [part.training for part in task.modules()]
    state = torch.get_rng_state()
    step_flops(task, 16)
    forward_flops(task)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in task.modules()] == modes
    assert all(parameter.grad is None for parameter in task.parameters())
    assert all(parameter.requires_grad for name, parameter in task.named_parameters() if not name.endswith("signs"))
    after = task.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_older_spectral_norm_is_counted_and_left_alone() -> None:
    task = make_task("gan-mlp")
    task.discriminator[1] = torch.nn.utils.spectral_norm(task.discriminator[1])
    old = task.discriminator[1]
    vectors, forward = old.weight_u.clone(), layer_flops(task)
    step = step_flops(task, 8)
    assert torch.equal(old.weight_u, vectors)
    rows, columns = old.weight_orig.shape
    power = (2 + 1 / 2) * 2 * (3 * rows * columns + rows)
    name = "discriminator.1.weight_orig"
    assert step.layers[name] == pytest.approx(8 * forward[name] * (2 * 2 + 2 / 2) + power)
    assert forward[name] == 2 * prod(old.weight_orig.shape)
