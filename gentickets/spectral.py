"""Spectral norm: layers divided by their largest singular value, and its estimate made true after pruning (Trap 11).

Both of PyTorch's forms keep an estimate of the first singular vectors and move it by one power iteration in each
training step. A mask, or other weights loaded, leave it behind: after 90 % pruning the norm is off by a factor of two.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
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

    A norm of the user's own that keeps an estimate in buffers is run as in training until its weight changes no more;
    one that does not come to rest is left as it was, with a warning that names the layer.
    """
    for weight, dim, u, v in _estimates(module):
        matrix = weight.movedim(dim, 0).flatten(1)
        left, right = first_vectors(matrix if matrix.dtype == torch.float64 else matrix.float())
        u.copy_(left)
        v.copy_(right)
    for name, layer in module.named_modules():
        for owner, make in _foreign(layer):
            if not _comes_to_rest(owner, make):
                warnings.warn(
                    f"the norm of '{name}' keeps an estimate that does not settle: it is as before", stacklevel=2
                )


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


def _foreign(layer: nn.Module) -> Iterator[tuple[nn.Module, Callable[[], Tensor]]]:
    """What makes a layer's weight, keeps numbers in buffers, and is not PyTorch's: their owner, and a way to run it."""
    for step, value in _steps(layer):
        if not isinstance(step, parametrizations._SpectralNorm):
            yield step, lambda step=step, value=value: step(*value)  # type: ignore[misc]
    for hook in list(layer._forward_pre_hooks.values()):
        if isinstance(vars(layer).get("weight"), Tensor) and not isinstance(hook, SpectralNorm):
            yield layer, lambda hook=hook: hook(layer, ()) or layer.weight  # type: ignore[misc]


def _comes_to_rest(owner: nn.Module, make: Callable[[], Tensor]) -> bool:
    """Run what makes a weight in training mode until it moves the weight no more; False where it never does.

    Numbers that are counted, and all of them where nothing was estimated, are put back.
    """
    before = {name: buffer.clone() for name, buffer in owner.named_buffers()}
    if not any(buffer.is_floating_point() for buffer in before.values()):
        return True
    modes, attributes = [(part, part.training) for part in owner.modules()], dict(vars(owner))
    devices = {buffer.device for buffer in before.values() if buffer.is_cuda}
    estimates, settled = False, False
    with torch.random.fork_rng(list(devices)):
        owner.train()
        last = make()
        for number in range(EACH, MOST + 1, EACH):
            for _ in range(EACH):
                weight = make()
            estimates = any(
                buffer.is_floating_point() and not torch.equal(buffer, before[name])
                for name, buffer in owner.named_buffers()
            )
            settled = bool((weight - last).norm() <= CONVERGED * weight.norm())
            if not estimates or (settled and number >= LEAST):
                break
            last = weight
    for part, mode in modes:
        part.training = mode
    if not (estimates and settled):
        vars(owner).update(attributes)
    for name, buffer in owner.named_buffers():
        if not (estimates and settled and buffer.is_floating_point()):
            buffer.copy_(before[name])
    return settled or not estimates


def _steps(layer: nn.Module) -> Iterator[tuple[nn.Module, tuple[Tensor, ...]]]:
    """Each parametrization of a layer, in order, with what it gets."""
    if not parametrize.is_parametrized(layer):
        return
    stacks: Any = layer.parametrizations
    for stack in stacks.values():
        raw = ["original"] if stack.is_tensor else [f"original{number}" for number in range(stack.ntensors)]
        value = tuple(getattr(stack, name) for name in raw)
        for number, step in enumerate(stack):
            value = value if number == 0 else (stack[number - 1](*value),)
            yield step, value


def _estimates(module: nn.Module) -> Iterator[tuple[Tensor, int, Tensor, Tensor]]:
    """Each normalized weight, raw, with the dimension of its outputs and its u and v."""
    for layer in module.modules():
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                raw, u, v = (getattr(layer, f"{hook.name}_{part}") for part in ("orig", "u", "v"))
                yield raw, hook.dim, u, v
                setattr(layer, hook.name, hook.compute_weight(layer, do_power_iteration=False))
        for step, value in _steps(layer):
            if isinstance(step, parametrizations._SpectralNorm) and value[0].ndim > 1:
                yield value[0], step.dim, step._u, step._v
