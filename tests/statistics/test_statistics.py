"""The statistics of a verdict against SciPy's own tests, hand arithmetic and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from simulated.first_edition import holm

from gentickets.errors import TicketError
from gentickets.statistics import (
    Arms,
    Margin,
    bootstrap_interval,
    p_below,
    upper_bound,
)
from gentickets.statistics.evidence import evidence


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


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
        arms = Arms(np.full(3, 0.9), np.array([1.0, bad, 1.2]), {"reinit": np.array([1.0, 1.1, bad])})
        found = evidence(arms, Margin(0.02, None), (3,))
    assert found.within == found.worse == found.ahead["reinit"] == found.behind["reinit"] == 1


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
