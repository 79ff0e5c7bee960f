"""Judges a run, or runs a recipe with all that a verdict needs and judges that. Torch-free in the first process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from gentickets.actions.claim_from import claimed_from
from gentickets.actions.locate import recipe_of
from gentickets.actions.names import default_out, find_run, is_recipe, run_at
from gentickets.analysis.interim_analyses import interim_analysis_of, with_seeds_for
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.errors import TicketError
from gentickets.experiment.extend import as_begun, unfinished
from gentickets.experiment.new_claim import require_same_claim
from gentickets.experiment.options import Listener
from gentickets.experiment.run import find as run_recipe
from gentickets.recipe import Recipe, load_recipe
from gentickets.recipe.asked import complete
from gentickets.recipe.declared import has_explored
from gentickets.recipe.given import Overrides, as_overrides
from gentickets.runs.folder import RunFolder
from gentickets.statistics import LEAST_SEEDS

from .find import Given, claim_folder
from .progress import listening
from .run import Run


@dataclass(frozen=True)
class VerdictTarget:
    """What is to be judged."""

    recipe: Recipe
    folder: Path
    is_run: bool


def verdict(
    target: Given | Run | None = None, out: str | PathLike[str] | None = None, *,
    explored: str | PathLike[str] | None = None, new_claim: bool = False, run: bool = False, more: bool = False,
    seeds: int | None = None, overrides: Overrides = (), data: str | PathLike[str] = "data", download: bool = False,
    device: str = "auto", threads: int | None = None, jobs: int | None = None,
    plugins: Sequence[str | PathLike[str]] = (), checkpoint: float = 30.0, stall: float = 600.0,
    progress: bool | Listener = True,
) -> RunVerdict:  # fmt: skip
    """Train what a verdict lacks and judge it, as ``gentickets verdict`` does; write verdict.html and verdict.json.

    Args:
        target: a recipe, which is run with all controls that a verdict needs; or a run, which is judged as it is unless
            ``run``, ``more`` or ``seeds`` is given.
        out: the run folder of a recipe; ``runs/RECIPE`` by default.
        explored: instead of ``target``: claim what this explored run suggests, and test it on new seeds.
        new_claim: start in a fresh folder if the run in ``out`` has declared another claim.
        run: run what the run lacks for a verdict: controls, longer training, diagnostics.
        more: run the additional seeds of the next interim analysis.
        seeds: the total number of seeds; in an existing run, that of one of its analyses.

    The other arguments are those of `gentickets.find`. The result's ``word`` is the verdict, ``sentence`` says it, and
    ``levels`` has one for each sparsity. Raises TicketError where nothing is claimed, or where the claim was changed.

    Example:
        ``gentickets.verdict("runs/digits_vae").word``
    """
    from gentickets.experiment import options as of_run

    files = [Path(one) for one in plugins]
    asked = target_of(
        target, explored=explored, out=None if out is None else Path(out), overrides=as_overrides(overrides),
        plugins=files, seeds=seeds,
    )  # fmt: skip
    if new_claim:
        asked = replace(asked, folder=claim_folder(asked.recipe, asked.folder))
    if not asked.is_run or run or more or seeds:
        options = of_run.Options(Path(data), device, threads, jobs, files, download, False, checkpoint, stall)
        with listening(progress) as listener:
            run_recipe(to_run(asked, more, seeds), asked.folder, options, listener=listener)
    return judged(asked.folder)[0]


def target_of(
    target: Given | Run | None, *, explored: str | PathLike[str] | None = None, out: Path | None = None,
    overrides: Sequence[str] = (), plugins: Sequence[Path] = (), seeds: int | None = None,
) -> VerdictTarget:  # fmt: skip
    """What is to be judged, and where; TicketError where that is not clear."""
    if explored is not None:
        return _claimed(target, find_run(explored), out, overrides, plugins, seeds)
    if target is None:
        raise TicketError("what should be judged? Give a RUN or a RECIPE, or --from an explored RUN")
    if (folder := _folder_of(target)) is not None:
        return _of_run(folder, target, out, overrides)
    assert not isinstance(target, Run)
    more = as_overrides({"search.seeds": seeds} if seeds is not None else {})
    loaded = load_recipe(target, overrides=[*overrides, *more], plugins=plugins)
    return VerdictTarget(loaded, out or default_out(loaded), False)


def _folder_of(target: Given | Run) -> Path | None:
    """The folder of a run; None for a recipe."""
    if isinstance(target, Run):
        return target.path
    if isinstance(target, Recipe | Mapping) or is_recipe(target):
        return None
    return run_at(target)


def _of_run(folder: Path, target: object, out: Path | None, overrides: Sequence[str]) -> VerdictTarget:
    run = RunFolder(folder)
    if has_explored(run.read_record()):
        how = f"claim what it has shown, with new seeds: gentickets verdict --from {target}"
        raise TicketError(f"{target} was explored, and gets no verdict; {how}")
    if out is not None or overrides:
        message = "--out and --set go with a recipe"
        raise TicketError(f"{target} is a run, with a folder and a recipe of its own; {message}")
    return VerdictTarget(recipe_of(run), run.path, True)


def _claimed(
    target: Any, explored: Path, out: Path | None, overrides: Sequence[str], plugins: Sequence[Path], seeds: int | None
) -> VerdictTarget:
    """A new claim on what an explored run has chosen."""
    if target is not None:
        raise TicketError(f"--from {explored} takes the recipe of that run; leave {target} out")
    recipe = claimed_from(explored, seeds=seeds, overrides=overrides, plugins=plugins)
    return VerdictTarget(recipe, out or explored.with_name(f"{explored.resolve().name}-claim"), False)


def to_run(asked: VerdictTarget, more: bool, seeds: int | None) -> Recipe:
    """The recipe with everything that a verdict asks for, and with the seeds of the analysis that is asked for."""
    run = RunFolder(asked.folder)
    if not run.record.is_file():
        if more:
            raise TicketError(f"there is no run at {asked.folder} yet to run more seeds of; leave --more out")
        if asked.recipe.search.seeds < LEAST_SEEDS:
            message = f"{asked.recipe.search.seeds} seeds decide nothing; declare {LEAST_SEEDS} at least"
            raise TicketError(f"{message}: --seeds {LEAST_SEEDS}")
        return complete(asked.recipe)
    record = run.read_record()
    stored = recipe_of(run)
    require_same_claim(run, asked.recipe, record)
    have, analysis = stored.search.seeds, interim_analysis_of(stored, record)
    # an analysis that was begun and stopped comes before the next one: the same command goes on
    more = more and not (have > analysis.seeds[0] and unfinished(run, stored))
    return with_seeds_for(complete(as_begun(asked.recipe, stored)), analysis, have, more=more, seeds=seeds)


def judged(folder: Path) -> tuple[RunVerdict, Path]:
    """The verdict on a run as it is, and its page; report and verdict are written into the folder."""
    from gentickets.analysis.judge import judge_run
    from gentickets.report import write_report
    from gentickets.report.pages.verdict_files import write_verdict

    found = judge_run(folder)
    write_report([folder])
    return found, write_verdict(found, folder)
