"""Tasks: the families of generative models, and what a user's own must offer (see `Task`)."""

from __future__ import annotations

from collections.abc import Callable

from gentickets.tasks.autoencoder import VAE, Autoencoder
from gentickets.tasks.base import Batch, Draw, Objective, Optim, Task
from gentickets.tasks.gan import GAN
from gentickets.tasks.gda import GDA

FAMILIES: dict[str, Callable[..., Task]] = {"ae": Autoencoder, "vae": VAE, "gan": GAN, "gda": GDA}
"""Built-in families: name in a recipe -> constructor. ``image`` comes from the data, the rest from ``[task]``."""

__all__ = ["FAMILIES", "GAN", "GDA", "VAE", "Autoencoder", "Batch", "Draw", "Objective", "Optim", "Task"]
