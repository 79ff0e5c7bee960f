"""Asking: a run folder in, its verdict out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gentickets.arms import BESIDE, TWICE
from gentickets.errors import Status
from gentickets.recipe import Recipe, stored_recipe
from gentickets.recipe.asked import missing, require_claim
from gentickets.recipe.declared import check_declared, claim_hash, declared
from gentickets.report import sentence as say
from gentickets.report.cells import Cells
from gentickets.report.levels import Terms
from gentickets.report.read import facts_of, read_run
from gentickets.report.verdict import Level as Found
from gentickets.report.verdict import Verdict
from gentickets.runs.folder import RunFolder
from gentickets.statistics import EQUAL_STEPS, FASTER, UNDECIDED, WINS
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
    stored = check_declared(RunFolder(path).read_record())
    run = read_run(path)
    recipe = stored_recipe(dict(run.record["recipe"]), where=str(RunFolder(path).record))
    verdict, cells = run.summary.verdict, Cells(run.results, recipe)
    lacking = _lacking(recipe, cells, verdict.seeds)
    withheld = _withheld(lacking, stored, path)
    terms = Terms.of(require_claim(recipe))
    look = look_of(recipe, run.record)
    word, sentence = _told(verdict.word, verdict.sentence, withheld)
    round = next(iter(cells.rounds(BESIDE)), verdict.round if verdict.round is not None else cells.last_round)
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
        tuple(_level(verdict, one, terms, withheld) for one in verdict.levels),
        outlook(verdict, run.results, run.record, terms, look, path),
        schooling(cells, terms),
        aside(cells, round),
        tuple(lacking),
        facts=tuple(facts_of(run.record)),
        notes=verdict.notes,
    )


def _lacking(recipe: Recipe, cells: Cells, seeds: int) -> list[str]:
    """The standard arms that the recipe leaves out, and the dense model trained twice as long where it is not there."""
    lacking = missing(recipe)
    if TWICE not in lacking and len(cells.done(TWICE, 0)) < seeds:
        lacking.append(TWICE)
    return lacking


def _withheld(lacking: Sequence[str], stored: bool, path: Path) -> str:
    """Why a win is not told of this run; empty where it may be."""
    reasons = []
    if lacking:
        reasons.append(
            f"{words.not_run(lacking)} To run it: {shlex.join(['gentickets', 'verdict', str(path), '--run'])}."
        )
    if not stored:
        reasons.append(
            "The run has no record of what was declared at its start, so that nothing is known of its looks."
        )
    return " ".join(reasons)


def _told(word: str, sentence: str, withheld: str) -> tuple[str, str]:
    """A word and its sentence; one that says that the ticket wins is withheld where there is a reason to."""
    if word not in (WINS, EQUAL_STEPS, FASTER) or not withheld:
        return word, sentence
    return UNDECIDED, f"UNDECIDED. {withheld} As far as it is: {sentence}"


def _level(verdict: Verdict, found: Found, terms: Terms, withheld: str) -> Level:
    own = found.round == verdict.round
    word, sentence = _told(found.word, verdict.sentence if own else _sentence(verdict, found), withheld)
    return Level(
        found.round,
        found.sparsity,
        word,
        own,
        sentence,
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
        "share": level.share if verdict.partial else None, "lighter": None,
    }  # fmt: skip
    return say.sentence(replace(verdict, **there), 0, level.reasons)
