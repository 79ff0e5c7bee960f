"""Judges a run folder: reads it, and returns the verdict on its claim."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gentickets.analysis.convergence import convergence_of
from gentickets.analysis.diagnostics import diagnostics_of
from gentickets.analysis.interim_analyses import interim_analysis_of
from gentickets.analysis.levels import ClaimTerms
from gentickets.analysis.power import power_forecast
from gentickets.analysis.results import RunResults
from gentickets.analysis.run import facts_of, read_run
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.text import verdict as words
from gentickets.analysis.verdict import LevelVerdict, Verdict
from gentickets.arms import BESIDE, TWICE
from gentickets.recipe import Recipe, stored_recipe
from gentickets.recipe.asked import missing, require_claim
from gentickets.recipe.declared import check_declared, declared
from gentickets.recipe.meaning import claim_hash
from gentickets.runs.folder import RunFolder
from gentickets.statistics import EQUAL_STEPS, FASTER, UNDECIDED, WINS

One = TypeVar("One", Verdict, LevelVerdict)


def judge_run(path: Path) -> RunVerdict:
    """The verdict on the claim of a run, finished or not.

    A win is reported only where nothing is missing that a verdict requires: the standard controls, and longer training
    at a declared level. Raises TicketError: no run, no claim to judge (see `recipe.asked`), or a claim in run.json that
    is not the one declared at the start (status 3).
    """
    stored = check_declared(RunFolder(path).read_record())
    run = read_run(path)
    recipe = stored_recipe(dict(run.record["recipe"]), where=str(RunFolder(path).record))
    verdict, results = run.summary.verdict, RunResults(run.results, recipe)
    lacking = _lacking(recipe, results, verdict.seeds)
    withheld = _why_withheld(lacking, stored, path)
    terms = ClaimTerms.of(require_claim(recipe))
    look = interim_analysis_of(recipe, run.record)
    told = [_withheld(level, withheld) for level in verdict.levels]
    whole = next((level for level in told if level.declared), None) or _withheld(verdict, withheld)
    round = next(iter(results.rounds(BESIDE)), verdict.round if verdict.round is not None else results.last_round)
    claim = run.record.get("claim") or {}
    return RunVerdict(
        name=run.summary.name,
        path=str(path),
        metric=terms.metric,
        margin=terms.margin,
        claim=claim.get("declared") or declared(recipe),
        hash=claim.get("hash") or claim_hash(recipe),
        stored=stored,
        look=look,
        word=whole.word,
        sentence=whole.sentence,
        levels=tuple(told),
        more=power_forecast(verdict, run.results, run.record, terms, look, path),
        trained=convergence_of(results, terms),
        beside=diagnostics_of(results, round),
        missing=tuple(lacking),
        facts=tuple(facts_of(run.record)),
        notes=verdict.notes,
    )


def _lacking(recipe: Recipe, results: RunResults, seeds: int) -> list[str]:
    """The standard arms that the recipe leaves out, and the dense model trained twice as long where it is not there."""
    lacking = missing(recipe)
    if TWICE not in lacking and len(results.done(TWICE, 0)) < seeds:
        lacking.append(TWICE)
    return lacking


def _why_withheld(lacking: Sequence[str], stored: bool, path: Path) -> str:
    """Why a win is not told of this run; empty where it may be."""
    reasons = []
    if lacking:
        reasons.append(
            f"{words.not_run_text(lacking)} To run it: {shlex.join(['gentickets', 'verdict', str(path), '--run'])}."
        )
    if not stored:
        reasons.append(
            "The run has no record of what was declared at its start, so that nothing is known of its looks."
        )
    return " ".join(reasons)


def _withheld(one: One, why: str) -> One:
    """The same; one that says that the ticket wins is withheld where there is a reason to."""
    if one.word not in (WINS, EQUAL_STEPS, FASTER) or not why:
        return one
    return replace(one, word=UNDECIDED, sentence=f"UNDECIDED. {why} As far as it is: {one.sentence}")
