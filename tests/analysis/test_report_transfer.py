"""A transfer as a person sees it: words by hand, what a page and a table show, and a matrix of pairs."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Page, made_up_run, reading, unlike
from scipy import stats

from gentickets.analysis.contrast import paired
from gentickets.analysis.text.captions import captions
from gentickets.analysis.transfer import judge_transfer
from gentickets.analysis.transfer_levels import HURTS, NEUTRAL, TRANSFERS, UNDECIDED, TransferLevel
from gentickets.errors import Status, TicketError
from gentickets.report import Matrix, matrix_of, read_run, summarize, table, write_matrix, write_report
from gentickets.report.pages.gallery import pictures
from gentickets.report.plots import transfer as transfer_plot
from gentickets.report.plots import transfer_matrix as heat
from gentickets.report.plots.quality import quality_plot
from gentickets.report.plots.transfer_matrix import heat_map, heat_svg
from gentickets.report.schemas import schema_of
from gentickets.results import Result

summarize, judge_transfer = map(reading, (summarize, judge_transfer))

DENSE = (100.0, 100.5, 99.5)
GOOD = (99.0, 99.6, 98.4)
RANDOM = (104.0, 104.5, 103.4)
LEVEL = 2
SPARSE = 1 - 0.8**LEVEL


def recipe(moves: str = "weights", **changes: Any) -> dict[str, Any]:
    """A transfer at the second of two rounds, with a claim about it and a margin of 2 % of the dense mean."""
    search = {"rounds": 2, "keep": 0.8, "seeds": 3, "controls": ["reinit"], "scaling": "off", "control_rounds": [2]}
    transfer = {"moves": moves, "match": "name", "partial": False, "routes": {}, "rounds": [2], "controls": ["shuffle"]}
    whole: dict[str, Any] = {
        "search": {**search, "longer": 0, "budget": False},
        "claim": {"metric": "negative_elbo", "margin": 0.02, "level": 0.36},
        "transfer": transfer,
    }
    for section, own in changes.items():
        whole[section] = own if own is None else {**whole[section], **own}
    return whole


TOLD: dict[str, Any] = {
    "source": "digits_vae", "family": "vae", "data": "digits", "seed": 0, "round": 2, "sparsity": 0.36,
    "routes": {"decoder": "generator"}, "match": "name", "moves": "weights", "partial": True,
    "entries": [
        {"target": "generator.0.weight", "source": None, "got": "nothing", "weights": 200, "kept": 200,
         "density": None},
        {"target": "generator.2.weight", "source": "decoder.2.weight", "got": "mask and weights", "weights": 800,
         "kept": 400, "density": 0.45},
    ],
    "left": ["generator.0 gets nothing: decoder.0 is of another shape"],
    "covered": 0.8, "density": 0.6, "carried": 0.5,
}  # fmt: skip
"""What a transferred arm's result tells of what moved."""


def cells(
    arm: str, test: Sequence[float], round: int = LEVEL, valid: Sequence[float] | None = None, **changes: Any
) -> list[Result]:
    """One arm at one round, a value per seed; on validation the same values unless given."""
    figure = changes.pop("figure", "negative_elbo")
    sparsity = changes.pop("sparsity", 0.0 if "unmasked" in arm or "longer" in arm else 1 - 0.8**round)
    told = [{**TOLD, "seed": seed} if arm.startswith("transfer") else {} for seed in range(len(test))]
    return [
        Result(
            arm, seed, round, sparsity, 500, 500, "last", valid={figure: seen}, test={figure: value},
            transfer=told[seed], **changes,
        )
        for seed, (value, seen) in enumerate(zip(test, valid or test, strict=True))
    ]  # fmt: skip


def run(own: Sequence[float] = GOOD, round: int = LEVEL, **arms: Sequence[float]) -> list[Result]:
    """Dense, native ticket, transferred one, and beside it reinit and transfer-shuffle, as given or worse than all."""
    others = {"reinit": RANDOM, "transfer-shuffle": RANDOM, **{name.replace("_", "-"): v for name, v in arms.items()}}
    found = [*cells("ticket", DENSE[: len(own)], 0), *cells("ticket", GOOD[: len(own)], round)]
    found += cells("transfer", own, round)
    for arm, values in others.items():
        found += cells(arm, values[: len(own)], round)
    return found + cells("ticket", GOOD[: len(own)], 1)


def level(results: Sequence[Result], asked: Mapping[str, Any] | None = None) -> TransferLevel:
    """The one level of a transfer."""
    found = judge_transfer(results, asked or recipe())
    assert found is not None
    (only,) = found.levels
    return only


def without(results: Sequence[Result], arm: str, seed: int | None = None) -> list[Result]:
    """The same results without an arm's (of one seed)."""
    return [r for r in results if r.arm != arm or seed not in (None, r.seed)]


def changed(results: Sequence[Result], arm: str, seed: int, **changes: Any) -> list[Result]:
    """The same results, with one cell of the level changed."""
    return [replace(r, **changes) if (r.arm, r.seed, r.round) == (arm, seed, LEVEL) else r for r in results]


def plain(text: str) -> str:
    """The text as one would type it."""
    return text.replace("\N{MINUS SIGN}", "-").replace("\xa0", " ")


# What decides.


def test_better_than_every_random_ticket_and_within_the_margin_transfers() -> None:
    found = level(run())
    assert found.word == TRANSFERS
    assert found.trial is not None
    # Losses -1.0, -0.9, -1.1 against dense: mean -1, sd 0.1; t(0.95, 2) = 2.919986.
    assert found.trial.loss.mean == pytest.approx(-1.0)
    assert found.trial.loss.bound == pytest.approx(-1.0 + 2.919986 * 0.1 / math.sqrt(3), rel=1e-6)
    assert found.trial.limit == pytest.approx(2.0)
    assert [other.control for other in found.trial.controls] == ["transfer-shuffle", "reinit"]


def test_the_margin_decides_at_its_edge() -> None:
    # Losses 1.9 +- 0.02; a margin m of dense values 100, 100.5 and 99.5 moves with them, so that -0.02, -0.5 m and
    # 0.02 + 0.5 m are left: the bound is 1.9 + 2.919986 sd / sqrt(3) = 1.94425 at m = 0.01944, the edge.
    own = tuple(value + 1.9 + shift for value, shift in zip(DENSE, (-0.02, 0.0, 0.02), strict=True))
    far = tuple(value + 9 for value in own)
    results = run(own, reinit=far, transfer_shuffle=far)
    at = lambda margin: level(results, recipe(claim={"margin": margin})).word  # noqa: E731
    assert at(0.01945) == TRANSFERS
    assert at(0.0194) == NEUTRAL


def test_not_shown_better_than_one_random_ticket_is_neutral() -> None:
    near = (98.9, 99.9, 98.7)  # losses +0.1, -0.3, -0.3
    found = level(run(reinit=near))
    assert found.word == NEUTRAL
    assert "It is better than transferred mask shuffled, but is not shown to be better than re-initialized." in (
        found.sentence
    )


def test_better_than_everything_random_but_over_the_margin_is_neutral() -> None:
    own = (103.0, 103.4, 102.6)
    far = (110.0, 110.2, 109.9)
    found = level(run(own, reinit=far, transfer_shuffle=far))
    assert found.trial is not None
    assert all(other.beaten for other in found.trial.controls)
    assert found.word == NEUTRAL
    assert re.search(r"it is up to \d\.\d\d worse than dense \(margin 2\.00\)", found.sentence)


def test_worse_than_a_random_ticket_hurts() -> None:
    found = level(run(reinit=(97.0, 97.5, 96.5)))
    assert (found.word, found.hurt_by) == (HURTS, ("reinit",))
    assert "is worse than a random ticket of its size." in found.sentence
    assert "It is worse than re-initialized, and better than transferred mask shuffled." in found.sentence


def test_hurting_is_tested_at_5_percent_over_the_number_of_random_tickets() -> None:
    # Reinit is ahead by 1 with an sd chosen so that p lies between 2.5 % and 5 %: one opponent shows it, two do not.
    t = float(stats.t.ppf(1 - 0.035, 2))
    sd = 1.0 * math.sqrt(3) / t
    ahead = tuple(value - 1 + shift * sd for value, shift in zip(GOOD, (-1.0, 0.0, 1.0), strict=True))
    two = run(reinit=ahead)
    one = without(two, "transfer-shuffle")
    assert level(two).word == NEUTRAL
    assert level(one, recipe(transfer={"controls": []})).word == HURTS


@pytest.mark.parametrize(("seeds", "word"), [(1, UNDECIDED), (2, UNDECIDED), (3, TRANSFERS)])
def test_two_seeds_decide_nothing(seeds: int, word: str) -> None:
    found = level(run(GOOD[:seeds]), recipe(search={"seeds": seeds}))
    assert found.word == word
    if word == UNDECIDED:
        assert "too few to decide: at least 3 are needed" in found.sentence


def test_for_a_figure_of_which_more_is_better_the_signs_turn() -> None:
    figures = {"ticket": (0.50, 0.52, 0.51), "transfer": (0.60, 0.63, 0.61), "low": (0.30, 0.31, 0.33)}
    build = lambda own, other: [  # noqa: E731
        *cells("ticket", figures["ticket"], 0, figure="coverage"), *cells("transfer", own, figure="coverage"),
        *cells("transfer-shuffle", other, figure="coverage"), *cells("reinit", other, figure="coverage"),
    ]  # fmt: skip
    asked = recipe(claim={"metric": "coverage"})
    assert level(build(figures["transfer"], figures["low"]), asked).word == TRANSFERS
    assert level(build(figures["low"], figures["transfer"]), asked).word == HURTS


def test_the_opponent_is_the_twin_that_is_better_on_validation() -> None:
    results = run()
    results += cells("transfer-shuffle-scaled", (98.0, 98.4, 97.1), valid=(110.0, 110.0, 110.0))
    found = level(results)
    assert found.trial is not None
    assert found.trial.controls[0].arm == "transfer-shuffle"  # although the other is better on test
    assert found.word == TRANSFERS
    turned = without(results, "transfer-shuffle-scaled")
    turned += cells("transfer-shuffle-scaled", (98.0, 98.4, 97.1), valid=(90.0, 90.0, 90.0))
    found = level(turned)
    assert found.trial is not None
    assert found.trial.controls[0].arm == "transfer-shuffle-scaled"
    assert found.word != TRANSFERS
    assert found.best == "transfer-shuffle-scaled"


def test_the_best_random_ticket_is_chosen_on_validation() -> None:
    results = without(run(), "reinit") + cells("reinit", (105.0, 105.1, 105.2), valid=(90.0, 90.0, 90.0))
    found = level(results)
    assert found.best == "reinit"
    assert found.best_random is not None
    assert found.best_random.spread.mean == pytest.approx(105.1)


# What is not finished, or cannot be judged.


def test_an_opponent_that_is_not_there_leaves_it_undecided() -> None:
    found = level(without(run(), "transfer-shuffle"))
    assert found.word == UNDECIDED
    assert "No comparison with the control 'transfer-shuffle': not run yet." in found.sentence
    found = level(without(run(), "reinit", seed=1))
    assert found.word == UNDECIDED
    assert "2 of 3 seeds are done" in found.sentence


def test_where_one_random_ticket_is_shown_better_the_missing_ones_change_nothing() -> None:
    found = level(without(run(reinit=(97.0, 97.5, 96.5)), "transfer-shuffle"))
    assert found.word == HURTS


def test_an_unfinished_transfer_is_undecided_and_awaited() -> None:
    results = without(run(), "transfer", seed=2)
    found = level(results)
    assert found.word == UNDECIDED
    assert "seed 2 still has rounds to go" in found.sentence
    assert "transfer: 2 of 3 rounds are done" in summarize(results, recipe()).missing
    nothing = [r for r in run() if not r.arm.startswith("transfer")]
    assert level(nothing).word == UNDECIDED
    missing = summarize(nothing, recipe()).missing
    assert {"transfer: 0 of 3 rounds are done", "transfer-shuffle: 0 of 3 rounds are done"} <= set(missing)
    assert summarize(run(), recipe()).missing == ()


def test_a_transfer_that_diverged_is_undecided_with_its_reason() -> None:
    broken = {"status": "diverged", "test": {}, "valid": {}, "why": "a loss became NaN at step 31"}
    found = level(changed(run(), "transfer", 1, **broken))
    assert found.word == UNDECIDED
    assert "'transferred' diverged in seed 1 (a loss became NaN at step 31)" in found.sentence


def test_without_a_random_ticket_there_is_nothing_to_judge_it_by() -> None:
    results = [r for r in run() if r.arm in ("ticket", "transfer")]
    found = level(results, recipe(transfer={"controls": []}, search={"controls": []}))
    assert found.word == UNDECIDED
    assert "No sparse random ticket was trained" in found.sentence


def test_controls_at_other_rounds_are_no_opponents() -> None:
    asked = recipe(search={"control_rounds": [1]})
    found = level(without(run(), "reinit") + cells("reinit", RANDOM, 1), asked)
    assert found.trial is not None
    assert [other.control for other in found.trial.controls] == ["transfer-shuffle"]
    assert found.word == TRANSFERS


def test_values_measured_in_another_way_are_not_compared() -> None:
    told = {"provenance": {"negative_elbo": "one draw"}}
    results = [replace(r, **told) for r in run()]
    odd = {"provenance": {"negative_elbo": "five draws"}}
    assert level(results).word == TRANSFERS
    found = level(changed(results, "transfer", 0, **odd))
    assert found.word == UNDECIDED
    assert "was measured in another way" in found.sentence
    assert level(changed(results, "reinit", 0, **odd)).word == UNDECIDED


def samples(**flags: Sequence[int]) -> list[Result]:
    """The same run judged by a Fréchet distance, with collapsed seeds: arm -> seeds, or ``dense``."""
    found = [replace(r, test={"frechet": r.test["negative_elbo"]}, valid={"frechet": r.valid["negative_elbo"]})
             for r in run()]  # fmt: skip
    for arm, seeds in flags.items():
        name, round = ("ticket", 0) if arm == "dense" else (arm.replace("_", "-"), LEVEL)
        found = [
            replace(r, collapsed="all alike") if (r.arm, r.round) == (name, round) and r.seed in seeds else r
            for r in found
        ]
    return found


def test_a_collapse_never_transfers() -> None:
    asked = recipe(claim={"metric": "frechet"})
    assert level(samples(), asked).word == TRANSFERS
    found = level(samples(transfer=(1,)), asked)
    assert found.word == UNDECIDED
    assert "The samples of the transferred ticket collapsed in seed 1." in found.sentence
    found = level(samples(transfer=(1,), dense=(1,)), asked)
    assert found.word == UNDECIDED
    assert "both the transferred ticket and the dense model collapsed in seed 1" in found.sentence
    found = level(samples(dense=(1,)), asked)
    assert found.word == TRANSFERS
    assert "The samples of the dense model collapsed in seed 1." in found.sentence
    # A claim about likelihoods is told nothing by it.
    assert level([replace(r, collapsed="all alike") for r in run()]).word == TRANSFERS


def test_collapsed_samples_of_a_random_ticket_show_no_hurt() -> None:
    asked = recipe(claim={"metric": "frechet"})
    better = [
        replace(r, test={"frechet": 90.0 + r.seed / 10}, valid={"frechet": 90.0}) if r.arm == "reinit" else r
        for r in samples()
    ]
    assert level(better, asked).word == HURTS
    flagged = changed(better, "reinit", 0, collapsed="all alike")
    found = level(flagged, asked)
    assert found.word == NEUTRAL
    assert any("control 're-initialized' collapsed in seed 0" in note for note in found.notes)


# What is told beside it.


def test_the_interval_against_the_native_ticket_is_two_sided() -> None:
    first, second = {0: 1.0, 1: 2.5, 2: 3.0, 3: 5.0}, {0: 2.0, 1: 2.0, 2: 2.0, 3: 2.0}
    found = paired(first, second)
    told = stats.ttest_rel(list(first.values()), list(second.values())).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((told.low, told.high))
    turned = paired(first, second, higher=True)
    assert turned is not None
    assert (turned.low, turned.high) == pytest.approx((-told.high, -told.low))
    assert paired({0: 1.0}, {1: 1.0}) is None
    assert level(run()).native == paired(dict(enumerate(GOOD)), dict(enumerate(GOOD)))


def test_against_the_native_ticket_in_words() -> None:
    # Losses against GOOD: -1.0, -1.1, -0.9.
    better = level(run((98.0, 98.5, 97.5)))
    assert "It is better than the target's own ticket." in better.sentence
    assert better.native is not None
    assert (better.native.mean, better.native.low) == (pytest.approx(-1.0), pytest.approx(-1.248, abs=1e-3))
    assert "It does not differ clearly from the target's own ticket" in level(run((99.5, 99.2, 98.4))).sentence
    assert "It is worse than the target's own ticket" in level(run((99.5, 100.1, 98.95))).sentence


@pytest.mark.parametrize(
    ("values", "explained", "said"),
    [
        ((102.0, 102.5, 101.4), False, "are worse, so the mask matters"),
        ((99.1, 99.5, 98.5), True, "as far as these seeds show, so the weights explain it, not the mask"),
        ((97.0, 97.5, 96.4), True, "as far as these seeds show, so the weights explain it, not the mask"),
    ],
)
def test_what_the_same_weights_do_without_the_mask(values: Sequence[float], explained: bool, said: str) -> None:
    found = level(run(transfer_unmasked=values))
    assert found.word == TRANSFERS  # what is told beside it decides nothing
    assert found.explained_by_weights is explained
    assert said in found.sentence


def test_weights_explain_nothing_that_does_not_transfer() -> None:
    found = level(run((103.0, 103.4, 102.6), transfer_unmasked=(99.0, 99.0, 99.1), reinit=(110.0, 110.2, 109.9)))
    assert found.word == NEUTRAL
    assert found.explained_by_weights is None
    assert "explain it" not in found.sentence


def test_the_mask_alone_is_told_where_weights_move_and_an_opponent_where_signs_do() -> None:
    results = run(transfer_mask=(98.0, 98.4, 97.1))
    found = level(results)
    assert found.word == TRANSFERS
    assert "The mask alone, on the target's own weights, is not shown to be worse." in found.sentence
    signs = [replace(r, transfer={**r.transfer, "moves": "signs"}) if r.transfer else r for r in results]
    found = level(signs, recipe("signs", transfer={"controls": ["shuffle", "mask"]}))
    assert found.word == HURTS
    assert found.hurt_by == ("transfer-mask",)
    assert "The mask alone" not in found.sentence


def test_other_sparsities_than_the_native_tickets_are_said_from_one_point_on() -> None:
    def built(sparsity: float) -> str:
        return level([replace(r, sparsity=sparsity) if r.arm == "transfer" else r for r in run()]).sentence

    said = "of the target's prunable weights, not 36.0 %; it covers 80.0 % of them"
    assert f"It removes 28.0 % {said}" in built(0.28)
    assert said not in built(SPARSE - 0.009)


def test_the_sentence_names_source_model_route_and_figure() -> None:
    text = level(run()).sentence
    assert text.startswith(
        "TRANSFERS at 36.0 % sparsity (3 seeds): the ticket from digits_vae (VAE on digits; decoder → generator) is as "
        "good as the dense model and better than every random ticket. By negative ELBO it is at least 0."
    )
    assert "It is better than transferred mask shuffled and re-initialized." in text


def test_one_ticket_for_all_seeds_is_said() -> None:
    one = [replace(r, transfer={**r.transfer, "seed": 0}) if r.transfer else r for r in run()]
    assert "One ticket of the source serves all 3 seeds" in level(one).sentence
    assert "serves" not in level(run()).sentence


def test_trained_longer_is_told() -> None:
    results = [*run(), *cells("transfer-longer", (97.0, 97.2, 96.9)), *cells("dense-longer", (96.0, 96.1, 96.2), 0)]
    found = level(results, recipe(search={"longer": 5}))
    assert found.word == TRANSFERS
    assert "Trained 5 times as long, it is within the margin of dense." in found.sentence
    assert "transfer-longer: not run yet" in summarize(run(), recipe(search={"longer": 5})).missing


def test_without_a_claim_figure_and_margin_are_said_to_be_the_reports() -> None:
    asked = recipe(claim=None)
    whole = judge_transfer(run(), asked)
    assert whole is not None
    assert (whole.metric, whole.margin, whole.claimed) == ("negative_elbo", 0.02, False)
    assert whole.levels[0].word == TRANSFERS
    assert (
        "The recipe declares no claim, so metric and margin (2 % of the dense mean) are defaults."
        in whole.levels[0].sentence
    )


# Against chance.


def noise(rng: np.random.Generator, arms: Sequence[str], seeds: int = 5) -> list[Result]:
    """Every arm alike but for noise; what is seen on validation is what comes on test, so that choosing picks luck."""
    found = cells("ticket", tuple(rng.normal(100, 1, seeds)), 0)
    for arm in ("ticket", "transfer", *arms):
        found += cells(arm, tuple(rng.normal(100, 1, seeds)))
    return found


TWINS = ("reinit", "reinit-scaled", "transfer-shuffle", "transfer-shuffle-scaled")


def shares(arms: Sequence[str], draws: int) -> tuple[float, float]:
    """Of so many draws of noise, how many transfer and how many hurt. Every arm holds, so that only chance decides."""
    rng, controls = np.random.default_rng(5), ["shuffle"] if "transfer-shuffle" in arms else []
    asked = recipe(search={"seeds": 5}, claim={"margin": 0.2}, transfer={"controls": controls})
    words = [level(noise(rng, arms), asked).word for _ in range(draws)]
    assert UNDECIDED not in words
    return words.count(TRANSFERS) / draws, words.count(HURTS) / draws


def at_most(draws: int) -> float:
    """5 % and three standard errors: against a single opponent the tests are exact, so that 5 % is what comes."""
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_noise_seldom_transfers_and_seldom_hurts() -> None:
    transfers, hurts = shares(TWINS, 150)
    assert transfers <= 0.05
    assert hurts <= at_most(150)


@pytest.mark.full
@pytest.mark.parametrize("arms", [("reinit",), ("reinit", "transfer-shuffle"), TWINS])
def test_noise_transfers_or_hurts_at_most_as_often_as_the_tests_allow(arms: tuple[str, ...]) -> None:
    transfers, hurts = shares(arms, 2000)
    assert transfers <= (at_most(2000) if len(arms) == 1 else 0.05)
    assert hurts <= at_most(2000)


# What a run shows.


def curve(moves: str = "weights") -> tuple[list[Result], dict[str, Any]]:
    """A run like the small trial of a GAN that took a VAE's decoder: three levels, five seeds, every arm."""
    rng, rounds = np.random.default_rng(2), range(1, 9)
    search = {"rounds": 8, "keep": 0.8, "seeds": 5, "controls": ["reinit", "shuffle"], "scaling": "both",
              "control_rounds": [2, 5, 8]}  # fmt: skip
    asked = recipe(moves, search=search, claim={"metric": "frechet", "level": 0.672, "margin": 0.05})
    asked["transfer"] |= {"rounds": [2, 5, 8], "controls": ["shuffle", "unmasked", "mask"]}
    asked["task"], asked["data"] = {"family": "gan", "network": "mlp"}, {"name": "digits"}

    def drawn(arm: str, mean: float, sd: float, round: int, **changes: Any) -> list[Result]:
        values = tuple(map(float, rng.normal(mean, sd, 5)))
        valid = tuple(value + 0.3 for value in values)
        found = cells(arm, values, round, valid, figure="frechet", **changes)
        wide = {"coverage": 0.9, "kid": 0.01}
        told = {"frechet": "64 features of the digits classifier, 500 against 500"}
        return [replace(r, test={**r.test, **wide}, valid={**r.valid, **wide}, provenance=told,
                        seconds={"train": 2.0, "evaluate": 0.3}, spent={"train": 1e9},
                        losses=[{"step": step, "d": float(1 + r.seed / 10 + 50 / (step + 50))}
                                for step in range(0, 500, 25)]) for r in found]  # fmt: skip

    found = drawn("ticket", 11.7, 0.7, 0)
    for r in rounds:
        found += drawn("ticket", 7.2 + 0.02 * (r - 4) ** 2, 1.2, r)
    for r in (2, 5, 8):
        bad = {2: 12.0, 5: 18.0, 8: 27.0}[r]
        found += drawn("transfer", 6.4 if r < 8 else 15.0, 1.4, r, sparsity=0.9 * (1 - 0.8**r))
        found += drawn("transfer-unmasked", 13.6, 1.5, r)
        found += drawn("transfer-mask", bad, 1.5, r) + drawn("transfer-mask-scaled", bad + 1, 1.5, r)
        found += drawn("transfer-shuffle", bad + 0.5, 1.3, r) + drawn("transfer-shuffle-scaled", bad - 1, 1.5, r)
        for arm in ("reinit", "reinit-scaled", "shuffle", "shuffle-scaled"):
            found += drawn(arm, bad + 2 * arm.startswith("shuffle"), 1.8, r)
    return found, asked


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Page and data of a whole run; tests only read them."""
    report = write_report([made_up_run(tmp_path_factory.mktemp("runs") / "gan", *curve())])
    return report.page.read_text(encoding="utf-8"), json.loads(report.data.read_text(encoding="utf-8"))["runs"][0]


def test_the_page_has_words_plot_table_and_layers_of_the_transfer(written: tuple[str, dict[str, Any]]) -> None:
    page, run = Page(written[0]), written[1]
    assert [one["word"] for one in run["transfer"]["levels"]] == [TRANSFERS, TRANSFERS, NEUTRAL]
    for one in run["transfer"]["levels"]:
        assert " ".join(one["sentence"].split()) in page.text
    assert 'aria-label="A transferred ticket: sparsity against Fréchet distance"' in written[0]
    assert "var(--carried)" in written[0].split("<svg", 1)[1]
    assert "--carried: #" in written[0].split("prefers-color-scheme: dark", 2)[2]
    for said in ("What every layer got (80.0 % of the prunable weights)", "generator.2.weight", "decoder.2.weight",
                 "mask and weights", "45.0 %", "50.0 %", "generator.0 gets nothing: decoder.0 is of another shape",
                 "best random", "the source's early steps lie behind them, and take all steps of the target",
                 "What finding the source's ticket cost is no part of this run's bill"):  # fmt: skip
        assert said in page.text
    ids = page.ids
    assert len(ids) == len(set(ids))


def test_the_plot_shows_each_arm_once_and_the_better_twin_hollow_where_it_is_scaled() -> None:
    svg = transfer_plot.transfer_plot(summarize(*curve()))
    names = ["dense", "the target's own ticket", "transferred", "re-initialized", "shuffled mask",
             "transferred mask shuffled", "transferred without mask", "transferred mask alone"]  # fmt: skip
    assert [svg.count(f">{name}</text>") for name in names] == [1] * len(names)
    assert "scaled" not in svg
    assert transfer_plot.transfer_plot(summarize(*native())) == ""


def native() -> tuple[list[Result], dict[str, Any]]:
    """The same run without its transfer."""
    results, asked = curve()
    kept = {name: own for name, own in asked.items() if name != "transfer"}
    return [r for r in results if not r.arm.startswith("transfer")], kept


def test_the_verdict_on_the_native_ticket_is_what_it_is_without_a_transfer() -> None:
    whole, alone = summarize(*curve()), summarize(*native())
    assert whole.verdict == alone.verdict
    assert alone.transfer is None
    assert quality_plot(whole) == quality_plot(alone)
    own = [row for row in whole.rows if not row.arm.startswith("transfer")]
    assert own == list(alone.rows)
    assert [choice for choice in whole.choices if choice.cost["flops"]] == list(alone.choices)


def test_a_run_without_a_transfer_says_nothing_of_one(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "run", *native())
    report = write_report([run])
    page = report.page.read_text(encoding="utf-8").replace(str(run), "RUN")  # the folder has the name of this test
    assert "ransfer" not in page
    assert "--carried" not in page
    assert json.loads(report.data.read_text(encoding="utf-8"))["runs"][0]["transfer"] is None


def test_the_table_of_the_terminal_has_transferred_arms_before_the_controls() -> None:
    _, lines = table(summarize(*curve()))
    arms = list(dict.fromkeys(line[0] for line in lines))
    assert arms[:8] == [
        "dense", "ticket", "transferred", "transferred without mask", "transferred mask alone",
        "transferred mask alone, scaled", "transferred mask shuffled", "transferred mask shuffled, scaled",
    ]  # fmt: skip
    assert arms[8] == "re-initialized"
    sizes = [line[1] for line in lines if line[0] == "transferred without mask"]
    assert sizes == ["0.0 % (at 36.0 %)", "0.0 % (at 67.2 %)", "0.0 % (at 83.2 %)"]
    assert [line[1] for line in lines if line[0] == "transferred"] == ["32.4 %", "60.5 %", "74.9 %"]


def test_remarks_say_what_steps_lie_behind_transferred_arms() -> None:
    said = {moves: " ".join(captions(summarize(*moving(moves)))) for moves in ("weights", "trained", "signs", "mask")}
    assert "the source's early steps lie behind them, and take all steps of the target" in said["weights"]
    assert "the source's whole training lies behind them" in said["trained"]
    assert "from new weights with the signs of the source's trained ones" in said["signs"]
    assert "from the target's own early weights, as its ticket does" in said["mask"]


def moving(moves: str) -> tuple[list[Result], dict[str, Any]]:
    """The small run with something else moved."""
    return [replace(r, transfer={**r.transfer, "moves": moves}) if r.transfer else r for r in run()], recipe(moves)


def test_pictures_of_a_transfer_stand_beside_the_native_ones(tmp_path: Path) -> None:
    results, asked = curve()
    path = made_up_run(tmp_path / "run", [r for r in results if r.round in (0, 5)], asked)
    for one in results:
        if (one.round, one.seed) == (5, 0):
            picture = path / "seed-0" / one.arm / "round-05" / "samples.png"
            picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    labels = [picture.label for picture in pictures(read_run(path), "samples.png", 0)]
    # Of twins those that the ticket was held against.
    assert labels[:2] == ["ticket", "transferred"]
    assert sorted(labels[2:]) == [
        "re-initialized", "shuffled mask, scaled", "transferred mask alone, scaled",
        "transferred mask shuffled, scaled", "transferred without mask",
    ]  # fmt: skip


def test_report_json_has_the_documented_keys(written: tuple[str, dict[str, Any]]) -> None:
    told = written[1]["transfer"]
    assert set(told["source"]) == {"source", "family", "data", "seed", "round", "sparsity"}
    first = told["levels"][0]
    assert set(first["trial"]) == {
        "ticket", "dense", "loss", "limit", "bound", "alpha", "controls", "unfinished", "holds"
    }  # fmt: skip
    assert [other["beaten"] for other in first["trial"]["controls"]] == [True, True, True]
    assert unlike({"format": 2, "runs": [written[1]]}, schema_of("report")) == []


def test_a_half_finished_transfer_is_reported_as_half(tmp_path: Path) -> None:
    results, asked = curve()
    half = [r for r in results if r.seed < 2 and not (r.arm.startswith("transfer") and r.round > 2)]
    report = write_report([made_up_run(tmp_path / "half", half, asked)])
    whole = report.summaries[0].transfer
    assert whole is not None
    assert [one.word for one in whole.levels] == [UNDECIDED] * 3
    assert [one.seeds for one in whole.levels] == [2, 0, 0]
    nothing = write_report([made_up_run(tmp_path / "nothing", [], asked)])
    assert nothing.summaries[0].transfer is not None
    assert "nothing is done yet" in nothing.sentence


def test_hostile_names_of_sources_and_layers_stay_text(tmp_path: Path) -> None:
    bad = "</text><script>alert(1)</script> {{ 7 * 7 }}"
    entry = {"target": bad, "source": bad, "got": bad, "weights": 2, "kept": 1, "density": 0.5}
    told = {**TOLD, "source": bad, "family": bad, "data": bad, "routes": {bad: bad}, "entries": [entry], "left": [bad]}
    results = [replace(r, transfer=told) if r.transfer else r for r in run()]
    text = write_report([made_up_run(tmp_path / "run", results, recipe())]).page.read_text(encoding="utf-8")
    assert "script" not in [tag for tag, _ in Page(text).tags]
    assert "<script>alert(1)</script> {{ 7 * 7 }}" in Page(text).text
    path = write_matrix(matrix_of([(bad, bad, summarize(results, recipe()))]), tmp_path)
    assert "script" not in [tag for tag, _ in Page(path.read_text(encoding="utf-8")).tags]


# The matrix.


def square() -> Matrix:
    """Three models, each into each, of which one pair does not fit."""
    hurt, near = {"reinit": (97.0, 97.5, 96.5)}, {"reinit": (98.9, 99.9, 98.7)}
    found: dict[tuple[str, str], list[Result]] = {
        ("ae", "ae"): run(), ("ae", "vae"): run(**hurt), ("ae", "gan"): run(**near),
        ("vae", "ae"): run(reinit=(205.0, 204.0, 206.0)), ("vae", "vae"): run(GOOD[:2]), ("vae", "gan"): run(),
        ("gan", "ae"): run(reinit=(99.2, 99.7, 98.5)), ("gan", "gan"): run(**hurt),
    }  # fmt: skip
    told = [(*names, summarize(results, recipe(search={"seeds": 2} if len(results) < 16 else {})))
            for names, results in found.items()]  # fmt: skip
    return matrix_of(told, {("gan", "vae"): "no layer of the two fits"})


def test_a_pair_has_the_numbers_of_its_level() -> None:
    pair = square().at("vae", "ae")
    assert pair is not None
    assert (pair.word, pair.round, pair.n) == (TRANSFERS, 2, 3)
    assert (pair.to_dense, pair.to_native) == pytest.approx((-1.0, 0.0))
    # The transferred mask shuffled is the better one: 99 against 103.966...
    assert pair.best is not None
    assert pair.best.arm == "transfer-shuffle"
    assert pair.to_best == pytest.approx(100 * (99.0 - 311.9 / 3) / (311.9 / 3))


def test_the_grid_has_sources_as_rows_and_targets_as_columns() -> None:
    header, lines = square().grid()
    assert header == ["from / to", "ae", "vae", "gan"]
    assert [line[0] for line in lines] == ["ae", "vae", "gan"]
    words = [[cell.split(" ", 1)[0] for cell in line[1:]] for line in lines]
    assert words == [
        [TRANSFERS, HURTS, NEUTRAL], [TRANSFERS, UNDECIDED, TRANSFERS], [TRANSFERS, UNDECIDED, HURTS],
    ]  # fmt: skip
    assert plain(lines[0][1]) == "TRANSFERS -4.78 %"
    summary = summarize(run(), recipe())
    assert [line[1:] for line in matrix_of([("a", "b", summary), ("b", "a", summary)]).grid().rows] == [
        ["TRANSFERS \N{MINUS SIGN}4.78 %", "\N{EN DASH}"], ["\N{EN DASH}", "TRANSFERS \N{MINUS SIGN}4.78 %"],
    ]  # fmt: skip


def test_a_matrix_goes_by_the_claims_round_else_the_last_unless_told() -> None:
    summary = summarize(*curve())
    results, asked = curve()
    unclaimed = summarize(results, {**asked, "claim": None})
    rounds = [pair.round for pair in matrix_of([("a", "b", summary), ("a", "c", unclaimed)]).pairs]
    assert rounds == [5, 8]
    (only,) = matrix_of([("a", "b", summary)], round=2).pairs
    assert only.round == 2


def test_a_matrix_needs_pairs_and_each_once() -> None:
    with pytest.raises(TicketError, match="at least one source"):
        matrix_of([])
    summary = summarize(run(), recipe())
    with pytest.raises(TicketError, match="a to b twice"):
        matrix_of([("a", "b", summary)], {("a", "b"): "it does not fit"})


def test_a_matrix_on_disk_is_data_picture_and_page(tmp_path: Path) -> None:
    matrix = square()
    path = write_matrix(matrix, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "matrix.json").read_text(encoding="utf-8"))
    assert (told["format"], told["sources"], told["targets"]) == (1, ["ae", "vae", "gan"], ["ae", "vae", "gan"])
    assert told == json.loads(json.dumps(matrix.as_dict()))
    assert unlike(told, schema_of("matrix")) == []
    assert (tmp_path / "out" / "matrix.png").read_bytes() == heat_map(matrix)
    page = Page(path.read_text(encoding="utf-8"))
    for pair in matrix.pairs:
        assert " ".join(pair.sentence.split()) in page.text
    assert "Nothing is carried over: no layer of the two fits." in page.text
    assert "How to read the verdicts" in page.text
    with pytest.raises(TicketError, match="cannot write") as caught:
        write_matrix(matrix, path / "below")
    assert caught.value.status == Status.STORAGE


def test_the_heat_map_writes_every_pair_and_colours_what_is_decided() -> None:
    svg = plain(heat_svg(square()))
    assert [svg.count(f">{word}</text>") for word in (TRANSFERS, HURTS, NEUTRAL, UNDECIDED)] == [4, 2, 1, 2]
    assert ">to best random -4.78 %</text>" in svg
    assert svg.count("stroke-dasharray") == 2  # undecided: a border and no colour
    part = matrix_of([(*names, summarize(run(), recipe())) for names in (("a", "b"), ("b", "a"))])
    assert plain(heat_svg(part)).count(">\N{EN DASH}</text>") == 2
    better, worse = _fill(-4.8), _fill(2.1)
    assert better[2] > better[0]  # blue
    assert worse[0] > worse[2]  # red
    assert heat_map(square()).startswith(b"\x89PNG")


def _fill(loss: float) -> tuple[int, int, int]:
    colour, _ = heat._colours(loss, heat._scale(square()))
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


if __name__ == "__main__":
    print(write_report([made_up_run(Path(sys.argv[1]) / "vae_to_gan", *curve())]).page)
    print(write_matrix(square(), Path(sys.argv[1])))
