"""Shapes: where a layer's channels stand in its tensors, and networks that take the shapes of narrower weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from gentickets.counted import LEFT, count_in, full_runs, is_counted
from gentickets.errors import Status, TicketError, nearest
from gentickets.storage import memory_of

_Conv = nn.modules.conv._ConvNd
_Norm = nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm
_SCALES = {"weight": "scale", "bias": "shift", "running_mean": "statistic", "running_var": "statistic"}


@dataclass(frozen=True)
class Axis:
    """A dimension of a layer's tensor along which its channels stand."""

    tensor: str
    """The tensor's name inside the layer; under spectral norm the raw one."""
    dim: int
    side: str
    """``out``: channels that the layer gives, or passes on as a norm does; ``in``: channels that it mixes."""
    part: str
    """``weight``, ``bias``, a norm's ``scale``, ``shift`` or ``statistic``, ``slope``, spectral norm's ``estimate``."""
    each: int = 1
    """Consecutive entries of each channel: a kernel's, in spectral norm's v."""


def axes_of(layer: nn.Module) -> tuple[Axis, ...] | None:
    """The axes of a layer that may lose channels; None for every other module.

    Known are linear layers, convolutions (transposed ones too, which may be depthwise; grouped ones have one side, as
    they lose whole groups), norms (a layer norm's over one dimension) and PReLUs, plain or under spectral norm in
    either of PyTorch's forms. A layer that holds any other tensor (another parametrization, a pruning mask) is not
    known.
    """
    if isinstance(layer, nn.Linear | _Conv):
        axes = _weighted(layer)
    elif isinstance(layer, _Norm):
        present = {**layer._parameters, **layer._buffers}
        if isinstance(layer, nn.LayerNorm | nn.RMSNorm) and len(layer.normalized_shape) > 1:
            return None
        axes = [Axis(name, 0, "out", part) for name, part in _SCALES.items() if present.get(name) is not None]
    elif isinstance(layer, nn.PReLU):
        axes = [Axis("weight", 0, "out", "slope")] if layer.num_parameters > 1 else []
    else:
        return None
    known = {axis.tensor for axis in axes} | {"num_batches_tracked", LEFT}
    known |= {"weight"} if isinstance(layer, nn.PReLU) else set()
    return None if any(name not in known for name in layer.state_dict()) else tuple(axes)


def _weighted(layer: nn.Linear | nn.modules.conv._ConvNd) -> list[Axis]:
    """The axes of a layer with a weight; without any where they are not understood."""
    out, into = (1, 0) if isinstance(layer, _Conv) and layer.transposed else (0, 1)
    groups = layer.groups if isinstance(layer, _Conv) else 1
    depthwise = groups > 1 and groups == layer.in_channels == layer.out_channels
    raw = _raw(layer, out)
    if raw is None or (groups > 1 and out == 1 and (not depthwise or len(raw) > 1)):
        return []
    axes = [Axis(raw[0], 0 if groups > 1 else out, "out", "weight")]
    axes += [Axis("bias", 0, "out", "bias")] if layer.bias is not None else []
    axes += [Axis(name, 0, "out", "estimate") for name in raw[1:2]]
    if groups == 1:
        kernel = prod(layer.kernel_size) if isinstance(layer, _Conv) else 1
        axes += [Axis(raw[0], into, "in", "weight")]
        axes += [Axis(name, 0, "in", "estimate", kernel) for name in raw[2:]]
    return axes


def _raw(layer: nn.Module, out: int) -> tuple[str, ...] | None:
    """The names of the raw weight and, under spectral norm, of u and v; None for any other parametrization."""
    if parametrize.is_parametrized(layer):
        lists: Any = layer.parametrizations
        steps = list(lists["weight"]) if set(lists) == {"weight"} else []
        if len(steps) == 1 and isinstance(steps[0], parametrizations._SpectralNorm) and steps[0].dim == out:
            return tuple(f"parametrizations.weight.{name}" for name in ("original", "0._u", "0._v"))
        return None
    if "weight" in layer._parameters:
        return ("weight",)
    for hook in _old_hooks(layer):
        if hook.name == "weight" and hook.dim == out:
            return "weight_orig", "weight_u", "weight_v"
    return None


def _old_hooks(layer: nn.Module) -> list[SpectralNorm]:
    return [hook for hook in layer._forward_pre_hooks.values() if isinstance(hook, SpectralNorm)]


def take_shapes(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a freshly built network, in place, the shapes of a stored compact state; its numbers mean nothing then.

    ``tensors`` are parameters and buffers by name, one name for each storage; load them afterwards. Parameters stay
    the objects that they were, tied ones tied; strides keep their order; ``in_channels`` and the like follow. Raises
    TicketError (status 3), before anything changes: a name too many or too few, a tensor that would grow or lose all
    that it has, shapes inside a layer that do not fit together, a module whose shapes may not change (see `axes_of`).
    Norms with a ``<norm>.left`` count what is gone from then on (see `counted`); without one, a norm over several
    channels keeps its width.
    """
    counts = dict(_counts(module, tensors))
    shapes = _wanted(module, {name: tensor for name, tensor in tensors.items() if name not in counts})
    changed = {key for key, (shape, places) in shapes.items() if shape != places[0].tensor.shape}
    layers = [(path, layer, axes) for path, layer in module.named_modules() if (axes := axes_of(layer)) is not None]
    movable = {
        memory_of(_inside(layer, axis.tensor))
        for path, layer, axes in layers
        for axis in axes
        if not full_runs(layer) or is_counted(layer) or f"{path}.{LEFT}".lstrip(".") in counts
    }
    movable |= {
        key for key, (_, places) in shapes.items() if not type(places[0].owner).__module__.startswith("torch.nn")
    }
    for key in changed - movable:
        place = shapes[key][1][0]
        kind = type(place.owner).__name__
        but = f" without '{place.name.rpartition('.')[0]}.{LEFT}'" if full_runs(place.owner) else ""
        raise _unfit(f"'{place.name}' is a tensor of a {kind}, which cannot be made narrower{but}")
    _require_counts(module, counts, shapes)
    sizes = [_sizes(path, layer, axes, shapes) for path, layer, axes in layers]
    with torch.no_grad():
        for shape, places in (shapes[key] for key in changed):
            narrow = places[0].tensor.detach()[tuple(slice(0, size) for size in shape)]
            narrow = narrow.clone(memory_format=torch.preserve_format)
            for place in places:
                place.tensor.data = narrow
        for (_, layer, _), sides in zip(layers, sizes, strict=True):
            _set_sizes(layer, sides)
    for name, left in counts.items():
        count_in(module.get_submodule(name.rpartition(".")[0]), left)


def _counts(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What norms that do not count yet are to count."""
    norms = {path: part for path, part in module.named_modules() if full_runs(part) and not is_counted(part)}
    for name, tensor in tensors.items():
        path, _, last = name.rpartition(".")
        if last == LEFT and path in norms:
            yield name, tensor


def _require_counts(module: nn.Module, counts: Mapping[str, Tensor], shapes: _Shapes) -> None:
    """Refuse counts that are not a norm's, or do not add up to its scales."""
    for name, left in counts.items():
        norm = module.get_submodule(name.rpartition(".")[0])
        full = torch.tensor(full_runs(norm) or ())
        whole = left.shape == full.shape and left.dtype == torch.int64
        if not whole or bool((left.cpu() > full).any()) or int(left.min()) < 0 or not int(left.sum()):
            raise _unfit(f"'{name}' does not say how many channels are left of each group of {tuple(full.tolist())}")
        for own in norm.parameters(recurse=False):
            if shapes[memory_of(own)][0] != (int(left.sum()),):
                raise _unfit(
                    f"'{name}' counts {int(left.sum())} channels, the norm's other tensors have another number"
                )


@dataclass(frozen=True)
class _Place:
    name: str
    owner: nn.Module
    tensor: Tensor


_Shapes = dict[Hashable, tuple[torch.Size, list[_Place]]]


def _wanted(module: nn.Module, tensors: Mapping[str, Tensor]) -> _Shapes:
    """Storage -> the shape that it is to have, and every place where it stands."""
    places: dict[Hashable, list[_Place]] = {}
    for place in _places(module):
        places.setdefault(memory_of(place.tensor), []).append(place)
    known = {place.name for several in places.values() for place in several}
    for name in tensors:
        if name not in known:
            raise _unfit(f"the weights have '{name}', which the network lacks. {nearest(name, known)}")
    shapes: _Shapes = {}
    for key, several in places.items():
        given = [tensors[place.name].shape for place in several if place.name in tensors]
        place = several[0]
        if other := next((one for one in several if one.tensor.shape != place.tensor.shape), None):
            raise _unfit(f"'{other.name}' is '{place.name}' in another shape, and such ties cannot be made narrower")
        if not given:
            message = f"the weights have no '{place.name}', which the network needs. {nearest(place.name, tensors)}"
            raise _unfit(message)
        theirs, ours = tuple(given[0]), tuple(place.tensor.shape)
        fits = len(theirs) == len(ours) and all(0 < a <= b or a == b for a, b in zip(theirs, ours, strict=True))
        if not fits or any(shape != given[0] for shape in given):
            raise _unfit(f"'{place.name}' has shape {theirs}, which is no narrower form of the network's {ours}")
        shapes[key] = given[0], several
    return shapes


def _places(module: nn.Module) -> Iterator[_Place]:
    """Every parameter and stored buffer, under each of its names."""
    for path, owner in module.named_modules(remove_duplicate=False):
        for name, tensor in chain(owner._parameters.items(), owner._buffers.items()):
            if tensor is not None and name not in owner._non_persistent_buffers_set:
                yield _Place(f"{path}.{name}".lstrip("."), owner, tensor)


def _sizes(path: str, layer: nn.Module, axes: tuple[Axis, ...], shapes: _Shapes) -> dict[str, int]:
    """The channels on each side of a layer, which all of its tensors must agree on."""
    wanted = {axis.tensor: shapes[memory_of(_inside(layer, axis.tensor))][0] for axis in axes}
    sides: dict[str, int] = {}
    expected = {name: list(_inside(layer, name).shape) for name in wanted}
    for axis in axes:
        sides.setdefault(axis.side, wanted[axis.tensor][axis.dim] // axis.each)
        expected[axis.tensor][axis.dim] = sides[axis.side] * axis.each
    for name, shape in expected.items():
        if tuple(shape) != tuple(wanted[name]):
            theirs, ours = tuple(wanted[name]), tuple(shape)
            raise _unfit(f"'{path}.{name}' has shape {theirs}, but the layer's other tensors ask for {ours}")
    return sides


def _set_sizes(layer: nn.Module, sides: dict[str, int]) -> None:
    if not sides:
        return
    out, into = sides["out"], sides.get("in", sides["out"])
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = out, into
    elif isinstance(layer, _Conv):
        if "in" not in sides:  # whole groups
            layer.groups = layer.groups * out // layer.out_channels
            into = layer.in_channels * out // layer.out_channels
        layer.out_channels, layer.in_channels = out, into
    elif isinstance(layer, nn.modules.batchnorm._NormBase):
        layer.num_features = out
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = out
    for hook in _old_hooks(layer):  # the old form leaves the normalized weight on the layer, a plain tensor
        setattr(layer, hook.name, hook.compute_weight(layer, do_power_iteration=False))


def _inside(layer: nn.Module, name: str) -> Tensor:
    path, _, last = name.rpartition(".")
    owner = layer.get_submodule(path)
    tensor: Tensor = getattr(owner, last)
    return tensor


def _unfit(message: str) -> TicketError:
    return TicketError(message, Status.TICKET)
