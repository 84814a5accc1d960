"""The smoothing spline: against its own variational problem."""

import numpy as np
import pytest

from gflow.models import smoothing_spline


def data(num: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, num)
    return x, np.sin(3 * x) + 0.1 * rng.standard_normal(num)


def test_no_other_function_does_better():
    """Its objective is the least among cubic splines with 401 knots, by least squares.

    Their second derivative is linear between knots, and its square integrated exactly.
    """
    x, y = data()
    lam = 1e-3
    spline = smoothing_spline(x, y, lam)
    value = np.mean((spline(x) - y) ** 2) + lam * spline.roughness
    # f = p + q x + Σ_j c_j K_j(x), f'' = Σ_j c_j hat_j, K_j = ∫ (x - s)_+ hat_j(s) ds.
    s = np.linspace(-1, 1, 401)
    h = s[1] - s[0]
    mass = h * (np.diag(np.full(401, 2 / 3)) + np.diag(np.full(400, 1 / 6), 1))
    mass += h / 6 * np.diag(np.ones(400), -1)
    mass[0, 0] = mass[-1, -1] = h / 3

    def cube(at: np.ndarray) -> np.ndarray:
        return np.maximum(at, 0) ** 3 / (6 * h)

    K = cube(x[:, None] - s + h) - 2 * cube(x[:, None] - s) + cube(x[:, None] - s - h)
    design = np.hstack([np.ones((12, 1)), x[:, None], K])
    weight = np.zeros((403, 403))
    weight[2:, 2:] = lam * mass
    left = design.T @ design / 12 + weight
    c = np.linalg.lstsq(left, design.T @ y / 12, rcond=1e-14)[0]
    found = np.mean((design @ c - y) ** 2) + c @ weight @ c
    assert value <= found * (1 + 1e-9)
    np.testing.assert_allclose(value, found, rtol=1e-3)
    np.testing.assert_allclose(spline(x), design @ c, atol=1e-3)


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


def test_limits_in_lambda():
    """Interpolation as λ falls, least squares' line as it grows."""
    x, y = data()
    np.testing.assert_allclose(smoothing_spline(x, y, 1e-14)(x), y, atol=1e-6)
    line = np.polyval(np.polyfit(x, y, 1), x)
    np.testing.assert_allclose(smoothing_spline(x, y, 1e8)(x), line, atol=1e-6)
    with pytest.raises(ValueError, match="lam"):
        smoothing_spline(x, y, 0.0)
