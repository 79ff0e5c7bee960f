"""Tasks: the families of generative models, and what a user's own must offer (see `Task`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from gentickets.tasks.autoencoder import VAE, Autoencoder
from gentickets.tasks.base import Batch, Draw, Objective, Optim, Task
from gentickets.tasks.gan import GAN
from gentickets.tasks.gda import GDA


def _built_in() -> Iterator[tuple[str, Callable[..., Task]]]:
    """Every Task in a module of this room that says which ``family`` it is, in the order of the modules."""
    for module in iter_modules(__path__, f"{__name__}."):
        for made in vars(import_module(module.name)).values():
            here = isinstance(made, type) and issubclass(made, Task) and made.__module__ == module.name
            if here and "family" in vars(made):
                yield made.family, made


FAMILIES: dict[str, Callable[..., Task]] = dict(_built_in())
"""Built-in families: name in a recipe -> constructor. ``image`` comes from the data, the rest from ``[task]``."""

__all__ = ["FAMILIES", "GAN", "GDA", "VAE", "Autoencoder", "Batch", "Draw", "Objective", "Optim", "Task"]
