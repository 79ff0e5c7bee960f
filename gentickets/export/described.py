"""Described: networks as data, layer by layer, from which `gentickets.export.rebuild` builds them again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError
from gentickets.export.parts import BATCH, RECONSTRUCTOR, SAMPLER, Part
from gentickets.export.rebuild import FORMAT, LAYERS, assemble
from gentickets.tasks import GAN, GDA, VAE, Autoencoder, Task
from gentickets.tasks.networks.layers import Mean, Residual, View
from gentickets.untouched import looking_only

CLOSE = 1e-6
"""How far a rebuilt network may be from the original, absolute and relative."""
Node = dict[str, Any]


def described(module: nn.Module, where: str) -> Node:
    """A module of known layers as data that JSON can hold; ``where`` is its name, for errors.

    Raises TicketError (status 1) for a layer that the reader does not know.
    """
    kind = type(module)
    if module._forward_hooks or module._forward_pre_hooks:
        raise TicketError(f"'{where}' has hooks, which no file can hold; use --format onnx", Status.FAILED)
    if kind in (nn.Sequential, Residual):
        parts = [{"name": name, **described(part, f"{where}.{name}")} for name, part in module._modules.items() if part]
        return {"kind": kind.__name__, "parts": parts}
    if isinstance(module, View):
        return {"kind": "View", "options": {"shape": list(module.shape)}}
    if isinstance(module, Mean):
        return {"kind": "Mean"}
    if getattr(nn, kind.__name__, None) is not kind or kind.__name__ not in LAYERS:
        what = f"'{where}' is a {kind.__name__}, which the reader of exported files does not know"
        raise TicketError(
            f"{what}: it knows torch.nn's common layers in nn.Sequential; use --format onnx", Status.FAILED
        )
    options = {name: _option(module, name, where) for name in LAYERS[kind.__name__].split()}
    return {"kind": kind.__name__, "options": options} if options else {"kind": kind.__name__}


def chains_of(task: Task) -> dict[str, list[Node]]:
    """The built-in families' ways to sample and to reconstruct, as networks and layers one after the other."""
    squash = {"kind": "Logistic" if getattr(task, "likelihood", "") == "bernoulli" else "Tanh"}
    encoder, decoder, generator = ({"network": name} for name in ("encoder", "decoder", "generator"))
    known: dict[object, list[Node]] = {
        Autoencoder.reconstruct: [encoder, decoder],
        VAE.sample: [decoder, squash],
        VAE.reconstruct: [encoder, {"kind": "FirstHalf"}, decoder, squash],
        GAN.sample: [generator],
        GDA.sample: [generator, {"kind": "Hardtanh", "options": {"min_val": -1.0, "max_val": 1.0}}],
    }
    ways = {SAMPLER: type(task).sample, RECONSTRUCTOR: type(task).reconstruct}
    return {name: known[way] for name, way in ways.items() if way in known}


@looking_only
def as_safetensors(
    task: Task, parts: Mapping[str, Part], about: Mapping[str, Any], component: str | None = None
) -> tuple[bytes, bytes, dict[str, str]]:
    """A safetensors file and its description in JSON, and which parts are left out, with the reason.

    ``task`` is plain (see `gentickets.export.plain`); ``component`` asks for it alone. What the two files give is
    rebuilt once and compared with the parts to 1e-6.

    Raises TicketError (status 1) for a layer that the reader does not know.
    """
    wanted = task.components if component is None else [component]
    networks = {name: described(task.get_submodule(name), name) for name in wanted}
    chains = chains_of(task) if component is None else {}
    state = {name: value.clone().contiguous() for name, value in task.state_dict().items()}
    if component is not None:
        state = {name: value for name, value in state.items() if name.startswith(f"{component}.")}
    untold = "it cannot be told layer by layer; use --format onnx"
    left_out = {name: untold for name in parts if name not in wanted and name not in chains}
    try:
        rebuilt_all = assemble({"networks": networks, "chains": chains}, state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise TicketError(
            f"what the layers say does not build them again: {why}; use --format onnx", Status.FAILED
        ) from error
    for name, rebuilt in rebuilt_all.items():
        if not _same(parts[name], rebuilt):
            if name in networks:
                raise TicketError(f"'{name}' does more than its layers do; use --format onnx", Status.FAILED)
            left_out[name] = "it does more than its layers do; use --format onnx"
            del chains[name]
    data = safetensors.torch.save(state)
    told = {
        "format": FORMAT, **about, "sha256": hashlib.sha256(data).hexdigest(),
        "tensors": {name: parts[name].told() for name in (*networks, *chains)},
        "networks": networks, "chains": chains,
    }  # fmt: skip
    return data, (json.dumps(told, indent=1, allow_nan=False) + "\n").encode(), left_out if component is None else {}


def reader() -> bytes:
    """The source text of `gentickets.export.rebuild`, to lie beside the files."""
    return files("gentickets.export").joinpath("rebuild.py").read_bytes()


@torch.no_grad()
def _same(part: Part, rebuilt: nn.Module) -> bool:
    inputs = part.examples(BATCH)
    if len(inputs) != 1:
        return False
    given: Tensor = rebuilt(*inputs)
    return torch.allclose(given, part.result(inputs), rtol=CLOSE, atol=CLOSE, equal_nan=True)


def _option(layer: nn.Module, name: str, where: str) -> Any:
    value = getattr(layer, name)
    plain = value is not None if name == "bias" else _listed(value)
    json_kinds = (bool, int, float, str, type(None), list)
    if not isinstance(plain, json_kinds) or (isinstance(plain, float) and not math.isfinite(plain)):
        what = f"'{where}' has {name} = {value!r}, which no description can hold"
        raise TicketError(f"{what}; use --format onnx", Status.FAILED)
    return plain


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value
