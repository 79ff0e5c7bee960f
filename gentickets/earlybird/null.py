"""What noise looks like: how quiet a random walk's ranking gets by chance, by simulation (Trap 19).

The ranking of a walk settles as the walk gets older, so that any fixed distance is undercut in the end. What a walk
does not do is settle faster than its age explains: of all that has moved, the last part of its age has made its part,
whatever the spread that it began from. Age is the variance gathered: as many looks where the learning rate is constant,
while looks at a falling learning rate make less and less of it (`pace`). So the *share* is taken: what has moved since
the looks of the later half of the age, their mean, over what has moved since the beginning; about 1/4 for walks, 1 for
independent scores. An optimizer with momentum walks smoothly, and looks settled to whoever looks more often than it
forgets, so that the walks are those of the training's own optimizer and schedule on nothing but noise, looked at as
often. A component has been *quieter than chance* once its share is so small that only a fraction `RATE` of such walks,
watched over a whole training, ever gets there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gentickets.earlybird.pace import Floats
from gentickets.earlybird.ranks import moved_by
from gentickets.earlybird.walks import Looks, walks
from gentickets.seeds import derive

RATE = 0.003
"""Of all trainings of nothing but noise, the fraction in which a component is taken for settled; 1 % is promised."""
LEFT = 0.1
"""What must have moved since the beginning before a share of it means anything: a correlation of 0.95 is left."""

_WALKS = 2000
_ENTRIES = 1 << 22
_WIDTHS = (8, 10, 12, 14, 16, 20, 24, 32, 48, 64)
_SPREADS = (1, 3, 8)
_SPREADS_MATTER = 64
_STILL = 1e-5
_POINTS = 16


@dataclass(frozen=True)
class Null:
    """The quietest that chance gets."""

    units: int
    factor: float
    """What a walk's share of its usual one falls to in a fraction `RATE` of all trainings."""
    usual: tuple[float, ...]
    """The median share of a walk at each look, 0 for looks that do not count."""

    @property
    def vacuous(self) -> bool:
        """Whether a walk of so few units may stand still for as long as is looked: nothing is quieter than that."""
        return self.factor <= 0

    def limit(self, look: int) -> float:
        """The largest share at that look (the first is 1) which chance does not explain; 0 where there is none."""
        return self.factor * self.usual[look] if look < len(self.usual) else 0.0


@lru_cache(maxsize=256)
def calibrated(units: int, looks: Looks, tied: bool) -> Null:
    """The null of a component of ``units``, the same on every call; about a second for 256 units and 50 looks.

    ``tied``: all scores were equal at the beginning, as scales of norms are. Otherwise walks from initial spreads of 1,
    3 and 8 times what they add over the training count too, where units are so few that it matters: of a ranking that
    has hardly left its beginning, the few places that have changed may stand still for long. Fewer than 5 units are
    never told from chance, and nothing is where the learning rate is zero.
    """
    usual = np.zeros(looks.checks + 1)
    counted = looks.first + np.flatnonzero(looks.ages[looks.first :] > 0)
    if units < 5 or not counted.size:
        return Null(units, 0.0, tuple(map(float, usual)))
    rng = np.random.default_rng(derive(0, "early bird null", units, looks.name, str(tied)))
    shares = _shares(units, looks, 0.0, rng)[:, counted - looks.first]
    usual[counted] = np.median(shares, 0)
    lowest = [_quiet(shares, usual[counted])]
    for spread in () if tied or units >= _SPREADS_MATTER else _SPREADS:
        shares = _shares(units, looks, spread, rng)[:, counted - looks.first]
        lowest.append(_quiet(shares, usual[counted]))
    factor = min(lowest)
    return Null(units, factor if factor > _STILL else 0.0, tuple(map(float, usual)))


def least_units(looks: Looks, tied: bool) -> int | None:
    """The fewest units (of a list of widths) that can be told from chance; None where none of them can."""
    return next((width for width in _WIDTHS if not calibrated(width, looks, tied).vacuous), None)


def later_half(look: int, ages: Floats) -> NDArray[np.int64]:
    """The looks that look number ``look`` is held against: those of the later half of its age, 16 of them at most.

    They are spread evenly over the age, not over the looks: while a learning rate falls, looks come ever closer.
    """
    half = int(np.searchsorted(ages[:look], ages[look] / 2 * (1 + 1e-9), side="right")) - 1
    first = min(max(1, half), look - 1)
    known = ages[first:look]
    points = np.interp(np.linspace(known[0], known[-1], min(_POINTS, look - first)), known, np.arange(first, look))
    return np.unique(points.round().astype(np.int64))


def share(recent: float, since_beginning: float) -> float:
    """What the later half has made of all that has moved; infinite before anything worth mentioning has."""
    return recent / since_beginning if since_beginning >= LEFT else float("inf")


def _quiet(shares: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    return float(np.quantile((shares / usual).min(1), RATE))


def _shares(units: int, looks: Looks, spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shares of walks at each look that counts, (walks, checks + 1 - first); ``spread`` as for `walks`."""
    chunk = max(1, min(_WALKS, _ENTRIES // (units * (looks.checks + 1))))
    parts = []
    for start in range(0, _WALKS, chunk):
        values = walks(min(chunk, _WALKS - start), units, looks, spread, rng)
        parts.append(shares_of(_ranked(values), looks, spread == 0))
    return np.concatenate(parts)


def shares_of(ranks: NDArray[np.float32], looks: Looks, tied: bool) -> NDArray[np.float64]:
    """Shares at the looks from the first that counts, of rankings (walks, checks + 1, units): (walks, looks)."""
    found = []
    for look in range(looks.first, ranks.shape[1]):
        newest = ranks[:, look, :, None]
        recent = _moved(ranks[:, later_half(look, looks.ages)], newest).mean(1)
        since = np.ones_like(recent) if tied else _moved(ranks[:, :1], newest)[:, 0]
        found.append(np.where(since >= LEFT, recent / np.maximum(since, LEFT), np.inf))
    return np.stack(found, 1)


def _ranked(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardized ranks along the last axis; no two values are equal."""
    units = values.shape[-1]
    places = (np.arange(units) - (units - 1) / 2) / np.sqrt(units * (units**2 - 1) / 12)
    found = np.empty_like(values)
    order = np.argsort(values, axis=-1)
    np.put_along_axis(found, order, np.broadcast_to(places.astype(np.float32), values.shape), -1)
    return found


def _moved(older: NDArray[np.float32], newest: NDArray[np.float32]) -> NDArray[np.float64]:
    found = moved_by((older @ newest)[..., 0])
    return np.where(found < 2e-6, 0.0, found)  # single precision's last digit
