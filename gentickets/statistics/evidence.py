"""Evidence: what the seeds of one level show, as one-sided p-values at each interim analysis, before any correction.

Two kinds of per-seed contrasts are tested, both linear in the arms' values (less being better):

    against dense      L_i   = ticket_i - dense_i - room(dense_i)       below 0: within the margin
    against a control  G_c,i = control_i - ticket_i - lead(dense_i)     above 0: ahead by more than the lead

A control's scaled variant is a control of its own. All tests are paired t tests over seeds (Student, 1908); with images
as a sample their error enters too (`twoway`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gentickets.statistics.margins import Margin
from gentickets.statistics.paired import ROUNDING, tails
from gentickets.statistics.twoway import image_error, tails_twoway

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_SEEDS = 3
"""With fewer, nothing is decided."""
UNSTEADY = 3.0
"""A ticket whose seeds scatter by more than this many times those of dense and controls gets no praise."""


@dataclass(frozen=True)
class Arms:
    """What the arms of one level reached: arrays (..., seeds), seeds in one order, less being better."""

    ticket: Array
    dense: Array
    controls: Mapping[str, Array]
    """Arm -> its values, scaled variants under their own names."""
    declared: tuple[str, ...] | None = None
    """The arms that the claim declared as controls; None: those of ``controls``. Further arms in ``controls`` make a
    win harder, but cannot show that a control does as well."""
    images: Arms | None = None
    """The same arms as arrays (..., seeds, images), where test images count as a sample."""
    image_errors: Mapping[str, Mapping[int, float]] | None = None
    """Contrast -> number of seeds -> standard error over test images of its mean, where seeds are drawn (`outlook`)
    and have no values of single images; in place of ``images``."""

    @property
    def opponents(self) -> tuple[str, ...]:
        """The declared controls, which are counted for Bonferroni's correction."""
        return tuple(self.controls) if self.declared is None else self.declared

    @property
    def missing(self) -> tuple[str, ...]:
        """Declared controls that are not there."""
        return tuple(name for name in self.opponents if name not in self.controls)


@dataclass(frozen=True)
class Evidence:
    """One-sided p-values (..., analyses) of one level; a small one shows what its name says."""

    within: Array
    """L < 0: the ticket is worse than dense by less than the margin, or better."""
    worse: Array
    """L > 0: it is worse by more than the margin."""
    ahead: Mapping[str, Array]
    """Control -> G > 0: the ticket is ahead of it by more than the lead."""
    behind: Mapping[str, Array]
    """Declared control -> G < 0: the ticket is not ahead of it by as much as the lead."""
    opponents: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unsteady: Flags = field(default_factory=lambda: np.zeros((), dtype=bool))
    """(...): whether the ticket's seeds scatter so much more than the others' that nothing good is said of it."""


def contrasts(arms: Arms, margin: Margin) -> dict[str, Array]:
    """The per-seed contrasts (..., seeds): L under ``dense``, and G under each control's name.

    Differences within rounding of the arms' values are 0.
    """
    found = {"dense": _contrast(arms.ticket, arms.dense, margin.room_of(arms.dense))}
    lead = margin.lead_of(arms.dense)
    return found | {name: _contrast(own, arms.ticket, lead) for name, own in arms.controls.items()}


def evidence(arms: Arms, margin: Margin, analyses: Sequence[int]) -> Evidence:
    """Test one level at interim analyses of so many seeds each, the first ones of those there.

    An analysis with fewer than 3 seeds shows nothing, nor does an arm with a value that is not finite, in any analysis
    that has it.
    """
    own = contrasts(arms, margin)
    errors = _image_errors(arms, margin)
    below: dict[str, Array] = {}
    above: dict[str, Array] = {}
    for name, values in own.items():
        other = arms.dense if name == "dense" else arms.controls[name]
        tested = [_tails(values, errors(name, seeds), seeds, (arms.ticket, other)) for seeds in analyses]
        below[name] = _stacked([one for one, _ in tested], values)
        above[name] = _stacked([other for _, other in tested], values)
    within, worse = below.pop("dense"), above.pop("dense")
    behind = {name: p for name, p in below.items() if name in arms.opponents}
    seeds = max(analyses, default=0)
    return Evidence(within, worse, above, behind, arms.opponents, arms.missing, unsteady(arms, seeds))


def nothing(opponents: Sequence[str] = (), analyses: int = 1, shape: tuple[int, ...] = ()) -> Evidence:
    """A level that is unfinished, failed or has too few seeds: it shows nothing."""
    ones = np.ones((*shape, analyses))
    return Evidence(ones, ones, {}, {}, tuple(opponents), tuple(opponents), np.zeros(shape, dtype=bool))


def unsteady(arms: Arms, seeds: int) -> Flags:
    """Whether the ticket's sd over the first seeds is above 3 times the root mean square of the other arms' (...).

    A ticket whose seeds are rarely bad, but then very bad, looks good in the few seeds that miss them: of a log-normal
    ticket that scatters by 100 % beside arms that scatter by 1 %, the t test alone says too much good in 20 % of runs.
    """
    values = [np.asarray(one, dtype=float)[..., :seeds] for one in (arms.ticket, arms.dense, *arms.controls.values())]
    if values[0].shape[-1] < LEAST_SEEDS:
        return np.zeros(values[0].shape[:-1], dtype=bool)
    with np.errstate(invalid="ignore"):
        own, *others = (one.var(-1, ddof=1) for one in values)
        found: Flags = own > UNSTEADY**2 * np.mean(others, 0)
    rounding = ROUNDING * np.abs(values[0]).max(-1)
    found &= own > rounding**2
    return found


def _contrast(first: ArrayLike, second: ArrayLike, offset: Array) -> Array:
    """First less second less the offset; 0 where that is no more than rounding."""
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    with np.errstate(invalid="ignore"):
        difference: Array = one - other - offset
        scale = np.maximum(np.abs(one), np.abs(other))
        rounding = np.isfinite(scale) & (np.abs(difference) <= ROUNDING * scale)
    return np.where(rounding, 0.0, difference)


def _image_errors(arms: Arms, margin: Margin) -> Callable[[str, int], Array | None]:
    """The standard error over test images (...) of a contrast's mean over the first seeds; None if they are fixed."""
    given = arms.image_errors
    if given is not None:
        return lambda name, seeds: np.asarray(given[name].get(seeds, np.inf))
    if arms.images is None:
        return lambda name, seeds: None
    every = contrasts(arms.images, margin)
    return lambda name, seeds: image_error(every[name][..., :seeds, :])


def _tails(values: Array, images: Array | None, seeds: int, arms: tuple[Array, Array]) -> tuple[Array, Array]:
    """The p-values (...) that the mean over the first seeds is below and above 0; where tied, 2^-n at least."""
    if not LEAST_SEEDS <= seeds <= values.shape[-1]:
        ones = np.ones(values.shape[:-1])
        return ones, ones
    first = values[..., :seeds]
    below, above = tails(first) if images is None else tails_twoway(first, images)
    least = np.where(_tied(*arms, seeds), 0.5**seeds, 0.0)
    return np.maximum(below, least), np.maximum(above, least)


def _tied(first: ArrayLike, second: ArrayLike, seeds: int) -> Flags:
    """Whether two arms are equally far apart in all of the first seeds (...).

    A t test has no scale to go by then, and a coarse metric does that to 3 seeds in every tenth run: with its p-value
    of about 0 the ticket was falsely WORSE in 5 % of runs, and a control as good in 10 %. So it is the sign test's.
    """
    one, other = (np.asarray(arm, dtype=float)[..., :seeds] for arm in (first, second))
    with np.errstate(invalid="ignore"):
        found: Flags = np.ptp(one - other, axis=-1) <= ROUNDING * np.abs(one).max(-1)
    return found


def _stacked(found: list[Array], values: Array) -> Array:
    return np.stack(found, -1) if found else np.ones((*values.shape[:-1], 0))
