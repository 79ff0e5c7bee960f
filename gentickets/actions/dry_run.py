"""Estimates what a recipe would take (rounds, steps, disk, time) on a throw-away network. Nothing is written."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from scipy import special

from gentickets.accounting import network_flops, step_flops
from gentickets.definitions import CURRENT
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.evaluation import check_measures
from gentickets.experiment.extend import results_so_far
from gentickets.experiment.options import Options
from gentickets.experiment.plan import plan_units
from gentickets.experiment.plugin_errors import check_family
from gentickets.experiment.preflight import disk_needed, pending_from, preflight
from gentickets.experiment.run import jobs_for, preflight_setup
from gentickets.experiment.start_record import record_of
from gentickets.experiment.timing import run_seconds
from gentickets.ledger import lower_bound
from gentickets.masks import by_reason, excluded, full_mask
from gentickets.recipe import Recipe
from gentickets.recipe.meaning import declared_seeds
from gentickets.runs.folder import RunFolder
from gentickets.statistics import (
    LEAST_SEEDS,
    PRAISE,
    Margin,
    Spending,
    Terms,
)

LONGEST_START = 15.0
"""Seconds that a worker is given to be ready, at most, where this process has done other work before."""


HARD = 4.0
"""Standard errors from which on an interim analysis can hardly decide."""
ENOUGH = 5
"""Seeds with which it can."""


def few_seeds(recipe: Recipe) -> str:
    """What to say before a run whose first interim analysis can hardly decide; empty where it can."""
    if recipe.claim is None or recipe.explores:
        return ""
    now, then = (_needed(recipe, seeds) for seeds in (declared_seeds(recipe), ENOUGH))
    if now < HARD:
        return ""
    much = "is not possible" if math.isinf(now) else f"takes {now:.1f} standard errors"
    what = f"to decide at the first interim analysis, with {declared_seeds(recipe)} seeds, {much}"
    return f"{what}; with {ENOUGH} it takes {then:.1f} (search.seeds = {ENOUGH})"


def _needed(recipe: Recipe, seeds: int) -> float:
    """By how many standard errors a ticket must be ahead for praise at the first interim analysis."""
    if (claim := recipe.claim) is None or seeds < LEAST_SEEDS:
        return math.inf
    declared = None if claim.declared is None else 0
    weights = Terms(Margin(0.05, None)).weights(len(recipe.judged_rounds), declared)
    size = Spending(seeds, claim.looks, claim.spending).nominal(PRAISE * claim.alpha * weights[0])[0]
    return float(special.stdtrit(seeds - 1, 1 - size))


def estimate(recipe: Recipe, folder: Path, options: Options) -> dict[str, Any]:
    """What running this would take, with what is done in ``folder`` taken off.

    Disk in megabytes at most, seconds about.
    """
    record = record_of(recipe, options)
    units = plan_units(recipe)
    run = RunFolder(folder)
    done = results_so_far(run, units)
    left = [unit for unit in units if unit.key not in done]
    assembly = Assembly(
        recipe, root=options.root, device=record["device"], plugins=options.plugins, download=False,
        definitions=run.definitions() if run.record.is_file() else CURRENT,
    )  # fmt: skip
    settle_device(record["threads"])
    loaded = min(time.process_time(), LONGEST_START)  # what this process took to be ready, and so will a worker
    check_family(assembly)
    check_measures(assembly)
    jobs = max(1, min(jobs_for(record, options), len(left)))
    before = time.perf_counter()
    tried = preflight(assembly, folder, pending_from(preflight_setup(left, jobs, options)))
    tried.require()
    starting = loaded + time.perf_counter() - before
    task = assembly.task(units[0].random_seed)
    seconds = run_seconds(assembly, left, folder, jobs, starting)
    uncounted = step_flops(task, recipe.data.batch_size).uncounted | network_flops(task).uncounted
    weights = sum(parameter.numel() * parameter.element_size() for parameter in task.parameters())
    arms = sorted({unit.arm for unit in units})
    return {
        "folder": str(folder),
        "family": recipe.task.family,
        "weights": sum(parameter.numel() for parameter in task.parameters()),
        "prunable": full_mask(task, exempt=recipe.search.exempt, components=assembly.components).total,
        "excluded": by_reason(excluded(task, exempt=recipe.search.exempt, components=assembly.components)),
        "seeds": len(recipe.seeds),
        "arms": arms,
        "rounds_left": len(left),
        "rounds_done": len(units) - len(left),
        "steps_left": sum(unit.steps for unit in left),
        "workers": jobs,
        "device": record["device"],
        "notes": [*tried.notes, *filter(None, [lower_bound(uncounted), few_seeds(recipe)])],
        "disk_mb": round(disk_needed(weights, len(units), options.keep_all, len(recipe.seeds)) / 1e6, 1),
        "seconds": round(seconds),
    }
