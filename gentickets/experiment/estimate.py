"""What a recipe would take: rounds, steps, disk and time, found out on a throw-away network. Nothing is written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from gentickets.definitions import CURRENT
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.blame import check_family
from gentickets.experiment.find import Options, jobs_for
from gentickets.experiment.growing import results_so_far
from gentickets.experiment.recorded import record_of
from gentickets.experiment.units import plan_units
from gentickets.masks import full_mask
from gentickets.recipe import Recipe
from gentickets.runs.folder import RunFolder
from gentickets.training import train

TRIAL_SECONDS = 2.0


def estimate(recipe: Recipe, folder: Path, options: Options) -> dict[str, Any]:
    """What running this would take, with what is done in ``folder`` taken off.

    Disk in megabytes at most, seconds about.
    """
    record = record_of(recipe, options)
    units = plan_units(record["recipe"], recipe.seeds, recipe.control_rounds, recipe.claim_round)
    run = RunFolder(folder)
    done = results_so_far(run, units)
    left = [unit for unit in units if unit.key not in done]
    assembly = Assembly(
        record["recipe"], root=options.root, device=record["device"], plugins=options.plugins, download=False,
        definitions=run.definitions() if run.record.is_file() else CURRENT,
    )  # fmt: skip
    settle_device(record["threads"])
    check_family(assembly)
    task = assembly.task(recipe.seeds[0])
    jobs = max(1, min(jobs_for(record, options), len(left)))
    seconds = _seconds_per_step(assembly, recipe) * sum(unit.steps for unit in left) / jobs
    weights = sum(parameter.numel() * parameter.element_size() for parameter in task.parameters())
    arms = sorted({unit.arm for unit in units})
    return {
        "folder": str(folder),
        "family": recipe.task.family,
        "weights": sum(parameter.numel() for parameter in task.parameters()),
        "prunable": full_mask(task, exempt=recipe.search.exempt, components=assembly.components).total,
        "seeds": len(recipe.seeds),
        "arms": arms,
        "rounds_left": len(left),
        "rounds_done": len(units) - len(left),
        "steps_left": sum(unit.steps for unit in left),
        "workers": jobs,
        "device": record["device"],
        "disk_mb": round(_disk(weights, len(units), options.keep_all, len(recipe.seeds)) / 1e6, 1),
        "seconds": round(seconds + 6),
    }


def _seconds_per_step(assembly: Assembly, recipe: Recipe) -> float:
    """Of one worker alone: a few steps of a network that is thrown away."""
    seed = recipe.seeds[0]
    training = assembly.training(assembly.task(seed), recipe.train.steps)
    batches = assembly.batches(seed)
    train(training, batches, range(3), seed=seed)
    started = time.perf_counter()

    def enough(step: int, losses: object) -> bool:
        return time.perf_counter() - started > TRIAL_SECONDS

    reached = train(training, batches, range(3, max(4, recipe.train.steps)), seed=seed, watch=[enough])
    if assembly.device.type == "cuda":
        torch.cuda.synchronize(assembly.device)
    return (time.perf_counter() - started) / (reached - 3)


def _disk(weights: int, units: int, keep_all: bool, seeds: int) -> float:
    """Bytes: each ticket holds weights and two moments at most, each trained state the same."""
    state = 3.2 * weights
    trained = units if keep_all else units / 2 + 3 * seeds
    return units * state + trained * state + units * 60_000
