"""The statistics of a verdict against SciPy's own tests, hand arithmetic and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from gentickets.errors import TicketError
from gentickets.statistics import (
    AS_WELL,
    EQUAL_STEPS,
    FASTER,
    HOLDS,
    LOSES,
    MATCHES,
    UNDECIDED,
    WINS,
    WORDS,
    Shown,
    Values,
    bootstrap_interval,
    chances,
    decide,
    holm,
    holm_sizes,
    look_sizes,
    not_known,
    p_below,
    power_curve,
    seeds_judged,
    seeds_needed,
    shown,
    upper_bound,
)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def level(
    ticket: float, seeds: int = 4, cv: float = 0.02, seed: int = 0, dense: np.ndarray | None = None, **controls: float
) -> Values:
    """A level whose arms scatter by ``cv`` around these means, dense around 1."""
    found = 1 + cv * numbers(2 + len(controls), seeds, seed=seed)
    arms = {name: mean * found[2 + place] for place, (name, mean) in enumerate(controls.items())}
    return Values(ticket * found[0], found[1] if dense is None else dense, arms)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_p_below_is_students_test(seeds: int) -> None:
    values = 5 + numbers(20, seeds)
    for limit in (0.0, 4.5, 6.0):
        reference = stats.ttest_1samp(values, limit, axis=-1, alternative="less").pvalue
        np.testing.assert_allclose(p_below(values, limit), reference, rtol=1e-10)


def test_p_below_without_scatter_or_seeds() -> None:
    assert p_below([3.0]) == 1
    assert p_below([-1.0, -1.0, -1.0]) == 0
    assert p_below([0.0, 0.0, 0.0]) == 1
    assert p_below(np.array([0.1 + 0.2, 0.3, 0.3]) - 1) == 0, "a scatter of rounding alone is none"
    assert p_below(np.zeros((4, 3))).shape == (4,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_shows_nothing(bad: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert p_below([-1.0, bad, -3.0]) == 1
        assert upper_bound([-1.0, bad, -3.0]) == np.inf
        found = shown(Values(np.full(3, 0.9), np.array([1.0, bad, 1.2]), {"reinit": np.array([1.0, 1.1, bad])}), 0.02)
    assert found.holds == found.worse == found.beats["reinit"] == found.as_well["reinit"] == 1


def test_upper_bound_is_students() -> None:
    values = numbers(5, 4)
    reference = stats.ttest_1samp(values, 0, axis=-1, alternative="less").confidence_interval(0.9).high
    np.testing.assert_allclose(upper_bound(values, 0.1), reference, rtol=1e-10)
    assert upper_bound([1.0]) == np.inf


def test_bound_and_test_agree_at_the_boundary() -> None:
    values = numbers(50, 5)
    on_the_edge = values - upper_bound(values, 0.05)[:, None]
    np.testing.assert_allclose(p_below(on_the_edge), 0.05, rtol=1e-9)
    assert (p_below(on_the_edge - 1e-9) < 0.05).all()
    assert (p_below(on_the_edge + 1e-9) > 0.05).all()


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.02, 0.02]), [0.04, 0.04])
    np.testing.assert_allclose(holm([0.9, 0.6, 0.5]), [1, 1, 1])
    np.testing.assert_allclose(holm([[0.04, 0.01], [0.2, 0.3]]), [[0.04, 0.02], [0.4, 0.4]])


def test_the_margin_is_taken_seed_by_seed() -> None:
    dense = np.array([1.0, 2.0, 3.0])
    ticket = np.array([1.1, 2.3, 3.2])
    found = shown(Values(ticket, dense, {"reinit": dense}), 0.1)
    loss = np.array([0.1 - 0.1, 0.3 - 0.2, 0.2 - 0.3])
    np.testing.assert_allclose(found.holds, stats.ttest_1samp(loss, 0, alternative="less").pvalue)
    np.testing.assert_allclose(found.worse, stats.ttest_1samp(-loss, 0, alternative="less").pvalue)
    well = dense - ticket - AS_WELL * 0.1 * dense
    np.testing.assert_allclose(found.as_well["reinit"], stats.ttest_1samp(well, 0, alternative="less").pvalue)
    np.testing.assert_allclose(found.beats["reinit"], stats.ttest_1samp(ticket - dense, 0, alternative="less").pvalue)


def test_the_margin_of_a_figure_below_zero_is_still_room() -> None:
    dense = np.array([-1.0, -1.1, -0.9])
    assert shown(Values(dense + 0.05, dense, {}), 0.1).holds < 0.01
    assert shown(Values(dense + 0.15, dense, {}), 0.1).worse < 0.05


def test_winning_takes_every_part() -> None:
    one = Shown(np.array(0.01), np.array(0.99), {"a": np.array(0.02), "b": np.array(0.04)}, {})
    assert one.wins == 0.04
    assert Shown(np.array(0.01), np.array(0.99), {}, {}).wins == 1


def told(holds: float = 0.001, worse: float = 0.9, beats: float | None = 0.001, as_well: float = 0.9) -> Shown:
    """A level with these p-values."""
    controls = {} if beats is None else {"reinit": np.array(beats)}
    return Shown(np.array(holds), np.array(worse), controls, dict.fromkeys(controls, np.array(as_well)))


@pytest.mark.parametrize(
    ("one", "longer", "word"),
    [
        (told(), told(), WINS),
        (told(), None, EQUAL_STEPS),
        (told(), told(beats=0.3), EQUAL_STEPS),
        (told(), told(beats=0.9, as_well=0.01), FASTER),
        (told(), told(holds=0.9, worse=0.01), FASTER),
        (told(), not_known({"reinit": 0}), EQUAL_STEPS),
        (told(beats=0.3, as_well=0.01), told(), MATCHES),
        (told(beats=0.3, as_well=0.3), told(), UNDECIDED),
        (told(beats=0.04, as_well=0.01), None, EQUAL_STEPS),
        (told(beats=None), None, HOLDS),
        (told(holds=0.9, worse=0.01, beats=0.9), told(), LOSES),
        (told(holds=0.3, worse=0.3), None, UNDECIDED),
        (not_known({"reinit": 0}), None, UNDECIDED),
        (not_known({}), None, UNDECIDED),
    ],
)
def test_the_word_of_one_level(one: Shown, longer: Shown | None, word: str) -> None:
    assert word in WORDS
    assert decide([one], 0.05, longer=longer).words.tolist() == [word]


def test_levels_are_corrected_for_one_another() -> None:
    levels = [told(beats=0.02), told(beats=0.03)]
    assert decide(levels[:1], 0.05).words.tolist() == [EQUAL_STEPS]
    assert decide(levels, 0.05).words.tolist() == [EQUAL_STEPS, EQUAL_STEPS]
    assert decide([*levels, told(beats=0.5)], 0.05).words.tolist() == [UNDECIDED] * 3


def test_other_levels_are_corrected_with_the_whole_claim_of_the_declared_one() -> None:
    levels = [told(), told(beats=0.04)]
    assert decide(levels, 0.05).words.tolist() == [EQUAL_STEPS, EQUAL_STEPS]
    found = decide(levels, 0.05, longer=told(beats=0.9))
    assert found.words.tolist() == [EQUAL_STEPS, UNDECIDED]
    np.testing.assert_allclose(found.equal, [0.002, 0.08])
    np.testing.assert_allclose(found.wins, [0.9, 0.08])
    assert decide(levels[::-1], 0.05, longer=told(), declared=1).words.tolist() == [EQUAL_STEPS, WINS]


def test_looks_have_declared_sizes() -> None:
    assert look_sizes(3, 1) == (3,)
    assert look_sizes(5, 3) == (5, 10, 20)
    assert [seeds_judged(present, 3, 2) for present in (0, 2, 3, 5, 6, 50)] == [0, 0, 3, 3, 6, 6]
    with pytest.raises(TicketError, match="1 look or more"):
        look_sizes(3, 0)


def test_the_bootstrap_interval_is_scipys() -> None:
    values = 100 + numbers(8)
    found = bootstrap_interval(values)
    reference = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, rng=5).confidence_interval
    assert found is not None
    np.testing.assert_allclose(found, reference, atol=0.03)
    assert found == bootstrap_interval(values)
    assert found != bootstrap_interval(values, seed=1)
    narrower = bootstrap_interval(values, confidence=0.5)
    assert narrower is not None
    assert found[0] < narrower[0] < values.mean() < narrower[1] < found[1]


@pytest.mark.parametrize("point", [2.0, 0.0, -1e-300])
def test_the_bootstrap_of_equal_seeds_is_a_point(point: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bootstrap_interval([point] * 4) == (point, point)
        almost = bootstrap_interval([0.1 + 0.2, 0.3, 0.3])
    assert almost == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("values", [[1e-300, 2e-300, 5e-300], [1e300, 2e300, -1e300], [0, 0, 1], [*[0] * 30, 1]])
def test_no_warning_escapes_from_the_bootstrap(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap_interval(values)
    assert found is not None
    assert found[0] < np.mean(values) < found[1]


def test_the_bootstrap_interval_is_too_narrow_as_its_docstring_says() -> None:
    intervals = [bootstrap_interval(sample) for sample in numbers(400, 3)]
    held = np.mean([one is not None and one[0] <= 0 <= one[1] for one in intervals])
    assert 0.67 < held < 0.79


def test_what_has_no_bootstrap_interval() -> None:
    assert bootstrap_interval([1.0, 2.0]) is None
    assert bootstrap_interval([1.0, 2.0, np.nan]) is None
    with pytest.raises(TicketError, match="one number per seed"):
        bootstrap_interval(numbers(3, 3))
    with pytest.raises(TicketError, match="confidence"):
        bootstrap_interval([1.0, 2.0, 3.0], confidence=95)


@pytest.mark.parametrize("seeds", [3, 4, 8])
def test_chances_are_those_of_the_noncentral_t(seeds: int) -> None:
    """With no control a verdict is one t test, whose power has a closed form."""
    one = level(1.005)
    loss = one.ticket - 1.02 * one.dense
    effect = loss.mean() / loss.std(ddof=1) * np.sqrt(seeds)
    reference = stats.nct.cdf(stats.t.ppf(0.05, seeds - 1), seeds - 1, effect)
    found = chances([one], 0.02, 0.05, seeds, draws=20_000)
    assert 0.05 < reference < 0.999
    assert found[HOLDS] == pytest.approx(reference, abs=4 * np.sqrt(0.25 / 20_000))
    assert tuple(found) == WORDS
    assert sum(found.values()) == pytest.approx(1)


def test_arms_are_drawn_together() -> None:
    """What the arms of a seed share cancels in the draws as it does in the seeds: more arms than seeds, too."""
    shared = 1 + 0.3 * numbers(3)
    own = 1 + 1e-4 * numbers(12, 3, seed=1)
    controls = {f"c{place}": 1.01 * shared * own[place] for place in range(10)}
    found = chances([Values(shared * own[10], shared * own[11], controls)], 0.02, 0.05, 5)
    assert found[EQUAL_STEPS] == 1
    alone = {name: np.roll(arm, 1) for name, arm in controls.items()}
    assert chances([Values(shared * own[10], shared * own[11], alone)], 0.02, 0.05, 5)[EQUAL_STEPS] < 0.2


def test_other_levels_take_their_share_in_chances() -> None:
    one = level(0.98, reinit=1.01)
    poor = level(1.01, reinit=1.0, seed=1, dense=one.dense)
    alone, three, missing = (
        chances(levels, 0.02, 0.05, 5)[EQUAL_STEPS] for levels in ([one], [one, poor, poor], [one, None, None])
    )
    assert three < alone - 0.05
    assert missing <= three
    assert chances([None, one], 0.02, 0.05, 50) == dict.fromkeys(WORDS, 0.0) | {UNDECIDED: 1.0}
    assert chances([one], 0.02, 0.05, 2)[UNDECIDED] == 1


def test_chances_of_longer_arms() -> None:
    one = level(0.9, reinit=1.2)
    gone = level(1.0, reinit=0.99, cv=0.001, seed=2)
    assert chances([one], 0.02, 0.05, 8)[EQUAL_STEPS] == 1
    assert chances([one], 0.02, 0.05, 8, longer=level(0.9, reinit=1.2, seed=1))[WINS] == 1
    assert chances([one], 0.02, 0.05, 8, longer=gone)[FASTER] > 0.9


def test_the_same_question_has_the_same_answer() -> None:
    one = level(1.0, reinit=1.02)
    assert chances([one], 0.02, 0.05, 6) == chances([one], 0.02, 0.05, 6)
    assert chances([one], 0.02, 0.05, 6) != chances([one], 0.02, 0.05, 6, seed=1)


def test_seeds_needed_is_the_smallest_number() -> None:
    one = level(1.0, reinit=1.02, cv=0.03, seed=1)
    needed = seeds_needed([one], 0.02, 0.05)
    assert needed is not None
    curve = power_curve([one], 0.02, 0.05, range(5, needed + 1))
    assert [point.seeds for point in curve if point.decided >= 0.8] == [needed]
    assert needed > 6
    assert curve[-1].words == chances([one], 0.02, 0.05, needed)


def test_seeds_needed_by_the_noncentral_t() -> None:
    one = level(1.005)
    loss = one.ticket - 1.02 * one.dense

    def power(seeds: int) -> float:
        effect = loss.mean() / loss.std(ddof=1) * np.sqrt(seeds)
        return float(stats.nct.cdf(stats.t.ppf(0.05, seeds - 1), seeds - 1, effect))

    needed = next(seeds for seeds in range(5, 200) if power(seeds) >= 0.8)
    assert seeds_needed([one], 0.02, 0.05, draws=10_000) in (needed - 1, needed, needed + 1)


def test_seeds_needed_has_an_end() -> None:
    one = level(1.0, reinit=1.03)
    needed = seeds_needed([one], 0.02, 0.05)
    assert needed is not None
    assert seeds_needed([one], 0.02, 0.05, most=needed) == needed
    assert seeds_needed([one], 0.02, 0.05, most=needed - 1) is None
    assert seeds_needed([one], 0.02, 0.05, most=3) is None
    assert seeds_needed([None, one], 0.02, 0.05) is None
    clear = level(0.5, reinit=1.0)
    assert seeds_needed([clear], 0.02, 0.05) == 5, "one more than so far"
    assert seeds_needed([clear], 0.02, 0.05, longer=clear) == 5
    on_the_edge = Values(clear.dense, clear.dense, {"reinit": clear.dense})
    assert seeds_needed([clear], 0.02, 0.05, longer=on_the_edge) == 5, "faster is decided"
    open_still = level(1.0, reinit=1.021, cv=0.2, seed=3)
    assert seeds_needed([clear], 0.02, 0.05, longer=open_still, most=8) is None, "at equal steps alone is not"


def test_what_power_refuses() -> None:
    one = level(1.0, reinit=1.0)
    with pytest.raises(TicketError, match="needs 3 seeds"):
        chances([level(1.0, seeds=2)], 0.02, 0.05, 5)
    with pytest.raises(TicketError, match=r"\(4,\), \(5,\)"):
        chances([one, level(1.0, seeds=5)], 0.02, 0.05, 5)
    with pytest.raises(TicketError, match="none"):
        chances([None], 0.02, 0.05, 5)
    with pytest.raises(TicketError, match="number 1, of 1"):
        chances([one], 0.02, 0.05, 5, declared=1)
    with pytest.raises(TicketError, match="power"):
        seeds_needed([one], 0.02, 0.05, power=80)


def test_a_question_is_told_at_the_size_at_which_holm_tests_it() -> None:
    p = np.random.default_rng(5).uniform(0, 0.04, (2000, 4))
    adjusted = holm(p)
    sizes = holm_sizes(adjusted, 0.05)
    assert ((p <= sizes) == (adjusted <= 0.05)).all()
    assert {0.05 / count for count in (1, 2, 3, 4)} == set(np.unique(sizes))


def test_the_sizes_of_levels_say_what_their_words_say() -> None:
    rng = np.random.default_rng(6)
    dense = rng.normal(100, 1, (500, 5))
    arms = [dense + rng.normal(shift, 0.6, (500, 5)) for shift in (0.3, 0.6, 0.9, 1.2, 0.5, 0.8)]
    levels = [shown(Values(dense, dense, {"a": arms[2 * at], "b": arms[2 * at + 1]}), 0.02) for at in range(3)]
    longer = shown(Values(dense, dense, {"a": arms[0], "b": arms[3]}), 0.02)
    decided = decide(levels, 0.05, longer=longer, declared=1)
    for place, level in enumerate(levels):
        beaten = np.maximum(level.beats["a"], level.beats["b"]) <= decided.sizes.equal[:, place]
        assert (beaten == np.isin(decided.words[:, place], (WINS, EQUAL_STEPS, FASTER))).all()
    lasting = np.maximum(longer.beats["a"], longer.beats["b"]) <= decided.sizes.longer[:, 1]
    won = decided.words[:, 1] == WINS
    assert won.any()
    assert lasting[won].all()
