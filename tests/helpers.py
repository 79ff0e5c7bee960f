"""What many tests write alike: tiny tasks of every family, commands as they are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner
from click.testing import Result as Ran
from gentickets_cli.main import cli

from gentickets.experiment.options import Options
from gentickets.optimizers import Schedule
from gentickets.recipe import read_recipe
from gentickets.seeds import derive
from gentickets.tasks import FAMILIES, Autoencoder, Optim, Task
from gentickets.training import Plan, Training

HOUSE = Path(__file__).parents[1]
HERE = Options(jobs=0, device="cpu")
"""A run without worker processes."""
PROGRAM = [sys.executable, "-m", "gentickets_cli"]
STEPS = 10
REWIND = 3
SIZES: dict[str, dict[str, int]] = {
    "mlp": {"width": 12, "depth": 2, "latent": 4},
    "linear": {"width": 64, "latent": 3},
    "maxpool": {"width": 4},
    "resnet18": {"width": 3, "latent": 4},
    "resnet": {"width": 8, "latent": 4},
}
FAMILY_CASES: dict[str, dict[str, object]] = {
    "ae-mlp": {"family": "ae", "network": "mlp"},
    "ae-conv": {"family": "ae", "network": "conv"},
    "vae-mlp": {"family": "vae", "network": "mlp", "likelihood": "bernoulli"},
    "vae-conv": {"family": "vae", "network": "conv", "beta": 2.0},
    "gan-mlp": {"family": "gan", "network": "mlp", "loss": "hinge", "critic_steps": 2},
    "gan-conv": {"family": "gan", "network": "conv"},
    "tied-mlp": {"family": "tied", "network": "mlp"},
    "wgan-mlp": {"family": "gan", "network": "mlp", "loss": "wasserstein", "critic_steps": 3, "clip": 0.1},
    "ae-linear": {"family": "ae", "network": "linear"},
    "ae-maxpool": {"family": "ae", "network": "maxpool"},
    "vae-resnet18": {"family": "vae", "network": "resnet18"},
    "gan-sngan": {"family": "gan", "network": "sngan", "loss": "hinge", "critic_steps": 2},
    "wgan-gp-resnet": {"family": "gan", "network": "resnet", "loss": "wasserstein-gp", "critic_steps": 2},
    "wgan-gp-conv": {"family": "gan", "network": "conv", "loss": "wasserstein-gp", "critic_width": 6},
    "gan-conv-all": {"family": "gan", "network": "conv", "norm": "batch-all", "slope": 0.0},
}
"""Every family that the promises are made for; a new one joins by being listed."""
OTHER_CASES: dict[str, dict[str, object]] = {"gda": {"family": "gda", "width": 12, "latent": 4}}
"""Families that not every criterion can score: descent-ascent is no descent on one loss, so GraSP has no Hessian."""


class Tied(Autoencoder):
    """An autoencoder whose middle layers share one weight."""

    def __init__(self, image: tuple[int, int, int], width: int, **keywords: object) -> None:
        super().__init__(image, width=width, **keywords)
        self.decoder[2].weight = self.encoder[3].weight


def make_task(case: str, seed: int = 0, **changes: object) -> Task:
    """A tiny task of one of the family cases."""
    keywords = dict({**FAMILY_CASES, **OTHER_CASES}[case])
    family = str(keywords.pop("family"))
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(seed, "init"))
        return {**FAMILIES, "tied": Tied}[family](
            (1, 8, 8), **{**SIZES.get(str(keywords.get("network")), {"width": 4, "latent": 4}), **keywords, **changes}
        )


def make_training(case: str, seed: int = 0, *, optimizer: str = "adam", steps: int = STEPS, **plan: object) -> Training:
    """A tiny task ready to train."""
    settings = {"adam": {"lr": 1e-3}, "adamw": {"lr": 1e-3, "weight_decay": 0.01}}
    others = {"sgd": {"lr": 1e-3, "momentum": 0.9}, "rmsprop": {"lr": 1e-4, "momentum": 0.5}}
    optim = Optim(optimizer, **{**settings, **others}[optimizer])
    return Training(make_task(case, seed), Plan(optim, Schedule("cosine", steps, 2), **plan))


def in_terminal(columns: int, *args: str, program: Sequence[str] = PROGRAM, **variables: str) -> str:
    """What a command (or another program) prints on a terminal of that width."""
    import fcntl
    import pty
    import struct
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", **variables}
    with subprocess.Popen([*program, *args], stdin=child, stdout=child, stderr=child, env=env) as process:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 65536):
                shown += part
        except OSError:  # the terminal is gone: the command has ended
            pass
    os.close(parent)
    assert process.returncode == 0
    return shown.decode()


def call(*arguments: object) -> Ran:
    """What a command of `gentickets` prints and ends with, run in this process."""
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for recipes of made-up runs: plain values, as `run.json` has them, become a Recipe."""

    def read(*given: Any, **named: Any) -> Any:
        return function(*(read_recipe(one) if isinstance(one, Mapping) else one for one in given), **named)

    return read
