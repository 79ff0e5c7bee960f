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
BETTER = (99.0, 99.6, 98.4)
WORSE = (101.0, 101.6, 100.4)
MUCH_WORSE = (109.0, 109.5, 108.6)


def recipe(**search: Any) -> dict[str, Any]:
    """A claim about 36 %, the second of two rounds, with a margin of 2 % of the dense mean."""
    asked = {"rounds": 2, "keep": 0.8, "seeds": 3, "controls": ["reinit", "shuffle"], "scaling": "off"}
    claim = {"metric": "negative_elbo", "margin": 0.02, "level": 0.36, "looks": 1}
    return {"search": {**asked, "longer": 0, "budget": False, **search}, "claim": claim}


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
        *cells("reinit-longer", 2, control),
        *cells("shuffle-longer", 2, control),
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
    assert found.bootstrap == bootstrap_interval(found.losses)
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
        ("WINS AT EQUAL STEPS", BETTER, {"reinit": WORSE, "shuffle": WORSE}),
        ("MATCHES", BETTER, {"reinit": WORSE, "shuffle": BETTER}),
        ("UNDECIDED", BETTER, {"reinit": (98.0, 101.0, 99.5), "shuffle": WORSE}),
        ("LOSES", MUCH_WORSE, {"reinit": (120.0, 121.0, 122.0), "shuffle": (120.0, 121.0, 122.0)}),
        ("HOLDS", BETTER, {"reinit": WORSE}),
        ("MATCHES", BETTER, {"reinit": BETTER}),
        ("UNDECIDED", BETTER[:2], {"reinit": WORSE[:2], "shuffle": WORSE[:2]}),
    ],
)
def test_word(word: str, ticket: Sequence[float], controls: Mapping[str, Sequence[float]]) -> None:
    asked = recipe(seeds=len(ticket))
    assert judge(run(ticket, **controls), asked).word == word


def test_without_controls_a_claim_only_holds() -> None:
    verdict = judge(run(), recipe(controls=[]))
    assert verdict.word == "HOLDS"
    assert "No control was run" in verdict.notes[0]


def test_the_margin_is_a_share_of_the_dense_mean_and_the_bound_must_be_under_it() -> None:
    # Losses 1.0, 1.1 and 0.9: mean 1, sd 0.1, bound 1 + 2.919986 * 0.1 / sqrt(3) = 1.16859. The margin m of
    # dense values 100, 100.5 and 99.5 moves with them: the sd of what is left is 0.1 - 0.5 m, the edge m = 0.011588.
    asked = recipe(controls=[])
    asked["claim"]["margin"] = 0.0116
    close = judge(run(WORSE), asked)
    assert close.short is not None
    assert close.short.loss.bound == pytest.approx(1.168586, rel=1e-6)
    assert close.short.limit == pytest.approx(1.16)
    assert close.short.bound == pytest.approx(1 + 2.919986 * (0.1 - 0.5 * 0.0116) / math.sqrt(3), rel=1e-6)
    assert close.word == "HOLDS"
    asked["claim"]["margin"] = 0.01157
    assert judge(run(WORSE), asked).word == "UNDECIDED"


def test_a_negative_dense_mean_leaves_the_margin_positive() -> None:
    below = [replace(r, test={"negative_elbo": r.test["negative_elbo"] - 200}) for r in run(WORSE)]
    verdict = judge(below, recipe(controls=[]))
    assert verdict.short is not None
    assert verdict.short.limit == pytest.approx(2.0)
    assert verdict.word == "HOLDS"


def test_a_win_needs_the_longer_arms() -> None:
    short = run(BETTER, reinit=WORSE, shuffle=WORSE)
    asked = recipe(longer=5)
    assert judge(short, asked).word == "WINS AT EQUAL STEPS"
    lasting = judge(short + longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1)), asked)
    assert lasting.word == "WINS"
    assert lasting.wins
    assert "Trained 5 times as long" in lasting.sentence


@pytest.mark.parametrize(
    ("ticket", "dense", "control"),
    [
        ((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (95.0, 95.2, 95.1)),
        ((95.0, 95.1, 95.2), (91.1, 91.2, 91.2), (96.0, 96.2, 96.1)),
    ],
    ids=["a control catches up", "dense runs ahead"],
)
def test_a_win_that_vanishes_is_called_faster(
    ticket: Sequence[float], dense: Sequence[float], control: Sequence[float]
) -> None:
    verdict = judge(run(BETTER, reinit=WORSE, shuffle=WORSE) + longer(ticket, dense, control), recipe(longer=5))
    assert verdict.word == "FASTER"
    assert not verdict.wins
    assert "FASTER" in verdict.sentence


def test_half_finished_longer_arms_do_not_make_a_win() -> None:
    short = run(BETTER, reinit=WORSE, shuffle=WORSE)
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    without_shuffle = [r for r in tail if r.arm != "shuffle-longer"]
    verdict = judge(short + without_shuffle, recipe(longer=5))
    assert verdict.word == "WINS AT EQUAL STEPS"
    assert any("shuffle-longer" in note for note in verdict.notes)
    two_seeds = [r for r in tail if r.seed < 2]
    assert judge(short + two_seeds, recipe(longer=5)).word == "WINS AT EQUAL STEPS"


def test_a_failed_longer_ticket_is_no_lasting_win() -> None:
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    results = run(BETTER, reinit=WORSE, shuffle=WORSE) + failed(tail, "ticket-longer", 1, 2)
    assert judge(results, recipe(longer=5)).word == "FASTER"


@pytest.mark.parametrize("round", [0, 1, 2])
def test_a_seed_whose_ticket_failed_counts(round: int) -> None:
    results = run(BETTER, reinit=WORSE, shuffle=WORSE)
    verdict = judge(failed(results, "ticket", 1, round), recipe())
    assert verdict.word == "LOSES"
    arm = "ticket" if round else "dense model"
    assert f"The {arm} failed in seed 1 (a loss became NaN at step 31), and a claim cannot hold" in verdict.sentence


def test_a_failure_after_the_level_does_not_count() -> None:
    asked = recipe(controls=[], rounds=3)
    results = run() + cells("ticket", 3, BETTER)
    assert judge(failed(results, "ticket", 1, 3), asked).word == "HOLDS"


def test_a_failed_control_is_not_a_beaten_one() -> None:
    results = failed(run(BETTER, reinit=WORSE, shuffle=WORSE), "shuffle", 2, 2)
    verdict = judge(results, recipe())
    assert verdict.word == "HOLDS"
    why = "failed in seed 2 (a loss became NaN at step 31)"
    assert verdict.notes == (f"No comparison with the control 'shuffle': {why}.",)


def test_a_ticket_that_collapsed_alone_does_not_hold() -> None:
    gone = "every sample is nearly the same image"
    results = [replace(r, collapsed=gone) if (r.seed, r.round) == (0, 2) else r for r in run()]
    verdict = judge(*about_samples(results, recipe(controls=[])))
    assert verdict.word == "LOSES"
    assert "collapsed in seed 0" in verdict.sentence
    other = judge(results, recipe(controls=[]))
    assert other.word == "HOLDS", "a negative ELBO is not flattered by collapsed samples"
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
    results = collapse(run(BETTER, reinit=WORSE, shuffle=WORSE), ticket_0=[0, 1], ticket_2=[1])
    verdict = judge(*about_samples(results, recipe()))
    assert verdict.word == "UNDECIDED"
    assert "The samples of both the ticket and the dense model collapsed in seed 1: their figures" in verdict.sentence
    assert "The samples of the dense model collapsed in seed 0." in verdict.sentence
    assert not any(word in verdict.sentence for word in ("beats", "shown", "bound"))


def test_a_collapsed_dense_model_is_said_beside_the_claim() -> None:
    verdict = judge(collapse(run(), ticket_0=[2]), recipe(controls=[]))
    assert verdict.word == "HOLDS"
    assert "The samples of the dense model collapsed in seed 2." in verdict.sentence


def test_a_win_is_withheld_from_a_ticket_that_collapsed_in_longer_training() -> None:
    tail = longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1))
    results = run(BETTER, reinit=WORSE, shuffle=WORSE) + tail
    alone = judge(*about_samples(collapse(results, ticket_longer_2=[0]), recipe(longer=5)))
    assert alone.word == "FASTER"
    assert "The samples of the ticket, trained longer, collapsed in seed 0." in alone.sentence
    both_gone = collapse(results, ticket_longer_2=[0], dense_longer_0=[0])
    both = judge(*about_samples(both_gone, recipe(longer=5)))
    assert both.word == "WINS AT EQUAL STEPS"
    assert "Trained longer, the samples of both" in both.sentence


def test_the_budget_is_no_control() -> None:
    results = run(BETTER, reinit=WORSE, shuffle=WORSE) + cells("budget", 0, (95.0, 95.5, 94.5))
    notes = judge(collapse(results, budget_0=[1], reinit_2=[1]), recipe(budget=True)).notes
    assert "The samples of 'dense, whole budget' collapsed in seed 1." in notes
    assert "The samples of the control 're-initialized' collapsed in seed 1." in notes


def test_a_run_that_diverged_everywhere_says_so() -> None:
    results = run()
    for seed in range(3):
        for round in range(3):
            results = failed(results, "ticket", seed, round, "diverged" if round == 0 else "not run")
    for level in (0.36, "validation"):
        asked = recipe(controls=[])
        asked["claim"]["level"] = level
        verdict = judge(results, asked)
        assert verdict.word == "LOSES"
        why = "The dense model diverged in seeds 0, 1 and 2 (a loss became NaN at step 31)"
        assert why in verdict.sentence
        assert "nothing is done yet" not in verdict.sentence


def test_a_control_that_is_not_beaten_is_named_and_nothing_more_is_claimed() -> None:
    said = judge(run(BETTER, reinit=WORSE, shuffle=(98.0, 101.0, 99.5)), recipe()).sentence
    assert "the claim is UNDECIDED" in said
    assert "It beats re-initialized (101.00 ± 0.60), but is not shown to be better than shuffled mask (99.50" in said
    assert "so does" not in said


@pytest.mark.parametrize("seeds", [1, 2])
def test_under_three_seeds_nothing_is_beaten(seeds: int) -> None:
    results = run(BETTER[:seeds], reinit=WORSE[:seeds], shuffle=(95.0, 95.6)[:seeds])
    results += cells("budget", 0, (98.0, 98.6)[:seeds])
    verdict = judge(results, recipe(seeds=seeds))
    count = "1 seed" if seeds == 1 else "2 seeds"
    assert verdict.word == "UNDECIDED"
    assert "On average it is ahead of re-initialized" in verdict.sentence
    assert "and behind shuffled mask" in verdict.sentence
    assert f"with {count} that is not tested" in verdict.sentence
    assert f"ahead of the ticket (not tested: {count})" in verdict.sentence
    assert not any(word in verdict.sentence for word in ("beat", "shown", "bound"))
    assert [entry["beaten"] for entry in plain(verdict, REPORT)["short"]["controls"]] == [None, None]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ((95.0, 95.5, 94.5), "better than the ticket."),
        ((101.0, 101.5, 100.5), "worse than the ticket."),
        ((95.0, 102.0, 98.5), "which is not told apart from the ticket."),
    ],
)
def test_the_budget_is_compared_by_the_paired_bound(budget: Sequence[float], said: str) -> None:
    results = run(BETTER) + cells("budget", 0, budget)
    assert judge(results, recipe(controls=[])).sentence.endswith(said)


@pytest.mark.parametrize(("seeds", "word"), [(1, "UNDECIDED"), (2, "UNDECIDED"), (3, "LOSES")])
def test_no_level_on_validation_needs_three_seeds_to_be_a_failure(seeds: int, word: str) -> None:
    asked = recipe(controls=[], seeds=seeds)
    asked["claim"]["level"] = "validation"
    verdict = judge(run(MUCH_WORSE[:seeds]), asked)
    assert (verdict.round, verdict.word) == (None, word)
    assert ("too few to decide" in verdict.sentence) == (word == "UNDECIDED")


@pytest.mark.parametrize("round", [0, 1])
def test_a_seed_that_fails_before_every_level_fails_a_level_left_to_validation(round: int) -> None:
    asked = recipe(controls=[])
    asked["claim"]["level"] = "validation"
    results = run()
    for later in range(round, 3):
        results = failed(results, "ticket", 1, later, "diverged" if later == round else "not run")
    verdict = judge(results, asked)
    assert verdict.word == "LOSES"
    assert "diverged in seed 1 (a loss became NaN at step 31), and a claim cannot hold" in verdict.sentence


def test_a_narrowed_pruning_says_whose_weights_and_how_much_of_all() -> None:
    sizes = {"kept": 40, "total": 100, "all": 240}
    results = [replace(r, weights=sizes) if r.round == 2 else r for r in run()]
    verdict = judge(results, recipe(controls=[], prune=["generator"]))
    assert (
        "At 36.0 % sparsity of the generator's weights (25.0 % of all parameters) the claim HOLDS" in verdict.sentence
    )
    assert (verdict.pruned, verdict.share) == ("the generator's weights", 0.25)
    spared = judge(results, recipe(controls=[], exempt=["*.out.*"])).sentence
    assert "sparsity of the weights outside '*.out.*' (25.0 % of all parameters)" in spared
    assert judge(results, recipe(controls=[])).pruned is None


def test_rounds_that_go_on_are_not_held_against_dense() -> None:
    said = judge(run(), {"search": {"rewind": "lr"}, "claim": None}).sentence
    assert "With rewind = 'lr' a round goes on from the trained weights" in said


def test_missing_seeds_and_rounds_leave_it_undecided() -> None:
    results = run(BETTER, reinit=WORSE, shuffle=WORSE)
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
    asked["claim"]["level"] = "validation"
    # Round 3 would hold on test but does not on validation; round 2 holds on validation and fails on test.
    results = [
        *cells("ticket", 0, DENSE),
        *cells("ticket", 1, BETTER),
        *cells("ticket", 2, MUCH_WORSE, valid=BETTER),
        *cells("ticket", 3, BETTER, valid=MUCH_WORSE),
    ]
    assert claim_round(results, asked) == 2
    verdict = judge(results, asked)
    assert (verdict.word, verdict.round, verdict.chosen) == ("LOSES", 2, True)
    assert "sparsest that holds on validation" in verdict.sentence


def test_the_sparsest_round_that_holds_is_chosen() -> None:
    asked = recipe(controls=[])
    asked["claim"]["level"] = "validation"
    assert claim_round(run(), asked) == 2
    verdict = judge([r for r in run() if r.round < 2 or r.seed < 2], asked)
    assert (verdict.round, verdict.word) == (1, "UNDECIDED")
    hopeless = judge(run(MUCH_WORSE), asked)
    assert (hopeless.round, hopeless.word) == (None, "LOSES")


def test_a_failed_seed_keeps_its_round_from_being_chosen() -> None:
    asked = recipe(controls=[])
    asked["claim"]["level"] = "validation"
    assert claim_round(failed(run(), "ticket", 0, 2), asked) == 1


def test_both_twins_must_be_beaten_and_the_harder_one_is_told() -> None:
    # One twin is far off in the mean, and in one seed as good as the ticket: the better mean is the easier opponent.
    rare = (99.5, 140.0, 150.0)
    for own, scaled in ((rare, WORSE), (WORSE, rare)):
        results = run(BETTER, shuffle=WORSE) + cells("reinit", 2, own) + cells("reinit-scaled", 2, scaled)
        verdict = judge(results, recipe(scaling="both"))
        assert verdict.short is not None
        harder = "reinit" if own is rare else "reinit-scaled"
        assert [other.arm for other in verdict.short.controls] == [harder, "shuffle"]
        assert verdict.word == "UNDECIDED"
    both = judge(
        run(BETTER, shuffle=WORSE) + cells("reinit", 2, WORSE) + cells("reinit-scaled", 2, MUCH_WORSE),
        recipe(scaling="both"),
    )
    assert both.word == "WINS AT EQUAL STEPS"


def test_an_unfinished_twin_leaves_the_opponent_open() -> None:
    results = run(BETTER, reinit=WORSE, shuffle=WORSE) + cells("reinit-scaled", 2, WORSE)[:1]
    verdict = judge(results, recipe(scaling="both"))
    assert verdict.word == "HOLDS"
    assert any("1 of 3 seeds are done" in note for note in verdict.notes)


def test_a_control_of_another_round_is_no_opponent() -> None:
    results = run(BETTER, shuffle=WORSE) + cells("reinit", 1, WORSE)
    verdict = judge(results, recipe())
    assert verdict.word == "HOLDS"
    assert verdict.short is not None
    assert list(verdict.short.unfinished) == ["reinit"]


def test_the_sentence_names_everything() -> None:
    results = run(BETTER, reinit=WORSE, shuffle=MUCH_WORSE) + cells("budget", 0, (95.0, 95.5, 94.5))
    said = judge(results, recipe()).sentence
    for part in (
        "At 36.0 % sparsity",
        "negative ELBO",
        "99.00 ± 0.60",
        "100.00 ± 0.50",
        "on test",
        "3 seeds",
    ):
        assert part in said
    assert "one-sided 95 % bound of its paired loss, −0.85, is under the margin of 2.00" in said  # noqa: RUF001
    assert "It beats every control: re-initialized (101.00 ± 0.60) and shuffled mask (109.03 ± 0.45)." in said
    assert said.endswith("A dense model given the whole search's compute reaches 95.00 ± 0.50, better than the ticket.")


def test_figures_measured_in_different_ways_are_called_out() -> None:
    results = [
        replace(r, provenance={"negative_elbo": "N 500" if r.arm == "ticket" else "N 100"})
        for r in run(BETTER, reinit=WORSE, shuffle=WORSE)
    ]
    assert any("measured in another way" in note for note in judge(results, recipe()).notes)


def test_an_unknown_metric_and_no_claim_are_sentences() -> None:
    asked = recipe()
    asked["claim"]["metric"] = "negative_elbow"
    verdict = judge(run(), asked)
    assert (verdict.word, "Did you mean 'negative_elbo'?" in verdict.sentence) == ("UNDECIDED", True)
    assert judge(run(), {"search": {}, "claim": None}) == Verdict(
        word="no claim", sentence="The recipe declares no claim, so there is nothing to hold or to win."
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
    "WINS": run(BETTER, reinit=WORSE, shuffle=WORSE)
    + longer((95.0, 95.1, 95.2), (95.1, 95.2, 95.2), (96.0, 96.2, 96.1)),
    "FASTER": run(BETTER, reinit=WORSE, shuffle=WORSE)
    + longer((95.0, 95.1, 95.2), (91.1, 91.2, 91.2), (96.0, 96.2, 96.1)),
    "MATCHES": run(BETTER, reinit=WORSE, shuffle=BETTER),
    "LOSES": run(MUCH_WORSE, reinit=WORSE, shuffle=WORSE),
    "HOLDS": run(BETTER, reinit=WORSE),
    "twins": run(BETTER, shuffle=WORSE)
    + cells("reinit", 2, BETTER, valid=MUCH_WORSE)
    + cells("reinit-scaled", 2, MUCH_WORSE, valid=BETTER),
}


@pytest.mark.parametrize("level", [0.36, "validation"])
@pytest.mark.parametrize("case", MIRRORED)
def test_a_claim_about_more_mirrors_one_about_less(case: str, level: float | str) -> None:
    results = MIRRORED[case] + cells("budget", 0, (95.0, 95.5, 94.5))
    asked = recipe(longer=5 if "ticket-longer" in {r.arm for r in results} else 0)
    asked["claim"]["level"] = level
    less, more = (
        judge(named(results, figure, sign), about(figure, asked))
        for figure, sign in (("frechet", 1.0), ("inception_score", -1.0))
    )
    assert (less.word, less.round, less.notes) == (more.word, more.round, more.notes)
    assert claim_round(named(results, "recall", -1.0), about("recall", asked)) == less.round
    for one, other in ((less.short, more.short), (less.longer, more.longer)):
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        assert (one.loss, one.limit, one.holds) == (other.loss, other.limit, other.holds)
        assert [(c.arm, c.loss, c.beaten) for c in one.controls] == [(c.arm, c.loss, c.beaten) for c in other.controls]
        assert one.ticket.mean == -other.ticket.mean
    minus = "\N{MINUS SIGN}"
    plain = [verdict.sentence.replace(minus, "").split("Score")[-1].split("distance")[-1] for verdict in (less, more)]
    assert plain[0] == plain[1]


def test_a_higher_score_beats_and_a_lower_one_fails() -> None:
    scores = {"dense": (3.0, 3.1, 2.9), "up": (3.3, 3.41, 3.2), "down": (2.0, 2.11, 1.9)}
    for ticket, control, word in (("up", "dense", "WINS AT EQUAL STEPS"), ("down", "dense", "LOSES")):
        results = [*cells("ticket", 0, scores["dense"]), *cells("ticket", 1, scores[ticket])]
        results += [*cells("ticket", 2, scores[ticket]), *cells("reinit", 2, scores[control])]
        results += cells("budget", 0, scores["dense"])
        verdict = judge(
            named(results, "accuracy_on_samples"), about("accuracy_on_samples", recipe(controls=["reinit"]))
        )
        assert verdict.word == word
        assert f"{'worse' if word != 'LOSES' else 'better'} than the ticket" in verdict.sentence


def test_a_figure_that_says_nothing_of_quality_carries_no_claim() -> None:
    for figure in ("kl", "discriminator_loss"):
        verdict = judge(named(run(BETTER, reinit=WORSE, shuffle=WORSE), figure), about(figure, recipe()))
        assert verdict.word == "no claim"
        assert "says nothing of quality by itself" in verdict.sentence
        assert verdict.short is None


@pytest.mark.parametrize("method", ["one_shot", "at_start"])
def test_levels_that_stand_alone_need_no_rounds_between(method: str) -> None:
    asked = recipe(method=method, criterion="snip", rounds=5, only_rounds=[2, 5], controls=["reinit"])
    results = run(BETTER, reinit=WORSE)
    alone = [r for r in results if r.round != 1]
    assert judge(alone, asked).word == "WINS AT EQUAL STEPS"
    left = {**asked, "claim": {**asked["claim"], "level": "validation"}}
    assert judge(alone, left).word == "UNDECIDED", "round 5 is asked for, and may hold"
    whole = alone + cells("ticket", 5, MUCH_WORSE)
    verdict = judge(failed(whole, "ticket", 1, 5), asked)
    assert verdict.word == "WINS AT EQUAL STEPS"
    how = {"one_shot": "pruned in one shot by SNIP", "at_start": "found at the start by SNIP"}[method]
    assert verdict.sentence.startswith(f"At 36.0 % sparsity ({how}) the ticket WINS AT EQUAL STEPS: ")


def test_a_broken_level_that_stands_alone_leaves_the_others_to_validation() -> None:
    asked = recipe(method="at_start", criterion="snip", only_rounds=[1, 2], controls=[])
    asked["claim"]["level"] = "validation"
    broken = failed(run(), "ticket", 1, 1)
    assert (claim_round(broken, asked), judge(broken, asked).word) == (2, "HOLDS")
    assert judge(failed(run(), "ticket", 1, 0), asked).word == "LOSES"
    unfinished = [r for r in broken if r.round < 2]
    assert judge(unfinished, asked).word == "UNDECIDED", "the level that is still to come may hold"


def test_the_sentence_says_how_an_unusual_ticket_was_found() -> None:
    options = {"criterion": "grasp", "pooled": True, "scope": "erk", "prune": ["generator"], "other": "fresh"}
    said = judge(run(), recipe(controls=[], **options)).sentence
    assert "pruned by GraSP pooled over the players, at ERK layer densities" in said
    assert "the components that are not pruned starting afresh" in said
    plain = judge(run(), recipe(controls=[], method="iterative", criterion="magnitude", scope="global")).sentence
    assert plain.startswith("At 36.0 % sparsity the claim HOLDS: ")


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ("features a; N = 500 samples against 500 test images; floor real against real 2 (N = 500)", "HOLDS"),
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
    results = run(BETTER, reinit=WORSE, shuffle=WORSE)
    odd = [
        replace(r, provenance={"negative_elbo": "N = 9"}) if r.arm == "reinit" and r.seed == 1 else r for r in results
    ]
    verdict = judge(odd, recipe())
    assert verdict.word == "HOLDS"
    assert verdict.short is not None
    assert [other.control for other in verdict.short.controls] == ["shuffle"]
    why = "its figure was measured in another way in seed 1 (see provenance)"
    assert f"No comparison with the control 'reinit': {why}." in verdict.notes


@pytest.mark.parametrize(("share", "told"), [(0.05, True), (0.049, False)])
def test_ties_at_the_cut_are_a_caution(share: float, told: bool) -> None:
    results = [replace(r, tied={"discriminator": share if r.seed else 0.0}) if r.round else r for r in run()]
    for asked in (recipe(controls=[]), {**recipe(), "claim": None}):
        notes = judge(results, asked).notes
        assert any("5.0 % of the weights of 'discriminator' tie at the cut" in note for note in notes) == told
        assert any("magnitude says little there" in note for note in notes) == told


def test_collapsed_samples_are_ahead_of_nothing() -> None:
    results = run(BETTER, reinit=WORSE, shuffle=WORSE) + cells("budget", 0, (101.0, 101.5, 100.5))
    for broken in ({"ticket_2": [1]}, {"ticket_0": [1], "ticket_2": [1]}):
        said = judge(*about_samples(collapse(results, **broken), recipe())).sentence
        assert "collapsed in seed 1" in said
        assert not any(word in said for word in ("beats", "ahead", "better", "worse"))
        assert said.endswith("given the whole search's compute reaches 101.00 ± 0.50.")


def test_collapsed_samples_do_not_hold_whatever_figure_of_samples_is_claimed() -> None:
    results = collapse(run(), ticket_2=[0])
    for figure, sign in (("kid", 1.0), ("coverage", -1.0), ("fid", 1.0), ("accuracy_on_samples", -1.0)):
        assert judge(named(results, figure, sign), about(figure, recipe(controls=[]))).word == "LOSES"


def at_two_levels(first: Sequence[float], second: Sequence[float], **control: Sequence[float]) -> list[Result]:
    """Dense, another ticket at each of two rounds, and one control at both."""
    found = cells("ticket", 0, DENSE) + cells("ticket", 1, first) + cells("ticket", 2, second)
    return [*found, *cells("reinit", 1, control["at_1"]), *cells("reinit", 2, control["at_2"])]


def asked_at_two(**claim: Any) -> dict[str, Any]:
    asked = recipe(controls=["reinit"], control_rounds=[1, 2])
    return {**asked, "claim": {**asked["claim"], "sparsities": [0.2, 0.36], **claim}}


# Losses against the control of -1.0, -1.2 and -0.8: t = -1 / (0.2 / sqrt(3)) = -8.660, one-sided p = 0.006536; of -1.0,
# -1.5 and -0.5: t = -3.464, p = 0.037090; of -1.0, -1.3 and -0.7: t = -5.774, p = 0.014363.
CLEAR, WEAK, BETWEEN = (100.0, 100.8, 99.2), (100.0, 101.1, 98.9), (100.0, 100.9, 99.1)


def test_levels_share_alpha_by_holm() -> None:
    asked = asked_at_two()
    alone = judge(
        at_two_levels(BETTER, BETTER, at_1=CLEAR, at_2=WEAK), {**asked, "claim": {**asked["claim"], "sparsities": []}}
    )
    assert [(level.round, level.word) for level in alone.levels] == [(2, "WINS AT EQUAL STEPS")]
    both = judge(at_two_levels(BETTER, BETTER, at_1=CLEAR, at_2=WEAK), asked)
    assert [level.word for level in both.levels] == ["WINS AT EQUAL STEPS", "WINS AT EQUAL STEPS"]
    assert [level.p_wins for level in both.levels] == pytest.approx([2 * 0.006536, 0.037090], rel=1e-3)
    neither = judge(at_two_levels(BETTER, BETTER, at_1=WEAK, at_2=WEAK), asked)
    assert [level.word for level in neither.levels] == ["UNDECIDED"] * 2, "0.037 each, and 0.074 after the correction"
    assert [level.p_wins for level in neither.levels] == pytest.approx([0.07418, 0.07418], rel=1e-3)
    assert neither.word == neither.levels[1].word


def test_looks_share_alpha_equally() -> None:
    results = at_two_levels(BETTER, BETTER, at_1=CLEAR, at_2=WEAK)
    words = {looks: judge(results, asked_at_two(sparsities=[], looks=looks)).word for looks in (1, 2)}
    assert words == {1: "WINS AT EQUAL STEPS", 2: "UNDECIDED"}, "0.037 is under 0.05 and not under 0.025"
    assert judge(results, asked_at_two(sparsities=[], looks=2, alpha=0.1)).word == "WINS AT EQUAL STEPS"


def test_everything_in_a_level_is_told_at_the_size_it_is_tested_at() -> None:
    verdict = judge(at_two_levels(BETTER, BETTER, at_1=CLEAR, at_2=BETWEEN), asked_at_two(looks=2))
    # p of 0.0065 and 0.0144 at alpha 0.025: the first is tested at 0.0125, the second at 0.025.
    assert [level.word for level in verdict.levels] == ["WINS AT EQUAL STEPS"] * 2
    assert "97.5 % bound" in verdict.sentence
    weaker = judge(at_two_levels(BETTER, BETTER, at_1=WEAK, at_2=BETWEEN), asked_at_two(looks=2))
    assert [level.word for level in weaker.levels] == ["UNDECIDED"] * 2, "0.0144 is not under 0.0125"
    for level in (*verdict.levels, *weaker.levels):
        assert level.short is not None
        assert level.short.holds
        assert [other.beaten for other in level.short.controls] == [level.word != "UNDECIDED"]


def with_more(arm: str, round: int, test: Sequence[float]) -> list[Result]:
    """Seeds 3 and on of an arm, beside the first three."""
    return [replace(cell, seed=cell.seed + 3) for cell in cells(arm, round, test)]


@pytest.mark.parametrize(("more", "judged"), [(1, 3), (2, 3), (3, 6)])
def test_only_seeds_of_a_declared_look_are_tested(more: int, judged: int) -> None:
    first = run(BETTER, reinit=WORSE)
    later = [*with_more("ticket", 0, DENSE), *with_more("ticket", 2, MUCH_WORSE), *with_more("reinit", 2, WORSE)]
    later += with_more("ticket", 1, BETTER)
    asked = recipe(controls=["reinit"], seeds=3 + more)
    asked["claim"]["looks"] = 2
    results = [*first, *(cell for cell in later if cell.seed < 3 + more)]
    verdict = judge(results, asked, declared=3)
    assert verdict.seeds == judged
    assert (verdict.word == "WINS AT EQUAL STEPS") == (judged == 3)
    told = f"declares 2 looks, at 3 and 6 seeds: it is judged by the first 3 of {3 + more} seeds"
    assert any(told in note for note in verdict.notes) == (judged == 3)


def test_beyond_the_last_look_further_seeds_are_not_tested() -> None:
    later = [*with_more("ticket", 0, DENSE), *with_more("ticket", 1, BETTER), *with_more("ticket", 2, MUCH_WORSE)]
    asked = recipe(controls=[], seeds=6)
    verdict = judge([*run(BETTER), *later], asked, declared=3)
    assert (verdict.word, verdict.seeds) == ("HOLDS", 3), "looks = 1 in this recipe"
    assert judge([*run(BETTER), *later], {**asked, "claim": {**asked["claim"], "looks": 2}}, declared=3).seeds == 6


def test_a_claim_matches_only_where_a_control_is_shown_to_do_as_well() -> None:
    wide = (95.0, 105.0, 99.0)
    assert judge(run(BETTER, reinit=wide), recipe(controls=["reinit"])).word == "UNDECIDED"
    verdict = judge(run(BETTER, reinit=tuple(value + 0.1 for value in (99.1, 99.5, 98.4))), recipe(controls=["reinit"]))
    assert verdict.word == "MATCHES"
    assert "does as well, within a quarter of the margin" in verdict.sentence


def test_a_ticket_that_is_only_not_shown_to_hold_does_not_lose() -> None:
    noisy = (98.0, 108.0, 101.0)
    assert judge(run(noisy), recipe(controls=[])).word == "UNDECIDED"
    assert judge(run(MUCH_WORSE), recipe(controls=[])).word == "LOSES"


def test_a_longer_win_is_a_part_of_the_claim_over_the_levels() -> None:
    asked = asked_at_two(looks=1)
    asked["search"] = {**asked["search"], "longer": 5}
    short = at_two_levels(BETTER, BETTER, at_1=WORSE, at_2=WORSE)
    arms = [*cells("dense-longer", 0, DENSE), *cells("ticket-longer", 2, BETTER)]
    clear = judge([*short, *arms, *cells("reinit-longer", 2, CLEAR)], asked)
    assert [level.word for level in clear.levels] == ["WINS AT EQUAL STEPS", "WINS"], "only one was trained longer"
    open_ = judge([*short, *arms, *cells("reinit-longer", 2, (99.0, 103.0, 100.4))], asked)
    assert open_.word == "WINS AT EQUAL STEPS", "whether the lead lasts is not told yet"
    gone = judge([*short, *arms, *cells("reinit-longer", 2, BETTER)], asked)
    assert gone.word == "FASTER"
