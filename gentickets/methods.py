"""Methods: every way to search for tickets, in one table: what a level is made from, what that costs, how it is said.

A new method is a row of `METHODS`, its function in `search/`, and its line in `search.MADE_BY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["round before", "dense run", "dense start", "watched run", "none"]
"""What a level's ticket is made from: what the round before, or the dense run, was trained to; the state that the dense
run starts from; a state of a dense training that is watched; or none, where nothing is pruned."""


@dataclass(frozen=True)
class Method:
    """One method: everything that is asked of it. Its texts have places in braces, which their readers fill in."""

    name: str
    """In recipes, results and tickets."""
    basis: Basis
    options: tuple[str, ...]
    """Keys of [search] that mean nothing with every method, and something with this one."""
    title: str
    """As a fact of a run, with ``cuts``, ``ranked`` (weights or channels), ``widen`` and ``widths``."""
    levels: str
    """What a seed of its recipe has, with ``count``, ``levels``, ``by``, ``criterion`` and ``removed``."""
    found: str = ""
    """How its tickets were found, with ``at``, ``by``, ``scored``, ``in_cuts``, ``ranked``, ``in_brackets``,
    ``by_rule`` and ``goes_on``."""
    found_plainly: str | None = None
    """The same where weights are ranked by magnitude, if that is said otherwise."""
    remark: str = ""
    """What a reader of its table must know."""

    @property
    def prunes(self) -> bool:
        """Whether there are tickets at all, rather than dense networks alone."""
        return self.basis != "none"

    @property
    def goes_round_by_round(self) -> bool:
        """Whether each round rests on the one before; else each level stands by itself."""
        return self.basis == "round before"

    @property
    def trains_dense_first(self) -> bool:
        """Whether a ticket needs a whole dense training, so that it costs more than its own."""
        return self.basis in ("round before", "dense run")

    @property
    def prunes_at_start(self) -> bool:
        """Whether tickets are made before anything is trained."""
        return self.basis == "dense start"

    @property
    def watches(self) -> bool:
        """Whether tickets are found while a dense training is watched, which is an arm of its own."""
        return self.basis == "watched run"

    @property
    def masks_dense(self) -> bool:
        """Whether a ticket is a mask over the weights of one step of the dense run."""
        return self.prunes and not self.watches

    def steps_behind(self, steps: int, start: int, round: int) -> int:
        """Optimizer steps behind a ticket of one round: its search's and its own, each step counted once.

        ``steps`` is a training's length, ``start`` the step that is rewound to, to which the dense run alone trains. An
        early bird that goes on from where it emerged has no others; of one that is rewound, those of its search come on
        top, and are known once it has emerged.
        """
        if not self.trains_dense_first:
            return steps
        return steps + (round if self.goes_round_by_round else 1) * (steps - start)

    def is_search(self, *, warm_up: bool) -> bool:
        """Whether a phase of the dense run is a part of what finding a ticket costs."""
        return self.trains_dense_first or (self.prunes_at_start and warm_up)


ITERATIVE, ONE_SHOT, AT_START, EARLY_BIRD = "iterative", "one_shot", "at_start", "early_bird"

_ROWS = (
    Method(
        ITERATIVE, "round before", (), "iterative: each round prunes what the last one trained",
        levels="{count} rounds{by}", found="pruned{by}", found_plainly="",
    ),
    Method(
        ONE_SHOT, "dense run", ("only_rounds",),
        "one shot: each level is pruned by itself from the trained dense model",
        levels="{count} levels in one shot{by}", found="pruned in one shot{by}",
        remark="Each level is pruned by itself; dense is the same training without a mask.",
    ),
    Method(
        AT_START, "dense start", ("only_rounds", "cuts"),
        "at the start: each level is pruned by itself from the state that is trained, in {cuts}",
        levels="{count} levels at the start by {criterion}", found="found at {at} by {scored}{in_cuts}",
        remark="Each level is pruned by itself; dense is the same training without a mask.",
    ),
    Method(
        EARLY_BIRD, "watched run",
        ("only_rounds", "by", "every", "patience", "tolerance", "rule", "gamma_l1", "after", "multiple"),
        "early bird: one dense training is looked at until the best {ranked} of a level have stopped changing",
        levels="early birds at {levels} by {removed}",
        found="an early bird by {ranked}{in_brackets}{by_rule}, {goes_on}",
        remark="Each level is found by itself; dense is the same training in the whole networks.",
    ),
    Method(
        "widths", "none", ("widths", "widen"), "widths: dense models with {widen} = {widths}; nothing is pruned",
        levels="{count} widths",
    ),
)  # fmt: skip
METHODS = {method.name: method for method in _ROWS}
"""Every method by name."""
METHODS_OF = {
    key: tuple(method.name for method in _ROWS if key in method.options)
    for key in dict.fromkeys(key for method in _ROWS for key in method.options)
}
"""Key of [search] -> the methods with which it means something; others mean something with all."""
