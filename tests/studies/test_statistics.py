"""Intervals and powers against their formulas."""

import numpy as np

from gflow.studies._statistics import bootstrap, mean_of, order, paired, wilson, worst


def test_intervals() -> None:
    """Wilson's of 0 and 5 of 10 from its formula; the bootstrap of a mean."""
    # p = ½: center ½, half-width z/(1 + z²/n) √(1/4n + z²/4n²) = 0.2634 at n = 10.
    low, high = wilson(5, 10)
    np.testing.assert_allclose([low, high], [0.2366, 0.7634], atol=1e-4)
    # p = 0: from 0 to z²/(n + z²).
    low, high = wilson(0, 10)
    np.testing.assert_allclose([low, high], [0, 3.8415 / 13.8415], atol=1e-4)
    values = np.random.default_rng(0).standard_normal(400)
    mean, (low, high) = bootstrap(values, np.mean, 2000, seed=1)
    assert mean == np.mean(values)
    # ± 1.96/√400 about the mean.
    np.testing.assert_allclose([low - mean, high - mean], [-0.098, 0.098], atol=0.012)


def test_means_are_of_finite_values_with_students_interval():
    """Of 1, 2, 3: the deviation is 1, and t = 4.3027 of two degrees of freedom."""
    found = mean_of([1.0, np.nan, 2.0, 3.0])
    assert (found.mean, found.count, found.num) == (2.0, 3, 4)
    half = 4.302653 / 3**0.5
    np.testing.assert_allclose(found.interval, (2 - half, 2 + half), rtol=1e-6)
    assert "3 of 4 instances" in found.over
    # 4.30 / 3^(1/2) = 2.48 is above 2, and below 6; one value decides nothing.
    assert found.undecided
    assert not mean_of([5.0, 6.0, 7.0]).undecided
    assert mean_of([-1.0]).undecided


def test_the_worst_of_a_nan_is_nan() -> None:
    """A failed run is not lost among others, and of no run nothing is known."""
    assert worst([1.0, 3.0, 2.0]) == 3.0
    assert np.isnan(worst([1.0, np.nan, 2.0]))
    assert np.isnan(worst([]))


def test_interval_of_a_mean() -> None:
    """1, 2, 3: mean 2, standard error 1/sqrt(3); t(0.975) of 2 degrees is 4.302653."""
    found = paired(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / np.sqrt(3)
    np.testing.assert_allclose(
        [found.mean, found.low, found.high], [2, 2 - half, 2 + half], rtol=1e-6
    )
    assert paired(np.array([1.0, np.nan])).interval is None


def test_interval_of_folds() -> None:
    """Three folds: the variance of the mean is 1/3 + 1/(3 - 1) in the place of 1/3."""
    values = np.array([1.0, 2.0, 3.0])
    apart, folds = paired(values), paired(values, shared=1 / 2)
    assert folds.mean == apart.mean
    ratio = (folds.high - folds.low) / (apart.high - apart.low)
    np.testing.assert_allclose(ratio, np.sqrt(5 / 2), rtol=1e-12)


def test_order_is_the_exponent() -> None:
    """Of 3 x^2.5; nan of one point."""
    x = np.array([0.1, 0.2, 0.7])
    np.testing.assert_allclose(order(x, 3 * x**2.5), 2.5, rtol=1e-12)
    assert np.isnan(order([0.1], [1.0]))
