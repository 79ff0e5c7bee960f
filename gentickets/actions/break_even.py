"""Computes when a ticket has repaid its search, in trainings and in samples, and says so in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gentickets.accounting import Timing
from gentickets.actions.measure import Measured
from gentickets.ledger import LevelCost, break_even, trainings
from gentickets.sparsity import in_brackets

UNITS = {"flops": "FLOPs", "seconds": "seconds"}


@dataclass(frozen=True)
class SearchCost:
    """What finding a ticket cost, and after how much use of its networks that is repaid; None: never."""

    level: LevelCost
    network: str
    """``masked`` or ``compact``: which of the ticket's networks is used."""
    trainings: dict[str, int | None]
    """By ``flops`` and by measured ``seconds``; a unit that is not known, or of lower bounds alone, is left out."""
    samples: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **self.level.as_dict(),
            "network": self.network,
            "break_even_trainings": self.trainings,
            "break_even_samples": self.samples,
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """Search and break-even in words."""
        level = self.level
        of = f"mean of {len(level.seeds)} seeds" if len(level.seeds) > 1 else f"seed {level.seeds[0]}"
        what = ("the channels" if level.smaller else "the weights") + f" removed{in_brackets(level.share)}"
        found = f"{100 * level.sparsity:.1f} % of {what}: the search cost {_dense(level.in_dense)} ({of})"
        found += f"; together with the ticket's own training {_dense(level.whole_in_dense)}."
        if not any(value is not None for value in (*self.trainings.values(), *self.samples.values())):
            why = "a mask saves nothing by itself" if self.network == "masked" else "it is no cheaper to train or use"
            return f"{found} Break-even: never, {why}."
        uses = [_uses(self.trainings, "trainings"), *([_uses(self.samples, "samples")] if self.samples else [])]
        return f"{found} The compact network has repaid the search after {', or after '.join(uses)}."


def search_cost_of(level: LevelCost, dense: Measured, own: Measured, steps: int, start: int) -> SearchCost:
    """Break-even of a ticket's network: the search in dense trainings, at what a dense step costs here and now."""
    left, compact = steps - start, own.name == "compact"
    again: dict[str, int | None] = {}
    samples: dict[str, float | None] = {}
    for unit in UNITS:
        if (share := level.in_dense[unit]) is None or (unit == "flops" and _some_uncounted(dense, own, "step")):
            continue
        theirs, ours = _step(dense, unit), _step(own, unit)
        search = share * steps * theirs
        gains = compact and (unit == "flops" or _gains(own.step, dense.step))
        again[unit] = trainings(search, left * theirs, left * ours) if gains else None
        if dense.sample is None or own.sample is None or (unit == "flops" and _some_uncounted(dense, own, "sample")):
            continue
        gains = compact and (unit == "flops" or _gains(own.sample, dense.sample))
        samples[unit] = break_even(search, _sample(dense, unit), _sample(own, unit)) if gains else None
    return SearchCost(level, own.name, again, samples)


def _some_uncounted(dense: Measured, own: Measured, what: str) -> bool:
    """Whether a network's FLOPs are only a lower bound, of which no difference is known."""
    return any(one.uncounted.get(what) for one in (dense, own))


def _step(network: Measured, unit: str) -> float:
    return network.step_flops if unit == "flops" else network.step.median


def _sample(network: Measured, unit: str) -> float:
    found = network.sample_flops if unit == "flops" else network.sample and network.sample.median
    return float(found or 0.0)


def _gains(own: Timing, dense: Timing) -> bool:
    """Whether it is quicker beyond the scatter of the measurement."""
    return own.gain(dense)[1] > 1.0


def _dense(ratio: Mapping[str, float | None]) -> str:
    """``2.41 dense trainings by FLOPs, 2.53 by seconds``."""
    known = {unit: ratio[unit] for unit in UNITS if ratio[unit] is not None}
    if not known:
        return "an unknown number of dense trainings"
    first, *more = (f"{count:.2f}{{}} by {UNITS[unit]}" for unit, count in known.items())
    return ", ".join([first.format(" dense trainings"), *(one.format("") for one in more)])


def _uses(counts: Mapping[str, int | float | None], what: str) -> str:
    """``3 trainings by FLOPs, never by seconds``."""
    known = {unit: count for unit, count in counts.items() if count is not None}
    told = [
        f"{_count(count)} {what.removesuffix('s') if count == 1 else what} by {UNITS[unit]}"
        for unit, count in known.items()
    ]
    if never := [UNITS[unit] for unit, count in counts.items() if count is None]:
        told.append(f"{'never' if told else f'no number of {what}'} by {' or '.join(never)}")
    return ", ".join(told)


def _count(count: float) -> str:
    return f"{count / 1e6:,.3g} million" if isinstance(count, float) else f"{count:,}"
