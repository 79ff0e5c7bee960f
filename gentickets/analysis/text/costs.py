"""Writes what arms and searches cost, as tables and sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gentickets.analysis.costs import ArmCost
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import (
    DASH,
    engineering,
    fixed,
    in_order,
    numbered,
    percent,
    phase_name,
)
from gentickets.arms import SEARCH, ArmName
from gentickets.sparsity import in_brackets
from gentickets.table import Column, Table

UNITS = (("flops", "FLOPs"), ("seconds", "seconds"))
_AT_LEAST = "\N{GREATER-THAN OR EQUAL TO} "
SMALL = 0.01
"""Share of an arm's seconds under which a phase has no column of its own, if it is no larger anywhere."""


def size_table(summary: Summary) -> Table:
    """What each arm's networks are: channels, weights, FLOPs of a forward pass and of a training step."""
    costs = [cost for cost in _shown(summary) if cost.weights or cost.flops]
    columns: list[Column] = [
        ("arm", [_name(summary, cost) for cost in costs]),
        ("channels kept", [_counts(*cost.channels) if cost.channels else DASH for cost in costs]),
        ("prunable weights kept", [_kept(cost) for cost in costs]),
        *(
            (heading, [_flops(cost, key) for cost in costs])
            for key, heading in (
                ("dense", "FLOPs dense"),
                ("masked", "FLOPs masked, theoretical"),
                ("own", "FLOPs as trained"),
                ("step", "FLOPs of a training step"),
            )
        ),
    ]
    return _told("What each arm is", columns)


def work_table(summary: Summary) -> Table:
    """What each arm took: steps, executed FLOPs, seconds by phase, memory and energy; means over seeds."""
    costs = _shown(summary)
    phases = in_order(phase for cost in costs for phase, own in cost.seconds.items() if own >= SMALL * _total(cost))
    columns: list[Column] = [
        ("arm", [_name(summary, cost) for cost in costs]),
        ("steps", [f"{cost.steps:,.0f}" for cost in costs]),
        ("FLOPs executed", [_executed(cost) for cost in costs]),
        ("seconds", [_seconds(_total(cost)) if cost.seconds else DASH for cost in costs]),
        *((phase_name(phase), _each([cost.seconds.get(phase) for cost in costs], _seconds)) for phase in phases),
        ("peak memory", _each([cost.memory for cost in costs], lambda size: engineering(size, "B"))),
        ("energy", _each([cost.energy for cost in costs], lambda joules: engineering(joules, "J"))),
        ("checkpoint", [DASH if cost.arm == SEARCH else cost.selection for cost in costs]),
    ]
    return _told("What each arm took, means over seeds", columns)


def search_table(summary: Summary) -> Table:
    """What a ticket of each level cost to find and to train, in dense trainings, and when that is repaid."""
    levels = summary.search_cost
    columns: list[Column] = [("ticket at", [percent(level["sparsity"]) for level in levels])]
    for title, key in (("to find", "search_in_dense_trainings"), ("in all", "found_and_trained_in_dense_trainings")):
        columns += [(f"{title}, by {unit}", [ratio(level[key][own]) for level in levels]) for own, unit in UNITS]
    columns += [(f"repaid after, by {unit}", [_repaid(level, own) for level in levels]) for own, unit in UNITS]
    return _told("What a ticket costs, in dense trainings", columns)


def sentence(summary: Summary) -> str:
    """What the claim's ticket (else the last) cost in dense trainings, and when that is repaid; empty without one."""
    level = search_cost_of(summary)
    if level is None or set(level["search_in_dense_trainings"].values()) == {None}:
        return ""
    what = f"at {percent(level['sparsity'])}" + (" of the channels removed" if summary.of_channels else " sparsity")
    what += in_brackets(level["share"])
    found, whole = level["search_in_dense_trainings"], level["found_and_trained_in_dense_trainings"]
    parts = [
        f"The ticket {what} cost {_in_both(found)} to find, and {_in_both(whole)} to find and to train, without "
        "evaluating and storing."
    ]
    repaid = {unit: _repaid(level, unit) for unit, _ in UNITS}
    if not level["smaller"]:
        parts.append("Its mask alone saves nothing in use, so that the search is never repaid by FLOPs or by seconds.")
    elif repaid["flops"] == repaid["seconds"] == "never":
        parts.append("It is no cheaper to train than the dense model, so that the search is never repaid.")
    else:
        told = [f"{_after(repaid[own])} by {unit}" for own, unit in UNITS if repaid[own] != DASH]
        parts.append(f"Trained in the dense model's place, for equal steps, it repays its search {' and '.join(told)}.")
    return " ".join(parts)


def search_cost_of(summary: Summary) -> Mapping[str, Any] | None:
    """What the ticket at the claim's level cost, else that of the last round."""
    levels = {level["round"]: level for level in summary.search_cost}
    return levels.get(summary.verdict.round or max(levels, default=0))


def _in_both(told: Mapping[str, float | None]) -> str:
    """``0.24 dense trainings in FLOPs (0.31 in seconds)``."""
    flops, seconds = told["flops"], told["seconds"]
    if flops is None:
        return f"{ratio(seconds)} dense trainings in seconds"
    return f"{ratio(flops)} dense trainings in FLOPs" + ("" if seconds is None else f" ({ratio(seconds)} in seconds)")


def _repaid(level: Mapping[str, Any], unit: str) -> str:
    """After how many trainings; a dash where it is not known."""
    times = level["break_even_trainings"][unit]
    if times is None:
        known = all(_is_known(level[part], unit) for part in ("search", "ticket", "dense"))
        return "never" if known else DASH
    return numbered(times, "training") if times else "at once"


def _is_known(cost: Mapping[str, Any], unit: str) -> bool:
    """Of lower bounds nobody can say whether one is repaid by another."""
    return cost[unit] is not None and not (unit == "flops" and cost.get("uncounted"))


def _after(repaid: str) -> str:
    return repaid if repaid in ("never", "at once") else f"after {repaid}"


def ratio(value: float | None) -> str:
    """A number of dense trainings; a dash where it is not known."""
    return DASH if value is None else fixed(value, 2 if value < 10 else 1)


def _shown(summary: Summary) -> list[ArmCost]:
    """The costs that stand in a table: of controls those at the claim's level, of single levels every ticket."""
    last = max((cost.round for cost in summary.costs if cost.arm == "ticket"), default=0)
    level = summary.verdict.round or last
    alone = not summary.search_method.goes_round_by_round

    def is_shown(cost: ArmCost) -> bool:
        name = ArmName.of(cost.arm)
        once = name.at_no_level or name.longer or cost.arm == SEARCH
        return once or cost.round == level or (alone and cost.arm == "ticket")

    def place(cost: ArmCost) -> tuple[bool, int]:
        name, first = ArmName.of(cost.arm), ("search", "dense", "ticket")
        return name.longer, first.index(name.kind.role) if name.kind.role in first else len(first)

    return sorted(filter(is_shown, summary.costs), key=place)


def _name(summary: Summary, cost: ArmCost) -> str:
    row = summary.row(cost.arm, cost.round)
    return f"{cost.name} at {percent(row.sparsity)}" if row and cost.arm == "ticket" else cost.name


def _kept(cost: ArmCost) -> str:
    kept, total = cost.weights.get("kept"), cost.weights.get("total")
    return _counts(kept, total) if kept is not None and total is not None else DASH


def _counts(kept: float, of: float) -> str:
    return f"{kept:,.0f} of {of:,.0f}"


def _flops(cost: ArmCost, key: str) -> str:
    at_least = _AT_LEAST if cost.uncounted.get("step" if key == "step" else "forward") else ""
    return f"{at_least}{engineering(cost.flops[key])}" if key in cost.flops else DASH


def _executed(cost: ArmCost) -> str:
    at_least = _AT_LEAST if any(map(cost.uncounted.get, cost.spent)) else ""
    return f"{at_least}{engineering(sum(cost.spent.values()))}" if cost.spent else DASH


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else fixed(value, 1 if value >= 1 else 2)


def _total(cost: ArmCost) -> float:
    return sum(cost.seconds.values())


def _each(values: Sequence[float | None], text: Callable[[float], str]) -> list[str]:
    return [DASH if value is None else text(value) for value in values]


def _told(title: str, columns: Iterable[Column]) -> Table:
    """The table without the columns that are empty."""
    return Table.of(((name, cells) for name, cells in columns if any(cell != DASH for cell in cells)), title=title)
