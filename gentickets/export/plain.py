"""Plain: a trained task as others can run it, without anything that only training needs."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gentickets.channels.group import twin
from gentickets.spectral import bare
from gentickets.storage import ties_kept
from gentickets.tasks import Task
from gentickets.tasks.gda import Fixed
from gentickets.tasks.networks.layers import Halve, PiecewiseLinear
from gentickets.untouched import looking_only


@looking_only
def plain(task: Task) -> Task:
    """A copy on the CPU, in evaluation mode, without gradients, that gives the same; the task itself is untouched.

    Spectral norms and other reparametrizations are folded: the weights stand there as they act. Layers with a
    backward pass of their own are replaced by PyTorch's layers of the same values. Zeros stay zeros.
    """
    copy = twin(task)
    with ties_kept(copy):
        copy = copy.cpu().eval().requires_grad_(False)
    _fold(copy)
    _replace(copy)
    return copy


def _fold(module: nn.Module) -> None:
    """In both of PyTorch's forms: parametrizations, and the older hooks."""
    for layer in module.modules():
        if parametrize.is_parametrized(layer):
            _fold_layer(layer)
        for hook in list(layer._forward_pre_hooks.values()):
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(layer, hook.name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(layer, hook.name)
    module.requires_grad_(False)  # what was folded is a new parameter


def _fold_layer(layer: nn.Module) -> None:
    names = list(layer.parametrizations)  # type: ignore[arg-type]
    values = {name: getattr(layer, name).detach().clone() for name in names}
    bare(layer)
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value))


def _replace(module: nn.Module) -> None:
    for name, child in module._modules.items():
        if child is not None:
            _replace(child)
            module._modules[name] = _of_torch(child)


def _of_torch(layer: nn.Module) -> nn.Module:
    if isinstance(layer, Halve):
        return nn.AvgPool2d(2)
    if isinstance(layer, PiecewiseLinear):
        return nn.LeakyReLU(layer.slope) if layer.slope else nn.ReLU()
    if isinstance(layer, Fixed):
        out, width = layer.signs.shape
        linear = nn.Linear(width, out, bias=False, device="meta")
        linear.weight = layer.signs
        return linear
    return layer
