"""Arms: every kind of network that a run trains, in one table, and the names by which its results are stored.

A new kind of arm is a row of `KINDS` and what makes its ticket (`controls.MADE_BY` for a control of the ticket's size).
Whoever asks anything of an arm asks its row; whoever takes a name apart or puts one together asks `ArmName`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Role = Literal["dense", "search", "ticket", "control", "whole", "transfer", "diagnostic"]
"""``dense``: a dense model, which belongs to no level of the ticket; ``search``: the training that is watched for early
birds; ``control``: what a ticket must beat; ``whole``: what the same total compute gives without a ticket;
``transfer``: a ticket from another model, and its own controls; ``diagnostic``: what only serves to look at networks
beside a verdict."""


@dataclass(frozen=True)
class ArmKind:
    """One kind of arm: everything that is asked of it."""

    name: str
    """In the run's folder and in recipes, without scaling and length."""
    title: str
    """As a person writes it."""
    role: Role
    start: Literal["ticket", "initialization", "other initialization"] = "ticket"
    """What it is trained from: the ticket's start, or an initialization, so that it takes every step."""
    scalable: bool = False
    """Whether it has a variant whose survivors are scaled by (kept fraction of the layer)^-1/2."""
    random: bool = False
    """Whether it is a sparse random ticket, which a transferred ticket has to beat."""
    standard: bool = False
    """Whether a verdict asks for it, as a control of masks or of channels."""
    needs_search: bool = False
    """Whether it looks at the state in which an early bird emerged."""
    rests_on_search: bool = False
    """Whether it starts from what the search found, so that the search is part of its cost: the mask, the layers'
    densities, or the step at which the search ended."""
    of_channels: bool = False
    """Whether it is a control of tickets whose channels were removed."""
    equal: Literal["flops", "weights"] | None = None
    """Of a narrower dense model: what it has as much of as the ticket."""
    criterion: str | None = None
    """Of a control that is pruned at the start: the criterion that scores the weights."""
    matched: bool = False
    """Whether it has the compute of search and ticket together: more steps than the ticket, so that no claim at equal
    steps is judged by it, and none trains longer."""
    like: str = ""
    """Of an arm of equal total compute: the arm that it would be with the ticket's own steps."""
    picks_best: bool = False
    """Whether its figures are those of its best checkpoint on validation, instead of its last."""
    essential: bool = False
    """Whether a run has failed where it has."""
    has_ticket: bool = True
    moves: str | None = None
    """Of an arm of a transfer: what it takes from the source, where that is not what [transfer] moves."""

    @property
    def own_start(self) -> bool:
        """Whether it is trained from an initialization, not from the ticket's start."""
        return self.start != "ticket"

    @property
    def narrower(self) -> bool:
        """Whether it has smaller networks instead of a mask: no sparsity, but as small as the ticket of its round."""
        return self.of_channels or self.equal is not None

    @property
    def whole(self) -> bool:
        """Whether it takes as many steps as went into the ticket, search included: the second verdict's opponent."""
        return self.role == "whole"

    @property
    def sparse(self) -> bool:
        """Whether its round has a sparsity."""
        return DENSE not in (self.role, self.like) and self.role != "search" and self.equal is None

    @property
    def in_tables(self) -> bool:
        """Whether it stands in tables, and is looked at beside a verdict."""
        return self.role not in ("search", "diagnostic")

    @property
    def of_transfer(self) -> bool:
        """Whether it has something of another model: a ticket carried over, or one of its own controls."""
        return self.role == "transfer"

    @property
    def option(self) -> str:
        """What a recipe's list of controls calls it: ``shuffle``, also of a transfer's."""
        return self.name.removeprefix(f"{TRANSFER}-")

    @property
    def place(self) -> int:
        """Where it stands in a table: dense models, search and ticket first; the others come in the recipe's order."""
        return _FIRST.get(self.name, len(_FIRST))


DENSE, TWICE, BUDGET, WIDTH = "dense", "dense-twice", "budget", "width"
DENSE_WHOLE = "dense-whole"
SEARCH, TICKET, TRANSFER, FORK, BESIDE = "search", "ticket", "transfer", "fork", "beside"
MATCHED = "scratch-flops"
UNMASKED, MASK_ALONE = "transfer-unmasked", "transfer-mask"

_ROWS = (
    # dense models; a ticket's round 0 is the dense run, and only its longer variant has a folder of this name
    ArmKind(DENSE, "dense", "dense"),
    ArmKind(TWICE, "dense, twice as long", "dense"),
    ArmKind(BUDGET, "dense, whole budget", "dense", "initialization", picks_best=True, essential=True),
    ArmKind(WIDTH, "width", "dense", "initialization"),
    # the search of early birds, and the ticket
    ArmKind(SEARCH, "early-bird search", "search", "initialization", has_ticket=False),
    ArmKind(TICKET, "ticket", "ticket", needs_search=True, rests_on_search=True, essential=True),
    # controls of masks
    ArmKind(
        "reinit", "re-initialized", "control", "other initialization",
        scalable=True, random=True, standard=True, needs_search=True, rests_on_search=True,
    ),
    ArmKind(
        "reinit0", "re-initialized at step 0", "control", "other initialization",
        scalable=True, random=True, needs_search=True, rests_on_search=True,
    ),
    ArmKind(
        "shuffle", "shuffled mask", "control",
        scalable=True, random=True, standard=True, needs_search=True, rests_on_search=True,
    ),
    ArmKind("random-erk", "random (ERK)", "control", scalable=True, random=True, standard=True, needs_search=True),
    ArmKind("random-uniform", "random (uniform)", "control", scalable=True, random=True, needs_search=True),
    # narrower dense models
    ArmKind("narrow", "narrow dense of equal FLOPs", "control", "initialization", standard=True, equal="flops"),
    ArmKind("narrow-weights", "narrow dense of equal weights", "control", "initialization", equal="weights"),
    # controls of channels
    ArmKind(
        "random-channels", "random channels", "control",
        standard=True, of_channels=True, needs_search=True, rests_on_search=True,
    ),
    ArmKind(
        "low-channels", "lowest-scored channels", "control",
        standard=True, of_channels=True, needs_search=True, rests_on_search=True,
    ),
    ArmKind("scratch", "narrow from scratch", "control", "initialization", standard=True, of_channels=True),
    ArmKind(
        MATCHED, "narrow from scratch, equal FLOPs", "control", "initialization",
        of_channels=True, needs_search=True, matched=True,
    ),
    # what the ticket's own steps and those of its search give otherwise, every one of them from an initialization
    ArmKind(
        DENSE_WHOLE, "dense, equal total steps", "whole", "initialization", needs_search=True, like=DENSE,
    ),
    ArmKind(
        "random-erk-whole", "random (ERK), equal total steps", "whole", "initialization",
        random=True, needs_search=True, like="random-erk",
    ),
    ArmKind(
        "reinit-whole", "re-initialized, equal total steps", "whole", "other initialization",
        random=True, needs_search=True, rests_on_search=True, like="reinit0",
    ),
    ArmKind(
        "narrow-whole", "narrow dense, equal total steps", "whole", "initialization",
        equal="flops", needs_search=True, like="narrow",
    ),
    ArmKind(
        "scratch-whole", "narrow from scratch, equal total steps", "whole", "initialization",
        of_channels=True, needs_search=True, rests_on_search=True, like="scratch",
    ),
    # controls that are pruned at the start
    ArmKind("snip", "SNIP", "control", criterion="snip", needs_search=True),
    ArmKind("grasp", "GraSP", "control", criterion="grasp", needs_search=True),
    ArmKind("synflow", "SynFlow", "control", criterion="synflow", needs_search=True),
    # a transferred ticket, and its own controls
    ArmKind(TRANSFER, "transferred", "transfer", essential=True),
    ArmKind(UNMASKED, "transferred without mask", "transfer"),
    ArmKind(MASK_ALONE, "transferred mask alone", "transfer", scalable=True, moves="mask"),
    ArmKind("transfer-shuffle", "transferred mask shuffled", "transfer", scalable=True, random=True),
    ArmKind("transfer-signs-shuffle", "transferred signs shuffled", "transfer", random=True),
    # the diagnostics of a verdict
    ArmKind(FORK, "two orders of data", "diagnostic"),
    ArmKind(BESIDE, "looking beside", "diagnostic", has_ticket=False),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ROWS}
"""Every kind of arm by name, in the order in which arms are listed."""
_FIRST = {kind.name: place for place, kind in enumerate(_ROWS) if kind.role in ("dense", "search", "ticket")}
CONTROLS = tuple(kind.name for kind in _ROWS if kind.role == "control")
"""What [search] controls may name."""
WHOLE = tuple(kind.name for kind in _ROWS if kind.whole)
"""What a ticket that was searched is held against at equal total compute."""
OF_TRANSFER = tuple(kind.name for kind in _ROWS if kind.of_transfer)
"""A transferred ticket and its controls, in the order in which they are told."""
TRANSFER_CONTROLS = tuple(KINDS[name].option for name in OF_TRANSFER if name != TRANSFER)
"""What [transfer] controls may name."""


@dataclass(frozen=True)
class ArmName:
    """An arm's name, taken apart: ``str(ArmName("shuffle", scaled=True))`` is ``shuffle-scaled``."""

    base: str
    scaled: bool = False
    """Whether its survivors are scaled."""
    longer: bool = False
    """Whether it is trained several times as long."""
    fork: int | None = None
    """Of a fork, the step of the dense run from which it trains the ticket's mask."""
    other: bool = False
    """Of a fork: whether it is trained in another order of data."""

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(text: str) -> ArmName:
        """The name that a text spells. One that nobody knows is a name too: a run may hold what it likes."""
        short = text.removesuffix("-longer")
        base = short.removesuffix("-scaled")
        if match := re.fullmatch(r"fork-(\d+)(-other)?", text):
            return ArmName(FORK, fork=int(match[1]), other=match[2] is not None)
        return ArmName(base, base != short, short != text)

    def __str__(self) -> str:
        """As it stands in results, in folders and in the needs of a job."""
        step = "" if self.fork is None else f"-{self.fork}"
        return f"{self.base}{step}{'-other' * self.other}{'-scaled' * self.scaled}{'-longer' * self.longer}"

    @property
    def kind(self) -> ArmKind:
        """What is known of it. What nobody knows counts as a control of that name."""
        return KINDS.get(self.base) or ArmKind(self.base, self.base, "control")

    @property
    def title(self) -> str:
        """As a person writes it, e.g. ``re-initialized, scaled, longer``."""
        if self.fork is not None:
            return f"ticket forked at step {self.fork}{', other order' * self.other}"
        return f"{self.kind.title}{', scaled' * self.scaled}{', longer' * self.longer}"

    @property
    def picks_best(self) -> bool:
        """Whether its figures are those of its best checkpoint on validation, instead of its last."""
        return self.longer or self.kind.picks_best

    @property
    def essential(self) -> bool:
        """Whether a run has failed where it has."""
        return self.kind.essential and not self.longer

    @property
    def is_ticket(self) -> bool:
        """Whether it is a ticket that is judged: the run's own, or the one carried over."""
        return self.base in (TICKET, TRANSFER) and not self.longer

    @property
    def at_no_level(self) -> bool:
        """Whether it belongs to no level of the ticket: a dense model at the recipe's length."""
        return self.kind.role == "dense" and not self.longer

    def of_length(self, longer: bool) -> ArmName:
        """The same arm at the recipe's length, or trained longer."""
        return replace(self, longer=longer)


def kind_of(arm: str) -> ArmKind:
    """The row of an arm, whatever its variant."""
    return ArmName.of(arm).kind


def variants(arm: str, *, longer: bool = False) -> tuple[str, str]:
    """The names of an arm without and with scaled survivors."""
    return str(ArmName(arm, longer=longer)), str(ArmName(arm, scaled=True, longer=longer))


def asked_for(arm: str, scaling: str) -> list[str]:
    """The variants that a run has of an arm, as its recipe's ``scaling`` says: ``off``, ``on`` or ``both``."""
    if not KINDS[arm].scalable:
        return [arm]
    plain, scaled = variants(arm)
    return {"off": [plain], "on": [scaled], "both": [plain, scaled]}[scaling]


def reported_as(arm: str, round: int) -> str:
    """The name by which a result is told: the ticket's round 0 is the dense run."""
    return DENSE if (arm, round) == (TICKET, 0) else arm
