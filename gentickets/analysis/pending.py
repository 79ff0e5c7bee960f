"""Awaited: what a recipe asks for and no result tells of yet."""

from __future__ import annotations

from collections.abc import Sequence

from gentickets.analysis.results import RunResults
from gentickets.arms import BUDGET, DENSE, SEARCH, TICKET, TRANSFER, WIDTH, ArmName, kind_of, variants


def pending_results(cells: RunResults, level: int | None) -> list[str]:
    """Sentences about what is still to come by the recipe; `level` is the claim's round."""
    found = []
    if len(cells.seeds) < cells.wanted_seeds:
        found.append(f"{len(cells.seeds)} of {cells.wanted_seeds} seeds have started")
    if not cells.recipe.prunes:
        places = cells.recipe.rounds
        pairs = [(place, seed) for place in places for seed in cells.seeds]
        return [*found, *_open(cells, "the sweep", (WIDTH,), pairs)]
    for arm, rounds in _wanted(cells).items():
        # Nothing follows where a ticket failed, or no early bird emerged.
        ends = {round: [] if kind_of(arm).of_transfer else _broken(cells, round) for round in rounds}
        waited = [(round, seed) for round in rounds for seed in cells.seeds if seed not in ends[round]]
        found += _open(cells, arm, variants(arm), waited)
    if level and cells.search.longer:
        carried = [TRANSFER] if level in cells.transfer_rounds else []
        arms = [str(ArmName(arm, longer=True)) for arm in (DENSE, TICKET, *carried)]
        found += [f"{arm}: not run yet" for arm in arms if not cells.rounds(arm)]
    return found


def _wanted(cells: RunResults) -> dict[str, list[int]]:
    """Arm -> the rounds that the recipe asks of it."""
    rounds = cells.recipe.control_rounds
    wanted = {SEARCH: [0]} if cells.recipe.method.watches else {}
    wanted |= {"ticket": [0, *cells.levels], **dict.fromkeys(cells.controls, rounds)}
    if carried := cells.transfer_rounds:
        wanted |= dict.fromkeys([TRANSFER, *cells.transfer_controls], carried)
    return wanted | ({BUDGET: [0]} if cells.recipe.budget else {})


def _broken(cells: RunResults, round: int) -> list[int]:
    return cells.ticket_troubles(round)[0]


def _open(cells: RunResults, name: str, twins: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """A sentence where rounds (round, seed) of an arm and its twin are still to come."""
    left = [pair for pair in pairs if all(cells.get(twin, *pair) is None for twin in twins)]
    return [f"{name}: {len(pairs) - len(left)} of {len(pairs)} rounds are done"] if left else []
