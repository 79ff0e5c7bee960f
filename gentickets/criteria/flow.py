"""SynFlow: what flows through a network whose weights are all positive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from gentickets.criteria.judged import judge
from gentickets.effective import effective_weight, raw_weight
from gentickets.errors import Status, TicketError
from gentickets.masks import PRUNABLE, Scores, component_of, prunable, prunable_layers
from gentickets.storage import laid_out
from gentickets.tasks import Batch, Task
from gentickets.untouched import eager, has_float64, substituted, tensors_in, untouched

_SHAPING = {"View", "UnsafeView", "ReshapeAlias", "Transpose", "T", "Permute", "Squeeze", "Unsqueeze", "Clone", "Alias"}
_SQUASHING = {"Tanh", "Sigmoid", "Hardtanh", "Hardsigmoid", "Clamp", "Softmax", "LogSigmoid"}
_ROUNDING = 1e-9
"""Share of the largest score that a sum in float64 may be off by."""


def synflow(task: Task, batches: Sequence[Batch] = (), seed: int = 0) -> Scores:
    """w dR/dw with |w| everywhere, R the sum of a component's output for ones as input (Tanaka et al., 2020).

    Each component by itself, in float64 and evaluation mode; its input has the shapes that `Task.inputs` gives for one
    image (ones for a decoder's code too), and integers stay as given there. R is taken before a final tanh, sigmoid or
    clamp, which would zero most scores. Biases and norm parameters are taken as their absolute values; so is a batch
    norm's running mean, *added* as a shift (the published script subtracts it, which can silence whole channels of a
    trained network; before training it is 0). Under spectral norm the flow goes through |raw weight| / sigma with sigma
    held constant: as a function of the weight it would make every sum zero. So it is under weight norm and any other
    parametrization: what the raw weight is multiplied by is held constant. Devices without float64 (MPS) are scored on
    the CPU, and the scores stay there.

    Scores are shares of their component's flow: divided by the largest sum over a tensor there, which is R but for
    biases. That changes no order within a component, and across components it is the SynFlow of the product of their
    Rs; undivided, the component with the smaller R would lose all its weights at the global scope.

    One call is one cut: the many cuts of the paper (100) are made by calling again with the mask in place. ``batches``
    are not looked at, and the task is left as it was.

    Raises TicketError for a weight when its score is asked for: nothing flows through it, or scores are negative, as
    behind a layer that normalizes by its own input.
    """
    weights, found, refused = prunable(task), dict[str, Tensor](), dict[str, TicketError]()
    layers = prunable_layers(task)
    with torch.inference_mode(False), eager(task), untouched(task, seed):
        inputs = _inputs(task)
        for component in dict.fromkeys(map(component_of, layers)):
            if component not in inputs:
                refused[component] = TicketError(f"SynFlow needs Task.inputs to say what '{component}' takes")
                continue
            if any(one.is_complex() for one in getattr(task, component).parameters()):
                message = f"'{component}' has complex weights, which SynFlow cannot make positive; use magnitude"
                refused[component] = TicketError(message)
                continue
            own = {
                id(weight): (name, weight) for path, (name, weight) in layers.items() if component_of(path) == component
            }
            try:
                flows = _flows(getattr(task, component), inputs[component], [weight for _, weight in own.values()])
            except TicketError as error:
                refused[component] = error
                continue
            largest = max((flow.sum() for flow in flows.values()), default=torch.zeros(()))
            for key, flow in flows.items():
                name, weight = own[key]
                share = laid_out(flow / torch.where(largest > 0, largest, 1.0), weight, weights[name])
                found[name] = found[name] + share if name in found else share
            if any(bool((flow < -_ROUNDING * flow.abs().max()).any()) for flow in flows.values() if flow.numel()):
                refused[component] = TicketError(
                    f"SynFlow scores of '{component}' are negative: a layer there normalizes by its own input (layer, "
                    "group or instance norm, or batch norm without running statistics); use magnitude or lamp",
                    Status.FAILED,
                )
    scores: dict[str, Tensor | TicketError] = {}
    for name in weights:
        why = TicketError(f"no gradient path to '{name}': nothing flows through it; exempt it", Status.FAILED)
        scores[name] = refused.get(component_of(name), found.get(name, why))
    return judge(scores, "SynFlow", "a layer lets nothing through, all its weights are zero; use magnitude")


def _inputs(task: Task) -> dict[str, tuple[object, ...]]:
    """Ones for each component, in the shapes that it gets for one image."""
    try:
        given = task.inputs(torch.zeros(1, *task.image, device=task.device))
    except NotImplementedError as error:
        raise TicketError(f"SynFlow needs {type(task).__name__}.inputs to say what its components take") from error
    place = _place(task)
    return {
        component: tuple(_ones(value, place) if isinstance(value, Tensor) else value for value in arguments)
        for component, arguments in given.items()
    }


def _ones(value: Tensor, place: torch.device) -> Tensor:
    if value.is_floating_point():
        return torch.ones(value.shape, dtype=torch.float64, device=place)
    return value.to(place)


def _place(module: nn.Module) -> torch.device:
    device = next(module.parameters()).device
    return device if has_float64(device) else torch.device("cpu")


def _flows(component: nn.Module, arguments: tuple[object, ...], weights: Sequence[nn.Parameter]) -> dict[int, Tensor]:
    """w dR/dw of those of a component's weights that R depends on, by their identity."""
    place = _place(component)
    positive = {id(p): p.detach().to(place, torch.float64).abs().requires_grad_() for p in component.parameters()}
    with (
        torch.enable_grad(),
        _constant_sigmas(component),
        substituted(component, positive | _buffers(component, place)),
    ):
        leaves = [positive[id(weight)] for weight in weights]
        slopes = _slopes(component, arguments, leaves)
    found = zip(weights, leaves, slopes, strict=True)
    return {id(weight): leaf.detach() * slope for weight, leaf, slope in found if slope is not None}


def _slopes(component: nn.Module, arguments: tuple[object, ...], leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """dR/dw of some weights, while others stand in for them: a checkpointed component runs again on the way back.

    Tensors that it makes by itself are in float64 too; TicketError where it wants another kind.
    """
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        outputs = [one for one in tensors_in(component(*arguments)) if one.requires_grad]
        if not outputs:
            return [None] * len(leaves)
        for one in outputs:
            _skip_squashing(one)
        return torch.autograd.grad(outputs, leaves, [torch.ones_like(one) for one in outputs], allow_unused=True)
    except RuntimeError as error:
        text = str(error).partition("\n")[0]
        if not any(kind in text for kind in ("dtype", "Double", "Float", "scalar type")):
            raise
        message = f"SynFlow runs components in float64, and one makes another kind of number inside ({text})"
        raise TicketError(f"{message}: use magnitude, lamp or snip", Status.FAILED) from error
    finally:
        torch.set_default_dtype(before)


def _buffers(component: nn.Module, place: torch.device) -> dict[int, Tensor]:
    """The buffers in float64, by their identity; running means negative, so that subtracting them adds."""
    layers = [layer for layer in component.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    means = {id(layer.running_mean) for layer in layers}
    values = {}
    for buffer in component.buffers():
        value = buffer.detach().clone().to(place, torch.float64 if buffer.is_floating_point() else None)
        values[id(buffer)] = -value.abs() if id(buffer) in means else value
    return values


def _skip_squashing(output: Tensor) -> None:
    """Let gradients pass a final squashing unchanged: those of the sum are then those of the sum before it."""
    node = output.grad_fn
    while node is not None and _kind(node) in _SHAPING:
        node = node.next_functions[0][0]
    if node is not None and _kind(node) in _SQUASHING:
        node.register_hook(lambda inward, outward: outward)


def _kind(node: object) -> str:
    return re.sub(r"Backward\d*$", "", type(node).__name__)


@contextmanager
def _constant_sigmas(component: nn.Module) -> Iterator[None]:
    """Spectral norms, of both PyTorch APIs, that divide by the sigma of the weights as they are."""
    patched: list[tuple[dict[str, object], str, object]] = []

    def patch(owner: object, name: str, value: object) -> None:
        patched.append((vars(owner), name, vars(owner).get(name)))
        vars(owner)[name] = value

    try:
        for layer in component.modules():
            for hook in layer._forward_pre_hooks.values():
                if isinstance(hook, SpectralNorm):
                    raw = getattr(layer, f"{hook.name}_orig")
                    scale = _scale(raw, hook.compute_weight(layer, do_power_iteration=False))
                    patch(hook, "compute_weight", partial(_multiplied, name=f"{hook.name}_orig", scale=scale))
                elif isinstance(hook, WeightNorm):
                    name = f"{hook.name}_v"
                    patch(hook, "compute_weight", partial(_multiplied, name=name, scale=_factors(layer, name)))
            for name, stack in getattr(layer, "parametrizations", {}).items():
                if name == "weight" and not all(isinstance(norm, _SpectralNorm) for norm in stack):
                    found = raw_weight(layer).name if isinstance(layer, PRUNABLE) else None
                    if found is not None:
                        own, scale = found.rpartition(".")[2], _factors(layer, found)
                        patch(stack, "forward", partial(_multiplied, stack, name=own, scale=scale))
                    continue
                for norm in stack:
                    if isinstance(norm, _SpectralNorm):
                        scale = _scale(stack.original, norm(stack.original))
                        patch(norm, "forward", partial(torch.mul, scale))
        yield
    finally:
        for attributes, name, before in reversed(patched):
            attributes.pop(name)
            if before is not None:
                attributes[name] = before


def _factors(layer: nn.Module, name: str) -> Tensor:
    """What each entry of a raw weight is multiplied by, without its sign; 0 for a zero."""
    raw, made = layer.get_parameter(name).detach(), effective_weight(layer, {})
    place = _place(layer)
    before, after = (tensor.to(place, torch.float64).abs() for tensor in (raw, made))
    return torch.where(before > 0, after / before, 0.0)


def _multiplied(holder: nn.Module, do_power_iteration: bool = False, *, name: str, scale: Tensor) -> Tensor:
    weight: Tensor = getattr(holder, name) * scale
    return weight


def _scale(raw: Tensor, effective: Tensor) -> Tensor:
    """What spectral norm multiplies a weight by, 1 / sigma; 1 for a weight of zeros."""
    before, after = (tensor.detach().cpu().double().norm() for tensor in (raw, effective))
    return torch.where(before > 0, after / before, 1.0)
