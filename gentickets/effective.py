"""Effective weights: what a layer multiplies by, and which of its own tensors makes a zero of it.

Under a parametrization, or a hook of the older kind, a layer's weight is computed from raw tensors. A raw tensor can be
pruned where its zeros are zeros of the weight: under spectral and weight norm they are; under an orthogonal one, or one
that subtracts a mean, they are not. No list of names could tell, so it is tried: on a shell of the layer that shares
nothing that could change, with numbers of our own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

_FIRST = ("weight", "weight_orig", "weight_v", "parametrizations.weight.original", "parametrizations.weight.original1")
_PRODUCTS = (
    F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d,
)  # fmt: skip
_COLUMNS = 16
"""Inputs of a linear layer of one's own that are tried one by one."""


@dataclass(frozen=True)
class Raw:
    """The tensor of a layer whose zeros are zeros of its weight, by its name in the layer; or why there is none."""

    name: str | None
    reason: str = ""


_KNOWN: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], Raw]] = WeakKeyDictionary()


def raw_weight(layer: nn.Module) -> Raw:
    """Which tensor of a linear or convolutional layer can be pruned.

    A layer that is PyTorch's own, with its weight as a parameter, is not tried. What was found is remembered as long as
    the layer's class, tensors, parametrizations and hooks stay.
    """
    if isinstance(layer._parameters.get("weight"), nn.Parameter) and _of_torch(layer):
        return Raw("weight")
    made_of = tuple(id(part) for part in (type(layer), *layer.modules(), *layer.parameters(), *_hooks(layer)))
    known = _KNOWN.get(layer)
    if known is None or known[0] != made_of:
        known = _KNOWN[layer] = made_of, _tried(layer)
    return known[1]


def effective_weight(layer: nn.Module, values: Mapping[str, Tensor], *, training: bool = False) -> Tensor:
    """The weight that a layer would multiply by, in evaluation mode if not ``training``, with other values of tensors.

    ``values`` are by the parameters' names in the layer. The layer, its buffers and the random state are untouched.
    Raises whatever the layer's own code raises.
    """
    own = {id(parameter): name for name, parameter in layer.named_parameters()}
    swapped = {key: values[name] for key, name in own.items() if name in values}
    devices = {tensor.device for tensor in layer.parameters() if tensor.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(list(devices)):
        shell = _shell(layer, swapped, {}).train(training)
        given = _input(layer)
        _steady_parametrizations(shell, always=True)
        if "weight" not in layer._parameters and not parametrize.is_parametrized(layer, "weight"):
            for hook in _hooks(shell):  # one of them has made the weight
                if isinstance(hook, WeightNorm):
                    setattr(shell, hook.name, _without_division_by_zero(hook.name, hook.dim, shell))
                else:
                    hook(shell, (given,))
        if not type(layer).forward.__module__.startswith("torch."):
            return _multiplied(shell, given, {value.shape for value in values.values()})
        if parametrize.is_parametrized(shell, "weight"):
            return torch.as_tensor(shell.parametrizations["weight"]()).detach()  # type: ignore[index,operator]
        return torch.as_tensor(shell.weight).detach()


def steady(module: nn.Module) -> None:
    """Have weight norm, in both forms, take a row of zeros for zeros: PyTorch divides by its norm, 0.

    Only in layers with such a row, for good; what their other rows make is the same but for rounding. Copies are as
    steady, states have the same names.
    """
    for layer in module.modules():
        _steady_parametrizations(layer)
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and _has_empty_row(getattr(layer, f"{hook.name}_v"), hook.dim):
                vars(hook)["compute_weight"] = partial(_without_division_by_zero, hook.name, hook.dim)


def _steady_parametrizations(layer: nn.Module, always: bool = False) -> None:
    stacks: Any = layer.parametrizations if parametrize.is_parametrized(layer) else {}
    for stack in stacks.values():
        norm = next(iter(stack), None)
        if isinstance(norm, _WeightNorm) and (always or _has_empty_row(stack.original1, norm.dim)):
            vars(norm)["forward"] = partial(_normed, dim=norm.dim)


def _has_empty_row(v: Tensor, dim: int) -> bool:
    return bool((torch.norm_except_dim(v.detach(), 2, dim) == 0).any())


def _without_division_by_zero(name: str, dim: int, layer: nn.Module) -> Tensor:
    return _normed(getattr(layer, f"{name}_g"), getattr(layer, f"{name}_v"), dim)


def _normed(g: Tensor, v: Tensor, dim: int) -> Tensor:
    norm = torch.norm_except_dim(v, 2, dim)
    return v * (g / torch.where(norm == 0, torch.ones_like(norm), norm))


def _of_torch(layer: nn.Module) -> bool:
    return not parametrize.is_parametrized(layer) and type(layer).forward.__module__.startswith("torch.")


def _hooks(layer: nn.Module) -> Iterator[Any]:
    """The hooks before a layer's forward pass that may make its weight; those of `gentickets.hold` do not."""
    return (hook for hook in layer._forward_pre_hooks.values() if not getattr(hook, "only_masks", False))


def _tried(layer: nn.Module) -> Raw:
    """The first tensor through which a zero passes, those of PyTorch's own names before others."""
    parameters = {name: tensor for name, tensor in layer.named_parameters() if name != "bias"}
    if any(tensor.is_meta for tensor in parameters.values()):
        return Raw(next((name for name in _FIRST if name in parameters), None), "it is on the meta device")
    why = "its weight is no parameter of the layer, and is made elsewhere"
    for name in sorted(parameters, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        try:
            passes = _passes(layer, name, parameters[name])
        except Exception as error:  # foreign code, which may raise anything
            if name == "weight" and not parametrize.is_parametrized(layer):
                return Raw(name)  # a forward pass of its own that wants more than an input: taken as it is
            why = f"its weight cannot be computed apart from the network: {type(error).__name__}: {error}"
            continue
        if passes:
            return Raw(name)
        if passes is not None:
            why = f"its weight is made by {_makers(layer)}, where a zero of '{name}' is no zero of the weight"
    return Raw(None, why)


def _passes(layer: nn.Module, name: str, parameter: Tensor) -> bool | None:
    """Whether the weight is zero wherever this tensor is; None if the two differ in shape.

    Half of the entries are zero, but in no row or column all of them: weight norm divides by a row's norm.
    """
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(parameter.shape, generator=rng).add_(0.5)
    values = values * (torch.rand(parameter.shape, generator=rng) < 0.5).float().mul_(2).sub_(1)  # signs
    zeros = _some_zeros(torch.rand(parameter.shape, generator=rng) < 0.5)
    given = {name: values.masked_fill(zeros, 0.0).to(parameter)}
    weight = effective_weight(layer, given).cpu()
    if weight.shape != zeros.shape:
        return None
    passes = bool((weight[zeros] == 0).all()) and bool((weight[~zeros] != 0).any() or zeros.all())
    return passes and not any(bool(weight[zeros].any()) for weight in _later(layer, given))


def _later(layer: nn.Module, given: Mapping[str, Tensor]) -> Iterator[Tensor]:
    """The weight in training mode, and once the layer's other parameters have moved, as long as they are numbers.

    A low-rank update starts at zero, a shift too, and noise is added in training alone. What cannot be computed tells
    nothing.
    """
    rng = torch.Generator().manual_seed(1)
    moved = {
        name: (tensor.detach().cpu() + 0.1 * torch.rand(tensor.shape, generator=rng)).to(tensor)
        for name, tensor in layer.named_parameters()
        if tensor.is_floating_point()
    }
    for values, training in ((given, True), ({**moved, **given}, False)):
        try:
            weight = effective_weight(layer, values, training=training).cpu()
        except (RuntimeError, ValueError, TypeError):
            continue
        yield torch.nan_to_num(weight, 0.0, 0.0, 0.0)


def _some_zeros(zeros: Tensor) -> Tensor:
    """The same zeros, but for one entry of every row and column; the first entry alone where that leaves none."""
    if zeros.ndim > 1 and zeros.numel():
        matrix = zeros.clone().flatten(1)
        rows = torch.arange(max(matrix.shape))
        matrix[rows % matrix.shape[0], rows % matrix.shape[1]] = False
        zeros = matrix.view(zeros.shape)
    if zeros.numel() and not zeros.any():
        zeros.view(-1)[0] = True
    return zeros


def _makers(layer: nn.Module) -> str:
    """The names of what makes a layer's weight."""
    steps: list[Any] = []
    if parametrize.is_parametrized(layer):
        steps = list(layer.parametrizations["weight"])  # type: ignore[index]
    else:
        steps = list(_hooks(layer)) if "weight" not in layer._parameters else []
    names = [getattr(step, "__name__", type(step).__name__).strip("_") for step in steps]
    return " and ".join(names or [type(layer).__name__])


def _shell(layer: nn.Module, swapped: Mapping[int, Tensor], made: dict[int, nn.Module]) -> nn.Module:
    """A layer of the same class and parts with its own buffers and mode, and other values for some parameters.

    Not a copy: deep ones would follow hooks to all that these know, and fail for weights that hooks have computed.
    """
    if id(layer) in made:
        return made[id(layer)]
    shell = made[id(layer)] = object.__new__(type(layer))
    vars(shell).update(vars(layer))
    parameters = {n: None if p is None else swapped.get(id(p), p) for n, p in layer._parameters.items()}
    vars(shell)["_parameters"] = {
        n: p if p is None or isinstance(p, nn.Parameter) else nn.Parameter(p) for n, p in parameters.items()
    }
    vars(shell)["_buffers"] = {n: None if b is None else b.detach().clone() for n, b in layer._buffers.items()}
    vars(shell)["_modules"] = {n: m and _shell(m, swapped, made) for n, m in layer._modules.items()}
    return shell


def _input(layer: Any) -> Tensor:
    """Something that the layer takes: one sample, as small as its kernel allows."""
    weight = next(layer.parameters())
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (1, layer.in_features)
    else:
        padding = layer.padding if isinstance(layer.padding, tuple) else (0,) * len(layer.kernel_size)
        spans = zip(layer.kernel_size, layer.dilation, padding, strict=True)
        shape = (1, layer.in_channels, *((size - 1) * dilation + 1 + extra for size, dilation, extra in spans))
    return torch.zeros(shape, dtype=weight.dtype, device=weight.device)


class _Recorder(TorchFunctionMode):
    """Inside, the weights of all linear and convolutional products are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, and keep its weight."""
        kwargs = kwargs or {}
        if func in _PRODUCTS:
            self.weights.append(kwargs["weight"] if "weight" in kwargs else args[1])
        return func(*args, **kwargs)


def _multiplied(shell: Any, given: Tensor, shapes: set[torch.Size]) -> Tensor:
    """What a layer with a forward pass of its own multiplies by: the weight that it hands to a product of PyTorch's.

    The last of these shapes, if there are several.

    Without one, a linear layer answers single inputs; its weight's other columns stay unknown, and count as zeros.
    """
    with _Recorder() as seen:
        bias = shell.forward(given)
    fitting = [weight for weight in seen.weights if weight.shape in shapes] or seen.weights
    if fitting:
        return torch.as_tensor(fitting[-1]).detach()
    if not isinstance(shell, nn.Linear):
        return torch.as_tensor(shell.weight).detach()
    weight = torch.zeros(shell.out_features, shell.in_features, dtype=given.dtype, device=given.device)
    for column in range(min(_COLUMNS, shell.in_features)):
        one = given.clone()
        one[0, column] = 1
        weight[:, column] = (shell.forward(one) - bias)[0]
    return weight
