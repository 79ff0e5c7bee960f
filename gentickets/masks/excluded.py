"""Which parameters no mask covers, and why: sparsity is a share of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from gentickets.storage import memory_of

from .mask import PRUNABLE, component_of, left_out, plain_name, prunable_layers

BIASES = "biases are not pruned"
NORMS = "parameters of normalization layers are not pruned"
_LAYERS = "Linear, Conv and ConvTranspose"
_NORMS = ("BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm", "RMSNorm", "SyncBatchNorm")


def excluded(
    module: nn.Module, *, exempt: Iterable[str] = (), components: Iterable[str] | None = None
) -> dict[str, tuple[int, str]]:
    """Every parameter outside of `prunable` of the same arguments: name -> (how many numbers it holds, why it is out).

    One name for all that cover the same numbers, so that prunable and excluded parameters add up to all. Networks may
    be on the device ``meta``. Raises TicketError for a lazy layer that has seen no batch. An example::

        >>> excluded(nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)))
        {'0.weight': (40, 'Embedding is no layer of the kinds that are pruned (Linear, Conv and ConvTranspose)'),
         '1.bias': (2, 'biases are not pruned')}
    """
    exempt, components = list(exempt), None if components is None else list(components)
    able, refused = dict(prunable_layers(module).values()), left_out(module)
    out = {name: why for name in able if (why := _chosen(name, exempt, components))}
    told = {memory_of(weight) for name, weight in able.items() if name not in out}
    found: dict[str, tuple[int, str]] = {}
    for owner_name, owner in module.named_modules():
        for own, parameter in owner.named_parameters(recurse=False):
            name = plain_name(f"{owner_name}.{own}".lstrip("."))
            if (memory := memory_of(parameter)) not in told:
                told.add(memory)
                why = out.get(name) or refused.get(name) or _kind(owner_name, owner, own)
                found[name] = (parameter.numel(), why)
    return found


def by_reason(found: Mapping[str, tuple[int, str]]) -> list[dict[str, Any]]:
    """The same as rows for a table, ``{"why", "parameters", "names"}``, most parameters first."""
    rows: dict[str, dict[str, Any]] = {}
    for name, (count, why) in found.items():
        row = rows.setdefault(why, {"why": why, "parameters": 0, "names": []})
        row["parameters"] += count
        row["names"].append(name)
    return sorted(rows.values(), key=lambda row: -row["parameters"])


def _chosen(name: str, exempt: list[str], components: list[str] | None) -> str | None:
    """Why a weight that could be pruned is not, where the recipe says so."""
    if components is not None and component_of(name) not in components:
        return f"the component '{component_of(name)}' is not pruned (search.prune)"
    pattern = next((pattern for pattern in exempt if fnmatchcase(name, pattern)), None)
    return None if pattern is None else f"exempt by '{pattern}' (search.exempt)"


def _kind(owner_name: str, owner: nn.Module, own: str) -> str:
    """Why a parameter can be in no mask."""
    kind = type(owner).__name__
    if any(base.__name__.startswith(_NORMS) for base in type(owner).__mro__):
        return NORMS
    if own == "bias" or own.startswith("bias_") or own.endswith("_bias"):
        return BIASES
    if own.startswith("original") and ".parametrizations." in f".{owner_name}.":
        what = owner_name.rpartition("parametrizations.")[2]
        return BIASES if what == "bias" else f"it is a part of a parametrization of a layer's {what}, no weight"
    if isinstance(owner, PRUNABLE):
        return f"it is no weight of its {kind} layer: a scale, say, that the weight is multiplied by"
    if type(owner).__module__.startswith("torch.nn."):
        return f"{kind} is no layer of the kinds that are pruned ({_LAYERS})"
    return f"{kind} holds it itself, outside of the layers that are pruned ({_LAYERS})"
