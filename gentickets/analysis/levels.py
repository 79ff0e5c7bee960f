"""Gives each declared sparsity its verdict, by what its seeds show.

What is tested and how it is corrected stands in `statistics`. Here are the reasons for which values are not tested at
all: seeds that failed or are missing, samples that collapsed, metrics that were measured in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gentickets.analysis.comparison import compare_variants
from gentickets.analysis.results import RunResults, Split
from gentickets.analysis.text import claim as say
from gentickets.analysis.text.cautions import collapsed_seeds
from gentickets.analysis.verdict import Comparison, LevelVerdict, Trial, trial_of, values_of
from gentickets.arms import DENSE, MATCHED, TICKET, ArmName
from gentickets.metrics import better
from gentickets.recipe import Claim
from gentickets.statistics import (
    EQUAL_STEPS,
    FASTER,
    HOLDS,
    LEAST_SEEDS,
    LOSES,
    UNDECIDED,
    WINS,
    Decided,
    Shown,
    decide,
    not_known,
    shown,
)


@dataclass(frozen=True)
class ClaimTerms:
    """What a claim declares of its tests."""

    metric: str
    margin: float
    alpha: float
    """Of one look."""
    looks: int

    @staticmethod
    def of(claim: Claim) -> ClaimTerms:
        """Those of a recipe's [claim]."""
        return ClaimTerms(claim.metric, claim.margin, claim.alpha / claim.looks, claim.looks)

    @property
    def higher(self) -> bool:
        """Whether more of the metric is better."""
        return better(self.metric) == "higher"


def judge_levels(
    results: RunResults, rounds: Sequence[int], claimed: int, terms: ClaimTerms, chosen: bool
) -> list[LevelVerdict]:
    """The level of each round; ``claimed`` is the one that longer arms are about, ``chosen`` whether by validation."""
    first = [_untested(results, round, terms, chosen and round == claimed) for round in rounds]
    seen = [_shown(level.short, terms) if level.tested else not_known({}) for level in first]
    place = list(rounds).index(claimed)
    longer, why = _longer(results, claimed, terms)
    decided = decide(seen, terms.alpha, longer=longer, declared=place)
    found = []
    for here, (round, level) in enumerate(zip(rounds, first, strict=True)):
        if level.tested:
            level = _decided(results, level, seen[here], decided, here, terms)
        if round == claimed:
            level = _with_longer(results, level, why, terms, decided, here)
        found.append(level)
    return found


def trial_at(
    results: RunResults,
    round: int,
    terms: ClaimTerms,
    *,
    longer: bool = False,
    split: Split = "test",
    sizes: tuple[float, float] | None = None,
) -> Trial | None:
    """Ticket, dense and controls at one round (or all of them trained longer); None without ticket or dense.

    ``sizes`` of the tests against dense and against the controls: those of one interim analysis unless given.
    """
    of_dense, of_controls = sizes or (terms.alpha, terms.alpha)
    dense_arm, metric = str(ArmName(DENSE, longer=True)) if longer else TICKET, terms.metric
    ticket = results.values(str(ArmName(TICKET, longer=longer)), round, metric, split)
    dense = results.values(dense_arm, results.round_of(dense_arm, round) if longer else 0, metric, split)
    if not ticket or not dense:
        return None
    found = trial_of(ticket, dense, terms.margin, higher=terms.higher, alpha=of_dense)
    if found is None or split != "test":
        return found
    compared: list[list[Comparison]] = []
    unfinished: dict[str, str] = {}
    for name in results.claim_controls:
        outcome = compare_variants(results, name, round, metric, ticket, of_controls, longer=longer)
        if isinstance(outcome, str):
            unfinished[name] = outcome
        else:
            compared.append(outcome)
    matched = compare_variants(results, MATCHED, round, metric, ticket, of_controls, longer=longer)
    found = replace(found, unfinished=unfinished, matched=None if isinstance(matched, str) else matched[0])
    return _with_versions(found, compared, terms)


def _with_versions(trial: Trial, compared: Sequence[Sequence[Comparison]], terms: ClaimTerms) -> Trial:
    """The trial with the version of each control that decides: both must be beaten, and the one that is not is shown.

    The one with the better mean alone would be no fair control where the other scatters far more.
    """
    every = replace(trial, controls=tuple(one for both in compared for one in both))
    if trial.loss.n >= LEAST_SEEDS:
        well = shown(values_of(every, terms.higher), terms.margin).unbeaten(terms.alpha)
        compared = [[replace(one, as_well=bool(well[one.arm])) for one in both] for both in compared]
    return replace(trial, controls=tuple(_decisive(both) for both in compared))


def _decisive(versions: Sequence[Comparison]) -> Comparison:
    """Of a control's versions, the one that decides, with the other as its variant."""
    told = max(versions, key=lambda one: (one.as_well, one.tested and not one.beaten))
    return replace(told, variant=next((one for one in versions if one is not told), None))


def _untested(results: RunResults, round: int, terms: ClaimTerms, chosen: bool) -> LevelVerdict:
    """The level before any test: what its arms reached, and where they cannot be tested, its word and why."""
    short = trial_at(results, round, terms)
    level = LevelVerdict(
        round=round,
        sparsity=results.sparsity(round),
        word=UNDECIDED,
        short=short,
        share=results.removed_fraction(round),
    )
    failed, waiting = results.ticket_troubles(round)
    seeds = len(results.seeds)
    if failed:
        return replace(level, word=LOSES, reasons=(say.failed(results.first_broken(results.rounds_to(round))),))
    if chosen:
        # A sparser round that is still running may hold, so that the level itself is open.
        later = [place for place in results.levels if place >= round]
        waiting = sorted({seed for place in later for seed in results.ticket_troubles(place)[1]})
    if apart := sorted(
        {*results.not_comparable("ticket", 0, terms.metric), *results.not_comparable("ticket", round, terms.metric)}
    ):
        return replace(level, reasons=(say.measured_differently(terms.metric, apart),))
    if waiting or seeds < results.required_seeds or short is None or short.loss.n < seeds:
        return replace(level, reasons=(say.seeds_missing(waiting, seeds, results.required_seeds),))
    if seeds < LEAST_SEEDS:
        return replace(level, reasons=(say.few_seeds(seeds, LEAST_SEEDS),))
    alone, both = collapsed_seeds(results, round) if results.claims_samples else ([], [])
    if alone:
        # A collapsed generator can score better than a healthy one, so that the figure alone proves nothing.
        return replace(level, word=LOSES, reasons=(say.collapsed("the ticket", alone),))
    if both:
        return replace(level, reasons=(say.both_collapsed(both),))
    return replace(level, tested=True)


def _shown(short: Trial | None, terms: ClaimTerms) -> Shown:
    """What a trial shows; a control that is not there is not beaten."""
    if short is None:
        return not_known({})
    found, missing = shown(values_of(short, terms.higher), terms.margin), not_known(short.unfinished)
    return replace(found, beats={**found.beats, **missing.beats}, as_well={**found.as_well, **missing.as_well})


def _decided(
    results: RunResults, level: LevelVerdict, seen: Shown, decided: Decided, place: int, terms: ClaimTerms
) -> LevelVerdict:
    """The level with its word, everything in it at the size at which Holm's correction has tested it."""
    word = str(decided.words[place])
    holds = float(decided.holds[place])
    short = trial_at(
        results, level.round, terms, sizes=(float(decided.sizes.holds[place]), float(decided.sizes.equal[place]))
    )
    reasons = tuple(say.not_compared(short.unfinished)) if short else ()
    if word == UNDECIDED and reasons and holds <= terms.alpha:
        word = HOLDS
    if not seen.beats:
        reasons = ("No control was run, so whether the ticket matches or wins is not asked.",)
    return replace(level, word=word, short=short, reasons=reasons, p_wins=float(decided.wins[place]), p_holds=holds)


def _longer(results: RunResults, round: int, terms: ClaimTerms) -> tuple[Shown | None, tuple[str, ...]]:
    """What the longer arms show, and what is wrong with them; None where there are none."""
    arms = [str(ArmName(arm, longer=True)) for arm in (TICKET, DENSE)]
    there = [cell for arm in arms for place in results.rounds(arm) for cell in results.of(arm, place)]
    if not there:
        return None, ()
    gone = replace(not_known({}), worse=np.zeros(()))
    if failed := [cell for cell in there if cell.status != "done"]:
        if any(cell.arm == arms[0] for cell in failed):
            return gone, (say.failed([cell for cell in failed if cell.arm == arms[0]]),)
        return not_known({}), (f"{say.broken(failed)}, so that nothing is said of longer training.",)
    alone, both = collapsed_seeds(results, round, longer=True) if results.claims_samples else ([], [])
    if alone:
        return gone, (say.collapsed("the ticket, trained longer,", alone),)
    if both:
        return not_known({}), (say.both_collapsed(both, longer=True),)
    found = trial_at(results, round, terms, longer=True)
    if found is None or found.loss.n < len(results.seeds):
        return not_known({}), ("The longer arms are not finished.",)
    missing = {str(ArmName(name, longer=True)): why for name, why in found.unfinished.items()}
    return _shown(found, terms), tuple(say.not_compared(missing))


def _with_longer(
    results: RunResults, level: LevelVerdict, why: tuple[str, ...], terms: ClaimTerms, decided: Decided, place: int
) -> LevelVerdict:
    size = float(decided.sizes.longer[place]) if level.tested else terms.alpha
    told = why if level.word in (WINS, EQUAL_STEPS, FASTER) else ()
    return replace(
        level,
        longer=trial_at(results, level.round, terms, longer=True, sizes=(size, size)),
        reasons=(*level.reasons, *told),
    )
