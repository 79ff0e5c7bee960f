"""Continues a run, perhaps with more seeds or arms, and keeps all that it has. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gentickets.arms import BESIDE, SEARCH
from gentickets.disk import write_whole
from gentickets.experiment.plan import Key, Unit, plan_units
from gentickets.recipe import Recipe, diff
from gentickets.recipe.declared import check_declared, claim_record, without_arms
from gentickets.results import Result, standing
from gentickets.runs.folder import RunFolder


def as_begun(recipe: Recipe, stored: Recipe) -> Recipe:
    """The recipe with what a run has declared at its start, where it leaves that open.

    Levels: those at which its controls ran then, which may be more by now. Controls: those that were standard. The
    number of seeds, of which it may have more. Seeds from 0 on where the run was begun before seeds followed from
    claims.
    """
    if recipe.claim is None or stored.claim is None:
        return recipe
    if not recipe.claim.sparsities:
        declared = tuple(map(stored.sparsity, stored.judged_rounds))  # written out: an earlier version stored none
        recipe = recipe.model_copy(update={"claim": recipe.claim.model_copy(update={"sparsities": declared})})
    if recipe.seed is None and stored.seed == 0 and stored.claimed.get("edition", 1) == 1:
        recipe = recipe.model_copy(update={"seed": 0})
    told = dict(stored.claimed) or {"declared": {"seeds": stored.search.seeds}}
    if recipe.claim is not None and recipe.claim.controls is None and stored.claim.controls is not None:
        told["declared"] = {key: value for key, value in told.get("declared", {}).items() if key != "controls"}
    return recipe.of_run(told)


def may_extend(stored: Recipe, asked: Recipe) -> bool:
    """Whether a run of one recipe may go on with another: it adds seeds or arms, and changes none that is there."""
    if diff(without_arms(stored.resolved()), without_arms(asked.resolved())):
        return False
    before, after = (
        {(unit.key, unit.span, unit.steps, tuple(unit.variants)) for unit in _planned(one)} for one in (stored, asked)
    )
    return before <= after


def extended(run: RunFolder, before: Mapping[str, Any], stored: Recipe, asked: Recipe) -> dict[str, Any]:
    """Write and return the record of a run that is extended.

    Diagnostics are made again where there is more to examine. Raises TicketError where the
    record's claim was changed since the run began.
    """
    resolved = asked.resolved()
    record = {**before, "recipe": resolved, "seeds": asked.seeds}
    if check_declared(before):
        record["claim"] = claim_record(asked, before["claim"])
    looked = {unit.key: unit.needs for unit in _planned(stored) if unit.arm == BESIDE}
    for unit in _planned(asked):
        if unit.arm == BESIDE and set(looked.get(unit.key, unit.needs)) != set(unit.needs):
            run.round(*unit.key).result.unlink(missing_ok=True)
    write_whole(run.record, run.record_text(record))
    return run.read_record()


def results_so_far(run: RunFolder, units: Sequence[Unit]) -> dict[Key, Result]:
    """The results that are there and count, by unit; the others are still to be worked on."""
    found = {unit.key: run.round(*unit.key).read_result() for unit in units}
    return standing({key: result for key, result in found.items() if result is not None})


def unfinished(run: RunFolder, recipe: Recipe) -> bool:
    """Whether a run of that recipe has units without a result."""
    units = _planned(recipe)
    return len(results_so_far(run, units)) < len(units)


def settled_results(run: RunFolder, units: Sequence[Unit]) -> dict[Key, Result]:
    """`results_so_far` of a run that goes on. Removes what does not count, and the states of rounds that are done."""
    found = results_so_far(run, units)
    for unit in units:
        folder = run.round(*unit.key)
        for path in [folder.progress, folder.older_progress] if unit.key in found else [folder.result]:
            path.unlink(missing_ok=True)
    for seed in _lost_searches(run, units, found):
        run.round(seed, SEARCH, 0).result.unlink()
        del found[seed, SEARCH, 0]
    return found


def _lost_searches(run: RunFolder, units: Sequence[Unit], found: Mapping[Key, Result]) -> list[int]:
    """Seeds in which early birds are searched again, to the same bytes: a unit needs a state that was dropped."""
    seeds = {seed for unit in units if unit.key not in found for seed, arm, _ in unit.needs if arm == SEARCH}
    return [seed for seed in sorted(seeds) if (seed, SEARCH, 0) in found and _dropped(run, found[seed, SEARCH, 0])]


def _dropped(run: RunFolder, search: Result) -> bool:
    """Whether a state in which an early bird emerged is not there any more."""
    folder = run.round(search.seed, SEARCH, 0)
    levels = search.early_bird.get("levels", [])
    return any(level["step"] is not None and not folder.level(level["round"]).is_file() for level in levels)


def _planned(recipe: Recipe) -> list[Unit]:
    return plan_units(recipe)
