"""Task and Objective: networks, and the game that trains them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from gentickets import spectral
from gentickets.errors import TicketError, nearest
from gentickets.masks import component_of, first_names
from gentickets.metrics import Floor, Way
from gentickets.seeds import derive

Batch = Tensor
"""Images, float, (n, c, h, w), in [-1, 1]."""


class Draw(Mapping[str, Tensor]):
    """Every random number that one step on n images uses; the first dimension is the sample.

    ``shared`` is the turns' common memory within one step: see `Task.share`.
    """

    def __init__(self, **values: Tensor) -> None:
        self._values = values
        self.shared: dict[str, tuple[tuple[int, bool], Tensor]] = {}
        self.updates: Counter[str] = Counter()
        """Component -> optimizer steps that are only counted, as FLOPs are: what is shared is made anew after them."""

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def part(self, start: int, n: int) -> Draw:
        """The numbers of n samples from ``start`` on; nothing is shared with the whole."""
        return Draw(**{name: value[start : start + n] for name, value in self._values.items()})


@dataclass(frozen=True)
class Optim:
    """An optimizer's settings. ``lr`` is the peak that a schedule scales."""

    name: str = "adam"
    """``adam``, ``adamw``, ``sgd`` or ``rmsprop``."""
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam and AdamW."""
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    """SGD and RMSprop."""
    alpha: float = 0.99
    """RMSprop's smoothing constant."""


@dataclass(frozen=True)
class Objective:
    """A loss and the components that it trains: one turn of a step.

    ``loss(batch, draw)`` returns a scalar. The objective acts at steps with ``(step + 1) % every == 0``.
    ``optim`` overrides the run's optimizer. ``after_step`` runs after each of its optimizer steps (clipping).
    """

    name: str
    loss: Callable[[Batch, Draw], Tensor]
    trains: tuple[str, ...]
    every: int = 1
    optim: Optim | None = None
    after_step: Callable[[], None] | None = None

    def value(self, batch: Batch, draw: Draw) -> Tensor:
        """The loss, which must be one number; TicketError where it is anything else."""
        loss: object = self.loss(batch, draw)
        if not isinstance(loss, Tensor):
            kind = type(loss).__name__
            raise TicketError(f"the loss of objective '{self.name}' is a {kind}: give back one tensor, the loss itself")
        if loss.numel() != 1 or loss.is_complex():
            what = "complex" if loss.is_complex() else f"of shape {tuple(loss.shape)}"
            raise TicketError(f"the loss of objective '{self.name}' is {what}: take the mean, one real number")
        return loss.reshape(())

    def acts_at(self, step: int) -> bool:
        """Whether this objective has a turn in the step with that number."""
        return (step + 1) % self.every == 0


class UndeclaredError(TicketError, NotImplementedError):
    """What a family has to declare, and has not."""


class Task(nn.Module):
    """Networks and the game that trains them; child modules are the components.

    A family overrides `objectives` and whatever else applies. ``image`` is (channels, height, width).
    """

    family: ClassVar[str]
    """Of a built-in family: its name in recipes, by which `FAMILIES` finds it."""
    image: tuple[int, int, int]
    temperature: float = 1.0
    """What a discriminator's logits are divided by; other families have none. GraSP sets it (Wang et al., 2020)."""
    better: Mapping[str, Way | None] = {}
    """Figure -> ``lower``, ``higher``, or None for one that says nothing of quality alone; empty: all are lower is
    better, else every figure of the family's own stands here."""
    floor: Mapping[str, Floor] = {}
    """Of a family of your own: figure -> what the best possible model reaches in it (`gentickets.metrics.Floor`).
    A claim whose margin is a share (`unit = "share"`) needs it of its metric."""

    def initialize(self) -> None:
        """Draw all weights anew, in place, for the networks as they are: narrower ones than were built, say.

        As PyTorch's layers do, those under spectral norm too; a family with initial weights of its own overrides it.
        Uses the global random state, as constructors do.
        """
        normed = spectral.release(self)
        for layer in self.modules():
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
        spectral.renew(normed)

    def objectives(self) -> Sequence[Objective]:
        """The turns of one step, in order."""
        raise UndeclaredError(f"{type(self).__name__} declares no objectives: override objectives()")

    def draw(self, n: int, rng: torch.Generator) -> Draw:
        """Every random number that one step on n images uses, on the task's device. Default: none."""
        return Draw()

    def inputs(self, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        """Each component's arguments for this batch (for FLOPs, compacting, SynFlow and norm statistics)."""
        raise UndeclaredError(f"{type(self).__name__} does not say what its components take: override inputs()")

    def figures(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """Per-image figures of merit, each (n,): a VAE's ``negative_elbo``. Default: none.

        Lower is better, or as `better` says.
        """
        return {}

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """n images from the model's own prior, (n, c, h, w) in [-1, 1]."""
        raise TicketError(f"{type(self).__name__} has no prior to sample from; use its reconstructions")

    def reconstruct(self, batch: Batch) -> Tensor:
        """The images as the model rebuilds them, without noise, (n, c, h, w) in [-1, 1]."""
        raise TicketError(f"{type(self).__name__} does not reconstruct; use its samples")

    def can(self, ability: str) -> bool:
        """Whether the family overrides `sample` or `reconstruct`."""
        return getattr(type(self), ability) is not getattr(Task, ability)

    @property
    def components(self) -> list[str]:
        """Names of the components that have parameters."""
        return [name for name, child in self.named_children() if any(True for _ in child.parameters())]

    @property
    def compiles(self) -> list[str]:
        """Names of the components that may be compiled; one that is differentiated twice may not."""
        return self.components

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def blank(self, n: int) -> Tensor:
        """n images of zeros, as the networks are given: float32, or the one other real kind of all their numbers."""
        kinds = {parameter.dtype for parameter in self.parameters()}
        kind = next(iter(kinds)) if len(kinds) == 1 else torch.float32
        return torch.zeros(n, *self.image, device=self.device, dtype=kind.to_real())

    def trained_by(self, objective: Objective) -> dict[str, nn.Parameter]:
        """The parameters that an objective trains, by name; an unknown component is an error.

        A parameter that stands in several components belongs to each, and bears its first name (`masks.first_names`).
        """
        for component in objective.trains:
            if component not in self.components:
                known = nearest(component, self.components)
                raise TicketError(f"objective '{objective.name}' trains '{component}', which does not exist. {known}")
        names: dict[nn.Parameter, list[str]] = {}
        for name, parameter in self.named_parameters(remove_duplicate=False):
            names.setdefault(parameter, []).append(name)
        first = first_names(self) if any(len(several) > 1 for several in names.values()) else {}
        return {
            next((name for name in several if first.get(name) == name), several[0]): parameter
            for parameter, several in names.items()
            if parameter.requires_grad and any(component_of(name) in objective.trains for name in several)
        }

    def share(self, draw: Draw, key: str, component: str, make: Callable[[], Tensor]) -> Tensor:
        """A value that several turns of one step see, made anew once its component's weights have changed.

        The fake that D and G both see is made once: 10 % of a DCGAN step, and the generator's batch-norm
        statistics move once. Weights are watched through autograd's version counters, so a stale value is
        impossible as long as updates are in place, as optimizers' are.
        """
        weights = sum(parameter._version for parameter in getattr(self, component).parameters())
        weights += draw.updates[component]
        version = (weights, torch.is_grad_enabled())
        if key not in draw.shared or draw.shared[key][0] != version:
            draw.shared[key] = (version, make())
        return draw.shared[key][1]


def fixed_latents(task: Task, n: int) -> Tensor:
    """The first n of a task's latents that are always the same, (n, latent): a generator's inputs."""
    rng = torch.Generator(task.device).manual_seed(derive(0, "fixed latents"))
    return task.draw(n, rng)["latent"]
