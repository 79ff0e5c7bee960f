"""The models: weights by hand, sizes, initial weights, losses, the gradient penalty, and descent-ascent."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from helpers import make_task, make_training
from test_promises import check_promises
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gentickets.accounting import layer_flops
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.masks import apply_mask, full_mask, keep_top, prunable
from gentickets.recipe.families import FAMILIES as SCHEMAS
from gentickets.tasks import FAMILIES, GAN, GDA, VAE, Autoencoder, Task
from gentickets.tasks.adversarial import gradient_penalty
from gentickets.tasks.base import Draw
from gentickets.tasks.networks import NETWORKS, PiecewiseLinear, Style, down, up
from gentickets.tasks.networks.layers import Halve, Residual

CIFAR, CELEBA = (3, 32, 32), (3, 64, 64)


def generator_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=generator_of(seed), dtype=dtype) * 2 - 1


def built(family: str, image: tuple[int, int, int], **keywords: object) -> Task:
    """A task built from seed 0, without touching the global random state."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return FAMILIES[family](image, **keywords)


def weights_of(task: Task, component: str = "") -> int:
    return sum(weight.numel() for name, weight in prunable(task).items() if name.startswith(component))


# -- weights by hand, at the paper's sizes --------------------------------------------------------------------

LINEAR = 784 * 128 + 128 * 64 + 64 * 12 + 12 * 3
MAXPOOL = (
    9 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 512),
    9 * 512 * 256 + 4 * (256 * 128 + 128 * 64) + 9 * (64 * 32 + 32 * 3),
)
PAPER_VAE = (
    16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 4 * 512 * 64,
    4 * 32 * 512 + 16 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3),
)
RESNET_VAE = (
    9 * 3 * 32  # stem
    + 9 * 2 * 32 * 32
    + (9 * (32 * 64 + 64 * 64) + 32 * 64)
    + (9 * (64 * 128 + 128 * 128) + 64 * 128)
    + (9 * (128 * 256 + 256 * 256) + 128 * 256)
    + 256 * 64,
    32 * 256
    + 9 * (256 * 256 + 2 * 256 * 128)
    + 9 * (128 * 128 + 2 * 128 * 64)
    + 9 * (64 * 64 + 2 * 64 * 32)
    + 9 * 2 * 32 * 32
    + 9 * 32 * 3,
)
DCGAN_32 = (
    16 * (32 * 512 + 512 * 256 + 256 * 128 + 128 * 3),
    16 * (3 * 128 + 128 * 256 + 256 * 512 + 512),
)
DCGAN_64 = (
    16 * (128 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3),
    16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512),
)
SNGAN = (
    128 * 512 * 16 + 16 * (512 * 256 + 256 * 128 + 128 * 64) + 9 * 64 * 3,
    9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 16 * (64 * 64 + 128 * 128 + 256 * 256) + 512 * 16,
)
SNGAN_64 = (SNGAN[0] + 128 * 512 * (64 - 16), SNGAN[1] + 512 * (64 - 16))
BLOCK = 2 * 9 * 128 * 128
RESNET = (
    128 * 128 * 16 + 3 * (BLOCK + 128 * 128) + 9 * 128 * 3,
    (9 * (3 * 128 + 128 * 128) + 3 * 128) + (BLOCK + 128 * 128) + 2 * BLOCK + 128,
)
RESNET_64 = (RESNET[0] + BLOCK + 128 * 128, RESNET[1] + BLOCK + 128 * 128)
COUNTS = {
    "linear AE": ("ae", (1, 28, 28), {"network": "linear", "width": 128, "latent": 3}, (LINEAR, LINEAR), 218_696),
    "conv AE": ("ae", CIFAR, {"network": "maxpool", "width": 32}, MAXPOOL, 2_930_368),
    "conv AE 64": ("ae", CELEBA, {"network": "maxpool", "width": 32}, MAXPOOL, 2_930_368),
    "VAE": ("vae", CIFAR, {"network": "conv", "width": 64, "latent": 32, "bottleneck": 2}, PAPER_VAE, 5_707_776),
    "ResNet-VAE": ("vae", CIFAR, {"network": "resnet18", "width": 32, "latent": 32}, RESNET_VAE, 2_815_680),
    "ResNet-VAE 64": ("vae", CELEBA, {"network": "resnet18", "width": 32, "latent": 32}, RESNET_VAE, 2_815_680),
    "DCGAN": ("gan", CIFAR, {"network": "conv", "width": 128, "latent": 32}, DCGAN_32, 5_525_504),
    "DCGAN 64": ("gan", CELEBA, {"network": "conv", "width": 64, "latent": 128}, DCGAN_64, 6_567_936),
    "SNGAN": ("gan", CIFAR, {"network": "sngan", "width": 64, "latent": 128}, SNGAN, 6_737_280),
    "SNGAN 64": ("gan", CELEBA, {"network": "sngan", "width": 64, "latent": 128}, SNGAN_64, 9_907_584),
    "ResNet-GAN": ("gan", CIFAR, {"network": "resnet", "width": 128, "latent": 128}, RESNET, 2_252_032),
    "ResNet-GAN 64": ("gan", CELEBA, {"network": "resnet", "width": 128, "latent": 128}, RESNET_64, 2_874_624),
}


@pytest.mark.parametrize("model", COUNTS)
def test_weights_are_those_counted_by_hand(model: str) -> None:
    family, image, keywords, (one, other), total = COUNTS[model]
    task = built(family, image, **keywords)
    assert (weights_of(task, task.components[0]), weights_of(task, task.components[1])) == (one, other)
    assert weights_of(task) == total == one + other


def test_the_papers_vae_has_four_stages_and_a_convolution_over_what_is_left() -> None:
    task = built("vae", CIFAR, network="conv", width=4, latent=3, bottleneck=2)
    kernels = [layer.kernel_size for layer in task.encoder if isinstance(layer, nn.Conv2d)]
    assert kernels == [(4, 4)] * 4 + [(2, 2)]
    assert task.encoder[:-2](noise(2, *CIFAR)).shape == (2, 32, 2, 2)
    mirrored = [layer.kernel_size for layer in task.decoder if isinstance(layer, nn.ConvTranspose2d)]
    assert mirrored == kernels[::-1]


# -- sizes ----------------------------------------------------------------------------------------------------

ALL_SIZES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 48, 48), (3, 64, 64)]


@pytest.mark.parametrize("image", ALL_SIZES, ids=str)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_fits_every_usual_image(network: str, image: tuple[int, int, int]) -> None:
    style = Style(width=2)
    with torch.random.fork_rng([]):
        below, above = down(network, image, 5, style), up(network, 3, image, style)
    assert below(noise(2, *image)).shape == (2, 5)
    assert above(noise(2, 3)).shape == (2, *image)
    assert not any(isinstance(layer, nn.Tanh | nn.Sigmoid) for layer in above.modules()), "up does not squash"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("family", ["ae", "vae", "gan"])
def test_any_family_may_have_any_network(family: str, network: str) -> None:
    task = built(family, (1, 8, 8), network=network, width=4, latent=3)
    batch = noise(6, 1, 8, 8)
    draw = task.draw(6, generator_of())
    for objective in task.objectives():
        loss = objective.loss(batch, draw)
        gradients = torch.autograd.grad(loss, list(task.trained_by(objective).values()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert all(value.shape == (6,) for value in task.figures(batch, draw).values())
    assert set(layer_flops(task)) == set(prunable(task)), "each weight's work is counted"
    assert all(flops > 0 for flops in layer_flops(task).values())


@pytest.mark.parametrize(
    ("network", "image", "sentence"),
    [
        ("conv", (1, 9, 9), "square images with an even side of at least 4, not 9x9: set .data. size"),
        ("sngan", (3, 32, 16), "square images with an even side"),
        ("resnet", (1, 2, 2), "square images with an even side"),
        ("maxpool", (1, 30, 30), "'maxpool' halves the image twice: its sides must be multiples of 4, not 30x30"),
        ("conw", (1, 8, 8), "unknown network 'conw'. Did you mean 'conv'?"),
    ],
)
def test_what_does_not_fit_is_said(network: str, image: tuple[int, int, int], sentence: str) -> None:
    for family in ("ae", "gan"):
        with pytest.raises(TicketError, match=sentence):
            built(family, image, network=network)


def test_the_linear_networks_scale_with_their_width() -> None:
    def sizes(width: int) -> list[int]:
        with torch.random.fork_rng([]):
            network = up("linear", 3, (1, 8, 8), Style(width))
        return [layer.out_features for layer in network if isinstance(layer, nn.Linear)]

    assert sizes(128) == [12, 64, 128, 64]
    assert sizes(64) == [6, 32, 64, 64]
    assert sizes(1) == [1, 1, 1, 64]


def test_the_code_of_a_maxpool_autoencoder_is_its_map() -> None:
    task = built("ae", (1, 8, 8), network="maxpool", width=2, latent=16)
    code = task.encoder(noise(3, 1, 8, 8))
    assert code.shape == (3, 32 * 2 * 2)
    assert not any(isinstance(layer, nn.Linear) for layer in task.modules())
    strides = [layer.stride for layer in task.decoder if isinstance(layer, nn.ConvTranspose2d)]
    assert strides == [(1, 1), (2, 2), (2, 2), (1, 1), (1, 1)]
    with_latent = built("vae", (1, 8, 8), network="maxpool", width=2, latent=16)
    assert with_latent.encoder(noise(3, 1, 8, 8)).shape == (3, 32)


def test_the_residual_networks_go_up_through_the_sides_that_they_came_down() -> None:
    style, image = Style(2), (1, 28, 28)
    with torch.random.fork_rng([]):
        below, above = down("resnet18", image, 3, style), up("resnet18", 3, image, style)
    sides: dict[str, list[int]] = {"down": [], "up": []}
    for way, network in (("down", below), ("up", above)):
        for layer in network:
            if isinstance(layer, Residual):
                layer.register_forward_hook(lambda _, __, y, seen=sides[way]: seen.append(y.shape[-1]))
    below(noise(2, *image))
    above(noise(2, 3))
    assert sides == {"down": [14, 7, 4, 2], "up": [4, 7, 14, 14]}


def test_a_shortcut_on_the_smaller_side_gives_the_same() -> None:
    """1x1 convolutions commute with pooling and with nearest doubling, but for the order in which sums are taken."""
    conv = nn.Conv2d(3, 5, 1).double()
    x = noise(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(conv(F.avg_pool2d(x, 2)), F.avg_pool2d(conv(x), 2))
    double = nn.Upsample(scale_factor=2)
    torch.testing.assert_close(conv(double(x)), double(conv(x)), rtol=1e-14, atol=1e-14)


# -- initial weights ------------------------------------------------------------------------------------------


def deviation(weight: Tensor) -> float:
    return weight.detach().double().square().mean().sqrt().item()


@pytest.mark.parametrize("network", ["conv", "sngan"])
def test_dcgan_and_sngan_start_from_small_normal_weights(network: str) -> None:
    task = built("gan", CIFAR, network=network, width=32, latent=64, norm="batch")
    for name, weight in prunable(task).items():
        assert deviation(weight) == pytest.approx(0.02, rel=0.15), name
    scales = torch.cat([layer.weight for layer in task.modules() if isinstance(layer, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.2)
    if network == "sngan":
        assert not any(p.any() for n, p in task.named_parameters() if n.endswith("bias"))


def test_the_residual_gan_starts_as_gulrajanis() -> None:
    task = built("gan", CIFAR, network="resnet", width=32, latent=64)
    wide = math.sqrt(2) * math.sqrt(6 / (9 * 32 + 9 * 32))
    blocks = {name: weight for name, weight in prunable(task).items() if ".main." in name and weight.shape[1] == 32}
    assert len(blocks) == 2 * 3 + 1 + 2 * 3
    for name, weight in blocks.items():
        assert 0.99 * wide < weight.abs().max().item() <= wide, name
    out = math.sqrt(6 / (9 * 32 + 9 * 3))  # the last convolution: gain 1
    assert 0.98 * out < task.generator[-2].weight.abs().max().item() <= out
    assert not any(p.any() for n, p in task.named_parameters() if n.endswith("bias"))


def test_convolutions_under_a_gradient_penalty_start_he_like() -> None:
    task = built("gan", CIFAR, network="conv", width=32, latent=64, loss="wasserstein-gp")
    halving, doubling = task.discriminator[2].weight, task.generator[4].weight
    assert tuple(halving.shape) == (64, 32, 4, 4)
    assert deviation(halving) == pytest.approx(math.sqrt(4 / (32 * 16 + 64 * 16 / 4)), rel=0.02)
    assert tuple(doubling.shape) == (128, 64, 4, 4)
    assert deviation(doubling) == pytest.approx(math.sqrt(4 / (128 * 16 / 4 + 64 * 16)), rel=0.02)


@pytest.mark.parametrize("network", ["conv", "resnet18", "sngan", "resnet"])
def test_autoencoders_start_from_pytorchs_defaults(network: str) -> None:
    for family in ("ae", "vae"):
        weight = next(iter(prunable(built(family, CIFAR, network=network, width=32)).values()))
        bound = weight[0].numel() ** -0.5
        assert 0.95 * bound < weight.abs().max().item() <= bound


# -- norms and activations of the discriminator ---------------------------------------------------------------


def norms(task: GAN) -> list[str]:
    """B for batch norm, C for a convolution or dense layer, S for one under spectral norm, in order."""
    letters = []
    for layer in task.discriminator.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            letters.append("B")
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            letters.append("S" if hasattr(layer, "parametrizations") else "C")
    return letters


@pytest.mark.parametrize(
    ("network", "norm", "expected"),
    [
        ("conv", "auto", "CCBC"),
        ("conv", "batch", "CCBC"),
        ("conv", "batch-all", "CBCBC"),
        ("conv", "spectral", "SSS"),
        ("conv", "none", "CCC"),
        ("mlp", "auto", "CCC"),
        ("mlp", "batch", "CCBC"),
        ("mlp", "batch-all", "CBCBC"),
        ("linear", "auto", "CCCC"),
        ("sngan", "auto", "SSSSSSSS"[:6]),
        ("sngan", "batch", "CCBCBCBCBC"),
        ("maxpool", "auto", "CCCCCC"),
        ("maxpool", "batch", "CCBCBCBCBC"),
        ("resnet", "auto", "C" * 3 + "CCC" * 0 + "CCCC" + "C"),
        ("resnet", "batch", "CCC" + "BCBC" * 2 + "BC"),
        ("resnet", "batch-all", "CBCC" + "BCBC" * 2 + "BC"),
        ("resnet18", "auto", "CB" + "CBCB" + 3 * "CBCBCB" + "C"),
        ("resnet18", "batch", "C" + "CBCB" + 3 * "CBCBCB" + "C"),
        ("resnet18", "none", "C" + "CC" + 3 * "CCC" + "C"),
    ],
)
def test_which_layers_of_the_discriminator_are_normed(network: str, norm: str, expected: str) -> None:
    side = 12 if network == "sngan" else 16 if network == "conv" else 8
    task = built("gan", (1, side, side), network=network, width=2, latent=3, norm=norm)
    assert "".join(norms(task)) == expected


@pytest.mark.parametrize("network", NETWORKS)
def test_a_gradient_penalty_goes_without_batch_norm(network: str) -> None:
    task = built("gan", (1, 8, 8), network=network, width=2, latent=3, loss="wasserstein-gp")
    assert set(norms(task)) == {"C"}
    for norm in ("batch", "batch-all"):
        with pytest.raises(TicketError, match=f"norm '{norm}' mixes the images of a batch.*use 'none' or 'spectral'"):
            built("gan", (1, 8, 8), network=network, loss="wasserstein-gp", norm=norm)


def test_unknown_norms_and_losses_come_with_the_nearest() -> None:
    with pytest.raises(TicketError, match=r"unknown norm 'spectrl'\. Did you mean 'spectral'"):
        built("gan", (1, 8, 8), norm="spectrl")
    with pytest.raises(TicketError, match=r"unknown GAN loss 'wgan-gp'.*wasserstein-gp"):
        built("gan", (1, 8, 8), loss="wgan-gp")


def test_slope_and_critic_width_are_the_discriminators() -> None:
    task = built("gan", (1, 8, 8), width=6, critic_width=10, slope=0.1)
    assert task.generator[0].out_features == 6
    assert task.discriminator[1].out_features == 10
    assert [layer.negative_slope for layer in task.discriminator if isinstance(layer, nn.LeakyReLU)] == [0.1, 0.1]
    plain = built("gan", (1, 8, 8), slope=0.0)
    assert sum(isinstance(layer, nn.ReLU) for layer in plain.discriminator) == 2
    resnet = built("gan", (1, 8, 8), network="resnet", width=2)
    assert not any(isinstance(layer, nn.LeakyReLU) for layer in resnet.modules())


# -- losses ---------------------------------------------------------------------------------------------------


def soft(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "of_real", "of_fake", "of_generator"),
    [
        ("nonsaturating", lambda r: soft(-r), soft, lambda f: soft(-f)),
        ("hinge", lambda r: max(0.0, 1 - r), lambda f: max(0.0, 1 + f), lambda f: -f),
        ("wasserstein", lambda r: -r, lambda f: f, lambda f: -f),
        ("wasserstein-gp", lambda r: -r, lambda f: f, lambda f: -f),
    ],
)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_losses_by_hand(loss: str, of_real: object, of_fake: object, of_generator: object, temperature: float) -> None:
    task = built("gan", (1, 8, 8), loss=loss, width=16, penalty=0.0).double()
    task.temperature = temperature
    batch, draw = noise(5, 1, 8, 8, dtype=torch.float64), task.draw(5, generator_of())
    draw = Draw(**{name: value.double() for name, value in draw.items()})
    real = (task.discriminator(batch) / temperature).flatten().tolist()
    fake = (task.discriminator(task.generator(draw["latent"])) / temperature).flatten().tolist()
    each = [of_real(r) + of_fake(f) for r, f in zip(real, fake, strict=True)]
    assert task.figures(batch, draw)["discriminator_loss"].tolist() == pytest.approx(each)
    assert task.discriminator_loss(batch, draw).item() == pytest.approx(sum(each) / 5)
    assert task.generator_loss(batch, draw).item() == pytest.approx(sum(map(of_generator, fake)) / 5)


def test_a_temperature_is_no_matter_to_other_families() -> None:
    task = built("vae", (1, 8, 8))
    batch, draw = noise(5, 1, 8, 8), task.draw(5, generator_of())
    before = task.loss(batch, draw)
    task.temperature = 200.0
    assert torch.equal(task.loss(batch, draw), before)


def test_only_clipping_clips() -> None:
    for loss, clipped in (("wasserstein", True), ("wasserstein-gp", False), ("hinge", False)):
        task = built("gan", (1, 8, 8), loss=loss, clip=0.001)
        if (after := task.objectives()[0].after_step) is not None:
            after()
        assert (max(p.abs().max().item() for p in task.discriminator.parameters()) <= 0.0011) == clipped


def test_a_critic_under_a_gradient_penalty_is_not_compiled() -> None:
    assert built("gan", (1, 8, 8), loss="wasserstein-gp").compiles == ["generator"]
    assert built("gan", (1, 8, 8), loss="wasserstein").compiles == ["generator", "discriminator"]
    assert built("ae", (1, 8, 8)).compiles == ["encoder", "decoder"]


# -- the gradient penalty -------------------------------------------------------------------------------------


def test_the_penalty_of_a_linear_critic_by_hand() -> None:
    """The gradient is the weight vector everywhere: |w| = 5 gives 16 for each image."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        critic[1].weight.copy_(torch.tensor([[3.0, 0.0, 4.0, 0.0]]))
    mix = torch.rand(6, 1, 1, 1, generator=generator_of())
    each = gradient_penalty(critic, noise(6, 1, 2, 2), noise(6, 1, 2, 2, seed=1), mix)
    assert torch.equal(each, torch.full((6,), 16.0))


def test_the_penalty_is_two_sided_and_taken_between_real_and_fake() -> None:
    real, fake, mix = noise(3, 1, 2, 2), noise(3, 1, 2, 2, seed=1), torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1)
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return 0.5 * x.flatten(1)[:, :1]

    assert gradient_penalty(critic, real, fake, mix).tolist() == [0.25] * 3
    assert torch.allclose(seen[0], mix * real + (1 - mix) * fake)
    assert torch.equal(seen[0][0], fake[0])


def test_the_penalty_stands_in_the_loss_ten_fold_and_not_in_the_figure() -> None:
    task = built("gan", (1, 8, 8), loss="wasserstein-gp")
    batch, draw = noise(5, 1, 8, 8), task.draw(5, generator_of())
    assert set(draw) == {"latent", "mix"}
    fake = task.generator(draw["latent"])
    expected = 10 * gradient_penalty(task.discriminator, batch, fake, draw["mix"]).mean()
    figure = task.figures(batch, draw)["discriminator_loss"].mean()
    assert (task.discriminator_loss(batch, draw) - figure).item() == pytest.approx(expected.item(), rel=1e-5)
    with torch.no_grad():
        assert task.discriminator_loss(batch, draw).isfinite()


def test_the_penalty_goes_through_in_bfloat16() -> None:
    task = built("gan", (1, 8, 8), network="resnet", width=8, loss="wasserstein-gp")
    batch, draw = noise(6, 1, 8, 8), task.draw(6, generator_of())
    weights = list(task.discriminator.parameters())
    exact = torch.autograd.grad(task.discriminator_loss(batch, draw), weights, allow_unused=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = task.discriminator_loss(batch, task.draw(6, generator_of()))
    rough = torch.autograd.grad(loss, weights, allow_unused=True)
    both = [torch.cat([g.flatten() for g in found if g is not None]) for found in (exact, rough)]
    assert F.cosine_similarity(*both, dim=0).item() > 0.99


def plain_way(critic: nn.Module) -> nn.Module:
    """The same critic, the same weights, with PyTorch's own activations and pooling."""
    other = deepcopy(critic)
    for module in other.modules():
        for name, child in module.named_children():
            if isinstance(child, PiecewiseLinear):
                setattr(module, name, nn.LeakyReLU(child.slope) if child.slope else nn.ReLU())
            elif isinstance(child, Halve):
                setattr(module, name, nn.AvgPool2d(2))
    assert not any(isinstance(module, PiecewiseLinear | Halve) for module in other.modules())
    return other


def of_penalty(critic: nn.Module, images: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    penalty = gradient_penalty(critic, *images).mean()
    parameters = dict(critic.named_parameters())
    found = torch.autograd.grad(penalty, list(parameters.values()), allow_unused=True)
    zeros = (torch.zeros_like(p) if g is None else g for p, g in zip(parameters.values(), found, strict=True))
    return penalty.detach(), dict(zip(parameters, zeros, strict=True))


@pytest.mark.parametrize("masked", [False, True], ids=["dense", "masked"])
@pytest.mark.parametrize("norm", ["none", "spectral"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_penaltys_gradients_are_plain_autograds(network: str, norm: str, masked: bool) -> None:
    width = 24 if network == "linear" else 6
    task = built("gan", (1, 8, 8), network=network, width=width, loss="wasserstein-gp", norm=norm).double()
    if masked:
        weights = prunable(task)
        scores = {name: torch.rand(w.shape, generator=generator_of(i)) for i, (name, w) in enumerate(weights.items())}
        apply_mask(keep_top(scores, 0.4, within=full_mask(task), scope="layer"), weights)
    critic = task.discriminator.eval()
    images = (
        noise(4, 1, 8, 8, dtype=torch.float64),
        noise(4, 1, 8, 8, seed=1, dtype=torch.float64),
        torch.rand(4, 1, 1, 1, generator=generator_of(2), dtype=torch.float64),
    )
    value, gradients = of_penalty(critic, images)
    expected, plain = of_penalty(plain_way(critic), images)
    assert value.item() == pytest.approx(expected.item(), rel=1e-13)
    assert any(gradient.any() for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, plain[name], rtol=1e-11, atol=1e-14), name


def test_the_penaltys_gradients_are_those_of_finite_differences() -> None:
    critic = built("gan", (1, 8, 8), network="conv", width=2, loss="wasserstein-gp").double().discriminator
    images = (
        noise(3, 1, 8, 8, dtype=torch.float64),
        noise(3, 1, 8, 8, seed=1, dtype=torch.float64),
        torch.full((3, 1, 1, 1), 0.3, dtype=torch.float64),
    )
    _, gradients = of_penalty(critic, images)
    weight = critic[0].weight
    for index in (0, 7, 31):
        values = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                weight.flatten()[index] += step
            values.append(of_penalty(critic, images)[0].item())
        with torch.no_grad():
            weight.flatten()[index] += 1e-6
        slope = (values[0] - values[1]) / 2e-6
        assert gradients["0.weight"].flatten()[index].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


class Job(TorchDispatchMode):
    """Counts FLOPs; the counter of PyTorch's own, by its module hooks, does not follow a gradient inside a loss."""

    done = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.done += count(*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize("network", ["mlp", "conv", "sngan", "resnet", "resnet18"])
def test_the_penalty_does_no_convolutions_on_zeros(network: str) -> None:
    """At least 1.25 times fewer operations, the penalty's own forward pass counted; none reach a bias."""
    critic = built("gan", CIFAR, network=network, width=16, loss="wasserstein-gp").discriminator
    images = (noise(2, *CIFAR), noise(2, *CIFAR, seed=1), torch.full((2, 1, 1, 1), 0.5))
    work = []
    for network in (plain_way(critic), critic):
        with Job() as counter:
            of_penalty(network, images)
        work.append(counter.done)
    assert work[0] / work[1] > 1.25
    biases = [parameter for name, parameter in critic.named_parameters() if name.endswith("bias")]
    penalty = gradient_penalty(critic, *images).mean()
    assert torch.autograd.grad(penalty, biases, allow_unused=True) == (None,) * len(biases)


def test_halving_is_the_mean_over_two_by_two() -> None:
    for memory in (torch.contiguous_format, torch.channels_last):
        x = noise(2, 3, 6, 8, dtype=torch.float64).to(memory_format=memory).requires_grad_()
        assert torch.equal(Halve()(x), F.avg_pool2d(x, 2))
        assert torch.autograd.gradcheck(Halve(), x)
        assert torch.autograd.gradgradcheck(Halve(), x)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_the_piecewise_linear_activation_is_the_plain_one(slope: float) -> None:
    x = torch.cat([noise(50), torch.zeros(1), torch.tensor([float("nan")])]).requires_grad_()
    ours = PiecewiseLinear(slope)(x)
    plain = F.leaky_relu(x, slope)
    assert torch.equal(ours[:-1], plain[:-1])
    assert ours[-1].isnan()
    one, other = (torch.autograd.grad(y[:-1].sum(), x, retain_graph=True)[0][:-1] for y in (ours, plain))
    assert torch.equal(one, other)


# -- gradient descent-ascent ----------------------------------------------------------------------------------


def test_both_players_move_by_their_own_side_of_the_game() -> None:
    """Against the gradients of <d, gap> - |d|^2 / 2 written out: descent for W, ascent for d."""
    task = built("gda", (1, 4, 4), width=6, latent=3).double()
    batch = noise(5, 1, 4, 4, dtype=torch.float64)
    latent = task.draw(5, generator_of())["latent"].double()
    (objective,) = task.objectives()
    trained = task.trained_by(objective)
    assert list(trained) == ["generator.0.weight", "discriminator.1.weight"], "V is fixed"
    found = torch.autograd.grad(objective.loss(batch, Draw(latent=latent)), list(trained.values()))

    w, d = (weight.detach().clone().requires_grad_() for weight in trained.values())
    fixed = task.generator[2].signs
    gap = batch.flatten(1).mean(0) - (F.relu(latent @ w.t()) @ fixed.t()).mean(0)
    of_w, of_d = torch.autograd.grad((d[0] * gap).sum() - d.square().sum() / 2, (w, d))
    assert torch.allclose(found[0], of_w)
    assert torch.allclose(found[1], -of_d)
    figure = task.figures(batch, Draw(latent=latent))["mean_gap"]
    assert figure.shape == (5,)
    assert figure.mean().item() == pytest.approx(gap.square().sum().item())


def gaps(width: int, steps: int = 400) -> list[float]:
    """The gap after each step of plain simultaneous descent-ascent on one batch and one draw."""
    task = built("gda", (1, 4, 4), width=width, latent=8)
    batch, draw = 0.5 * noise(64, 1, 4, 4) + 0.3, task.draw(64, generator_of())
    (objective,) = task.objectives()
    optimizer = torch.optim.SGD(task.trained_by(objective).values(), lr=0.3)
    found = []
    for _ in range(steps):
        found.append(task.figures(batch, draw)["mean_gap"][0].item())
        optimizer.zero_grad()
        objective.loss(batch, draw).backward()
        optimizer.step()
    return found


def test_a_wide_generator_converges_geometrically_and_a_tiny_one_stalls() -> None:
    wide, tiny = gaps(512), gaps(3)
    assert wide[400 - 1] < 1e-6 * wide[0]
    # geometrically: the logarithm falls by about as much in each quarter of the first 200 steps
    falls = [math.log(wide[start] / wide[start + 50]) for start in (50, 100)]
    assert min(falls) > 1
    assert max(falls) < 2 * min(falls)
    assert tiny[399] > 0.1 * tiny[0]
    assert abs(tiny[399] / tiny[300] - 1) < 0.01, "it has stopped"


def test_descent_ascent_samples_and_shows_no_reconstructions() -> None:
    task = built("gda", (1, 8, 8))
    images = task.sample(7, generator_of())
    assert images.shape == (7, 1, 8, 8)
    assert images.abs().max() <= 1
    assert not task.can("reconstruct")


@pytest.mark.parametrize("criterion", ["magnitude", "random", "synflow"])
def test_descent_ascent_keeps_the_promises(criterion: str, batches: Batches) -> None:
    check_promises(("gda", criterion, "component", "sgd", "weights"), batches)


def test_the_fixed_layer_is_neither_pruned_nor_trained(batches: Batches) -> None:
    from gentickets.training import train

    training = make_training("gda")
    before = training.task.generator[2].signs.clone()
    train(training, batches, range(5))
    assert torch.equal(training.task.generator[2].signs, before)
    assert set(prunable(training.task)) == {"generator.0.weight", "discriminator.1.weight"}


# -- keywords of recipes --------------------------------------------------------------------------------------


def test_keywords_that_do_not_apply_are_left_out() -> None:
    gan = SCHEMAS["gan"]
    assert gan().applying() == {
        "network": "mlp", "width": 64, "depth": 2, "latent": 16, "loss": "nonsaturating", "critic_steps": 1,
        "norm": "auto", "slope": 0.2,
    }  # fmt: skip
    penalized = gan(network="resnet", loss="wasserstein-gp").applying()
    assert {"penalty", "norm"} <= set(penalized)
    assert not {"clip", "slope", "depth", "bottleneck", "critic_width"} & set(penalized)
    assert SCHEMAS["vae"](network="conv").applying()["bottleneck"] == 4
    assert "latent" not in SCHEMAS["ae"](network="maxpool").applying()
    assert "latent" in SCHEMAS["vae"](network="maxpool").applying()


@pytest.mark.parametrize(
    ("family", "keywords", "sentence"),
    [
        ("gan", {"penalty": 1.0}, ("penalty", 'loss = "wasserstein-gp"')),
        ("gan", {"bottleneck": 2}, ("bottleneck", 'network = "conv"')),
        (
            "ae",
            {"network": "maxpool", "latent": 3},
            ("latent", 'network = "mlp", "linear", "conv", "resnet18", "sngan" or "resnet"'),
        ),
        (
            "gan",
            {"loss": "wasserstein-gp", "norm": "batch"},
            (
                "norm",
                'a loss other than "wasserstein-gp" (its penalty is taken for each image, and batch norm mixes them)',
            ),
        ),
    ],
)
def test_misplaced_keywords_say_what_they_need(
    family: str, keywords: dict[str, object], sentence: tuple[str, str]
) -> None:
    assert list(SCHEMAS[family](**keywords).misplaced()) == [sentence]


def test_every_choice_of_a_schema_is_a_constructors() -> None:
    from typing import get_args

    from gentickets.recipe.families import GanKeywords, Network
    from gentickets.tasks.adversarial import JUDGES
    from gentickets.tasks.gan import NORMS

    fields = GanKeywords.model_fields
    assert get_args(Network) == tuple(NETWORKS)
    assert set(get_args(fields["loss"].annotation)) == set(JUDGES)
    assert set(get_args(fields["norm"].annotation)) == set(NORMS)


def test_the_families_are_reachable_by_name() -> None:
    assert [FAMILIES[name] for name in ("ae", "vae", "gan", "gda")] == [Autoencoder, VAE, GAN, GDA]
    assert isinstance(make_task("gda"), GDA)
