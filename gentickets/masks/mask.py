"""Mask: which weights are kept, and the set of weights that may be pruned at all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import chain

import torch
from torch import Tensor, nn

from gentickets.effective import raw_weight
from gentickets.errors import Status, TicketError, nearest
from gentickets.storage import LAZY, lazy_in, memory_of, overlapping, repeats
from gentickets.table import Table

PRUNABLE = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Mask(Mapping[str, Tensor]):
    """Parameter name -> bool tensor of the parameter's shape, True where the weight is kept. Immutable by habit."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.dtype != torch.bool:
                raise TicketError(f"mask of '{name}' holds {tensor.dtype}, not bool")
        self._tensors = dict(tensors)
        self._kept: dict[str, int] | None = None

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Mask({len(self)} tensors, {self.kept:,} of {self.total:,} weights kept)"

    def _repr_html_(self) -> str:
        rows = [
            [name, "x".join(map(str, kept.shape)), f"{self.kept_in(name):,}", f"{kept.numel():,}"]
            for name, kept in self.items()
        ]
        return Table(["tensor", "shape", "kept", "of"], rows, title=repr(self))._repr_html_()

    def kept_in(self, name: str) -> int:
        """How many weights of one tensor are kept (counted once, then remembered)."""
        if self._kept is None:
            self._kept = {n: int(torch.count_nonzero(t)) for n, t in self._tensors.items()}
        return self._kept[name]

    @property
    def kept(self) -> int:
        """Kept weights."""
        return sum(self.kept_in(name) for name in self)

    @property
    def total(self) -> int:
        """Prunable weights, kept or not."""
        return sum(tensor.numel() for tensor in self.values())

    @property
    def density(self) -> float:
        """Kept fraction of the prunable weights; 1.0 for an empty set."""
        return self.kept / self.total if self.total else 1.0

    @property
    def densities(self) -> dict[str, float]:
        """Kept fraction of each tensor."""
        return {name: self.kept_in(name) / max(1, tensor.numel()) for name, tensor in self.items()}

    @property
    def components(self) -> list[str]:
        """First segments of the names, in order of appearance."""
        return list(dict.fromkeys(component_of(name) for name in self))

    @property
    def emptied(self) -> list[str]:
        """Tensors with nothing left (Trap: density alone does not show them)."""
        return [name for name, tensor in self.items() if tensor.numel() and not self.kept_in(name)]

    def of(self, component: str) -> Mask:
        """The part of the mask that lies in one component."""
        if component not in self.components:
            raise TicketError(f"the mask has no component '{component}'. {nearest(component, self.components)}")
        return Mask({name: tensor for name, tensor in self.items() if component_of(name) == component})

    def distance(self, other: Mapping[str, Tensor]) -> float:
        """Normalized Hamming distance in [0, 1]: the fraction of entries on which two masks differ."""
        self.require_same_names(other, "the other mask")
        differing = sum(int((tensor != other[name].to(tensor.device)).sum()) for name, tensor in self.items())
        return differing / self.total if self.total else 0.0

    def to(self, device: torch.device | str) -> Mask:
        """The same mask on a device."""
        return Mask({name: tensor.to(device) for name, tensor in self.items()})

    def require_same_names(self, other: Mapping[str, Tensor], what: str) -> None:
        """Raise unless ``other`` has exactly this mask's names and shapes."""
        for name in self:
            if name not in other:
                raise TicketError(f"{what} has no tensor '{name}'. {nearest(name, other)}", Status.TICKET)
            if other[name].shape != self[name].shape:
                theirs, ours = tuple(other[name].shape), tuple(self[name].shape)
                raise TicketError(f"{what} has '{name}' with shape {theirs}, not {ours}", Status.TICKET)
        for name in other:
            if name not in self:
                raise TicketError(f"{what} has '{name}', which is unknown here. {nearest(name, self)}", Status.TICKET)


def component_of(name: str) -> str:
    """The component of a parameter: the first segment of its name."""
    return name.split(".", 1)[0]


def plain_name(name: str) -> str:
    """A parameter's name without the prefixes of DataParallel and torch.compile, stripped once each."""
    return name.removeprefix("_orig_mod.").removeprefix("module.").removeprefix("_orig_mod.")


def prunable(
    module: nn.Module, *, exempt: Iterable[str] = (), components: Iterable[str] | None = None
) -> dict[str, nn.Parameter]:
    """The prunable set: weights of Linear, Conv and ConvTranspose layers, by name, one name per storage.

    Biases, norm parameters and buffers are never in it. ``exempt`` lists names or shell patterns to leave out
    (``"decoder.out.weight"``, ``"*.out.*"``); ``components`` limits the set to some components. Under spectral
    norm the raw tensor stands for the weight, under weight norm the direction v, in both PyTorch APIs; layers whose
    weight no raw tensor can make zero are left out (see `left_out`). A pattern that matches nothing is an error, and so
    are weights without numbers: those of a lazy layer that has seen no batch, or on PyTorch's ``meta`` device.
    """
    found: dict[str, nn.Parameter] = {}
    for layer in prunable_layers(module).values():
        found.setdefault(*layer)
    if empty := next((name for name, weight in found.items() if weight.is_meta), None):
        raise TicketError(f"'{empty}' is on the meta device and has no numbers: load the network's weights first")
    if components is not None:
        found = _only(found, list(components), left_out(module))
    if not found and (refused := left_out(module)):
        name, why = next(iter(refused.items()))
        raise TicketError(f"nothing is left to prune: '{name}' cannot be, since {why}")
    return _without(found, list(exempt))


def prunable_layers(module: nn.Module) -> dict[str, tuple[str, nn.Parameter]]:
    """Every layer with a prunable weight, by module name: the weight's one name in the prunable set, and the weight.

    Layers whose weights cover the same numbers (see `storage.memory_of`) share a name, the first one's (Trap 6).
    """
    require_initialized(module)
    layers: dict[str, tuple[str, nn.Parameter]] = {}
    named: dict[Hashable, str] = {}
    for module_name, layer in module.named_modules():
        if not isinstance(layer, PRUNABLE):
            continue
        weight_name = raw_weight(layer).name
        if weight_name is None:
            continue
        weight = layer.get_parameter(weight_name)
        name = named.setdefault(memory_of(weight), plain_name(f"{module_name}.{weight_name}".lstrip(".")))
        layers[module_name] = (name, weight)
    return layers


def left_out(module: nn.Module) -> dict[str, str]:
    """Parameters of linear and convolutional layers that cannot be pruned, by name, and why not.

    A zero of such a parameter is no zero of the layer's weight: under an orthogonal parametrization, or one that
    subtracts a mean, pruning it would change the weight and remove nothing. `prunable` leaves these layers out.
    """
    found: dict[str, str] = {}
    for path, layer in module.named_modules():
        if isinstance(layer, PRUNABLE) and (raw := raw_weight(layer)).name is None:
            names = [name for name, _ in layer.named_parameters() if name.rpartition(".")[2] != "bias"]
            found |= {plain_name(f"{path}.{name}".lstrip(".")): raw.reason for name in names}
    return found


def full_mask(module: nn.Module, *, exempt: Iterable[str] = (), components: Iterable[str] | None = None) -> Mask:
    """The mask of the dense network: every weight of the prunable set is kept (see `prunable`, `require_maskable`)."""
    weights = prunable(module, exempt=exempt, components=components)
    require_maskable(module, weights)
    return Mask({name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()})


def require_initialized(module: nn.Module) -> None:
    """Raise TicketError where a lazy layer has not seen a batch yet, so that its tensors have no shape."""
    if (lazy := lazy_in(module)) is not None:
        raise TicketError(f"'{lazy}' {LAZY}")


def require_maskable(module: nn.Module, names: Iterable[str]) -> None:
    """Raise TicketError for a weight that shares some of its numbers with another tensor, or repeats its own.

    Whole ties are no hindrance: they have one mask. But what is pruned of a part would come back by the other tensor.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in chain(
        module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)
    ):
        tensors[plain_name(name)] = tensor
    masked = [name for name in names if name in tensors]
    for name in masked:
        if repeats(tensors[name]):
            message = f"'{name}' holds the same numbers in several places (it was expanded), so that no mask fits it"
            raise TicketError(f"{message}: make it a parameter of its own by .clone(), or exempt it", Status.FAILED)
    for one, other in overlapping(tensors):
        if one in masked or other in masked:
            one, other = (one, other) if one in masked else (other, one)
            message = f"'{one}' shares a part of its numbers with '{other}', by which pruned ones would come back"
            raise TicketError(f"{message}: give it memory of its own by .clone(), or exempt it", Status.FAILED)


def _only(
    weights: dict[str, nn.Parameter], components: list[str], refused: Mapping[str, str]
) -> dict[str, nn.Parameter]:
    known = {component_of(name) for name in weights}
    for component in components:
        if component not in known:
            for name, why in refused.items():
                if component_of(name) == component:
                    raise TicketError(f"nothing of '{component}' can be pruned: '{name}' cannot be, since {why}")
            raise TicketError(f"no component '{component}' with prunable weights. {nearest(component, known)}")
    return {name: weight for name, weight in weights.items() if component_of(name) in components}


def _without(weights: dict[str, nn.Parameter], patterns: list[str]) -> dict[str, nn.Parameter]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in weights):
            raise TicketError(f"exempt pattern '{pattern}' matches no prunable weight. {nearest(pattern, weights)}")
    kept = {n: w for n, w in weights.items() if not any(fnmatchcase(n, pattern) for pattern in patterns)}
    if not kept:
        raise TicketError("nothing is left to prune: the network has no prunable weights, or all are exempt")
    return kept
