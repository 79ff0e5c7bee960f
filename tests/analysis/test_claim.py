"""The claim: the bound by hand, every word, and that choices are made on validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import reading
from scipy import stats

from gentickets.analysis.plain import plain
from gentickets.analysis.written import REPORT
from gentickets.report import Verdict, claim_round, judge, paired
from gentickets.results import Result
from gentickets.statistics import bootstrap_interval

judge, claim_round = map(reading, (judge, claim_round))

DENSE = (100.0, 100.5, 99.5)
BETTER = (99.0, 99.62, 98.39)
WORSE = (101.0, 101.6, 100.4)
EVEN = (99.02, 99.6, 98.4)
"""As good as `BETTER`; not in every seed by the same, which would be tested by its sign."""
MUCH_WORSE = (109.0, 109.5, 108.6)


def recipe(**search: Any) -> dict[str, Any]:
    """A claim about 36 %, the second of two rounds: a margin of 2, a lead of 0.5, one interim analysis.

    Its declared controls are those that run; where none does, SNIP is declared and missing.
    """
    asked = {"rounds": 2, "keep": 0.8, "seeds": 3, "controls": ["snip", "grasp"], "scaling": "off"}
    asked = {**asked, "longer": 0, "budget": False, **search}
    claim: dict[str, Any] = {"metric": "negative_elbo", "margin": 2.0, "unit": "absolute", "level": 0.36, "looks": 1}
    return {"search": asked, "claim": {**claim, "sparsities": [0.36], "controls": asked["controls"] or ["snip"]}}


def claiming(asked: dict[str, Any], **claim: Any) -> dict[str, Any]:
    """The same recipe with other keys of its claim."""
    own = {**asked["claim"], **claim}
    if own["level"] == "validation":
        del own["sparsities"]
    return {**asked, "claim": own}


def cells(arm: str, round: int, test: Sequence[float], valid: Sequence[float] | None = None) -> list[Result]:
    """One arm at one round, a value per seed; on validation the same values unless given."""
    return [
        Result(
            arm, seed, round, 0.0 if arm == "narrow" else 1 - 0.8**round, 500, 500, "last",
            valid={"negative_elbo": seen}, test={"negative_elbo": value},
        )
        for seed, (value, seen) in enumerate(zip(test, valid or test, strict=True))
    ]  # fmt: skip


def run(ticket: Sequence[float] = BETTER, **controls: Sequence[float]) -> list[Result]:
    """Dense, the ticket at both rounds, and controls at the second."""
    found = cells("ticket", 0, DENSE[: len(ticket)]) + cells("ticket", 1, ticket) + cells("ticket", 2, ticket)
    for arm, values in controls.items():
        found += cells(arm.replace("_", "-"), 2, values)
    return found


def failed(results: Sequence[Result], arm: str, seed: int, round: int, status: str = "failed") -> list[Result]:
    """The same results, with one cell failed."""
    broken: dict[str, Any] = {
        "status": status,
        "test": {},
        "valid": {},
        "why": "a loss became NaN at step 31",
    }
    return [replace(r, **broken) if (r.arm, r.seed, r.round) == (arm, seed, round) else r for r in results]


def longer(ticket: Sequence[float], dense: Sequence[float], control: Sequence[float]) -> list[Result]:
    """The arms that trained longer, at the claim's round."""
    return [
        *cells("dense-longer", 0, dense),
        *cells("ticket-longer", 2, ticket),
        *cells("snip-longer", 2, control),
        *cells("grasp-longer", 2, control),
    ]


def test_the_bound_is_mean_plus_t_times_standard_error() -> None:
    # Losses -1, 0 and 1: mean 0, sd 1, standard error 1 / sqrt(3); t(0.95, 2) = 2.919986 from the tables.
    found = paired({0: 1.0, 1: 2.0, 2: 3.0}, {0: 2.0, 1: 2.0, 2: 2.0})
    assert found is not None
    assert (found.mean, found.n) == (0.0, 3)
    assert found.bound == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)
    assert found.p == pytest.approx(0.5)


def test_a_contrast_holds_all_of_its_test() -> None:
    first, second = {0: 1.0, 1: 2.5, 2: 3.0}, {0: 2.0, 1: 2.0, 2: 2.0}
    found = paired(first, second, alpha=0.01)
    assert found is not None
    assert (found.size, found.losses) == (0.01, (-1.0, 0.5, 1.0))
    assert found.bound == pytest.approx(found.mean + stats.t.ppf(0.99, 2) * found.se)
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 2) * found.se)
    assert found.bootstrap is None, "with three seeds it would be too narrow"
    ten = paired(dict(enumerate(range(10))), dict(enumerate([1.0] * 10)))
    assert ten is not None
    assert ten.bootstrap == bootstrap_interval(ten.losses)
    alone = paired({0: 1.0}, second)
    assert alone is not None
    assert (alone.se, alone.bound, alone.bootstrap) == (math.inf, math.inf, None)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_bound_and_p_agree_with_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    first, second = rng.normal(0, 1, n), rng.normal(0.4, 1, n)
    found = paired(dict(enumerate(first.tolist())), dict(enumerate(second.tolist())))
    reference = stats.ttest_rel(first, second, alternative="less")
    assert found is not None
    assert found.p == pytest.approx(reference.pvalue)
    assert found.bound == pytest.approx(reference.confidence_interval(0.95).high)
    assert (found.bound < 0) == (found.p < 0.05)


def test_pairs_are_seeds_and_not_positions() -> None:
    found = paired({2: 5.0, 0: 1.0, 7: 9.0}, {0: 2.0, 2: 7.0})
    assert found is not None
    assert (found.mean, found.n) == (-1.5, 2)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_one_seed_has_no_bound_and_equal_losses_have_their_own() -> None:
    one, same = paired({0: 1.0}, {0: 2.0}), paired({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0})
    assert one is not None
    assert same is not None
    assert (one.bound, one.p) == (math.inf, 1.0)
    assert (same.bound, same.p) == (-1.0, 0.0)


@pytest.mark.parametrize(
    ("word", "ticket", "controls"),
    [
        ("WINS AT EQUAL STEPS", BETTER, {"snip": WORSE, "grasp": WORSE}),
        ("NO BETTER THAN A CONTROL", BETTER, {"snip": WORSE, "grasp": EVEN}),
        ("MATCHES DENSE", BETTER, {"snip": (98.0, 101.0, 99.5), "grasp": WORSE}),
        ("UNDECIDED", (97.0, 103.0, 99.0), {"snip": WORSE, "grasp": WORSE}),
        ("WORSE THAN DENSE", MUCH_WORSE, {"snip": (120.0, 121.0, 122.0), "grasp": (120.0, 121.0, 122.0)}),
        ("MATCHES DENSE", BETTER, {"snip": WORSE}),
        ("MATCHES DENSE", BETTER, {"snip": EVEN}),
        ("NO BETTER THAN A CONTROL", BETTER, {"snip": EVEN, "grasp": EVEN}),
        ("UNDECIDED", BETTER[:2], {"snip": WORSE[:2], "grasp": WORSE[:2]}),
    ],
)
def test_word(word: str, ticket: Sequence[float], controls: Mapping[str, Sequence[float]]) -> None:
    asked = recipe(seeds=len(ticket))
    assert judge(run(ticket, **controls), asked).word == word


def test_without_its_declared_controls_a_ticket_only_matches_dense() -> None:
    verdict = judge(run(), recipe(controls=[]))
    assert verdict.word == "MATCHES DENSE"
    assert "the verdict cannot go beyond MATCHES DENSE: SNIP (not run yet)" in verdict.notes[0]
    assert "gentickets verdict RUN --run" in verdict.notes[0]
    assert judge(run(MUCH_WORSE), recipe(controls=[])).word == "WORSE THAN DENSE"


def test_more_controls_than_the_declared_make_a_win_harder_and_count_for_nothing_else() -> None:
    asked = claiming(recipe(), controls=["snip"])
    assert judge(run(BETTER, snip=WORSE), asked).word == "MATCHES DENSE", "grasp is asked for, and not there yet"
    even = judge(run(BETTER, snip=WORSE, grasp=EVEN), asked)
    assert even.word == "MATCHES DENSE", "no control of the claim is as good"
    assert judge(run(BETTER, snip=WORSE, grasp=WORSE), asked).word == "WINS AT EQUAL STEPS"


def test_the_margin_moves_with_dense_and_the_bound_must_be_under_it() -> None:
    # Losses 1.0, 1.1 and 0.9: mean 1, sd 0.1. A margin m of dense values 100, 100.5 and 99.5 moves with them: the sd of
    # what is left is 0.1 - 0.5 m. Praise is tested at 4 %: t(0.96, 2) = 3.319764, the edge m = 0.011805.
    asked = claiming(recipe(controls=[]), unit=None, margin=0.0119)
    close = judge(run(WORSE), asked)
    assert close.short is not None
    assert close.short.margin == pytest.approx(1.19)
    assert close.short.against.good is not None
    assert close.short.against.good.limit == pytest.approx(1 + 3.319764 * (0.1 - 0.5 * 0.0119) / math.sqrt(3), rel=1e-6)
    assert close.word == "MATCHES DENSE"
    assert judge(run(WORSE), claiming(asked, margin=0.0118)).word == "UNDECIDED"


def test_a_negative_dense_mean_leaves_the_margin_positive() -> None:
    below = [replace(r, test={"negative_elbo": r.test["negative_elbo"] - 200}) for r in run(WORSE)]
    verdict = judge(below, claiming(recipe(controls=[]), unit=None, margin=0.02))
    assert verdict.short is not None
    assert verdict.short.margin == pytest.approx(2.0)
    assert verdict.word == "MATCHES DENSE"


def with_floor(results: Sequence[Result], floor: float) -> list[Result]:
    """The same results, of which the dense runs have stored what the metric could reach at best."""
    known = {"valid": {"negative_elbo": floor}, "test": {"negative_elbo": floor}}
    return [replace(r, floors=known) if r.round == 0 else r for r in results]


def test_a_share_is_of_the_distance_to_the_floor() -> None:
    # dense 100, 100.5 and 99.5 over a floor of 80: 5 % of 20 is 1, and losses of 1 are not shown to be under it
    asked = claiming(recipe(controls=[]), unit="share", margin=0.05)
    verdict = judge(with_floor(run(WORSE), 80.0), asked)
    assert verdict.short is not None
    assert (verdict.short.margin, verdict.short.lead) == (pytest.approx(1.0), pytest.approx(0.25))
    assert (verdict.short.scale, verdict.word) == (pytest.approx(20.0), "UNDECIDED")
    assert judge(with_floor(run(WORSE), 70.0), asked).word == "MATCHES DENSE"
    assert "has not stored the metric's floor" in judge(run(WORSE), asked).sentence


@pytest.mark.parametrize(("floor", "told"), [(100.2, "at the metric's floor"), (99.0, "so near to the metric's floor")])
def test_a_share_of_next_to_nothing_is_refused(floor: float, told: str) -> None:
    asked = claiming(recipe(controls=[]), unit="share", margin=0.05)
    verdict = judge(with_floor(run(), floor), asked)
    assert verdict.word == "UNDECIDED"
    assert told in verdict.sentence
    assert "declare it in absolute units" in verdict.sentence


def test_a_margin_that_is_easily_had_and_an_arbitrary_zero_are_noted() -> None:
    results = run(BETTER) + cells("budget", 0, (99.0, 99.5, 98.5))
    easy = "MATCHES DENSE is easily had: the margin is 2.00, and the whole budget gains 1.00."
    assert easy in judge(results, recipe(controls=[])).notes
    assert easy not in judge(results, claiming(recipe(controls=[]), margin=0.9)).notes
    assert any("zero is arbitrary" in note for note in judge(run(), claiming(recipe(), unit=None, margin=0.02)).notes)
    assert not any("zero is arbitrary" in note for note in judge(run(), recipe()).notes)


def test_a_win_needs_the_longer_arms() -> None:
    short = run(BETTER, snip=WORSE, grasp=WORSE)
    asked = recipe(longer=5)
    assert judge(short, asked).word == "WINS AT EQUAL STEPS"
    lasting = judge(short + longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1)), asked)
    assert lasting.word == "WINS"
    assert lasting.wins
    assert "This lasts: trained 5 times as long, it still matches dense and leads every control." in lasting.sentence


@pytest.mark.parametrize(
    ("ticket", "dense", "control"),
    [
        ((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (95.0, 95.11, 95.2)),
        ((95.0, 95.1, 95.2), (91.1, 91.2, 91.2), (96.0, 96.2, 96.1)),
    ],
    ids=["a control catches up", "dense runs ahead"],
)
def test_a_win_that_vanishes_is_a_head_start(
    ticket: Sequence[float], dense: Sequence[float], control: Sequence[float]
) -> None:
    verdict = judge(run(BETTER, snip=WORSE, grasp=WORSE) + longer(ticket, dense, control), recipe(longer=5))
    assert verdict.word == "HEAD START ONLY"
    assert not verdict.wins
    assert "HEAD START ONLY" in verdict.sentence


def test_half_finished_longer_arms_do_not_make_a_win() -> None:
    short = run(BETTER, snip=WORSE, grasp=WORSE)
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    without_grasp = [r for r in tail if r.arm != "grasp-longer"]
    verdict = judge(short + without_grasp, recipe(longer=5))
    assert verdict.word == "WINS AT EQUAL STEPS"
    assert any("cannot go beyond WINS AT EQUAL STEPS: GraSP, longer (not run yet)" in one for one in verdict.notes)
    two_seeds = [r for r in tail if r.seed < 2]
    assert judge(short + two_seeds, recipe(longer=5)).word == "WINS AT EQUAL STEPS"


def test_a_failed_longer_ticket_is_no_lasting_win() -> None:
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    results = run(BETTER, snip=WORSE, grasp=WORSE) + failed(tail, "ticket-longer", 1, 2)
    verdict = judge(results, recipe(longer=5))
    assert verdict.word == "WINS AT EQUAL STEPS", "HEAD START ONLY is a test, and nothing was tested"
    assert "so nothing is concluded about longer training" in verdict.sentence


@pytest.mark.parametrize("round", [1, 2])
def test_a_seed_whose_ticket_failed_counts(round: int) -> None:
    verdict = judge(failed(run(BETTER, snip=WORSE, grasp=WORSE), "ticket", 1, round), recipe())
    assert verdict.word == "FAILED"
    assert (
        "the ticket failed in seed 1 (a loss became NaN at step 31); a ticket has to work in every seed."
        in verdict.sentence
    )


@pytest.mark.parametrize("level", [0.36, "validation"])
def test_a_dense_model_that_failed_leaves_the_ticket_undecided(level: float | str) -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE)
    for round in range(3):
        results = failed(results, "ticket", 1, round, "not run" if round else "diverged")
    verdict = judge(results, claiming(recipe(), level=level))
    assert verdict.word == "UNDECIDED"
    assert "dense model diverged in seed 1 (a loss became NaN at step 31): there is nothing" in verdict.sentence


def test_a_failure_after_the_level_does_not_count() -> None:
    asked = recipe(controls=[], rounds=3)
    results = run() + cells("ticket", 3, BETTER)
    assert judge(failed(results, "ticket", 1, 3), asked).word == "MATCHES DENSE"


def test_a_failed_control_is_not_a_beaten_one() -> None:
    results = failed(run(BETTER, snip=WORSE, grasp=WORSE), "grasp", 2, 2)
    verdict = judge(results, recipe())
    assert verdict.word == "MATCHES DENSE"
    why = "failed in seed 2 (a loss became NaN at step 31)"
    assert f"the verdict cannot go beyond MATCHES DENSE: GraSP ({why})" in verdict.notes[0]


def test_a_ticket_that_collapsed_alone_does_not_hold() -> None:
    gone = "every sample is nearly the same image"
    results = [replace(r, collapsed=gone) if (r.seed, r.round) == (0, 2) else r for r in run()]
    verdict = judge(*about_samples(results, recipe(controls=[])))
    assert verdict.word == "FAILED"
    assert "collapsed in seed 0" in verdict.sentence
    other = judge(results, recipe(controls=[]))
    assert other.word == "MATCHES DENSE", "a negative ELBO is not flattered by collapsed samples"
    assert "collapsed in seed 0" in other.sentence


def about_samples(results: Sequence[Result], asked: dict[str, Any]) -> tuple[list[Result], dict[str, Any]]:
    """The same numbers as a figure of samples, and a claim about it."""
    named = [
        replace(r, valid={"frechet": r.valid["negative_elbo"]}, test={"frechet": r.test["negative_elbo"]})
        for r in results
    ]
    return named, {**asked, "claim": {**asked["claim"], "metric": "frechet"}}


def collapse(results: Sequence[Result], **seeds: Sequence[int]) -> list[Result]:
    """The same results, with the samples of `arm_round` collapsed in the given seeds."""
    gone = "every sample is nearly the same image"
    return [
        replace(r, collapsed=gone) if r.seed in seeds.get(f"{r.arm}_{r.round}".replace("-", "_"), ()) else r
        for r in results
    ]


def test_where_dense_collapsed_too_nothing_is_decided() -> None:
    results = collapse(run(BETTER, snip=WORSE, grasp=WORSE), ticket_0=[0, 1], ticket_2=[1])
    verdict = judge(*about_samples(results, recipe()))
    assert verdict.word == "UNDECIDED"
    assert (
        "he samples of both the ticket and the dense model collapsed in seed 1, where metrics of samples"
        in verdict.sentence
    )
    assert "The samples of the dense model collapsed in seed 0." in verdict.sentence
    assert not any(word in verdict.sentence for word in ("beats", "shown", "bound"))


def test_a_collapsed_dense_model_is_said_beside_the_claim() -> None:
    verdict = judge(collapse(run(), ticket_0=[2]), recipe(controls=[]))
    assert verdict.word == "MATCHES DENSE"
    assert "The samples of the dense model collapsed in seed 2." in verdict.sentence


def test_a_win_is_withheld_from_a_ticket_that_collapsed_in_longer_training() -> None:
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    results = run(BETTER, snip=WORSE, grasp=WORSE) + tail
    alone = judge(*about_samples(collapse(results, ticket_longer_2=[0]), recipe(longer=5)))
    assert alone.word == "WINS AT EQUAL STEPS"
    assert "The samples of the ticket, trained longer, collapsed in seed 0: whether its lead lasts" in alone.sentence
    both_gone = collapse(results, ticket_longer_2=[0], dense_longer_0=[0])
    both = judge(*about_samples(both_gone, recipe(longer=5)))
    assert both.word == "WINS AT EQUAL STEPS"
    assert "Trained longer, the samples of both" in both.sentence


def test_the_budget_is_no_control() -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE) + cells("budget", 0, (95.0, 95.5, 94.5))
    notes = judge(collapse(results, budget_0=[1], snip_2=[1]), recipe(budget=True)).notes
    assert "The samples of 'dense, whole budget' collapsed in seed 1." in notes
    assert "The samples of the control 'SNIP' collapsed in seed 1." in notes


def test_a_run_that_diverged_everywhere_says_so() -> None:
    results = run()
    for seed in range(3):
        for round in range(3):
            results = failed(results, "ticket", seed, round, "diverged" if round == 0 else "not run")
    for level in (0.36, "validation"):
        asked = recipe(controls=[])
        asked = claiming(asked, level=level)
        verdict = judge(results, asked)
        assert verdict.word == "UNDECIDED"
        why = "he dense model diverged in seeds 0, 1 and 2 (a loss became NaN at step 31)"
        assert why in verdict.sentence
        assert "nothing is done yet" not in verdict.sentence


def test_a_control_that_is_not_behind_is_named_and_nothing_more_is_claimed() -> None:
    said = judge(run(BETTER, snip=WORSE, grasp=(98.0, 101.0, 99.5)), recipe()).sentence
    assert said.startswith("MATCHES DENSE at 36.0 % sparsity")
    assert "It is not shown to have a lead of more than 0.50 over every control, least of all over GraSP." in said
    assert "SNIP" not in said


@pytest.mark.parametrize("seeds", [1, 2])
def test_under_three_seeds_nothing_is_tested(seeds: int) -> None:
    results = run(BETTER[:seeds], snip=WORSE[:seeds], grasp=(95.0, 95.6)[:seeds])
    results += cells("budget", 0, (98.0, 98.6)[:seeds])
    verdict = judge(results, recipe(seeds=seeds))
    count = "1 seed" if seeds == 1 else "2 seeds"
    assert verdict.word == "UNDECIDED"
    assert "for dense; nothing is tested." in verdict.sentence
    assert f"{count} {'is' if seeds == 1 else 'are'} too few to decide" in verdict.sentence
    assert "on average better than the ticket (not tested)" in verdict.sentence
    assert not any(word in verdict.sentence for word in ("margin", "shown", "at least 0"))
    assert [entry["good"] for entry in plain(verdict, REPORT)["short"]["controls"]] == [None, None]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ((95.0, 95.5, 94.5), "better than the ticket."),
        ((101.0, 101.5, 100.5), "worse than the ticket."),
        ((95.0, 102.0, 98.5), "with no clear difference from the ticket."),
    ],
)
def test_the_budget_is_compared_by_the_paired_bound(budget: Sequence[float], said: str) -> None:
    results = run(BETTER) + cells("budget", 0, budget)
    assert f"compute reaches {sum(budget) / 3:.2f}" in judge(results, recipe(controls=[])).sentence
    assert said in judge(results, recipe(controls=[])).sentence


@pytest.mark.parametrize(("seeds", "word"), [(1, "UNDECIDED"), (2, "UNDECIDED"), (3, "WORSE THAN DENSE")])
def test_no_level_on_validation_needs_three_seeds_to_be_a_failure(seeds: int, word: str) -> None:
    asked = recipe(controls=[], seeds=seeds)
    asked = claiming(asked, level="validation")
    verdict = judge(run(MUCH_WORSE[:seeds]), asked)
    assert (verdict.round, verdict.word) == (None, word)
    assert ("too few to decide" in verdict.sentence) == (word == "UNDECIDED")


@pytest.mark.parametrize("round", [0, 1])
def test_a_seed_that_fails_before_every_level_fails_a_level_left_to_validation(round: int) -> None:
    asked = recipe(controls=[])
    asked = claiming(asked, level="validation")
    results = run()
    for later in range(round, 3):
        results = failed(results, "ticket", 1, later, "diverged" if later == round else "not run")
    verdict = judge(results, asked)
    assert verdict.word == ("FAILED" if round else "UNDECIDED")
    assert "diverged in seed 1 (a loss became NaN at step 31)" in verdict.sentence


def test_a_narrowed_pruning_says_whose_weights_and_how_much_of_all() -> None:
    sizes = {"kept": 40, "total": 100, "all": 240}
    results = [replace(r, weights=sizes) if r.round == 2 else r for r in run()]
    verdict = judge(results, recipe(controls=[], prune=["generator"]))
    where = "at 36.0 % sparsity of the generator's weights [25.0 % of all parameters]"
    assert verdict.sentence.startswith(f"MATCHES DENSE {where}")
    assert (verdict.pruned, verdict.share) == ("the generator's weights", 0.25)
    spared = judge(results, recipe(controls=[], exempt=["*.out.*"])).sentence
    assert "sparsity of the weights outside '*.out.*' [25.0 % of all parameters]" in spared
    assert judge(results, recipe(controls=[])).pruned is None


def test_rounds_that_go_on_are_not_held_against_dense() -> None:
    said = judge(run(), {"search": {"rewind": "lr"}, "claim": None}).sentence
    assert "With rewind = 'lr' a round goes on from the trained weights" in said


def test_missing_seeds_and_rounds_leave_it_undecided() -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE)
    assert judge(results, recipe(seeds=5)).word == "UNDECIDED"
    verdict = judge([r for r in results if not (r.arm == "ticket" and r.round == 2 and r.seed == 1)], recipe())
    assert verdict.word == "UNDECIDED"
    assert "seed 1 still has rounds to go" in verdict.sentence
    assert judge([], recipe()).word == "UNDECIDED"


def test_the_level_is_the_round_nearest_to_the_declared_one() -> None:
    asked = recipe()
    assert claim_round(run(), asked) == 2
    asked["claim"]["level"] = 0.22
    assert claim_round(run(), asked) == 1
    asked["claim"]["level"] = 0.5
    assert any("nearest round is at 36.0 %" in note for note in judge(run(), asked).notes)


def test_the_level_is_chosen_on_validation_and_judged_on_test() -> None:
    asked = recipe(rounds=3, controls=[])
    asked = claiming(asked, level="validation")
    # Round 3 would hold on test but does not on validation; round 2 holds on validation and fails on test.
    results = [
        *cells("ticket", 0, DENSE),
        *cells("ticket", 1, BETTER),
        *cells("ticket", 2, MUCH_WORSE, valid=BETTER),
        *cells("ticket", 3, BETTER, valid=MUCH_WORSE),
    ]
    assert claim_round(results, asked) == 2
    verdict = judge(results, asked)
    assert (verdict.word, verdict.round, verdict.chosen) == ("WORSE THAN DENSE", 2, True)
    assert "sparsest within the margin on validation" in verdict.sentence


def test_the_sparsest_round_that_holds_is_chosen() -> None:
    asked = recipe(controls=[])
    asked = claiming(asked, level="validation")
    assert claim_round(run(), asked) == 2
    verdict = judge([r for r in run() if r.round < 2 or r.seed < 2], asked)
    assert (verdict.round, verdict.word) == (1, "UNDECIDED")
    hopeless = judge(run(MUCH_WORSE), asked)
    assert (hopeless.round, hopeless.word) == (None, "WORSE THAN DENSE")


def test_a_failed_seed_keeps_its_round_from_being_chosen() -> None:
    asked = recipe(controls=[])
    asked = claiming(asked, level="validation")
    assert claim_round(failed(run(), "ticket", 0, 2), asked) == 1


def test_both_twins_must_be_beaten_and_the_harder_one_is_told() -> None:
    # One twin is far off in the mean, and in one seed as good as the ticket: the better mean is the easier opponent.
    rare, asked = (99.5, 140.0, 150.0), recipe(controls=["reinit"], scaling="both")
    for own, scaled in ((rare, WORSE), (WORSE, rare)):
        verdict = judge(run(BETTER) + cells("reinit", 2, own) + cells("reinit-scaled", 2, scaled), asked)
        assert verdict.short is not None
        assert verdict.short.hardest is not None
        assert verdict.short.hardest.arm == ("reinit" if own is rare else "reinit-scaled")
        assert (verdict.word, verdict.short.opponents) == ("MATCHES DENSE", 2)
    both = run(BETTER) + cells("reinit", 2, WORSE) + cells("reinit-scaled", 2, MUCH_WORSE)
    assert judge(both, asked).word == "WINS AT EQUAL STEPS"


def test_an_unfinished_twin_leaves_the_opponent_open() -> None:
    asked = recipe(controls=["reinit"], scaling="both")
    verdict = judge(run(BETTER, reinit=WORSE) + cells("reinit-scaled", 2, WORSE)[:1], asked)
    assert verdict.word == "MATCHES DENSE"
    assert any("re-initialized, scaled (1 of 3 seeds are done)" in note for note in verdict.notes)
    alone = judge(run(BETTER, reinit=WORSE), recipe(controls=["reinit"]))
    assert alone.word == "MATCHES DENSE", "the twin is declared with it, though find does not train it"


def test_a_control_of_another_round_is_no_opponent() -> None:
    results = run(BETTER, grasp=WORSE) + cells("snip", 1, WORSE)
    verdict = judge(results, recipe())
    assert verdict.word == "MATCHES DENSE"
    assert verdict.short is not None
    assert list(verdict.short.unfinished) == ["snip"]


def test_the_sentence_begins_with_the_answer_and_ends_with_the_scope() -> None:
    told = "mean over 500 test images; evaluation mode"
    results = run(BETTER, snip=WORSE, grasp=MUCH_WORSE) + cells("budget", 0, (95.0, 95.5, 94.5))
    said = judge([replace(r, provenance={"negative_elbo": told}) for r in results], recipe()).sentence
    assert said == (
        "WINS AT EQUAL STEPS at 36.0 % sparsity (3 seeds): by negative ELBO the ticket is at least 0.78 better than "
        "dense and at least 1.97 better than every control. Whether this lasts in longer training was not tried. A "
        "dense model trained with the whole search's compute reaches 95.00, better than the ticket. This is about "
        "these 500 test images; 3 seeds cannot rule out that up to 63 % of seeds go badly wrong."
    )


def test_seeds_chosen_by_hand_are_said_to_explore() -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE)
    by_hand, own = judge(results, recipe(), by_hand=True), judge(results, recipe())
    assert "seeds chosen by hand: exploratory" in by_hand.sentence
    assert "exploratory" not in own.sentence
    assert (by_hand.word, by_hand.levels[0].nodes) == (own.word, own.levels[0].nodes), "with the same numbers"


def test_figures_measured_in_different_ways_are_called_out() -> None:
    results = [
        replace(r, provenance={"negative_elbo": "N 500" if r.arm == "ticket" else "N 100"})
        for r in run(BETTER, snip=WORSE, grasp=WORSE)
    ]
    assert any("measured in another way" in note for note in judge(results, recipe()).notes)


def test_an_unknown_metric_and_no_claim_are_sentences() -> None:
    asked = recipe()
    asked["claim"]["metric"] = "negative_elbow"
    verdict = judge(run(), asked)
    assert (verdict.word, "Did you mean 'negative_elbo'?" in verdict.sentence) == ("UNDECIDED", True)
    assert judge(run(), {"search": {}, "claim": None}) == Verdict(
        word="no claim", sentence="The recipe declares no claim, so there is no verdict."
    )


def test_values_that_are_not_finite_are_no_values() -> None:
    results = [replace(r, test={"negative_elbo": math.nan}) if r.seed == 1 and r.round == 2 else r for r in run()]
    assert judge(results, recipe(controls=[])).word == "UNDECIDED"


def named(results: Sequence[Result], figure: str, sign: float = 1.0) -> list[Result]:
    """The same results under another figure's name, with `sign` before every value."""

    def renamed(values: Mapping[str, float]) -> dict[str, float]:
        return dict.fromkeys([figure] * len(values), sign * sum(values.values()))

    return [replace(r, valid=renamed(r.valid), test=renamed(r.test)) for r in results]


def about(figure: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The same recipe with its claim about another figure."""
    return {**asked, "claim": {**asked["claim"], "metric": figure}}


MIRRORED = {
    "WINS": run(BETTER, snip=WORSE, grasp=WORSE) + longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1)),
    "HEAD START ONLY": run(BETTER, snip=WORSE, grasp=WORSE)
    + longer((95.0, 95.1, 95.2), (91.1, 91.2, 91.2), (96.0, 96.2, 96.1)),
    "NO BETTER THAN A CONTROL": run(BETTER, snip=WORSE, grasp=EVEN),
    "WORSE THAN DENSE": run(MUCH_WORSE, snip=WORSE, grasp=WORSE),
    "MATCHES DENSE": run(BETTER, snip=WORSE),
    "open": run(BETTER, snip=(98.0, 101.0, 99.5), grasp=WORSE),
}


@pytest.mark.parametrize("level", [0.36, "validation"])
@pytest.mark.parametrize("case", MIRRORED)
def test_a_claim_about_more_mirrors_one_about_less(case: str, level: float | str) -> None:
    results = MIRRORED[case] + cells("budget", 0, (95.0, 95.5, 94.5))
    asked = recipe(longer=5 if "ticket-longer" in {r.arm for r in results} else 0)
    asked = claiming(asked, level=level)
    less, more = (
        judge(named(results, figure, sign), about(figure, asked))
        for figure, sign in (("frechet", 1.0), ("inception_score", -1.0))
    )
    minus = "\N{MINUS SIGN}"
    assert (less.word, less.round) == (more.word, more.round)
    assert [note.replace(minus, "") for note in less.notes] == [note.replace(minus, "") for note in more.notes]
    assert claim_round(named(results, "recall", -1.0), about("recall", asked)) == less.round
    for one, other in ((less.short, more.short), (less.longer, more.longer)):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert (one.margin, one.lead) == (other.margin, other.lead)
        assert [(c.arm, c.loss, c.good, c.bad) for c in one.tests] == [
            (c.arm, c.loss, c.good, c.bad) for c in other.tests
        ]
        assert one.ticket.mean == -other.ticket.mean
    plain = [verdict.sentence.replace(minus, "").split("Score")[-1].split("distance")[-1] for verdict in (less, more)]
    assert plain[0] == plain[1]


def test_a_higher_score_beats_and_a_lower_one_fails() -> None:
    scores = {"dense": (30.0, 31.0, 29.0), "up": (33.0, 34.1, 32.0), "down": (20.0, 21.1, 19.0)}
    for ticket, control, word in (("up", "dense", "WINS AT EQUAL STEPS"), ("down", "dense", "WORSE THAN DENSE")):
        results = [*cells("ticket", 0, scores["dense"]), *cells("ticket", 1, scores[ticket])]
        results += [*cells("ticket", 2, scores[ticket]), *cells("snip", 2, scores[control])]
        results += cells("budget", 0, scores["dense"])
        verdict = judge(named(results, "accuracy_on_samples"), about("accuracy_on_samples", recipe(controls=["snip"])))
        assert verdict.word == word
        assert f"{'worse' if word != 'WORSE THAN DENSE' else 'better'} than the ticket" in verdict.sentence


def test_a_figure_that_says_nothing_of_quality_carries_no_claim() -> None:
    for figure in ("kl", "discriminator_loss"):
        verdict = judge(named(run(BETTER, snip=WORSE, grasp=WORSE), figure), about(figure, recipe()))
        assert verdict.word == "no claim"
        assert "says nothing of quality by itself" in verdict.sentence
        assert verdict.short is None


@pytest.mark.parametrize("method", ["one_shot", "at_start"])
def test_levels_that_stand_alone_need_no_rounds_between(method: str) -> None:
    asked = recipe(method=method, criterion="snip", rounds=5, only_rounds=[2, 5], controls=["snip"])
    results = run(BETTER, snip=WORSE)
    alone = [r for r in results if r.round != 1]
    assert judge(alone, asked).word == "WINS AT EQUAL STEPS"
    left = {**asked, "claim": {**asked["claim"], "level": "validation"}}
    assert judge(alone, left).word == "UNDECIDED", "round 5 is asked for, and may hold"
    whole = alone + cells("ticket", 5, MUCH_WORSE)
    verdict = judge(failed(whole, "ticket", 1, 5), asked)
    assert verdict.word == "WINS AT EQUAL STEPS"
    how = {"one_shot": "pruned in one shot by SNIP", "at_start": "found at the start by SNIP"}[method]
    assert verdict.sentence.startswith(f"WINS AT EQUAL STEPS at 36.0 % sparsity [{how}] (3 seeds): ")


def test_a_broken_level_that_stands_alone_leaves_the_others_to_validation() -> None:
    asked = recipe(method="at_start", criterion="snip", only_rounds=[1, 2], controls=[])
    asked = claiming(asked, level="validation")
    broken = failed(run(), "ticket", 1, 1)
    assert (claim_round(broken, asked), judge(broken, asked).word) == (2, "MATCHES DENSE")
    assert judge(failed(run(), "ticket", 1, 0), asked).word == "UNDECIDED"
    unfinished = [r for r in broken if r.round < 2]
    assert judge(unfinished, asked).word == "UNDECIDED", "the level that is still to come may hold"


def test_the_sentence_says_how_an_unusual_ticket_was_found() -> None:
    options = {"criterion": "grasp", "pooled": True, "scope": "erk", "prune": ["generator"], "other": "fresh"}
    said = judge(run(), recipe(controls=[], **options)).sentence
    assert "pruned by GraSP pooled over the players, at ERK layer densities" in said
    assert "the components that are not pruned starting afresh" in said
    plain = judge(run(), recipe(controls=[], method="iterative", criterion="magnitude", scope="global")).sentence
    assert plain.startswith("MATCHES DENSE at 36.0 % sparsity (3 seeds): ")


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ("features a; N = 500 samples against 500 test images; floor real against real 2 (N = 500)", "MATCHES DENSE"),
        ("features a; N = 100 samples against 500 test images; floor real against real 1 (N = 500)", "UNDECIDED"),
        ("features a; N = 500 samples against 500 test images; averaged weights (generator 0.99)", "UNDECIDED"),
    ],
)
def test_a_ticket_that_was_measured_in_another_way_is_not_held_against_dense(other: str, word: str) -> None:
    told = "features a; N = 500 samples against 500 test images; floor real against real 1 (N = 500)"
    results = [replace(r, provenance={"negative_elbo": other if r.round == 2 else told}) for r in run()]
    verdict = judge(results, recipe(controls=[]))
    assert verdict.word == word
    assert (verdict.short is None) == (word == "UNDECIDED")
    assert ("measured in another way" in verdict.sentence) == (word == "UNDECIDED")


def test_a_control_that_was_measured_in_another_way_is_neither_beaten_nor_level() -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE)
    odd = [replace(r, provenance={"negative_elbo": "N = 9"}) if r.arm == "snip" and r.seed == 1 else r for r in results]
    verdict = judge(odd, recipe())
    assert verdict.word == "MATCHES DENSE"
    assert verdict.short is not None
    assert [other.control for other in verdict.short.controls] == ["grasp"]
    why = "its metric was measured in another way in seed 1 (see provenance)"
    assert f"the verdict cannot go beyond MATCHES DENSE: SNIP ({why})" in verdict.notes[0]


@pytest.mark.parametrize(("share", "told"), [(0.05, True), (0.049, False)])
def test_ties_at_the_cut_are_a_caution(share: float, told: bool) -> None:
    results = [replace(r, tied={"discriminator": share if r.seed else 0.0}) if r.round else r for r in run()]
    for asked in (recipe(controls=[]), {**recipe(), "claim": None}):
        notes = judge(results, asked).notes
        assert any("5.0 % of the weights of 'discriminator' tie at the cut" in note for note in notes) == told
        assert any("magnitude says little there" in note for note in notes) == told


def test_collapsed_samples_are_ahead_of_nothing() -> None:
    results = run(BETTER, snip=WORSE, grasp=WORSE) + cells("budget", 0, (101.0, 101.5, 100.5))
    for broken in ({"ticket_2": [1]}, {"ticket_0": [1], "ticket_2": [1]}):
        said = judge(*about_samples(collapse(results, **broken), recipe())).sentence
        assert "collapsed in seed 1" in said
        assert not any(word in said for word in ("beats", "ahead", "better", "worse", "margin"))


def test_collapsed_samples_do_not_hold_whatever_figure_of_samples_is_claimed() -> None:
    results = collapse(run(), ticket_2=[0])
    for figure, sign in (("kid", 1.0), ("coverage", -1.0), ("fid", 1.0), ("accuracy_on_samples", -1.0)):
        assert judge(named(results, figure, sign), about(figure, recipe(controls=[]))).word == "FAILED"


def at_two_levels(first: Sequence[float], second: Sequence[float], **control: Sequence[float]) -> list[Result]:
    """Dense, another ticket at each of two rounds, and one control at both."""
    found = cells("ticket", 0, DENSE) + cells("ticket", 1, first) + cells("ticket", 2, second)
    return [*found, *cells("snip", 1, control["at_1"]), *cells("snip", 2, control["at_2"])]


def asked_at_two(**claim: Any) -> dict[str, Any]:
    return claiming(
        recipe(controls=["snip"], control_rounds=[1, 2]), **{"sparsities": [0.2, 0.36], "lead": 0.0, **claim}
    )


# Leads over the control of 1.0, 1.2 and 0.8: t = 1 / (0.2 / sqrt(3)) = 8.660, one-sided p = 0.006536; of 1.0, 1.5 and
# 0.5: t = 3.464, p = 0.037090; of 1.0, 1.3 and 0.7: t = 5.774, p = 0.014363.
ROUND = (99.0, 99.6, 98.4)
CLEAR, WEAK, BETWEEN = (100.0, 100.8, 99.2), (100.0, 101.1, 98.9), (100.0, 100.9, 99.1)


def test_levels_share_alpha_by_weighted_holm() -> None:
    # Praise has 4 %: the declared level (round 2) begins with 3.2 %, the other with 0.8 %; one that is shown whole
    # hands its part on.
    asked = asked_at_two()
    first = judge(at_two_levels(ROUND, ROUND, at_1=CLEAR, at_2=WEAK), asked)
    assert [level.size for level in first.levels] == pytest.approx([0.008, 0.04])
    assert [level.word for level in first.levels] == ["WINS AT EQUAL STEPS"] * 2, "0.0065 < 0.008, then 0.0371 < 0.04"
    neither = judge(at_two_levels(ROUND, ROUND, at_1=BETWEEN, at_2=WEAK), asked)
    assert [level.size for level in neither.levels] == pytest.approx([0.008, 0.032])
    assert [level.word for level in neither.levels] == ["MATCHES DENSE"] * 2, "0.0144 > 0.008 and 0.0371 > 0.032"
    node = next(node for node in neither.levels[1].nodes if node.verdict == "WINS AT EQUAL STEPS")
    assert (node.p, node.shown) == (pytest.approx(0.037090, rel=1e-3), False)


def test_a_level_whose_longer_training_is_open_hands_nothing_on() -> None:
    # At equal steps the declared level wins, but its whole claim is not shown: the other's size stays 0.8 %.
    results = at_two_levels(ROUND, ROUND, at_1=BETWEEN, at_2=CLEAR)
    asked = asked_at_two()
    open_ = judge(results, asked)
    assert [level.word for level in open_.levels] == ["MATCHES DENSE", "WINS AT EQUAL STEPS"]
    whole = [*results, *cells("dense-longer", 0, DENSE), *cells("ticket-longer", 2, BETTER)]
    whole += cells("snip-longer", 2, CLEAR)
    lasting = judge(whole, {**asked, "search": {**asked["search"], "longer": 5}})
    assert [level.word for level in lasting.levels] == ["WINS AT EQUAL STEPS", "WINS"]


def test_interim_analyses_share_alpha_by_linear_spending() -> None:
    results = at_two_levels(ROUND, ROUND, at_1=CLEAR, at_2=WEAK)
    words = {looks: judge(results, asked_at_two(sparsities=[0.36], looks=looks)).word for looks in (1, 2)}
    assert words == {1: "WINS AT EQUAL STEPS", 2: "MATCHES DENSE"}, "0.037 is under 0.04 and not under 0.02"
    wide = asked_at_two(sparsities=[0.36], looks=2, alpha=0.1)
    assert judge(results, wide).word == "WINS AT EQUAL STEPS", "half of 0.08"


def test_everything_in_a_level_is_told_at_the_size_it_is_tested_at() -> None:
    results = at_two_levels(ROUND, ROUND, at_1=CLEAR, at_2=BETWEEN)
    for verdict in (judge(results, asked_at_two()), judge(results, asked_at_two(looks=2))):
        for level in verdict.levels:
            assert level.short is not None
            for one in level.short.tests:
                assert one.good is not None
                assert one.good.size == level.size
                (nominal,) = one.good.nominal
                t = stats.t.isf(nominal, 2)
                way = 1 if one.arm == "dense" else -1
                offset = level.short.margin if one.arm == "dense" else level.short.lead
                assert one.good.limit == pytest.approx((offset or 0.0) + one.mean + way * t * one.se)
            assert all(one.shown for one in level.short.controls) == (level.word == "WINS AT EQUAL STEPS")


def with_more(arm: str, round: int, test: Sequence[float]) -> list[Result]:
    """Seeds 3 and on of an arm, beside the first three."""
    return [replace(cell, seed=cell.seed + 3) for cell in cells(arm, round, test)]


@pytest.mark.parametrize(("more", "judged"), [(1, 3), (2, 3), (3, 6)])
def test_only_seeds_of_a_declared_look_are_tested(more: int, judged: int) -> None:
    first = run(BETTER, snip=WORSE)
    later = [*with_more("ticket", 0, DENSE), *with_more("ticket", 2, MUCH_WORSE), *with_more("snip", 2, WORSE)]
    later += with_more("ticket", 1, BETTER)
    asked = recipe(controls=["snip"], seeds=3 + more)
    asked["claim"]["looks"] = 2
    results = [*first, *(cell for cell in later if cell.seed < 3 + more)]
    verdict = judge(results, asked, declared=3)
    assert verdict.seeds == judged
    assert (verdict.word == "WINS AT EQUAL STEPS") == (judged == 3)
    told = f"declares 2 interim analyses, at 3 and 6 seeds: it is judged by the first 3 of {3 + more} seeds"
    assert any(told in note for note in verdict.notes) == (judged == 3)


def test_beyond_the_last_look_further_seeds_are_not_tested() -> None:
    later = [*with_more("ticket", 0, DENSE), *with_more("ticket", 1, BETTER), *with_more("ticket", 2, MUCH_WORSE)]
    asked = recipe(controls=[], seeds=6)
    verdict = judge([*run(BETTER), *later], asked, declared=3)
    assert (verdict.word, verdict.seeds) == ("MATCHES DENSE", 3), "looks = 1 in this recipe"
    assert judge([*run(BETTER), *later], {**asked, "claim": {**asked["claim"], "looks": 2}}, declared=3).seeds == 6


def test_no_control_is_as_good_before_that_is_shown() -> None:
    wide = (95.0, 105.0, 99.0)
    assert judge(run(BETTER, snip=wide), recipe(controls=["snip"])).word == "MATCHES DENSE"
    near = judge(run(BETTER, snip=tuple(value + 0.1 for value in EVEN)), recipe(controls=["snip"]))
    assert near.word == "NO BETTER THAN A CONTROL"
    assert "the ticket matches dense, but it is at most 0." in near.sentence


def test_a_declared_lead_lies_on_both_sides_of_the_fork() -> None:
    results = run(BETTER, snip=tuple(value + 0.3 for value in EVEN))
    words = {
        lead: judge(results, claiming(recipe(controls=["snip"]), lead=lead)).word for lead in (None, 0.0, 0.2, 0.4)
    }
    assert words[None] == words[0.4] == "NO BETTER THAN A CONTROL"
    assert words[0.0] == words[0.2] == "WINS AT EQUAL STEPS"


def test_a_ticket_that_is_only_not_shown_to_match_is_not_worse() -> None:
    noisy = (101.0, 102.5, 102.0)
    verdict = judge(run(noisy), recipe(controls=[]))
    assert verdict.word == "UNDECIDED"
    assert "so whether it matches dense is open" in verdict.sentence
    assert judge(run(MUCH_WORSE), recipe(controls=[])).word == "WORSE THAN DENSE"


def test_a_ticket_that_scatters_too_far_gets_no_praise() -> None:
    even = {"snip": tuple(value + 5 for value in DENSE), "grasp": tuple(value + 5 for value in DENSE)}
    far, near = (97.0, 95.0, 93.0), (95.5, 95.0, 94.5)
    verdict = judge(run(far, **even), claiming(recipe(), margin=9.0, lead=1.0))
    assert verdict.word == "UNDECIDED"
    assert "seeds vary more than 3 times as much" in verdict.sentence
    assert judge(run(near, **even), claiming(recipe(), margin=9.0, lead=1.0)).word == "WINS AT EQUAL STEPS"


def test_the_same_difference_in_every_seed_is_tested_by_its_sign() -> None:
    # A t test has no scale there: 2^-3 = 0.125 is not under 4 %, 2^-5 = 0.031 is.
    even, behind = tuple(value - 1 for value in DENSE), tuple(value + 5 for value in DENSE)
    three = judge(run(even, snip=behind, grasp=behind), recipe())
    assert three.word == "UNDECIDED"
    assert "the ticket is 1.00 better than dense in every seed (margin 2.00)" in three.sentence
    more = {"dense": (*DENSE, 100.2, 99.8), "ticket": (*even, 99.2, 98.8), "control": (*behind, 105.2, 104.8)}
    results = [cell for round in (1, 2) for cell in cells("ticket", round, more["ticket"])]
    results += cells("ticket", 0, more["dense"]) + cells("snip", 2, more["control"])
    five = judge(results, recipe(controls=["snip"], seeds=5))
    assert five.word == "WINS AT EQUAL STEPS"


def test_a_declared_share_of_disasters_needs_as_many_seeds() -> None:
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    results = run(BETTER, snip=WORSE, grasp=WORSE) + tail
    verdict = judge(results, claiming(recipe(longer=5), disasters=0.1))
    assert verdict.word == "WINS AT EQUAL STEPS"
    assert "WINS needs 29 seeds to exclude that 10.0 % of seeds are disasters; there are 3." in verdict.sentence
    assert judge(results, claiming(recipe(longer=5), disasters=0.64)).word == "WINS", "1 - 0.05^(1/3) = 0.63"


def test_no_level_within_the_margin_on_validation_is_worse_only_where_every_level_is() -> None:
    asked = claiming(recipe(controls=[]), level="validation")
    far = (130.0, 104.0, 109.0)
    results = [*cells("ticket", 0, DENSE), *cells("ticket", 1, MUCH_WORSE), *cells("ticket", 2, far)]
    open_ = judge(results, asked)
    assert (open_.word, open_.round) == ("UNDECIDED", None)
    assert "On validation no level's mean is within the margin" in open_.sentence or "on validation" in open_.sentence
    every = judge(run(MUCH_WORSE), asked)
    assert every.word == "WORSE THAN DENSE"
    assert every.sentence.startswith("WORSE THAN DENSE at every one of 2 levels")


def test_a_better_ticket_whose_level_validation_chooses_is_next_to_never_worse() -> None:
    rng, worse = np.random.default_rng(0), 0
    asked = claiming(recipe(controls=["snip"]), level="validation", margin=2.0)
    for _ in range(60):  # truly 5 % better than dense, seeds scatter by 3 %
        results = cells("ticket", 0, list(100 + 3 * rng.standard_normal(3)))
        for round in (1, 2):
            results += cells("ticket", round, list(95 + 3 * rng.standard_normal(3)))
            results += cells("snip", round, list(110 + rng.standard_normal(3)))
        worse += judge(results, asked).word == "WORSE THAN DENSE"
    assert worse == 0
