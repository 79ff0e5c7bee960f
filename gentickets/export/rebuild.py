"""Networks from the .json and .safetensors files of `gentickets export`, by PyTorch and safetensors alone.

    import torch, rebuild
    networks = rebuild.load("networks.json")
    images = networks["sampler"](torch.randn(16, 32))  # latents in, images in [-1, 1] out

They come in evaluation mode, on the CPU, without gradients; the .json says what each takes and gives. Both files are
data and nothing in them is run: layers come from the lists below, with numbers and words as their options, and take no
more memory than the tensors in the file. This file is a part of gentickets (MIT License) and needs nothing else of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as read_tensors
from torch import Tensor, nn

FORMAT = 1
Node = Mapping[str, Any]
"""``kind``, ``options`` of a layer, ``parts`` of a container (each with its ``name``)."""


class View(nn.Module):
    """Each sample in another shape: (n, ...) to (n, *shape). A size of -1 follows from the others."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to (n, *shape)."""
        return torch.unflatten(x.flatten(1), 1, self.shape)


class Mean(nn.Module):
    """The mean over each channel: (n, c, h, w) to (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c)."""
        return x.mean((2, 3))


class Residual(nn.Module):
    """Two ways whose results are added, and what comes after the sum."""

    def __init__(self, main: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut, self.after = main, shortcut, after

    def forward(self, x: Tensor) -> Tensor:
        """Both ways, their sum, and what comes after it."""
        y: Tensor = self.after(self.main(x) + self.shortcut(x))
        return y


class FirstHalf(nn.Module):
    """The first half of the numbers: means without the logarithms of variances behind them."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2 k) to (n, k)."""
        return x.chunk(2, dim=1)[0]


class Logistic(nn.Module):
    """Logits to pixels in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """2 sigmoid(x) - 1."""
        return 2 * torch.sigmoid(x) - 1


_CONV = "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode"
_NORM = "num_features eps momentum affine track_running_stats"
LAYERS: dict[str, str] = {
    "Linear": "in_features out_features bias",
    **{f"Conv{d}d": _CONV for d in (1, 2, 3)},
    **{f"ConvTranspose{d}d": f"{_CONV} output_padding" for d in (1, 2, 3)},
    **{f"{norm}{d}d": _NORM for norm in ("BatchNorm", "InstanceNorm") for d in (1, 2, 3)},
    "GroupNorm": "num_groups num_channels eps affine",
    "LayerNorm": "normalized_shape eps elementwise_affine bias",
    "ReLU": "", "ReLU6": "", "LeakyReLU": "negative_slope", "PReLU": "num_parameters", "ELU": "alpha", "SELU": "",
    "CELU": "alpha", "GELU": "approximate", "SiLU": "", "Mish": "", "Softplus": "beta threshold", "Softsign": "",
    "Tanh": "", "Sigmoid": "", "LogSigmoid": "", "Hardtanh": "min_val max_val", "Hardswish": "", "Hardsigmoid": "",
    "Softmax": "dim", "LogSoftmax": "dim", "GLU": "dim",
    "Identity": "", "Flatten": "start_dim end_dim", "Unflatten": "dim unflattened_size",
    **{f"MaxPool{d}d": "kernel_size stride padding dilation ceil_mode" for d in (1, 2, 3)},
    **{f"AvgPool{d}d": "kernel_size stride padding ceil_mode count_include_pad" for d in (1, 2, 3)},
    **{f"Adaptive{pool}Pool{d}d": "output_size" for pool in ("Avg", "Max") for d in (1, 2, 3)},
    "Upsample": "size scale_factor mode align_corners",
    "PixelShuffle": "upscale_factor", "PixelUnshuffle": "downscale_factor",
    **{f"{pad}Pad2d": "padding" for pad in ("Zero", "Reflection", "Replication", "Circular")},
    "Dropout": "p", "Dropout1d": "p", "Dropout2d": "p", "Dropout3d": "p", "AlphaDropout": "p",
}  # fmt: skip
"""Layer of torch.nn -> the options that it may be given."""
OWN: dict[str, tuple[Callable[..., nn.Module], str]] = {
    "View": (View, "shape"),
    "Mean": (Mean, ""),
    "FirstHalf": (FirstHalf, ""),
    "Logistic": (Logistic, ""),
}
"""Layer of this file -> how it is made, and the options that it may be given."""


def load(path: str | Path) -> dict[str, nn.Module]:
    """The networks that a .json file describes, by name, with the tensors of the .safetensors file beside it.

    Raises ValueError where the two do not belong together, are damaged, or hold what this file does not know.
    """
    path = Path(path)
    told, data = json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".safetensors").read_bytes()
    if not isinstance(told, dict) or not isinstance(told.get("format"), int) or told["format"] > FORMAT:
        raise ValueError(f"{path} is no description of networks in format {FORMAT} or below")
    if hashlib.sha256(data).hexdigest() != told.get("sha256"):
        raise ValueError(f"{path.with_suffix('.safetensors')} is damaged, or is not the one that {path} describes")
    try:
        return assemble(told, read_tensors(data))
    except (AttributeError, KeyError, RecursionError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} is no sound description of networks: {error}") from error


def assemble(told: Node, tensors: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """The networks of a description: each with its tensors, and the chains of several."""
    found: dict[str, nn.Module] = {}
    for name, node in told["networks"].items():
        with torch.device("meta"):  # shapes alone: the memory is that of the tensors in the file
            network = build(node)
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        network.load_state_dict(own, strict=True, assign=True)
        found[name] = network
    for name, links in told["chains"].items():
        found[name] = nn.Sequential(*(found[link["network"]] if "network" in link else build(link) for link in links))
    return {name: network.eval().requires_grad_(False) for name, network in found.items()}


def build(node: Node) -> nn.Module:
    """A layer, or a container of layers, without its tensors."""
    kind, options = node["kind"], node.get("options", {})
    if kind in ("Sequential", "Residual"):
        parts = OrderedDict((part["name"], build(part)) for part in node["parts"])
        return nn.Sequential(parts) if kind == "Sequential" else Residual(**parts)
    if kind not in OWN and kind not in LAYERS:
        raise ValueError(f"unknown layer '{kind}'")
    make, known = OWN[kind] if kind in OWN else (getattr(nn, kind), LAYERS[kind])
    if unknown := set(options) - set(known.split()):
        raise ValueError(f"layer '{kind}' has no option '{min(unknown)}' here")
    return make(**{name: _value(value) for name, value in options.items()})


def _value(value: Any) -> Any:
    """An option's value: a number, a word, nothing, or a row of them."""
    if isinstance(value, list):
        return tuple(_value(one) for one in value)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(f"an option cannot be {value!r}")
    return value
