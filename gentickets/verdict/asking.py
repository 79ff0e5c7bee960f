"""Asking: a run folder in, its verdict out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gentickets.errors import Status
from gentickets.recipe import recipe_from
from gentickets.recipe.asked import missing
from gentickets.recipe.declared import check_declared, claim_hash, declared
from gentickets.report import read_run
from gentickets.report import sentence as say
from gentickets.report.cells import Cells
from gentickets.report.gallery import Run
from gentickets.report.levels import Terms
from gentickets.report.page import facts_of
from gentickets.report.verdict import Level as Found
from gentickets.report.verdict import Verdict
from gentickets.runs.folder import RunFolder
from gentickets.statistics import EQUAL_STEPS, UNDECIDED, WINS
from gentickets.verdict import words
from gentickets.verdict.aside import aside
from gentickets.verdict.judged import Judged, Level
from gentickets.verdict.looking import look_of
from gentickets.verdict.outlook import outlook
from gentickets.verdict.schooling import schooling
from gentickets.verdict.stages import stage_of


def judge_run(path: Path) -> Judged:
    """The verdict on the claim of a run, finished or not.

    A win is told only where nothing is missing that a verdict asks for: the standard controls, and longer training at
    a declared level. Raises TicketError: no run, no claim to judge (see `recipe.asked`), or a claim in run.json that is
    not the one declared at the start (status 3).
    """
    run = read_run(path)
    recipe = recipe_from(dict(run.record["recipe"]), where=str(RunFolder(path).record))
    lacking = missing(recipe)
    stored = check_declared(run.record)
    verdict, cells = run.summary.verdict, Cells(run.results, run.record["recipe"])
    terms = Terms.of(run.record["recipe"]["claim"])
    look = look_of(run.record)
    word, sentence = _headline(verdict, lacking, path)
    round = verdict.round if verdict.round is not None else cells.last_round
    claim = run.record.get("claim") or {}
    return Judged(
        run.summary.name,
        str(path),
        terms.metric,
        terms.margin,
        claim.get("declared") or declared(recipe),
        claim.get("hash") or claim_hash(recipe.resolved()),
        stored,
        look,
        word,
        int(Status.DONE if word == WINS else Status.VERDICT),
        sentence,
        tuple(_level(run, verdict, one, terms) for one in verdict.levels),
        outlook(verdict, run.results, run.record, terms, look, path),
        schooling(cells, terms),
        aside(cells, round),
        tuple(lacking),
        facts=tuple(facts_of(run.record)),
        notes=verdict.notes,
    )


def _headline(verdict: Verdict, lacking: list[str], path: Path) -> tuple[str, str]:
    """The declared level's word and its sentence; a win is withheld where something is missing that it asks for."""
    if verdict.word not in (WINS, EQUAL_STEPS) or not lacking:
        return verdict.word, verdict.sentence
    run = f"gentickets verdict {path} --run"
    return UNDECIDED, f"UNDECIDED: {words.not_run(lacking)} To run it: {run}. As far as it is: {verdict.sentence}"


def _level(run: Run, verdict: Verdict, found: Found, terms: Terms) -> Level:
    own = found.round == verdict.round
    return Level(
        found.round,
        found.sparsity,
        found.word,
        own and not verdict.chosen,
        verdict.sentence if own else _sentence(verdict, found),
        stage_of(found.short, terms.higher, terms.margin),
        stage_of(found.longer, terms.higher, terms.margin),
        found.p_wins,
        found.p_holds,
        found.reasons,
    )


def _sentence(verdict: Verdict, level: Found) -> str:
    """The sentence of a level that the claim is not about."""
    there: Mapping[str, Any] = {
        "word": level.word, "round": level.round, "level": level.sparsity, "tested": level.tested,
        "short": level.short, "longer": level.longer, "budget": None, "chosen": False, "explained_by": (),
        "share": None, "lighter": None,
    }  # fmt: skip
    return say.sentence(replace(verdict, **there), 0, level.reasons)
