"""The watcher: at every so many steps it looks at the masks of all levels, until each has emerged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from gentickets.definitions import TOLERANCES
from gentickets.earlybird.distances import corrected, hamming, members, packed
from gentickets.earlybird.order import Order, most_followed, require_some_told
from gentickets.earlybird.pace import Pace, supposed
from gentickets.earlybird.ranks import Sample
from gentickets.earlybird.remembered import Masks, RememberedMasks
from gentickets.earlybird.rules import Settings, Standing, emerged, missing, vacuous_by_chance
from gentickets.errors import Status, TicketError
from gentickets.masks import Mask
from gentickets.optimizers import Schedule
from gentickets.tasks import Optim


class Ranking(Protocol):
    """What is watched: it ranks weights or channels as the network now is."""

    def __call__(self, density: float) -> Mask:
        """The mask that keeps the best."""
        ...

    def scores(self) -> Mapping[str, Tensor]:
        """What they are ranked by, with the mask's names and shapes; the published rule does not ask for it."""
        ...


class EarlyBird:
    """Watches rankings settle, at several densities in one training. (You et al., 2020; traps 19-21)

    Call `begin` before the first step and `look` with each step reached (or with multiples of ``every`` alone). A queue
    of ``patience`` masks is kept for each density, the one before training not among them; what has to hold is in
    `rules.emerged`, for every component by itself, or for all of them as one (``pooled``). ``checks`` is how many looks
    the whole training has: the longer one looks, the quieter noise gets by chance. ``tolerance`` is the rule's own
    (`definitions.TOLERANCES`) unless given: under ``corrected`` a fraction of what chance would give (0.2 is the
    published 0.1 at 50 % sparsity).

    ``corrected`` holds rankings against noise that walks as the training does: under its ``schedule`` and optimizer
    (``optim``, or Adam with ``momentum``), or as ``paces`` say of each component (`Pace.of`). Without a schedule it has
    to be quieter than noise under each that there is, and so emerges later or less often. RMSprop has to be told of:
    its first steps are the largest, and what follows looks settled beside them. ::

        sgd, cosine = Optim("sgd", momentum=0.9), Schedule("cosine", 1000)
        EarlyBird(rank, [0.5], every=10, checks=100, schedule=cosine, optim=sgd)

    `begin` raises TicketError where no component has units enough to tell anything from noise.
    """

    def __init__(
        self, rank: Ranking, densities: Sequence[float], *, every: int, patience: int = 5,
        tolerance: float | None = None, rule: str = "corrected", checks: int, seed: int = 0, pooled: bool = False,
        momentum: float = 0.9, schedule: Schedule | None = None, optim: Optim | None = None,
        paces: Mapping[str, Sequence[Pace]] | None = None,
    ) -> None:  # fmt: skip
        self.rank = rank
        tolerance = TOLERANCES.get(rule, 0.0) if tolerance is None else tolerance
        one = paces or {"": supposed(checks * every, momentum, schedule, optim)}
        each = {component: tuple(some) for component, some in one.items()}
        self.settings = Settings(tuple(densities), every, patience, tolerance, rule, checks, seed, pooled, each)
        self.emerged: dict[float, int] = {}
        """Density -> the step at which it emerged."""
        self.trace: list[dict[str, Any]] = []
        """One entry for each look, density and component: see `look`."""
        self.looks, self.step = 0, 0
        self._levels = {density: RememberedMasks(density, patience) for density in self.settings.densities}
        self._orders: dict[str, Order] = {}
        self._begun = False

    @property
    def every(self) -> int:
        """Steps from one look to the next."""
        return self.settings.every

    def begin(self) -> None:
        """Look at the ranking before training, which the rules never take for a ticket."""
        for level in self._levels.values():
            level.initial = self._mask(level)
        if self.settings.corrects:
            self._orders = self._follow(self.rank.scores())
            require_some_told([order.vacuous for order in self._orders.values()])
        self._begun = True

    def _follow(self, scores: Mapping[str, Tensor], first: Mapping[str, Any] | None = None) -> dict[str, Order]:
        orders = {}
        for component, names in members(scores, self.settings.pooled).items():
            sample = Sample(scores, names, component, self.settings.seed, most_followed(self.settings, component))
            ranks = sample.ranks(scores) if first is None else first[component]
            orders[component] = Order(component, sample, ranks, self.settings)
        return orders

    def _mask(self, level: RememberedMasks) -> Masks | None:
        """The level's mask now, packed; None where it would leave nothing of a tensor, as early ones may."""
        try:
            level.refused = ""
            return packed(self.rank(level.density), pooled=self.settings.pooled)
        except TicketError as error:
            if error.status is not Status.FAILED:
                raise
            level.refused = str(error)
            return None

    @property
    def done(self) -> bool:
        """Whether every density has emerged."""
        return len(self.emerged) == len(self._levels)

    def look(self, step: int) -> list[float]:
        """Look at the masks after ``step`` steps; returns the densities that have emerged just now.

        Nothing happens at other steps than multiples of ``every``, nor twice at one. `trace` gets step, density and
        component with ``distance`` (largest to the older masks, None while there are too few), ``initial`` (to the mask
        before training), ``limit`` (of distance: the tolerance), ``share`` and ``share_limit`` (see `rules.Standing`).
        """
        if not self._begun:
            raise TicketError("an early bird was looked for before begin() had seen the ranking before training")
        if step % self.every or step <= self.step or self.done:
            return []
        self.step, self.looks = step, self.looks + 1
        if self._orders:
            scores = self.rank.scores()
            for order in self._orders.values():
                order.look(order.sample.ranks(scores), step)
        waiting = [level for density, level in self._levels.items() if density not in self.emerged]
        found = [level.density for level in waiting if self._has_emerged(level)]
        self.emerged |= dict.fromkeys(found, step)
        return found

    def _has_emerged(self, level: RememberedMasks) -> bool:
        masks = self._mask(level)
        if masks is None:
            level.queue.clear()
            return False
        level.queue.append(masks)
        standings = self._standings(level)
        for standing in standings:
            told = {key: value for key, value in vars(standing).items() if key != "shown"}
            self.trace.append({"step": self.step, "density": level.density, **told, "limit": self.settings.tolerance})
        return all(emerged(standing, self.settings) for standing in standings)

    def _standings(self, level: RememberedMasks) -> list[Standing]:
        found = level.distances(corrected if self.settings.corrects else hamming)
        return [self._standing(component, *distances) for component, distances in found.items()]

    def _standing(self, component: str, distance: float | None, initial: float | None) -> Standing:
        if (order := self._orders.get(component)) is None:
            return Standing(component, distance, initial)
        chance = order.nearest
        return Standing(component, distance, initial, chance.share, chance.limit, order.passed)

    @property
    def vacuous(self) -> list[str]:
        """Sentences on where the rule says nothing: components too narrow, or masks near each other by chance."""
        if self.settings.corrects:
            return [told for order in self._orders.values() if (told := order.vacuous)]
        return [told for density in self._levels if (told := vacuous_by_chance(density, self.settings.tolerance))]

    @property
    def null(self) -> dict[str, dict[str, Any]]:
        """What chance was taken for, by component, for JSON (see `Order.noise`); empty for the published rule."""
        return {component: order.noise for component, order in self._orders.items()}

    def why_not(self, density: float) -> str:
        """Why a density has not emerged, in a sentence."""
        if density not in self._levels:
            raise TicketError(f"density {density:g} is not watched, but {', '.join(map(str, self._levels))}")
        if density in self.emerged:
            return f"it has emerged at step {self.emerged[density]}"
        level = self._levels[density]
        head = f"no early bird emerged at {100 * (1 - density):.1f} % sparsity in {self.looks} looks"
        if level.refused:
            return f"{head}: {level.refused}"
        if len(level.queue) < self.settings.patience:
            return f"{head}: {self.settings.patience} in a row are needed; look more often (every)"
        clauses = [
            missing(each, self.settings.tolerance, level.lowest.get(each.component)) for each in self._standings(level)
        ]
        return f"{head}: {'; '.join(filter(None, clauses))}"

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything seen so far: values for JSON, and tensors (masks as packed bits, rankings of each look)."""
        levels = list(self._levels.values())
        told = {
            "settings": self.settings.told(),
            "looks": self.looks, "step": self.step, "trace": list(self.trace),
            "emerged": [[density, step] for density, step in self.emerged.items()],
            "levels": [level.told() for level in levels],
            "orders": {component: order.told() for component, order in self._orders.items()},
        }  # fmt: skip
        masks = {f"mask/{n}/{key}": t for n, level in enumerate(levels) for key, t in level.tensors().items()}
        return told, masks | {f"ranks/{component}": order.tensor() for component, order in self._orders.items()}

    def restore(self, told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`, bit for bit, instead of `begin`. TicketError (status 3) if it is of another watch."""
        for key, value in self.settings.told().items():
            if (found := told["settings"].get(key)) != value:
                message = f"the early bird's state was stored with {key} = {found}, not {value}"
                raise TicketError(message, Status.TICKET)
        for number, level in enumerate(self._levels.values()):
            level.take(told["levels"][number], _under(tensors, f"mask/{number}/"))
        if self.settings.corrects:
            first = {component: tensors[f"ranks/{component}"][0].cpu().numpy() for component in told["orders"]}
            self._orders = self._follow(self.rank.scores(), first)
        for component, order in self._orders.items():
            order.take(told["orders"][component], tensors[f"ranks/{component}"])
        self.emerged = dict(told["emerged"])
        self.looks, self.step, self.trace = told["looks"], told["step"], list(told["trace"])
        self._begun = True


def _under(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
