"""The smoothing spline: against scipy's and in its limits."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline, make_smoothing_spline

from gflow.models import smoothing_spline


def data(num: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, num)
    return x, np.sin(3 * x) + 0.1 * rng.standard_normal(num)


@pytest.mark.parametrize("lam", [1e-5, 1e-2])
def test_it_is_scipys(lam: float):
    """scipy's, made of B-splines, has the sum of squares for the mean: λ is λ N."""
    x, y = (values[np.argsort(data()[0])] for values in data())
    expected = make_smoothing_spline(x, y, lam=lam * x.size)(x)
    np.testing.assert_allclose(smoothing_spline(x, y, lam)(x), expected, atol=1e-9)


def test_without_smoothing_it_is_the_natural_spline():
    """Through the data, and a line outside of them."""
    x, y = (values[np.argsort(data()[0])] for values in data())
    spline, inside = smoothing_spline(x, y, 0.0), np.linspace(x[0], x[-1], 41)
    expected = CubicSpline(x, y, bc_type="natural")(inside)
    np.testing.assert_allclose(spline(inside), expected, atol=1e-9)
    for start, step in ((x[-1], 0.5), (x[0], -0.5)):
        a, b, c = spline(start + step * np.arange(3))
        assert abs(a - 2 * b + c) < 1e-9 * abs(b)


def test_roughness_and_evaluation_are_of_one_function():
    """∫ f''² of the spline as called, by differences on a fine grid."""
    x, y = data()
    spline = smoothing_spline(x, y, 1e-4)
    at = np.linspace(-1.5, 1.5, 30_001)
    second = np.diff(spline(at), 2) / (at[1] - at[0]) ** 2
    np.testing.assert_allclose(np.sum(second**2) * 1e-4, spline.roughness, rtol=1e-3)


def test_equal_sites_count_by_their_number():
    """A datum three times is one of weight three."""
    x, y = data(6)
    tripled = smoothing_spline(np.append(x, [x[0]] * 2), np.append(y, [y[0]] * 2), 1e-2)
    spread = np.append(x, x[0] + 1e-4 * np.array([1, 2]))
    near = smoothing_spline(spread, np.append(y, [y[0]] * 2), 1e-2)
    np.testing.assert_allclose(tripled(x), near(x), atol=1e-3)


def test_large_lambda():
    """Least squares' line as it grows; and no negative one."""
    x, y = data()
    line = np.polyval(np.polyfit(x, y, 1), x)
    np.testing.assert_allclose(smoothing_spline(x, y, 1e8)(x), line, atol=1e-6)
    with pytest.raises(ValueError, match="lam"):
        smoothing_spline(x, y, -1.0)
