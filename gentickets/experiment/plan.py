"""Plans a recipe as units of work with their needs: one round of one arm and seed each. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gentickets.arms import (
    BESIDE,
    BUDGET,
    DENSE,
    DENSE_WHOLE,
    FORK,
    SEARCH,
    TICKET,
    TRANSFER,
    TWICE,
    WIDTH,
    ArmKind,
    ArmName,
    asked_for,
    kind_of,
)
from gentickets.errors import TicketError
from gentickets.recipe import Recipe
from gentickets.recipe.meaning import random_seeds
from gentickets.recipe.whole import total_steps, whole_arms
from gentickets.results import Key as Key
from gentickets.seeds import derive


@dataclass(frozen=True)
class Unit:
    """One round of one arm and seed."""

    seed: int
    """The repetition's number, by which folders, tables and results name it."""
    arm: str
    round: int
    span: int
    """Steps that its schedule spans."""
    steps: int
    """Optimizer steps that it takes."""
    needs: tuple[Key, ...] = ()
    """Units that must be done before."""
    drawn: int | None = None
    """The seed of its random streams; none: the repetition's number itself."""

    @property
    def key(self) -> Key:
        """What names it."""
        return (self.seed, self.arm, self.round)

    @property
    def name(self) -> ArmName:
        """Its arm's name, taken apart."""
        return ArmName.of(self.arm)

    @property
    def kind(self) -> ArmKind:
        """What is known of its arm."""
        return self.name.kind

    @property
    def variants(self) -> list[Key]:
        """Of a longer control, its short arms with and without scaling, where it is trained from the better one."""
        if not self.name.longer or self.kind.role == "ticket":
            return []
        return [need for need in self.needs if ArmName.of(need[1]).base == self.name.base]

    @property
    def prunes(self) -> bool:
        """Whether its ticket comes from scores, rather than from dense training or another ticket."""
        found = self.kind.role == "ticket" and self.round > 0 and not self.name.longer
        return found or self.kind.criterion is not None

    @property
    def random_seed(self) -> int:
        """The seed that its weights, data order and noise follow from."""
        return self.seed if self.drawn is None else self.drawn

    @property
    def order(self) -> int:
        """The seed from which its batches and draws follow, once its ticket is made; another one for some forks."""
        return derive(self.random_seed, "fork") if self.name.other else self.random_seed

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.arm}, round {self.round}"


def unit_of(record: Mapping[str, Any]) -> Unit:
    """A unit as it went through JSON."""
    return Unit(**{**record, "needs": tuple(tuple(need) for need in record["needs"])})


def search_budget(recipe: Recipe) -> int:
    """Optimizer steps behind one seed's last ticket: the dense run and the rounds that led to it."""
    return total_steps(recipe, recipe.search.rounds)


def control_arms(recipe: Recipe) -> list[str]:
    """The controls' arms, scaled variants included."""
    search = recipe.search
    return [arm for control in search.controls for arm in asked_for(control, search.scaling)]


def transfer_arms(recipe: Recipe) -> list[str]:
    """The arms of a transferred ticket: itself, and its controls with their scaled variants."""
    if recipe.transfer is None:
        return []
    controls = [f"{TRANSFER}-{control}" for control in recipe.transfer_controls]
    return [TRANSFER, *(arm for control in controls for arm in asked_for(control, recipe.search.scaling))]


def from_own_weights(arm: str, recipe: Recipe) -> bool:
    """Whether an arm of a transfer starts from the target's own early weights, of the step that is rewound to."""
    moves = kind_of(arm).moves or (recipe.transfer and recipe.transfer.moves)
    return moves == "mask"


def plan_units(recipe: Recipe) -> list[Unit]:
    """Every unit of a run, each after what it needs; long ones early, so that workers end together."""
    drawn = random_seeds(recipe)
    units = _planned(recipe)
    return units if drawn is None else [replace(unit, drawn=drawn[unit.seed]) for unit in units]


def _planned(recipe: Recipe) -> list[Unit]:
    steps, rewind, seeds = recipe.train.steps, recipe.search.rewind_to, recipe.seeds
    method, longer, claimed = recipe.method, recipe.search.longer, recipe.claim_round
    controls = control_arms(recipe)
    if not method.prunes:
        return [Unit(seed, WIDTH, i, steps, steps) for i in reversed(recipe.rounds) for seed in seeds]
    if longer and claimed is None:
        raise TicketError("search.longer needs a declared [claim] level: the round at which all arms train longer")
    units: list[Unit] = []
    for seed in seeds:
        if method.watches:
            units.append(Unit(seed, SEARCH, 0, steps, steps))
        if recipe.budget:
            units.append(Unit(seed, BUDGET, 0, search_budget(recipe), search_budget(recipe)))
    for round in [0, *recipe.rounds]:
        for seed in seeds:
            needs = _needs(recipe, seed, round)
            units.append(Unit(seed, TICKET, round, steps, steps - (rewind if round else 0), needs))
    for seed in seeds:
        if longer:
            units.append(_longer(seed, DENSE, 0, longer * steps, rewind))
            units.append(_longer(seed, TICKET, claimed or 0, longer * steps, rewind))
        for round in recipe.control_rounds:
            units += [_control(seed, arm, round, steps, rewind) for arm in controls]
        if longer:
            units += _longer_controls(recipe, seed, claimed or 0, longer * steps)
        units += _transferred(recipe, seed) + _whole(recipe, seed, claimed or 0)
    if method.watches:
        units = [_after_search(unit) for unit in units]
    return units + _of_verdict(recipe, units)


def _whole(recipe: Recipe, seed: int, round: int) -> list[Unit]:
    """The units of equal total compute, from step 0 on; of an early bird that is rewound, its search sets the length.

    All but the dense one have the ticket's mask, size or cost.
    """
    steps, ticket = total_steps(recipe, round), ((seed, TICKET, round),)
    return [Unit(seed, arm, round, steps, steps, () if arm == DENSE_WHOLE else ticket) for arm in whole_arms(recipe)]


def _of_verdict(recipe: Recipe, planned: list[Unit]) -> list[Unit]:
    """The units of [verdict]; what looks at all others of its seed comes last."""
    if (verdict := recipe.verdict) is None:
        return []
    steps, rewind, seeds = recipe.train.steps, recipe.search.rewind_to, recipe.seeds
    round = recipe.claim_round or recipe.rounds[-1]
    units: list[Unit] = []
    for seed in seeds:
        if verdict.twice:
            units.append(Unit(seed, TWICE, 0, 2 * steps, 2 * steps - rewind, ((seed, TICKET, 0),)))
        for step in recipe.fork_steps:
            one, other = ArmName(FORK, fork=step), ArmName(FORK, fork=step, other=True)
            both = [other] if step == rewind else [one, other]  # from there, the ticket itself is the other one
            arms = map(str, both) if step == rewind or seed == seeds[0] else ()
            taken = steps - (rewind if step >= rewind else 0)
            units += [Unit(seed, arm, round, steps, taken, ((seed, TICKET, round),)) for arm in arms]
    if verdict.beside:
        seen = {(TICKET, 0), (TICKET, round), *((arm, round) for arm in control_arms(recipe))}
        looked: dict[int, list[Key]] = {seed: [] for seed in seeds}
        for unit in [*planned, *units]:
            if (unit.arm, unit.round) in seen or unit.kind.name == FORK:
                looked[unit.seed].append(unit.key)
        units += [Unit(seed, BESIDE, round, 0, 0, tuple(looked[seed])) for seed in seeds]
    return units


def _after_search(unit: Unit) -> Unit:
    """A unit of an early bird's run, which needs the search where it looks at the state in which its level emerged."""
    need = (unit.seed, SEARCH, 0)
    if not (unit.round and unit.kind.needs_search) or need in unit.needs:
        return unit
    return replace(unit, needs=(*unit.needs, need))


def _transferred(recipe: Recipe, seed: int) -> list[Unit]:
    """The units of a transfer. What moves weights starts at step 0, with all steps before it."""
    steps, longer = recipe.train.steps, recipe.search.longer
    units = []
    for arm in transfer_arms(recipe):
        own = from_own_weights(arm, recipe)
        start, needs = (recipe.search.rewind_to, ((seed, TICKET, 0),)) if own else (0, ())
        for round in recipe.transfer_rounds:
            units.append(Unit(seed, arm, round, steps, steps - start, needs))
            if longer and arm == TRANSFER and round == recipe.claim_round:
                long = str(ArmName(arm, longer=True))
                units.append(Unit(seed, long, round, longer * steps, longer * steps - start, needs))
    return units


def _needs(recipe: Recipe, seed: int, round: int) -> tuple[Key, ...]:
    """What a ticket's round starts from: the round before, the dense run, or the search of early birds."""
    if not round:
        return ()
    if not (method := recipe.method).watches:
        return ((seed, TICKET, round - 1 if method.goes_round_by_round else 0),)
    rewound = ((seed, TICKET, 0),) if recipe.search.after == "rewind" else ()
    return ((seed, SEARCH, 0), *rewound)


def _control(seed: int, arm: str, round: int, steps: int, rewind: int) -> Unit:
    taken = steps - (0 if kind_of(arm).own_start else rewind)
    return Unit(seed, arm, round, steps, taken, ((seed, TICKET, round),))


def _longer_controls(recipe: Recipe, seed: int, round: int, span: int) -> list[Unit]:
    """Controls trained longer; of one with a scaled variant, the one that is better at short steps."""
    rewind, scaling = recipe.search.rewind_to, recipe.search.scaling
    units = []
    for control in recipe.search.controls:
        if kind_of(control).matched:
            continue  # its length is that of the search
        first, *others = asked_for(control, scaling)
        unit = _longer(seed, first, round, span, rewind)
        both = [(seed, arm, round) for arm in (first, *others)] if others else []
        units.append(replace(unit, needs=(*unit.needs, *both)))
    return units


def _longer(seed: int, arm: str, round: int, span: int, rewind: int) -> Unit:
    name = ArmName.of(arm).of_length(longer=True)
    return _control(seed, str(name), round, span, rewind)
