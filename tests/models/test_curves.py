"""Curves, synthetic and real."""

import numpy as np
import pytest

from gflow.models import curve_autompg, curve_okuno, with_outliers


def test_okuno_draws_in_the_order_of_the_reference():
    """x, noise, a, b, c from default_rng([f, seed]), f = 1 for the parabola."""
    data, w0 = curve_okuno("parabola", seed=3)
    rng = np.random.default_rng([1, 3])
    x = rng.uniform(-0.5, 0.5, 100)
    np.testing.assert_array_equal(data.x[:, 0], x)
    np.testing.assert_allclose(data.y, 4 * x**2 + 0.1 * rng.standard_normal(100))
    np.testing.assert_array_equal(w0["a"], rng.standard_normal(200))
    np.testing.assert_allclose(w0["b"][:, 0], rng.standard_normal(200) / np.std(x))
    np.testing.assert_array_equal(w0["c"], rng.standard_normal(200))
    with pytest.raises(ValueError, match="target"):
        curve_okuno("circle", seed=0)


def test_outliers_are_where_it_is_said():
    """A tenth of the data, moved by exactly 3; the others are untouched."""
    data, _ = curve_okuno("line", seed=0)
    spoilt = with_outliers(data, 0.1, 3.0, seed=1)
    moved = np.abs(spoilt.y - data.y)
    np.testing.assert_allclose(moved[spoilt.outlying], 3.0)
    assert moved[~spoilt.outlying].max() == 0
    assert spoilt.outlying.sum() == 10
    with pytest.raises(ValueError, match="share"):
        with_outliers(data, 1.0, 3.0, seed=1)


def test_cars_are_the_cars():
    """392 of them, of 93 powers; a parabola leaves 0.3124 of the variance."""
    cars = curve_autompg()
    assert cars.x.shape == (392, 1)
    assert len(np.unique(cars.x)) == 93
    np.testing.assert_allclose([cars.y.mean(), cars.y.std()], [0, 1], atol=1e-12)
    fit = np.polyval(np.polyfit(cars.x[:, 0], cars.y, 2), cars.x[:, 0])
    np.testing.assert_allclose(np.mean((fit - cars.y) ** 2), 0.3124, atol=1e-4)
