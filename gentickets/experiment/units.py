"""What a recipe asks for, as units of work with their needs: one round of one cell each. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gentickets.errors import TicketError
from gentickets.recipe.schema import rounds_of
from gentickets.recipe.sections import SCALABLE
from gentickets.results import Key as Key
from gentickets.seeds import derive

SCALABLE_OF_TRANSFER = ("shuffle", "mask")
"""The same among the controls of a transfer."""
LONGER = "-longer"
SCALED = "-scaled"
NARROW = ("narrow", "narrow-weights")
"""Dense networks of the ticket's theoretical FLOPs, and of its number of weights."""
SEARCH = "search"
"""The arm of a dense training that is watched for early birds, and ends when all have emerged."""
SCRATCH = ("scratch", "scratch-flops")
"""Networks as narrow as an early bird's, from initialization: in as many steps, and in as many FLOPs."""
OWN_START = ("reinit", "narrow", "scratch")
"""Beginnings of the names of arms that are trained from an initialization, not from the ticket's start."""
WIDTH = "width"
"""The arm of a dense network at one of several widths; its round is the width's place."""
TRANSFER = "transfer"
"""The arm of a ticket carried over from another model, and the beginning of its controls' names."""
TWICE = "dense-twice"
"""The arm of a dense model that is trained twice as long, which says whether the dense run is trained."""
FORK, OTHER = "fork-", "-other"
"""Beginning of the names of arms that train the ticket's mask from a step of the dense run, as ``fork-50``; and the end
of those of them that do it in another order of data."""
BESIDE = "beside"
"""The arm that looks at the stored networks of its seed, and trains none."""


@dataclass(frozen=True)
class Unit:
    """One round of one cell."""

    seed: int
    arm: str
    round: int
    span: int
    """Steps that its schedule spans."""
    steps: int
    """Optimizer steps that it takes."""
    needs: tuple[Key, ...] = ()
    """Units that must be done before."""

    @property
    def key(self) -> Key:
        """What names it."""
        return (self.seed, self.arm, self.round)

    @property
    def base_arm(self) -> str:
        """The arm without its variants: ``shuffle`` of ``shuffle-scaled-longer``."""
        return self.arm.removesuffix(LONGER).removesuffix(SCALED)

    @property
    def scaled(self) -> bool:
        """Whether survivors are scaled."""
        return self.arm.removesuffix(LONGER).endswith(SCALED)

    @property
    def longer(self) -> bool:
        """Whether it is trained several times as long."""
        return self.arm.endswith(LONGER)

    @property
    def twins(self) -> list[Key]:
        """Of a longer control, its short arms with and without scaling, where it is trained from the better one."""
        return [
            need for need in self.needs if self.longer and need[1].removesuffix(SCALED) == self.base_arm != "ticket"
        ]

    @property
    def picks_best(self) -> bool:
        """Whether its figures are those of its best checkpoint on validation, instead of its last."""
        return self.longer or self.base_arm == "budget"

    @property
    def fork(self) -> int | None:
        """Of a fork, the step of the dense run that it starts from."""
        return int(self.arm.removeprefix(FORK).removesuffix(OTHER)) if self.arm.startswith(FORK) else None

    @property
    def order(self) -> int:
        """The seed from which its batches and draws follow, once its ticket is made; another one for some forks."""
        other = self.arm.startswith(FORK) and self.arm.endswith(OTHER)
        return derive(self.seed, "fork") if other else self.seed

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.arm}, round {self.round}"


def unit_of(record: Mapping[str, Any]) -> Unit:
    """A unit as it went through JSON."""
    return Unit(**{**record, "needs": tuple(tuple(need) for need in record["needs"])})


def search_budget(recipe: Mapping[str, Any]) -> int:
    """Optimizer steps behind one seed's last ticket: the dense run and the rounds that led to it."""
    train, search = recipe["train"], recipe["search"]
    rounds = search["rounds"] if search["method"] == "iterative" else 1
    return int(train["steps"] + rounds * (train["steps"] - search["rewind_to"]))


def control_arms(recipe: Mapping[str, Any]) -> list[str]:
    """The controls' arms, scaled twins included."""
    arms: list[str] = []
    for control in recipe["search"]["controls"]:
        scaling = recipe["search"]["scaling"] if control in SCALABLE else "off"
        arms += [control] if scaling in ("off", "both") else []
        arms += [control + SCALED] if scaling in ("on", "both") else []
    return arms


def transfer_arms(recipe: Mapping[str, Any]) -> list[str]:
    """The arms of a transferred ticket: itself, and its controls with their scaled twins."""
    transfer = recipe.get("transfer")
    if not transfer:
        return []
    arms = [TRANSFER]
    for control in transfer["controls"]:
        twins = recipe["search"]["scaling"] if control in SCALABLE_OF_TRANSFER else "off"
        arms += [f"{TRANSFER}-{control}"] if twins in ("off", "both") else []
        arms += [f"{TRANSFER}-{control}{SCALED}"] if twins in ("on", "both") else []
    return arms


def from_own_weights(arm: str, recipe: Mapping[str, Any]) -> bool:
    """Whether an arm of a transfer starts from the target's own early weights, of the step that is rewound to."""
    moves = recipe["transfer"]["moves"]
    return bool(moves == "mask" or arm.startswith(f"{TRANSFER}-mask"))


def plan_units(
    recipe: Mapping[str, Any], seeds: list[int], control_rounds: list[int], claim_round: int | None
) -> list[Unit]:
    """Every unit of a run, each after what it needs; long ones early, so that workers end together."""
    steps, rewind = recipe["train"]["steps"], recipe["search"]["rewind_to"]
    method, longer = recipe["search"]["method"], recipe["search"]["longer"]
    controls = control_arms(recipe)
    if method == "widths":
        return [Unit(seed, WIDTH, i, steps, steps) for i in reversed(rounds_of(recipe["search"])) for seed in seeds]
    if longer and claim_round is None:
        raise TicketError("search.longer needs a declared [claim] level: the round at which all arms train longer")
    units: list[Unit] = []
    for seed in seeds:
        if method == "early_bird":
            units.append(Unit(seed, SEARCH, 0, steps, steps))
        if recipe["search"]["budget"]:
            units.append(Unit(seed, "budget", 0, search_budget(recipe), search_budget(recipe)))
    for round in [0, *rounds_of(recipe["search"])]:
        for seed in seeds:
            needs = _needs(recipe["search"], seed, round)
            units.append(Unit(seed, "ticket", round, steps, steps - (rewind if round else 0), needs))
    for seed in seeds:
        if longer:
            units.append(_longer(seed, "dense", 0, longer * steps, rewind))
            units.append(_longer(seed, "ticket", claim_round or 0, longer * steps, rewind))
        for round in control_rounds:
            units += [_control(seed, arm, round, steps, rewind) for arm in controls]
        if longer:
            units += _longer_controls(recipe, seed, claim_round or 0, longer * steps)
        units += _transferred(recipe, seed, claim_round)
    if method == "early_bird":
        units = [_after_search(unit) for unit in units]
    return units + _of_verdict(recipe, seeds, claim_round, units)


def _of_verdict(
    recipe: Mapping[str, Any], seeds: list[int], claim_round: int | None, planned: list[Unit]
) -> list[Unit]:
    """The units of [verdict]; what looks at all others of its seed comes last."""
    if (verdict := recipe.get("verdict")) is None:
        return []
    steps, rewind = recipe["train"]["steps"], recipe["search"]["rewind_to"]
    round = claim_round or rounds_of(recipe["search"])[-1]
    units: list[Unit] = []
    for seed in seeds:
        if verdict["twice"]:
            units.append(Unit(seed, TWICE, 0, 2 * steps, 2 * steps - rewind, ((seed, "ticket", 0),)))
        for step in verdict["forks"]:
            both = [] if step == rewind else [f"{FORK}{step}"]  # from there, the ticket itself is the other one
            arms = [*both, f"{FORK}{step}{OTHER}"] if step == rewind or seed == seeds[0] else []
            taken = steps - (rewind if step >= rewind else 0)
            units += [Unit(seed, arm, round, steps, taken, ((seed, "ticket", round),)) for arm in arms]
    if verdict["beside"]:
        seen = {("ticket", 0), ("ticket", round), *((arm, round) for arm in control_arms(recipe))}
        looked: dict[int, list[Key]] = {seed: [] for seed in seeds}
        for unit in [*planned, *units]:
            if (unit.arm, unit.round) in seen or unit.fork is not None:
                looked[unit.seed].append(unit.key)
        units += [Unit(seed, BESIDE, round, 0, 0, tuple(looked[seed])) for seed in seeds]
    return units


def _after_search(unit: Unit) -> Unit:
    """A unit of an early bird's run, which needs the search where it looks at the state in which its level emerged."""
    apart = unit.arm in ("ticket", "budget", SEARCH) or unit.arm.startswith(("dense", TRANSFER))
    if apart or unit.base_arm in (*NARROW, "scratch"):
        return unit
    return replace(unit, needs=(*unit.needs, (unit.seed, SEARCH, 0)))


def _transferred(recipe: Mapping[str, Any], seed: int, claim_round: int | None) -> list[Unit]:
    """The units of a transfer. What moves weights starts at step 0, with all steps before it."""
    steps, longer = recipe["train"]["steps"], recipe["search"]["longer"]
    units = []
    for arm in transfer_arms(recipe):
        own = from_own_weights(arm, recipe)
        start, needs = (recipe["search"]["rewind_to"], ((seed, "ticket", 0),)) if own else (0, ())
        for round in recipe["transfer"]["rounds"]:
            units.append(Unit(seed, arm, round, steps, steps - start, needs))
            if longer and arm == TRANSFER and round == claim_round:
                units.append(Unit(seed, arm + LONGER, round, longer * steps, longer * steps - start, needs))
    return units


def _needs(search: Mapping[str, Any], seed: int, round: int) -> tuple[Key, ...]:
    """What a ticket's round starts from: the round before, the dense run, or the search of early birds."""
    if not round:
        return ()
    if search["method"] != "early_bird":
        return ((seed, "ticket", round - 1 if search["method"] == "iterative" else 0),)
    rewound = ((seed, "ticket", 0),) if search["after"] == "rewind" else ()
    return ((seed, SEARCH, 0), *rewound)


def _control(seed: int, arm: str, round: int, steps: int, rewind: int) -> Unit:
    own_start = arm.startswith(OWN_START)
    return Unit(seed, arm, round, steps, steps - (0 if own_start else rewind), ((seed, "ticket", round),))


def _longer_controls(recipe: Mapping[str, Any], seed: int, round: int, span: int) -> list[Unit]:
    """Controls trained longer; of one with a scaled twin, the version that is better at short steps."""
    rewind, arms = recipe["search"]["rewind_to"], control_arms(recipe)
    units = []
    for arm in arms:
        if arm == "scratch-flops" or arm.removesuffix(SCALED) in arms[: arms.index(arm)]:
            continue  # its length is that of the search, or its twin stands for both
        unit = _longer(seed, arm, round, span, rewind)
        both = [(seed, one, round) for one in (arm, arm + SCALED)] if arm + SCALED in arms else []
        units.append(replace(unit, needs=(*unit.needs, *both)))
    return units


def _longer(seed: int, arm: str, round: int, span: int, rewind: int) -> Unit:
    own_start = arm.startswith(OWN_START)
    return Unit(seed, arm + LONGER, round, span, span - (0 if own_start else rewind), ((seed, "ticket", round),))
