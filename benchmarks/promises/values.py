"""NaN, infinities and spikes at a known step: the run diverges at that step, and stores nothing that is not finite."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from promises import broken
from promises.commands import forked
from promises.part import Part, World

PLUGIN = '''
"""An autoencoder that is hit at one step: in its loss, a gradient, a weight, a buffer."""
import torch
from torch import nn
from gentickets import Objective, Task


class Hit(Task):
    def __init__(self, image, what, step, width=16):
        super().__init__()
        self.image, n = image, image[0] * image[1] * image[2]
        self.what, self.step = what, step
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(n, width), nn.BatchNorm1d(width), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(width, n), nn.Unflatten(1, image))
        self.decoder.register_buffer("taken", torch.zeros((), dtype=torch.long))  # is rewound and restored like weights

    def objectives(self):
        return [Objective("error", self.loss, ("encoder", "decoder"), after_step=self.after)]

    def loss(self, batch, draw):
        value = (self.decoder(self.encoder(batch)) - batch).square().mean()
        factors = {"nan loss": float("nan"), "inf loss": float("inf"), "-inf loss": float("-inf"), "spike": 1e30}
        if self.training and int(self.decoder.taken) + 1 == self.step:
            return value * factors.get(self.what, 1.0)
        return value

    def after(self):
        self.decoder.taken += 1
        if int(self.decoder.taken) == self.step and self.what == "nan weight":
            with torch.no_grad():
                self.decoder[0].weight[0, 0] = float("nan")
        if int(self.decoder.taken) == self.step and self.what == "inf buffer":
            self.encoder[2].running_var[0] = float("inf")

    def figures(self, batch, draw):
        return {"error": (self.decoder(self.encoder(batch)) - batch).square().flatten(1).mean(1)}

    def inputs(self, batch):
        return {"encoder": (batch,), "decoder": (self.encoder(batch),)}
'''
WHAT = ("nan loss", "inf loss", "-inf loss", "spike", "nan weight", "inf buffer")
OPTIMIZERS = ("adam", "sgd", "adamw", "rmsprop")
RECIPE = """
[task]
family = "Hit"
what = "{what}"
step = {step}
[data]
name = "digits"
batch_size = 16
[train]
steps = 40
lr = 1e-3
optimizer = "{optimizer}"
{momentum}
ema = {{ decoder = 0.9 }}
[search]
rounds = 1
rewind_to = 3
seeds = 1
controls = []
budget = false
"""


def inject(world: World, number: int) -> str | None:
    """One injection, with states stored after every step or never: the same step is reported, nothing of it stored.

    Under SGD, which squares nothing, a finite spike leaves large finite weights: the next step is the first bad one.
    """
    what, optimizer = WHAT[number % len(WHAT)], OPTIMIZERS[(number // len(WHAT)) % len(OPTIMIZERS)]
    step = 5 + (7 * number) % 33
    place = world.scratch(number)
    try:
        (place / "hit.py").write_text(PLUGIN)
        momentum = "momentum = 0.9" if optimizer == "sgd" else ""
        (place / "hit.toml").write_text(RECIPE.format(what=what, step=step, optimizer=optimizer, momentum=momentum))
        for name, more in (("often", ["--checkpoint", "0"]), ("never", ["--checkpoint", "1000"])):
            args = [
                "find",
                str(place / "hit.toml"),
                "--plugin",
                str(place / "hit.py"),
                "--out",
                str(place / name),
                *more,
            ]
            ended = forked(args, place, lambda: broken.apply(world.broken))
            if ended.status != 4:
                return f"{what} under {optimizer} at step {step}: status {ended.status}, {ended.stderr[-200:]!r}"
            if (wrong := _stored(place / name, step + (what == "spike" and optimizer == "sgd"))) is not None:
                return f"{what} under {optimizer} at step {step}: {wrong}"
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _stored(run: Path, step: int) -> str | None:
    """What a diverged run holds that it should not."""
    import safetensors.torch
    import torch

    for path in run.rglob("*.safetensors"):
        for name, value in safetensors.torch.load_file(path).items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                return f"{path.relative_to(run)} holds '{name}', which is not finite"
    results = [json.loads(path.read_text()) for path in sorted(run.glob("seed-*/*/*/result.json"))]
    reasons = [result["why"] for result in results if result["status"] == "diverged"]
    if not reasons or not all(f"step {step}" in why.replace(",", "") for why in reasons):
        return f"the reasons are {reasons}"
    return None


VALUES = Part(
    "values",
    "A loss, weight, buffer or optimizer state that is no longer finite ends the run as diverged (status 4), names the "
    "first such step with any --checkpoint, and is never stored.",
    30, 3, inject,
    {"finite": "nothing looks whether values are finite"},
)  # fmt: skip
