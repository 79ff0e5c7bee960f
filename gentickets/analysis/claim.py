"""Judges the claim of a recipe over paired seeds: does the ticket win, match or lose?

A ticket *holds* at a level when it is shown to be worse than the dense model by less than the margin, a fraction of the
dense value. It *wins* when it is also shown to be better than every control, and also when trained longer (an
intersection-union test, so that several controls need no correction; Berger, 1982). It *matches* when a control is
shown to do as well, and *loses* when it is shown to be worse than the margin allows. Levels share the declared chance
of a false win by Holm's (1979) correction, and interim analyses share it equally. Fewer than three seeds decide
nothing, and in a claim about samples a ticket that collapsed never holds: it loses, or is undecided where the dense
model collapsed too. Claims about other metrics only mention the collapse. Values that were measured in another way than
the dense model's are not compared. The narrow network from scratch with the FLOPs of search and ticket takes more steps
than they do: like the dense model's budget it is reported beside the claim, which is about equal steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gentickets.analysis.contrast import ALPHA
from gentickets.analysis.levels import ClaimTerms, judge_levels, trial_at
from gentickets.analysis.results import RunResults
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.cautions import collapsed_seeds, collapses, ties, warnings_of
from gentickets.analysis.text.controls import explained_sentence
from gentickets.analysis.text.format import Spread, metric_name
from gentickets.analysis.text.recipe import how_found
from gentickets.analysis.verdict import NO_CLAIM, LevelVerdict, Trial, Verdict
from gentickets.analysis.width_sweep import sweep_sentence
from gentickets.arms import BUDGET, kind_of
from gentickets.errors import nearest
from gentickets.metrics import better, of_samples, says_nothing
from gentickets.recipe import Recipe
from gentickets.results import Result
from gentickets.statistics import LEAST_SEEDS, LOSES, UNDECIDED, look_sizes, seeds_judged

EXPLORED = "This run explores, so that there is no verdict; gentickets verdict --from RUN claims what it has chosen."


def judge(results: Sequence[Result], recipe: Recipe, declared: int | None = None) -> Verdict:
    """What the results say about the recipe's `[claim]`; never an error, also where results are missing.

    `declared` is the number of seeds that was declared with its
    claim. Where the run has been given more, it is judged by as many as one of the declared analyses has. Numbers are
    those of the test split; validation only chooses the level (where the recipe leaves it to validation) and each
    control's better variant.
    """
    claim = recipe.claim
    run, unlooked = _looked_at(results, recipe, declared)
    if not recipe.prunes:
        return Verdict(word=NO_CLAIM, sentence=sweep_sentence(run), seeds=len(run.seeds))
    if recipe.explores:
        return Verdict(word=NO_CLAIM, sentence=EXPLORED, seeds=len(run.seeds))
    found = how_found(recipe)
    if claim is None or says_nothing(claim.metric):
        others = _unclaimed(run)
        text = " ".join([_no_claim(run), *([explained_sentence(others, str(run.metric))] if others else [])])
        noted = tuple(ties(run))
        return Verdict(word=NO_CLAIM, sentence=text, found=found, explained_by=others, notes=noted, partial=run.partial)
    terms = ClaimTerms.of(claim)
    metric = terms.metric
    budget = Spread.of(run.values(BUDGET, 0, metric, "test"))
    blank = Verdict(
        word=UNDECIDED,
        sentence="",
        metric=metric,
        margin=terms.margin,
        pruned=run.pruned,
        of_channels=run.of_channels,
        found=found,
        seeds=len(run.seeds),
        budget=budget,
        notes=(*unlooked, *ties(run)),
        partial=run.partial,
    )
    there = run.figures()
    if not results or (there and metric not in there):
        why = f"no result has the figure '{metric}'. {nearest(metric, there)}" if there else "nothing is done yet."
        return replace(blank, sentence=f"The claim is UNDECIDED: {why}")
    round = _claim_round(run)
    if round is None:
        return _without_level(run, replace(blank, chosen=True))
    return _judged(run, blank, round, terms)


def _looked_at(results: Sequence[Result], recipe: Recipe, declared: int | None) -> tuple[RunResults, tuple[str, ...]]:
    """The results of the seeds that the claim is judged by, and a sentence where there are others.

    Sizes of interim analyses are declared beforehand: seeds that are added until a test passes would find false wins.
    """
    claim, whole, asked = recipe.claim, RunResults(results, recipe), recipe.search.seeds
    if claim is None or not declared or asked <= declared:
        return whole, ()
    sizes = look_sizes(declared, ClaimTerms.of(claim).looks)
    judged = seeds_judged(asked, declared, len(sizes))
    if judged == asked:
        return whole, ()
    first = set(whole.seeds[:judged])
    fewer = recipe.model_copy(update={"search": recipe.search.model_copy(update={"seeds": judged})})
    told = say.seeds_not_tested(sizes, judged, asked)
    return RunResults([result for result in results if result.seed in first], fewer), (told,)


def judged_rounds(results: RunResults, claimed: int) -> list[int]:
    """The rounds that get a verdict: those nearest to the declared sparsities, and the claim's."""
    return sorted({*results.recipe.declared_rounds, claimed})


def _judged(results: RunResults, blank: Verdict, round: int, terms: ClaimTerms) -> Verdict:
    """The verdict on the claim's round, beside the other levels."""
    chosen = results.recipe.claim is not None and results.recipe.claim.declared is None
    rounds = judged_rounds(results, round)
    levels = judge_levels(results, rounds, round, terms, chosen)
    own = levels[rounds.index(round)]
    short = own.short
    # A collapse stands in the sentence itself: it may flatter the figures beside it.
    said = [*own.reasons, *collapses(results, round)]
    told = short.unfinished if short else ()
    notes = tuple(dict.fromkeys([*said, *warnings_of(results, round, terms.metric, told), *blank.notes]))
    verdict = replace(
        blank,
        word=own.word,
        round=round,
        level=own.sparsity,
        share=results.removed_fraction(round),
        lighter=results.removed_of_prunable(round) if results.of_channels else None,
        explained_by=_narrower(own.tested, short) if results.of_channels else (),
        chosen=chosen,
        short=short,
        longer=own.longer,
        tested=own.tested,
        notes=notes,
    )
    hollow = results.claims_samples and any(collapsed_seeds(results, round))
    sentence = say.sentence(verdict, results.search.longer, list(dict.fromkeys(said)), hollow)
    told_levels = tuple(
        replace(level, declared=level is own, sentence=sentence if level is own else _sentence(verdict, level))
        for level in levels
    )
    return replace(verdict, sentence=sentence, levels=told_levels)


def _sentence(verdict: Verdict, level: LevelVerdict) -> str:
    """The sentence of a level that the claim is not about."""
    there = replace(
        verdict,
        word=level.word,
        round=level.round,
        level=level.sparsity,
        share=level.share if verdict.partial else None,
        lighter=None,
        explained_by=(),
        chosen=False,
        short=level.short,
        longer=level.longer,
        budget=None,
        tested=level.tested,
    )
    return say.sentence(there, 0, level.reasons)


def claim_round(results: Sequence[Result], recipe: Recipe) -> int | None:
    """The round that the claim is about.

    A declared level: the round nearest to it. `level = "validation"`: the sparsest round whose claim holds on
    the validation metrics of every seed; None while no round does, or where no claim is declared.
    """
    return _claim_round(RunResults(results, recipe))


def _claim_round(results: RunResults) -> int | None:
    claim = results.recipe.claim
    if claim is None:
        return None
    if claim.declared is not None:
        return results.recipe.nearest_round(claim.declared)
    for round in sorted(results.levels, key=results.sparsity, reverse=True):
        found = trial_at(results, round, ClaimTerms.of(claim), split="valid")
        if found is not None and found.loss.n == len(results.seeds) and found.holds:
            return round
    return None


def _no_claim(results: RunResults) -> str:
    """Why there is no verdict, and why a claim would not do."""
    text = "The recipe declares no claim, so there is nothing to hold or to win."
    if claim := results.recipe.claim:
        text = f"The {metric_name(claim.metric)} says nothing of quality by itself, so it can carry no claim."
    return f"{text} {say.more_steps(results.goes_on)}" if results.goes_on else text


def _unclaimed(results: RunResults) -> tuple[str, ...]:
    """Without a claim, the controls that explain the narrowest ticket all the same (Trap 21a)."""
    round, metric = results.last_round, results.metric
    if not results.of_channels or metric is None or better(metric) is None:
        return ()
    flattered = of_samples(metric) and any(collapsed_seeds(results, round))
    return () if flattered else _narrower(True, trial_at(results, round, ClaimTerms(metric, 0.0, ALPHA, 1)))


def _without_level(results: RunResults, verdict: Verdict) -> Verdict:
    """The verdict where validation has named no level: none will come, or the run is not that far."""
    # What every level rests on: the dense run, and where each round prunes the last one's, the first round.
    if broken := results.first_broken([0, 1] if results.recipe.method.goes_round_by_round else [0]):
        return replace(verdict, word=LOSES, sentence=f"The ticket LOSES. {say.failed(broken)}")
    undone = any(results.ticket_troubles(round)[1] for round in [0, *results.levels])
    if undone or len(results.seeds) < results.required_seeds:
        text = "The claim is UNDECIDED: no level holds on validation so far, and the run is not finished."
        return replace(verdict, sentence=text)
    if len(results.seeds) < LEAST_SEEDS:
        text = f"The claim is UNDECIDED: no level holds on validation. {say.few_seeds(len(results.seeds), LEAST_SEEDS)}"
        return replace(verdict, sentence=text)
    text = f"The ticket LOSES: at no level is the ticket's {metric_name(str(verdict.metric))} "
    text += "on validation within the margin of the dense model's."
    if broken := results.first_broken([0, *results.levels]):
        text += f" {say.broken(broken)}."
    return replace(verdict, word=LOSES, sentence=f"{text} {say.budget_sentence(verdict)}".strip())


def _narrower(tested: bool, short: Trial | None) -> tuple[str, ...]:
    """The controls that are as narrow as the ticket and not beaten by it, where anything is decided (Trap 21a)."""
    if short is None or not tested:
        return ()
    unbeaten = [other.control for other in short.controls if other.tested and not other.beaten]
    return tuple(control for control in unbeaten if kind_of(control).of_channels)
