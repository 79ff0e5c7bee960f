"""A diffusion model (flow matching: Lipman et al., 2023) as a task of one's own."""

import torch
from torch import nn

from gentickets import Draw, Objective, Task


class Flow(Task):
    def __init__(self, image, width=128):
        super().__init__()
        self.image, pixels = image, image[0] * image[1] * image[2]
        self.velocity = nn.Sequential(
            nn.Linear(pixels + 1, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, pixels),
        )

    def objectives(self):
        return [
            Objective("flow", lambda batch, draw: self.figures(batch, draw)["velocity_error"].mean(), ("velocity",))
        ]

    def draw(self, n, rng):  # every random number of a step
        noise = torch.randn(n, *self.image, generator=rng, device=self.device)
        return Draw(noise=noise, time=torch.rand(n, 1, generator=rng, device=self.device))

    def figures(self, batch, draw):  # per image, lower is better: what a claim can be about
        x, noise, time = batch.flatten(1), draw["noise"].flatten(1), draw["time"]
        guess = self.velocity(torch.cat([time * x + (1 - time) * noise, time], 1))
        return {"velocity_error": (guess - (x - noise)).square().mean(1)}

    def inputs(self, batch):  # each component's arguments, for FLOPs
        return {"velocity": (torch.cat([batch.flatten(1), batch.new_zeros(len(batch), 1)], 1),)}

    def sample(self, n, rng, steps=20):
        x = self.draw(n, rng)["noise"].flatten(1)
        for step in range(steps):
            x = x + self.velocity(torch.cat([x, x.new_full((n, 1), step / steps)], 1)) / steps
        return x.clamp(-1, 1).view(n, *self.image)
