"""Lists what a recipe requires and no result has reported yet."""

from __future__ import annotations

from collections.abc import Sequence

from gentickets.analysis.results import RunResults
from gentickets.arms import BUDGET, DENSE, SEARCH, TICKET, TRANSFER, WIDTH, ArmName, kind_of, variants
from gentickets.recipe.whole import whole_arms


def pending_results(results: RunResults, level: int | None) -> list[str]:
    """Sentences about what is still to come by the recipe; `level` is the claim's round."""
    found = []
    if len(results.seeds) < results.required_seeds:
        found.append(f"{len(results.seeds)} of {results.required_seeds} seeds have started")
    if not results.recipe.prunes:
        places = results.recipe.rounds
        pairs = [(place, seed) for place in places for seed in results.seeds]
        return [*found, *_open(results, "the sweep", (WIDTH,), pairs)]
    for arm, rounds in _wanted(results).items():
        # Nothing follows where a ticket failed, or no early bird emerged.
        ends = {round: [] if kind_of(arm).of_transfer else _broken(results, round) for round in rounds}
        waited = [(round, seed) for round in rounds for seed in results.seeds if seed not in ends[round]]
        found += _open(results, arm, variants(arm), waited)
    if level and results.search.longer:
        carried = [TRANSFER] if level in results.transfer_rounds else []
        arms = [str(ArmName(arm, longer=True)) for arm in (DENSE, TICKET, *carried)]
        found += [f"{arm}: not run yet" for arm in arms if not results.rounds(arm)]
    return found


def _wanted(results: RunResults) -> dict[str, list[int]]:
    """Arm -> the rounds that the recipe asks of it."""
    rounds = results.recipe.control_rounds
    wanted = {SEARCH: [0]} if results.recipe.method.watches else {}
    wanted |= {"ticket": [0, *results.levels], **dict.fromkeys(results.controls, rounds)}
    if carried := results.transfer_rounds:
        wanted |= dict.fromkeys([TRANSFER, *results.transfer_controls], carried)
    whole = {arm: [results.recipe.claim_round or 0] for arm in whole_arms(results.recipe)}
    return wanted | whole | ({BUDGET: [0]} if results.recipe.budget else {})


def _broken(results: RunResults, round: int) -> list[int]:
    return results.ticket_troubles(round)[0]


def _open(results: RunResults, name: str, twins: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """A sentence where rounds (round, seed) of an arm and its twin are still to come."""
    left = [pair for pair in pairs if all(results.get(twin, *pair) is None for twin in twins)]
    return [f"{name}: {len(pairs) - len(left)} of {len(pairs)} rounds are done"] if left else []
