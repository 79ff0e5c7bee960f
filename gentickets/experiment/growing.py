"""Growing: a run that is asked for more seeds or arms than before, and keeps all that it has. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gentickets.disk import write_whole
from gentickets.experiment.units import BESIDE, SEARCH, Unit, plan_units
from gentickets.recipe import Recipe, diff
from gentickets.recipe.declared import check_declared, claim_record, without_arms
from gentickets.runs.folder import RunFolder


def keeping_levels(recipe: Recipe, stored: Recipe) -> Recipe:
    """The recipe with the levels that a run has declared, where it leaves them to the rounds of its controls.

    Those may become more; which levels get a word was declared at the start.
    """
    if recipe.claim is None or recipe.claim.sparsities or stored.claim is None:
        return recipe
    declared = tuple(map(stored.sparsity, stored.judged_rounds))  # written out: an earlier version stored none
    claim = recipe.claim.model_copy(update={"sparsities": declared})
    return recipe.model_copy(update={"claim": claim})


def grows(stored: Recipe, asked: Recipe) -> bool:
    """Whether a run of one recipe may go on with another: it adds seeds or arms, and changes none that is there."""
    if diff(without_arms(stored.resolved()), without_arms(asked.resolved())):
        return False
    before, after = (
        {(unit.key, unit.span, unit.steps, tuple(unit.twins)) for unit in _planned(one)} for one in (stored, asked)
    )
    return before <= after


def grown(run: RunFolder, before: Mapping[str, Any], stored: Recipe, asked: Recipe) -> dict[str, Any]:
    """The record of a run that grows, written.

    What was looked at beside a verdict is looked at again, where there is more to see. Raises TicketError where the
    record's claim was changed since the run began.
    """
    resolved = asked.resolved()
    record = {**before, "recipe": resolved, "seeds": asked.seeds}
    if check_declared(before):
        record["claim"] = claim_record(resolved, before["claim"])
    looked = {unit.key: unit.needs for unit in _planned(stored) if unit.arm == BESIDE}
    for unit in _planned(asked):
        if unit.arm == BESIDE and set(looked.get(unit.key, unit.needs)) != set(unit.needs):
            run.round(*unit.key).result.unlink(missing_ok=True)
    write_whole(run.record, run.record_text(record))
    return record


def search_again(run: RunFolder, units: Sequence[Unit]) -> None:
    """Have early birds searched again where a unit needs a state that a finished run has dropped: to the same bytes."""
    waiting = [unit for unit in units if not run.round(*unit.key).result.is_file()]
    for seed in sorted({seed for unit in waiting for seed, arm, _ in unit.needs if arm == SEARCH}):
        folder = run.round(seed, SEARCH, 0)
        result = folder.read_result()
        levels = result.early_bird.get("levels", []) if result else []
        emerged = [level["round"] for level in levels if level["step"] is not None]
        if any(not folder.level(round).is_file() for round in emerged):
            folder.result.unlink()


def _planned(recipe: Recipe) -> list[Unit]:
    return plan_units(recipe.resolved(), recipe.seeds, recipe.control_rounds, recipe.claim_round)
