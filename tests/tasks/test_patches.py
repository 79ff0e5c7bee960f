"""Convolutions over small maps as one matrix product: the same values and derivatives as PyTorch's own."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers import make_task
from torch import Tensor, nn

from gentickets.data import Batches
from gentickets.patches import PRODUCT_FROM, Convolution, geometry_of, minding_maps, product
from gentickets.training import Plan, Training


def layers() -> list[tuple[Convolution, Tensor]]:
    """Layers of every kernel, stride and padding with inputs of other height than width, in float64."""
    rng = torch.Generator().manual_seed(0)
    found: list[tuple[Convolution, Tensor]] = []
    for kernel, stride, padding, side in itertools.product((1, 2, 3, (3, 4)), (1, 2, (3, 1)), (0, 1, (2, 1)), (1, 3)):
        for more in (0, 1):
            k, s, p = ((one, one) if isinstance(one, int) else one for one in (kernel, stride, padding))
            x = torch.randn(2, 3, side, side + 1, generator=rng, dtype=torch.float64)
            if not more and side + 2 * p[0] >= k[0] and side + 1 + 2 * p[1] >= k[1]:
                found.append((nn.Conv2d(3, 4, k, s, p), x))
            fits = more < min(s) and (side - 1) * s[0] + k[0] + more > 2 * p[0] and side * s[1] + k[1] + more > 2 * p[1]
            if fits:
                found.append((nn.ConvTranspose2d(3, 4, k, s, p, output_padding=more, bias=side > 1), x))
    return [(layer.double(), x) for layer, x in found]


def test_the_product_is_the_convolution() -> None:
    checked = 0
    for layer, x in layers():
        x.requires_grad_()
        geometry = geometry_of(layer, *x.shape[-2:])
        ours, theirs = product(layer, x, geometry), layer(x)
        torch.testing.assert_close(ours, theirs, msg=str(layer))
        back = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        for one, other in zip(
            torch.autograd.grad(ours, [x, *layer.parameters()], back),
            torch.autograd.grad(theirs, [x, *layer.parameters()], back),
            strict=True,
        ):
            torch.testing.assert_close(one, other, msg=str(layer))
        sides = tuple(theirs.shape[-2:]), tuple(x.shape[-2:])
        assert (geometry.small, geometry.large) == (sides if isinstance(layer, nn.Conv2d) else sides[::-1])
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_the_product_is_differentiated_twice(kind: type[Convolution]) -> None:
    """As a gradient penalty does."""
    torch.manual_seed(0)
    layer = kind(2, 3, 3, 2, 1).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda one: product(layer, one, geometry_of(layer, 3, 3)).square(), x)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_only_small_maps_of_many_channels_in_bf16_become_products(
    kind: type[Convolution], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("gentickets.patches.product", lambda *given: calls.append(1) or product(*given))
    few, many = 4 * PRODUCT_FROM - 1, 4 * PRODUCT_FROM
    for channels, dtype, expected in ((many, torch.bfloat16, 1), (few, torch.bfloat16, 0), (many, None, 0)):
        layer = kind(*((8, channels) if kind is nn.Conv2d else (channels, 8)), 4, 2, 1)
        x = torch.randn(2, layer.in_channels, *((4, 4) if kind is nn.Conv2d else (2, 2)))
        calls.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
            ours, theirs = minding_maps(layer)(x), layer(x)
        assert len(calls) == expected
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)
    calls.clear()
    with torch.autocast("cpu", torch.bfloat16):
        minding_maps(kind(4, 4, 3, 2, 1))(torch.randn(2, 4, 1, 1))
    assert len(calls) == 1, "a stride wider than the map, of few channels"


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 3, 2, 1, groups=2),
        nn.Conv2d(64, 512, 3, 1, 2, dilation=2),
        nn.Conv2d(64, 64, 3, 1, "same"),
        nn.Conv2d(64, 64, 3, 1, 1, padding_mode="reflect"),
    ],
)
def test_layers_of_other_kinds_stay_as_they_are(layer: nn.Conv2d) -> None:
    x = torch.randn(2, 64, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(minding_maps(layer)(x), layer(x))


def test_strides_wider_than_a_map_give_no_gradients_out_of_nowhere(batches: Batches) -> None:
    """Only the middle of a 3x3 kernel in strides of 2 meets a 1x1 map; bfloat16 kernels leave the rest as it was."""
    task = make_task("vae-resnet18")
    layer = task.get_submodule("encoder.6.main.0")
    sides = []
    layer.register_forward_pre_hook(lambda layer, given: sides.append((given[0].shape[-1], layer.stride)))
    arithmetic = Training(task, Plan(precision="bf16")).turns[0].arithmetic
    draw = task.draw(16, torch.Generator().manual_seed(0))
    weight = layer.get_parameter("weight")
    for _ in range(30):
        rubbish = [torch.full((size,), float("nan"), dtype=torch.bfloat16) for size in (128, 1024, 2592, 8192) * 9]
        del rubbish
        _, (gradient,) = arithmetic.gradients(lambda: task.loss(batches(0), draw), [weight])
        assert gradient is not None
        assert gradient[:, :, 1, 1].any()
        gradient[:, :, 1, 1] = 0
        assert not gradient.any()
    assert sides == [(1, (2, 2))] * 30
    assert "forward" not in vars(layer), "outside of turns the layer is its own"
