"""Spectral norm: layers divided by their largest singular value, and its estimate made true after pruning (Trap 11).

Both of PyTorch's forms keep an estimate of the first singular vectors and move it by one power iteration in each
training step. A mask, or other weights loaded, leave it behind: after 90 % pruning the norm is off by a factor of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

LEAST, MOST, EACH = 30, 1000, 10
"""Power iterations: at least, at most, and between two looks."""
CONVERGED = 1e-4
"""The relative gain between two looks below which the estimate is taken: it is then within about 0.3 %."""


def normalize(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> None:
    """Put the weights of all layers of these kinds under spectral norm (Miyato et al., 2018), dense ones included."""
    for layer in [layer for layer in module.modules() if isinstance(layer, kinds)]:
        parametrizations.spectral_norm(layer)


def bare(layer: nn.Module) -> dict[str, Any]:
    """Take all parametrizations off a layer, and return them by tensor; the tensors are then for the caller to set.

    By hand: `remove_parametrizations` takes the tensor's property off the layer's class, which copies share.
    """
    lists = dict(layer.get_submodule("parametrizations").named_children())
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer._modules["parametrizations"]
    return lists


def release(module: nn.Module) -> list[tuple[nn.Module, parametrizations._SpectralNorm]]:
    """Take spectral norms off, under PyTorch's parametrization; the raw weights are plain parameters then.

    Returns the layers with what they were under, for `renew`.
    """
    released: list[tuple[nn.Module, parametrizations._SpectralNorm]] = []
    for layer in list(module.modules()):
        under = getattr(layer, "parametrizations", None)
        if not isinstance(under, nn.ModuleDict) or list(under) != ["weight"]:
            continue
        steps: Any = under["weight"]
        if len(steps) == 1 and isinstance(steps[0], parametrizations._SpectralNorm):
            released.append((layer, steps[0]))
            bare(layer)
            layer.register_parameter("weight", steps.original)
    return released


def renew(released: list[tuple[nn.Module, parametrizations._SpectralNorm]]) -> None:
    """Put layers that `release` has freed under the same norm again."""
    for layer, norm in released:
        parametrizations.spectral_norm(layer, n_power_iterations=norm.n_power_iterations, eps=norm.eps, dim=norm.dim)


@torch.no_grad()
def settle(module: nn.Module) -> None:
    """Estimate u and v of every spectrally normalized layer anew, in place, from its weights alone.

    Under both of PyTorch's forms, for linear, convolutional and transposed layers. Power iterations from one fixed
    vector, until they gain no more: the same weights give the same bits. Nothing random is touched.
    """
    for weight, dim, u, v in _estimates(module):
        matrix = weight.movedim(dim, 0).flatten(1)
        left, right = first_vectors(matrix if matrix.dtype == torch.float64 else matrix.float())
        u.copy_(left)
        v.copy_(right)


def first_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The first left and right singular vectors of a matrix, by power iteration."""
    start = torch.randn(len(matrix), generator=torch.Generator().manual_seed(0))
    u = F.normalize(start.to(matrix), dim=0)
    before = torch.zeros((), device=matrix.device)
    for number in range(1, MOST + 1):
        v = F.normalize(matrix.t() @ u, dim=0)
        moved = matrix @ v
        u = F.normalize(moved, dim=0)
        if number % EACH == 0:
            sigma = moved.norm()
            if number >= LEAST and sigma - before <= CONVERGED * sigma:
                break
            before = sigma
    return u, v


def _estimates(module: nn.Module) -> Iterator[tuple[Tensor, int, Tensor, Tensor]]:
    """Each normalized weight, raw, with the dimension of its outputs and its u and v."""
    for layer in module.modules():
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                raw, u, v = (getattr(layer, f"{hook.name}_{part}") for part in ("orig", "u", "v"))
                yield raw, hook.dim, u, v
                setattr(layer, hook.name, hook.compute_weight(layer, do_power_iteration=False))
        if parametrize.is_parametrized(layer):
            for steps in layer.parametrizations.values():  # type: ignore[operator]
                value = steps.original
                for number, step in enumerate(steps):
                    value = value if number == 0 else steps[number - 1](value)
                    if isinstance(step, parametrizations._SpectralNorm) and value.ndim > 1:
                        yield value, step.dim, step._u, step._v
