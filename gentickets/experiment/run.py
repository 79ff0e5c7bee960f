"""Runs a recipe into a folder: starts it, continues it, or finds it finished. Torch-free in the parent process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gentickets.arms import SEARCH, ArmName
from gentickets.definitions import definitions_of
from gentickets.disk import clear_drafts, write_whole
from gentickets.errors import Status, TicketError
from gentickets.experiment.extend import as_begun, extended, may_extend, results_so_far, settled_results
from gentickets.experiment.logged import Logged
from gentickets.experiment.lost_jobs import LostJobs
from gentickets.experiment.new_claim import require_same_claim
from gentickets.experiment.options import Listener, Options, Silent
from gentickets.experiment.ownership import claimed_folder, require_free
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.pool import Pool
from gentickets.experiment.sinks import Feed
from gentickets.experiment.start_record import available_cores, continued_record, record_of
from gentickets.experiment.worker import BEAT_SECONDS
from gentickets.files import MOST_TEXT, bounded
from gentickets.ledger import write_ledger
from gentickets.recipe import Recipe, diff
from gentickets.recipe.declared import recipe_of_record
from gentickets.results import Result
from gentickets.runs.claims import log_claim
from gentickets.runs.folder import RunFolder
from gentickets.runs.record import WITHOUT_CHECKSUMS, has_checksums


def find(
    recipe: Recipe,
    out: Path,
    options: Options,
    *,
    resume: bool = False,
    listener: Listener | None = None,
    prepare: Callable[[RunFolder], None] = lambda run: None,
) -> None:
    """Run a recipe into a folder: start it, go on with it, or find it finished.

    ``prepare`` lays beforehand into the folder, which is then this process's alone, what the units need.

    Raises TicketError: ``resume`` without a run there, a run of another recipe there (with the difference), another
    process at it (status 6), or what a worker could not go on from.
    """
    listener = Logged(listener or Silent())
    run = RunFolder(out)
    if resume and not run.record.is_file():
        raise TicketError(f"no run to resume at {out}; without --resume it would start there")
    require_free(out, run.record.name, "run", run.read_record)
    record = record_of(recipe, options)
    with claimed_folder(out, run.record, run.record_text(record)), ExitStack() as stack:
        clear_drafts(out)
        record = _settle(run, recipe, options, record, listener.note)
        # what is there may have grown beyond what is asked
        recipe = recipe_of_record(record, where=str(run.record), name=recipe.name, text=recipe.text)
        prepare(run)
        units = plan_units(recipe)
        done = set(settled_results(run, units))
        listener.begin(units, done)
        feed = Feed(run, options.sinks, listener.note)
        stack.enter_context(feed.feeding(record["recipe"]))

        begun = log_when_begun(run, record, listener.note)

        def report(unit: Unit, steps: int, message: Mapping[str, Any] | None) -> None:
            begun()
            if message is not None and not options.keep_all:
                drop_trained(run, recipe, unit)
            listener.report(unit, steps, message)
            if message is not None:
                feed.finished(unit)

        setup, lost = _setup(run, record, options), LostJobs(run)
        left, jobs = [unit for unit in units if unit.key not in done], jobs_for(record, options)
        preflight = preflight_setup(left, jobs, options)
        if options.jobs == 0:
            _here(run, left, {**setup, "preflight": preflight}, report, listener.note)
        else:
            Pool(
                units, done, setup, jobs, report, preflight, listener.note, stall=options.stall, lose=lost.add
            ).run()  # fmt: skip
        if not options.keep_all:
            drop_levels(run)
        write_ledger(out, results_of(run, recipe), recipe)
        lost.check()


def log_when_begun(run: RunFolder, record: Mapping[str, Any], note: Callable[[str], object]) -> Callable[[], None]:
    """What to call when a training has taken steps: the first time it logs the claim of the run, if it has one."""
    waiting = [True]

    def begun() -> None:
        if waiting and waiting.pop() and (why := log_claim(run, record)) is not None:
            note(why)

    return begun


def results_of(run: RunFolder, recipe: Recipe) -> list[Result]:
    """The results of a run's units, in the order of the plan; unfinished ones are left out."""
    units = plan_units(recipe)
    return list(results_so_far(run, units).values())


def _settle(
    run: RunFolder, recipe: Recipe, options: Options, record: dict[str, Any], note: Callable[[str], object]
) -> dict[str, Any]:
    """The record of the run: the one that is there, if it is of the same recipe and has begun, else the new one."""
    before = run.read_record()
    # what an earlier version stored, with the defaults of keys that came later
    stored = recipe_of_record(before, where=str(run.record))
    if not any(run.path.glob("seed-*")):
        return _restarted(run, recipe, before, record)
    require_same_claim(run, recipe, before)
    wanted = as_begun(recipe, stored)
    changes = diff(stored, wanted)
    if changes and may_extend(wanted, stored):
        wanted, changes = stored, []  # the run has been given more than that, by a verdict perhaps
    elif changes and not may_extend(stored, wanted):
        told = "\n  ".join(changes)
        raise TicketError(f"{run.path} was started with another recipe; choose another --out. Changed:\n  {told}")
    if before.get("plugins", {}) != record["plugins"]:
        raise TicketError(f"{run.path} was started with other plugins; choose another --out")
    for key, asked in (("device", options.device), ("threads", options.threads)):
        if asked not in (None, "auto", before.get(key, asked)):
            message = f"{run.path} was started with {key} {before[key]}, and {asked} would give other bits"
            raise TicketError(f"{message}; leave --{key} out, or choose another --out")
    record, differences = continued_record(before, record, len([*run.path.glob("seed-*/*/round-*/result.json")]))
    if differences:
        note(f"this run resumes with {', '.join(differences)}: its next rounds may differ in their last digits")
    if not has_checksums(record):
        note(f"{run.path} was {WITHOUT_CHECKSUMS}")
    if changes:
        return extended(run, record, stored, wanted)
    if record != before:
        write_whole(run.record, run.record_text(record))
    return record


def _restarted(run: RunFolder, recipe: Recipe, before: Mapping[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """The record of a run of which no round has begun, with the recipe's text beside it."""
    text = recipe.text.encode()
    there = bounded(run.recipe, MOST_TEXT) if run.recipe.is_file() else text
    if hashlib.sha256(there).hexdigest() not in (before.get("text"), record["text"]):
        raise TicketError(f"{run.recipe} is not what the run there was started with; choose another --out")
    if run.record_text(before) != run.record_text(record):
        write_whole(run.record, run.record_text(record))
    if there != text or not run.recipe.is_file():
        write_whole(run.recipe, text)
    return record


def jobs_for(record: Mapping[str, Any], options: Options) -> int:
    """Workers side by side: as asked, else one per core, or one on an accelerator."""
    if options.jobs is not None:
        return options.jobs
    return max(1, available_cores() // int(record["threads"])) if record["device"] == "cpu" else 1


def _setup(run: RunFolder, record: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """What a worker is sent at its start."""
    return {
        "run": str(run.path.resolve()),
        "recipe": record["recipe"],
        "root": str(options.root.resolve()),
        "device": record["device"],
        "threads": record["threads"],
        "definitions": definitions_of(record, run.record).record(),
        "plugins": [str(path.resolve()) for path in options.plugins],
        "download": options.download,
        "save_every": options.save_every,
        "beat": min(BEAT_SECONDS, options.stall / 4),
    }


def preflight_setup(left: Sequence[Unit], jobs: int, options: Options) -> dict[str, Any]:
    """What is tried of the units that are left before anything is trained: `preflight.Wanted`, as JSON has it."""
    one = [asdict(unit) for unit in left if unit.seed == left[0].seed]
    seeds = len({unit.seed for unit in left})
    return {"units": one, "rounds": len(left), "seeds": seeds, "jobs": max(1, jobs), "keep_all": options.keep_all}


def _here(
    run: RunFolder, units: Sequence[Unit], setup: Mapping[str, Any], report: Any, note: Callable[[str], object]
) -> None:
    """Work in this process, one unit after the other."""
    from gentickets.experiment.dispatch import job_of
    from gentickets.experiment.plugin_errors import as_plugin_errors
    from gentickets.experiment.worker import assembled, preflight_notes

    with as_plugin_errors([Path(path) for path in setup["plugins"]]):
        assembly = assembled(setup)
        for sentence in preflight_notes(assembly, setup):
            note(sentence)
        for unit in units:
            result = job_of(assembly, run, unit, save_every=setup["save_every"]).do()
            report(unit, unit.steps, {"status": result.status, "why": result.why})


def drop_trained(run: RunFolder, recipe: Recipe, unit: Unit) -> None:
    """Drop the trained networks of earlier rounds, once the next round is done and nothing else needs them.

    The dense run's, the last round's and the claim's stay; where validation chooses the claim's, all do.
    """
    if unit.arm != "ticket" or recipe.claim_round is None:
        return
    for round in set(range(unit.round)) - {0, recipe.rounds[-1], recipe.claim_round}:
        run.round(unit.seed, unit.arm, round).trained.unlink(missing_ok=True)


def drop_levels(run: RunFolder) -> None:
    """Drop the dense states in which early birds emerged, once their tickets are made."""
    for state in run.path.glob(f"seed-*/{SEARCH}/round-*/level-*.safetensors"):
        state.unlink()


def failed(results: Sequence[Result]) -> Status:
    """The status that a finished run ends with: DIVERGED when a dense run or a ticket has."""
    own = [result for result in results if ArmName.of(result.arm).essential]
    if any(result.status == "diverged" for result in own):
        return Status.DIVERGED
    return Status.FAILED if any(result.status != "done" for result in own) else Status.DONE
