"""Writes warnings that belong to a verdict, and sentences about results that failed, diverged or never ran."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gentickets.analysis.results import RunResults
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.format import arm_name, listed, numbered, percent
from gentickets.analysis.text.recipe import scores_say
from gentickets.arms import DENSE, SEARCH, TICKET, ArmName, kind_of, reported_as
from gentickets.results import Result

TIED = 0.05
"""Fraction of a group's weights from which on ties at the cut are reported."""


def collapses(results: RunResults, round: int, arm: str = "ticket", name: str = "the ticket") -> list[str]:
    """Sentences about collapsed samples of the ticket (or an arm of another name) at `round` and of the dense model."""
    alone, both = collapsed_seeds(results, round, arm=arm)
    healthy = sorted(set(results.collapsed("ticket", 0)) - set(both))
    return [
        *([say.collapsed(name, alone)] if alone else []),
        *([say.both_collapsed(both, name=name)] if both else []),
        *([say.collapsed("the dense model", healthy)] if healthy else []),
    ]


def collapsed_seeds(
    results: RunResults, round: int, *, longer: bool = False, arm: str = TICKET
) -> tuple[list[int], list[int]]:
    """Seeds in which the ticket (or another arm) collapsed alone, and those in which the dense model did so too."""
    ticket, dense = set(results.collapsed(str(ArmName(arm, longer=longer)), round)), set(results.collapsed(TICKET, 0))
    if longer:
        dense_arm = str(ArmName(DENSE, longer=True))
        dense = set(results.collapsed(dense_arm, results.round_of(dense_arm, round)))
    return sorted(ticket - dense), sorted(ticket & dense)


def warnings_of(results: RunResults, round: int, metric: str, told: Collection[str] = ()) -> list[str]:
    """Warnings that do not change the verdict: other arms that collapsed, failed or were measured in another way.

    `told` are controls whose failure the verdict already reports.
    """
    notes, others = [], []
    claim = results.recipe.claim
    declared = None if claim is None else claim.declared
    if declared is not None and abs(results.sparsity(round) - declared) > 0.02:
        share = results.removed_fraction(round) if results.partial else None
        notes.append(say.other_level(declared, results.sparsity(round), share))
    for arm in results.arms():
        if (kind := kind_of(arm)).of_transfer:
            continue
        place = results.round_of(arm, round) if kind.role == "dense" else round
        if arm != TICKET:
            notes += of_arm(results, arm, place, told)
        if results.not_comparable(arm, place, metric):
            others.append(arm_name(arm))
    return [*notes, say.incomparable(metric, others)] if others else notes


def of_arm(results: RunResults, arm: str, round: int, told: Collection[str] = ()) -> list[str]:
    """Sentences about collapses and failures of an arm other than the one that is judged."""
    own = ArmName.of(arm)
    name = f"the control '{arm_name(arm)}'" if own.kind.role in ("control", "transfer") else f"'{arm_name(arm)}'"
    notes = []
    if seeds := results.collapsed(arm, round):
        notes.append(say.collapsed(name, seeds))
    broken = [cell for cell in results.of(arm, round) if cell.status in ("failed", "diverged")]
    return [*notes, f"{say.broken(broken)}."] if broken and own.base not in told else notes


def ties(results: RunResults) -> list[str]:
    """A sentence for each group of which many weights tie at the cut in some round of the ticket."""
    most: dict[str, float] = {}
    for round in results.levels:
        for cell in results.done("ticket", round):
            for group, share in tied(cell).items():
                most[group] = max(share, most.get(group, 0.0))
    return [say.tied(group, share, scores_say(results.recipe)) for group, share in most.items()]


def tied(cell: Result) -> dict[str, float]:
    """The groups in which too many weights tie at the cut, with their fractions."""
    return {group: share for group, share in cell.tied.items() if share >= TIED}


def failure_sentences(results: RunResults) -> tuple[str, ...]:
    """A sentence for each way in which results failed or diverged, and one for those not run because of it."""
    broken: dict[tuple[str, str, str], list[int]] = {}
    idle: dict[str, int] = {}
    for cell in _undone(results):
        name = reported_as(cell.arm, cell.round)
        if cell.status == "not run":
            idle[name] = idle.get(name, 0) + 1
            continue
        where = arm_name(name) + (f" at {percent(cell.sparsity)}" if cell.sparsity else "")
        broken.setdefault((where, cell.status, say.reason(cell.why)), []).append(cell.seed)
    found = [
        f"{where}: {status} in {say.seeds_of(seeds)}{f': {why}' if why else ''}."
        for (where, status, why), seeds in broken.items()
    ]
    if idle:
        names = [f"{arm_name(name)} ({numbered(count, 'cell')})" for name, count in idle.items()]
        found.append(f"Not run{' behind them' if found else ''}: {listed(names)}.")
    return tuple(found)


def _undone(results: RunResults) -> Iterable[Result]:
    for arm in [SEARCH, *results.arms()]:
        for round in results.rounds(arm):
            yield from (cell for cell in results.of(arm, round) if cell.status != "done")
