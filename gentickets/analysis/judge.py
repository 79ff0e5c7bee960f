"""Judges a run folder: reads it, and returns the verdict on its claim."""

from __future__ import annotations

from pathlib import Path

from gentickets.analysis.convergence import convergence_of
from gentickets.analysis.diagnostics import diagnostics_of
from gentickets.analysis.interim_analyses import interim_analysis_of, judged_results
from gentickets.analysis.outlook import outlook_of
from gentickets.analysis.results import RunResults
from gentickets.analysis.run import Run, facts_of, read_run
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.second_verdict import SecondVerdict, second_verdict
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.text.format import listed
from gentickets.analysis.text.meanings import meaning, next_step
from gentickets.analysis.text.second_verdict import second_text
from gentickets.analysis.verdict import NO_VERDICT
from gentickets.arms import BESIDE, TWICE
from gentickets.errors import TicketError
from gentickets.recipe.asked import missing, require_claim
from gentickets.recipe.declared import check_declared, declared, seeds_by_hand
from gentickets.recipe.meaning import claim_hash
from gentickets.runs.claims import claims_like
from gentickets.runs.folder import RunFolder


def judge_run(path: Path) -> RunVerdict:
    """The verdict on the claim of a run, finished or not; of one of the first edition, the verdict that it stored.

    Raises TicketError: no run, no claim to judge (see `recipe.asked`), or a claim in run.json that is not the one
    declared at the start (status 3).
    """
    stored = check_declared(RunFolder(path).read_record())
    run = read_run(path)
    claim = require_claim(run.recipe)
    verdict, results = run.summary.verdict, RunResults(run.results, run.recipe, str(path))
    look = interim_analysis_of(run.recipe, run.record)
    fewer, _ = judged_results(results, look.seeds[0])
    look = interim_analysis_of(run.recipe, run.record, fewer.recipe.search.seeds)
    terms = _terms(results, look.seeds[0])
    round = next(iter(results.rounds(BESIDE)), verdict.round if verdict.round is not None else results.last_round)
    told = run.record.get("claim") or {}
    judged = verdict.edition > 1 and verdict.word != NO_VERDICT
    second = _second(run, look.seeds[0]) if judged and terms is not None else None
    return RunVerdict(
        name=run.summary.name,
        path=str(path),
        metric=claim.metric,
        margin=claim.margin,
        unit=claim.unit,
        floor=_floor(terms),
        claim=told.get("declared") or declared(run.recipe),
        hash=told.get("hash") or claim_hash(run.recipe),
        stored=stored,
        edition=verdict.edition,
        exploratory=judged and seeds_by_hand(run.record),
        look=look,
        word=verdict.word,
        sentence=verdict.sentence,
        meaning=meaning(verdict.word),
        next_step=next_step(verdict.word),
        levels=verdict.levels,
        second=second,
        second_sentence=second_text(second) if second is not None else "",
        more=outlook_of(run, terms, look) if judged and terms is not None else None,
        trained=None if terms is None else convergence_of(results, terms, verdict.round or 0),
        beside=diagnostics_of(results, round),
        missing=tuple(_lacking(run, results)) if judged else (),
        facts=tuple(facts_of(run.record)),
        notes=(*verdict.notes, *_other_claims(path)),
    )


def _terms(results: RunResults, seeds: int) -> ClaimTerms | None:
    """The claim's terms; None where the run does not say what its margin is a share of."""
    try:
        return ClaimTerms.of(results, seeds)
    except TicketError:
        return None


def _second(run: Run, seeds: int) -> SecondVerdict | None:
    """The second verdict on the declared level, over the seeds of the last interim analysis."""
    results, _ = judged_results(RunResults(run.results, run.recipe, str(run.path)), seeds)
    terms, round = _terms(results, seeds), run.summary.verdict.round
    return None if terms is None or round is None else second_verdict(results, terms, round)


def _other_claims(path: Path) -> list[str]:
    """Which of the claims on the same task and data this is, where the log beside the run knows others."""
    number, many, others = claims_like(RunFolder(path))
    if many < 2:
        return []
    runs = listed(list(dict.fromkeys(one.run for one in others)))
    return [f"This is claim {number} of {many} on this task and data; the others: {runs}."]


def _floor(terms: ClaimTerms | None) -> float | None:
    if terms is None or terms.margin.floor is None:
        return None
    return float(terms.losses([terms.margin.floor])[0])


def _lacking(run: Run, results: RunResults) -> list[str]:
    """The declared arms that the recipe leaves out, and the dense model trained twice as long where it is not there."""
    lacking = missing(run.recipe)
    if TWICE not in lacking and len(results.done(TWICE, 0)) < run.summary.verdict.seeds:
        lacking.append(TWICE)
    return lacking
