"""Likeness: how much the channels of two networks of one architecture correlate, on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from gentickets.channels.group import Group, Groups
from gentickets.errors import Status, TicketError
from gentickets.masks import component_of
from gentickets.seeds import derive
from gentickets.tasks import Batch, Task
from gentickets.tasks.base import fixed_latents
from gentickets.transfer.codes import is_code
from gentickets.untouched import eager, has_float64, untouched

CONSTANT = 1e-6
"""A channel whose standard deviation is at most this part of its mean says nothing: that is float32's rounding."""
Site = tuple[str, int]
"""A layer, and which of its calls in one forward pass."""


@dataclass(frozen=True)
class Likeness:
    """Correlations of a group's channels in two networks, float64 on the CPU; constant ones correlate with nothing."""

    correlation: Tensor
    """(size, size): the source's channels by the target's."""
    constant: tuple[Tensor, Tensor]
    """Which channels say the same to every image, bool (size,), of the source and of the target."""


def likenesses(
    source: Task, target: Task, batches: Sequence[Batch], groups: Groups, *, seed: int = 0
) -> dict[str, Likeness]:
    """Group -> how much its channels correlate, over images and positions.

    What a channel says is the output of its group's norms, or of the layers that make it where there is none: before
    the nonlinearity, where a channel that a ReLU keeps silent still says something. A group's layers count alike.
    Networks are in evaluation mode, each with its own ``inputs``: a decoder hears its own encoder's codes, a generator
    latents that are new for each batch and the same in both networks. Codes say their means, and correlate without
    sign, since an encoder may as well say the opposite (see `code_group`). Only moments are kept from batch to batch.
    Both tasks and the global random state are untouched. Raises TicketError (FAILED) for activations that are no
    numbers.
    """
    moments: dict[str, dict[Site, _Moments]] = {name: {} for name in groups}
    components = dict.fromkeys(component_of(name) for name in groups)
    for number, batch in enumerate(batches):
        rng = torch.Generator(source.device).manual_seed(derive(seed, "alignment", number))
        latent = source.draw(len(batch), rng).get("latent")
        given = [_inputs(task, batch, latent) for task in (source, target)]
        for component in components:
            inside = {name: group for name, group in groups.items() if component_of(name) == component}
            layers = dict.fromkeys(layer for group in inside.values() for layer in _sites(group))
            ours = _said(source, component, given[0][component], list(layers))
            theirs = _said(target, component, given[1][component], list(layers))
            for name, group in inside.items():
                for layer, index in _sites(group).items():
                    for call, pair in enumerate(zip(ours[layer], theirs[layer], strict=True)):
                        seen = moments[name].setdefault((layer, call), _Moments())
                        seen.add([_observed(output, index, name) for output in pair])
    return {name: _likeness(list(sites.values()), is_code(groups[name])) for name, sites in moments.items()}


class _Moments:
    """Means, variances and covariances of two networks' channels, in float64, batch by batch (Chan et al., 1979)."""

    def __init__(self) -> None:
        self.n = 0
        self.means: list[Tensor] = []
        self.squares: list[Tensor] = []
        self.products = torch.empty(0)

    def add(self, pair: Sequence[Tensor]) -> None:
        """Take in the observations of a batch, (channels, n) of each network."""
        n, means = pair[0].shape[1], [x.mean(1) for x in pair]
        centred = [x - m[:, None] for x, m in zip(pair, means, strict=True)]
        squares, products = [x.square().sum(1) for x in centred], centred[0] @ centred[1].T
        if not self.n:
            self.n, self.means, self.squares, self.products = n, means, squares, products
            return
        apart = [new - old for new, old in zip(means, self.means, strict=True)]
        between = self.n * n / (self.n + n)
        self.products = self.products + products + between * torch.outer(*apart)
        self.squares = [a + b + between * d**2 for a, b, d in zip(self.squares, squares, apart, strict=True)]
        self.means = [m + d * n / (self.n + n) for m, d in zip(self.means, apart, strict=True)]
        self.n += n

    def likeness(self) -> Likeness:
        """Of all observations so far."""
        spreads = [(squares / self.n).sqrt() for squares in self.squares]
        constant = [s <= CONSTANT * m.abs() for s, m in zip(spreads, self.means, strict=True)]
        inverse = [torch.where(c, 0.0, 1 / s) for c, s in zip(constant, spreads, strict=True)]
        correlation = self.products / self.n * inverse[0][:, None] * inverse[1]
        return Likeness(correlation.clamp(-1, 1).cpu(), (constant[0].cpu(), constant[1].cpu()))


def _likeness(sites: Sequence[_Moments], signless: bool) -> Likeness:
    """Of a group: the mean over its layers; constant is what is so everywhere."""
    each = [site.likeness() for site in sites]
    correlation = torch.stack([one.correlation for one in each]).mean(0)
    ours, theirs = (torch.stack([one.constant[side] for one in each]).all(0) for side in (0, 1))
    return Likeness(correlation.abs() if signless else correlation, (ours, theirs))


def _sites(group: Group) -> Mapping[str, Tensor]:
    """Where a group's channels are listened to: layer -> (size, each), the entries of its output that each one owns."""
    if is_code(group):
        return {member.layer: member.index[:, :1] for member in group.of("weight")}
    norms = {member.layer: member.index for member in group.of("scale", "shift", "statistic")}
    return norms or {member.layer: member.index for member in group.of("weight")}


def _inputs(task: Task, batch: Batch, latent: Tensor | None) -> dict[str, tuple[Tensor, ...]]:
    """What each component is given; ``latent`` stands for latents that would be the same for all batches."""
    with untouched(task, 0):
        given = task.inputs(batch.to(task.device))
        if latent is None:
            return given
        fixed = fixed_latents(task, len(batch))
        fresh = latent.to(task.device)
        return {name: tuple(fresh if _equal(x, fixed) else x for x in one) for name, one in given.items()}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _said(task: Task, component: str, inputs: Sequence[Tensor], layers: Sequence[str]) -> dict[str, list[Tensor]]:
    """Layer -> its outputs in one forward pass of a component, one for each time that it is called."""
    outputs: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def note(layer: str, module: nn.Module, _given: object, output: Tensor) -> None:
        said = output.detach().clone()  # an activation in place would write over it
        if isinstance(module, nn.Linear):  # whose channels come last, also behind places
            said = said.movedim(-1, 1) if said.ndim > 1 else said[None]
        outputs[layer].append(said)

    hooks = [task.get_submodule(layer).register_forward_hook(partial(note, layer)) for layer in layers]
    try:
        with eager(task), untouched(task, 0):
            task.get_submodule(component)(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def _observed(output: Tensor, index: Tensor, group: str) -> Tensor:
    """(channels, observations) of a layer's output, float64; both parts of a complex number are observed."""
    output = torch.view_as_real(output) if output.is_complex() else output
    values = output.movedim(1, 0)[index.to(output.device)].reshape(len(index), -1)
    values = values.double() if has_float64(values.device) else values.cpu().double()
    if not bool(torch.isfinite(values).all()):
        message = (
            f"what the channels of '{group}' say is not finite, so they cannot be matched; did a training diverge?"
        )
        raise TicketError(message, Status.FAILED)
    return values
