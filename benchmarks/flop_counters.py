"""FLOPs by several counters against the pencil, and the 88 % of Kalibhat (2021), Table 2, counted again.

Forward and backward of single layers, of a DCGAN's players and of its whole training step. 1 multiply-add = 2 FLOPs:
what counts multiply-adds is doubled. torch-pruning comes with gentickets; thop, ptflops and fvcore are asked where they
are installed. Nothing is timed; it takes half a minute.

    python benchmarks/flop_counters.py
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod

import torch
import torch_pruning
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gentickets.accounting import Counter, forward_flops, layer_flops, step_flops, weights, width_at
from gentickets.masks import prunable_layers
from gentickets.tasks import GAN, Task

IMAGE, WIDTH, LATENT, BATCH = (3, 32, 32), 128, 32, 100
PAPER_WEIGHTS, PAPER_FLOPS = (5_651_584, 1_148_190), (1.12e16, 0.13e16)
"""Kalibhat (2021), Table 2: dense and early bird."""
NORMED_UP, NORMED_DOWN = 16 * 512 + 64 * 256 + 256 * 128, 64 * 256 + 16 * 512
"""Numbers that the norms of either player see, for an image, at width 128."""
Count = Callable[[nn.Module, Tensor], float]
"""(network, one image) -> forward FLOPs."""


@dataclass(frozen=True)
class Case:
    """Something to count on one image, and by hand its FLOPs forward and back to the weights and the input."""

    title: str
    network: nn.Module
    shape: tuple[int, ...]
    forward: float
    backward: float


def product(title: str, network: nn.Module, shape: tuple[int, ...], multiply_adds: float) -> Case:
    """A layer of products: backward is twice the forward."""
    return Case(title, network, shape, 2 * multiply_adds, 2 * 2 * multiply_adds)


def dcgan(width: int) -> Task:
    """DCGAN at 32x32."""
    return GAN(IMAGE, network="conv", width=width, latent=LATENT)


def by_hand(width: int) -> tuple[dict[str, float], dict[str, float]]:
    """DCGAN's multiply-adds by layer: the generator's on its input grids, the discriminator's on its output grids."""
    h = width
    inner = {"4h, 2h": 16 * 4 * h * 2 * h * 16, "2h, h": 64 * 2 * h * h * 16, "h, image": 256 * h * 3 * 16}
    return {"latent, 4h": LATENT * 4 * h * 16, **inner}, {**inner, "4h, 1": 4 * h * 16}


def cases() -> list[Case]:
    """Layers of a DCGAN, a grouped convolution among them, and its players."""
    task, (up, down) = dcgan(WIDTH).train(), by_hand(WIDTH)
    norm = nn.BatchNorm2d(128)
    wide, first = nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.ConvTranspose2d(32, 512, 4, bias=False)
    grouped = nn.Conv2d(128, 256, 4, 2, 1, groups=4, bias=False)
    up_layer = nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False)
    of_g, of_d = sum(up.values()), sum(down.values())
    forward_d, backward_d = 2 * of_d + 2 * NORMED_DOWN, 4 * of_d + 7 * NORMED_DOWN
    return [
        product("Conv2d 128-256, 4x4, stride 2, on 16x16", wide, (128, 16, 16), 64 * 128 * 256 * 16),
        product("the same in 4 groups", grouped, (128, 16, 16), 64 * 32 * 256 * 16),
        product("ConvTranspose2d 256-128, 4x4, stride 2, on 8x8", up_layer, (256, 8, 8), 64 * 256 * 128 * 16),
        product("ConvTranspose2d 32-512, 1x1 to 4x4", first, (32, 1, 1), 32 * 512 * 16),
        product("Linear 512-512", nn.Linear(512, 512, bias=False), (512,), 512 * 512),
        Case("BatchNorm2d 128, on 16x16", norm, (128, 16, 16), 2 * 128 * 256, 7 * 128 * 256),
        Case("DCGAN's generator", task.generator, (LATENT,), 2 * of_g + 2 * NORMED_UP, 4 * of_g + 7 * NORMED_UP),
        Case("DCGAN's discriminator", task.discriminator, IMAGE, forward_d, backward_d),
    ]


# -- counters -------------------------------------------------------------------------------------------------


def ours(network: nn.Module, x: Tensor) -> float:
    """gentickets' own."""
    with Counter() as counter, torch.no_grad():
        network(x)
    return counter.total


def pytorchs(network: nn.Module, x: Tensor) -> float:
    """`torch.utils.flop_counter`."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops()


def torch_prunings(network: nn.Module, x: Tensor) -> float:
    """torch-pruning's, which counts multiply-adds."""
    operations, _ = torch_pruning.utils.count_ops_and_params(network, x)
    return 2.0 * operations


def thops(network: nn.Module, x: Tensor) -> float:
    """thop's, which counts multiply-adds."""
    from thop import profile

    return 2.0 * profile(deepcopy(network), (x,), verbose=False)[0]


def ptflopses(network: nn.Module, x: Tensor) -> float:
    """ptflops's, which counts multiply-adds."""
    from ptflops import get_model_complexity_info

    with contextlib.redirect_stdout(io.StringIO()):
        found = get_model_complexity_info(
            nn.Sequential(deepcopy(network)), tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False,
            backend="pytorch",
        )  # fmt: skip
    return 2.0 * (found[0] or 0.0)


def fvcores(network: nn.Module, x: Tensor) -> float:
    """fvcore's, which counts multiply-adds."""
    from fvcore.nn import FlopCountAnalysis

    return 2.0 * FlopCountAnalysis(network, x).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


COUNTERS: dict[str, Count] = {"gentickets": ours, "PyTorch": pytorchs, "torch-pruning": torch_prunings}
OTHERS: dict[str, Count] = {"thop": thops, "ptflops": ptflopses, "fvcore": fvcores}


def backward(counter: Counter | FlopCounterMode, network: nn.Module, x: Tensor) -> float:
    """Back to the weights and the input, in training mode."""
    x = x.clone().requires_grad_()
    y = network.train()(torch.cat([x, x]))  # batch norms over 1x1 maps need two
    with counter:
        y.sum().backward()
    return (counter.total if isinstance(counter, Counter) else counter.get_total_flops()) / 2


# -- tables ---------------------------------------------------------------------------------------------------


def cell(flops: float, pencil: float) -> str:
    """Mega-FLOPs, and how many times the pencil's."""
    times = flops / pencil
    shown = "" if times == 1 else f" ({times:.3f} x)" if 0.9 < times < 1.1 else f" (**{times:.2f} x**)"
    return f"{flops / 1e6:.3f}{shown}"


def row(*cells: str) -> None:
    """A line of a table in markdown."""
    print("| " + " | ".join(cells) + " |")


def head(*cells: str) -> None:
    """Its first two lines."""
    row(*cells)
    print("|---" * len(cells) + "|")


def forward_table(counters: dict[str, Count]) -> None:
    """Forward, in evaluation mode."""
    head("forward, MFLOPs an image", "pencil", *counters)
    for case in cases():
        network, x = case.network.eval(), torch.zeros(1, *case.shape)
        found = [cell(count(network, x), case.forward) for count in counters.values()]
        row(case.title, f"{case.forward / 1e6:.3f}", *found)


def backward_table() -> None:
    """Backward, in training mode, and a whole training step."""
    head("backward, MFLOPs an image", "pencil", "gentickets", "PyTorch")
    for case in cases():
        found = []
        for counter in (Counter(), FlopCounterMode(display=False)):
            case.network.zero_grad()
            found.append(cell(backward(counter, case.network, torch.zeros(1, *case.shape)), case.backward))
        row(case.title, f"{case.backward / 1e6:.3f}", *found)
    turns = step_flops(dcgan(WIDTH), BATCH).turns
    for name, pencil in turns_by_hand().items():
        row(f"DCGAN's step, {name}'s turn", f"{pencil / 1e6:.3f}", cell(turns[name] / BATCH, pencil), "")


def turns_by_hand() -> dict[str, float]:
    """A DCGAN's step: D on real and fake, G through D; the images and the latents want no gradients."""
    up, down = by_hand(WIDTH)
    g, d = sum(up.values()), sum(down.values())
    return {
        "discriminator": 2 * (g + 2 * (3 * d - down["h, image"])) + 5 * NORMED_UP + 2 * (5 + 7) * NORMED_DOWN,
        "generator": 2 * (d + d + 2 * g - up["latent, 4h"]) + (5 + 7) * NORMED_DOWN + 7 * NORMED_UP,
    }


def on_output_grids(task: Task) -> dict[str, float]:
    """How many times too high each weight's work is counted where transposed convolutions run on their outputs."""
    times: dict[str, float] = {}
    names = {id(task.get_submodule(path)): name for path, (name, _) in prunable_layers(task).items()}

    def look(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        if isinstance(layer, nn.ConvTranspose2d):
            times[names[id(layer)]] = prod(out.shape[2:]) / prod(given[0].shape[2:])

    hooks = [layer.register_forward_hook(look) for layer in task.modules() if id(layer) in names]
    layer_flops(task)
    for hook in hooks:
        hook.remove()
    return times


def both_ways(task: Task) -> dict[str, float]:
    """FLOPs an image, exactly and too high."""
    times, step, forward = on_output_grids(task), step_flops(task, BATCH), forward_flops(task)
    return {
        "forward, exact": forward.dense,
        "forward, transposed on output grids": sum(row.dense * times.get(row.layer, 1.0) for row in forward.rows),
        "training step, exact": step.per_image,
        "training step, transposed on output grids": sum(
            flops * times.get(name, 1.0) / BATCH for name, flops in step.layers.items()
        ),
    }


def of_step(task: Task) -> float:
    """Of a whole training step."""
    return step_flops(task, BATCH).total


def paper_table() -> None:
    """What a compact DCGAN of the paper's share of weights saves, with the same share of channels everywhere."""
    dense, share = dcgan(WIDTH), PAPER_WEIGHTS[1] / PAPER_WEIGHTS[0]
    claimed = PAPER_FLOPS[1] / PAPER_FLOPS[0]
    by_weights = width_at(dcgan, WIDTH, share * weights(dense), measure=weights)
    by_flops = width_at(dcgan, WIDTH, claimed * of_step(dense), measure=of_step)
    print(f"Table 2 has {share:.1%} of the weights and {1 - claimed:.1%} fewer FLOPs.")
    narrow = {width: dcgan(width) for width in (by_weights, by_flops)}
    of = {width: weights(task) / weights(dense) for width, task in narrow.items()}
    head("MFLOPs an image", "dense", *(f"width {w}, {of[w]:.1%} of the weights" for w in narrow))
    whole = both_ways(dense)
    counted = {width: both_ways(task) for width, task in narrow.items()}
    for way, flops in whole.items():
        found = [f"{counted[w][way] / 1e6:.1f} (-{1 - counted[w][way] / flops:.1%})" for w in narrow]
        row(way, f"{flops / 1e6:.1f}", *found)


def main() -> None:
    """Print all tables."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    installed = {name: count for name, count in OTHERS.items() if find_spec(name) is not None}
    with contextlib.redirect_stderr(io.StringIO()):
        forward_table({**COUNTERS, **installed})
    print()
    backward_table()
    print()
    paper_table()


if __name__ == "__main__":
    main()
