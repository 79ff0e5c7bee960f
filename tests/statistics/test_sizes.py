"""Sizes of interim analyses, the tree of verdicts at its edges, margins, contrasts, and two-way errors."""

from __future__ import annotations

import numpy as np
import pytest
import spending as calibration
from scipy import stats

from gentickets.errors import TicketError
from gentickets.statistics import (
    EQUAL_STEPS,
    MATCHES,
    NO_BETTER,
    NOT_WORTH,
    OPEN,
    UNDECIDED,
    WINS,
    WORSE,
    WORTH,
    Arms,
    Margin,
    Spending,
    Terms,
    contrasts,
    judge,
    judge_worth,
    seeds_without_disaster,
    tails,
    unseen_disasters,
)
from gentickets.statistics.evidence import evidence
from gentickets.statistics.spending import KINDS, SIZES, TABLE, shares, spent
from gentickets.statistics.tree import holm_weighted
from gentickets.statistics.twoway import half_width, image_error, tails_twoway

MARGIN = Margin(2.0, "absolute")
TERMS = Terms(MARGIN, seeds=5)
DENSE = np.array([100.2, 99.9, 100.1, 99.7, 100.0])
TICKET = np.array([100.1, 99.8, 100.3, 99.9, 100.0])
REINIT = np.array([103.0, 102.6, 103.4, 102.9, 103.2])


def test_sizes_of_analyses_say_the_same_as_repeated_p_values() -> None:
    plan = Spending(5, 2)
    rng = np.random.default_rng(0)
    p = 10.0 ** rng.uniform(-6, -0.5, (2000, 2))
    for size in (0.002, 0.01, 0.04):
        by_size = (p <= plan.nominal(size)).any(-1)
        np.testing.assert_array_equal(by_size, plan.repeated(p) <= size)


@pytest.mark.parametrize("plan", [Spending(5, 2), Spending(4, 3), Spending(3, 2, "late"), Spending(7, 5), Spending(5)])
def test_repeated_p_values(plan: Spending) -> None:
    """Never below p, smaller with more analyses, rising in p; 1 without any analysis."""
    p = 10.0 ** np.random.default_rng(1).uniform(-7, 0, (500, plan.analyses))
    found = [plan.repeated(p[:, :count]) for count in range(plan.analyses + 1)]
    assert (found[0] == 1).all()
    assert (np.diff(found, axis=0) <= 0).all()
    assert (found[-1] >= p.min(-1) - 1e-15).all()
    assert (found[-1] <= 1).all()
    assert (plan.repeated(p * 1.5) >= found[-1]).all()
    assert (np.diff(plan.nominal(np.array(SIZES)), axis=0) > 0).all()


@pytest.mark.parametrize(("kind", "analyses", "seeds"), [("linear", 2, 3), ("linear", 2, 10), ("late", 2, 5)])
def test_analyses_of_calibrated_sizes_err_at_the_size_of_the_test(kind: str, analyses: int, seeds: int) -> None:
    for size in (0.05, 0.03, 0.007):
        first, second = Spending(seeds, analyses, kind).nominal(size)
        total = first + calibration.second_alone(seeds, float(first), float(second))
        assert size * (1 - 2e-3) <= total <= size * (1 + 1e-4)


def test_three_calibrated_analyses_err_at_the_size_of_the_test() -> None:
    sizes = [float(one) for one in Spending(3, 3).nominal(0.04)]
    total = sizes[0] + calibration.second_alone(3, *sizes[:2]) + calibration.third_alone(3, *sizes)
    assert 0.04 * (1 - 2e-3) <= total <= 0.04 * (1 + 1e-4)
    assert calibration.simulated(3, sizes, paths=200_000) == pytest.approx(0.04, abs=0.0013)


def test_sizes_of_the_normal_theory_are_too_large_for_t_tests() -> None:
    second = 0.05 * calibration.normal_theory(0.05)
    assert 0.025 + calibration.second_alone(3, 0.025, second) > 0.053


def test_the_table_is_what_the_program_finds() -> None:
    for kind in KINDS:
        for size in (0.001, 0.05):
            found = calibration.nominal(5, size, 2, kind)[1] / size
            assert TABLE[kind, 2][5][SIZES.index(size)][0] == calibration.rounded_down(found)


def test_what_the_table_lacks_is_shared_by_bonferroni() -> None:
    np.testing.assert_allclose(Spending(5, 4).nominal(0.04), [0.005, 0.005, 0.01, 0.02])
    np.testing.assert_allclose(Spending(2).nominal(0.04), [0.02, 0.02])
    np.testing.assert_allclose(Spending(5, calibrated=False).nominal(0.04), [0.02, 0.02])
    assert Spending(5, 3, "late").nominal(0.04)[0] == pytest.approx(float(spent(0.04, 0.25, "late")), rel=1e-3)
    np.testing.assert_allclose(shares(0.04, 3).sum(), 0.04)
    for seeds, analyses, kind in ((0, 1, "linear"), (5, 0, "linear"), (5, 2, "early")):
        with pytest.raises(TicketError):
            Spending(seeds, analyses, kind)


def test_holm_hands_on_the_share_of_what_is_shown() -> None:
    weights = np.array([0.8, 0.1, 0.1])
    np.testing.assert_allclose(holm_weighted(np.array([0.03, 0.5, 0.5]), weights, 0.04), [0.032, 0.02, 0.02])
    np.testing.assert_allclose(
        holm_weighted(np.array([0.5, 0.003, 0.5]), weights, 0.04), [0.04 * 8 / 9, 0.004, 0.04 / 9]
    )
    np.testing.assert_allclose(holm_weighted(np.array([0.03, 0.019, 0.03]), weights, 0.04), [0.032, 0.02, 0.04])


def test_margins_and_leads() -> None:
    dense = np.array([100.0, 104.0])
    np.testing.assert_allclose(Margin(0.05, "share", 80.0).room_of(dense), [1.0, 1.2])
    np.testing.assert_allclose(Margin(0.05, "share", 80.0).lead_of(dense), [0.25, 0.3])
    np.testing.assert_allclose(Margin(0.05, "share", 80.0, lead=0.0).lead_of(dense), 0)
    np.testing.assert_allclose(Margin(0.9, "absolute", lead=0.1).lead_of(dense), 0.1)
    np.testing.assert_allclose(Margin(0.02, None).room_of(-dense), [2.0, 2.08])
    assert Margin(0.05, "share", 80.0).refused(dense) is None
    assert "at the metric's floor" in str(Margin(0.05, "share", 100.0).refused(dense))
    assert "so near" in str(Margin(0.05, "share", 99.0).refused(dense))
    for wrong in ((0.05, "shares"), (0.05, "share"), (0.0, "absolute"), (0.05, "absolute", None, -1.0)):
        with pytest.raises(TicketError):
            Margin(*wrong)  # type: ignore[arg-type]


def test_contrasts_are_linear_in_the_arms() -> None:
    found = contrasts(Arms(TICKET, DENSE, {"reinit": REINIT}), Margin(0.05, "share", 80.0))
    np.testing.assert_allclose(found["dense"], TICKET - DENSE - 0.05 * (DENSE - 80))
    np.testing.assert_allclose(found["reinit"], REINIT - TICKET - 0.0125 * (DENSE - 80))


def test_both_tails_are_students() -> None:
    values = 0.3 + np.random.default_rng(0).standard_normal((20, 6))
    below, above = tails(values)
    np.testing.assert_allclose(below, stats.ttest_1samp(values, 0, axis=-1, alternative="less").pvalue, rtol=1e-9)
    np.testing.assert_allclose(above, stats.ttest_1samp(values, 0, axis=-1, alternative="greater").pvalue, rtol=1e-9)
    assert tails(np.full(5, -1.0))[0] == 0.5**5
    assert [float(one) for one in tails(np.zeros(5))] == [1, 1]


def test_what_shows_nothing() -> None:
    """Missing controls, too few seeds, values that are not finite, a ticket that scatters far more than the rest."""
    arms = Arms(TICKET, DENSE, {"reinit": REINIT}, declared=("reinit", "shuffle"))
    assert str(judge([arms], TERMS).verdicts[0]) == MATCHES
    worse = Arms(TICKET + 5, DENSE, {}, declared=("reinit",))
    assert str(judge([worse], TERMS).verdicts[0]) == WORSE
    few = Arms(TICKET[:2], DENSE[:2], {"reinit": REINIT[:2]})
    assert str(judge([few], Terms(MARGIN, seeds=2)).verdicts[0]) == UNDECIDED
    lost = Arms(np.array([*TICKET[:4], np.inf]), DENSE, {"reinit": REINIT})
    assert str(judge([lost], TERMS).verdicts[0]) == UNDECIDED
    wild = Arms(95 + 8 * (TICKET - 100), DENSE, {"reinit": DENSE + 5 * (REINIT - 102) / 5 + 20})
    assert evidence(wild, MARGIN, (5,)).unsteady
    assert str(judge([wild], TERMS).verdicts[0]) == UNDECIDED


def test_further_arms_can_only_make_a_win_harder() -> None:
    own = {"reinit": REINIT}
    declared = Arms(TICKET, DENSE, own, declared=("reinit",))
    later = Arms(TICKET, DENSE, own | {"late": TICKET[::-1] - 1.0}, declared=("reinit",))
    assert str(judge([declared], TERMS).verdicts[0]) == EQUAL_STEPS
    assert str(judge([later], TERMS).verdicts[0]) == MATCHES
    assert str(judge([Arms(TICKET, DENSE, later.controls)], TERMS).verdicts[0]) == NO_BETTER


def test_disasters_that_would_go_unseen() -> None:
    assert [seeds_without_disaster(share) for share in (0.2, 0.1, 0.05)] == [14, 29, 59]
    assert [round(unseen_disasters(seeds), 2) for seeds in (3, 5, 10, 20)] == [0.63, 0.45, 0.26, 0.14]
    arms = Arms(TICKET, DENSE, {"reinit": REINIT})
    for share, expected in ((None, WINS), (0.5, WINS), (0.1, EQUAL_STEPS)):
        terms = Terms(MARGIN, seeds=5, disasters=share)
        assert str(judge([arms], terms, longer=arms).verdicts[0]) == expected


def test_two_way_bounds_and_p_values_agree() -> None:
    rng = np.random.default_rng(2)
    images = 0.4 + rng.standard_normal((50, 5, 40)) + 0.3 * rng.standard_normal((50, 5, 1))
    error, seeds = image_error(images), images.mean(-1)
    below, above = tails_twoway(seeds, error)
    low = np.where(below < above, below, above)
    width = half_width(low, 5, seeds.std(-1, ddof=1) / np.sqrt(5), error)
    np.testing.assert_allclose(width, np.abs(seeds.mean(-1)), rtol=1e-8)
    np.testing.assert_allclose(below + above, 1)
    np.testing.assert_allclose(tails_twoway(seeds, np.zeros(50))[0], tails(seeds)[0], rtol=1e-6)
    assert (low >= np.minimum(*tails(seeds))).all()


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("of_seeds", "of_images"), [(0.05, 0.09), (0.05, 0.05), (0.09, 0.03)])
def test_two_way_intervals_hold_the_mean_over_all_images(seeds: int, of_seeds: float, of_images: float) -> None:
    """Standard errors over seeds and images; where images are the larger part, intervals over seeds alone do not."""
    rng = np.random.default_rng(0)
    images = 100
    values = of_seeds * np.sqrt(seeds) * rng.standard_normal((1000, seeds, 1))
    values = values + of_images * np.sqrt(images) * rng.standard_normal((1000, 1, images))
    values += 0.2 * rng.standard_normal((1000, seeds, images))
    mean, error = values.mean((-1, -2)), values.mean(-1).std(-1, ddof=1) / np.sqrt(seeds)
    assert (np.abs(mean) <= half_width(0.025, seeds, error, image_error(values))).mean() >= 0.936
    if of_images > of_seeds:
        assert (np.abs(mean) <= half_width(0.025, seeds, error, 0.0)).mean() < 0.9


def test_images_as_a_sample_decide_more_carefully() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, 30) - 0
    images = Arms(*(arm[:, None] + shift for arm, shift in ((TICKET, noise), (DENSE, 0 * noise))), {})
    arms = Arms(TICKET, DENSE, {}, images=images)
    assert str(judge([arms], TERMS).verdicts[0]) == UNDECIDED
    assert str(judge([Arms(TICKET, DENSE, {})], TERMS).verdicts[0]) == MATCHES
    with pytest.raises(TicketError, match="single images"):
        judge([Arms(TICKET, DENSE, {})], Terms(MARGIN, images="sample"))


def test_the_second_verdict() -> None:
    arms = Arms(TICKET, DENSE, {"erk": REINIT})
    assert str(judge_worth(arms, TERMS).verdicts) == WORTH
    assert str(judge_worth(Arms(TICKET + 5, DENSE, {"erk": REINIT + 5}), TERMS).verdicts) == NOT_WORTH
    assert str(judge_worth(Arms(TICKET, DENSE, {"erk": TICKET[::-1] - 1}), TERMS).verdicts) == NOT_WORTH
    missing = Arms(TICKET, DENSE, {}, declared=("erk",))
    assert str(judge_worth(missing, TERMS).verdicts) == OPEN
    assert judge_worth(missing, TERMS).factor == 2
    assert str(judge_worth(Arms(TICKET[:2], DENSE[:2], {}), Terms(MARGIN, seeds=2)).verdicts) == OPEN
