"""Formats numbers and names for people: spreads over seeds, arms, metrics, rounding. Torch-free."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gentickets.arms import ArmName
from gentickets.metrics import known, way

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
_ARROWS = {"lower": " \N{DOWNWARDS ARROW}", "higher": " \N{UPWARDS ARROW}", None: ""}
_PHASES = {
    "warm-up": "warm-up",
    "train": "training",
    "score": "scoring",
    "checks": "checks",
    "compact": "compacting",
    "evaluate": "evaluating",
    "store": "storing",
}


@dataclass(frozen=True)
class Spread:
    """One metric over the seeds: mean and sample standard deviation, with the values that they come from."""

    mean: float
    sd: float | None
    """None for a single seed."""
    n: int
    values: Mapping[int, float]
    """Seed -> value."""

    @property
    def minimum(self) -> float:
        """The smallest value of a seed."""
        return min(self.values.values(), default=math.nan)

    @property
    def maximum(self) -> float:
        """The largest value of a seed."""
        return max(self.values.values(), default=math.nan)

    @staticmethod
    def of(values: Mapping[int, float]) -> Spread | None:
        """The spread of seed -> value; None where there are no seeds."""
        numbers = list(values.values())
        if not numbers:
            return None
        sd = statistics.stdev(numbers) if len(numbers) > 1 else None
        return Spread(math.fsum(numbers) / len(numbers), sd, len(numbers), dict(values))


def decimals(spreads: Iterable[Spread | None]) -> int:
    """Decimal places for a column: two digits of the median spread, three of the median value at least."""
    given = [spread for spread in spreads if spread is not None]
    sizes = [abs(spread.mean) for spread in given if spread.mean]
    if not sizes:
        return 2
    fewest = 2 - math.floor(math.log10(statistics.median(sizes)))
    spreads_known = [spread.sd for spread in given if spread.sd]
    wanted = 1 - math.floor(math.log10(statistics.median(spreads_known))) if spreads_known else fewest + 1
    return max(0, min(8, max(fewest, min(wanted, fewest + 2))))


def fixed(value: float, places: int) -> str:
    """The number with so many decimals, a true minus sign, and never a negative zero."""
    text = f"{value:.{places}f}"
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.") else MINUS + text[1:]
    return text


def plus_minus(spread: Spread | None, places: int) -> str:
    """``101.84 ± 0.11``; without the second half for one seed, a dash for none."""
    if spread is None:
        return DASH
    mean = fixed(spread.mean, places)
    return mean if spread.sd is None else f"{mean} ± {fixed(spread.sd, places)}"


def percent(fraction: float) -> str:
    """``0.672`` as ``67.2 %``; two decimals past 99 %, where one would no longer tell rounds apart."""
    return fixed(100 * fraction, 2 if 0.99 < fraction < 1 else 1) + " %"


def confidence(alpha: float) -> str:
    """``0.025`` as ``97.5 %``, with as many decimals as it needs, up to two."""
    return f"{fixed(100 * (1 - alpha), 2).rstrip('0').rstrip('.')} %"


def difference(value: float, reference: float) -> str:
    """How far the value is from the reference, in percent of it and with a sign; a dash where that is 0."""
    if reference == 0:
        return DASH
    return signed_percent(100 * (value - reference) / abs(reference))


def signed_percent(fraction: float | None) -> str:
    """So many percent, with a sign; a dash where it is not known."""
    if fraction is None:
        return DASH
    text = fixed(fraction, 2 if abs(fraction) < 10 else 1)
    return f"{text if text.startswith(MINUS) else '+' + text} %"


def metric_name(name: str) -> str:
    """A metric's name as a person writes it."""
    row = known(name)
    return row.title if row else name.replace("_", " ")


def heading(name: str) -> str:
    """A metric's name with an arrow that says which way is good; none for one that says nothing of quality."""
    return f"{metric_name(name)}{_ARROWS[way(name)]}"


def higher_is_better(name: str | None) -> bool:
    """Whether a higher value of a metric is better; False for one that no result has so far."""
    return way(name) == "higher"


def direction(name: str) -> str:
    """``lower is better``, ``higher is better``, or that a metric says nothing of quality alone, or of itself."""
    if good := way(name):
        return f"{good} is better"
    return "says nothing of quality by itself" if known(name) else "nobody has declared which way is better"


def arm_name(arm: str) -> str:
    """An arm's name as a person writes it, e.g. ``re-initialized, scaled, longer``."""
    return ArmName.of(arm).title


def in_order(phases: Iterable[str]) -> list[str]:
    """Phases as they come in a round, those that nobody knows last."""
    there = dict.fromkeys(phases)
    return [*(phase for phase in _PHASES if phase in there), *(phase for phase in there if phase not in _PHASES)]


def phase_name(phase: str) -> str:
    """A phase of a result's seconds and FLOPs as a person writes it."""
    return _PHASES.get(phase, phase)


def engineering(value: float, unit: str = "") -> str:
    """Three digits and a prefix: ``1.23 G``, ``45 MB``."""
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def with_loss(spread: Spread | None, loss: float | None, places: int) -> str:
    """``11.5 ± 1.1 (−41.2 %)``: what the transferred ticket is compared with, and by how much it is worse."""
    text = plus_minus(spread, places)
    return text if loss is None else f"{text} ({signed_percent(loss)})"


def numbered(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], joint: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}" if names else "none"
