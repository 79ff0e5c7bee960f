"""The two rules, on what one look saw of one component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gentickets.definitions import TOLERANCES
from gentickets.earlybird.pace import Pace
from gentickets.errors import TicketError, nearest

RULES = tuple(TOLERANCES)
"""``corrected``: still, moved away from its beginning, and quieter than chance. ``published``: You et al., 2020."""


@dataclass(frozen=True)
class Settings:
    """How a watch is kept; TicketError for what makes no sense."""

    densities: tuple[float, ...]
    every: int
    """Steps from one look to the next."""
    patience: int
    """Masks in a queue."""
    tolerance: float
    rule: str
    checks: int
    """Looks in the whole training."""
    seed: int
    pooled: bool
    """Whether all components count as one."""
    paces: Mapping[str, tuple[Pace, ...]]
    """Component -> how its values walk under noise, if all of them do at one pace, or one of these paces."""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise TicketError(f"there is no rule '{self.rule}'. {nearest(self.rule, RULES)}")
        if not self.densities or any(not 0 < density <= 1 for density in self.densities):
            raise TicketError(f"densities are above 0 and at most 1, one or more of them, not {list(self.densities)}")
        if self.every < 1 or self.patience < 2:
            raise TicketError(f"every is at least 1 and patience at least 2, not {self.every} and {self.patience}")
        if not 0 < self.tolerance <= 1:
            raise TicketError(f"tolerance is {self.tolerance}, but must be above 0 and at most 1")
        if self.checks < self.patience:
            message = f"{self.checks} looks in the whole training cannot fill a queue of {self.patience}"
            raise TicketError(f"{message}: look more often (every), or lower patience")

    def told(self) -> dict[str, Any]:
        """The same for JSON."""
        told = {**asdict(self), "densities": list(self.densities), "momentum": self._momentum}
        paces = {component: [asdict(pace) for pace in paces] for component, paces in self.paces.items()}
        del told["paces" if self._momentum is not None else "momentum"]
        return told if self._momentum is not None else told | {"paces": paces}

    @property
    def _momentum(self) -> float | None:
        """That of the one plain pace of all, which is all that there was at first; None where there is more to say."""
        paces = self.paces_of("")
        return paces[0].momentum if len(paces) == 1 and paces[0].is_plain else None

    def paces_of(self, component: str) -> tuple[Pace, ...]:
        """The paces of a component; those of all for one that is not listed, as the pooled one is not."""
        everything = (pace for paces in self.paces.values() for pace in paces)
        return self.paces.get(component) or tuple(dict.fromkeys(everything))

    @property
    def corrects(self) -> bool:
        """Whether distances are corrected for chance, and rankings held against it."""
        return self.rule == "corrected"


@dataclass(frozen=True)
class Standing:
    """What one look saw of one component of one level."""

    component: str
    distance: float | None
    """The largest from the newest mask to the older ones of the queue; None while the queue is not full."""
    initial: float | None
    """From the newest mask to that before training; None where there was none."""
    share: float | None = None
    """What the later half so far has made of all that has moved in the ranking (see `null`); None before any has."""
    share_limit: float | None = None
    """The largest share at this look that chance does not explain."""
    shown: bool = True
    """Whether the ranking has been quieter than chance, at this look or before; True where nobody asks."""


def emerged(standing: Standing, settings: Settings) -> bool:
    """Whether a component satisfies the rule; a ticket has emerged once all components do at one look.

    ``published``: Hamming's distance to all older masks is at most ``tolerance``, and nothing else. ``corrected``: so
    is the chance-corrected one; the mask is further than that from the one before training (Trap 20); and the ranking
    has been quieter than chance (Trap 19). The last is a test, passed once and for all: that a ranking is no noise
    does not become false again.
    """
    if standing.distance is None or standing.distance > settings.tolerance:
        return False
    if not settings.corrects:
        return True
    return standing.shown and (standing.initial is None or standing.initial > settings.tolerance)


def missing(standing: Standing, tolerance: float, lowest: float | None) -> str:
    """What keeps a component from emerging under ``corrected``, in a clause; empty where nothing does."""
    name, distance = standing.component, standing.distance
    if standing.initial is not None and standing.initial <= tolerance:
        return (
            f"'{name}' has never left its initial ranking (distance {standing.initial:.2f} to the mask before "
            f"training, {tolerance:g} or less counts as the same): a higher learning rate moves it, or an L1 penalty "
            "on norm scales (gamma_l1 = 1e-4), or leave the component out"
        )
    if distance is not None and distance > tolerance:
        best = "" if lowest is None or lowest >= distance else f", {lowest:.2f} at the lowest"
        return f"'{name}' is still moving: distance {distance:.2f} over the limit {tolerance:g}{best}"
    if not standing.shown:
        return f"'{name}' has not settled faster than noise would ({_shares(standing)})"
    return ""


def _shares(standing: Standing) -> str:
    if standing.share is None:
        return "its ranking has hardly changed since the beginning"
    recent = f"the later half so far has made {100 * standing.share:.0f} % of what has moved in its ranking"
    return f"{recent}; up to {100 * (standing.share_limit or 0):.0f} % would be less than chance makes"


def vacuous_by_chance(density: float, tolerance: float) -> str:
    """What to say where independent masks are as near to each other as the published rule asks; else empty."""
    chance = 2 * density * (1 - density)
    if chance > tolerance:
        return ""
    return (
        f"the published rule says nothing at {100 * (1 - density):.1f} % sparsity: independent random masks are "
        f"{chance:.3f} apart there, no more than the tolerance of {tolerance:g}, so it fires on noise; "
        "use rule = 'corrected', or a smaller tolerance"
    )


def vacuous_by_noise(component: str, units: int, least: int | None, checks: int, pace: str) -> str:
    """What to say of a component in which noise may stand still."""
    said = f"'{component}' has {units} units to rank, too few to tell a settled ranking from noise in {checks} looks"
    if least is None or least <= units:
        return (
            f"'{component}' has {units} units to rank, and no ranking can be told from noise in {checks} looks under "
            f"a {pace}: another schedule, or other looks (every), help"
        )
    return (
        f"{said} under a {pace} ({least} would do): wider networks, fewer looks (every), another schedule, ranking "
        "by weights, or the components pooled help"
    )
