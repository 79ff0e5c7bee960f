"""The outlook: how likely the next declared analysis is to give each verdict, given the seeds that are there.

The first seeds stay as they are; the new ones are drawn from their posterior predictive distribution and the whole is
judged by the code that judges a run. Means and covariances of all arms are drawn together: with s seeds whose centred
values span d dimensions, the covariance is inverse-Wishart in those with s - 1 + d - 1 degrees of freedom, around the
seeds' own scatter. Under it the variance of every single contrast has exactly the posterior that Student's t rests on
(inverse chi-square with s - 1 degrees of freedom), whether there are more arms than seeds or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError
from gentickets.seeds import derive
from gentickets.statistics.evidence import LEAST_SEEDS, Arms, contrasts
from gentickets.statistics.tree import UNDECIDED, VERDICTS, Terms, judge
from gentickets.statistics.twoway import predicted_image_error

Array = NDArray[np.float64]

_CHUNK = 250
"""Draws at a time: what they take fits into a processor's cache."""
_RANK = 1e-9
"""Directions in which the seeds scatter by less than this part of the largest are none."""


def outlook(
    levels: Sequence[Arms | None],
    terms: Terms,
    seeds: int,
    *,
    longer: Arms | None = None,
    declared: int = 0,
    keep: bool = True,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, float]:
    """The chance of each verdict of level ``declared`` with ``seeds`` seeds in all, adding up to 1.

    ``levels`` and ``longer``: arms in arrays (seeds), the same seeds of all; None for a level that shows nothing.
    ``keep`` False: all seeds are new, as those of a claim declared anew. With the default 2,000 draws a chance is known
    to about 0.01. Equal arguments give equal chances.

    Raises:
        TicketError: fewer than 3 seeds so far or unequal numbers of them, no such level, fewer ``seeds`` than there
            are, or test images as a sample and arms without their values.
    """
    if not 0 <= declared < len(levels):
        raise TicketError(f"the declared level is number {declared}, of {len(levels)} levels counted from 0")
    arms = _Predicted([*levels, longer])
    if keep and seeds < arms.seeds:
        raise TicketError(f"{arms.seeds} seeds are there, so that nothing is to be drawn for {seeds}")
    levels = [_with_errors(one, terms, seeds) for one in levels]
    longer = _with_errors(longer, terms, seeds)
    if levels[declared] is None:
        return dict.fromkeys(VERDICTS, 0.0) | {UNDECIDED: 1.0}
    counts = np.zeros(len(VERDICTS))
    for drawn in arms.drawn(seeds, draws, seed, keep):
        *found, more = drawn
        codes = judge(found, terms, longer=more, declared=declared).codes[..., declared]
        counts += np.bincount(codes, minlength=len(VERDICTS))
    return dict(zip(VERDICTS, (counts / counts.sum()).tolist(), strict=True))


def _with_errors(one: Arms | None, terms: Terms, seeds: int) -> Arms | None:
    """Where test images count as a sample: the arms with the errors over images that so many seeds will have.

    Values of single images are not drawn: what they add to each contrast is predicted from the seeds that are there.
    """
    if one is None or terms.images == "fixed":
        return one
    if one.images is None:
        raise TicketError("test images count as a sample, and the metric of single images was not stored")
    values = contrasts(one.images, terms.margin)
    sizes = terms.plan.taken(seeds)
    errors = {name: {size: predicted_image_error(own, size) for size in sizes} for name, own in values.items()}
    return replace(one, images=None, image_errors=errors)


class _Predicted:
    """All arms of all levels in one matrix, so that they are drawn together; equal arms are one row."""

    def __init__(self, levels: Sequence[Arms | None]) -> None:
        self.levels = levels
        self.rows: dict[bytes, int] = {}
        found = [arm for one in levels if one for arm in (one.ticket, one.dense, *one.controls.values())]
        sizes = {np.shape(arm) for arm in found}
        self.seeds = max((shape[-1] for shape in sizes if shape), default=0)
        if sizes != {(self.seeds,)} or self.seeds < LEAST_SEEDS:
            raise TicketError(
                f"what more seeds would show needs {LEAST_SEEDS} seeds at least, the same of every arm; "
                f"the arms have {', '.join(sorted(map(str, sizes))) or 'none'}"
            )
        unique: list[Array] = []
        for arm in found:
            if self.rows.setdefault(_key(arm), len(unique)) == len(unique):
                unique.append(np.asarray(arm, dtype=float))
        self.seen = np.stack(unique)
        known = np.isfinite(self.seen).all(-1, keepdims=True)
        self.means = np.where(known, self.seen, 0.0).mean(-1)
        centred = np.where(known, self.seen - self.means[:, None], 0.0)
        left, size, _ = np.linalg.svd(centred, full_matrices=False)
        kept = size > _RANK * max(size.max(initial=0.0), np.finfo(float).tiny)
        self.factor = np.where(known, left[:, kept] * size[kept], np.nan)

    def drawn(self, number: int, draws: int, seed: int, keep: bool) -> Iterator[list[Arms | None]]:
        """All levels with arrays (draws, seeds), in parts."""
        new = number - self.seeds if keep else number
        for start in range(0, draws, _CHUNK):
            count = min(_CHUNK, draws - start)
            rng = np.random.default_rng(derive(seed, "outlook", start))
            values = self._new(new, count, rng)
            if keep:
                first = np.broadcast_to(self.seen[:, None], (len(self.seen), count, self.seeds))
                values = np.concatenate([first, values], -1)
            yield [None if one is None else self._of(one, values) for one in self.levels]

    def _new(self, new: int, count: int, rng: np.random.Generator) -> Array:
        """New seeds (arms, draws, seeds)."""
        size = self.factor.shape[1]
        if not size:
            return np.broadcast_to(self.means[:, None, None], (len(self.means), count, new)).copy()
        root = np.swapaxes(_wishart_root(size, self.seeds + size - 2, count, rng), -1, -2)
        standard = rng.standard_normal((count, size, new + 1))
        standard[..., 0] /= np.sqrt(self.seeds)  # of the means themselves
        moved = np.linalg.solve(root, standard)
        moved = moved[..., 1:] + moved[..., :1]
        found: Array = np.einsum("ad,cds->acs", self.factor, moved) + self.means[:, None, None]
        return found

    def _of(self, one: Arms, values: Array) -> Arms:
        """A level's arms among those drawn."""
        controls = {name: values[self.rows[_key(arm)]] for name, arm in one.controls.items()}
        ticket, dense = values[self.rows[_key(one.ticket)]], values[self.rows[_key(one.dense)]]
        return replace(one, ticket=ticket, dense=dense, controls=controls, declared=one.opponents)


def _wishart_root(size: int, freedom: int, count: int, rng: np.random.Generator) -> Array:
    """Lower triangular roots (draws, size, size) of standard Wishart matrices (Bartlett, 1933)."""
    root = np.tril(rng.standard_normal((count, size, size)), -1)
    of_diagonal = rng.chisquare(freedom - np.arange(size), (count, size))
    root[:, np.arange(size), np.arange(size)] = np.sqrt(of_diagonal)
    return root


def _key(arm: Array) -> bytes:
    return np.asarray(arm, dtype=float).tobytes()
