"""Judges the claim of a recipe over paired seeds: the deepest verdict of the tree that the results show.

The tree, its tests and corrections are those of `gentickets.statistics.tree`; `find` and `verdict` both judge here.
What is needed are the claim's declared controls: while some are missing, no more is said than that the ticket matches
dense, or is worse. In a claim about samples a ticket that collapsed alone has failed, and nothing is decided where the
dense model collapsed too; claims about other metrics only mention the collapse. Values that were measured in another
way than the dense model's are not compared. The narrow network from scratch with the FLOPs of search and ticket takes
more steps than they do: like the dense model's budget it is reported beside the claim, which is about equal steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gentickets.analysis.contrast import ALPHA, paired
from gentickets.analysis.convergence import convergence_of
from gentickets.analysis.interim_analyses import judged_results, under_way
from gentickets.analysis.levels import Judged, judge_levels, level_on_validation
from gentickets.analysis.results import RunResults
from gentickets.analysis.terms import ClaimTerms
from gentickets.analysis.tested import LevelPart
from gentickets.analysis.text import claim as say
from gentickets.analysis.text import margins as of_margin
from gentickets.analysis.text import reasons as why
from gentickets.analysis.text.cautions import collapses, ties, warnings_of
from gentickets.analysis.text.controls import explained_sentence, matched_sentence
from gentickets.analysis.text.format import Spread, decimals, metric_name, numbered
from gentickets.analysis.text.level import level_text
from gentickets.analysis.text.recipe import how_found
from gentickets.analysis.text.sentence import Setting, sentence
from gentickets.analysis.text.verdict import untrained_text
from gentickets.analysis.verdict import NO_CLAIM, NO_VERDICT, LevelVerdict, Verdict
from gentickets.analysis.width_sweep import sweep_sentence
from gentickets.arms import BUDGET, TICKET, kind_of
from gentickets.errors import TicketError, nearest
from gentickets.metrics import better, of_samples, says_nothing
from gentickets.recipe import Recipe
from gentickets.results import Result
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    HEAD_START,
    LEAST_SEEDS,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
    every_level_worse,
)

EXPLORED = (
    "No verdict: the run explores, so that nothing was declared before it. Its metrics and intervals may choose a "
    "level and a number of seeds for a claim: gentickets verdict --from RUN."
)
PRAISED = (MATCHES, NO_BETTER, EQUAL_STEPS, HEAD_START, WINS)
"""Verdicts that a dense model which is not trained to its end may have flattered."""
_IMAGES = re.compile(r"(\d+) test images")


def judge(
    results: Sequence[Result], recipe: Recipe, declared: int | None = None, *, path: str = "RUN", by_hand: bool = False
) -> Verdict:
    """What the results say about the recipe's `[claim]`; never an error, also where results are missing.

    ``declared``: the number of seeds that was declared with its claim; where the run has been given more, it is judged
    by as many as one of the declared interim analyses has. ``path``: of the run, for commands. ``by_hand``: whether its
    seeds were chosen by hand, so that what is shown is exploratory. Numbers are those of the test split; validation
    only chooses the level, where the recipe leaves it to validation.
    """
    whole = RunResults(results, recipe, path)
    run, unlooked = judged_results(whole, declared)
    if not recipe.prunes:
        return Verdict(word=NO_CLAIM, sentence=sweep_sentence(run), seeds=len(run.seeds))
    claim = recipe.claim
    if claim is None or says_nothing(claim.metric):
        return _unclaimed_verdict(run)
    if recipe.explores:
        return Verdict(
            word=NO_VERDICT, sentence=EXPLORED, metric=claim.metric, seeds=len(run.seeds), partial=run.partial
        )
    metric = claim.metric
    blank = Verdict(
        word=UNDECIDED, sentence="", metric=metric, margin=claim.margin, unit=claim.unit, pruned=run.pruned,
        of_channels=run.of_channels, found=how_found(recipe), seeds=len(run.seeds),
        budget=Spread.of(run.values(BUDGET, 0, metric, "test")), notes=(*unlooked, *ties(run)), partial=run.partial,
        chosen=claim.declared is None,
    )  # fmt: skip
    there = run.figures()
    if not results or (there and metric not in there):
        problem = f"no result has the metric '{metric}'. {nearest(metric, there)}" if there else "nothing is done yet."
        return replace(blank, sentence=f"UNDECIDED: {problem}")
    try:
        terms = ClaimTerms.of(run, declared or recipe.search.seeds)
    except TicketError as error:
        return replace(blank, sentence=f"UNDECIDED: {error}.")
    return _Judge(run, terms, blank, by_hand, under_way(whole, run, declared)).verdict()


class _Judge:
    """Judges one run by the terms of its claim."""

    def __init__(self, run: RunResults, terms: ClaimTerms, blank: Verdict, by_hand: bool, coming: str) -> None:
        """``coming``: how far the next interim analysis is (`under_way`)."""
        self.run, self.terms, self.blank, self.by_hand, self.coming = run, terms, blank, by_hand, coming

    def verdict(self) -> Verdict:
        """The verdict on the claim's level, beside those on the other levels."""
        round = _claim_round(self.run, self.terms)
        rounds = self.run.levels if self.blank.chosen else sorted({*self.run.recipe.judged_rounds, round or 0} - {0})
        judged = judge_levels(self.run, rounds, round, self.terms, self.blank.chosen)
        if round is None:
            return self._without_level(judged)
        own = judged.levels[rounds.index(round)]
        return self._of_level(own, judged.levels)

    def _of_level(self, own: LevelVerdict, levels: Sequence[LevelVerdict]) -> Verdict:
        run, short = self.run, own.short
        verdict = replace(
            self.blank,
            word=own.word,
            round=own.round,
            level=own.sparsity,
            share=run.removed_fraction(own.round),
            lighter=run.removed_of_prunable(own.round) if run.of_channels else None,
            explained_by=_narrower(own) if run.of_channels else (),
            short=short,
            longer=own.longer,
            tested=own.tested,
        )
        cautions = self._cautions(verdict)
        told = sentence(own, self._setting(verdict, own), cautions)
        levels = [
            replace(one, declared=one is own, sentence=told if one is own else self._other(verdict, one))
            for one in levels
        ]
        unfinished = short.unfinished if short else {}
        warned = warnings_of(run, own.round, self.terms.metric, unfinished)
        about = [*self._about_margin(short), *self._with_images(own, levels)]
        notes = dict.fromkeys([*own.reasons, *cautions, *warned, *about, *self.blank.notes])
        return replace(verdict, sentence=told, levels=tuple(levels), notes=tuple(notes))

    def _cautions(self, verdict: Verdict) -> list[str]:
        """What belongs into the sentence itself: it may flatter the metrics beside it."""
        found = list(collapses(self.run, verdict.round or 0))
        trained = convergence_of(self.run, self.terms, verdict.round or 0)
        if trained is not None and trained.trained is False and verdict.word in PRAISED:
            found.append(untrained_text(trained))
        if verdict.explained_by:
            found.append(explained_sentence(verdict.explained_by, self.terms.metric))
        if verdict.short is not None and verdict.short.matched is not None:
            short, places = verdict.short, decimals([verdict.short.ticket, verdict.short.dense])
            found.append(matched_sentence(short.matched, short.ticket, places, verdict.tested, self.terms.higher))
        if verdict.budget is not None and not self._hollow(verdict.round or 0):
            found.append(say.budget_sentence(verdict, verdict.tested))
        return [*filter(None, found)]

    def _about_margin(self, short: LevelPart | None) -> list[str]:
        """What must be known of the margin: an arbitrary zero, or one that is wider than what the budget gains."""
        if short is None or short.margin is None:
            return []
        dense = self.run.values(TICKET, 0, self.terms.metric, "test")
        best = self.run.values(BUDGET, 0, self.terms.metric, "test")
        gain = paired(best, dense, higher=self.terms.higher)
        return of_margin.notes(self.run.recipe, short.margin, None if gain is None else -gain.mean)

    def _with_images(self, own: LevelVerdict, levels: Sequence[LevelVerdict]) -> list[str]:
        """Whether the verdict would stand if the error over test images counted too, where that is known."""
        known = own.tested and own.short is not None and all(one.images is not None for one in own.short.tests)
        if not known or self.terms.terms.images == "sample":
            return []
        sampled = replace(self.terms, terms=replace(self.terms.terms, images="sample"))
        rounds = [level.round for level in levels]
        found = judge_levels(self.run, rounds, own.round, sampled, self.blank.chosen).levels[rounds.index(own.round)]
        return [] if found.word == own.word else [say.with_images(found.word)]

    def _hollow(self, round: int) -> bool:
        return self.run.claims_samples and bool(self.run.collapsed(TICKET, round))

    def _setting(self, verdict: Verdict, level: LevelVerdict, times: int | None = None) -> Setting:
        plan = self.terms.terms.plan
        number = len(plan.taken(len(self.run.seeds)))
        which = [f"interim analysis {number} of {plan.analyses}"] if number and plan.analyses > 1 else []
        return Setting(
            metric=self.terms.metric,
            level=level_text(verdict),
            times=self.run.search.longer if times is None else times,
            analysis="; ".join(filter(None, [*which, self.coming])),
            images=_images(self.run, self.terms.metric),
            exploratory=self.by_hand,
            sample=self.terms.terms.images == "sample",
            hollow=self._hollow(level.round),
        )

    def _other(self, verdict: Verdict, level: LevelVerdict) -> str:
        """The sentence of a level that the claim is not about."""
        there = replace(
            verdict, level=level.sparsity, lighter=None, chosen=False, round=level.round,
            share=level.share if verdict.partial else None,
        )  # fmt: skip
        return sentence(level, self._setting(there, level), collapses(self.run, level.round))

    def _without_level(self, judged: Judged) -> Verdict:
        """The verdict where validation has named no level: none will come, or the run is not that far."""
        run = self.run
        levels = tuple(replace(one, sentence=self._other(self.blank, one)) for one in judged.levels)
        blank = replace(self.blank, levels=levels)
        first = next((one for one in judged.levels if not one.tested), None)
        if judged.levels and all(one.word == FAILED for one in judged.levels):
            return replace(blank, word=FAILED, sentence=f"FAILED at every level: {' '.join(judged.levels[0].reasons)}")
        if len(run.seeds) < run.required_seeds or first is not None:
            text = " ".join(first.reasons) if first else "the run is not finished."
            return replace(blank, sentence=f"UNDECIDED: no level is within the margin on validation so far. {text}")
        if len(run.seeds) < LEAST_SEEDS:
            return replace(blank, sentence=f"UNDECIDED: {say.few_seeds(len(run.seeds), LEAST_SEEDS)}")
        if judged.levels and bool(every_level_worse(judged.judgement, self.terms.terms)):
            count = numbered(len(judged.levels), "level")
            text = f"WORSE THAN DENSE at every one of {count}: none is within the margin on validation, "
            text += "and each is shown to be beyond it on test."
            return replace(blank, word=WORSE, tested=True, sentence=f"{text} {say.budget_sentence(blank)}".strip())
        return replace(blank, sentence=f"UNDECIDED: {why.NOTHING_WITHIN} {say.budget_sentence(blank)}".strip())


def claim_round(results: Sequence[Result], recipe: Recipe) -> int | None:
    """The round that the claim is about.

    A declared level: the round nearest to it. `level = "validation"`: the sparsest round whose mean on validation is
    within the margin; None while there is none, or where no claim is declared.
    """
    run = RunResults(results, recipe)
    if recipe.claim is None:
        return None
    try:
        return _claim_round(run, ClaimTerms.of(run, recipe.search.seeds))
    except TicketError:
        return None if recipe.claim.declared is None else recipe.nearest_round(recipe.claim.declared)


def _claim_round(run: RunResults, terms: ClaimTerms) -> int | None:
    claim = run.recipe.claim
    if claim is not None and claim.declared is not None:
        return run.recipe.nearest_round(claim.declared)
    return level_on_validation(run, terms)


def _unclaimed_verdict(run: RunResults) -> Verdict:
    """No verdict, as no claim is declared, or none that anything can be shown of."""
    others = _unclaimed(run)
    text = " ".join([_no_claim(run), *([explained_sentence(others, str(run.metric))] if others else [])])
    found = how_found(run.recipe)
    return Verdict(
        word=NO_CLAIM, sentence=text, found=found, explained_by=others, notes=tuple(ties(run)), partial=run.partial
    )


def _no_claim(results: RunResults) -> str:
    """Why there is no verdict, and why a claim would not do."""
    text = "The recipe declares no claim, so there is no verdict."
    if claim := results.recipe.claim:
        text = f"The {metric_name(claim.metric)} says nothing of quality by itself, so it can carry no claim."
    return f"{text} {say.more_steps(results.goes_on)}" if results.goes_on else text


def _unclaimed(run: RunResults) -> tuple[str, ...]:
    """Without a claim, the controls that explain the narrowest ticket all the same (Trap 21a)."""
    round, metric = run.last_round, run.metric
    if not run.of_channels or metric is None or better(metric) is None:
        return ()
    if of_samples(metric) and run.collapsed(TICKET, round):
        return ()
    own, higher = run.values(TICKET, round, metric, "test"), better(metric) == "higher"
    controls = [control for control in run.claim_controls if kind_of(control).of_channels]
    losses = {control: paired(own, run.values(control, round, metric, "test"), higher=higher) for control in controls}
    return tuple(name for name, loss in losses.items() if loss and loss.n >= LEAST_SEEDS and loss.p > ALPHA)


def _narrower(level: LevelVerdict) -> tuple[str, ...]:
    """The controls as narrow as the ticket that are shown not to be behind by what counts (Trap 21a)."""
    short = level.short
    if short is None or not level.tested:
        return ()
    even = dict.fromkeys(one.control for one in short.controls if one.refuted)
    return tuple(control for control in even if kind_of(control).of_channels)


def _images(run: RunResults, metric: str) -> int | None:
    """How many test images the metric was taken on, as the results say; None where they do not."""
    found = _IMAGES.search(run.measured(metric))
    return int(found[1]) if found else None
